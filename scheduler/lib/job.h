/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_JOB_H
#define SCHEDULER_JOB_H

#include "lib/core.h"
#include "lib/fetch.h"

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

/* Who wants to know whether a result is in Kafka. Called once. */
struct job_watcher {
	void (*published)(void *ctx, bool published);
	void *ctx;
};

struct job {
	struct shard *shard;
	struct fetch_want want; /* of a dispatch */
	struct job_tag tag, reply_tag;
	struct job_watcher watcher; /* of a result */
	struct job *next;           /* in scheduler.blocked */
	bool finished;              /* the job is a result */
	bool swept;
	bool failed;
	enum job_step step;
	enum job_size size;
	struct bytes key, run_id, options; /* in text */
	int64_t epoch, attempt;
	int64_t dispatched_at_ms;
	size_t unacked;
	char text[];
};

/* After fire, or found by the sweep. Nothing is done where the same is under way. */
void job_dispatch(struct shard *shard, const struct fired *fired, int64_t now_ms);
void job_sweep(struct shard *shard, const struct swept *swept, int64_t now_ms);
/* The result of a task that was finished here. False where it is being published already. */
bool job_publish(struct shard *shard, const struct swept *finished, struct job_watcher watcher);
/* Sends what waited for room, clears what is published. */
void jobs_turn(struct scheduler *s);
void jobs_deinit(struct scheduler *s);

/* dispatch.c: the record of the next attempt, as far as `size` allows. */
enum mr_status dispatch_send(struct job *job, const struct journal_record *record);

#endif
