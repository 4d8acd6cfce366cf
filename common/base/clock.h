/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* The only places where the clock is read and random bytes are drawn: called at the edge (loops, programs), never in a core,
 * which gets `now` and its randomness passed in. */

/* CLOCK_MONOTONIC in microseconds; comparable between processes of one machine since boot. */
int64_t clock_mono_us(void);
/* Wall clock, ms since the epoch. */
int64_t clock_wall_ms(void);
/* 64 random bits from the kernel. */
uint64_t random_u64(void);

#endif
