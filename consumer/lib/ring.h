/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_RING_H
#define CONSUMER_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The queue from the loop to the executors, in shared memory: one producer, many consumers, first in, first out. A consumer that
 * dies anywhere leaves it whole: it reads a slot and then takes it by one compare-and-swap of `head`. What it held in its hands
 * may be lost, so the producer may push an item again; that is harmless because an attempt starts by its ledger word only.
 */
struct ring {
	_Alignas(64) _Atomic uint64_t head; /* next to take */
	_Alignas(64) _Atomic uint64_t tail; /* next to fill; the producer's */
	uint64_t mask;
	_Alignas(64) _Atomic uint64_t items[];
};

/* `capacity`: a power of two. */
size_t ring_bytes(size_t capacity);
struct ring *ring_init(void *memory, size_t capacity);
void ring_reset(struct ring *ring);
/* False where it is full. *ret_position: where it lies; below ring_head() it was taken. */
bool ring_push(struct ring *ring, uint64_t item, uint64_t *ret_position);
bool ring_pop(struct ring *ring, uint64_t *ret_item);
/* The item that comes next, for the producer to look at; false where it is empty. */
bool ring_peek(struct ring *ring, uint64_t *ret_item);
bool ring_empty(struct ring *ring);
size_t ring_len(struct ring *ring);
uint64_t ring_head(struct ring *ring);

#endif
