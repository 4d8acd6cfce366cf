/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/watch.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/watch_impl.h"

/* So old an answer about committed offsets still says that a record waits. */
#define FRESH_US (3 * 1000 * 1000)
#define SWEEP_US (60 * 1000 * 1000)
#define OFFSET_MAX_DIGITS 18

struct watch *watch_new(struct scheduler *s)
{
	struct watch *watch = mem_alloc(sizeof(*watch));
	struct buf tasks = {0};

	watch->s = s;
	buf_printf(&tasks, "%stasks.", s->prefix);
	watch->tasks = mem_strndup(tasks.data, tasks.len);
	buf_deinit(&tasks);
	return watch;
}

void watch_free(struct watch *watch)
{
	struct map_slot *slot;
	size_t it = 0;

	if (!watch)
		return;
	watch_search_free(watch);
	while ((slot = map_next(&watch->topics, &it)))
		watch_topic_free(slot->value);
	map_deinit(&watch->topics);
	free(watch->tasks);
	free(watch);
}

struct watch_topic *watch_topic_of(const struct watch *watch, const char *name)
{
	return map_get(&watch->topics, bytes_of(name));
}

void watch_rewind(struct watch *watch)
{
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&watch->topics, &it))) {
		struct watch_topic *topic = slot->value;

		for (int i = 0; i < topic->n; i++) {
			struct watch_partition *partition = &topic->partitions[i];

			partition->position = partition->limit = partition->barren = 0;
			partition->reading = false;
		}
		topic->wanted = true;
	}
	watch->ends_us = watch->s->now_us;
	watch->changed = watch->reading;
}

void watch_recovered(struct shard *shard)
{
	struct watch *watch = shard->s->watch;

	watch->sweep_until_us = shard->s->now_us + SWEEP_US;
	watch_rewind(watch);
}

static bool is_active(const struct watch *watch)
{
	const struct scheduler *s = watch->s;

	for (int i = 0; i < s->config.shards; i++) {
		if (shard_owned(&s->shards[i]))
			return s->links.watch && !s->stopping;
	}
	return false;
}

void watch_turn(struct watch *watch)
{
	if (!is_active(watch)) {
		watch_read_end(watch);
		return;
	}
	if (watch->retry_us > 0 && watch->retry_us <= watch->s->now_us) {
		watch->retry_us = 0;
		watch_rewind(watch);
	}
	watch_ask_turn(watch);
	watch_read_turn(watch);
	watch_search_turn(watch);
}

int64_t watch_deadline_us(const struct watch *watch)
{
	int64_t deadline_us;

	if (!is_active(watch))
		return INT64_MAX;
	deadline_us = watch_min(watch_ask_deadline_us(watch), watch_read_deadline_us(watch));
	deadline_us = watch_min(deadline_us, watch_search_deadline_us(watch));
	return watch->retry_us > 0 ? watch_min(deadline_us, watch->retry_us) : deadline_us;
}

/* Where records are ---------------------------------------------------------------------------------------------------- */

static bool number_behind(struct bytes *text, int64_t *ret)
{
	int64_t value = 0, unit = 1;
	size_t digits = 0;

	while (text->len > 0 && text->data[text->len - 1] != ':') {
		char c = text->data[--text->len];

		if (c < '0' || c > '9' || ++digits > OFFSET_MAX_DIGITS)
			return false;
		value += (c - '0') * unit;
		unit *= 10;
	}
	if (text->len == 0 || digits == 0)
		return false;
	text->len--;
	*ret = value;
	return true;
}

/* topic:partition:offset. NULL where no such partition is known. */
static const struct watch_partition *partition_at(const struct watch *watch, struct bytes place, struct watch_topic **ret_topic,
						  int64_t *ret_offset)
{
	int64_t partition;

	*ret_topic = NULL;
	if (!number_behind(&place, ret_offset) || !number_behind(&place, &partition))
		return NULL;
	*ret_topic = map_get(&watch->topics, place);
	if (!*ret_topic || partition >= (*ret_topic)->n)
		return NULL;
	return &(*ret_topic)->partitions[partition];
}

bool watch_is_waiting(struct scheduler *s, struct bytes place)
{
	struct watch *watch = s->watch;
	struct watch_topic *topic;
	int64_t offset;
	const struct watch_partition *partition = partition_at(watch, place, &topic, &offset);

	if (!partition || partition->committed > offset)
		return false;
	if (partition->committed >= 0 && topic->committed_us > 0 && s->now_us - topic->committed_us <= FRESH_US)
		return true;
	topic->wanted = true;
	return false;
}

bool watch_has_passed(struct scheduler *s, struct bytes place)
{
	struct watch_topic *topic;
	int64_t offset;
	const struct watch_partition *partition = partition_at(s->watch, place, &topic, &offset);

	if (!partition)
		return s->watch->topics_known && !topic;
	return partition->committed > offset;
}
