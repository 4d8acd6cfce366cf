/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "lib/core.h"
#include "lib/ending.h"
#include "lib/fetch.h"
#include "lib/job.h"

/* The sweep: what somebody marked as to be published and has not confirmed for a while, because he died or Kafka refused it. */

#define SWEEP_OLDER_MS 2000
#define SWEEP_BATCH 200

static void on_swept(void *ctx, enum mr_status status, const struct swept *swept, size_t n)
{
	struct shard *shard = shard_call_end(ctx);
	struct scheduler *s;
	int64_t now_ms;

	if (!shard)
		return;
	s = shard->s;
	shard->sweeping = false;
	if (status != MR_OK) {
		shard_look_again(shard, status == MR_ECONFLICT ? 0 : RETRY_US, "sweep was refused");
		return;
	}
	now_ms = s->links.redis->time_ms(s->links.store, s->now_us);
	for (size_t i = 0; i < n; i++) {
		if (swept[i].end)
			ending_by_flags(shard, swept[i].end);
		else
			job_sweep(shard, &swept[i], now_ms);
	}
	if (n == SWEEP_BATCH)
		shard->sweep_us = s->now_us;
}

int64_t outbox_deadline_us(const struct shard *shard)
{
	const struct scheduler *s = shard->s;

	if (shard->sweeping || shard->outbox == 0 || s->n_jobs >= JOBS_MAX || fetch_pending(s->fetch) >= FETCHES_MAX)
		return INT64_MAX;
	return shard->sweep_us;
}

void outbox_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct shard_call *call;

	if (outbox_deadline_us(shard) > s->now_us)
		return;
	shard->sweep_us = s->now_us + LOOK_INTERVAL_US;
	call = shard_call_new(shard);
	shard->sweeping = shard_called(call, s->links.redis->sweep(s->links.store, shard->id, bytes_of(shard->nonce),
								   SWEEP_OLDER_MS, SWEEP_BATCH, on_swept, call));
}
