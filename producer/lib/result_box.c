/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/result_box.h"

#include <assert.h>

#include "base/mem.h"

_Static_assert((int)MR_COMPLETED == (int)RESULT_COMPLETED && (int)MR_TERMINATED == (int)RESULT_TERMINATED, "outcomes");

const char *mr_outcome_name(enum mr_outcome outcome)
{
	return result_status_name((enum result_status)outcome);
}

static const char *text(struct result_box *box, struct bytes b)
{
	return arena_copy(&box->arena, b).data;
}

static struct mr_payload payload(struct result_box *box, const struct payload *from)
{
	struct bytes data = arena_copy(&box->arena, from->data);

	return (struct mr_payload){data.data, data.len, text(box, from->content_type)};
}

/* The chain is at most FAILURE_MAX_DEPTH long. */
static const struct mr_failure *failure(struct result_box *box, const struct failure *from)
{
	const struct mr_failure *first = NULL, **link = &first;

	for (; from; from = from->cause) {
		struct mr_failure *to = arena_alloc(&box->arena, sizeof(*to));

		*to = (struct mr_failure){
			.type = from->type.data ? text(box, from->type) : "",
			.message = from->message.data ? text(box, from->message) : "",
			.non_retryable = from->non_retryable,
			.details = payload(box, &from->details),
			.timeout_type = from->timeout_type == TIMEOUT_NONE ? NULL : timeout_type_name(from->timeout_type),
		};
		*link = to;
		link = &to->cause;
	}
	return first;
}

static void headers(struct result_box *box, struct headers from)
{
	struct mr_header *to = arena_alloc(&box->arena, (from.len + 1) * sizeof(*to));
	size_t n = 0;

	for (size_t i = 0; i < from.len; i++) {
		struct bytes value = arena_copy(&box->arena, from.items[i].value);

		box->not_state |= bytes_is(from.items[i].name, HEADER_NOT_STATE);
		if (!header_is_reserved(from.items[i].name))
			to[n++] = (struct mr_header){text(box, from.items[i].name), value.data, value.len};
	}
	box->pub.headers = to;
	box->pub.n_headers = n;
}

static void publish(struct result_box *box)
{
	const struct result *from = &box->decoded;

	box->pub.task_key = text(box, from->task_key);
	box->pub.workflow_id = text(box, from->workflow_id);
	box->pub.activity_id = text(box, from->activity_id);
	box->pub.run_id = text(box, from->run_id);
	box->pub.activity_type = text(box, from->activity_type);
	box->pub.queue = text(box, from->queue);
	box->pub.worker = text(box, from->worker);
	box->pub.result_id = text(box, from->result_id);
	box->pub.outcome = (enum mr_outcome)from->status;
	box->pub.attempt = from->attempt;
	box->pub.result = payload(box, &from->result);
	box->pub.failure = failure(box, from->failure);
	box->pub.retry_state = from->retry_state == RETRY_STATE_NONE ? NULL : retry_state_name(from->retry_state);
	box->pub.last_heartbeat_details = payload(box, &from->last_heartbeat_details);
	box->pub.scheduled_at_ms = from->scheduled_at_ms == TASK_UNSET ? -1 : from->scheduled_at_ms;
	box->pub.started_at_ms = from->started_at_ms == TASK_UNSET ? -1 : from->started_at_ms;
	box->pub.closed_at_ms = from->closed_at_ms == TASK_UNSET ? -1 : from->closed_at_ms;
}

enum mr_status result_box_new(struct wire *wire, const struct bus_message *message, struct result_box **ret, struct mr_error *err)
{
	struct result_box *box = mem_alloc(sizeof(*box));
	struct bytes record = arena_copy(&box->arena, message->value);
	enum mr_status status = wire_decode_result(wire, record, &box->arena, &box->decoded, err);

	if (status != MR_OK) {
		result_box_free(box);
		return status;
	}
	publish(box);
	headers(box, message->headers);
	box->pub.record = record.data;
	box->pub.record_bytes = record.len;
	*ret = box;
	return MR_OK;
}

void result_box_free(struct result_box *box)
{
	if (!box)
		return;
	arena_deinit(&box->arena);
	free(box->json);
	free(box);
}

void mr_result_free(struct mr_result *result)
{
	result_box_free((struct result_box *)(void *)result);
}

const char *mr_result_json(struct mr_result *result)
{
	struct result_box *box = (struct result_box *)(void *)result;
	struct buf out = {0};

	_Static_assert(offsetof(struct result_box, pub) == 0, "a result is the beginning of its box");
	if (!box->json) {
		wire_result_to_json(&box->decoded, &out);
		buf_cstr(&out);
		box->json = out.data;
	}
	return box->json;
}
