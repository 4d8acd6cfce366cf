/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "lib/watch_impl.h"

/* Deadlines go to Redis in one call a shard. What cannot be armed now (the shard is not vouched for, Redis is away) is found by
 * reading everything again a little later. */

#define AGAIN_US (2 * 1000 * 1000)

static void fail(struct watch *watch)
{
	if (watch->retry_us == 0)
		watch->retry_us = watch->s->now_us + AGAIN_US;
}

static void on_watched(void *ctx, enum mr_status status)
{
	struct scheduler *s = ctx;

	s->watch->n_calls--;
	if (status == MR_OK)
		return;
	log_debug("deadlines were not armed", LOG_S("reason", mr_status_text(status)));
	fail(s->watch);
}

/* The owner of the shard may sleep until something later is due; another one finds out by its looks. */
static void tell_owner(struct shard *shard, const struct watch_request *requests, size_t n)
{
	if (shard->phase != PHASE_READY)
		return;
	for (size_t i = 0; i < n; i++)
		timers_note_timeout(shard, requests[i].due_ms);
}

static void call(struct watch *watch, int shard, const struct watch_request *requests, size_t n)
{
	struct scheduler *s = watch->s;

	/* Under any nonce: another scheduler may own the shard. */
	if (s->links.redis->watch(s->links.store, shard, BYTES_LIT(""), requests, n, on_watched, s) != MR_OK) {
		fail(watch);
		return;
	}
	watch->n_calls++;
	tell_owner(&s->shards[shard], requests, n);
	s->stats.watch_armed += n;
}

static size_t add(struct watch_request *requests, const struct watched *record, enum timer_kind kind, int64_t due_ms)
{
	if (due_ms == TASK_UNSET)
		return 0;
	*requests = (struct watch_request){.kind = kind,
					   .key = record->key,
					   .run_id = record->run_id,
					   .epoch = record->epoch,
					   .attempt = record->attempt,
					   .place = record->place,
					   .due_ms = due_ms};
	return 1;
}

static void arm_shard(struct watch *watch, int shard, const struct watched *records, size_t n)
{
	struct watch_request requests[2 * WATCH_BATCH];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (records[i].shard != shard)
			continue;
		len += add(&requests[len], &records[i], TIMER_SCHEDULE_TO_START, records[i].start_at_ms);
		len += add(&requests[len], &records[i], TIMER_CLOSE, records[i].close_at_ms);
	}
	if (len > 0)
		call(watch, shard, requests, len);
}

void watch_arm(struct watch *watch, const struct watched *records, size_t n)
{
	for (int shard = 0; n > 0 && shard < watch->s->config.shards; shard++)
		arm_shard(watch, shard, records, n);
}
