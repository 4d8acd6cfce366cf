/* SPDX-License-Identifier: Apache-2.0 */

/* Leases and recovery, the worker's side: lease, leave, bury, reassert. */

#include "base/mem.h"
#include "store/record.h"
#include "store/store_impl.h"

static bool shards_ok(const struct store *store, struct bytes worker, const int *shards, size_t n)
{
	/* The lease is "counter seen_nonce" under the worker's name; the name is a field of records too. */
	if (n == 0 || worker.len == 0 || !record_text_ok(worker))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!store_shard_ok(store, shards[i]))
			return false;
	}
	return true;
}

static void lease_answer_parse(struct bytes text, int shard, struct lease_answer *ret)
{
	char letter = text.len ? text.data[0] : '?';

	*ret = (struct lease_answer){
		.shard = shard, .ready = letter == '1', .buried = letter == 'x', .recovery_nonce = BYTES_LIT("")};
	if (letter == '0')
		ret->recovery_nonce = (struct bytes){text.data + 1, text.len - 1};
}

static void lease_answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	if (status != MR_OK || reply->elements != call->n + 1) {
		call->done.lease(call->ctx, MR_EREDIS, NULL, 0);
		return;
	}
	struct lease_answer *answers = arena_alloc(&store->arena, call->n * sizeof(*answers));

	for (size_t i = 0; i < call->n; i++)
		lease_answer_parse(reply_bytes(reply, i + 1), call->shards[i], &answers[i]);
	call->done.lease(call->ctx, MR_OK, answers, call->n);
}

enum mr_status store_lease(struct store *store, struct bytes worker, const int *shards, const struct bytes *seen, size_t n,
			   store_lease_fn *done, void *ctx)
{
	if (!shards_ok(store, worker, shards, n))
		return MR_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (seen && !record_text_ok(seen[i]))
			return MR_EINVAL;
	}
	struct call *call = call_new(store, SCRIPT_lease, 3 * n, 1 + n);

	call->once = true;
	call->answer = lease_answered;
	call->done.lease = done;
	call->ctx = ctx;
	call->n = n;
	call->shards = mem_alloc(n * sizeof(*shards));
	memcpy(call->shards, shards, n * sizeof(*shards));
	for (size_t i = 0; i < n; i++) {
		call_key(store, call, shards[i], "m", BYTES_NONE);
		call_key(store, call, shards[i], "w", BYTES_NONE);
		call_key(store, call, shards[i], "d", BYTES_NONE);
	}
	call_arg(call, worker);
	for (size_t i = 0; i < n; i++)
		call_arg(call, seen ? seen[i] : BYTES_NONE);
	return store_submit(store, call);
}

enum mr_status store_lease_end(struct store *store, struct bytes worker, const int *shards, size_t n, store_done_fn *done,
			       void *ctx)
{
	if (!shards_ok(store, worker, shards, n))
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_leave, n, 1);

	call->answer = answer_done;
	call->done.done = done;
	call->ctx = ctx;
	for (size_t i = 0; i < n; i++)
		call_key(store, call, shards[i], "w", BYTES_NONE);
	call_arg(call, worker);
	return store_submit(store, call);
}

enum mr_status store_bury(struct store *store, struct bytes worker, const int *shards, size_t n, store_done_fn *done, void *ctx)
{
	if (!shards_ok(store, worker, shards, n))
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_bury, 2 * n, 1);

	call->answer = answer_done;
	call->done.done = done;
	call->ctx = ctx;
	for (size_t i = 0; i < n; i++) {
		call_key(store, call, shards[i], "w", BYTES_NONE);
		call_key(store, call, shards[i], "d", BYTES_NONE);
	}
	call_arg(call, worker);
	return store_submit(store, call);
}

enum mr_status store_reassert(struct store *store, const struct claim_token *tokens, size_t n, store_done_fn *done, void *ctx)
{
	if (n == 0 || n > STORE_BATCH_MAX)
		return MR_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!store_token_ok(store, &tokens[i]) || tokens[i].worker.len == 0)
			return MR_EINVAL;
	}
	struct call *call = call_new(store, SCRIPT_reassert, 2 * n, 2 * n);

	call->answer = answer_done;
	call->done.done = done;
	call->ctx = ctx;
	for (size_t i = 0; i < n; i++) {
		call_key(store, call, tokens[i].shard, "t:", tokens[i].key);
		call_key(store, call, tokens[i].shard, "b", BYTES_NONE);
	}
	for (size_t i = 0; i < n; i++) {
		struct buf *record = call_scratch(store);

		record_append_started(record, &tokens[i]);
		call_arg(call, buf_bytes(record));
		call_arg(call, tokens[i].key);
	}
	return store_submit(store, call);
}
