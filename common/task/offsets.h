/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_OFFSETS_H
#define TASK_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Settled offsets of one partition: which offset may be committed. Offsets are taken in rising order (gaps are normal: compaction, transaction markers)
 * and settled in any order; the watermark is the lowest taken offset that is not settled, or one past the last taken.
 */
struct offsets {
	uint64_t *bits;    /* ring of settled bits, index (offset - base) */
	size_t cap;        /* bits, a power of two */
	int64_t base;      /* the watermark */
	int64_t next;      /* one past the last taken; -1 before the first */
	size_t open;       /* taken, not settled */
};

void offsets_init(struct offsets *offsets);
void offsets_deinit(struct offsets *offsets);
/* `offset` was read; what lies between the last one and it does not exist. False where it was taken before (a repeat). */
bool offsets_take(struct offsets *offsets, int64_t offset);
void offsets_settle(struct offsets *offsets, int64_t offset);
/* What to commit (Kafka's convention: the next offset to read); -1 where nothing was taken. */
int64_t offsets_watermark(const struct offsets *offsets);

#endif
