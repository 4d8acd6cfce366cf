/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_REDIS_CLOCK_H
#define STORE_REDIS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* What answers tell about Redis' clock: each was read there at some moment between sending the call and receiving its answer.
 * Zero-initialise. */
struct redis_clock {
	bool known;
	int64_t time_ms; /* as told, cut to whole ms */
	int64_t sent_us, received_us;
};

void redis_clock_sample(struct redis_clock *clock, int64_t time_ms, int64_t sent_us, int64_t received_us);
/* Never ahead of Redis' clock; 0 where it is not known. */
int64_t redis_clock_lower_ms(const struct redis_clock *clock, int64_t now_us);
/* Never behind it. */
int64_t redis_clock_upper_ms(const struct redis_clock *clock, int64_t now_us);

#endif
