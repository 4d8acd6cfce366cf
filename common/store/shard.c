/* SPDX-License-Identifier: Apache-2.0 */

/* Shards, the scheduler's side: look, recover, restore, vouch, tip. */

#include <stdlib.h>

#include "base/mem.h"
#include "store/record.h"
#include "store/store_impl.h"

/* ---- status ---- */

static enum shard_state state_of(char letter)
{
	return letter == '1' ? SHARD_READY : letter == '0' ? SHARD_RECOVERING : SHARD_UNKNOWN;
}

/* "counter seen_nonce" */
static void lease_parse(struct bytes worker, struct bytes text, struct lease *ret)
{
	const char *space = text.len ? memchr(text.data, ' ', text.len) : NULL;

	*ret = (struct lease){.worker = worker, .seen = BYTES_LIT("")};
	for (size_t i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9' && ret->counter < INT64_MAX / 10 - 1; i++)
		ret->counter = ret->counter * 10 + (text.data[i] - '0');
	if (space)
		ret->seen = (struct bytes){space + 1, text.len - (size_t)(space + 1 - text.data)};
}

static void leases_parse(struct store *store, const redisReply *list, struct shard_status *status)
{
	if (list->type != REDIS_REPLY_ARRAY || list->elements < 2)
		return;
	status->n_leases = list->elements / 2;
	struct lease *leases = arena_alloc(&store->arena, status->n_leases * sizeof(*leases));

	for (size_t i = 0; i < status->n_leases; i++)
		lease_parse(reply_bytes(list, 2 * i), reply_bytes(list, 2 * i + 1), &leases[i]);
	status->leases = leases;
}

static void status_answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	if (status != MR_OK || reply->elements != 10 || reply->element[9]->type != REDIS_REPLY_ARRAY) {
		call->done.status(call->ctx, MR_EREDIS, NULL);
		return;
	}
	struct shard_status answer = {
		.now_ms = reply_int(reply, 0, 0),
		.state = state_of(reply_letter(reply, 1)),
		.nonce = reply_bytes(reply, 2),
		.journal_offset = reply_int(reply, 3, -1),
		.results_tip = reply_int(reply, 4, -1),
		.control_offset = reply_int(reply, 5, -1),
		.next_due_ms = reply_int(reply, 6, -1),
		.outbox = reply_int(reply, 7, 0),
	};

	leases_parse(store, reply->element[8], &answer);
	for (size_t i = 0; i < STORE_TIMER_SETS; i++)
		answer.timers[i] = reply_int(reply->element[9], i, 0);
	call->done.status(call->ctx, MR_OK, &answer);
}

static struct call *status_call(struct store *store, enum store_script script, int shard, size_t n_args, store_status_fn *done,
				void *ctx)
{
	static const char *const kinds[] = {"m", "p", "w", "b", "h", "T", "o"};
	struct call *call = call_new(store, script, 7, n_args);

	call->answer = status_answered;
	call->done.status = done;
	call->ctx = ctx;
	for (size_t i = 0; i < 7; i++)
		call_key(store, call, shard, kinds[i], BYTES_NONE);
	return call;
}

enum mr_status store_look(struct store *store, int shard, store_status_fn *done, void *ctx)
{
	if (!store_shard_ok(store, shard))
		return MR_EINVAL;
	return store_submit(store, status_call(store, SCRIPT_look, shard, 0, done, ctx));
}

enum mr_status store_recover(struct store *store, int shard, struct bytes nonce, store_status_fn *done, void *ctx)
{
	if (!store_shard_ok(store, shard) || nonce.len == 0 || !record_text_ok(nonce))
		return MR_EINVAL;
	struct call *call = status_call(store, SCRIPT_recover, shard, 1, done, ctx);

	call_arg(call, nonce);
	return store_submit(store, call);
}

/* ---- the steps that need the nonce ---- */

static struct call *outcome_call(struct store *store, enum store_script script, size_t n_keys, size_t n_args, store_done_fn *done,
				 void *ctx)
{
	struct call *call = call_new(store, script, n_keys, n_args);

	call->answer = answer_outcome;
	call->done.done = done;
	call->ctx = ctx;
	return call;
}

/* Any client may write to the results topic: what cannot be a result of ours is left out. */
static bool restore_ok(const struct restore_request *request)
{
	return request->key.len > 0 && record_text_ok(request->key) && record_text_ok(request->run_id) && request->attempt >= 1;
}

static void append_restore(struct store *store, struct call *call, const struct restore_request *request)
{
	struct buf *record = call_scratch(store);
	/* Of no nonce: whoever still holds the attempt is stale. */
	struct claim_token token = {.run_id = request->run_id, .attempt = request->attempt};

	record_append_finished(record, &token, request->status, request->closed_at_ms > 0 ? request->closed_at_ms : 0, false,
			       &request->publication);
	call_arg(call, buf_bytes(record));
	call_arg(call, request->key);
	call_arg_int(call, (int64_t)request->publication.value.len);
}

enum mr_status store_restore(struct store *store, int shard, struct bytes nonce, const struct restore_request *requests, size_t n,
			     store_done_fn *done, void *ctx)
{
	static const char *const kinds[] = {"m", "b", "o", "x"};

	if (!store_shard_ok(store, shard) || n == 0 || n > STORE_BATCH_MAX)
		return MR_EINVAL;
	size_t n_sent = 0;

	for (size_t i = 0; i < n; i++)
		n_sent += restore_ok(&requests[i]);
	struct call *call = outcome_call(store, SCRIPT_restore, 4 + n_sent, 1 + 3 * n_sent, done, ctx);

	for (size_t i = 0; i < 4; i++)
		call_key(store, call, shard, kinds[i], BYTES_NONE);
	for (size_t i = 0; i < n; i++) {
		if (restore_ok(&requests[i]))
			call_key(store, call, shard, "t:", requests[i].key);
	}
	call_arg(call, nonce);
	for (size_t i = 0; i < n; i++) {
		if (restore_ok(&requests[i]))
			append_restore(store, call, &requests[i]);
	}
	return store_submit(store, call);
}

enum mr_status store_vouch(struct store *store, int shard, struct bytes nonce, int64_t journal_offset, int64_t results_tip,
			   int64_t control_offset, store_done_fn *done, void *ctx)
{
	if (!store_shard_ok(store, shard))
		return MR_EINVAL;
	struct call *call = outcome_call(store, SCRIPT_vouch, 2, 4, done, ctx);

	call_key(store, call, shard, "m", BYTES_NONE);
	call_key(store, call, shard, "p", BYTES_NONE);
	call_arg(call, nonce);
	call_arg_int(call, journal_offset);
	call_arg_int(call, results_tip);
	call_arg_int(call, control_offset);
	return store_submit(store, call);
}

enum mr_status store_tip(struct store *store, int shard, struct bytes nonce, int64_t results_tip, store_done_fn *done, void *ctx)
{
	if (!store_shard_ok(store, shard))
		return MR_EINVAL;
	struct call *call = outcome_call(store, SCRIPT_tip, 2, 2, done, ctx);

	call->once = true;
	call_key(store, call, shard, "m", BYTES_NONE);
	call_key(store, call, shard, "p", BYTES_NONE);
	call_arg(call, nonce);
	call_arg_int(call, results_tip);
	return store_submit(store, call);
}
