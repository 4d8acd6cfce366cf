/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_JOB_H
#define SCHEDULER_JOB_H

#include "lib/core.h"

/*
 * One publication that the outbox of Redis asks for: the dispatch of an attempt, or the result of a finished task. It ends
 * when Redis has cleared the outbox entry, or when something failed: then the entry is still there and the sweep begins
 * another job. Everything it does may be done twice.
 *
 *   dispatch: (RECORD ->) SENDING -> CLEARING
 *   result:   SENDING -> TOMBSTONE -> CLEARING
 */
enum job_step {
	JOB_RECORD, /* waits for the journal record that holds the task, or for room in Kafka's queue */
	JOB_SENDING,
	JOB_TOMBSTONE,
	JOB_CLEARING,
};

/* Dispatch: what is left out so that Kafka takes the record. */
enum job_size { JOB_WHOLE, JOB_NO_HISTORY, JOB_TOO_LARGE };

/* What a record is sent with, so that its acknowledgement finds the job. */
struct job_tag {
	struct delivery delivery;
	struct job *job;
	bool is_reply;
};

struct job {
	struct shard *shard;
	struct job_tag tag, reply_tag;
	struct job *next; /* in scheduler.blocked */
	bool finished;    /* the job is a result */
	bool swept;
	bool failed;
	enum job_step step;
	enum job_size size;
	struct bytes key, run_id; /* in text */
	int64_t epoch, attempt;
	int64_t journal_offset;
	int64_t dispatched_at_ms;
	size_t unacked;
	char text[];
};

/* After fire, or found by the sweep. Nothing is done where the same is under way. */
void job_dispatch(struct shard *shard, const struct fired *fired, int64_t now_ms);
void job_sweep(struct shard *shard, const struct swept *swept, int64_t now_ms);
/* True where the journal record is the one that carries this attempt. */
bool job_accepts(const struct job *job, const struct journal_record *record);
/* The record is here (`value`, decoded as `record`). */
void job_found(struct job *job, struct bytes value, const struct journal_record *record);
/* It cannot be found; the sweep will ask again. */
void job_lost(struct job *job, const char *reason);
void job_delivered(const struct job_tag *tag, enum mr_status status);
/* Sends what waited for room, clears what is published. */
void jobs_turn(struct scheduler *s);
void jobs_deinit(struct scheduler *s);

/* dispatch.c: the record of the next attempt, as far as `size` allows. */
enum mr_status dispatch_send(struct job *job, const struct journal_record *record);
/* toolarge.c: a task that no topic takes ends FAILED. */
void toolarge_finish(struct job *job, const struct journal_record *record);
void job_free(struct job *job);

#endif
