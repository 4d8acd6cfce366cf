/* SPDX-License-Identifier: Apache-2.0 */
#include "support/store_seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"

/* ---- view ---- */

static void copy(struct fixture *fx, struct bytes *text)
{
	if (bytes_present(*text))
		*text = arena_copy(&fx->arena, *text);
}

static void on_view(void *ctx, enum mr_status status, const struct task_view *view)
{
	struct fixture *fx = ctx;

	if (view) {
		struct task_view *seen = arena_alloc(&fx->arena, sizeof(*seen));

		*seen = *view;
		copy(fx, &seen->run_id);
		copy(fx, &seen->nonce);
		copy(fx, &seen->worker);
		copy(fx, &seen->record_id);
		copy(fx, &seen->heartbeat.data);
		copy(fx, &seen->heartbeat.content_type);
		copy(fx, &seen->heartbeat.encoding);
		copy(fx, &seen->options);
		copy(fx, &seen->request_ids);
		fx->answer = seen;
	}
	fx_on_done(fx, status);
}

struct task_view fx_view(struct fixture *fx, const char *key)
{
	assert_int_equal(fx_status(fx, store_view(fx->store, bytes_of(key), FX_SHARD, on_view, fx)), MR_OK);
	return *(struct task_view *)fx->answer;
}

/* ---- orphans ---- */

struct orphans_call {
	struct fixture *fx;
	struct seen_tasks seen;
};

static void on_orphans(void *ctx, enum mr_status status, const struct found_task *found, size_t n, struct bytes next)
{
	struct orphans_call *call = ctx;
	struct buf keys = {0};

	for (size_t i = 0; i < n; i++) {
		buf_printf(&keys, "%s%.*s", i ? " " : "", BYTES_ARG(found[i].key));
		snprintf(call->seen.worker, sizeof(call->seen.worker), "%.*s", BYTES_ARG(found[i].view.worker));
		assert_int_equal(found[i].view.state, VIEW_STARTED);
		assert_true(found[i].view.parked);
	}
	snprintf(call->seen.keys, sizeof(call->seen.keys), "%s", buf_cstr(&keys));
	snprintf(call->seen.next, sizeof(call->seen.next), "%.*s", BYTES_ARG(next));
	call->seen.n = n;
	buf_deinit(&keys);
	fx_on_done(call->fx, status);
}

struct seen_tasks fx_orphans(struct fixture *fx, const char *after, int limit)
{
	struct orphans_call call = {.fx = fx};

	assert_int_equal(fx_status(fx, store_orphans(fx->store, FX_SHARD, FX_NONCE, bytes_of(after), limit, on_orphans, &call)),
			 MR_OK);
	return call.seen;
}

enum mr_status fx_orphans_status(struct fixture *fx, const char *nonce)
{
	struct orphans_call call = {.fx = fx};

	return fx_status(fx, store_orphans(fx->store, FX_SHARD, bytes_of(nonce), BYTES_LIT(""), 10, on_orphans, &call));
}

/* ---- due ---- */

struct due_call {
	struct fixture *fx;
	struct seen_timers seen;
};

static void on_due(void *ctx, enum mr_status status, const struct due_timer *due, size_t n, int64_t next_due_ms)
{
	static const char letters[] = {[TIMER_SCHEDULE_TO_START] = 's', [TIMER_CLOSE] = 'c', [TIMER_HEARTBEAT] = 'h'};
	struct due_call *call = ctx;
	struct buf text = {0};

	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, "%c %.*s %.*s %lld %lld %.*s;", letters[due[i].kind], BYTES_ARG(due[i].found.key),
			   BYTES_ARG(due[i].run_id), (long long)due[i].epoch, (long long)due[i].attempt, BYTES_ARG(due[i].place));
		call->seen.state = due[i].found.view.state;
		call->seen.due_ms = due[i].due_ms;
	}
	snprintf(call->seen.timers, sizeof(call->seen.timers), "%s", buf_cstr(&text));
	call->seen.n = n;
	call->seen.next_due_ms = next_due_ms;
	buf_deinit(&text);
	fx_on_done(call->fx, status);
}

struct seen_timers fx_due(struct fixture *fx, int limit)
{
	struct due_call call = {.fx = fx};

	assert_int_equal(fx_status(fx, store_due(fx->store, FX_SHARD, FX_NONCE, limit, on_due, &call)), MR_OK);
	return call.seen;
}

enum mr_status fx_due_status(struct fixture *fx, const char *nonce)
{
	struct due_call call = {.fx = fx};

	return fx_status(fx, store_due(fx->store, FX_SHARD, bytes_of(nonce), 10, on_due, &call));
}

/* ---- watch, unwatch ---- */

static struct watch_request request_of(enum timer_kind kind, int64_t epoch, int64_t attempt, const char *place, int64_t due_ms)
{
	return (struct watch_request){.kind = kind,
				      .key = BYTES_LIT("k"),
				      .run_id = BYTES_LIT("run"),
				      .epoch = epoch,
				      .attempt = attempt,
				      .place = bytes_of(place),
				      .due_ms = due_ms};
}

enum mr_status fx_watch(struct fixture *fx, const char *nonce, enum timer_kind kind, int64_t epoch, int64_t attempt,
			const char *place, int64_t due_ms)
{
	struct watch_request request = request_of(kind, epoch, attempt, place, due_ms);

	return fx_status(fx, store_watch(fx->store, FX_SHARD, bytes_of(nonce), &request, 1, fx_on_done, fx));
}

enum mr_status fx_unwatch(struct fixture *fx, const char *nonce, enum timer_kind kind, int64_t epoch, int64_t attempt,
			  const char *place)
{
	struct watch_request request = request_of(kind, epoch, attempt, place, 0);

	return fx_status(fx, store_unwatch(fx->store, FX_SHARD, bytes_of(nonce), &request, 1, fx_on_done, fx));
}
