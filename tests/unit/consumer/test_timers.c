/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/timers.h"

static void timers_come_in_the_order_of_their_time(void **state)
{
	enum { N = 200 };
	struct timers timers = {0};
	struct timer items[N] = {0};
	struct timer *taken;
	int64_t last_us = -1;
	int n = 0;

	(void)state;
	for (int i = 0; i < N; i++)
		timers_set(&timers, &items[i], i * 7919 % 1009);
	assert_null(timers_take_due(&timers, -1));
	while ((taken = timers_take_due(&timers, INT64_MAX - 1))) {
		assert_true(taken->at_us >= last_us);
		last_us = taken->at_us;
		n++;
	}
	assert_int_equal(n, N);
	assert_int_equal(timers_next_us(&timers), INT64_MAX);
	timers_deinit(&timers);
}

static void a_timer_moves_and_goes_away(void **state)
{
	struct timers timers = {0};
	struct timer a = {0}, b = {0}, c = {0};

	(void)state;
	timers_set(&timers, &a, 10);
	timers_set(&timers, &b, 20);
	timers_set(&timers, &c, 30);
	timers_set(&timers, &a, 40);
	assert_int_equal(timers_next_us(&timers), 20);
	timers_clear(&timers, &b);
	timers_clear(&timers, &b);
	assert_ptr_equal(timers_take_due(&timers, 100), &c);
	assert_null(timers_take_due(&timers, 39));
	assert_ptr_equal(timers_take_due(&timers, 40), &a);
	assert_null(timers_take_due(&timers, 100));
	timers_deinit(&timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_come_in_the_order_of_their_time),
		cmocka_unit_test(a_timer_moves_and_goes_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
