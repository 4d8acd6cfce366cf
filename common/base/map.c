/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <assert.h>

#include "base/mem.h"

#define MAP_FIRST_SLOTS 16

static bool slot_used(const struct map_slot *slot)
{
	return slot->key.data != NULL;
}

void map_deinit(struct map *map)
{
	if (!map)
		return;
	free(map->slots);
	*map = (struct map){0};
}

/* The slot that holds `key`, else the free one where it belongs. At least one slot is free, so the walk ends. */
static struct map_slot *slot_find(const struct map *map, struct bytes key, uint64_t hash)
{
	size_t mask = map->cap - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct map_slot *slot = &map->slots[i];

		if (!slot_used(slot) || (slot->hash == hash && bytes_equal(slot->key, key)))
			return slot;
	}
}

static void map_grow(struct map *map)
{
	struct map larger = {.cap = map->cap ? map->cap * 2 : MAP_FIRST_SLOTS, .len = map->len};

	larger.slots = mem_alloc(larger.cap * sizeof(*larger.slots));
	for (size_t i = 0; i < map->cap; i++)
		if (slot_used(&map->slots[i]))
			*slot_find(&larger, map->slots[i].key, map->slots[i].hash) = map->slots[i];
	free(map->slots);
	*map = larger;
}

void *map_get(const struct map *map, struct bytes key)
{
	assert(bytes_present(key));
	if (map->len == 0)
		return NULL;
	return slot_find(map, key, bytes_hash(key))->value;
}

void *map_put(struct map *map, struct bytes key, void *value)
{
	assert(bytes_present(key));
	assert(value);
	if ((map->len + 1) * 4 > map->cap * 3)
		map_grow(map);
	uint64_t hash = bytes_hash(key);
	struct map_slot *slot = slot_find(map, key, hash);
	void *former = slot->value;
	if (!slot_used(slot))
		map->len++;
	*slot = (struct map_slot){.key = key, .value = value, .hash = hash};
	return former;
}

/* Moves back what stood behind the hole and would no longer be found: no tombstones, so churn does not slow the table down. */
static void slot_clear(struct map *map, struct map_slot *slot)
{
	size_t mask = map->cap - 1;
	size_t hole = (size_t)(slot - map->slots);

	for (size_t i = (hole + 1) & mask; slot_used(&map->slots[i]); i = (i + 1) & mask) {
		size_t home = map->slots[i].hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	map->slots[hole] = (struct map_slot){0};
}

void *map_remove(struct map *map, struct bytes key)
{
	assert(bytes_present(key));
	if (map->len == 0)
		return NULL;
	struct map_slot *slot = slot_find(map, key, bytes_hash(key));
	void *value = slot->value;
	if (slot_used(slot)) {
		slot_clear(map, slot);
		map->len--;
	}
	return value;
}

struct map_slot *map_next(const struct map *map, size_t *it)
{
	while (*it < map->cap) {
		struct map_slot *slot = &map->slots[(*it)++];

		if (slot_used(slot))
			return slot;
	}
	return NULL;
}
