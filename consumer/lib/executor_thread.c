/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "lib/context.h"
#include "lib/message.h"
#include "lib/pool_impl.h"

/*
 * Threads of the loop process as executors: for trusted, short activities (A9). Everything shared is under one lock, which nobody
 * holds while an activity runs. Programs (exec activities) run in executor processes all the same: only a process can end a
 * program with all its descendants.
 */

#define ABANDONED_WAIT_S 1

struct thread;

enum attempt_phase { PHASE_QUEUED, PHASE_RUNNING, PHASE_DONE };

struct attempt {
	struct executor_thread *executor;
	struct attempt *next; /* in queue, done or free list */
	struct attempt *next_started, *next_beat;
	uint64_t handle;
	enum attempt_phase phase;
	bool in_started, in_beat;
	bool abandoned; /* its thread still uses this */
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

static struct executor_thread *self_of(struct executor *ex)
{
	return (struct executor_thread *)ex;
}

static void list_init(struct list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static void list_append(struct list *list, struct attempt *a)
{
	a->next = NULL;
	*list->tail = a;
	list->tail = &a->next;
}

static struct attempt *list_shift(struct list *list)
{
	struct attempt *a = list->head;

	if (a) {
		list->head = a->next;
		if (!list->head)
			list->tail = &list->head;
	}
	return a;
}

static bool list_remove(struct list *list, struct attempt *a)
{
	for (struct attempt **at = &list->head; *at; at = &(*at)->next) {
		if (*at != a)
			continue;
		*at = a->next;
		if (!a->next)
			list->tail = at;
		return true;
	}
	return false;
}

static void attempt_free(struct attempt *a)
{
	buf_deinit(&a->in);
	buf_deinit(&a->beat);
	arena_deinit(&a->arena);
	free(a);
}

/* ---- the thread ---- */

static void beat(void *ctx, const struct payload *details)
{
	struct attempt *a = ctx;
	struct executor_thread *self = a->executor;

	pthread_mutex_lock(&self->lock);
	if (bytes_present(details->data)) {
		size_t bytes = message_payload_bytes(details);

		buf_reset(&a->beat);
		message_payload_write(details, buf_reserve(&a->beat, bytes));
		a->beat.len = bytes;
	}
	if (!a->in_beat && !a->abandoned) {
		a->in_beat = true;
		a->next_beat = self->beats;
		self->beats = a;
		pool_notify_loop(self->pool, false);
	}
	pthread_mutex_unlock(&self->lock);
}

static enum cancel_reason cancel_reason(void *ctx)
{
	struct attempt *a = ctx;

	return (enum cancel_reason)atomic_load(&a->cancel);
}

static void drain_cancel(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
}

static void signal_cancel(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	assert(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

/* NULL when there is nothing more to come. Called and left with the lock held. */
static struct attempt *await_attempt(struct executor_thread *self)
{
	while (!self->queue.head && !self->stop) {
		self->waiting++;
		pthread_cond_wait(&self->work, &self->lock);
		self->waiting--;
	}
	return self->stop ? NULL : list_shift(&self->queue);
}

static void begin(struct thread *t, struct attempt *a)
{
	struct executor_thread *self = t->executor;
	struct ledger_entry *entry = ledger_get(self->pool->ledger, a->handle);
	bool moved = ledger_move(self->pool->ledger, a->handle, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_STARTED, t->owner);

	assert(entry && moved); /* who takes an attempt back takes it out of the queue, under the lock */
	a->phase = PHASE_RUNNING;
	a->thread = t;
	a->started_mono_us = clock_mono_us();
	atomic_store(&entry->started_mono_us, a->started_mono_us);
	a->in_started = true;
	a->next_started = self->started;
	self->started = a;
	if (atomic_load(&a->cancel) != CANCEL_NONE)
		signal_cancel(t->cancel_fd);
}

static void run(struct thread *t, struct attempt *a)
{
	struct executor_thread *self = t->executor;
	struct context_host host = {.ctx = a, .beat = beat, .cancel_reason = cancel_reason, .cancel_fd = t->cancel_fd};
	struct attempt_info info;
	bool readable;

	arena_reset(&a->arena);
	readable = message_info_read(buf_bytes(&a->in), &a->arena, &info);
	assert(readable);
	context_run(self->pool->config.registry, &info, clock_wall_ms(), &host, &self->limits, &a->arena, &a->outcome);
}

/* False where the attempt was given up meanwhile, and this thread with it. Called with the lock held. */
static bool finish(struct thread *t, struct attempt *a)
{
	struct executor_thread *self = t->executor;
	bool moved;

	if (a->abandoned) {
		a->next = self->trash;
		self->trash = a;
		return false;
	}
	a->ended_mono_us = clock_mono_us();
	atomic_store(&ledger_get(self->pool->ledger, a->handle)->ended_mono_us, a->ended_mono_us);
	moved = ledger_move(self->pool->ledger, a->handle, LEDGER_STARTED, t->owner, LEDGER_ENDED, t->owner);
	assert(moved);
	if (atomic_load(&a->cancel) != CANCEL_NONE)
		drain_cancel(t->cancel_fd);
	a->phase = PHASE_DONE;
	list_append(&self->done, a);
	return true;
}

static void empty_trash(struct executor_thread *self)
{
	struct attempt *a;

	while ((a = self->trash)) {
		self->trash = a->next;
		attempt_free(a);
	}
}

static void self_destroy(struct executor_thread *self)
{
	empty_trash(self);
	pthread_mutex_destroy(&self->lock);
	pthread_cond_destroy(&self->work);
	pthread_cond_destroy(&self->gone);
	free(self);
}

/* Called with the lock held; lets go of it. The last abandoned thread of an executor that is gone puts out the light. */
static void leave(struct thread *t, bool abandoned)
{
	struct executor_thread *self = t->executor;
	bool last;

	if (abandoned)
		self->abandoned--;
	else
		self->live--;
	last = self->stop && abandoned && self->live == 0 && self->abandoned == 0 && !self->by_index;
	pthread_cond_broadcast(&self->gone);
	pthread_mutex_unlock(&self->lock);
	close(t->cancel_fd);
	free(t);
	if (last)
		self_destroy(self);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct executor_thread *self = t->executor;
	struct attempt *a;
	bool going_on = true;

	pthread_mutex_lock(&self->lock);
	while (going_on && (a = await_attempt(self))) {
		begin(t, a);
		pthread_mutex_unlock(&self->lock);
		pool_notify_loop(self->pool, false);
		run(t, a);
		pthread_mutex_lock(&self->lock);
		going_on = finish(t, a);
		if (going_on)
			pool_notify_loop(self->pool, false);
	}
	leave(t, !going_on);
	return NULL;
}

static enum mr_status start_thread(struct executor_thread *self, struct mr_error *err)
{
	struct thread *t = mem_alloc(sizeof(*t));
	sigset_t all, before;
	pthread_t id;
	int error;

	t->executor = self;
	t->owner = POOL_MAX_SLOTS + self->next_owner++;
	t->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->cancel_fd < 0) {
		free(t);
		return mr_error_set(err, MR_ESYSTEM, "eventfd", "%s", strerror(errno));
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
	error = pthread_create(&id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		close(t->cancel_fd);
		free(t);
		return mr_error_set(err, MR_ESYSTEM, "pthread_create", "%s", strerror(error));
	}
	pthread_detach(id);
	self->live++;
	return MR_OK;
}

/* ---- the loop ---- */

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
	a->started_mono_us = a->ended_mono_us = 0;
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
	struct attempt *a;
	bool moved;

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
	list_append(&self->queue, a);
	if (self->waiting > 0)
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
	queued = a->phase == PHASE_QUEUED && list_remove(&self->queue, a);
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
		signal_cancel(a->thread->cancel_fd);
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
	list_append(&self->done, ghost);
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
		if (start_thread(self, &err))
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
	list_init(&news->done);
	pthread_mutex_lock(&self->lock);
	empty_trash(self);
	news->started = self->started;
	news->beats = self->beats;
	if (self->done.head)
		news->done = self->done;
	self->started = self->beats = NULL;
	list_init(&self->done);
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

/* Called with the lock held; the copy lives in the arena of the loop. */
static struct bytes copy_beat(struct executor_thread *self, const struct attempt *a)
{
	return a->beat.len > 0 ? arena_copy(&self->arena, buf_bytes(&a->beat)) : BYTES_NONE;
}

static struct payload read_beat(struct bytes copy)
{
	struct payload details = {.data = BYTES_NONE};

	if (bytes_present(copy) && !message_payload_read(copy, &details))
		details = (struct payload){.data = BYTES_NONE};
	return details;
}

/* From here on the thread may put it into the next list, so the way on is read first. Returns that. */
static struct attempt *tell_beat(struct executor_thread *self, struct attempt *a, event_fn *event, void *ctx)
{
	struct executor_event e = {.kind = EXECUTOR_HEARTBEAT, .handle = a->handle};
	struct attempt *next;
	struct bytes copy;
	bool abandoned;

	pthread_mutex_lock(&self->lock);
	next = a->next_beat;
	a->in_beat = false;
	abandoned = a->abandoned;
	copy = copy_beat(self, a);
	pthread_mutex_unlock(&self->lock);
	e.details = read_beat(copy);
	if (!abandoned)
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
		.outcome = a->outcome,
	};

	pthread_mutex_lock(&self->lock);
	e.outcome.heartbeat_details = read_beat(copy_beat(self, a));
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
	else if (!atomic_load(&self->pool->shared->armed))
		drain_cancel(self->pool->loop_fd);
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
	while ((a = list_shift(&self->queue)) || (a = list_shift(&self->done)))
		attempt_free(a);
	while ((a = self->free_list)) {
		self->free_list = a->next;
		attempt_free(a);
	}
	free(self->by_index);
	self->by_index = NULL;
	arena_deinit(&self->arena);
	executor_free(self->processes);
	last = self->abandoned == 0;
	pthread_mutex_unlock(&self->lock);
	if (last)
		self_destroy(self);
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
	list_init(&self->queue);
	list_init(&self->done);
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
		status = start_thread(self, err);
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
