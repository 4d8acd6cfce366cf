/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_TIMERS_H
#define CONSUMER_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Deadlines in memory: a binary heap of timers that lie inside what they wake. Zero-initialise both. */
struct timer {
	int64_t at_us;
	size_t place; /* in the heap, from 1; 0 = not set */
};

struct timers {
	struct timer **heap;
	size_t len, cap;
};

void timers_deinit(struct timers *timers);
/* Sets or moves. */
void timers_set(struct timers *timers, struct timer *timer, int64_t at_us);
/* Nothing happens where it is not set. */
void timers_clear(struct timers *timers, struct timer *timer);
/* INT64_MAX where none is set. */
int64_t timers_next_us(const struct timers *timers);
/* Takes the earliest timer that is due, or NULL. */
struct timer *timers_take_due(struct timers *timers, int64_t now_us);

#endif
