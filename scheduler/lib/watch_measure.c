/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/watch_impl.h"

/* How much waits in the task queues, and for how long: of the partitions that this scheduler watches, so that the sum over all
 * schedulers is the whole. */

/* Nothing of a topic that is not asked about any more. */
static bool is_measured(const struct watch *watch, const struct watch_topic *topic, int partition)
{
	const struct scheduler *s = watch->s;
	const struct watch_partition *p = &topic->partitions[partition];

	return shard_owned(&s->shards[partition % s->config.shards]) && p->committed >= 0 && p->end > p->committed;
}

static void measure(struct watch *watch, struct watch_topic *topic, int64_t now_ms)
{
	int64_t backlog = 0, oldest_ms = now_ms;

	for (int i = 0; i < topic->n; i++) {
		struct watch_partition *partition = &topic->partitions[i];
		int64_t at_ms;

		age_settled(&partition->age, partition->committed);
		if (!is_measured(watch, topic, i))
			continue;
		backlog += partition->end - partition->committed;
		at_ms = age_oldest_ms(&partition->age);
		if (at_ms >= 0 && at_ms < oldest_ms)
			oldest_ms = at_ms;
	}
	metric_set(topic->backlog, backlog);
	metric_set(topic->oldest, (now_ms - oldest_ms) * 1000);
}

void watch_measure(struct watch *watch)
{
	const struct scheduler *s = watch->s;
	int64_t now_ms = s->links.redis->time_ms(s->links.store, s->now_us);
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&watch->topics, &it)))
		measure(watch, slot->value, now_ms);
}
