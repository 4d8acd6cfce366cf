/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_CACHE_H
#define SCHEDULER_CACHE_H

#include "base/bytes.h"

/*
 * Journal records of tasks that wait, by (shard, offset): so that a task that comes due need not be read from Kafka again.
 * Bounded by bytes; what was put longest ago goes first.
 */
struct cache;

struct cache *cache_new(size_t max_bytes);
void cache_free(struct cache *cache);
/* Copies. Records above an eighth of the bound are not kept. */
void cache_put(struct cache *cache, int shard, int64_t offset, struct bytes record);
/* Borrowed until the next put or drop; absent where it is not here. */
struct bytes cache_get(const struct cache *cache, int shard, int64_t offset);
void cache_drop(struct cache *cache, int shard, int64_t offset);
/* Everything of a shard that is ours no more. */
void cache_drop_shard(struct cache *cache, int shard);
size_t cache_bytes(const struct cache *cache);

#endif
