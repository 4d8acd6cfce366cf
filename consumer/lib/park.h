/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_PARK_H
#define CONSUMER_PARK_H

#include "lib/delivery.h"

struct worker;
struct job;

/*
 * What is journalled of an attempt while it runs: that it started, and its heartbeats. Beside the records of the job's steps,
 * which may follow while these are still under way. Both are made anew where they are to be sent again.
 */
struct park {
	struct delivery started; /* DONE: the journal has the task */
	struct delivery beat;
	bool refused;          /* no topic takes a record of that size: the attempt goes on without one */
	int64_t again_us;      /* when `started` is to be sent again */
	int64_t backoff_ms;    /* of that */
	bool beats_journalled; /* there is a record under the key of its heartbeats */
	uint32_t beats_told;   /* how many there were at the last record */
	bool quiet;            /* nothing came since: the executor tells of the next one */
	int64_t beat_at_us;    /* when the next one may be told */
};

/* park.c: a long attempt lets its offset settle; its STARTED record is the durable fact from then on. */

/* Writes the STARTED record, unless that was tried before. */
void park_begin(struct worker *worker, struct job *job);
/* When a running job is to be parked, or its record sent again; INT64_MAX: never. */
int64_t park_next_us(const struct worker *worker, const struct job *job);
void park_woken(struct worker *worker, struct job *job);
/* A record of a running attempt was written, or was not; the job may be gone when this returns. */
void park_reported(struct worker *worker, struct job *job, enum mr_status status);
/* True while the STARTED record is on its way; what is journalled of the attempt's end waits for it. */
bool park_is_sending(const struct job *job);
/* True while the bus still has a record of it, which names the job. */
bool park_holds(const struct job *job);

/* heartbeat.c: what is known of the attempt's heartbeats, and what is told of them. */

/* The executor tells of one: the first, or one after a quiet time. */
void heartbeat_rung(struct worker *worker, struct job *job);
/* When the next look at the heartbeats is due for their record; INT64_MAX: when the executor tells. */
int64_t heartbeat_next_us(const struct job *job);
void heartbeat_woken(struct worker *worker, struct job *job);
void heartbeat_reported(struct worker *worker, struct job *job, enum mr_status status);
/* When the heartbeat timeout runs out, as far as heartbeats are known; INT64_MAX: never. */
int64_t heartbeat_limit_us(const struct job *job);
/* Whether it has run out: looks at the heartbeats before it says so. */
bool heartbeat_is_overdue(struct worker *worker, struct job *job);
/* Whether the journal has a record under the key of the task's heartbeats, of this or a former attempt. */
bool heartbeat_was_journalled(const struct job *job);

#endif
