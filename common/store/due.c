/* SPDX-License-Identifier: Apache-2.0 */

/* Timers of heartbeats and timeouts: due, watch, unwatch. */

#include "store/found.h"
#include "store/store_impl.h"

#define MEMBER_FIELDS 6
#define ELEMENTS (3 + FOUND_ELEMENTS)

/* ---- due: {now_ms, 'k', lowest score left, six a timer: due_ms, entry of the timeout set, key, and how it was found} ---- */

/* An entry of the timeout set: kind, task key, run, epoch, attempt, place. */
static bool member_parse(struct bytes text, struct due_timer *timer)
{
	struct bytes fields[MEMBER_FIELDS];

	if (record_split(text, fields, MEMBER_FIELDS) != MEMBER_FIELDS || fields[0].len != 1)
		return false;
	timer->kind = fields[0].data[0] == 's' ? TIMER_SCHEDULE_TO_START : TIMER_CLOSE;
	timer->run_id = fields[2];
	timer->place = fields[5];
	return record_number(fields[3], &timer->epoch) && record_number(fields[4], &timer->attempt);
}

static bool timer_parse(struct store *store, const redisReply *reply, size_t at, struct due_timer *ret)
{
	struct bytes member = reply_bytes(reply, at + 1);
	struct due_timer timer = {.kind = TIMER_HEARTBEAT,
				  .due_ms = reply_int(reply, at, -1),
				  .place = BYTES_LIT(""),
				  .found.key = reply_bytes(reply, at + 2)};

	if (!found_view(store, reply, at + 3, &timer.found.view))
		return false;
	timer.found.view.shard_ready = true;
	timer.run_id = timer.found.view.run_id;
	timer.epoch = timer.found.view.epoch;
	timer.attempt = timer.found.view.attempt;
	if (member.len > 0 && !member_parse(member, &timer))
		return false;
	*ret = timer;
	return true;
}

static void due_answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	status = reply_outcome(status, reply);
	size_t n = status == MR_OK && reply->elements >= 3 ? (reply->elements - 3) / ELEMENTS : 0;
	struct due_timer *due = arena_alloc(&store->arena, (n + 1) * sizeof(*due));

	for (size_t i = 0; i < n && status == MR_OK; i++) {
		if (!timer_parse(store, reply, 3 + ELEMENTS * i, &due[i]))
			status = MR_EREDIS;
	}
	if (status == MR_OK)
		call->done.due(call->ctx, MR_OK, due, n, reply_int(reply, 2, -1));
	else
		call->done.due(call->ctx, status, NULL, 0, -1);
}

enum mr_status store_due(struct store *store, int shard, struct bytes nonce, int limit, store_due_fn *done, void *ctx)
{
	static const char *const kinds[] = {"m", "h", "T", "w", "t:"};

	if (!store_shard_ok(store, shard) || limit < 1 || limit > STORE_BATCH_MAX)
		return MR_EINVAL;
	struct call *call = call_new(store, SCRIPT_due, 5, 2);

	call->answer = due_answered;
	call->done.due = done;
	call->ctx = ctx;
	for (size_t i = 0; i < 5; i++)
		call_key(store, call, shard, kinds[i], BYTES_NONE);
	call_arg(call, nonce);
	call_arg_int(call, limit);
	return store_submit(store, call);
}

/* ---- watch, unwatch ---- */

static bool watch_ok(const struct watch_request *request)
{
	return (request->kind == TIMER_SCHEDULE_TO_START || request->kind == TIMER_CLOSE) && request->key.len > 0 &&
	       request->epoch >= 0 && request->attempt >= 1 && request->due_ms >= 0 && record_text_ok(request->key) &&
	       record_text_ok(request->run_id) && record_text_ok(request->place);
}

static bool watches_ok(const struct store *store, int shard, const struct watch_request *requests, size_t n)
{
	if (!store_shard_ok(store, shard) || n == 0 || n > STORE_BATCH_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!watch_ok(&requests[i]))
			return false;
	}
	return true;
}

static struct call *watch_call(struct store *store, enum store_script script, int shard, struct bytes nonce, size_t n_args,
			       store_done_fn *done, void *ctx)
{
	struct call *call = call_new(store, script, 2, 1 + n_args);

	call->answer = answer_outcome;
	call->done.done = done;
	call->ctx = ctx;
	call_key(store, call, shard, "m", BYTES_NONE);
	call_key(store, call, shard, "T", BYTES_NONE);
	call_arg(call, nonce);
	return call;
}

static void append_member(struct store *store, struct call *call, const struct watch_request *request)
{
	struct buf *text = call_scratch(store);

	buf_append_char(text, request->kind == TIMER_SCHEDULE_TO_START ? 's' : 'c');
	record_append_field(text, request->key);
	record_append_field(text, request->run_id);
	record_append_int(text, request->epoch);
	record_append_int(text, request->attempt);
	record_append_field(text, request->place);
	call_arg(call, buf_bytes(text));
}

enum mr_status store_watch(struct store *store, int shard, struct bytes nonce, const struct watch_request *requests, size_t n,
			   store_done_fn *done, void *ctx)
{
	if (!watches_ok(store, shard, requests, n))
		return MR_EINVAL;
	struct call *call = watch_call(store, SCRIPT_watch, shard, nonce, 2 * n, done, ctx);

	for (size_t i = 0; i < n; i++) {
		call_arg_int(call, requests[i].due_ms);
		append_member(store, call, &requests[i]);
	}
	return store_submit(store, call);
}

enum mr_status store_unwatch(struct store *store, int shard, struct bytes nonce, const struct watch_request *requests, size_t n,
			     store_done_fn *done, void *ctx)
{
	if (nonce.len == 0 || !watches_ok(store, shard, requests, n))
		return MR_EINVAL;
	struct call *call = watch_call(store, SCRIPT_unwatch, shard, nonce, n, done, ctx);

	for (size_t i = 0; i < n; i++)
		append_member(store, call, &requests[i]);
	return store_submit(store, call);
}
