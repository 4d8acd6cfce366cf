/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/public_command.h"

#include <inttypes.h>
#include <math.h>

#include "lib/public_task.h"
#include "wire/wire.h"

_Static_assert((int)MR_COMMAND_CANCEL == (int)CONTROL_CANCEL && (int)MR_COMMAND_UPDATE == (int)CONTROL_UPDATE &&
		       (int)MR_COMMAND_HEARTBEAT == (int)CONTROL_HEARTBEAT,
	       "commands");

/* ---- What every command has ---- */

static enum mr_status check_text(const char *text, size_t max, const char *field, struct mr_error *err)
{
	struct bytes b = bytes_of(text);

	if (text && (b.len == 0 || b.len > max || !bytes_has_no_controls(b)))
		return mr_error_set(err, MR_EINVAL, field, "must have 1 to %zu bytes of UTF-8 without control characters", max);
	return MR_OK;
}

static enum mr_status check_texts(const struct mr_command *command, struct mr_error *err)
{
	enum mr_status status;

	if (!command->task_key)
		return mr_error_set(err, MR_EINVAL, "task_key", "it is required");
	if ((status = check_text(command->task_key, TASK_KEY_MAX_BYTES, "task_key", err)) ||
	    (status = check_text(command->run_id, TASK_RUN_MAX_BYTES, "run_id", err)) ||
	    (status = check_text(command->request_id, TASK_ID_MAX_BYTES, "request_id", err)) ||
	    (status = check_text(command->token, TASK_RUN_MAX_BYTES, "token", err)))
		return status;
	if (command->reason && !bytes_is_utf8(bytes_of(command->reason)))
		return mr_error_set(err, MR_EINVAL, "reason", "must be UTF-8");
	return MR_OK;
}

/* A member of another command is a slip that would otherwise be lost in silence. */
static enum mr_status check_members(const struct mr_command *command, struct mr_error *err)
{
	enum mr_command_kind kind = command->kind;
	bool by_token = kind == MR_COMMAND_CANCEL || kind == MR_COMMAND_COMPLETE || kind == MR_COMMAND_FAIL ||
			kind == MR_COMMAND_HEARTBEAT;

	if (command->token && !by_token)
		return mr_error_set(err, MR_EINVAL, "token", "goes with CANCEL, COMPLETE, FAIL and HEARTBEAT only");
	if (command->result.data && kind != MR_COMMAND_COMPLETE)
		return mr_error_set(err, MR_EINVAL, "result", "goes with COMPLETE only");
	if (command->details.data && kind != MR_COMMAND_HEARTBEAT && kind != MR_COMMAND_FAIL)
		return mr_error_set(err, MR_EINVAL, "details", "goes with HEARTBEAT and FAIL only");
	if (!command->failure != (kind != MR_COMMAND_FAIL))
		return mr_error_set(err, MR_EINVAL, "failure",
				    kind == MR_COMMAND_FAIL ? "it is required" : "goes with FAIL only");
	if (!command->changes != (kind != MR_COMMAND_UPDATE))
		return mr_error_set(err, MR_EINVAL, "changes",
				    kind == MR_COMMAND_UPDATE ? "it is required" : "goes with UPDATE only");
	return MR_OK;
}

/* ---- FAIL ---- */

static enum mr_status read_failure(const struct mr_failure *from, struct arena *arena, const struct failure **ret,
				   struct mr_error *err)
{
	const struct failure **link = ret;
	int depth = 0;

	for (; from; from = from->cause) {
		struct failure *failure = arena_alloc(arena, sizeof(*failure));
		enum mr_status status;

		if (++depth > FAILURE_MAX_DEPTH)
			return mr_error_set(err, MR_EINVAL, "failure", "with its causes it may be %d deep", FAILURE_MAX_DEPTH);
		failure_init(failure);
		failure->type = bytes_of(from->type ? from->type : "Failed");
		failure->message = bytes_of(from->message ? from->message : "");
		failure->non_retryable = from->non_retryable;
		if (!bytes_is_utf8(failure->type) || failure->type.len == 0 || !bytes_is_utf8(failure->message))
			return mr_error_set(err, MR_EINVAL, "failure", "type and message must be UTF-8, and the type not empty");
		if ((status = public_payload_read(&from->details, "failure.details", &failure->details, err)))
			return status;
		*link = failure;
		link = &failure->cause;
	}
	return MR_OK;
}

/* ---- UPDATE: an object with the fields of a task ---- */

struct changes {
	struct buf *out;
	bool any;
};

static void name(struct changes *changes, const char *field)
{
	buf_printf(changes->out, "%s\"%s\":", changes->any ? "," : "{", field);
	changes->any = true;
}

static enum mr_status number(struct changes *changes, const char *field, int64_t value, int64_t max, struct mr_error *err)
{
	if (value < MR_NONE || value > max)
		return mr_error_set(err, MR_EINVAL, field, "must be from 1 to %" PRId64 ", MR_NONE, or 0 where it stays", max);
	if (value != 0) {
		name(changes, field);
		buf_printf(changes->out, "%" PRId64, value == MR_NONE ? 0 : value);
	}
	return MR_OK;
}

static enum mr_status timeouts(struct changes *out, const struct mr_changes *from, struct mr_error *err)
{
	const int64_t max = TASK_DURATION_MAX_MS;
	enum mr_status status;

	if ((status = number(out, "schedule_to_close_timeout_ms", from->schedule_to_close_timeout_ms, max, err)) ||
	    (status = number(out, "schedule_to_start_timeout_ms", from->schedule_to_start_timeout_ms, max, err)) ||
	    (status = number(out, "start_to_close_timeout_ms", from->start_to_close_timeout_ms, max, err)))
		return status;
	return number(out, "heartbeat_timeout_ms", from->heartbeat_timeout_ms, max, err);
}

static enum mr_status coefficient(struct changes *out, double value, struct mr_error *err)
{
	if (value == 0)
		return MR_OK;
	if (!isfinite(value) || (value != MR_NONE && value < 1))
		return mr_error_set(err, MR_EINVAL, "backoff_coefficient", "must be at least 1, MR_NONE, or 0 where it stays");
	name(out, "backoff_coefficient");
	buf_printf(out->out, "%.17g", value == MR_NONE ? 2.0 : value);
	return MR_OK;
}

static enum mr_status types(struct changes *out, const struct mr_changes *from, struct mr_error *err)
{
	if (!from->non_retryable_error_types && from->n_non_retryable_error_types > 0)
		return mr_error_set(err, MR_EINVAL, "non_retryable_error_types", "%zu of them at no address",
				    from->n_non_retryable_error_types);
	if (!from->non_retryable_error_types)
		return MR_OK;
	name(out, "non_retryable_error_types");
	buf_append_char(out->out, '[');
	for (size_t i = 0; i < from->n_non_retryable_error_types; i++) {
		struct bytes type = bytes_of(from->non_retryable_error_types[i]);

		if (type.len == 0 || !bytes_is_utf8(type))
			return mr_error_set(err, MR_EINVAL, "non_retryable_error_types", "type %zu must be a text in UTF-8", i);
		buf_printf(out->out, "%s", i > 0 ? "," : "");
		wire_append_json_string(out->out, type);
	}
	buf_append_char(out->out, ']');
	return MR_OK;
}

/* Absent: none of them changes. */
static enum mr_status retry_policy(const struct mr_changes *from, struct buf *out, struct mr_error *err)
{
	struct changes policy = {.out = out};
	enum mr_status status;

	if ((status = number(&policy, "initial_interval_ms", from->initial_interval_ms, TASK_DURATION_MAX_MS, err)) ||
	    (status = coefficient(&policy, from->backoff_coefficient, err)) ||
	    (status = number(&policy, "maximum_interval_ms", from->maximum_interval_ms, TASK_DURATION_MAX_MS, err)) ||
	    (status = number(&policy, "maximum_attempts", from->maximum_attempts, INT32_MAX, err)) ||
	    (status = types(&policy, from, err)))
		return status;
	if (policy.any)
		buf_append_char(out, '}');
	return MR_OK;
}

static enum mr_status write_changes(const struct mr_changes *from, struct buf *out, struct mr_error *err)
{
	struct changes changes = {.out = out};
	struct buf policy = {0};
	enum mr_status status;

	if (from->priority < 0 || from->priority > 5)
		return mr_error_set(err, MR_EINVAL, "priority", "must be from 1 to 5, or 0 where it stays");
	if ((status = timeouts(&changes, from, err)) || (status = number(&changes, "priority", from->priority, 5, err)))
		return status;
	status = retry_policy(from, &policy, err);
	if (status == MR_OK && policy.len > 0) {
		name(&changes, "retry_policy");
		buf_append_bytes(out, buf_bytes(&policy));
	}
	buf_deinit(&policy);
	if (status == MR_OK && !changes.any)
		return mr_error_set(err, MR_EINVAL, "changes", "nothing changes");
	buf_append_char(out, '}');
	return status;
}

static enum mr_status read_changes(const struct mr_changes *from, struct arena *arena, struct payload *ret, struct mr_error *err)
{
	struct buf text = {0};
	enum mr_status status = write_changes(from, &text, err);

	if (status == MR_OK)
		ret->data = arena_copy(arena, buf_bytes(&text));
	buf_deinit(&text);
	return status;
}

enum mr_status public_command_read(const struct mr_command *command, struct arena *arena, struct control *ret,
				   struct mr_error *err)
{
	enum mr_status status;

	if ((unsigned)command->kind > MR_COMMAND_HEARTBEAT)
		return mr_error_set(err, MR_EINVAL, "kind", "one of enum mr_command_kind is accepted");
	if ((unsigned)command->format > MR_FORMAT_JSON)
		return mr_error_set(err, MR_EINVAL, "format", "MR_FORMAT_AVRO and MR_FORMAT_JSON are accepted");
	if ((status = check_texts(command, err)) || (status = check_members(command, err)))
		return status;
	control_init(ret);
	ret->format = (enum task_format)command->format;
	ret->command = (enum control_command)command->kind;
	ret->task_key = bytes_of(command->task_key);
	ret->run_id = bytes_of(command->run_id);
	ret->request_id = bytes_of(command->request_id);
	ret->reason = bytes_of(command->reason);
	ret->token = bytes_of(command->token);
	if ((status = public_payload_read(&command->result, "result", &ret->result, err)) ||
	    (status = public_payload_read(&command->details, "details", &ret->details, err)) ||
	    (status = read_failure(command->failure, arena, &ret->failure, err)))
		return status;
	return command->changes ? read_changes(command->changes, arena, &ret->options, err) : MR_OK;
}
