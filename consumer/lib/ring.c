/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ring.h"

#include <assert.h>

size_t ring_bytes(size_t capacity)
{
	return sizeof(struct ring) + capacity * sizeof(uint64_t);
}

struct ring *ring_init(void *memory, size_t capacity)
{
	struct ring *ring = memory;

	assert(capacity > 0 && (capacity & (capacity - 1)) == 0);
	assert((uintptr_t)memory % 64 == 0);
	ring->mask = capacity - 1;
	ring_reset(ring);
	return ring;
}

void ring_reset(struct ring *ring)
{
	atomic_store(&ring->head, 0);
	atomic_store(&ring->tail, 0);
}

bool ring_push(struct ring *ring, uint64_t item, uint64_t *ret_position)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	if (tail - atomic_load(&ring->head) > ring->mask)
		return false;
	atomic_store_explicit(&ring->items[tail & ring->mask], item, memory_order_relaxed);
	/* Sequentially consistent: the producer then looks at head, the consumer at tail, and one of them must see the other
	 * (pool_wake). */
	atomic_store(&ring->tail, tail + 1);
	*ret_position = tail;
	return true;
}

bool ring_pop(struct ring *ring, uint64_t *ret_item)
{
	uint64_t head = atomic_load(&ring->head);

	while (head != atomic_load(&ring->tail)) {
		uint64_t item = atomic_load_explicit(&ring->items[head & ring->mask], memory_order_relaxed);

		/* The slot is filled anew only after head has moved on, so if head is still here, the item was this one. */
		if (atomic_compare_exchange_weak(&ring->head, &head, head + 1)) {
			*ret_item = item;
			return true;
		}
	}
	return false;
}

bool ring_peek(struct ring *ring, uint64_t *ret_item)
{
	uint64_t head = atomic_load(&ring->head);

	if (head == atomic_load(&ring->tail))
		return false;
	*ret_item = atomic_load_explicit(&ring->items[head & ring->mask], memory_order_relaxed);
	return true;
}

bool ring_empty(struct ring *ring)
{
	return ring_len(ring) == 0;
}

size_t ring_len(struct ring *ring)
{
	uint64_t head = atomic_load(&ring->head);

	return (size_t)(atomic_load(&ring->tail) - head);
}

uint64_t ring_head(struct ring *ring)
{
	return atomic_load(&ring->head);
}
