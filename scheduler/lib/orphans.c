/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "lib/core.h"
#include "lib/ending.h"
#include "lib/fetch.h"

/*
 * Parked attempts whose worker has no lease any more: lost, with a heartbeat timeout or without. Looked for again and again,
 * because a worker's own supervisor may have given up its lease; a walk over many goes on where its last step ended.
 */
#define ORPHANS_INTERVAL_US (500 * 1000)
#define ORPHANS_BATCH 200

static void on_orphans(void *ctx, enum mr_status status, const struct found_task *found, size_t n, struct bytes next)
{
	struct shard *shard = shard_call_end(ctx);

	if (!shard)
		return;
	shard->orphaning = false;
	if (status != MR_OK) {
		shard_look_again(shard, status == MR_ECONFLICT ? 0 : RETRY_US, "orphans was refused");
		return;
	}
	buf_reset(&shard->orphans_after);
	buf_append_bytes(&shard->orphans_after, next);
	if (next.len > 0)
		shard->orphans_us = shard->s->now_us;
	for (size_t i = 0; i < n; i++)
		ending_begin(shard, &(struct ending_request){.found = found[i], .cause = ENDING_LOST});
}

void orphans_soon(struct shard *shard)
{
	shard->orphans_us = shard->s->now_us;
}

int64_t orphans_deadline_us(const struct shard *shard)
{
	const struct scheduler *s = shard->s;

	if (shard->orphaning || !shard->journal.caught_up || s->stopping || s->n_jobs >= JOBS_MAX ||
	    fetch_pending(s->fetch) >= FETCHES_MAX)
		return INT64_MAX;
	return shard->orphans_us;
}

void orphans_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct shard_call *call;

	if (orphans_deadline_us(shard) > s->now_us)
		return;
	shard->orphans_us = s->now_us + ORPHANS_INTERVAL_US;
	call = shard_call_new(shard);
	shard->orphaning = shard_called(call, s->links.redis->orphans(s->links.store, shard->id, bytes_of(shard->nonce),
								      buf_bytes(&shard->orphans_after), ORPHANS_BATCH, on_orphans,
								      call));
}
