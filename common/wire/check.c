/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/check.h"

#include "wire/wire.h"

#define RETRY_DELAY "failure.next_retry_delay_ms"
#define TEXT_MAX_BYTES 512
/* They travel in a header and lie in Redis. */
#define OPTIONS_MAX_BYTES 16384
#define REQUEST_IDS_MAX 16
#define COUNT_MAX INT64_C(9007199254740991) /* exact in a double */

static enum mr_status text(struct bytes b, const char *field, size_t max, struct mr_error *err)
{
	if (!bytes_present(b) || (b.len >= 1 && b.len <= max && bytes_has_no_controls(b)))
		return MR_OK;
	return mr_error_set(err, MR_EBAD_RECORD, field, "field %s must have 1 to %zu bytes without control characters", field,
			    max);
}

static enum mr_status number(int64_t value, int64_t min, int64_t max, const char *field, struct mr_error *err)
{
	if (value == TASK_UNSET || (value >= min && value <= max))
		return MR_OK;
	return mr_error_set(err, MR_EBAD_RECORD, field, "field %s must be from %lld to %lld, got %lld", field, (long long)min,
			    (long long)max, (long long)value);
}

static enum mr_status instant(int64_t at_ms, const char *field, struct mr_error *err)
{
	return number(at_ms, 0, TASK_INSTANT_MAX_MS, field, err);
}

/* A number that the programs count with: it may not be missing. */
static enum mr_status counter(int64_t value, int64_t min, const char *field, struct mr_error *err)
{
	if (value == TASK_UNSET)
		return mr_error_set(err, MR_EBAD_RECORD, field, "field %s is out of range", field);
	return number(value, min, COUNT_MAX, field, err);
}

/* A text that Avro cannot leave out is empty where there is none. */
static struct bytes none_if_empty(struct bytes b)
{
	return b.len == 0 ? BYTES_NONE : b;
}

enum mr_status check_result(const struct result *result, struct mr_error *err)
{
	enum mr_status status;

	if ((status = text(result->task_key, "task_key", TASK_KEY_MAX_BYTES, err)) ||
	    (status = text(none_if_empty(result->run_id), "run_id", TASK_RUN_MAX_BYTES, err)) ||
	    (status = text(none_if_empty(result->result_id), "result_id", TEXT_MAX_BYTES, err)) ||
	    (status = counter(result->attempt, 1, "attempt", err)) ||
	    (status = instant(result->scheduled_at_ms, "scheduled_at_ms", err)) ||
	    (status = instant(result->started_at_ms, "started_at_ms", err)))
		return status;
	return instant(result->closed_at_ms, "closed_at_ms", err);
}

static bool is_object(struct bytes json)
{
	size_t i = 0;

	while (i < json.len && strchr(" \t\r\n", json.data[i]))
		i++;
	return i < json.len && json.data[i] == '{' && wire_is_json(json);
}

static enum mr_status options_length(struct bytes options, struct mr_error *err)
{
	if (options.len <= OPTIONS_MAX_BYTES)
		return MR_OK;
	return mr_error_set(err, MR_EBAD_RECORD, "options", "field options must have at most %d bytes, got %zu",
			    OPTIONS_MAX_BYTES, options.len);
}

/* Names and ranges are those of a task. */
static enum mr_status check_options(struct bytes options, struct arena *arena, struct mr_error *err)
{
	enum mr_status status;
	struct task task;

	if (!bytes_present(options))
		return MR_OK;
	if (!is_object(options))
		return mr_error_set(err, MR_EBAD_RECORD, "options", "field options must be the text of a JSON object");
	if ((status = options_length(options, err)) != MR_OK)
		return status;
	task_init(&task);
	task.activity_type = BYTES_LIT("any");
	return wire_options_apply(options, arena, &task, err);
}

enum mr_status check_control(const struct control *control, struct arena *arena, struct mr_error *err)
{
	enum mr_status status;

	if ((status = text(control->task_key, "task_key", TASK_KEY_MAX_BYTES, err)) ||
	    (status = text(control->run_id, "run_id", TASK_RUN_MAX_BYTES, err)) ||
	    (status = text(control->request_id, "request_id", TASK_ID_MAX_BYTES, err)))
		return status;
	if ((status = text(control->token, "token", TEXT_MAX_BYTES, err)) ||
	    (status = check_options(control->options.data, arena, err)))
		return status;
	if (control->command == CONTROL_UPDATE && !bytes_present(control->options.data))
		return mr_error_set(err, MR_EBAD_RECORD, "options", "field options is required with command UPDATE");
	for (const struct failure *failure = control->failure; failure; failure = failure->cause)
		if ((status = number(failure->next_retry_delay_ms, 0, TASK_DURATION_MAX_MS, RETRY_DELAY, err)) != MR_OK)
			return status;
	return MR_OK;
}

static enum mr_status journal_numbers(const struct journal_record *record, struct mr_error *err)
{
	enum mr_status status;

	if ((status = counter(record->epoch, 0, "epoch", err)) || (status = counter(record->attempt, 1, "attempt", err)) ||
	    (status = counter(record->lost, 0, "lost", err)) || (status = instant(record->due_at_ms, "due_at_ms", err)) ||
	    (status = instant(record->scheduled_at_ms, "scheduled_at_ms", err)) ||
	    (status = instant(record->started_at_ms, "started_at_ms", err)))
		return status;
	if ((status = instant(record->close_at_ms, "close_at_ms", err)) ||
	    (status = number(record->heartbeat_timeout_ms, 0, TASK_DURATION_MAX_MS, "heartbeat_timeout_ms", err)))
		return status;
	return number(record->control_offset, 0, INT64_MAX, "control_offset", err);
}

static enum mr_status journal_command(const struct journal_record *record, struct mr_error *err)
{
	enum mr_status status;

	if (bytes_present(record->options)) {
		if (!is_object(record->options) || !bytes_has_no_controls(record->options))
			return mr_error_set(err, MR_EBAD_RECORD, "options",
					    "field options must be a JSON object without control characters");
		if ((status = options_length(record->options, err)) != MR_OK)
			return status;
	}
	if (record->n_request_ids > REQUEST_IDS_MAX)
		return mr_error_set(err, MR_EBAD_RECORD, "request_ids", "field request_ids must have at most %d entries, got %zu",
				    REQUEST_IDS_MAX, record->n_request_ids);
	for (size_t i = 0; i < record->n_request_ids; i++)
		if ((status = text(record->request_ids[i], "request_ids", TASK_RUN_MAX_BYTES, err)) != MR_OK)
			return status;
	return MR_OK;
}

enum mr_status check_journal(const struct journal_record *record, struct mr_error *err)
{
	enum mr_status status;

	if ((status = text(record->task_key, "task_key", TASK_KEY_MAX_BYTES, err)) ||
	    (status = text(record->run_id, "run_id", TASK_RUN_MAX_BYTES, err)) ||
	    (status = text(record->record_id, "record_id", TEXT_MAX_BYTES, err)) ||
	    (status = text(record->topic, "topic", TEXT_MAX_BYTES, err)) ||
	    (status = text(record->worker, "worker", TEXT_MAX_BYTES, err)) ||
	    (status = text(record->nonce, "nonce", TEXT_MAX_BYTES, err)) || (status = journal_command(record, err)))
		return status;
	return journal_numbers(record, err);
}

static void unset_zero(int64_t *ms)
{
	if (*ms == 0)
		*ms = TASK_UNSET;
}

void task_unset_zeros(struct task *task)
{
	unset_zero(&task->schedule_to_close_timeout_ms);
	unset_zero(&task->schedule_to_start_timeout_ms);
	unset_zero(&task->start_to_close_timeout_ms);
	unset_zero(&task->heartbeat_timeout_ms);
	unset_zero(&task->start_delay_ms);
}
