/* SPDX-License-Identifier: Apache-2.0 */

/* 5 outcome: finish, release, published. */

#include "base/clock.h"
#include "base/mem.h"
#include "store/record.h"
#include "store/store_impl.h"

bool store_token_ok(const struct store *store, const struct claim_token *token)
{
	return store_shard_ok(store, token->shard) && token->key.len > 0 && token->nonce.len > 0 && token->attempt >= 1 &&
	       token->epoch >= 0 && record_text_ok(token->key) && record_text_ok(token->run_id) && record_text_ok(token->nonce) &&
	       record_text_ok(token->worker) && record_text_ok(token->record_id);
}

/* ---- finish ---- */

static void finish_answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	struct bytes letters = reply_bytes(reply, 1);
	size_t next_replies = 2;

	if (status != MR_OK || letters.len != call->n) {
		call->done.finish(call->ctx, MR_EREDIS, NULL, 0);
		return;
	}
	struct finish_answer *answers = arena_alloc(&store->arena, call->n * sizeof(*answers));

	for (size_t i = 0; i < call->n; i++) {
		struct finish_answer *answer = &answers[call->order[i]];

		answer->verdict = letters.data[i] == 's' ? FINISH_STALE : FINISH_OK;
		answer->commanded = letters.data[i] == 'c' || letters.data[i] == 'C';
		answer->replies = letters.data[i] == 'K' || letters.data[i] == 'C' ? reply_bytes(reply, next_replies++)
										   : BYTES_LIT("");
	}
	call->done.finish(call->ctx, MR_OK, answers, call->n);
}

static struct bytes outbox_marks(struct store *store, const struct finish_request *requests, size_t n, const uint16_t *order)
{
	char *marks = arena_alloc(&store->arena, n);
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		marks[i] = requests[order[i]].outbox ? '1' : '0';
		any = any || requests[order[i]].outbox;
	}
	return (struct bytes){marks, any ? n : 0};
}

static void append_finish(struct store *store, struct call *call, const struct finish_request *request, int64_t now_ms)
{
	struct buf *record = call_scratch(store);
	struct claim_token end = request->token;

	record_append_started(record, &request->token);
	call_arg(call, buf_bytes(record));
	buf_reset(record);
	if (request->end_nonce.len > 0)
		end.nonce = request->end_nonce;
	record_append_finished(record, &end, request->status, request->closed_at_ms ? request->closed_at_ms : now_ms,
			       request->outbox, &request->publication);
	call_arg(call, buf_bytes(record));
}

enum mr_status store_finish(struct store *store, const struct finish_request *requests, size_t n, store_finish_fn *done,
			    void *ctx)
{
	int shard_of[STORE_BATCH_MAX], shards[STORE_BATCH_MAX];
	uint16_t *order;

	if (n == 0 || n > STORE_BATCH_MAX)
		return MR_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!store_token_ok(store, &requests[i].token) || !record_text_ok(requests[i].end_nonce))
			return MR_EINVAL;
		shard_of[i] = requests[i].token.shard;
	}
	struct buf *counts = call_scratch(store);
	size_t n_shards = group_by_shard(store, shard_of, n, &order, counts, shards);
	struct bytes counts_text = arena_copy(&store->arena, buf_bytes(counts));
	struct call *call = call_new(store, SCRIPT_finish, n + 3 * n_shards, 2 + 2 * n);

	call->order = order;
	call->n = n;
	call->answer = finish_answered;
	call->done.finish = done;
	call->ctx = ctx;
	for (size_t i = 0; i < n; i++)
		call_key(store, call, requests[order[i]].token.shard, "t:", requests[order[i]].token.key);
	for (size_t s = 0; s < n_shards; s++) {
		call_key(store, call, shards[s], "x", BYTES_NONE);
		call_key(store, call, shards[s], "o", BYTES_NONE);
		call_key(store, call, shards[s], "t:", BYTES_NONE);
	}
	call_arg(call, counts_text);
	call_arg(call, outbox_marks(store, requests, n, order));
	int64_t now_ms = store_time_ms(store, clock_mono_us());

	for (size_t i = 0; i < n; i++)
		append_finish(store, call, &requests[order[i]], now_ms);
	return store_submit(store, call);
}

/* ---- release ---- */

static void append_token(struct store *store, struct call *call, struct bytes run_id, int64_t epoch, int64_t attempt,
			 struct bytes last)
{
	struct buf *text = call_scratch(store);

	buf_append_bytes(text, run_id);
	buf_append_char(text, '\t');
	record_append_number(text, epoch);
	record_append_int(text, attempt);
	record_append_field(text, last);
	call_arg(call, buf_bytes(text));
}

enum mr_status store_release(struct store *store, const struct claim_token *tokens, size_t n, store_done_fn *done, void *ctx)
{
	if (n == 0 || n > STORE_BATCH_MAX)
		return MR_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!store_token_ok(store, &tokens[i]))
			return MR_EINVAL;
	}
	struct call *call = call_new(store, SCRIPT_release, n, n);

	call->answer = answer_done;
	call->done.done = done;
	call->ctx = ctx;
	for (size_t i = 0; i < n; i++)
		call_key(store, call, tokens[i].shard, "t:", tokens[i].key);
	for (size_t i = 0; i < n; i++)
		append_token(store, call, tokens[i].run_id, tokens[i].epoch, tokens[i].attempt, tokens[i].nonce);
	return store_submit(store, call);
}

/* ---- published ---- */

static bool published_ok(const struct store *store, const struct published_request *request)
{
	return store_shard_ok(store, request->shard) && request->key.len > 0 && record_text_ok(request->key) &&
	       record_text_ok(request->run_id);
}

static void append_published(struct store *store, struct call *call, const struct published_request *request)
{
	struct buf *text = call_scratch(store);

	buf_append_bytes(text, request->run_id);
	buf_append_char(text, '\t');
	record_append_number(text, request->epoch);
	record_append_int(text, request->attempt);
	record_append_int(text, request->finished);
	record_append_field(text, request->key);
	call_arg(call, buf_bytes(text));
}

enum mr_status store_published(struct store *store, const struct published_request *requests, size_t n, store_done_fn *done,
			       void *ctx)
{
	if (n == 0 || n > STORE_BATCH_MAX)
		return MR_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!published_ok(store, &requests[i]))
			return MR_EINVAL;
	}
	struct call *call = call_new(store, SCRIPT_published, 2 * n, n);

	call->answer = answer_done;
	call->done.done = done;
	call->ctx = ctx;
	for (size_t i = 0; i < n; i++) {
		call_key(store, call, requests[i].shard, "t:", requests[i].key);
		call_key(store, call, requests[i].shard, "o", BYTES_NONE);
	}
	for (size_t i = 0; i < n; i++)
		append_published(store, call, &requests[i]);
	return store_submit(store, call);
}
