/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/log.h"
#include "lib/core.h"
#include "lib/fetch.h"
#include "lib/job.h"

/*
 * What is due. The loop sleeps until the lowest score by Redis' clock as this side knows it, which is never ahead of the true
 * one; the script decides by the true one, so that nothing is early.
 */

/* An entry that Redis says is due and does not give must not keep the loop busy. */
#define FIRE_PAUSE_US 1000

void timers_note(struct shard *shard, int64_t due_ms)
{
	if (due_ms >= 0 && (shard->next_due_ms < 0 || due_ms < shard->next_due_ms))
		shard->next_due_ms = due_ms;
}

static void on_fired(void *ctx, enum mr_status status, const struct fired *fired, size_t n, int64_t next_due_ms, int64_t now_ms)
{
	struct shard *shard = shard_call_end(ctx);

	if (!shard)
		return;
	shard->firing = false;
	if (status != MR_OK) {
		shard_look_again(shard, status == MR_ECONFLICT ? 0 : RETRY_US, "fire was refused");
		return;
	}
	shard->next_due_ms = next_due_ms;
	shard->s->stats.fired += n;
	if (n == 0)
		shard->fire_not_before_us = shard->s->now_us + FIRE_PAUSE_US;
	for (size_t i = 0; i < n; i++)
		job_dispatch(shard, &fired[i], now_ms);
}

static bool has_room(const struct scheduler *s)
{
	return s->n_jobs < JOBS_MAX && fetch_pending(s->fetch) < FETCHES_MAX;
}

int64_t timers_deadline_us(const struct shard *shard)
{
	const struct scheduler *s = shard->s;
	int64_t due_us, now_ms;

	if (shard->next_due_ms < 0 || shard->firing || !shard->journal.caught_up || s->stopping || !has_room(s))
		return INT64_MAX;
	now_ms = s->links.redis->time_ms(s->links.store, s->now_us);
	due_us = now_ms == 0 || shard->next_due_ms <= now_ms ? s->now_us : s->now_us + (shard->next_due_ms - now_ms) * 1000;
	return due_us > shard->fire_not_before_us ? due_us : shard->fire_not_before_us;
}

void timers_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct shard_call *call;

	if (timers_deadline_us(shard) > s->now_us)
		return;
	call = shard_call_new(shard);
	shard->firing = shard_called(
		call, s->links.redis->fire(s->links.store, shard->id, bytes_of(shard->nonce), FIRE_BATCH, on_fired, call));
	if (!shard->firing)
		shard->fire_not_before_us = s->now_us + RETRY_US;
}
