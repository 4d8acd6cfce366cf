/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/random.h>
#include <time.h>

int64_t clock_mono_us(void)
{
	struct timespec ts;
	int r = clock_gettime(CLOCK_MONOTONIC, &ts);

	assert(r == 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	struct timespec ts;
	int r = clock_gettime(CLOCK_REALTIME, &ts);

	assert(r == 0);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t random_u64(void)
{
	uint64_t value = 0;
	ssize_t n;

	do
		n = getrandom(&value, sizeof(value), 0);
	while (n < 0 && errno == EINTR);
	assert(n == (ssize_t)sizeof(value));
	return value;
}
