/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/watch_impl.h"

/*
 * What the watch knows of Kafka: which task topics there are, where they end, and how far their workers are. Ends are asked for
 * in one question for all; a record lies before the end of one question and is still behind the committed offset that is asked
 * for after the next: then it has waited for at least the time between two questions.
 */
#define TOPICS_US (3 * 1000 * 1000)
#define ENDS_US (250 * 1000)
/* Where nothing has moved for IDLE_AFTER_US. */
#define IDLE_ENDS_US (500 * 1000)
#define IDLE_AFTER_US (10 * 1000 * 1000)
#define COMMITTED_US (1000 * 1000)

/* Topics --------------------------------------------------------------------------------------------------------------- */

void watch_topic_free(struct watch_topic *topic)
{
	metric_set(topic->backlog, 0);
	metric_set(topic->oldest, 0);
	free(topic->name);
	free(topic->group);
	free(topic->partitions);
	free(topic);
}

static void grow(struct watch_topic *topic, int n)
{
	topic->partitions = mem_realloc_array(topic->partitions, (size_t)n, sizeof(*topic->partitions));
	for (int i = topic->n; i < n; i++)
		topic->partitions[i] = (struct watch_partition){.committed = -1, .end = -1};
	topic->n = n;
}

static struct watch_topic *topic_new(struct watch *watch, const char *name)
{
	struct watch_topic *topic = mem_alloc(sizeof(*topic));
	struct buf group = {0};

	buf_printf(&group, "%sworkers.%s", watch->s->prefix, name + strlen(watch->tasks));
	topic->name = mem_strdup(name);
	topic->group = mem_strndup(group.data, group.len);
	topic->wanted = true;
	topic->backlog = metrics_labeled(watch->s->meters.metrics, METRIC_BACKLOG, name + strlen(watch->tasks));
	topic->oldest = metrics_labeled(watch->s->meters.metrics, METRIC_BACKLOG_AGE, name + strlen(watch->tasks));
	buf_deinit(&group);
	map_put(&watch->topics, bytes_of(topic->name), topic);
	return topic;
}

/* One that was deleted. */
static void forget_unseen(struct watch *watch)
{
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&watch->topics, &it))) {
		struct watch_topic *topic = slot->value;

		if (topic->seen || topic->asking)
			continue;
		for (int i = 0; i < topic->n; i++)
			watch->changed |= topic->partitions[i].reading;
		map_remove(&watch->topics, bytes_of(topic->name));
		watch_topic_free(topic);
		it = 0;
	}
}

static void on_topics(void *ctx, const struct bus_partition *topics, size_t n, enum mr_status status)
{
	struct scheduler *s = ctx;
	struct watch *watch = s->watch;
	struct map_slot *slot;
	size_t it = 0;

	watch->topics_asking = false;
	if (status != MR_OK)
		return;
	watch->topics_known = true;
	while ((slot = map_next(&watch->topics, &it)))
		((struct watch_topic *)slot->value)->seen = false;
	for (size_t i = 0; i < n; i++) {
		struct watch_topic *topic = watch_topic_of(watch, topics[i].topic);

		if (!topic)
			topic = topic_new(watch, topics[i].topic);
		topic->seen = true;
		if (topics[i].partition > topic->n)
			grow(topic, topics[i].partition);
	}
	forget_unseen(watch);
}

static void ask_topics(struct watch *watch)
{
	struct scheduler *s = watch->s;

	if (watch->topics_asking || watch->topics_us > s->now_us)
		return;
	watch->topics_us = s->now_us + TOPICS_US;
	watch->topics_asking = bus_query_topics(s->links.watch, watch->tasks) == MR_OK;
}

/* Ends ----------------------------------------------------------------------------------------------------------------- */

static void take_end(struct watch *watch, struct watch_partition *partition, int64_t end)
{
	if (end < 0)
		return;
	if (end != partition->end)
		watch->moved_us = watch->s->now_us;
	/* The log was deleted and made again. */
	if (end < partition->end)
		*partition = (struct watch_partition){.watched = partition->watched, .committed = -1};
	partition->aged = partition->end < 0 ? 0 : partition->end;
	partition->end = end;
}

/* Something that has waited is not read yet, or the committed offset is too old to say that it waits. */
static bool wants_committed(const struct watch *watch, const struct watch_topic *topic)
{
	bool is_old = watch->s->now_us - topic->committed_us >= COMMITTED_US;

	for (int i = 0; i < topic->n; i++) {
		const struct watch_partition *p = &topic->partitions[i];

		if (p->aged > p->committed && (is_old || (p->watched && p->aged > p->position)))
			return true;
	}
	return false;
}

static void on_ends(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	struct scheduler *s = ctx;
	struct watch *watch = s->watch;
	struct map_slot *slot;
	size_t it = 0;

	watch->ends_asking = false;
	watch->ends_told_us = watch->ends_asked_us;
	if (status != MR_OK)
		watch->topics_us = watch_min(watch->topics_us, s->now_us + ENDS_US);
	for (size_t i = 0; i < n; i++) {
		struct watch_topic *topic = watch_topic_of(watch, partitions[i].topic);

		if (topic && partitions[i].partition < topic->n)
			take_end(watch, &topic->partitions[partitions[i].partition], partitions[i].offset);
	}
	while ((slot = map_next(&watch->topics, &it))) {
		struct watch_topic *topic = slot->value;

		topic->wanted |= s->now_us < watch->eager_until_us || wants_committed(watch, topic);
	}
}

static struct bus_partition *all_partitions(const struct watch *watch, size_t *ret_n)
{
	struct bus_partition *partitions;
	struct map_slot *slot;
	size_t it = 0, n = 0;

	while ((slot = map_next(&watch->topics, &it)))
		n += (size_t)((struct watch_topic *)slot->value)->n;
	partitions = mem_realloc_array(NULL, n + 1, sizeof(*partitions));
	it = n = 0;
	while ((slot = map_next(&watch->topics, &it))) {
		struct watch_topic *topic = slot->value;

		for (int i = 0; i < topic->n; i++)
			partitions[n++] = (struct bus_partition){.topic = topic->name, .partition = i};
	}
	*ret_n = n;
	return partitions;
}

static void ask_ends(struct watch *watch)
{
	struct scheduler *s = watch->s;
	CLEANUP_FREE struct bus_partition *partitions = NULL;
	size_t n;

	if (watch->ends_asking || watch->ends_us > s->now_us)
		return;
	watch->ends_us = s->now_us + (s->now_us - watch->moved_us < IDLE_AFTER_US ? ENDS_US : IDLE_ENDS_US);
	watch->ends_asked_us = s->now_us;
	partitions = all_partitions(watch, &n);
	if (n > 0)
		watch->ends_asking = bus_query_ends(s->links.watch, partitions, n) == MR_OK;
}

/* Committed offsets ---------------------------------------------------------------------------------------------------- */

static void take_committed(struct watch_partition *partition, int64_t offset)
{
	if (offset == BUS_OFFSET_BEGINNING)
		offset = 0;
	if (offset < 0)
		return;
	partition->committed = offset;
	partition->limit = partition->limit_next;
	if (partition->position < offset)
		partition->position = offset;
}

static struct watch_topic *topic_of_group(const struct watch *watch, const char *group)
{
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&watch->topics, &it))) {
		struct watch_topic *topic = slot->value;

		if (strcmp(topic->group, group) == 0)
			return topic;
	}
	return NULL;
}

static void on_group_offsets(void *ctx, const char *group, const struct bus_partition *partitions, size_t n,
			     enum mr_status status)
{
	struct scheduler *s = ctx;
	struct watch_topic *topic = topic_of_group(s->watch, group);

	/* A topic that is asked about is not forgotten. */
	assert(topic && topic->asking);
	topic->asking = false;
	if (status != MR_OK)
		return;
	topic->committed_us = topic->asked_us;
	for (size_t i = 0; i < n; i++) {
		if (partitions[i].partition < topic->n)
			take_committed(&topic->partitions[partitions[i].partition], partitions[i].offset);
	}
}

/* A partition that has just become ours is read from the committed offset. */
static void plan_partition(struct watch *watch, struct watch_partition *partition, int id)
{
	const struct scheduler *s = watch->s;
	bool ours = shard_owned(&s->shards[id % s->config.shards]);

	if (ours && !partition->watched) {
		partition->position = 0;
		partition->reading = false;
	}
	partition->watched = ours;
	if (!ours && s->now_us >= watch->sweep_until_us)
		partition->limit_next = 0;
	else
		partition->limit_next = s->now_us < watch->eager_until_us ? partition->end : partition->aged;
}

static void ask_committed(struct watch *watch, struct watch_topic *topic)
{
	struct scheduler *s = watch->s;
	CLEANUP_FREE struct bus_partition *partitions = NULL;

	if (!topic->wanted || topic->asking || topic->n == 0)
		return;
	partitions = mem_realloc_array(NULL, (size_t)topic->n, sizeof(*partitions));
	for (int i = 0; i < topic->n; i++) {
		plan_partition(watch, &topic->partitions[i], i);
		partitions[i] = (struct bus_partition){.topic = topic->name, .partition = i};
	}
	topic->wanted = false;
	topic->asked_us = s->now_us;
	topic->asking = bus_query_group(s->links.watch, topic->group, partitions, (size_t)topic->n) == MR_OK;
}

void watch_ask_turn(struct watch *watch)
{
	struct map_slot *slot;
	size_t it = 0;

	ask_topics(watch);
	ask_ends(watch);
	while ((slot = map_next(&watch->topics, &it)))
		ask_committed(watch, slot->value);
}

int64_t watch_ask_deadline_us(const struct watch *watch)
{
	int64_t deadline_us = watch->topics_asking ? INT64_MAX : watch->topics_us;

	return watch->ends_asking ? deadline_us : watch_min(deadline_us, watch->ends_us);
}

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	(void)ctx;
	(void)tag;
	(void)status;
	(void)partition;
	(void)offset;
	assert(0 && "the watch sends nothing");
}

static void on_health(void *ctx, enum mr_status status, const char *message)
{
	(void)ctx;
	log_debug("deadline watch", LOG_S("status", mr_status_name(status)), LOG_S("detail", message));
}

struct bus_callbacks watch_bus_callbacks(struct scheduler *s)
{
	return (struct bus_callbacks){.ctx = s,
				      .delivered = on_delivered,
				      .ends = on_ends,
				      .topics = on_topics,
				      .group_offsets = on_group_offsets,
				      .health = on_health};
}
