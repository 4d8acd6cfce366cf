/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define ARENA_ALIGN 16
#define ARENA_FIRST_BYTES 4096
#define ARENA_BLOCK_MAX_BYTES (256 * 1024)
/* A larger block is given back by arena_reset: one huge task must not pin its memory for ever. */
#define ARENA_KEEP_MAX_BYTES (64 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	_Alignas(ARENA_ALIGN) char data[];
};

static void blocks_free(struct arena_block *block)
{
	while (block) {
		struct arena_block *next = block->next;

		free(block);
		block = next;
	}
}

void arena_deinit(struct arena *arena)
{
	if (!arena)
		return;
	blocks_free(arena->head);
	arena->head = NULL;
}

/* The head is the newest and, as blocks double, the largest of ordinary size. */
void arena_reset(struct arena *arena)
{
	struct arena_block *head = arena->head;

	while (head && head->size > ARENA_KEEP_MAX_BYTES) {
		struct arena_block *next = head->next;

		free(head);
		head = next;
	}
	if (head) {
		blocks_free(head->next);
		head->next = NULL;
		head->used = 0;
	}
	arena->head = head;
}

static void block_push(struct arena *arena, size_t need)
{
	size_t size = arena->head ? arena->head->size * 2 : ARENA_FIRST_BYTES;

	if (size > ARENA_BLOCK_MAX_BYTES)
		size = ARENA_BLOCK_MAX_BYTES;
	if (size < need)
		size = need;
	assert(size <= SIZE_MAX - sizeof(struct arena_block));
	struct arena_block *block = mem_realloc(NULL, sizeof(*block) + size);
	block->next = arena->head;
	block->size = size;
	block->used = 0;
	arena->head = block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	assert(size <= SIZE_MAX - ARENA_ALIGN);
	size_t rounded = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);

	if (!arena->head || arena->head->size - arena->head->used < rounded)
		block_push(arena, rounded);
	struct arena_block *block = arena->head;
	char *p = block->data + block->used;
	block->used += rounded;
	assert(block->used <= block->size);
	return memset(p, 0, size);
}

struct bytes arena_copy(struct arena *arena, struct bytes b)
{
	if (!bytes_present(b))
		return BYTES_NONE;
	assert(b.len < SIZE_MAX);
	char *copy = arena_alloc(arena, b.len + 1);
	memcpy(copy, b.data, b.len);
	return (struct bytes){copy, b.len};
}

struct bytes arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(len >= 0);
	char *text = arena_alloc(arena, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	return (struct bytes){text, (size_t)len};
}
