/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_EXECUTOR_H
#define CONSUMER_EXECUTOR_H

#include "base/conf.h"
#include "task/outcome.h"

/*
 * 4 execute: where attempts run. One interface over two kinds: pre-forked processes behind a shared ring (default), and threads.
 * The loop pushes attempts, executors that are free pull them, the loop learns of starts and ends by events. Nothing here blocks
 * the loop.
 */
struct executor;

/* What an attempt is told of itself (A7). Borrowed during executor_push, which copies. */
struct attempt_info {
	struct bytes task_key, workflow_id, activity_id, run_id, activity_type, queue;
	struct bytes worker;
	struct bytes token; /* fencing token for asynchronous completion */
	int64_t epoch;
	int64_t attempt;
	int64_t scheduled_at_ms, attempt_scheduled_at_ms;
	int64_t schedule_to_close_timeout_ms, schedule_to_start_timeout_ms, start_to_close_timeout_ms,
		heartbeat_timeout_ms; /* TASK_UNSET = none */
	int64_t budget_ms; /* from start until it is cut off: the smaller of start-to-close and what is left of schedule-to-close;
			      TASK_UNSET = none */
	struct retry_policy retry_policy; /* effective */
	int priority;
	struct headers headers;
	struct payload heartbeat_details; /* of the previous attempt */
	struct payload input;
};

/* One ENDED for each attempt pushed and not taken back; STARTED before it, unless it has ended already by the time of the poll.
 * HEARTBEAT for its first one, and for the next one after executor_beat has asked for that: no more, however often it beats. */
enum executor_event_kind { EXECUTOR_STARTED, EXECUTOR_ENDED, EXECUTOR_HEARTBEAT };

struct executor_event {
	enum executor_event_kind kind;
	uint64_t handle;
	int64_t started_mono_us; /* STARTED, ENDED */
	int64_t ended_mono_us;   /* ENDED */
	int64_t beat_mono_us;    /* ENDED: its last heartbeat, 0 = none */
	struct outcome outcome;  /* ENDED: borrowed until the callback returns */
	struct payload details;  /* HEARTBEAT */
};

/* The heartbeats of an attempt, as far as it has come. */
struct executor_beat {
	uint32_t count;         /* 0 = none yet */
	int64_t at_mono_us;     /* of the last one, by the attempt's own look at the clock */
	struct payload details; /* the latest; borrowed until the next call */
};

enum cancel_reason { CANCEL_NONE, CANCEL_REQUESTED, CANCEL_TIMED_OUT, CANCEL_WORKER_SHUTDOWN, CANCEL_PAUSED, CANCEL_RESET };

struct executor_ops {
	void (*free)(struct executor *ex);
	int (*fd)(struct executor *ex);
	size_t (*room)(struct executor *ex);
	size_t (*idle)(struct executor *ex);
	bool (*push)(struct executor *ex, uint64_t handle, const struct attempt_info *info);
	bool (*take_back)(struct executor *ex, uint64_t handle);
	void (*cancel)(struct executor *ex, uint64_t handle, enum cancel_reason reason);
	void (*kill)(struct executor *ex, uint64_t handle);
	bool (*beat)(struct executor *ex, uint64_t handle, bool tell_next, struct executor_beat *ret);
	void (*poll)(struct executor *ex, void (*event)(void *ctx, const struct executor_event *event), void *ctx);
};

struct executor {
	const struct executor_ops *ops;
};

static inline void executor_free(struct executor *ex)
{
	if (ex)
		ex->ops->free(ex);
}
/* Readable when executor_poll has events. */
static inline int executor_fd(struct executor *ex)
{
	return ex->ops->fd(ex);
}
/* How many more attempts may be pushed now (free executors + depth of the ring), and how many executors are free with nothing
 * queued for them. */
static inline size_t executor_room(struct executor *ex)
{
	return ex->ops->room(ex);
}
static inline size_t executor_idle(struct executor *ex)
{
	return ex->ops->idle(ex);
}
/* Queues an attempt under its handle from ledger_reserve (CLAIMING -> QUEUED). False where there is no room. */
static inline bool executor_push(struct executor *ex, uint64_t handle, const struct attempt_info *info)
{
	return ex->ops->push(ex, handle, info);
}
/* Takes an attempt back that has not started (QUEUED -> TAKEN; ledger_free_entry is the caller's); false where it has (its events
 * follow). */
static inline bool executor_take_back(struct executor *ex, uint64_t handle)
{
	return ex->ops->take_back(ex, handle);
}
/* Tells a running attempt (flag and waitable fd; SIGTERM to the process group of an exec activity). Once per reason; unknown
 * handles are ignored. */
static inline void executor_cancel(struct executor *ex, uint64_t handle, enum cancel_reason reason)
{
	ex->ops->cancel(ex, handle, reason);
}
/* Ends a running attempt with all its descendants; EXECUTOR_ENDED follows (type ActivityCrashed, message "killed") when the slot
 * is free again. Threads cannot be killed: for them this marks the attempt abandoned, ENDED follows at once and its thread is
 * replaced. */
static inline void executor_kill(struct executor *ex, uint64_t handle)
{
	ex->ops->kill(ex, handle);
}
/* Looks at the heartbeats of an attempt without its doing; false where it is not in an executor. `tell_next`: where this look finds
 * nothing new, the next beat is told by an event. */
static inline bool executor_beat(struct executor *ex, uint64_t handle, bool tell_next, struct executor_beat *ret)
{
	return ex->ops->beat(ex, handle, tell_next, ret);
}
static inline void executor_poll(struct executor *ex, void (*event)(void *ctx, const struct executor_event *event), void *ctx)
{
	ex->ops->poll(ex, event, ctx);
}

struct mr_registry; /* registry.h: the activities of this worker */

/* In the loop process / thread. `pool` comes from the supervisor, which made it before it forked zygote and loop (pool.h). */
struct pool;
/* Picks by pool_config.threads. */
enum mr_status executor_new(struct pool *pool, struct executor **ret, struct mr_error *err);
enum mr_status executor_process_new(struct pool *pool, struct executor **ret, struct mr_error *err);
enum mr_status executor_thread_new(struct pool *pool, struct executor **ret, struct mr_error *err);

#endif
