/* SPDX-License-Identifier: Apache-2.0 */
#include "task/offsets.h"

#include <assert.h>

#include "base/mem.h"

/* Kept per record that was taken, not per offset, so that a gap of any width (purged records, a compacted log) costs nothing. */

#define FIRST_CAP 64

void offsets_init(struct offsets *offsets)
{
	*offsets = (struct offsets){.next = -1};
}

void offsets_deinit(struct offsets *offsets)
{
	if (!offsets)
		return;
	free(offsets->ring);
	offsets_init(offsets);
}

static int64_t *slot(const struct offsets *offsets, size_t i)
{
	return &offsets->ring[(offsets->head + i) & (offsets->cap - 1)];
}

static bool is_settled(int64_t entry)
{
	return entry < 0;
}

static int64_t offset_of(int64_t entry)
{
	return is_settled(entry) ? -1 - entry : entry;
}

static void grow(struct offsets *offsets)
{
	size_t cap = offsets->cap ? offsets->cap * 2 : FIRST_CAP;
	int64_t *ring = mem_realloc_array(NULL, cap, sizeof(*ring));

	for (size_t i = 0; i < offsets->len; i++)
		ring[i] = *slot(offsets, i);
	free(offsets->ring);
	offsets->ring = ring;
	offsets->cap = cap;
	offsets->head = 0;
}

bool offsets_take(struct offsets *offsets, int64_t offset)
{
	assert(offset >= 0 && offset < INT64_MAX);
	if (offset < offsets->next)
		return false;
	if (offsets->len == offsets->cap)
		grow(offsets);
	*slot(offsets, offsets->len) = offset;
	offsets->len++;
	offsets->open++;
	offsets->next = offset + 1;
	return true;
}

/* Offsets rise by at least one an entry, so entry i holds at least the oldest offset + i: `offset` is not behind its distance. */
static int64_t *find(const struct offsets *offsets, int64_t offset)
{
	if (offsets->len == 0 || offset < offset_of(*slot(offsets, 0)) || offset >= offsets->next)
		return NULL;
	uint64_t distance = (uint64_t)(offset - offset_of(*slot(offsets, 0)));
	size_t low = 0, high = distance < offsets->len ? (size_t)distance : offsets->len - 1;
	if (offset_of(*slot(offsets, high)) == offset)
		return slot(offsets, high);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (offset_of(*slot(offsets, middle)) < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return offset_of(*slot(offsets, low)) == offset ? slot(offsets, low) : NULL;
}

void offsets_settle(struct offsets *offsets, int64_t offset)
{
	int64_t *entry = find(offsets, offset);

	if (!entry || is_settled(*entry))
		return;
	*entry = -1 - offset;
	offsets->open--;
	while (offsets->len > 0 && is_settled(*slot(offsets, 0))) {
		offsets->head = (offsets->head + 1) & (offsets->cap - 1);
		offsets->len--;
	}
	assert(offsets->open <= offsets->len);
}

int64_t offsets_watermark(const struct offsets *offsets)
{
	return offsets->len > 0 ? *slot(offsets, 0) : offsets->next;
}
