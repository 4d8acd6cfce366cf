/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/shape.h"

#include "task/names.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

#define INSTANT "an integer of ms since 1970"
#define DURATION "an integer of ms, at least 0"

#define TEXT(s, member, ...)                                                                                                     \
	{                                                                                                                        \
		.name = #member, .kind = SHAPE_TEXT, .offset = offsetof(struct s, member), ##__VA_ARGS__                         \
	}
#define RAW(s, member)                                                                                                           \
	{                                                                                                                        \
		.name = #member, .kind = SHAPE_BYTES, .offset = offsetof(struct s, member)                                       \
	}
#define LONG(s, member, expected)                                                                                                \
	{                                                                                                                        \
		.name = #member, .kind = SHAPE_LONG, .offset = offsetof(struct s, member), .absent = TASK_UNSET,                 \
		.expect = (expected)                                                                                             \
	}
#define COUNTER(s, member, nothing, ...)                                                                                         \
	{                                                                                                                        \
		.name = #member, .kind = SHAPE_LONG, .offset = offsetof(struct s, member), .absent = (nothing), ##__VA_ARGS__    \
	}
#define BOOL(s, member, ...)                                                                                                     \
	{                                                                                                                        \
		.name = #member, .kind = SHAPE_BOOL, .offset = offsetof(struct s, member), ##__VA_ARGS__                         \
	}
#define ENUM(s, member, list, nothing, ...)                                                                                      \
	{                                                                                                                        \
		.name = #member, .kind = SHAPE_ENUM, .offset = offsetof(struct s, member), .names = (list), .absent = (nothing), \
		##__VA_ARGS__                                                                                                    \
	}
#define LINK(s, member, of)                                                                                                      \
	{                                                                                                                        \
		.name = #member, .kind = SHAPE_LINK, .offset = offsetof(struct s, member), .shape = &(of)                        \
	}
#define LIST(s, member, count, of)                                                                                               \
	{                                                                                                                        \
		.name = #member, .kind = SHAPE_LIST, .offset = offsetof(struct s, member),                                       \
		.count_offset = offsetof(struct s, count), .shape = &(of)                                                        \
	}
/* A payload `member` whose fields are called `field`, `type_name` and `encoding_name`. */
#define PAYLOAD_TEXT(s, member, field_name)                                                                                      \
	{                                                                                                                        \
		.name = field_name, .kind = SHAPE_TEXT, .offset = offsetof(struct s, member), .of_payload = true                 \
	}
#define PAYLOAD_DATA(s, member, field, type_name, encoding_name)                                                                 \
	{                                                                                                                        \
		.name = field, .kind = SHAPE_PAYLOAD, .offset = offsetof(struct s, member), .base64 = field "_base64",           \
		.content_type = type_name, .encoding = encoding_name                                                             \
	}
#define PAYLOAD(s, member, field, type_name, encoding_name)                                                                      \
	PAYLOAD_DATA(s, member, field, type_name, encoding_name), PAYLOAD_TEXT(s, member.content_type, type_name),               \
		PAYLOAD_TEXT(s, member.encoding, encoding_name)

static void init_task(void *structure)
{
	task_init(structure);
}

static void init_result(void *structure)
{
	result_init(structure);
}

static void init_control(void *structure)
{
	control_init(structure);
}

static void init_journal(void *structure)
{
	journal_record_init(structure);
}

static void init_failure(void *structure)
{
	failure_init(structure);
}

static void init_retry_policy(void *structure)
{
	struct task task;

	task_init(&task);
	*(struct retry_policy *)structure = task.retry_policy;
}

static void init_attempt_failure(void *structure)
{
	struct attempt_failure *attempt = structure;

	*attempt = (struct attempt_failure){.started_at_ms = TASK_UNSET, .failed_at_ms = TASK_UNSET};
	failure_init(&attempt->failure);
}

static void init_header(void *structure)
{
	*(struct header *)structure = (struct header){.name = BYTES_NONE};
}

static void init_history(void *structure)
{
	*(struct history *)structure = (struct history){.n = 0};
}

static const struct shape_field retry_policy_fields[] = {
	LONG(retry_policy, initial_interval_ms, DURATION),
	{.name = "backoff_coefficient",
	 .kind = SHAPE_DOUBLE,
	 .offset = offsetof(struct retry_policy, backoff_coefficient),
	 .expect = "a number of at least 1"},
	LONG(retry_policy, maximum_interval_ms, DURATION),
	LONG(retry_policy, maximum_attempts, "an integer, 0 for unlimited"),
	{
		.name = "non_retryable_error_types",
		.kind = SHAPE_TEXTS,
		.offset = offsetof(struct retry_policy, non_retryable_error_types),
		.count_offset = offsetof(struct retry_policy, n_non_retryable_error_types),
	},
};
static const struct shape shape_retry_policy = {
	"RetryPolicy", sizeof(struct retry_policy), init_retry_policy, retry_policy_fields, COUNT(retry_policy_fields), 0,
};

/* The same over what is there. */
static void init_nothing(void *structure)
{
	(void)structure;
}

static const struct shape shape_retry_policy_over = {
	"RetryPolicy", sizeof(struct retry_policy), init_nothing, retry_policy_fields, COUNT(retry_policy_fields), 0,
};

static const struct shape shape_failure;
static const struct shape_field failure_fields[] = {
	TEXT(failure, type),
	TEXT(failure, message),
	BOOL(failure, non_retryable, .always = true),
	BOOL(failure, benign),
	LONG(failure, next_retry_delay_ms, DURATION),
	PAYLOAD(failure, details, "details", "details_content_type", "details_encoding"),
	ENUM(failure, timeout_type, timeout_type_names, TIMEOUT_NONE),
	LINK(failure, cause, shape_failure),
};
static const struct shape shape_failure = {
	"Failure", sizeof(struct failure), init_failure, failure_fields, COUNT(failure_fields), FAILURE_MAX_DEPTH,
};

static const struct shape_field attempt_failure_fields[] = {
	COUNTER(attempt_failure, attempt, TASK_UNSET),
	LONG(attempt_failure, started_at_ms, INSTANT),
	LONG(attempt_failure, failed_at_ms, INSTANT),
	{.name = "failure", .kind = SHAPE_STRUCT, .offset = offsetof(struct attempt_failure, failure), .shape = &shape_failure},
};
static const struct shape shape_attempt_failure = {
	"AttemptFailure",       sizeof(struct attempt_failure), init_attempt_failure,
	attempt_failure_fields, COUNT(attempt_failure_fields),  0,
};

static const struct shape_field header_fields[] = {RAW(header, name), RAW(header, value)};
static const struct shape shape_header = {"Header", sizeof(struct header), init_header, header_fields, COUNT(header_fields), 0};

static const struct shape_field task_fields[] = {
	TEXT(task, activity_type, .required = true),
	TEXT(task, workflow_id),
	TEXT(task, activity_id),
	TEXT(task, run_id),
	PAYLOAD(task, input, "input", "content_type", "encoding"),
	LONG(task, schedule_to_close_timeout_ms, DURATION),
	LONG(task, schedule_to_start_timeout_ms, DURATION),
	LONG(task, start_to_close_timeout_ms, DURATION),
	LONG(task, heartbeat_timeout_ms, DURATION),
	{.name = "retry_policy",
	 .kind = SHAPE_STRUCT,
	 .offset = offsetof(struct task, retry_policy),
	 .shape = &shape_retry_policy},
	LONG(task, start_delay_ms, DURATION),
	{.name = "priority",
	 .kind = SHAPE_INT,
	 .offset = offsetof(struct task, priority),
	 .absent = 3,
	 .expect = "an integer from 1 to 5"},
	TEXT(task, fairness_key),
	TEXT(task, reply_topic),
	ENUM(task, id_reuse_policy, id_reuse_policy_names, REUSE_RETURN_EXISTING),
	ENUM(task, id_conflict_policy, id_conflict_policy_names, CONFLICT_USE_EXISTING),
	LONG(task, scheduled_at_ms, INSTANT),
};
const struct shape shape_task = {"Task", sizeof(struct task), init_task, task_fields, COUNT(task_fields), 0};

static const struct shape_field options_fields[] = {
	LONG(task, schedule_to_close_timeout_ms, DURATION),
	LONG(task, schedule_to_start_timeout_ms, DURATION),
	LONG(task, start_to_close_timeout_ms, DURATION),
	LONG(task, heartbeat_timeout_ms, DURATION),
	{.name = "retry_policy",
	 .kind = SHAPE_STRUCT,
	 .offset = offsetof(struct task, retry_policy),
	 .shape = &shape_retry_policy_over},
	{.name = "priority", .kind = SHAPE_INT, .offset = offsetof(struct task, priority), .expect = "an integer from 1 to 5"},
};
const struct shape shape_options = {"Options", sizeof(struct task), init_nothing, options_fields, COUNT(options_fields), 0};

static const struct shape_field result_fields[] = {
	TEXT(result, task_key, .required = true),
	TEXT(result, workflow_id),
	TEXT(result, activity_id),
	TEXT(result, run_id),
	TEXT(result, activity_type),
	TEXT(result, queue),
	ENUM(result, status, result_status_names, -1, .required = true),
	COUNTER(result, attempt, TASK_UNSET),
	PAYLOAD(result, result, "result", "content_type", "encoding"),
	LINK(result, failure, shape_failure),
	ENUM(result, retry_state, retry_state_names, RETRY_STATE_NONE),
	PAYLOAD(result, last_heartbeat_details, "last_heartbeat_details", "last_heartbeat_details_content_type",
		"last_heartbeat_details_encoding"),
	LONG(result, scheduled_at_ms, INSTANT),
	LONG(result, started_at_ms, INSTANT),
	LONG(result, closed_at_ms, INSTANT),
	TEXT(result, result_id),
	TEXT(result, worker),
};
const struct shape shape_result = {"Result", sizeof(struct result), init_result, result_fields, COUNT(result_fields), 0};

static const struct shape_field control_fields[] = {
	ENUM(control, command, control_command_names, -1, .required = true),
	TEXT(control, task_key, .required = true),
	TEXT(control, run_id),
	TEXT(control, request_id),
	TEXT(control, reason),
	PAYLOAD(control, result, "result", "content_type", "encoding"),
	LINK(control, failure, shape_failure),
	PAYLOAD(control, details, "details", "details_content_type", "details_encoding"),
	TEXT(control, token),
	{.name = "options", .kind = SHAPE_OBJECT, .offset = offsetof(struct control, options), .expect = "an object"},
};
const struct shape shape_control = {"Control", sizeof(struct control), init_control, control_fields, COUNT(control_fields), 0};

static const struct shape_field journal_fields[] = {
	ENUM(journal_record, kind, journal_kind_names, -1),
	TEXT(journal_record, task_key),
	TEXT(journal_record, run_id),
	COUNTER(journal_record, epoch, TASK_UNSET),
	COUNTER(journal_record, attempt, TASK_UNSET),
	LONG(journal_record, due_at_ms, INSTANT),
	BOOL(journal_record, cancel_requested),
	BOOL(journal_record, pause_requested),
	TEXT(journal_record, record_id),
	TEXT(journal_record, topic),
	RAW(journal_record, task),
	{.name = "headers",
	 .kind = SHAPE_LIST,
	 .offset = offsetof(struct journal_record, headers.items),
	 .count_offset = offsetof(struct journal_record, headers.len),
	 .shape = &shape_header},
	RAW(journal_record, task_record_key),
	LONG(journal_record, scheduled_at_ms, INSTANT),
	COUNTER(journal_record, lost, TASK_UNSET),
	LIST(journal_record, failures, n_failures, shape_attempt_failure),
	PAYLOAD(journal_record, heartbeat_details, "heartbeat_details", "heartbeat_details_content_type",
		"heartbeat_details_encoding"),
	TEXT(journal_record, worker),
	TEXT(journal_record, nonce),
	LONG(journal_record, started_at_ms, INSTANT),
	LONG(journal_record, control_offset, "an integer"),
	LONG(journal_record, close_at_ms, INSTANT),
	LONG(journal_record, heartbeat_timeout_ms, DURATION),
	BOOL(journal_record, terminate_requested),
	TEXT(journal_record, options),
	{.name = "request_ids",
	 .kind = SHAPE_TEXTS,
	 .offset = offsetof(struct journal_record, request_ids),
	 .count_offset = offsetof(struct journal_record, n_request_ids)},
};
const struct shape shape_journal = {"Journal",      sizeof(struct journal_record), init_journal,
				    journal_fields, COUNT(journal_fields),         0};

static const struct shape_field history_fields[] = {LIST(history, failures, n, shape_attempt_failure)};
const struct shape shape_history = {"History", sizeof(struct history), init_history, history_fields, COUNT(history_fields), 0};

int shape_find(const struct shape *shape, struct bytes name)
{
	for (size_t i = 0; i < shape->n; i++)
		if (bytes_is(name, shape->fields[i].name))
			return (int)i;
	return -1;
}

/* An enum without negative values is an unsigned int for one compiler and might be something else for the next. */
_Static_assert(sizeof(enum result_status) == sizeof(int) && sizeof(enum timeout_type) == sizeof(int) &&
		       sizeof(enum control_command) == sizeof(int),
	       "enums are as wide as int");

int shape_enum_get(const void *member)
{
	int value;

	memcpy(&value, member, sizeof(value));
	return value;
}

void shape_enum_set(void *member, int value)
{
	memcpy(member, &value, sizeof(value));
}

static bool all_absent(const void *structure, const struct shape *shape)
{
	for (size_t i = 0; i < shape->n; i++)
		if (!shape_is_absent(structure, &shape->fields[i]))
			return false;
	return true;
}

bool shape_is_absent(const void *structure, const struct shape_field *field)
{
	const void *member = shape_member_of(structure, field);

	switch (field->kind) {
	case SHAPE_TEXT:
	case SHAPE_BYTES:
		return !bytes_present(*(const struct bytes *)member);
	case SHAPE_PAYLOAD:
	case SHAPE_OBJECT:
		return !bytes_present(((const struct payload *)member)->data);
	case SHAPE_LONG:
		return *(const int64_t *)member == field->absent;
	case SHAPE_INT:
		return *(const int *)member == field->absent;
	case SHAPE_DOUBLE:
		return *(const double *)member == 0;
	case SHAPE_BOOL:
		return !*(const bool *)member;
	case SHAPE_ENUM:
		return shape_enum_get(member) == field->absent;
	case SHAPE_STRUCT:
		return all_absent(member, field->shape);
	case SHAPE_LINK:
		return *(const void *const *)member == NULL;
	case SHAPE_TEXTS:
	case SHAPE_LIST:
		return *(const size_t *)((const char *)structure + field->count_offset) == 0;
	}
	return true;
}
