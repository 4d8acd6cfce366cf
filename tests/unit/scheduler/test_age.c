/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/age.h"

static void nothing_read_has_no_age(void **state)
{
	struct age age = {.len = 0};

	(void)state;
	assert_int_equal(age_oldest_ms(&age), -1);
	age_settled(&age, 10);
	assert_int_equal(age_oldest_ms(&age), -1);
}

static void the_oldest_record_that_is_not_settled_counts(void **state)
{
	struct age age = {.len = 0};

	(void)state;
	age_note(&age, 5, 100);
	age_note(&age, 6, 200);
	age_note(&age, 9, 300); /* offsets may leave gaps */
	assert_int_equal(age_oldest_ms(&age), 100);
	age_settled(&age, 6);
	assert_int_equal(age_oldest_ms(&age), 200);
	age_settled(&age, 7);
	assert_int_equal(age_oldest_ms(&age), 300);
	age_settled(&age, 10);
	assert_int_equal(age_oldest_ms(&age), -1);
}

static void a_record_that_is_read_again_changes_nothing(void **state)
{
	struct age age = {.len = 0};

	(void)state;
	age_note(&age, 5, 100);
	age_note(&age, 6, 200);
	age_note(&age, 5, 900);
	age_settled(&age, 6);
	assert_int_equal(age_oldest_ms(&age), 200);
}

/* The record at offset n was written at n ms. */
static void of_many_records_the_age_is_never_told_too_large(void **state)
{
	struct age age = {.len = 0};
	const int64_t many = 100000;

	(void)state;
	for (int64_t i = 0; i < many; i++)
		age_note(&age, i, i);
	for (int64_t settled = 0; settled < many * 9 / 10; settled += 777) {
		age_settled(&age, settled);
		assert_true(age_oldest_ms(&age) >= settled);
		assert_true(age_oldest_ms(&age) <= settled + many / (AGE_SAMPLES / 2) + 1);
	}
}

static void after_a_large_backlog_single_records_are_told_exactly(void **state)
{
	struct age age = {.len = 0};

	(void)state;
	for (int64_t i = 0; i < 100000; i++)
		age_note(&age, i, i);
	age_settled(&age, 100000);
	age_note(&age, 100000, 7000000);
	age_note(&age, 100001, 7000001);
	age_settled(&age, 100001);
	assert_int_equal(age_oldest_ms(&age), 7000001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_read_has_no_age),
		cmocka_unit_test(the_oldest_record_that_is_not_settled_counts),
		cmocka_unit_test(a_record_that_is_read_again_changes_nothing),
		cmocka_unit_test(of_many_records_the_age_is_never_told_too_large),
		cmocka_unit_test(after_a_large_backlog_single_records_are_told_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
