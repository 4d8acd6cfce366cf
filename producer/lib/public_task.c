/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/public_task.h"

#include "lib/client_impl.h"

/* The same numbers on both sides. */
_Static_assert((int)MR_FORMAT_AVRO == (int)TASK_AVRO && (int)MR_FORMAT_JSON == (int)TASK_JSON, "formats");
_Static_assert((int)MR_REUSE_REJECT_DUPLICATE == (int)REUSE_REJECT_DUPLICATE, "id reuse policies");
_Static_assert((int)MR_CONFLICT_FAIL == (int)CONFLICT_FAIL, "id conflict policies");

static int64_t or_unset(int64_t value)
{
	return value == 0 ? TASK_UNSET : value;
}

static struct retry_policy read_policy(const struct mr_task *task, struct arena *arena)
{
	struct bytes *types = NULL;

	if (task->n_non_retryable_error_types > 0)
		types = arena_alloc(arena, task->n_non_retryable_error_types * sizeof(*types));
	for (size_t i = 0; i < task->n_non_retryable_error_types; i++)
		types[i] = bytes_of(task->non_retryable_error_types[i]);
	return (struct retry_policy){
		.initial_interval_ms = or_unset(task->initial_interval_ms),
		.backoff_coefficient = task->backoff_coefficient,
		.maximum_interval_ms = or_unset(task->maximum_interval_ms),
		.maximum_attempts = or_unset(task->maximum_attempts),
		.non_retryable_error_types = types,
		.n_non_retryable_error_types = task->n_non_retryable_error_types,
	};
}

static enum mr_status check_choices(const struct mr_task *task, struct mr_error *err)
{
	if ((unsigned)task->format > MR_FORMAT_JSON)
		return mr_error_set(err, MR_EINVAL, "format", "MR_FORMAT_AVRO and MR_FORMAT_JSON are accepted");
	if ((unsigned)task->id_reuse > MR_REUSE_REJECT_DUPLICATE)
		return mr_error_set(err, MR_EINVAL, "id_reuse", "one of enum mr_id_reuse is accepted");
	if ((unsigned)task->id_conflict > MR_CONFLICT_FAIL)
		return mr_error_set(err, MR_EINVAL, "id_conflict", "one of enum mr_id_conflict is accepted");
	return MR_OK;
}

static enum mr_status check_bounds(const struct mr_task *task, struct mr_error *err)
{
	if (task->start_to_close_timeout_ms == 0 && task->schedule_to_close_timeout_ms == 0)
		return mr_error_set(err, MR_EINVAL, "start_to_close_timeout_ms",
				    "it or schedule_to_close_timeout_ms is required: an activity without a bound can hang for "
				    "ever");
	return MR_OK;
}

enum mr_status public_payload_read(const struct mr_payload *from, const char *field, struct payload *ret, struct mr_error *err)
{
	if (!from->data && from->bytes > 0)
		return mr_error_set(err, MR_EINVAL, field, "%zu bytes at no address", from->bytes);
	*ret = (struct payload){{from->data, from->bytes}, bytes_of(from->content_type), BYTES_NONE};
	if (from->data && bytes_is(ret->content_type, PAYLOAD_JSON) && !wire_is_json(ret->data))
		return mr_error_set(err, MR_EINVAL, field, "it is declared application/json but is not one JSON value");
	return MR_OK;
}

static enum mr_status read_headers(const struct mr_task *task, struct arena *arena, struct headers *ret, struct mr_error *err)
{
	struct header *items = NULL;

	if (task->n_headers > 0)
		items = arena_alloc(arena, task->n_headers * sizeof(*items));
	for (size_t i = 0; i < task->n_headers; i++) {
		const struct mr_header *header = &task->headers[i];
		struct bytes name = bytes_of(header->name);

		if (name.len == 0 || !bytes_is_utf8(name))
			return mr_error_set(err, MR_EINVAL, "headers", "header %zu must have a name in UTF-8", i);
		if (header_is_reserved(name))
			return mr_error_set(err, MR_EINVAL, "headers",
					    "header %s: names that begin with " HEADER_PREFIX " are reserved", header->name);
		items[i] = (struct header){name, {header->value, header->bytes}};
	}
	*ret = (struct headers){items, task->n_headers};
	return MR_OK;
}

enum mr_status public_task_read(const struct mr_task *task, struct arena *arena, struct task *ret, struct headers *ret_headers,
				struct mr_error *err)
{
	enum mr_status status;

	if ((status = check_choices(task, err)) || (status = check_bounds(task, err)))
		return status;
	task_init(ret);
	ret->format = (enum task_format)task->format;
	ret->activity_type = bytes_of(task->activity_type);
	ret->workflow_id = bytes_of(task->workflow_id);
	ret->activity_id = bytes_of(task->activity_id);
	ret->schedule_to_close_timeout_ms = or_unset(task->schedule_to_close_timeout_ms);
	ret->schedule_to_start_timeout_ms = or_unset(task->schedule_to_start_timeout_ms);
	ret->start_to_close_timeout_ms = or_unset(task->start_to_close_timeout_ms);
	ret->heartbeat_timeout_ms = or_unset(task->heartbeat_timeout_ms);
	ret->retry_policy = read_policy(task, arena);
	ret->start_delay_ms = or_unset(task->start_delay_ms);
	ret->priority = task->priority == 0 ? 3 : task->priority;
	ret->fairness_key = bytes_of(task->fairness_key);
	ret->reply_topic = bytes_of(task->reply_topic);
	ret->id_reuse_policy = (enum id_reuse_policy)task->id_reuse;
	ret->id_conflict_policy = (enum id_conflict_policy)task->id_conflict;
	if ((status = public_payload_read(&task->input, "input", &ret->input, err)) ||
	    (status = read_headers(task, arena, ret_headers, err)))
		return status;
	/* The place is a field of the caller's here, not of a record. */
	return task_validate(ret, err) == MR_OK ? MR_OK : err ? (err->code = MR_EINVAL) : MR_EINVAL;
}
