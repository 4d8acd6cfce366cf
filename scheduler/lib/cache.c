/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/cache.h"

#include <assert.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

struct place {
	int64_t offset;
	int64_t shard;
};

struct entry {
	struct place place; /* the key in the map */
	struct entry *older, *newer;
	size_t len;
	char data[];
};

struct cache {
	struct map map;
	struct entry *oldest, *newest;
	size_t bytes, max_bytes;
};

/* What an entry costs besides its bytes: itself, malloc's head, its slots in a map that is at least half full. */
#define ENTRY_COST (sizeof(struct entry) + 16 + 2 * sizeof(struct map_slot))

static struct bytes place_bytes(const struct place *place)
{
	return (struct bytes){(const char *)place, sizeof(*place)};
}

struct cache *cache_new(size_t max_bytes)
{
	struct cache *cache = mem_alloc(sizeof(*cache));

	cache->max_bytes = max_bytes;
	return cache;
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	for (struct entry *entry = cache->oldest, *next; entry; entry = next) {
		next = entry->newer;
		free(entry);
	}
	map_deinit(&cache->map);
	free(cache);
}

static void entry_remove(struct cache *cache, struct entry *entry)
{
	map_remove(&cache->map, place_bytes(&entry->place));
	*(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
	assert(cache->bytes >= entry->len + ENTRY_COST);
	cache->bytes -= entry->len + ENTRY_COST;
	free(entry);
}

static struct entry *entry_find(const struct cache *cache, int shard, int64_t offset)
{
	struct place place = {.offset = offset, .shard = shard};

	return map_get(&cache->map, place_bytes(&place));
}

void cache_put(struct cache *cache, int shard, int64_t offset, struct bytes record)
{
	struct entry *entry;

	cache_drop(cache, shard, offset);
	if (record.len > cache->max_bytes / 8)
		return;
	while (cache->oldest && cache->bytes + record.len + ENTRY_COST > cache->max_bytes)
		entry_remove(cache, cache->oldest);
	entry = mem_alloc(sizeof(*entry) + record.len);
	entry->place = (struct place){.offset = offset, .shard = shard};
	entry->len = record.len;
	memcpy(entry->data, record.data, record.len);
	entry->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
	cache->newest = entry;
	cache->bytes += record.len + ENTRY_COST;
	map_put(&cache->map, place_bytes(&entry->place), entry);
}

struct bytes cache_get(const struct cache *cache, int shard, int64_t offset)
{
	const struct entry *entry = entry_find(cache, shard, offset);

	return entry ? (struct bytes){entry->data, entry->len} : BYTES_NONE;
}

void cache_drop(struct cache *cache, int shard, int64_t offset)
{
	struct entry *entry = entry_find(cache, shard, offset);

	if (entry)
		entry_remove(cache, entry);
}

void cache_drop_shard(struct cache *cache, int shard)
{
	for (struct entry *entry = cache->oldest, *next; entry; entry = next) {
		next = entry->newer;
		if (entry->place.shard == shard)
			entry_remove(cache, entry);
	}
}

size_t cache_bytes(const struct cache *cache)
{
	return cache->bytes;
}
