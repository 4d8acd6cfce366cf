/* SPDX-License-Identifier: Apache-2.0 */

/* A task's state, as Redis knows it. */

#include "store/found.h"
#include "store/store_impl.h"

/* ---- view: {now_ms, ready, record, heartbeat, commands} ---- */

static void answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	struct task_view view = {.state = VIEW_NONE};

	if (status == MR_OK && !found_view(store, reply, 2, &view))
		status = MR_EREDIS;
	view.shard_ready = reply_int(reply, 1, 0) != 0;
	call->done.view(call->ctx, status, status == MR_OK ? &view : NULL);
}

enum mr_status store_view(struct store *store, struct bytes key, int shard, store_view_fn *done, void *ctx)
{
	if (!store_shard_ok(store, shard) || key.len == 0)
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_view, 2, 0);

	call->answer = answered;
	call->done.view = done;
	call->ctx = ctx;
	call_key(store, call, shard, "m", BYTES_NONE);
	call_key(store, call, shard, "t:", key);
	return store_submit(store, call);
}
