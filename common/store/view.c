/* SPDX-License-Identifier: Apache-2.0 */

/* A task's state, for people. */

#include "store/record.h"
#include "store/store_impl.h"

static enum view_state state_of(char letter)
{
	switch (letter) {
	case 'R':
		return VIEW_STARTED;
	case 'S':
		return VIEW_SCHEDULED;
	case 'B':
		return VIEW_BACKING_OFF;
	case 'W':
		return VIEW_WAITING;
	case 'F':
		return VIEW_FINISHED;
	default:
		return VIEW_NONE;
	}
}

static struct task_view view_of(const struct record *record)
{
	return (struct task_view){
		.state = state_of(record->state),
		.run_id = record->run_id,
		.epoch = record->epoch,
		.attempt = record->attempt,
		.worker = record->worker,
		.started_at_ms = record->started_at_ms,
		.due_ms = record->due_ms,
		.journal_offset = record->journal_offset,
		.status = record->status,
		.closed_at_ms = record->closed_at_ms,
		.cancel_requested = record->cancel_requested,
		.pause_requested = record->pause_requested,
	};
}

static void answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	struct bytes text = reply_bytes(reply, 2);
	struct record record = {0};
	struct task_view view = {.state = VIEW_NONE};

	if (status == MR_OK && text.len > 0) {
		if (record_parse(text, &record))
			view = view_of(&record);
		else
			status = MR_EREDIS;
		if (view.state == VIEW_FINISHED && !publication_parse(record.publication, &store->arena, &view.publication))
			status = MR_EREDIS;
	}
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
