/* SPDX-License-Identifier: Apache-2.0 */

/* Between the workers of a queue. */

#include "store/record.h"
#include "store/store_impl.h"

#define ELEMENTS 3

/* {now_ms, three a worker: worker, slots taken, partitions} */
static void answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	size_t n = status == MR_OK ? (reply->elements - 1) / ELEMENTS : 0;
	struct offer *others = arena_alloc(&store->arena, (n + 1) * sizeof(*others));

	for (size_t i = 0; i < n; i++) {
		others[i] = (struct offer){.worker = reply_bytes(reply, 1 + ELEMENTS * i),
					   .free = reply_int(reply, 2 + ELEMENTS * i, 0),
					   .partitions = reply_bytes(reply, 3 + ELEMENTS * i)};
	}
	call->done.offer(call->ctx, status, status == MR_OK ? others : NULL, n);
}

enum mr_status store_offer(struct store *store, struct bytes queue, const struct offer *ours, int64_t wanted,
			   store_offer_fn *done, void *ctx)
{
	if (queue.len == 0 || ours->worker.len == 0 || ours->free < 0 || wanted < 0 || !record_text_ok(queue) ||
	    !record_text_ok(ours->worker) || !record_text_ok(ours->partitions))
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_offer, 1, 4);

	call->once = true;
	call->answer = answered;
	call->done.offer = done;
	call->ctx = ctx;
	call_key(store, call, 0, "q:", queue);
	call_arg(call, ours->worker);
	call_arg_int(call, ours->free);
	call_arg(call, ours->partitions);
	call_arg_int(call, wanted);
	return store_submit(store, call);
}
