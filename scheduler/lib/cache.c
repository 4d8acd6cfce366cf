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
	int64_t due_ms;
	size_t at; /* in the heap */
	struct entry *older, *newer;
	size_t len;
	char data[];
};

struct cache {
	struct map map;
	struct entry *oldest, *newest;
	struct entry **heap; /* what is due latest is on top */
	size_t len, cap;
	size_t bytes, max_bytes;
};

/* What an entry costs besides its bytes: itself, malloc's head, its place in the heap, its slots in a map that is at least half full. */
#define ENTRY_COST (sizeof(struct entry) + 16 + 2 * sizeof(struct entry *) + 2 * sizeof(struct map_slot))

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
	free(cache->heap);
	free(cache);
}

static void place_at(struct cache *cache, size_t at, struct entry *entry)
{
	cache->heap[at] = entry;
	entry->at = at;
}

/* Finds the place of an entry that begins at `at`: up, then down. */
static void settle(struct cache *cache, size_t at, struct entry *entry)
{
	for (; at > 0 && cache->heap[(at - 1) / 2]->due_ms < entry->due_ms; at = (at - 1) / 2)
		place_at(cache, at, cache->heap[(at - 1) / 2]);
	for (size_t child; (child = 2 * at + 1) < cache->len; at = child) {
		if (child + 1 < cache->len && cache->heap[child + 1]->due_ms > cache->heap[child]->due_ms)
			child++;
		if (cache->heap[child]->due_ms <= entry->due_ms)
			break;
		place_at(cache, at, cache->heap[child]);
	}
	place_at(cache, at, entry);
}

static void heap_put(struct cache *cache, struct entry *entry)
{
	if (cache->len == cache->cap) {
		cache->cap = cache->cap ? cache->cap * 2 : 64;
		cache->heap = mem_realloc_array(cache->heap, cache->cap, sizeof(struct entry *));
	}
	settle(cache, cache->len++, entry);
}

static void heap_remove(struct cache *cache, const struct entry *entry)
{
	struct entry *last = cache->heap[--cache->len];

	assert(cache->heap[entry->at] == entry);
	if (last != entry)
		settle(cache, entry->at, last);
}

static void entry_remove(struct cache *cache, struct entry *entry)
{
	map_remove(&cache->map, place_bytes(&entry->place));
	heap_remove(cache, entry);
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

static struct entry *entry_new(int shard, int64_t offset, int64_t due_ms, struct bytes record)
{
	struct entry *entry = mem_alloc(sizeof(*entry) + record.len);

	entry->place = (struct place){.offset = offset, .shard = shard};
	entry->due_ms = due_ms;
	entry->len = record.len;
	memcpy(entry->data, record.data, record.len);
	return entry;
}

void cache_put(struct cache *cache, int shard, int64_t offset, int64_t due_ms, struct bytes record)
{
	size_t cost = record.len + ENTRY_COST;
	struct entry *entry;

	cache_drop(cache, shard, offset);
	if (record.len > cache->max_bytes / 8)
		return;
	while (cache->len > 0 && cache->bytes + cost > cache->max_bytes && cache->heap[0]->due_ms > due_ms)
		entry_remove(cache, cache->heap[0]);
	if (cache->bytes + cost > cache->max_bytes)
		return;
	entry = entry_new(shard, offset, due_ms, record);
	entry->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
	cache->newest = entry;
	cache->bytes += cost;
	heap_put(cache, entry);
	map_put(&cache->map, place_bytes(&entry->place), entry);
}

bool cache_takes(const struct cache *cache, int64_t due_ms)
{
	return cache->len == 0 || cache->bytes < cache->max_bytes - cache->max_bytes / 8 || cache->heap[0]->due_ms > due_ms;
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

void cache_drop_overdue(struct cache *cache, int64_t before_ms)
{
	if (cache->bytes < cache->max_bytes / 2)
		return;
	for (struct entry *entry = cache->oldest, *next; entry; entry = next) {
		next = entry->newer;
		if (entry->due_ms < before_ms)
			entry_remove(cache, entry);
	}
}

size_t cache_bytes(const struct cache *cache)
{
	return cache->bytes;
}
