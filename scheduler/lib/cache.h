/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_CACHE_H
#define SCHEDULER_CACHE_H

#include "base/bytes.h"

/*
 * Journal records of tasks that wait, by (shard, offset): so that a task that comes due need not be read from Kafka again.
 * Bounded by bytes: what is due latest goes first, and nothing that is due sooner goes for it.
 */
struct cache;

struct cache *cache_new(size_t max_bytes);
void cache_free(struct cache *cache);
/* Copies, where there is room. Records above an eighth of the bound are not kept. */
void cache_put(struct cache *cache, int shard, int64_t offset, int64_t due_ms, struct bytes record);
/* Whether there is room, or something that is due later and would go. */
bool cache_takes(const struct cache *cache, int64_t due_ms);
/* Borrowed until the next put or drop; absent where it is not here. */
struct bytes cache_get(const struct cache *cache, int shard, int64_t offset);
void cache_drop(struct cache *cache, int shard, int64_t offset);
/* Everything of a shard that is ours no more. */
void cache_drop_shard(struct cache *cache, int shard);
/* What was due before and is here still was superseded: it goes where room gets short. */
void cache_drop_overdue(struct cache *cache, int64_t before_ms);
size_t cache_bytes(const struct cache *cache);

#endif
