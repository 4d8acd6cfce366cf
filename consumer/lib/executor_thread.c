/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "lib/executor_thread_impl.h"
#include "lib/message.h"

/*
 * Threads of the loop process as executors: for trusted, short activities (A9). Everything shared is under one lock, which nobody
 * holds while an activity runs. Programs (exec activities) run in executor processes all the same: only a process can end a
 * program with all its descendants.
 */

#define ABANDONED_WAIT_S 1

static struct executor_thread *self_of(struct executor *ex)
{
	return (struct executor_thread *)ex;
}

static int thread_fd(struct executor *ex)
{
	return self_of(ex)->pool->loop_fd;
}

static size_t all_in_flight(struct executor_thread *self)
{
	size_t in_processes = self->processes ? self->pool->n_cells - executor_room(self->processes) : 0;

	return self->in_flight + in_processes;
}

static size_t thread_room(struct executor *ex)
{
	struct executor_thread *self = self_of(ex);
	size_t busy = all_in_flight(self);

	return self->pool->n_cells > busy ? self->pool->n_cells - busy : 0;
}

static size_t thread_idle(struct executor *ex)
{
	struct executor_thread *self = self_of(ex);
	size_t busy = all_in_flight(self);

	return self->pool->config.slots > busy ? self->pool->config.slots - busy : 0;
}

static struct attempt *new_attempt(struct executor_thread *self)
{
	struct attempt *a = self->free_list;

	if (a)
		self->free_list = a->next;
	else
		a = mem_alloc(sizeof(*a));
	a->executor = self;
	a->next = NULL;
	a->phase = PHASE_QUEUED;
	a->in_started = a->in_beat = a->abandoned = false;
	a->thread = NULL;
	a->started_mono_us = a->ended_mono_us = a->beat_mono_us = 0;
	a->beats = a->beats_told = 0;
	a->tells_beat = true;
	atomic_store(&a->cancel, CANCEL_NONE);
	buf_reset(&a->beat);
	return a;
}

static bool is_exec(struct executor_thread *self, const struct attempt_info *info)
{
	const struct activity *activity = registry_find(self->pool->config.registry, info->activity_type);

	return activity && activity->kind == ACTIVITY_EXEC;
}

static bool thread_push(struct executor *ex, uint64_t handle, const struct attempt_info *info)
{
	struct executor_thread *self = self_of(ex);
	size_t bytes = message_info_bytes(info);
	bool moved, was_empty;
	struct attempt *a;

	if (thread_room(ex) == 0 || bytes > self->pool->in_bytes)
		return false;
	if (is_exec(self, info))
		return executor_push(self->processes, handle, info);
	a = new_attempt(self);
	a->handle = handle;
	buf_reset(&a->in);
	message_info_write(info, buf_reserve(&a->in, bytes));
	a->in.len = bytes;
	self->by_index[ledger_handle_index(handle)] = a;
	self->in_flight++;
	moved = ledger_move(self->pool->ledger, handle, LEDGER_CLAIMING, LEDGER_NOBODY, LEDGER_QUEUED, LEDGER_NOBODY);
	assert(moved);
	pthread_mutex_lock(&self->lock);
	was_empty = !self->queue.head;
	attempts_append(&self->queue, a);
	if (was_empty && self->waiting > 0) /* who takes one and sees more wakes the next (await_attempt) */
		pthread_cond_signal(&self->work);
	pthread_mutex_unlock(&self->lock);
	return true;
}

static struct attempt *find(struct executor_thread *self, uint64_t handle)
{
	struct attempt *a = ledger_get(self->pool->ledger, handle) ? self->by_index[ledger_handle_index(handle)] : NULL;

	return a && a->handle == handle ? a : NULL;
}

static void forget(struct executor_thread *self, struct attempt *a)
{
	self->by_index[ledger_handle_index(a->handle)] = NULL;
	self->in_flight--;
}

static void recycle(struct executor_thread *self, struct attempt *a)
{
	a->next = self->free_list;
	self->free_list = a;
}

static bool thread_take_back(struct executor *ex, uint64_t handle)
{
	struct executor_thread *self = self_of(ex);
	struct attempt *a = find(self, handle);
	bool queued, moved;

	if (!a)
		return self->processes && executor_take_back(self->processes, handle);
	pthread_mutex_lock(&self->lock);
	queued = a->phase == PHASE_QUEUED && attempts_remove(&self->queue, a);
	pthread_mutex_unlock(&self->lock);
	if (!queued)
		return false;
	moved = ledger_move(self->pool->ledger, handle, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_TAKEN, LEDGER_NOBODY);
	assert(moved);
	forget(self, a);
	recycle(self, a);
	return true;
}

static void thread_cancel(struct executor *ex, uint64_t handle, enum cancel_reason reason)
{
	struct executor_thread *self = self_of(ex);
	struct attempt *a = find(self, handle);

	if (!a) {
		if (self->processes)
			executor_cancel(self->processes, handle, reason);
		return;
	}
	pthread_mutex_lock(&self->lock);
	atomic_store(&a->cancel, (uint32_t)reason);
	if (a->phase == PHASE_RUNNING)
		cancel_fd_signal(a->thread->cancel_fd);
	pthread_mutex_unlock(&self->lock);
}

static void unlink_from(struct attempt **head, struct attempt *a, bool beats)
{
	for (struct attempt **at = head; *at; at = beats ? &(*at)->next_beat : &(*at)->next_started) {
		if (*at != a)
			continue;
		*at = beats ? a->next_beat : a->next_started;
		return;
	}
}

/* What is told in place of an attempt whose thread goes on: it keeps nothing that the thread uses. */
static struct attempt *make_ghost(struct executor_thread *self, struct attempt *a)
{
	struct attempt *ghost = new_attempt(self);

	ghost->handle = a->handle;
	ghost->phase = PHASE_DONE;
	ghost->started_mono_us = a->started_mono_us;
	ghost->ended_mono_us = clock_mono_us();
	ghost->beats = a->beats;
	ghost->beat_mono_us = a->beat_mono_us;
	if (a->beat.len > 0)
		buf_append(&ghost->beat, a->beat.data, a->beat.len);
	ghost->outcome = (struct outcome){.kind = OUTCOME_FAILED};
	failure_init(&ghost->outcome.failure);
	ghost->outcome.failure.type = BYTES_LIT("ActivityCrashed");
	ghost->outcome.failure.message = BYTES_LIT("killed");
	return ghost;
}

/* Called with the lock held. */
static void abandon(struct executor_thread *self, struct attempt *a)
{
	struct attempt *ghost = make_ghost(self, a);
	int32_t owner = a->thread->owner;
	bool moved = ledger_move(self->pool->ledger, a->handle, LEDGER_STARTED, owner, LEDGER_ENDED, owner);

	assert(moved);
	unlink_from(&self->started, a, false);
	unlink_from(&self->beats, a, true);
	a->abandoned = true;
	self->live--;
	self->abandoned++;
	self->by_index[ledger_handle_index(a->handle)] = ghost;
	attempts_append(&self->done, ghost);
}

static void thread_kill(struct executor *ex, uint64_t handle)
{
	struct executor_thread *self = self_of(ex);
	struct attempt *a = find(self, handle);

	if (!a) {
		if (self->processes)
			executor_kill(self->processes, handle);
		return;
	}
	pthread_mutex_lock(&self->lock);
	if (a->phase == PHASE_RUNNING) {
		struct mr_error err;

		abandon(self, a);
		if (executor_thread_start(self, &err))
			log_error("a thread cannot be replaced; there is one slot less", LOG_S("error", err.message));
	}
	pthread_mutex_unlock(&self->lock);
	pool_notify_loop(self->pool, false);
}

typedef void event_fn(void *ctx, const struct executor_event *event);

/* What has happened since the last poll, taken out from under the lock at once. */
struct news {
	struct attempt *started, *beats;
	struct list done;
};

static void take_news(struct executor_thread *self, struct news *news)
{
	attempts_init(&news->done);
	pthread_mutex_lock(&self->lock);
	executor_thread_empty_trash(self);
	news->started = self->started;
	news->beats = self->beats;
	if (self->done.head)
		news->done = self->done;
	self->started = self->beats = NULL;
	attempts_init(&self->done);
	for (struct attempt *a = news->started; a; a = a->next_started)
		a->in_started = a->phase == PHASE_RUNNING; /* from here on: tell it */
	pthread_mutex_unlock(&self->lock);
}

static void tell_started(const struct attempt *a, event_fn *event, void *ctx)
{
	struct executor_event e = {.kind = EXECUTOR_STARTED, .handle = a->handle, .started_mono_us = a->started_mono_us};

	if (a->in_started && !a->abandoned)
		event(ctx, &e);
}

/* Called with the lock held. */
static struct bytes copy_beat(struct arena *arena, const struct attempt *a)
{
	return a->beat.len > 0 ? arena_copy(arena, buf_bytes(&a->beat)) : BYTES_NONE;
}

static struct payload read_beat(struct bytes copy)
{
	struct payload details = {.data = BYTES_NONE};

	if (bytes_present(copy) && !message_payload_read(copy, &details))
		details = (struct payload){.data = BYTES_NONE};
	return details;
}

static bool thread_beat(struct executor *ex, uint64_t handle, bool tell_next, struct executor_beat *ret)
{
	struct executor_thread *self = self_of(ex);
	struct attempt *a = find(self, handle);
	struct bytes copy;

	if (!a)
		return self->processes && executor_beat(self->processes, handle, tell_next, ret);
	arena_reset(&self->beat_arena);
	pthread_mutex_lock(&self->lock);
	a->tells_beat = a->tells_beat || tell_next;
	ret->count = a->beats;
	if (tell_next)
		a->beats_told = a->beats;
	ret->at_mono_us = a->beat_mono_us;
	copy = copy_beat(&self->beat_arena, a);
	pthread_mutex_unlock(&self->lock);
	ret->details = read_beat(copy);
	return true;
}

/* From here on the thread may put it into the next list, so the way on is read first. Returns that. */
static struct attempt *tell_beat(struct executor_thread *self, struct attempt *a, event_fn *event, void *ctx)
{
	struct executor_event e = {.kind = EXECUTOR_HEARTBEAT, .handle = a->handle};
	struct attempt *next;
	struct bytes copy;
	bool is_news;

	pthread_mutex_lock(&self->lock);
	next = a->next_beat;
	a->in_beat = false;
	is_news = !a->abandoned && a->beats != a->beats_told;
	a->beats_told = a->beats;
	copy = copy_beat(&self->arena, a);
	pthread_mutex_unlock(&self->lock);
	e.details = read_beat(copy);
	if (is_news)
		event(ctx, &e);
	arena_reset(&self->arena);
	return next;
}

static void tell_ended(struct executor_thread *self, struct attempt *a, event_fn *event, void *ctx)
{
	struct executor_event e = {
		.kind = EXECUTOR_ENDED,
		.handle = a->handle,
		.started_mono_us = a->started_mono_us,
		.ended_mono_us = a->ended_mono_us,
		.beat_mono_us = a->beat_mono_us,
		.outcome = a->outcome,
	};

	pthread_mutex_lock(&self->lock);
	e.outcome.heartbeat_details = read_beat(copy_beat(&self->arena, a));
	pthread_mutex_unlock(&self->lock);
	forget(self, a);
	event(ctx, &e);
	arena_reset(&self->arena);
	recycle(self, a);
}

static void tell(struct executor_thread *self, struct news *news, event_fn *event, void *ctx)
{
	struct attempt *a, *next;

	for (a = news->started; a; a = next) {
		next = a->next_started;
		tell_started(a, event, ctx);
	}
	for (a = news->beats; a;)
		a = tell_beat(self, a, event, ctx);
	for (a = news->done.head; a; a = next) {
		next = a->next;
		tell_ended(self, a, event, ctx);
	}
}

static void thread_poll(struct executor *ex, event_fn *event, void *ctx)
{
	struct executor_thread *self = self_of(ex);
	struct news news;

	if (self->processes)
		executor_poll(self->processes, event, ctx);
	else
		cancel_fd_drain(self->pool->loop_fd);
	atomic_store(&self->pool->shared->armed, 1);
	take_news(self, &news);
	tell(self, &news, event, ctx);
}

/* Called with the lock held. */
static void await_abandoned(struct executor_thread *self)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ABANDONED_WAIT_S;
	while (self->abandoned > 0 && pthread_cond_timedwait(&self->gone, &self->lock, &until) == 0)
		;
}

/* Attempts that still run are given up. Their threads end with them; those that do not end soon go on in the memory of this
 * executor, of its pool and of its registry, which must outlive them: the process ends by exit. */
static void thread_free(struct executor *ex)
{
	struct executor_thread *self = self_of(ex);
	struct attempt *a;
	bool last;

	pthread_mutex_lock(&self->lock);
	self->stop = true;
	for (size_t i = 0; i < ledger_size(self->pool->ledger); i++)
		if (self->by_index[i] && self->by_index[i]->phase == PHASE_RUNNING)
			abandon(self, self->by_index[i]);
	pthread_cond_broadcast(&self->work);
	while (self->live > 0)
		pthread_cond_wait(&self->gone, &self->lock);
	await_abandoned(self);
	while ((a = attempts_shift(&self->queue)) || (a = attempts_shift(&self->done)))
		attempt_free(a);
	while ((a = self->free_list)) {
		self->free_list = a->next;
		attempt_free(a);
	}
	free(self->by_index);
	self->by_index = NULL;
	arena_deinit(&self->arena);
	arena_deinit(&self->beat_arena);
	executor_free(self->processes);
	last = self->abandoned == 0;
	pthread_mutex_unlock(&self->lock);
	if (last)
		executor_thread_destroy(self);
}

static const struct executor_ops thread_ops = {
	.free = thread_free,
	.fd = thread_fd,
	.room = thread_room,
	.idle = thread_idle,
	.push = thread_push,
	.take_back = thread_take_back,
	.cancel = thread_cancel,
	.kill = thread_kill,
	.beat = thread_beat,
	.poll = thread_poll,
};

static struct executor_thread *self_new(struct pool *pool)
{
	struct executor_thread *self = mem_alloc(sizeof(*self));

	self->base.ops = &thread_ops;
	self->pool = pool;
	self->by_index = mem_alloc(ledger_size(pool->ledger) * sizeof(*self->by_index));
	self->limits = (struct context_limits){.max_output_bytes = pool->config.max_output_bytes,
					       .grace_ms = pool->config.grace_ms};
	attempts_init(&self->queue);
	attempts_init(&self->done);
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->work, NULL);
	pthread_cond_init(&self->gone, NULL);
	atomic_store(&pool->shared->armed, 1);
	return self;
}

enum mr_status executor_thread_new(struct pool *pool, struct executor **ret, struct mr_error *err)
{
	struct executor_thread *self;
	enum mr_status status;

	status = registry_load_libraries(pool->config.registry, err);
	if (status)
		return status;
	self = self_new(pool);
	if (pool_has_processes(pool))
		status = executor_process_new(pool, &self->processes, err);
	pthread_mutex_lock(&self->lock);
	for (size_t i = 0; i < pool->config.slots && !status; i++)
		status = executor_thread_start(self, err);
	pthread_mutex_unlock(&self->lock);
	if (status) {
		thread_free(&self->base);
		return status;
	}
	*ret = &self->base;
	return MR_OK;
}

enum mr_status executor_new(struct pool *pool, struct executor **ret, struct mr_error *err)
{
	return pool->config.threads ? executor_thread_new(pool, ret, err) : executor_process_new(pool, ret, err);
}
