/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct arena arena;

static int teardown(void **state)
{
	(void)state;
	arena_deinit(&arena);
	return 0;
}

static struct task some_task(void)
{
	static const struct bytes types[] = {{"Denied", 6}};
	struct task task;

	task_init(&task);
	task.activity_type = BYTES_LIT("charge");
	task.start_to_close_timeout_ms = 5000;
	task.heartbeat_timeout_ms = 700;
	task.retry_policy.initial_interval_ms = 200;
	task.retry_policy.maximum_attempts = 3;
	task.retry_policy.non_retryable_error_types = types;
	task.retry_policy.n_non_retryable_error_types = 1;
	task.priority = 2;
	return task;
}

static void options_replace_what_they_name_and_nothing_else(void **state)
{
	struct task task = some_task();

	(void)state;
	assert_int_equal(wire_options_apply(BYTES_LIT("{\"retry_policy\":{\"maximum_attempts\":9},\"heartbeat_timeout_ms\":0,"
						      "\"schedule_to_close_timeout_ms\":60000,\"priority\":3}"),
					    &arena, &task, NULL),
			 MR_OK);
	assert_int_equal(task.retry_policy.maximum_attempts, 9);
	assert_int_equal(task.heartbeat_timeout_ms, TASK_UNSET);
	assert_int_equal(task.schedule_to_close_timeout_ms, 60000);
	assert_int_equal(task.priority, 3);
	assert_int_equal(task.start_to_close_timeout_ms, 5000);
	assert_int_equal(task.retry_policy.initial_interval_ms, 200);
	assert_int_equal(task.retry_policy.n_non_retryable_error_types, 1);
	assert_true(bytes_is(task.activity_type, "charge"));
}

static void null_leaves_a_field_and_an_empty_list_empties_it(void **state)
{
	struct task task = some_task();

	(void)state;
	assert_int_equal(wire_options_apply(BYTES_LIT(" {\"priority\":null,\"start_to_close_timeout_ms\":null,"
						      "\"retry_policy\":{\"non_retryable_error_types\":[]}} "),
					    &arena, &task, NULL),
			 MR_OK);
	assert_int_equal(task.priority, 2);
	assert_int_equal(task.start_to_close_timeout_ms, 5000);
	assert_int_equal(task.retry_policy.n_non_retryable_error_types, 0);
}

static const struct {
	const char *options;
	const char *message;
} bad[] = {
	{"{\"retry_policy\":{\"max_attempts\":9}}",
	 "unknown field options.retry_policy.max_attempts; did you mean maximum_attempts"},
	{"{\"heartbeat_timeout\":9}", "unknown field options.heartbeat_timeout; did you mean heartbeat_timeout_ms"},
	{"{\"input\":1}", "unknown field options.input"},
	{"{\"priority\":\"high\"}", "field options.priority must be an integer from 1 to 5, got a string"},
	{"{\"priority\":6}", "field priority must be an integer from 1 to 5, got 6"},
	{"{\"start_to_close_timeout_ms\":-1}", "field start_to_close_timeout_ms must be from 0 to 3155760000000 ms, got -1"},
	{"{\"retry_policy\":{\"maximum_interval_ms\":100}}",
	 "field retry_policy.maximum_interval_ms must not be below the initial interval of 200 ms, got 100"},
};

static void bad_options_are_told_and_leave_the_task_as_it_was(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct task task = some_task(), before = task;
		struct mr_error err = {0};

		assert_int_equal(wire_options_apply(bytes_of(bad[i].options), &arena, &task, &err), MR_EBAD_RECORD);
		assert_string_equal(err.message, bad[i].message);
		assert_memory_equal(&task, &before, sizeof(task));
	}
}

static const struct {
	const char *options, *changes, *merged;
} merges[] = {
	{NULL, "{}", "{}"},
	{NULL, " { \"priority\" :\n4 } ", "{\"priority\":4}"},
	{"{\"priority\":1}", "{\"priority\":4}", "{\"priority\":4}"},
	{"{\"priority\":1}", "{\"priority\":null}", "{}"},
	{"{\"priority\":1}", "{\"heartbeat_timeout_ms\":0}", "{\"priority\":1,\"heartbeat_timeout_ms\":0}"},
	{"{\"priority\":1}", "{\"priorit\\u0079\":2}", "{\"priority\":2}"},
	{"{\"retry_policy\":{\"maximum_attempts\":5,\"initial_interval_ms\":7}}",
	 "{\"retry_policy\":{\"maximum_attempts\":6,\"initial_interval_ms\":null}}",
	 "{\"retry_policy\":{\"maximum_attempts\":6}}"},
	{"{\"retry_policy\":{\"maximum_attempts\":5}}", "{\"retry_policy\":null}", "{}"},
	{NULL, "{\"retry_policy\":{\"non_retryable_error_types\":[ \"a \\\" b\", \"c\\\\\" ], \"maximum_attempts\":null}}",
	 "{\"retry_policy\":{\"non_retryable_error_types\":[\"a \\\" b\",\"c\\\\\"]}}"},
};

static void later_options_come_over_earlier_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(merges); i++) {
		struct buf out = {0};

		wire_options_merge(bytes_of(merges[i].options), bytes_of(merges[i].changes), &arena, &out);
		assert_string_equal(buf_cstr(&out), merges[i].merged);
		buf_deinit(&out);
	}
}

static void assert_control(const char *value, const char *message)
{
	struct wire *wire;
	struct control control;
	struct mr_error err = {0};

	assert_int_equal(wire_new(&wire, NULL), MR_OK);
	assert_int_equal(wire_decode_control(wire, bytes_of(value), &arena, &control, &err), message ? MR_EBAD_RECORD : MR_OK);
	assert_string_equal(err.message, message ? message : "");
	wire_free(wire);
}

static void an_update_is_checked_as_a_task_is(void **state)
{
	(void)state;
	assert_control("{\"command\":\"UPDATE\",\"task_key\":\"k\",\"options\":{\"priority\":1}}", NULL);
	assert_control("{\"command\":\"UPDATE\",\"task_key\":\"k\"}", "field options is required with command UPDATE");
	assert_control("{\"command\":\"UPDATE\",\"task_key\":\"k\",\"options\":{\"start_to_close_ms\":1}}",
		       "unknown field options.start_to_close_ms; did you mean start_to_close_timeout_ms");
	assert_control("{\"command\":\"CANCEL\",\"task_key\":\"k\",\"token\":\"a\\tb\"}",
		       "field token must have 1 to 512 bytes without control characters");
}

static void assert_journal(const struct journal_record *record, const char *field)
{
	struct wire *wire;
	struct journal_record read;
	struct mr_error err = {0};
	struct buf out = {0};

	assert_int_equal(wire_new(&wire, NULL), MR_OK);
	wire_encode_journal(wire, record, &out);
	assert_int_equal(wire_decode_journal(wire, buf_bytes(&out), &arena, &read, &err), field ? MR_EBAD_RECORD : MR_OK);
	assert_string_equal(err.where, field ? field : "");
	if (!field) {
		assert_true(bytes_equal(read.options, record->options));
		assert_int_equal(read.n_request_ids, record->n_request_ids);
	}
	buf_deinit(&out);
	wire_free(wire);
}

static void a_command_in_the_journal_is_checked_before_redis_gets_it(void **state)
{
	struct bytes ids[17];
	struct journal_record record;

	(void)state;
	for (size_t i = 0; i < COUNT(ids); i++)
		ids[i] = BYTES_LIT("t.control:0:1");
	journal_record_init(&record);
	record.kind = JOURNAL_COMMAND;
	record.task_key = BYTES_LIT("k");
	record.options = BYTES_LIT("{\"priority\":1}");
	record.request_ids = ids;
	record.n_request_ids = 16;
	assert_journal(&record, NULL);
	record.n_request_ids = 17;
	assert_journal(&record, "request_ids");
	record.n_request_ids = 1;
	ids[0] = BYTES_LIT("a\x1e"
			   "b");
	assert_journal(&record, "request_ids");
	record.n_request_ids = 0;
	record.options = BYTES_LIT("{\t}");
	assert_journal(&record, "options");
	record.options = BYTES_LIT("[1]");
	assert_journal(&record, "options");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(options_replace_what_they_name_and_nothing_else, teardown),
		cmocka_unit_test_teardown(null_leaves_a_field_and_an_empty_list_empties_it, teardown),
		cmocka_unit_test_teardown(bad_options_are_told_and_leave_the_task_as_it_was, teardown),
		cmocka_unit_test_teardown(later_options_come_over_earlier_ones, teardown),
		cmocka_unit_test_teardown(an_update_is_checked_as_a_task_is, teardown),
		cmocka_unit_test_teardown(a_command_in_the_journal_is_checked_before_redis_gets_it, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
