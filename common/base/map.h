/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/bytes.h"

/* A hash table from bytes to pointers (open addressing, grows by itself). Keys are borrowed: they must live as long as their entry
 * (usually they lie inside the value). Zero-initialise it. */
struct map_slot {
	struct bytes key;
	void *value;
	uint64_t hash;
};

struct map {
	struct map_slot *slots;
	size_t cap; /* a power of two, or 0 */
	size_t len;
};

void map_deinit(struct map *map);
void *map_get(const struct map *map, struct bytes key);
/* Sets or replaces; returns the former value or NULL. */
void *map_put(struct map *map, struct bytes key, void *value);
/* Returns the removed value or NULL. */
void *map_remove(struct map *map, struct bytes key);
/* Iterates: start with *it = 0; returns NULL at the end. Do not change the map while iterating. */
struct map_slot *map_next(const struct map *map, size_t *it);

#endif
