/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/log.h"
#include "lib/core.h"
#include "lib/ending.h"
#include "lib/fetch.h"
#include "lib/job.h"
#include "lib/leases.h"
#include "lib/watch.h"

/*
 * What is due: attempts after their backoff, and heartbeats and timeouts of what nobody runs. The loop sleeps until the lowest
 * score by Redis' clock as this side knows it, which is never ahead of the true one; the scripts decide by the true one, so that
 * nothing is early.
 */

/* An entry that Redis says is due and does not give must not keep the loop busy. */
#define PAUSE_US 1000

static const struct alarm SILENT = {.next_ms = -1};

void timers_reset(struct shard *shard)
{
	shard->backoff = shard->timeouts = SILENT;
}

static void note(struct alarm *alarm, int64_t due_ms)
{
	if (due_ms >= 0 && (alarm->next_ms < 0 || due_ms < alarm->next_ms))
		alarm->next_ms = due_ms;
}

void timers_note_backoff(struct shard *shard, int64_t due_ms)
{
	note(&shard->backoff, due_ms);
}

void timers_note_timeout(struct shard *shard, int64_t due_ms)
{
	note(&shard->timeouts, due_ms);
}

void timers_note(struct shard *shard, int64_t due_ms)
{
	note(&shard->backoff, due_ms);
	note(&shard->timeouts, due_ms);
}

/* The answer of a call: false where the walk over the shard begins anew. */
static bool answered(struct shard *shard, struct alarm *alarm, enum mr_status status, size_t n, int64_t next_due_ms)
{
	alarm->calling = false;
	if (status != MR_OK) {
		shard_look_again(shard, status == MR_ECONFLICT ? 0 : RETRY_US, "a call for what is due was refused");
		return false;
	}
	alarm->next_ms = next_due_ms;
	if (n == 0)
		alarm->not_before_us = shard->s->now_us + PAUSE_US;
	return true;
}

static void on_fired(void *ctx, enum mr_status status, const struct fired *fired, size_t n, int64_t next_due_ms, int64_t now_ms)
{
	struct shard *shard = shard_call_end(ctx);

	if (!shard || !answered(shard, &shard->backoff, status, n, next_due_ms))
		return;
	shard->s->stats.fired += n;
	meters_backoff_fired(shard->s, fired, n, now_ms);
	for (size_t i = 0; i < n; i++)
		job_dispatch(shard, &fired[i], now_ms);
}

static enum timeout_type timeout_of(enum timer_kind kind)
{
	switch (kind) {
	case TIMER_SCHEDULE_TO_START:
		return TIMEOUT_SCHEDULE_TO_START;
	case TIMER_CLOSE:
		return TIMEOUT_SCHEDULE_TO_CLOSE;
	case TIMER_HEARTBEAT:
		return TIMEOUT_HEARTBEAT;
	}
	abort();
}

static void begin_timeout(struct shard *shard, const struct due_timer *due)
{
	struct ending_request request = {
		.found = due->found,
		.cause = ENDING_TIMEOUT,
		.timeout = timeout_of(due->kind),
		.due_ms = due->due_ms,
		.place = due->place.len > 0 ? due->place : BYTES_NONE,
	};

	if (due->found.view.state == VIEW_NONE || due->found.view.state == VIEW_MARKED) {
		request.found.view.run_id = due->run_id;
		request.found.view.epoch = due->epoch;
		request.found.view.attempt = due->attempt;
	}
	ending_begin(shard, &request);
}

enum timer_fate { TIMER_ENDS_TASK, TIMER_LATER, TIMER_FORGOTTEN };

static enum timer_fate fate_by_record(struct scheduler *s, struct bytes place)
{
	if (place.len == 0 || watch_has_passed(s, place))
		return TIMER_FORGOTTEN;
	return watch_is_waiting(s, place) ? TIMER_ENDS_TASK : TIMER_LATER;
}

/* Silence counts only where a word would have been heard: heartbeats of workers come by Redis, those that commands tell by Kafka,
 * where they may have waited for a scheduler. */
static bool hears(const struct shard *shard)
{
	const struct scheduler *s = shard->s;

	return leases_hears(s->leases, s->now_us) && s->now_us - shard->listens_us >= s->config.lease_ms * 1000;
}

/* A task that Redis knows nothing of has ended and was forgotten, unless its record still waits for a worker. An attempt that was
 * held back and dispatched again has another record now, with a time of its own. */
static enum timer_fate fate_of(const struct shard *shard, const struct due_timer *due)
{
	struct scheduler *s = shard->s;

	switch (due->found.view.state) {
	case VIEW_NONE:
	case VIEW_MARKED:
		return fate_by_record(s, due->place);
	case VIEW_STARTED:
		return due->kind == TIMER_HEARTBEAT && !hears(shard) ? TIMER_LATER : TIMER_ENDS_TASK;
	case VIEW_SCHEDULED:
		return due->kind == TIMER_SCHEDULE_TO_START ? fate_by_record(s, due->place) : TIMER_ENDS_TASK;
	case VIEW_BACKING_OFF:
	case VIEW_WAITING:
		return TIMER_ENDS_TASK;
	case VIEW_FINISHED:
		return TIMER_FORGOTTEN;
	}
	abort();
}

/* What is not forgotten now is told again. */
static void on_forgotten(void *ctx, enum mr_status status)
{
	if (shard_call_end(ctx) && status != MR_OK)
		log_debug("timers could not be forgotten", LOG_S("reason", mr_status_text(status)));
}

void timers_forget(struct shard *shard, const struct watch_request *requests, size_t n)
{
	struct scheduler *s = shard->s;
	struct shard_call *call;

	if (n == 0)
		return;
	call = shard_call_new(shard);
	(void)shard_called(call, s->links.redis->unwatch(s->links.store, shard->id, bytes_of(shard->nonce), requests, n,
							 on_forgotten, call));
}

static struct watch_request request_of(const struct due_timer *due)
{
	return (struct watch_request){
		.kind = due->kind,
		.key = due->found.key,
		.run_id = due->run_id,
		.epoch = due->epoch,
		.attempt = due->attempt,
		.place = due->place,
		.due_ms = due->due_ms,
	};
}

static void on_due(void *ctx, enum mr_status status, const struct due_timer *due, size_t n, int64_t next_due_ms)
{
	struct shard *shard = shard_call_end(ctx);
	struct watch_request forgotten[FIRE_BATCH];
	size_t n_forgotten = 0;

	if (!shard || !answered(shard, &shard->timeouts, status, n, next_due_ms))
		return;
	for (size_t i = 0; i < n; i++) {
		switch (fate_of(shard, &due[i])) {
		case TIMER_ENDS_TASK:
			meters_timer_due(shard->s, &due[i]);
			begin_timeout(shard, &due[i]);
			break;
		case TIMER_LATER:
			break;
		case TIMER_FORGOTTEN:
			forgotten[n_forgotten++] = request_of(&due[i]);
			break;
		}
	}
	timers_forget(shard, forgotten, n_forgotten);
}

static bool has_room(const struct scheduler *s)
{
	return s->n_jobs < JOBS_MAX && fetch_pending(s->fetch) < FETCHES_MAX;
}

static int64_t alarm_deadline_us(const struct shard *shard, const struct alarm *alarm)
{
	const struct scheduler *s = shard->s;
	int64_t due_us, now_ms;

	if (alarm->next_ms < 0 || alarm->calling)
		return INT64_MAX;
	now_ms = s->links.redis->time_ms(s->links.store, s->now_us);
	due_us = now_ms == 0 || alarm->next_ms <= now_ms ? s->now_us : s->now_us + (alarm->next_ms - now_ms) * 1000;
	return due_us > alarm->not_before_us ? due_us : alarm->not_before_us;
}

int64_t timers_deadline_us(const struct shard *shard)
{
	const struct scheduler *s = shard->s;
	int64_t backoff_us, timeouts_us;

	if (!shard->journal.caught_up || s->bus_lost || s->stopping || !has_room(s))
		return INT64_MAX;
	backoff_us = alarm_deadline_us(shard, &shard->backoff);
	timeouts_us = alarm_deadline_us(shard, &shard->timeouts);
	return backoff_us < timeouts_us ? backoff_us : timeouts_us;
}

static void called(struct shard *shard, struct alarm *alarm, struct shard_call *call, enum mr_status status)
{
	alarm->calling = shard_called(call, status);
	if (!alarm->calling)
		alarm->not_before_us = shard->s->now_us + RETRY_US;
}

void timers_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct bytes nonce = bytes_of(shard->nonce);
	struct shard_call *call;

	if (timers_deadline_us(shard) > s->now_us)
		return;
	if (alarm_deadline_us(shard, &shard->backoff) <= s->now_us) {
		call = shard_call_new(shard);
		called(shard, &shard->backoff, call,
		       s->links.redis->fire(s->links.store, shard->id, nonce, FIRE_BATCH, on_fired, call));
	}
	if (alarm_deadline_us(shard, &shard->timeouts) <= s->now_us) {
		call = shard_call_new(shard);
		called(shard, &shard->timeouts, call,
		       s->links.redis->due(s->links.store, shard->id, nonce, FIRE_BATCH, on_due, call));
	}
}
