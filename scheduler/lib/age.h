/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_AGE_H
#define SCHEDULER_AGE_H

#include <stddef.h>
#include <stdint.h>

/*
 * When the oldest record of a partition that is not settled was written. Offsets and times are noted of records as they are read; where
 * they are many only some are kept, so that the age may be told a little too small, never too large. Pure.
 */
#define AGE_SAMPLES 32

struct age {
	struct {
		int64_t offset, at_ms;
	} samples[AGE_SAMPLES];
	size_t len;
	int64_t stride; /* offsets between two samples, at least */
};

/* A record was read. Those that were noted before are ignored. */
void age_note(struct age *age, int64_t offset, int64_t at_ms);
/* All records before `offset` are settled. */
void age_settled(struct age *age, int64_t offset);
/* When the first record was written that is not settled, as far as it is known; -1: no such record was read. */
int64_t age_oldest_ms(const struct age *age);

#endif
