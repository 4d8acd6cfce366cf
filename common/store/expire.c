/* SPDX-License-Identifier: Apache-2.0 */

/* The end of retention. */

#include "store/store_impl.h"

#define FIXED_ELEMENTS 4 /* of the answer, before the keys */

static void answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	struct bytes *unseen;
	size_t n = 0;

	status = reply_outcome(status, reply);
	if (status != MR_OK) {
		call->done.expire(call->ctx, status, 0, false, NULL, 0);
		return;
	}
	unseen = arena_alloc(&store->arena, (reply->elements + 1) * sizeof(*unseen));
	for (size_t i = FIXED_ELEMENTS; i < reply->elements; i++)
		unseen[n++] = reply_bytes(reply, i);
	call->done.expire(call->ctx, MR_OK, reply_int(reply, 2, 0), reply_int(reply, 3, 0) != 0, unseen, n);
}

enum mr_status store_expire(struct store *store, int shard, struct bytes nonce, int64_t retention_ms, int limit,
			    store_expire_fn *done, void *ctx)
{
	if (!store_shard_ok(store, shard) || limit < 1 || limit > STORE_BATCH_MAX || retention_ms < 0)
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_expire, 3, 3);

	call->answer = answered;
	call->done.expire = done;
	call->ctx = ctx;
	call_key(store, call, shard, "m", BYTES_NONE);
	call_key(store, call, shard, "x", BYTES_NONE);
	call_key(store, call, shard, "t:", BYTES_NONE);
	call_arg(call, nonce);
	call_arg_int(call, retention_ms);
	call_arg_int(call, limit);
	return store_submit(store, call);
}
