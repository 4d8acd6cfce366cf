/* SPDX-License-Identifier: Apache-2.0 */

/* Due timers and the outbox: fire, ahead, sweep. */

#include "store/found.h"
#include "store/store_impl.h"

static struct bytes or_none(struct bytes text)
{
	return text.len ? text : BYTES_NONE;
}

static struct fired fired_of(struct bytes key, const struct record *record, int64_t due_ms, struct bytes options)
{
	return (struct fired){
		.key = key,
		.run_id = record->run_id,
		.epoch = record->epoch,
		.attempt = record->attempt,
		.due_ms = due_ms,
		.journal_offset = record->journal_offset,
		.replies = record->replies,
		.options = or_none(options),
	};
}

static bool limit_ok(const struct store *store, int shard, int limit)
{
	return store_shard_ok(store, shard) && limit >= 1 && limit <= STORE_BATCH_MAX;
}

/* ---- fire: {now_ms, 'k', lowest score left, four a task: key, record S, due_ms, options} ---- */

#define FIRE_ELEMENTS 4

static void fire_answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	status = reply_outcome(status, reply);
	size_t n = status == MR_OK && reply->elements >= 3 ? (reply->elements - 3) / FIRE_ELEMENTS : 0;
	struct fired *fired = arena_alloc(&store->arena, (n + 1) * sizeof(*fired));

	for (size_t i = 0; i < n && status == MR_OK; i++) {
		size_t at = 3 + FIRE_ELEMENTS * i;
		struct record record;

		if (record_parse(reply_bytes(reply, at + 1), &record))
			fired[i] = fired_of(reply_bytes(reply, at), &record, reply_int(reply, at + 2, -1),
					    reply_bytes(reply, at + 3));
		else
			status = MR_EREDIS;
	}
	if (status == MR_OK)
		call->done.fire(call->ctx, MR_OK, fired, n, reply_int(reply, 2, -1), reply_int(reply, 0, 0));
	else
		call->done.fire(call->ctx, status, NULL, 0, -1, 0);
}

enum mr_status store_fire(struct store *store, int shard, struct bytes nonce, int limit, store_fire_fn *done, void *ctx)
{
	if (!limit_ok(store, shard, limit))
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_fire, 4, 2);

	call->answer = fire_answered;
	call->done.fire = done;
	call->ctx = ctx;
	call_key(store, call, shard, "m", BYTES_NONE);
	call_key(store, call, shard, "b", BYTES_NONE);
	call_key(store, call, shard, "o", BYTES_NONE);
	call_key(store, call, shard, "t:", BYTES_NONE);
	call_arg(call, nonce);
	call_arg_int(call, limit);
	return store_submit(store, call);
}

/* ---- ahead: {now_ms, 'k', where to go on (two numbers), two a task: journal offset, due_ms} ---- */

#define AHEAD_ELEMENTS 2

static void ahead_answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	status = reply_outcome(status, reply);
	size_t n = status == MR_OK && reply->elements >= 4 ? (reply->elements - 4) / AHEAD_ELEMENTS : 0;
	struct ahead *ahead = arena_alloc(&store->arena, (n + 1) * sizeof(*ahead));
	struct ahead_place next = {-1, -1};

	if (status == MR_OK)
		next = (struct ahead_place){reply_int(reply, 2, -1), reply_int(reply, 3, -1)};
	if (status == MR_OK && (next.due_ms < 0 || next.skip < 0))
		status = MR_EREDIS;
	for (size_t i = 0; i < n && status == MR_OK; i++) {
		size_t at = 4 + AHEAD_ELEMENTS * i;

		ahead[i] = (struct ahead){.journal_offset = reply_int(reply, at, -1), .due_ms = reply_int(reply, at + 1, -1)};
		if (ahead[i].journal_offset < 0 || ahead[i].due_ms < 0)
			status = MR_EREDIS;
	}
	call->done.ahead(call->ctx, status, status == MR_OK ? ahead : NULL, status == MR_OK ? n : 0, next);
}

enum mr_status store_ahead(struct store *store, int shard, struct bytes nonce, struct ahead_place from, int64_t until_ms,
			   int limit, store_ahead_fn *done, void *ctx)
{
	if (!limit_ok(store, shard, limit) || from.due_ms < 0 || from.skip < 0 || until_ms < from.due_ms)
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_ahead, 3, 5);

	call->answer = ahead_answered;
	call->done.ahead = done;
	call->ctx = ctx;
	call_key(store, call, shard, "m", BYTES_NONE);
	call_key(store, call, shard, "b", BYTES_NONE);
	call_key(store, call, shard, "t:", BYTES_NONE);
	call_arg(call, nonce);
	call_arg_int(call, from.due_ms);
	call_arg_int(call, from.skip);
	call_arg_int(call, until_ms);
	call_arg_int(call, limit);
	return store_submit(store, call);
}

/* ---- sweep: {now_ms, 'k', six a task: key, is it to be ended, options, and how it was found} ---- */

#define SWEEP_ELEMENTS (3 + FOUND_ELEMENTS)

static bool swept_end(struct store *store, const redisReply *reply, size_t at, struct swept *ret)
{
	struct found_task *found = arena_alloc(&store->arena, sizeof(*found));

	found->key = ret->key;
	if (!found_view(store, reply, at, &found->view))
		return false;
	found->view.shard_ready = true;
	ret->end = found;
	return true;
}

static bool swept_parse(struct store *store, const redisReply *reply, size_t at, struct swept *ret)
{
	struct bytes text = reply_bytes(reply, at + 3);
	struct record record;

	*ret = (struct swept){.key = reply_bytes(reply, at)};
	if (reply_letter(reply, at + 1) == '1')
		return swept_end(store, reply, at + 3, ret);
	if (!record_parse(text, &record))
		return false;
	ret->finished = record.state == 'F';
	ret->dispatch = fired_of(ret->key, &record, -1, reply_bytes(reply, at + 2));
	return !ret->finished || publication_parse(record.publication, &store->arena, &ret->publication);
}

static void sweep_answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	status = reply_outcome(status, reply);
	size_t n = status == MR_OK ? (reply->elements - 2) / SWEEP_ELEMENTS : 0;
	struct swept *swept = arena_alloc(&store->arena, (n + 1) * sizeof(*swept));

	for (size_t i = 0; i < n && status == MR_OK; i++) {
		if (!swept_parse(store, reply, 2 + SWEEP_ELEMENTS * i, &swept[i]))
			status = MR_EREDIS;
	}
	call->done.sweep(call->ctx, status, status == MR_OK ? swept : NULL, status == MR_OK ? n : 0);
}

enum mr_status store_sweep(struct store *store, int shard, struct bytes nonce, int64_t older_ms, int limit, store_sweep_fn *done,
			   void *ctx)
{
	if (!limit_ok(store, shard, limit))
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_sweep, 3, 3);

	call->answer = sweep_answered;
	call->done.sweep = done;
	call->ctx = ctx;
	call_key(store, call, shard, "m", BYTES_NONE);
	call_key(store, call, shard, "o", BYTES_NONE);
	call_key(store, call, shard, "t:", BYTES_NONE);
	call_arg(call, nonce);
	call_arg_int(call, older_ms);
	call_arg_int(call, limit);
	return store_submit(store, call);
}
