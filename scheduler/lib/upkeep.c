/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/core.h"

/* What runs by itself: the tip of results each second, forgetting of finished tasks, purge of task topics, offsets committed
 * for people who look at lag. */

#define TIP_US (1000 * 1000)
#define COMMIT_US (5 * 1000 * 1000)
#define EXPIRE_US (1000 * 1000)
#define EXPIRE_BATCH 500
#define SOON_US (5 * 1000)
/* What is overdue for so long does not fire any more from memory. */
#define OVERDUE_MS (60 * 1000)
#define OVERDUE_US (10 * 1000 * 1000)

static void on_tip(void *ctx, enum mr_status status)
{
	struct shard *shard = shard_call_end(ctx);

	if (!shard)
		return;
	shard->tipping = false;
	if (status == MR_ECONFLICT)
		shard_look_again(shard, 0, "the tip was refused");
}

void upkeep_tip(struct shard *shard, int64_t end)
{
	struct shard_call *call;

	if (shard->tipping)
		return;
	call = shard_call_new(shard);
	shard->tipping = shard_called(
		call, shard->s->links.redis->tip(shard->s->links.store, shard->id, bytes_of(shard->nonce), end, on_tip, call));
}

/* Commands to tasks that never came. */
static void forget_commands(struct shard *shard, struct bytes key)
{
	struct buf *text = &shard->s->scratch;

	buf_reset(text);
	buf_append_bytes(text, key);
	buf_append_bytes(text, BYTES_LIT(JOURNAL_COMMAND_SUFFIX));
	publish_tombstone(shard, buf_bytes(text));
}

static void on_expired(void *ctx, enum mr_status status, int64_t removed, bool more, const struct bytes *unseen, size_t n_unseen)
{
	struct shard *shard = shard_call_end(ctx);

	if (!shard)
		return;
	shard->expiring = false;
	if (status == MR_ECONFLICT) {
		shard_look_again(shard, 0, "expiry was refused");
		return;
	}
	if (status != MR_OK)
		return;
	shard->s->stats.expired += (uint64_t)removed;
	for (size_t i = 0; i < n_unseen; i++)
		forget_commands(shard, unseen[i]);
	/* In small bites, so that claims do not wait behind it. */
	if (more)
		shard->expire_us = shard->s->now_us + SOON_US;
}

static void expire(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct shard_call *call;

	if (shard->expiring || shard->expire_us > s->now_us)
		return;
	shard->expire_us = s->now_us + EXPIRE_US;
	call = shard_call_new(shard);
	shard->expiring = shard_called(call, s->links.redis->expire(s->links.store, shard->id, bytes_of(shard->nonce),
								    s->config.retention_ms, EXPIRE_BATCH, on_expired, call));
}

static void ask_tips(struct scheduler *s)
{
	if (s->tip_us > s->now_us)
		return;
	s->tip_us = s->now_us + TIP_US;
	for (int i = 0; i < s->config.shards; i++) {
		if (s->shards[i].phase == PHASE_READY)
			ends_want(s, TOPIC_RESULTS, i);
	}
}

/* The owner of shard 0 does it for all. */
static bool may_purge(const struct scheduler *s)
{
	return s->config.purge && !s->purging && s->shards[0].phase == PHASE_READY;
}

static void purge(struct scheduler *s)
{
	if (!may_purge(s) || s->purge_us > s->now_us)
		return;
	s->purging = true;
	s->config.purge(s->config.ctx);
}

void scheduler_purged(struct scheduler *s)
{
	s->purging = false;
	s->purge_us = s->now_us + s->config.purge_interval_ms * 1000;
}

/* The truth about offsets lies in Redis; Kafka's copy of them is for tools that show lag, and for control. */
static size_t commits_of(struct shard *shard, struct bus_partition *partitions)
{
	const struct scheduler *s = shard->s;
	size_t n = 0;

	if (shard->phase == PHASE_READY && shard->stored_offset > shard->committed) {
		partitions[n++] =
			(struct bus_partition){.topic = s->journal_topic, .partition = shard->id, .offset = shard->stored_offset};
		shard->committed = shard->stored_offset;
	}
	if (shard_owned(shard) && shard->control_position > shard->control_committed) {
		partitions[n++] = (struct bus_partition){
			.topic = s->control_topic, .partition = shard->id, .offset = shard->control_position};
		shard->control_committed = shard->control_position;
	}
	return n;
}

static void commit(struct scheduler *s)
{
	CLEANUP_FREE struct bus_partition *partitions = NULL;
	size_t n = 0;

	if (s->commit_us > s->now_us)
		return;
	s->commit_us = s->now_us + COMMIT_US;
	partitions = mem_realloc_array(NULL, 2 * (size_t)s->config.shards, sizeof(*partitions));
	for (int i = 0; i < s->config.shards; i++)
		n += commits_of(&s->shards[i], partitions + n);
	if (n > 0)
		bus_commit(s->links.bus, partitions, n);
}

static void drop_overdue(struct scheduler *s)
{
	if (s->overdue_us > s->now_us)
		return;
	s->overdue_us = s->now_us + OVERDUE_US;
	cache_drop_overdue(s->cache, s->links.redis->time_ms(s->links.store, s->now_us) - OVERDUE_MS);
}

void upkeep_turn(struct scheduler *s)
{
	drop_overdue(s);
	ask_tips(s);
	purge(s);
	commit(s);
	for (int i = 0; i < s->config.shards; i++) {
		if (s->shards[i].phase == PHASE_READY)
			expire(&s->shards[i]);
	}
}

int64_t upkeep_deadline_us(const struct scheduler *s)
{
	int64_t deadline_us = s->tip_us < s->commit_us ? s->tip_us : s->commit_us;

	if (may_purge(s) && s->purge_us < deadline_us)
		deadline_us = s->purge_us;
	for (int i = 0; i < s->config.shards; i++) {
		const struct shard *shard = &s->shards[i];

		if (shard->phase == PHASE_READY && !shard->expiring && shard->expire_us < deadline_us)
			deadline_us = shard->expire_us;
	}
	return deadline_us;
}
