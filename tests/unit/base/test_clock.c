/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "base/clock.h"

static void the_monotonic_clock_never_goes_back(void **state)
{
	int64_t last = clock_mono_us();

	(void)state;
	for (int i = 0; i < 10000; i++) {
		int64_t now = clock_mono_us();

		assert_true(now >= last);
		last = now;
	}
}

static void the_wall_clock_is_in_ms_since_the_epoch(void **state)
{
	int64_t before = (int64_t)time(NULL), now_ms = clock_wall_ms();

	(void)state;
	/* time() may lag behind by a tick. */
	assert_in_range(now_ms, (before - 1) * 1000, (before + 60) * 1000);
}

static void random_numbers_use_all_bits_and_do_not_repeat(void **state)
{
	uint64_t set = 0, clear = 0, last = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		uint64_t value = random_u64();

		assert_true(value != last);
		last = value;
		set |= value;
		clear |= ~value;
	}
	assert_true(set == UINT64_MAX);
	assert_true(clear == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_monotonic_clock_never_goes_back),
		cmocka_unit_test(the_wall_clock_is_in_ms_since_the_epoch),
		cmocka_unit_test(random_numbers_use_all_bits_and_do_not_repeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
