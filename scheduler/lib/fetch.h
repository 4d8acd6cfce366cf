/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_FETCH_H
#define SCHEDULER_FETCH_H

#include "lib/core.h"

/*
 * Reads journal records that are not in memory any more, for attempts that are due: by a reader of its own, each shard in the
 * order of offsets. A record that is not where Redis says (compaction has moved the truth to a later copy) is looked for
 * behind that place.
 */
struct job;
struct fetch;

struct fetch *fetch_new(struct scheduler *s);
/* Ends the jobs that wait. */
void fetch_free(struct fetch *fetch);
/* Reads the record of the job; ends in job_found or job_lost. */
void fetch_want(struct fetch *fetch, struct job *job);
void fetch_drop_shard(struct fetch *fetch, int shard);
size_t fetch_pending(const struct fetch *fetch);
void fetch_turn(struct fetch *fetch);
int64_t fetch_deadline_us(const struct fetch *fetch);

#endif
