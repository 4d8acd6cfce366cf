/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_ENDING_H
#define SCHEDULER_ENDING_H

#include "lib/core.h"

/*
 * Ends an attempt or a task from outside: a command, a timeout or the death of the worker. What a worker decides about its own
 * attempts (task/outcome.h) is decided here about those that nobody has:
 *   the record that carries the task is fetched -> another attempt is allowed: a BACKOFF record, whose apply moves the state
 *                                               -> else: the result is stored (finish, with the outbox), published, tombstoned and cleared
 * It is fenced by `view`: where the state has moved on meanwhile nothing happens. It may be begun again at any time, and is:
 * what asked for it (outbox, timer, parked set, an uncommitted command) stays until the state has changed.
 */
enum ending_cause {
	ENDING_CANCEL,    /* CANCELED */
	ENDING_TERMINATE, /* TERMINATED */
	ENDING_LOST,      /* WorkerLost: the first time the next attempt follows at once, then by the policy */
	ENDING_TIMEOUT,   /* `timeout`: schedule timeouts close, the others go by the policy */
	ENDING_COMPLETE,  /* asynchronous completion: COMPLETED with `result` */
	ENDING_FAIL,      /* asynchronous failure: `failure`, by the policy */
	ENDING_TOO_LARGE, /* FAILED: no record can carry it to its next attempt */
};

/* How it ended. */
enum ending_end {
	ENDING_DONE,  /* the state has changed, durably */
	ENDING_STALE, /* the task was not in that state any more, or its record is gone */
	ENDING_AGAIN, /* Kafka or Redis did not take it, or the shard is not ours any more */
};

struct ending_request {
	struct found_task found; /* as it was found: key and fence; borrowed during the call, like all below */
	enum ending_cause cause;
	/* SCHEDULE_TO_CLOSE of an attempt without a worker: START_TO_CLOSE where there is time left for the task. */
	enum timeout_type timeout;
	int64_t due_ms; /* TIMEOUT: when it was due */
	/* topic:partition:offset of the task record, which tells the run where found.view does not; absent: the journal record at
	 * found.view.journal_offset, else found.view.record_id */
	struct bytes place;
	struct payload result;
	const struct failure *failure;
	struct payload heartbeat; /* last details told with it; absent: found.view.heartbeat */
	/* NULL is allowed. Not called after scheduler_detach(). */
	void (*done)(void *ctx, struct shard *shard, enum ending_end end);
	void *ctx;
};

/* Nothing is done, and done() called with ENDING_AGAIN, where the same task is being ended already. */
void ending_begin(struct shard *shard, const struct ending_request *request);

/* By the cancel or terminate flag of the task's state, which asks for it until it has ended. */
void ending_by_flags(struct shard *shard, const struct found_task *found);

#endif
