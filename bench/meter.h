/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

/* What the programs of the bench share: a stopwatch, and how they report. Each prints one JSON object on stdout. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"

struct meter {
	int64_t begin_us;
	double begin_cpu_s;
};

static inline double meter_cpu_s(int who)
{
	struct rusage usage;

	if (getrusage(who, &usage))
		abort();
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static inline struct meter meter_start(void)
{
	return (struct meter){clock_mono_us(), meter_cpu_s(RUSAGE_SELF)};
}

/* {"per_s":...,"cpu_us":...}: of n things since the start. */
static inline void meter_report(const struct meter *meter, long long n)
{
	double s = (double)(clock_mono_us() - meter->begin_us) / 1e6;
	double cpu_s = meter_cpu_s(RUSAGE_SELF) - meter->begin_cpu_s;

	printf("{\"n\":%lld,\"seconds\":%.3f,\"per_s\":%.1f,\"cpu_us\":%.3f}\n", n, s, (double)n / s, cpu_s * 1e6 / (double)n);
}

static inline int meter_by_size(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

/* {"p50":...,"p99":...,"max":...} in milliseconds. Sorts what it is given. */
static inline void meter_report_spread(int64_t *took_us, long long n)
{
	qsort(took_us, (size_t)n, sizeof(*took_us), meter_by_size);
	printf("{\"n\":%lld,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}\n", n, (double)took_us[n / 2] / 1000,
	       (double)took_us[n * 99 / 100] / 1000, (double)took_us[n - 1] / 1000);
}

/* A whole number in a range, or the end of the program. */
static inline long long meter_number(const char *what, const char *text, long long least, long long most)
{
	char *end;
	long long number = strtoll(text, &end, 10);

	if (end == text || *end || number < least || number > most) {
		fprintf(stderr, "%s is %s; a number from %lld to %lld is accepted\n", what, text, least, most);
		exit(2);
	}
	return number;
}

#endif
