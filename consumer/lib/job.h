/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_JOB_H
#define CONSUMER_JOB_H

#include "base/arena.h"
#include "lib/fence.h"
#include "lib/park.h"
#include "lib/timers.h"
#include "store/store.h"
#include "task/deadlines.h"
#include "task/task.h"

/* One task record in the worker's hands, from intake (step 2) to settle (step 8). */

enum job_state {
	/* In the pool. Next states: FRESH, DEAD. */
	JOB_FREE,
	/* Decoded; in the line for a claim, or held until its shard is ready. Next states: CLAIMING, DELAYED,
	 * FORWARDING, FREE (its partition left). */
	JOB_FRESH,
	/* It has a start delay; Redis is asked whether it knows the task already. Next states: FRESH, WAITING,
	 * JOURNALLING, FREE. */
	JOB_DELAYED,
	/* The claim is under way. Next states: FRESH, WAITING, READY, RELEASING, JOURNALLING, FINISHING, PUBLISHING, FREE. */
	JOB_CLAIMING,
	/* Its owner lives elsewhere, or it may not start yet: asks again when its timer is due. Next states: FRESH, FREE. */
	JOB_WAITING,
	/* Claimed; waits for room in the executor's ring, or for the end of a former attempt here. Next states: QUEUED, RELEASING,
	 * FINISHING (its time is over), FREE (superseded). */
	JOB_READY,
	/* In the executor's ring. Next states: RUNNING, RELEASING, FREE (superseded). */
	JOB_QUEUED,
	/* Next states: JOURNALLING, FINISHING, FREE (superseded). */
	JOB_RUNNING,
	/* Given back unharmed. Next state: FREE. */
	JOB_RELEASING,
	/* The BACKOFF or WAITING record that carries it is on its way. Next states: FREE, FINISHING (the record is too
	 * large). */
	JOB_JOURNALLING,
	/* Its record goes to a partition of another worker, which has a free slot for it. Next states: FREE, FRESH (it stays). */
	JOB_FORWARDING,
	/* The result is made and goes to Redis. Next states: PUBLISHING, FREE (another attempt ended the task). */
	JOB_FINISHING,
	/* The result and its copies go to Kafka. Next states: CLEARING, FREE. */
	JOB_PUBLISHING,
	/* Settled; the tombstone goes to the journal, then the outbox entry goes. Next state: FREE. */
	JOB_CLEARING,
	/* Not understood: goes to the dead letters, then its key is looked up. Next states: PUBLISHING (an answer), FREE. */
	JOB_DEAD,
	/* Done with, but the bus still has a record of it that names it. Next state: FREE. */
	JOB_LINGERING,
};

struct lane;
struct kind;
struct type_meters;

#define JOB_DELIVERIES 2 /* more come from the arena */

struct job {
	struct job *prev, *next; /* in the list of its step */
	struct job_list *list;
	struct job *all_prev, *all_next; /* of all in hand */
	enum job_state state;
	struct timer timer;
	struct arena arena;
	size_t weight_bytes;
	size_t headers_bytes; /* headers and keys: what a record of it has beside its value */

	/* 2 intake. Its offset settles while `lane_epoch` is the lane's current one. */
	struct lane *lane;
	uint64_t lane_epoch;
	int64_t offset;
	struct bytes value, record_key;
	struct headers headers; /* all */
	struct headers user_headers;
	struct task task;
	struct dispatch dispatch;
	struct retry_policy policy;
	struct arena policy_arena; /* what the policy refers to, where it was changed since intake */
	struct timeouts timeouts;
	struct bytes key, run_id, record_id;
	int shard;
	int64_t scheduled_at_ms, dispatched_at_ms;
	struct kind *kind;
	const struct type_meters *meters;
	bool delay_checked; /* whatever its start delay: Redis knows the task */
	bool readable_key;  /* DEAD: whom to answer is known */
	int dead_kind;      /* DEAD: enum dead_kind */

	/* 3 claim */
	struct bytes nonce;
	uint64_t handle; /* in the ledger, 0 = none */
	int64_t epoch, attempt, lost;
	int64_t claimed_at_ms; /* started_at_ms of the token */
	bool journalled;
	bool ahead;   /* counted as claimed and not started */
	bool entered; /* counted for its type */
	int64_t expected_us;
	int64_t wait_ms;
	int64_t queued_us; /* in the line for a claim since */
	bool stays;        /* not to be forwarded: Redis may know it under our name, or its record was refused */

	/* 4 execute */
	int64_t started_mono_us;
	int64_t budget_ms;
	enum timeout_type timed_out; /* it has used up this one */
	int64_t timed_out_us;        /* when that was over */
	int64_t beat_mono_us;        /* the last heartbeat that is known, 0 = none */
	struct park *park;           /* its records while it runs; NULL: none yet */
	unsigned told;               /* a bit each cancel_reason */
	int64_t kill_at_us;          /* 0 = it was not told to stop */
	bool killed, shut_down;
	bool cancel_requested, paused, reset, terminated; /* by commands */
	struct doubt doubt;
	bool superseded; /* another has ended it, or a later attempt was claimed: what it says of its end is dropped */

	/* 5 outcome, 6 result */
	enum result_status status;
	int64_t closed_at_ms;
	bool outbox;    /* the journal has a record of it: to be cleared after the result */
	bool commanded; /* a COMMAND or HEARTBEAT record too */
	bool finished;  /* Redis has the result */
	bool replayed;  /* it had it before: the task has ended long ago */
	struct bytes out_value;
	struct headers out_headers;
	struct bytes replies;
	struct delivery inline_deliveries[JOB_DELIVERIES];
	struct delivery *deliveries;
	size_t n_deliveries, open_deliveries;
	int64_t backoff_ms; /* of the next try */
};

struct job_list {
	struct job *head, *tail;
	size_t len;
};

void job_list_push(struct job_list *list, struct job *job);
void job_list_push_front(struct job_list *list, struct job *job);
/* From whichever list it is in; nothing happens where it is in none. */
void job_list_remove(struct job *job);
struct job *job_list_pop(struct job_list *list);
/* Puts all of `from` before `list`. */
void job_list_prepend(struct job_list *list, struct job_list *from);

static inline struct job *job_of_timer(struct timer *timer)
{
	return (struct job *)(void *)((char *)timer - offsetof(struct job, timer));
}

/* The token of its claim; `worker` is the caller's to fill. */
struct claim_token job_token(const struct job *job);
/* The key of copies of its result: the workflow id, else the task key. */
struct bytes job_reply_key(const struct job *job);

#endif
