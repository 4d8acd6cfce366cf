/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "lib/watch_impl.h"

/* Reads what is behind the committed offsets and has waited. The set of partitions is made anew where one is to be read that is
 * not in it; without any it is empty, and costs nothing. */

#define CALLS_MAX 32
#define BATCHES_A_TURN 8
/* The last offsets before an end may carry no record. */
#define BARREN_US (5 * 1000 * 1000)
#define BARREN_FOR_US (60 * 1000 * 1000)

static bool wanted(const struct watch *watch, const struct watch_partition *partition)
{
	if (partition->committed < 0 || partition->position >= partition->limit)
		return false;
	return partition->limit > partition->barren || partition->barren_until_us <= watch->s->now_us;
}

/* What would be read now could not be armed. */
static bool is_held(const struct watch *watch)
{
	const struct scheduler *s = watch->s;

	for (int i = 0; i < s->config.shards; i++) {
		if (shard_owned(&s->shards[i]) && s->shards[i].phase != PHASE_READY)
			return true;
	}
	return watch->retry_us > 0 || watch->n_calls >= CALLS_MAX;
}

/* Returns whether one is missing in the set that is read; `ret_any`: whether any is to be read. */
static bool check_set(struct watch *watch, bool *ret_any)
{
	struct map_slot *slot;
	size_t it = 0, n_reading = 0;
	bool missing = false;

	*ret_any = false;
	while ((slot = map_next(&watch->topics, &it))) {
		struct watch_topic *topic = slot->value;

		for (int i = 0; i < topic->n; i++) {
			bool is_wanted = wanted(watch, &topic->partitions[i]);

			*ret_any |= is_wanted;
			n_reading += is_wanted && topic->partitions[i].reading;
			missing |= is_wanted && !topic->partitions[i].reading;
		}
	}
	/* A new set drops what was fetched: not for each one of many. */
	return missing && n_reading <= WATCH_READ_MAX / 2;
}

static size_t make_set(struct watch *watch, struct bus_partition *set)
{
	struct map_slot *slot;
	size_t it = 0, n = 0;

	while ((slot = map_next(&watch->topics, &it))) {
		struct watch_topic *topic = slot->value;

		for (int i = 0; i < topic->n; i++) {
			struct watch_partition *partition = &topic->partitions[i];

			partition->reading = n < WATCH_READ_MAX && wanted(watch, partition);
			if (!partition->reading)
				continue;
			partition->progress_us = watch->s->now_us;
			set[n++] = (struct bus_partition){.topic = topic->name, .partition = i, .offset = partition->position};
		}
	}
	return n;
}

static void read_set(struct watch *watch)
{
	struct bus_partition set[WATCH_READ_MAX];
	bool any, missing = check_set(watch, &any);
	size_t n;

	if (!watch->changed && !missing && (any || !watch->reading))
		return;
	n = make_set(watch, set);
	watch->changed = bus_read(watch->s->links.watch, set, n) != MR_OK;
	watch->reading = n > 0;
}

bool watch_read_is_through(const struct watch *watch, int64_t since_us)
{
	struct map_slot *slot;
	size_t it = 0;

	if (watch->ends_told_us < since_us)
		return false;
	while ((slot = map_next(&watch->topics, &it))) {
		const struct watch_topic *topic = slot->value;

		if (topic->wanted || topic->asking)
			return false;
		for (int i = 0; i < topic->n; i++) {
			if (wanted(watch, &topic->partitions[i]))
				return false;
		}
	}
	return true;
}

static void take_one(struct watch *watch, struct watch_partition *partition, const struct bus_message *message,
		     struct watched *records, size_t *n)
{
	bool searching = watch->searches.len > 0;

	watch->s->stats.watch_read++;
	if (!watch_understand(watch, message, searching, &records[*n]))
		return;
	if (searching)
		watch_search_seen(watch, &records[*n]);
	if (partition->watched || shard_owned(&watch->s->shards[records[*n].shard]))
		(*n)++;
}

static struct watch_partition *partition_of(const struct watch *watch, const struct bus_message *message)
{
	struct watch_topic *topic = watch_topic_of(watch, message->topic);

	return topic && message->partition < topic->n ? &topic->partitions[message->partition] : NULL;
}

static void take_batch(struct watch *watch, struct bus_message *const *messages, size_t n)
{
	struct watched records[WATCH_BATCH];
	size_t n_records = 0;

	for (size_t i = 0; i < n; i++) {
		struct watch_partition *partition = partition_of(watch, messages[i]);

		if (!partition || !partition->reading || messages[i]->offset < partition->position)
			continue;
		/* It has not waited yet, and is read again when it has. */
		if (messages[i]->offset >= partition->limit) {
			partition->reading = false;
			continue;
		}
		age_note(&partition->age, messages[i]->offset, messages[i]->timestamp_ms);
		take_one(watch, partition, messages[i], records, &n_records);
		partition->position = messages[i]->offset + 1;
		partition->progress_us = watch->s->now_us;
	}
	watch_arm(watch, records, n_records);
	arena_reset(&watch->s->arena);
}

static void take(struct watch *watch)
{
	struct bus *bus = watch->s->links.watch;
	struct bus_message *messages[WATCH_BATCH];

	for (int batch = 0; batch < BATCHES_A_TURN && !is_held(watch); batch++) {
		size_t n = bus_take_any(bus, messages, WATCH_BATCH);

		take_batch(watch, messages, n);
		for (size_t i = 0; i < n; i++)
			bus_message_free(bus, messages[i]);
		if (n < WATCH_BATCH)
			break;
	}
}

/* A partition that gives nothing more before its limit is left alone until it has grown. */
static void notice_barren(struct watch *watch)
{
	int64_t now_us = watch->s->now_us;
	bool held = is_held(watch);
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&watch->topics, &it))) {
		struct watch_topic *topic = slot->value;

		for (int i = 0; i < topic->n; i++) {
			struct watch_partition *partition = &topic->partitions[i];

			if (!partition->reading || !wanted(watch, partition))
				continue;
			if (held)
				partition->progress_us = now_us;
			if (now_us - partition->progress_us < BARREN_US)
				continue;
			partition->barren = partition->limit;
			partition->barren_until_us = now_us + BARREN_FOR_US;
		}
	}
}

void watch_read_turn(struct watch *watch)
{
	if (watch->reading) {
		take(watch);
		notice_barren(watch);
	}
	if (!is_held(watch))
		read_set(watch);
}

void watch_read_end(struct watch *watch)
{
	struct map_slot *slot;
	size_t it = 0;

	if (!watch->reading)
		return;
	while ((slot = map_next(&watch->topics, &it))) {
		struct watch_topic *topic = slot->value;

		for (int i = 0; i < topic->n; i++)
			topic->partitions[i].reading = false;
	}
	watch->reading = bus_read(watch->s->links.watch, NULL, 0) != MR_OK;
}

int64_t watch_read_deadline_us(const struct watch *watch)
{
	return watch->changed ? watch->s->now_us + RETRY_US / 10 : INT64_MAX;
}
