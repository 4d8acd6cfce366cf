/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "lib/ending_impl.h"
#include "lib/job.h"
#include "task/result.h"

/* A task that ends without its worker: its result is stored in one step with the outbox entry, then published like any that was
 * left there. */

/* As much as workers write at most. */
#define RESULT_MAX_BYTES (2 * 1024 * 1024)

static int64_t started_at(const struct end *end, const struct carried *carried)
{
	const struct task_view *view = &end->request.found.view;
	const struct journal_record *record = &carried->record;

	if (view->state == VIEW_STARTED && view->started_at_ms > 0)
		return view->started_at_ms;
	for (size_t i = record->n_failures; i-- > 0;)
		if (record->failures[i].started_at_ms != TASK_UNSET)
			return record->failures[i].started_at_ms;
	return TASK_UNSET;
}

static void fill(const struct end *end, const struct carried *carried, const struct verdict *verdict, int64_t now_ms,
		 struct result *ret)
{
	const struct task_view *view = &end->request.found.view;

	result_of_task(&carried->task, ret);
	ret->task_key = end->request.found.key;
	ret->run_id = view->run_id;
	ret->queue = queue_of_topic(carried->record.topic, end->shard->s->prefix);
	ret->status = verdict->status;
	ret->attempt = view->attempt;
	ret->retry_state = verdict->retry_state;
	ret->scheduled_at_ms = carried->record.scheduled_at_ms;
	ret->started_at_ms = started_at(end, carried);
	ret->closed_at_ms = now_ms;
	ret->worker = view->worker.len > 0 ? view->worker : BYTES_NONE;
	if (verdict->failed) {
		ret->failure = &verdict->failure;
		ret->last_heartbeat_details = end_heartbeat(end, carried);
	} else {
		ret->result = end->request.result;
	}
}

static size_t headers_bytes(struct headers headers)
{
	size_t bytes = 0;

	for (size_t i = 0; i < headers.len; i++)
		bytes += headers.items[i].name.len + headers.items[i].value.len;
	return bytes;
}

/* Into the scratch buffer; what no record can hold is told in a small one. */
static void encode(struct end *end, const struct carried *carried, struct result *result)
{
	struct scheduler *s = end->shard->s;
	size_t headers = headers_bytes(carried->record.headers);

	buf_reset(&s->scratch);
	wire_encode_result(s->links.wire, result, &s->scratch);
	if (s->scratch.len + headers <= RESULT_MAX_BYTES)
		return;
	*result = result_too_large(result, s->scratch.len, RESULT_MAX_BYTES, &end->arena);
	buf_reset(&s->scratch);
	wire_encode_result(s->links.wire, result, &s->scratch);
}

static struct headers copy_headers(struct arena *arena, struct headers headers)
{
	struct header *items = arena_alloc(arena, (headers.len + 1) * sizeof(*items));

	for (size_t i = 0; i < headers.len; i++) {
		items[i].name = arena_copy(arena, headers.items[i].name);
		items[i].value = arena_copy(arena, headers.items[i].value);
	}
	return (struct headers){items, headers.len};
}

/* What is published, kept until it is. */
static void keep(struct end *end, const struct carried *carried)
{
	const struct ending_request *request = &end->request;
	struct store_publication *publication = &end->finished.publication;

	end->finished.key = request->found.key;
	end->finished.finished = true;
	end->finished.dispatch = (struct fired){.key = request->found.key,
						.run_id = request->found.view.run_id,
						.epoch = request->found.view.epoch,
						.attempt = request->found.view.attempt,
						.journal_offset = -1};
	publication->value = arena_copy(&end->arena, buf_bytes(&end->shard->s->scratch));
	publication->headers = copy_headers(&end->arena, carried->record.headers);
	if (bytes_present(carried->task.reply_topic)) {
		publication->reply_topic = arena_copy(&end->arena, carried->task.reply_topic);
		publication->reply_key = arena_copy(&end->arena, result_reply_key(&carried->task, request->found.key));
	}
}

static void on_published(void *ctx, bool published)
{
	end_over(ctx, published ? ENDING_DONE : ENDING_AGAIN);
}

static void on_finished(void *ctx, enum mr_status status, const struct finish_answer *answers, size_t n)
{
	struct end *end = ctx;

	(void)n;
	if (status != MR_OK || !end->shard->s->attached) {
		end_over(end, ENDING_AGAIN);
		return;
	}
	switch (answers[0].verdict) {
	case FINISH_OK:
		end->shard->s->stats.ends_closed++;
		end->finished.dispatch.replies = answers[0].replies;
		/* Where it is under way already, the outbox has it. */
		if (!job_publish(end->shard, &end->finished, (struct job_watcher){on_published, end}))
			end_over(end, ENDING_AGAIN);
		return;
	case FINISH_STALE:
		end_over(end, ENDING_STALE);
		return;
	}
}

static struct claim_token token_of(struct end *end, const struct carried *carried, struct bytes nonce, int64_t now_ms)
{
	const struct task_view *view = &end->request.found.view;

	return (struct claim_token){
		.key = end->request.found.key,
		.shard = end->shard->id,
		.run_id = view->run_id,
		.epoch = view->epoch,
		.attempt = view->attempt,
		.nonce = view->nonce.len > 0 ? view->nonce : nonce,
		.worker = view->worker,
		.record_id = carried->record.record_id,
		.started_at_ms = view->started_at_ms > 0 ? view->started_at_ms : now_ms,
		.lost = view->lost,
		.journalled = view->journal_offset >= 0,
	};
}

/* Of this end, not the claim's: a worker that only seemed dead must not publish another one. */
static struct bytes nonce_new(struct end *end)
{
	const struct scheduler_config *config = &end->shard->s->config;
	unsigned long long high = config->random(config->ctx), low = config->random(config->ctx);

	return arena_printf(&end->arena, "%016llx%016llx", high, low);
}

void end_close(struct end *end, const struct carried *carried, const struct verdict *verdict, int64_t now_ms)
{
	struct scheduler *s = end->shard->s;
	struct finish_request request = {.outbox = true, .closed_at_ms = now_ms};
	struct result result;

	fill(end, carried, verdict, now_ms, &result);
	result.result_id = nonce_new(end);
	encode(end, carried, &result);
	keep(end, carried);
	request.end_nonce = result.result_id;
	request.token = token_of(end, carried, result.result_id, now_ms);
	request.status = result.status;
	request.publication = end->finished.publication;
	log_info("task ended without its worker", LOG_B("task_key", result.task_key), LOG_I("attempt", result.attempt),
		 LOG_S("status", result_status_name(result.status)),
		 LOG_B("failure", result.failure ? result.failure->type : BYTES_LIT("")));
	if (s->links.redis->finish(s->links.store, &request, 1, on_finished, end) != MR_OK)
		end_over(end, ENDING_AGAIN);
}
