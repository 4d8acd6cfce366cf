/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/timers.h"

#include <assert.h>

#include "base/mem.h"

void timers_deinit(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){0};
}

static void put(struct timers *timers, size_t place, struct timer *timer)
{
	timers->heap[place - 1] = timer;
	timer->place = place;
}

static void sift_up(struct timers *timers, struct timer *timer)
{
	size_t place = timer->place;

	while (place > 1 && timers->heap[place / 2 - 1]->at_us > timer->at_us) {
		put(timers, place, timers->heap[place / 2 - 1]);
		place /= 2;
	}
	put(timers, place, timer);
}

static void sift_down(struct timers *timers, struct timer *timer)
{
	size_t place = timer->place;

	for (;;) {
		size_t child = 2 * place;

		if (child < timers->len && timers->heap[child]->at_us < timers->heap[child - 1]->at_us)
			child++;
		if (child > timers->len || timers->heap[child - 1]->at_us >= timer->at_us)
			break;
		put(timers, place, timers->heap[child - 1]);
		place = child;
	}
	put(timers, place, timer);
}

void timers_set(struct timers *timers, struct timer *timer, int64_t at_us)
{
	timer->at_us = at_us;
	if (timer->place == 0) {
		if (timers->len == timers->cap) {
			timers->cap = timers->cap ? timers->cap * 2 : 64;
			timers->heap = mem_realloc_array(timers->heap, timers->cap, sizeof(timers->heap[0]));
		}
		put(timers, ++timers->len, timer);
	}
	assert(timers->heap[timer->place - 1] == timer);
	sift_up(timers, timer);
	sift_down(timers, timer);
}

void timers_clear(struct timers *timers, struct timer *timer)
{
	size_t place = timer->place;
	struct timer *last;

	if (place == 0)
		return;
	assert(timers->heap[place - 1] == timer);
	last = timers->heap[--timers->len];
	timer->place = 0;
	if (last == timer)
		return;
	put(timers, place, last);
	sift_up(timers, last);
	sift_down(timers, last);
}

int64_t timers_next_us(const struct timers *timers)
{
	return timers->len ? timers->heap[0]->at_us : INT64_MAX;
}

struct timer *timers_take_due(struct timers *timers, int64_t now_us)
{
	struct timer *first = timers->len ? timers->heap[0] : NULL;

	if (!first || first->at_us > now_us)
		return NULL;
	timers_clear(timers, first);
	return first;
}
