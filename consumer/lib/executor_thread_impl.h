/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_EXECUTOR_THREAD_IMPL_H
#define CONSUMER_EXECUTOR_THREAD_IMPL_H

/* Between executor_thread.c (what the loop does) and executor_thread_run.c (what the threads do); nobody else includes this. */

#include <pthread.h>

#include "lib/context.h"
#include "lib/pool_impl.h"

struct thread;

enum attempt_phase { PHASE_QUEUED, PHASE_RUNNING, PHASE_DONE };

struct attempt {
	struct executor_thread *executor;
	struct attempt *next; /* in queue, done or free list */
	struct attempt *next_started, *next_beat;
	uint64_t handle;
	enum attempt_phase phase;
	bool in_started, in_beat;
	bool tells_beat; /* the next beat is to be told */
	uint32_t beats, beats_told;
	int64_t beat_mono_us; /* of the last one */
	bool abandoned;       /* its thread still uses this */
	struct thread *thread;
	int64_t started_mono_us, ended_mono_us;
	_Atomic uint32_t cancel;
	struct buf in, beat;
	struct arena arena;
	struct outcome outcome;
};

struct thread {
	struct executor_thread *executor;
	int32_t owner;
	int cancel_fd;
};

struct list {
	struct attempt *head, **tail;
};

struct executor_thread {
	struct executor base;
	struct pool *pool;
	struct executor *processes; /* for exec activities; NULL: there are none */
	struct attempt **by_index;  /* of the ledger; loop only */
	struct attempt *free_list;  /* loop only */
	size_t in_flight;           /* loop only; those in threads */
	struct arena arena;         /* loop only */
	struct arena beat_arena;    /* loop only; details that thread_beat has given out */
	struct context_limits limits;

	pthread_mutex_t lock;
	pthread_cond_t work, gone;
	struct list queue, done;
	struct attempt *started, *beats;
	struct attempt *trash; /* abandoned and over; freed between polls, which may still look at them */
	size_t live;           /* threads that are not abandoned */
	size_t abandoned;      /* threads that are, and run */
	size_t waiting;
	int32_t next_owner;
	bool stop;
};

void attempts_init(struct list *list);
void attempts_append(struct list *list, struct attempt *a);
struct attempt *attempts_shift(struct list *list);
bool attempts_remove(struct list *list, struct attempt *a);
void attempt_free(struct attempt *a);

void cancel_fd_drain(int fd);
void cancel_fd_signal(int fd);

/* With the lock held: one more thread. */
enum mr_status executor_thread_start(struct executor_thread *self, struct mr_error *err);
/* With the lock held. */
void executor_thread_empty_trash(struct executor_thread *self);
/* When no thread is left. */
void executor_thread_destroy(struct executor_thread *self);

#endif
