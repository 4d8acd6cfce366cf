/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_OFFSETS_H
#define TASK_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Settled offsets of one partition: which offset may be committed. Offsets are taken in rising order (gaps are normal:
 * compaction, transaction markers) and settled in any order; the watermark is the lowest taken offset that is not settled, or one
 * past the last taken.
 */
struct offsets {
	int64_t *ring; /* taken and not passed by the watermark, rising; settled ones as -1 - offset */
	size_t cap;    /* a power of two, or 0 */
	size_t head;   /* index of the oldest; it is not settled */
	size_t len;
	int64_t next; /* one past the last taken; -1 before the first */
	size_t open;  /* taken, not settled */
};

void offsets_init(struct offsets *offsets);
void offsets_deinit(struct offsets *offsets);
/* `offset` was read; what lies between the last one and it does not exist. False where it was taken before (a repeat). */
bool offsets_take(struct offsets *offsets, int64_t offset);
/* O(1) where offsets follow each other, else by binary search. What was not taken or is settled already is left alone. */
void offsets_settle(struct offsets *offsets, int64_t offset);
/* What to commit (Kafka's convention: the next offset to read); -1 where nothing was taken. */
int64_t offsets_watermark(const struct offsets *offsets);

#endif
