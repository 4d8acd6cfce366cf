/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/cursor.h"

#define S 1000000

static void an_empty_partition_is_read_at_once(void **state)
{
	struct cursor cursor;

	(void)state;
	cursor_start(&cursor, -1, S);
	assert_true(cursor_wants_end(&cursor, S));
	assert_false(cursor_check(&cursor, 100 * S));
	cursor_ended(&cursor, 0, S);
	assert_true(cursor_check(&cursor, S));
}

static void it_is_caught_up_when_the_last_record_before_the_end_was_read(void **state)
{
	struct cursor cursor;

	(void)state;
	cursor_start(&cursor, 3, S);
	cursor_ended(&cursor, 5, S);
	assert_false(cursor.caught_up);
	cursor_read(&cursor, 4, S);
	assert_false(cursor.caught_up);
	cursor_read(&cursor, 5, S);
	assert_true(cursor.caught_up);
}

static void a_later_end_does_not_move_the_goal(void **state)
{
	struct cursor cursor;

	(void)state;
	cursor_start(&cursor, 3, S);
	cursor_ended(&cursor, 5, S);
	cursor_ended(&cursor, 50, S);
	cursor_read(&cursor, 5, S);
	assert_true(cursor.caught_up);
}

static void silence_counts_only_when_the_end_was_confirmed(void **state)
{
	struct cursor cursor;

	(void)state;
	cursor_start(&cursor, 3, S);
	cursor_ended(&cursor, 5, S);
	assert_false(cursor_check(&cursor, 60 * S));
	assert_true(cursor_wants_end(&cursor, 60 * S));
	cursor_ended(&cursor, 5, 60 * S);
	assert_true(cursor_check(&cursor, 60 * S));
}

static void time_in_which_nothing_was_taken_is_not_silence(void **state)
{
	struct cursor cursor;

	(void)state;
	cursor_start(&cursor, 3, S);
	cursor_ended(&cursor, 5, S);
	cursor_ended(&cursor, 5, 2 * S);
	cursor_busy(&cursor, 10 * S);
	assert_false(cursor_check(&cursor, 10 * S + CURSOR_IDLE_US));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_partition_is_read_at_once),
		cmocka_unit_test(it_is_caught_up_when_the_last_record_before_the_end_was_read),
		cmocka_unit_test(a_later_end_does_not_move_the_goal),
		cmocka_unit_test(silence_counts_only_when_the_end_was_confirmed),
		cmocka_unit_test(time_in_which_nothing_was_taken_is_not_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
