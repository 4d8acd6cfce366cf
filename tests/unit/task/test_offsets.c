/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "task/offsets.h"

static void nothing_taken_has_no_watermark(void **state)
{
	struct offsets offsets;

	(void)state;
	offsets_init(&offsets);
	assert_int_equal(offsets_watermark(&offsets), -1);
	offsets_settle(&offsets, 0);
	assert_int_equal(offsets_watermark(&offsets), -1);
	offsets_deinit(&offsets);
}

static void the_watermark_is_the_lowest_that_is_not_settled(void **state)
{
	struct offsets offsets;

	(void)state;
	offsets_init(&offsets);
	for (int64_t offset = 5; offset < 9; offset++)
		assert_true(offsets_take(&offsets, offset));
	assert_int_equal(offsets_watermark(&offsets), 5);
	offsets_settle(&offsets, 6);
	offsets_settle(&offsets, 7);
	assert_int_equal(offsets_watermark(&offsets), 5);
	offsets_settle(&offsets, 5);
	assert_int_equal(offsets_watermark(&offsets), 8);
	assert_int_equal(offsets.open, 1);
	offsets_settle(&offsets, 8);
	assert_int_equal(offsets_watermark(&offsets), 9);
	assert_int_equal(offsets.open, 0);
	offsets_deinit(&offsets);
}

static void a_repeated_offset_is_told(void **state)
{
	struct offsets offsets;

	(void)state;
	offsets_init(&offsets);
	assert_true(offsets_take(&offsets, 3));
	assert_false(offsets_take(&offsets, 3));
	assert_false(offsets_take(&offsets, 1));
	offsets_settle(&offsets, 3);
	offsets_settle(&offsets, 3);
	assert_false(offsets_take(&offsets, 3));
	assert_int_equal(offsets_watermark(&offsets), 4);
	offsets_deinit(&offsets);
}

static void a_gap_of_any_width_costs_nothing(void **state)
{
	struct offsets offsets;
	const int64_t far = INT64_C(1) << 60;

	(void)state;
	offsets_init(&offsets);
	assert_true(offsets_take(&offsets, 0));
	assert_true(offsets_take(&offsets, far));
	assert_true(offsets_take(&offsets, far + 2));
	offsets_settle(&offsets, far + 1);
	assert_int_equal(offsets.open, 3);
	offsets_settle(&offsets, far + 2);
	assert_true(offsets_watermark(&offsets) == 0);
	offsets_settle(&offsets, 0);
	assert_true(offsets_watermark(&offsets) == far);
	offsets_settle(&offsets, far);
	assert_true(offsets_watermark(&offsets) == far + 3);
	assert_true(offsets.cap <= 64);
	offsets_deinit(&offsets);
}

#define STEPS 200000

/* Against a list of flags: every step of a long random history gives the same watermark. */
static void it_agrees_with_a_simple_list(void **state)
{
	static bool taken[STEPS], settled[STEPS];
	struct offsets offsets;
	int64_t next = 0, low = 0, last = -1;
	unsigned seed = 7;

	(void)state;
	offsets_init(&offsets);
	for (int step = 0; step < STEPS; step++) {
		if (rand_r(&seed) % 2 && next + 4 < STEPS) {
			next += rand_r(&seed) % 8 ? 0 : rand_r(&seed) % 3;
			assert_true(offsets_take(&offsets, next));
			taken[next] = true;
			last = next++;
		} else if (last >= 0) {
			int64_t offset = last - rand_r(&seed) % (step % 1000 ? 20 : 2000);

			if (offset >= 0) {
				offsets_settle(&offsets, offset);
				settled[offset] = taken[offset];
			}
		}
		while (low <= last && (!taken[low] || settled[low]))
			low++;
		assert_int_equal(offsets_watermark(&offsets), last < 0 ? -1 : low);
	}
	offsets_deinit(&offsets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_taken_has_no_watermark),
		cmocka_unit_test(the_watermark_is_the_lowest_that_is_not_settled),
		cmocka_unit_test(a_repeated_offset_is_told),
		cmocka_unit_test(a_gap_of_any_width_costs_nothing),
		cmocka_unit_test(it_agrees_with_a_simple_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
