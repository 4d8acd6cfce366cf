/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "task/task.h"

/* Ranges and combinations of a task's fields. Types are the decoder's business. */

#define TOPIC_MAX_BYTES 249
#define CONTENT_TYPE_MAX_BYTES 255
#define NON_RETRYABLE_MAX 100
#define TIMEOUT_TYPE_PREFIX "Timeout:"

static enum mr_status bad(struct mr_error *err, const char *field, const char *what)
{
	return mr_error_set(err, MR_EBAD_RECORD, field, "field %s %s", field, what);
}

/* Most ids are, and one look at each byte is enough for them. */
static bool is_printable_ascii(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < 0x20 || text.data[i] == 0x7f)
			return false;
	return true;
}

enum mr_status task_id_check(struct bytes id, const char *field, struct mr_error *err)
{
	if (id.len < 1 || id.len > TASK_ID_MAX_BYTES)
		return mr_error_set(err, MR_EBAD_RECORD, field, "field %s must have 1 to %d bytes, got %zu", field,
				    TASK_ID_MAX_BYTES, id.len);
	if (is_printable_ascii(id))
		return MR_OK;
	if (!bytes_is_utf8(id))
		return bad(err, field, "must be valid UTF-8");
	if (!bytes_has_no_controls(id))
		return bad(err, field, "must not contain control characters");
	return MR_OK;
}

static enum mr_status optional_id_check(struct bytes id, const char *field, struct mr_error *err)
{
	return bytes_present(id) ? task_id_check(id, field, err) : MR_OK;
}

static enum mr_status ids_check(const struct task *task, struct mr_error *err)
{
	enum mr_status status;

	if (!bytes_present(task->activity_type))
		return mr_error_set(err, MR_EBAD_RECORD, "activity_type", "field activity_type is required");
	if ((status = task_id_check(task->activity_type, "activity_type", err)) ||
	    (status = optional_id_check(task->workflow_id, "workflow_id", err)) ||
	    (status = optional_id_check(task->activity_id, "activity_id", err)) ||
	    (status = optional_id_check(task->run_id, "run_id", err)) ||
	    (status = optional_id_check(task->fairness_key, "fairness_key", err)))
		return status;
	if (bytes_present(task->workflow_id) && !bytes_present(task->activity_id))
		return mr_error_set(err, MR_EBAD_RECORD, "activity_id",
				    "field activity_id is required where workflow_id is given");
	return MR_OK;
}

static bool is_topic(struct bytes topic)
{
	if (topic.len < 1 || topic.len > TOPIC_MAX_BYTES || bytes_is(topic, ".") || bytes_is(topic, ".."))
		return false;
	for (size_t i = 0; i < topic.len; i++) {
		char c = topic.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		      c == '-'))
			return false;
	}
	return true;
}

static enum mr_status range_check(int64_t value, int64_t max, const char *unit, const char *field, struct mr_error *err)
{
	if (value == TASK_UNSET || (value >= 0 && value <= max))
		return MR_OK;
	return mr_error_set(err, MR_EBAD_RECORD, field, "field %s must be from 0 to %lld%s, got %lld", field, (long long)max,
			    unit, (long long)value);
}

static enum mr_status duration_check(int64_t ms, const char *field, struct mr_error *err)
{
	return range_check(ms, TASK_DURATION_MAX_MS, " ms", field, err);
}

static enum mr_status times_check(const struct task *task, struct mr_error *err)
{
	enum mr_status status;

	if ((status = duration_check(task->schedule_to_close_timeout_ms, "schedule_to_close_timeout_ms", err)) ||
	    (status = duration_check(task->schedule_to_start_timeout_ms, "schedule_to_start_timeout_ms", err)) ||
	    (status = duration_check(task->start_to_close_timeout_ms, "start_to_close_timeout_ms", err)) ||
	    (status = duration_check(task->heartbeat_timeout_ms, "heartbeat_timeout_ms", err)) ||
	    (status = duration_check(task->start_delay_ms, "start_delay_ms", err)))
		return status;
	return range_check(task->scheduled_at_ms, TASK_INSTANT_MAX_MS, " ms since 1970", "scheduled_at_ms", err);
}

/* A slip in the name of a timeout would otherwise go unnoticed until the timeout is retried for ever. */
static bool is_known_error_type(struct bytes type)
{
	static const char *const timeouts[] = {"StartToClose", "Heartbeat", "ScheduleToStart", "ScheduleToClose"};
	const size_t prefix = sizeof(TIMEOUT_TYPE_PREFIX) - 1;

	if (type.len < prefix || memcmp(type.data, TIMEOUT_TYPE_PREFIX, prefix) != 0)
		return true;
	for (size_t i = 0; i < sizeof(timeouts) / sizeof(*timeouts); i++)
		if (bytes_is((struct bytes){type.data + prefix, type.len - prefix}, timeouts[i]))
			return true;
	return false;
}

static enum mr_status error_types_check(const struct retry_policy *policy, struct mr_error *err)
{
	const char *field = "retry_policy.non_retryable_error_types";

	if (policy->n_non_retryable_error_types > NON_RETRYABLE_MAX)
		return mr_error_set(err, MR_EBAD_RECORD, field, "field %s must have at most %d entries, got %zu", field,
				    NON_RETRYABLE_MAX, policy->n_non_retryable_error_types);
	for (size_t i = 0; i < policy->n_non_retryable_error_types; i++) {
		struct bytes type = policy->non_retryable_error_types[i];
		enum mr_status status = task_id_check(type, field, err);

		if (status != MR_OK)
			return status;
		if (!is_known_error_type(type))
			return bad(err, field,
				   "knows Timeout:StartToClose, Timeout:Heartbeat, Timeout:ScheduleToStart and "
				   "Timeout:ScheduleToClose");
	}
	return MR_OK;
}

static enum mr_status intervals_check(const struct retry_policy *policy, struct mr_error *err)
{
	double coefficient = policy->backoff_coefficient;
	int64_t initial = policy->initial_interval_ms > 0 ? policy->initial_interval_ms : 1000;

	if (!isfinite(coefficient) || (coefficient != 0 && coefficient < 1))
		return bad(err, "retry_policy.backoff_coefficient", "must be a number of at least 1");
	if (policy->maximum_interval_ms > 0 && policy->maximum_interval_ms < initial)
		return mr_error_set(
			err, MR_EBAD_RECORD, "retry_policy.maximum_interval_ms",
			"field retry_policy.maximum_interval_ms must not be below the initial interval of %lld ms, got %lld",
			(long long)initial, (long long)policy->maximum_interval_ms);
	return MR_OK;
}

static enum mr_status retry_policy_check(const struct retry_policy *policy, struct mr_error *err)
{
	enum mr_status status;

	if ((status = duration_check(policy->initial_interval_ms, "retry_policy.initial_interval_ms", err)) ||
	    (status = duration_check(policy->maximum_interval_ms, "retry_policy.maximum_interval_ms", err)) ||
	    (status = range_check(policy->maximum_attempts, INT32_MAX, "", "retry_policy.maximum_attempts", err)) ||
	    (status = error_types_check(policy, err)))
		return status;
	/* Temporal's rule: who allows one attempt only has no intervals to get wrong. */
	return policy->maximum_attempts == 1 ? MR_OK : intervals_check(policy, err);
}

static enum mr_status media_check(struct bytes text, const char *field, struct mr_error *err)
{
	if (!bytes_present(text) ||
	    (text.len >= 1 && text.len <= CONTENT_TYPE_MAX_BYTES && bytes_is_utf8(text) && bytes_has_no_controls(text)))
		return MR_OK;
	return mr_error_set(err, MR_EBAD_RECORD, field, "field %s must be 1 to %d bytes of UTF-8 without control characters",
			    field, CONTENT_TYPE_MAX_BYTES);
}

enum mr_status task_validate(const struct task *task, struct mr_error *err)
{
	enum mr_status status;

	if ((status = ids_check(task, err)) || (status = times_check(task, err)) ||
	    (status = retry_policy_check(&task->retry_policy, err)) ||
	    (status = media_check(task->input.content_type, "content_type", err)) ||
	    (status = media_check(task->input.encoding, "encoding", err)))
		return status;
	if (task->priority < 1 || task->priority > 5)
		return mr_error_set(err, MR_EBAD_RECORD, "priority", "field priority must be an integer from 1 to 5, got %d",
				    task->priority);
	if (bytes_present(task->reply_topic) && !is_topic(task->reply_topic))
		return bad(err, "reply_topic", "must be the name of a Kafka topic: 1 to 249 of a-z A-Z 0-9 . _ -");
	return MR_OK;
}
