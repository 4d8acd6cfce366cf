/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/watch_impl.h"

/* Deadlines go to Redis in one call a shard. What cannot be armed now (the shard is not vouched for, Redis is away) is found by
 * reading everything again a little later. */

#define AGAIN_US (2 * 1000 * 1000)

static void fail(struct watch *watch)
{
	if (watch->retry_us == 0)
		watch->retry_us = watch->s->now_us + AGAIN_US;
}

struct arming {
	struct scheduler *s;
	int shard;
	int64_t first_ms; /* the earliest of its deadlines */
};

static void on_watched(void *ctx, enum mr_status status)
{
	struct arming arming = *(struct arming *)ctx;
	struct watch *watch = arming.s->watch;
	struct shard *shard = &arming.s->shards[arming.shard];

	free(ctx);
	watch->n_calls--;
	if (status != MR_OK) {
		log_debug("deadlines were not armed", LOG_S("reason", mr_status_text(status)));
		fail(watch);
	} else if (shard->phase == PHASE_READY) {
		/* It may sleep until something later is due; another owner finds out by its looks. */
		timers_note_timeout(shard, arming.first_ms);
	}
}

static int64_t first_of(const struct watch_request *requests, size_t n)
{
	int64_t first_ms = requests[0].due_ms;

	for (size_t i = 1; i < n; i++)
		first_ms = watch_min(first_ms, requests[i].due_ms);
	return first_ms;
}

static void call(struct watch *watch, int shard, const struct watch_request *requests, size_t n)
{
	struct scheduler *s = watch->s;
	struct arming *arming = mem_alloc(sizeof(*arming));

	*arming = (struct arming){.s = s, .shard = shard, .first_ms = first_of(requests, n)};
	/* Under any nonce: another scheduler may own the shard. */
	if (s->links.redis->watch(s->links.store, shard, BYTES_LIT(""), requests, n, on_watched, arming) != MR_OK) {
		free(arming);
		fail(watch);
		return;
	}
	watch->n_calls++;
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
