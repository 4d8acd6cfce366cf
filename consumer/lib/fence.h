/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_FENCE_H
#define CONSUMER_FENCE_H

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct job;
struct control;

/*
 * Whether an attempt in hand is still this worker's. COMPLETE and FAIL from outside end it in Redis by the scheduler's hand, and
 * nobody tells the activity: from such a command on it is in doubt, Redis is asked about it, and once the task is further the
 * attempt is superseded: it is killed, and what it says of its end is dropped.
 */
struct doubt {
	bool is_open;      /* until the attempt's end */
	bool is_asking;    /* Redis has not answered yet */
	bool holds_result; /* the result waits for the answer */
	unsigned answers;  /* that it is still ours */
	int64_t ask_at_us; /* next */
};

/* COMPLETE or FAIL has come, written at `at_ms` by Kafka's clock. */
void fence_command(struct worker *worker, const struct control *control, int64_t at_ms);
/*
 * The job is claimed and about to be READY: former attempts of its key here are superseded. True where one of them has not ended yet:
 * the job waits for that and then goes on by execute_ready.
 */
bool fence_holds_back(struct worker *worker, struct job *job);
/* When Redis is to be asked about a running job; INT64_MAX: not by time. */
int64_t fence_next_us(const struct job *job);
void fence_woken(struct worker *worker, struct job *job);
/* True where the finished job's result waits until Redis says that the attempt was ours to the end. */
bool fence_holds_result(struct worker *worker, struct job *job);
/* A superseded job has ended, or was never started: its offset settles, its outcome is dropped. The job is gone. */
void fence_drop(struct worker *worker, struct job *job);
/* The job goes back to the pool. */
void fence_forget(struct worker *worker, struct job *job);

/* Commands that came lately, for attempts that start before the scheduler has carried them out. */
struct reports;
struct reports *reports_new(void);
void reports_free(struct reports *reports);

#endif
