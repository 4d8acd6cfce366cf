/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "task/names.h"
#include "task/task.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct task valid_task(void)
{
	struct task task;

	task_init(&task);
	task.activity_type = BYTES_LIT("greet");
	return task;
}

static void a_task_key_escapes_what_separates_ids(void **state)
{
	static const struct {
		const char *workflow_id, *activity_id, *key;
	} rows[] = {
		{NULL, "a", "a"},          {"w", "a", "w/a"},     {"w/a", "b", "w%2Fa/b"}, {"w", "a/b", "w/a%2Fb"},
		{"w%2F", "a", "w%252F/a"}, {"/", "%", "%2F/%25"}, {NULL, NULL, "t:1:2"},
	};
	struct arena arena = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct task task = valid_task();

		task.workflow_id = bytes_of(rows[i].workflow_id);
		task.activity_id = bytes_of(rows[i].activity_id);
		struct bytes key = task_key(&task, BYTES_LIT("t:1:2"), &arena);
		assert_true(bytes_is(key, rows[i].key));
		assert_int_equal(key.data[key.len], '\0');
	}
	arena_deinit(&arena);
}

static void the_longest_key_fits(void **state)
{
	char id[TASK_ID_MAX_BYTES];
	struct arena arena = {0};
	struct task task = valid_task();

	(void)state;
	memset(id, '/', sizeof(id));
	task.workflow_id = task.activity_id = (struct bytes){id, sizeof(id)};
	assert_int_equal(task_key(&task, BYTES_NONE, &arena).len, TASK_KEY_MAX_BYTES);
	arena_deinit(&arena);
}

static void ids_are_1_to_255_bytes_of_text_without_controls(void **state)
{
	char long_id[256];
	struct mr_error err;

	(void)state;
	memset(long_id, 'x', sizeof(long_id));
	static const char *const good[] = {"a", " ", "größe", "a\xc2\xa0z", "✓/%", "~"};
	for (size_t i = 0; i < COUNT(good); i++)
		assert_int_equal(task_id_check(bytes_of(good[i]), "activity_id", &err), MR_OK);
	assert_int_equal(task_id_check((struct bytes){long_id, 255}, "activity_id", &err), MR_OK);
	static const char *const bad[] = {"", "a\tb", "a\n", "\x7f", "\xc2\x85", "\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(task_id_check(bytes_of(bad[i]), "activity_id", &err), MR_EBAD_RECORD);
		assert_string_equal(err.where, "activity_id");
	}
	assert_int_equal(task_id_check((struct bytes){long_id, 256}, "activity_id", &err), MR_EBAD_RECORD);
	assert_non_null(strstr(err.message, "1 to 255 bytes, got 256"));
	assert_int_equal(task_id_check((struct bytes){"a\0b", 3}, "activity_id", &err), MR_EBAD_RECORD);
}

struct bad_task {
	const char *where;
	void (*spoil)(struct task *task);
};

static struct bytes unknown_timeout[] = {{"Timeout:Start", 13}};
static struct bytes empty_type[] = {{"", 0}};
static struct bytes many_types[101];

#define SPOIL(name, ...)                                                                                                         \
	static void name(struct task *task)                                                                                      \
	{                                                                                                                        \
		__VA_ARGS__                                                                                                      \
	}
SPOIL(no_type, task->activity_type = BYTES_NONE;)
SPOIL(empty_activity_type, task->activity_type = BYTES_LIT("");)
SPOIL(workflow_alone, task->workflow_id = BYTES_LIT("w");)
SPOIL(bad_workflow, task->workflow_id = BYTES_LIT("\t"); task->activity_id = BYTES_LIT("a");)
SPOIL(bad_run, task->run_id = BYTES_LIT("");)
SPOIL(bad_fairness, task->fairness_key = BYTES_LIT("\x01");)
SPOIL(negative_close, task->schedule_to_close_timeout_ms = -1;)
SPOIL(negative_start, task->schedule_to_start_timeout_ms = -1;)
SPOIL(endless, task->start_to_close_timeout_ms = TASK_DURATION_MAX_MS + 1;)
SPOIL(negative_heartbeat, task->heartbeat_timeout_ms = -5;)
SPOIL(negative_delay, task->start_delay_ms = -5;)
SPOIL(far_future, task->scheduled_at_ms = TASK_INSTANT_MAX_MS + 1;)
SPOIL(priority_0, task->priority = 0;)
SPOIL(priority_6, task->priority = 6;)
SPOIL(negative_interval, task->retry_policy.initial_interval_ms = -1;)
SPOIL(small_coefficient, task->retry_policy.backoff_coefficient = 0.5;)
SPOIL(endless_coefficient, task->retry_policy.backoff_coefficient = 1e308 * 10;)
SPOIL(maximum_below, task->retry_policy.maximum_interval_ms = 999;)
SPOIL(negative_attempts, task->retry_policy.maximum_attempts = -1;)
SPOIL(too_many_attempts, task->retry_policy.maximum_attempts = INT64_C(1) << 31;)
SPOIL(misspelt_timeout, task->retry_policy.non_retryable_error_types = unknown_timeout;
      task->retry_policy.n_non_retryable_error_types = 1;)
SPOIL(empty_error_type, task->retry_policy.non_retryable_error_types = empty_type;
      task->retry_policy.n_non_retryable_error_types = 1;)
SPOIL(too_many_types, task->retry_policy.non_retryable_error_types = many_types;
      task->retry_policy.n_non_retryable_error_types = 101;)
SPOIL(topic_with_slash, task->reply_topic = BYTES_LIT("a/b");)
SPOIL(topic_dots, task->reply_topic = BYTES_LIT("..");)
SPOIL(topic_empty, task->reply_topic = BYTES_LIT("");)
SPOIL(content_type_newline, task->input.content_type = BYTES_LIT("a\nb");)
SPOIL(encoding_empty, task->input.encoding = BYTES_LIT("");)

static const struct bad_task bad_tasks[] = {
	{"activity_type", no_type},
	{"activity_type", empty_activity_type},
	{"activity_id", workflow_alone},
	{"workflow_id", bad_workflow},
	{"run_id", bad_run},
	{"fairness_key", bad_fairness},
	{"schedule_to_close_timeout_ms", negative_close},
	{"schedule_to_start_timeout_ms", negative_start},
	{"start_to_close_timeout_ms", endless},
	{"heartbeat_timeout_ms", negative_heartbeat},
	{"start_delay_ms", negative_delay},
	{"scheduled_at_ms", far_future},
	{"priority", priority_0},
	{"priority", priority_6},
	{"retry_policy.initial_interval_ms", negative_interval},
	{"retry_policy.backoff_coefficient", small_coefficient},
	{"retry_policy.backoff_coefficient", endless_coefficient},
	{"retry_policy.maximum_interval_ms", maximum_below},
	{"retry_policy.maximum_attempts", negative_attempts},
	{"retry_policy.maximum_attempts", too_many_attempts},
	{"retry_policy.non_retryable_error_types", misspelt_timeout},
	{"retry_policy.non_retryable_error_types", empty_error_type},
	{"retry_policy.non_retryable_error_types", too_many_types},
	{"reply_topic", topic_with_slash},
	{"reply_topic", topic_dots},
	{"reply_topic", topic_empty},
	{"content_type", content_type_newline},
	{"encoding", encoding_empty},
};

static void validation_names_the_field(void **state)
{
	struct mr_error err;

	(void)state;
	for (size_t i = 0; i < COUNT(bad_tasks); i++) {
		struct task task = valid_task();

		assert_int_equal(task_validate(&task, &err), MR_OK);
		bad_tasks[i].spoil(&task);
		assert_int_equal(task_validate(&task, &err), MR_EBAD_RECORD);
		assert_string_equal(err.where, bad_tasks[i].where);
		assert_non_null(strstr(err.message, err.where));
	}
}

static void one_attempt_needs_no_sound_intervals(void **state)
{
	struct task task = valid_task();

	(void)state;
	task.retry_policy.maximum_attempts = 1;
	task.retry_policy.backoff_coefficient = 0.1;
	task.retry_policy.maximum_interval_ms = 1;
	assert_int_equal(task_validate(&task, NULL), MR_OK);
}

static void names_and_values_agree(void **state)
{
	enum result_status status;

	(void)state;
	for (int i = 0; result_status_names[i]; i++) {
		assert_true(result_status_parse(bytes_of(result_status_name((enum result_status)i)), &status));
		assert_int_equal(status, i);
	}
	assert_false(result_status_parse(BYTES_LIT("completed"), &status));
	assert_false(result_status_parse(BYTES_LIT(""), &status));
	assert_string_equal(timeout_type_name(TIMEOUT_NONE), "");
	assert_string_equal(timeout_type_name(TIMEOUT_SCHEDULE_TO_CLOSE), "SCHEDULE_TO_CLOSE");
	assert_string_equal(retry_state_name(RETRY_STATE_CANCEL_REQUESTED), "CANCEL_REQUESTED");
	assert_string_equal(journal_kind_name(JOURNAL_CHECKPOINT), "CHECKPOINT");
	assert_string_equal(control_command_name(CONTROL_HEARTBEAT), "HEARTBEAT");
	assert_string_equal(id_reuse_policy_name(REUSE_REJECT_DUPLICATE), "REJECT_DUPLICATE");
	assert_string_equal(id_conflict_policy_name(CONFLICT_FAIL), "FAIL");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_key_escapes_what_separates_ids),
		cmocka_unit_test(the_longest_key_fits),
		cmocka_unit_test(ids_are_1_to_255_bytes_of_text_without_controls),
		cmocka_unit_test(validation_names_the_field),
		cmocka_unit_test(one_attempt_needs_no_sound_intervals),
		cmocka_unit_test(names_and_values_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
