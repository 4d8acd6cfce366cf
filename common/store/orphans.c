/* SPDX-License-Identifier: Apache-2.0 */

/* Parked attempts of workers that are dead. */

#include "store/found.h"
#include "store/store_impl.h"

#define ELEMENTS (1 + FOUND_ELEMENTS)

/* {now_ms, 'k', where to go on, four a task: key, and how it was found} */
static void answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	status = reply_outcome(status, reply);
	size_t n = status == MR_OK && reply->elements >= 3 ? (reply->elements - 3) / ELEMENTS : 0;
	struct found_task *found = arena_alloc(&store->arena, (n + 1) * sizeof(*found));

	for (size_t i = 0; i < n && status == MR_OK; i++) {
		found[i].key = reply_bytes(reply, 3 + ELEMENTS * i);
		if (!found_view(store, reply, 4 + ELEMENTS * i, &found[i].view))
			status = MR_EREDIS;
		found[i].view.shard_ready = true;
	}
	if (status == MR_OK)
		call->done.orphans(call->ctx, MR_OK, found, n, reply_bytes(reply, 2));
	else
		call->done.orphans(call->ctx, status, NULL, 0, BYTES_LIT(""));
}

enum mr_status store_orphans(struct store *store, int shard, struct bytes nonce, struct bytes after, int limit,
			     store_orphans_fn *done, void *ctx)
{
	if (!store_shard_ok(store, shard) || limit < 1 || limit > STORE_BATCH_MAX)
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_orphans, 4, 3);

	call->answer = answered;
	call->done.orphans = done;
	call->ctx = ctx;
	call_key(store, call, shard, "m", BYTES_NONE);
	call_key(store, call, shard, "k", BYTES_NONE);
	call_key(store, call, shard, "w", BYTES_NONE);
	call_key(store, call, shard, "t:", BYTES_NONE);
	call_arg(call, nonce);
	call_arg(call, after);
	call_arg_int(call, limit);
	return store_submit(store, call);
}
