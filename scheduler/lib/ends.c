/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/core.h"

void ends_init(struct ends *ends, int shards)
{
	size_t n = (size_t)shards;

	for (int kind = 0; kind < TOPIC_KINDS; kind++) {
		ends->wanted[kind] = mem_alloc(n * sizeof(bool));
		ends->asked[kind] = mem_alloc(n * sizeof(bool));
	}
	ends->partitions = mem_alloc(TOPIC_KINDS * n * sizeof(*ends->partitions));
}

void ends_deinit(struct ends *ends)
{
	for (int kind = 0; kind < TOPIC_KINDS; kind++) {
		free(ends->wanted[kind]);
		free(ends->asked[kind]);
	}
	free(ends->partitions);
}

void ends_want(struct scheduler *s, enum topic_kind kind, int shard)
{
	s->ends.wanted[kind][shard] = true;
}

static const char *topic_of(const struct scheduler *s, enum topic_kind kind)
{
	switch (kind) {
	case TOPIC_JOURNAL:
		return s->journal_topic;
	case TOPIC_RESULTS:
		return s->results_topic;
	case TOPIC_KINDS:
		break;
	}
	abort();
}

void ends_turn(struct scheduler *s)
{
	struct ends *ends = &s->ends;
	size_t n = 0;

	if (ends->under_way || s->now_us < ends->not_before_us)
		return;
	for (int kind = 0; kind < TOPIC_KINDS; kind++) {
		for (int i = 0; i < s->config.shards; i++) {
			if (!ends->wanted[kind][i])
				continue;
			ends->partitions[n++] =
				(struct bus_partition){.topic = topic_of(s, (enum topic_kind)kind), .partition = i, .offset = -1};
			ends->asked[kind][i] = true;
			ends->wanted[kind][i] = false;
		}
	}
	if (n == 0)
		return;
	ends->under_way = true;
	if (bus_query_ends(s->links.bus, ends->partitions, n) != MR_OK)
		ends_answer(s, ends->partitions, n, MR_EKAFKA);
}

int64_t ends_deadline_us(const struct scheduler *s)
{
	const struct ends *ends = &s->ends;

	if (ends->under_way)
		return INT64_MAX;
	for (int kind = 0; kind < TOPIC_KINDS; kind++) {
		for (int i = 0; i < s->config.shards; i++) {
			if (ends->wanted[kind][i])
				return ends->not_before_us;
		}
	}
	return INT64_MAX;
}

void ends_take(struct shard *shard, struct cursor *cursor, int64_t end, const char *topic)
{
	int64_t now_us = shard->s->now_us;

	if (cursor_is_beyond(cursor, end)) {
		log_error("a topic is shorter than what was read of it, it is read from its beginning", LOG_S("topic", topic),
			  LOG_I("partition", shard->id), LOG_I("end", end), LOG_I("read", cursor->position));
		cursor_start(cursor, -1, now_us);
		shard->seek_wanted = shard->seek_wanted || (cursor == &shard->journal && shard->phase == PHASE_READY);
	}
	cursor_ended(cursor, end, now_us);
}

static void shard_answer(struct shard *shard, enum topic_kind kind, int64_t end)
{
	if (shard->phase == PHASE_UNOWNED)
		return;
	if (shard->phase != PHASE_READY) {
		recovery_ended(shard, kind, end);
		return;
	}
	if (kind == TOPIC_RESULTS)
		upkeep_tip(shard, end);
	else
		ends_take(shard, &shard->journal, end, shard->s->journal_topic);
}

static void one_answer(struct scheduler *s, enum topic_kind kind, const struct bus_partition *partition, enum mr_status status)
{
	int i = partition->partition;

	if (i < 0 || i >= s->config.shards || !s->ends.asked[kind][i])
		return;
	s->ends.asked[kind][i] = false;
	/* Somebody asked after this question had gone out: he must not get an end from before. */
	if (s->ends.wanted[kind][i])
		return;
	if (status == MR_OK && partition->offset >= 0) {
		shard_answer(&s->shards[i], kind, partition->offset);
		return;
	}
	s->ends.wanted[kind][i] = true;
	s->ends.not_before_us = s->now_us + RETRY_US;
}

/* What the answer does not mention was not answered. */
static void ask_rest_again(struct scheduler *s)
{
	for (int kind = 0; kind < TOPIC_KINDS; kind++) {
		for (int i = 0; i < s->config.shards; i++) {
			s->ends.wanted[kind][i] = s->ends.wanted[kind][i] || s->ends.asked[kind][i];
			s->ends.asked[kind][i] = false;
		}
	}
}

void ends_answer(struct scheduler *s, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	if (!s->ends.under_way)
		return;
	s->ends.under_way = false;
	if (status != MR_OK)
		log_debug("end offsets could not be told", LOG_S("reason", mr_status_text(status)));
	for (size_t i = 0; i < n; i++) {
		bool results = strcmp(partitions[i].topic, s->results_topic) == 0;

		one_answer(s, results ? TOPIC_RESULTS : TOPIC_JOURNAL, &partitions[i], status);
	}
	ask_rest_again(s);
}
