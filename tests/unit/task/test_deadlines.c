/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "task/deadlines.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define U TASK_UNSET

static void timeouts_are_normalised_as_temporal_does(void **state)
{
	/* schedule-to-close, schedule-to-start, start-to-close, heartbeat; the default is 300 */
	static const struct {
		int64_t sent[4], effective[4];
	} rows[] = {
		{{U, U, U, U}, {U, U, 300, U}},         {{0, 0, 0, 0}, {U, U, 300, U}},
		{{100, U, U, U}, {100, 100, 100, U}},   {{100, 0, 0, 0}, {100, 100, 100, U}},
		{{100, 50, 20, 10}, {100, 50, 20, 10}}, {{100, 500, 500, 500}, {100, 100, 100, 100}},
		{{U, U, 20, U}, {U, U, 20, U}},         {{U, 70, 20, 30}, {U, 70, 20, 20}},
		{{U, 70, U, 301}, {U, 70, 300, 300}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct timeouts t;
		struct task task;

		task_init(&task);
		task.schedule_to_close_timeout_ms = rows[i].sent[0];
		task.schedule_to_start_timeout_ms = rows[i].sent[1];
		task.start_to_close_timeout_ms = rows[i].sent[2];
		task.heartbeat_timeout_ms = rows[i].sent[3];
		assert_int_equal(timeouts_normalise(&task, 300, &t, NULL), MR_OK);
		assert_true(t.schedule_to_close_ms == rows[i].effective[0]);
		assert_true(t.schedule_to_start_ms == rows[i].effective[1]);
		assert_true(t.start_to_close_ms == rows[i].effective[2]);
		assert_true(t.heartbeat_ms == rows[i].effective[3]);
	}
}

static void without_a_default_one_of_two_is_required(void **state)
{
	struct task task;
	struct timeouts t;
	struct mr_error err;

	(void)state;
	task_init(&task);
	task.heartbeat_timeout_ms = 5;
	assert_int_equal(timeouts_normalise(&task, U, &t, &err), MR_EINVAL);
	assert_string_equal(err.where, "start_to_close_timeout_ms");
	task.schedule_to_close_timeout_ms = 5;
	assert_int_equal(timeouts_normalise(&task, U, &t, &err), MR_OK);
}

static void a_negative_timeout_is_refused_by_name(void **state)
{
	struct task task;
	struct timeouts t;
	struct mr_error err;

	(void)state;
	task_init(&task);
	task.heartbeat_timeout_ms = -1;
	assert_int_equal(timeouts_normalise(&task, 300, &t, &err), MR_EINVAL);
	assert_string_equal(err.where, "heartbeat_timeout_ms");
}

static void deadlines_count_from_where_they_begin(void **state)
{
	struct timeouts t = {.schedule_to_close_ms = 100, .schedule_to_start_ms = 30, .start_to_close_ms = 50, .heartbeat_ms = U};
	struct timeouts none = {U, U, U, U};

	(void)state;
	assert_int_equal(deadline_close_ms(&t, 1000, U), 1100);
	assert_int_equal(deadline_close_ms(&t, 1000, 7), 1107);
	assert_true(deadline_close_ms(&none, 1000, 7) == U);
	assert_int_equal(deadline_start_ms(&t, 2000), 2030);
	assert_true(deadline_start_ms(&t, U) == U);
	assert_true(deadline_add_ms(INT64_MAX - 1, 5) == INT64_MAX);
}

static void an_attempt_may_run_until_the_nearer_end(void **state)
{
	struct timeouts t = {U, U, 50, U}, none = {U, U, U, U};

	(void)state;
	assert_int_equal(deadline_budget_ms(&t, U, 1000), 50);
	assert_int_equal(deadline_budget_ms(&t, 1051, 1000), 50);
	assert_int_equal(deadline_budget_ms(&t, 1049, 1000), 49);
	assert_int_equal(deadline_budget_ms(&t, 999, 1000), 0);
	assert_int_equal(deadline_budget_ms(&none, 1010, 1000), 10);
	assert_true(deadline_budget_ms(&none, U, 1000) == U);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timeouts_are_normalised_as_temporal_does),
		cmocka_unit_test(without_a_default_one_of_two_is_required),
		cmocka_unit_test(a_negative_timeout_is_refused_by_name),
		cmocka_unit_test(deadlines_count_from_where_they_begin),
		cmocka_unit_test(an_attempt_may_run_until_the_nearer_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
