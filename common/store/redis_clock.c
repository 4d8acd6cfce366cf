/* SPDX-License-Identifier: Apache-2.0 */
#include "store/redis_clock.h"

/* A sample gets stale: the two clocks drift, and Redis' may be set. */
#define SAMPLE_KEPT_US 1000000

int64_t redis_clock_lower_ms(const struct redis_clock *clock, int64_t now_us)
{
	if (!clock->known)
		return 0;
	int64_t since_us = now_us - clock->received_us;

	return clock->time_ms + (since_us > 0 ? since_us / 1000 : 0);
}

int64_t redis_clock_upper_ms(const struct redis_clock *clock, int64_t now_us)
{
	if (!clock->known)
		return 0;
	int64_t since_us = now_us - clock->sent_us;

	return clock->time_ms + 1 + (since_us > 0 ? (since_us + 999) / 1000 : 0);
}

/* A new sample replaces a wider one, an old one, and one that it contradicts. */
void redis_clock_sample(struct redis_clock *clock, int64_t time_ms, int64_t sent_us, int64_t received_us)
{
	struct redis_clock sample = {true, time_ms, sent_us, received_us};
	bool tighter = received_us - sent_us <= clock->received_us - clock->sent_us;
	bool stale = received_us - clock->received_us > SAMPLE_KEPT_US;
	bool contradicted = redis_clock_upper_ms(clock, received_us) < time_ms ||
			    redis_clock_lower_ms(clock, sent_us) > time_ms + 1;

	if (!clock->known || tighter || stale || contradicted)
		*clock = sample;
}
