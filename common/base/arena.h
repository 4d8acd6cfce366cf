/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

/*
 * A bump allocator: everything allocated from it is freed at once. Zero-initialise it. Memory for decoded
 * records, messages and strings that live exactly as long as one task. Allocation aborts the program where malloc fails.
 */
struct arena_block;
struct arena {
	struct arena_block *head;
};

void arena_deinit(struct arena *arena);
/* Keeps one block for reuse, forgets everything else. */
void arena_reset(struct arena *arena);
/* Aligned to 16 bytes, zeroed. */
void *arena_alloc(struct arena *arena, size_t size);
/* Copies, with a NUL behind the last byte (not counted in len). An absent run stays absent. */
struct bytes arena_copy(struct arena *arena, struct bytes b);
struct bytes arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
