/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lib/executor_thread_impl.h"
#include "lib/message.h"

/* The threads of thread isolation. Everything shared is under one lock, which nobody holds while an activity runs. */

void attempts_init(struct list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

void attempts_append(struct list *list, struct attempt *a)
{
	a->next = NULL;
	*list->tail = a;
	list->tail = &a->next;
}

struct attempt *attempts_shift(struct list *list)
{
	struct attempt *a = list->head;

	if (a) {
		list->head = a->next;
		if (!list->head)
			list->tail = &list->head;
	}
	return a;
}

bool attempts_remove(struct list *list, struct attempt *a)
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

void attempt_free(struct attempt *a)
{
	buf_deinit(&a->in);
	buf_deinit(&a->beat);
	arena_deinit(&a->arena);
	free(a);
}

static void beat(void *ctx, const struct payload *details)
{
	struct attempt *a = ctx;
	struct executor_thread *self = a->executor;

	pthread_mutex_lock(&self->lock);
	a->beats++;
	a->beat_mono_us = clock_mono_us();
	if (bytes_present(details->data)) {
		size_t bytes = message_payload_bytes(details);

		buf_reset(&a->beat);
		message_payload_write(details, buf_reserve(&a->beat, bytes));
		a->beat.len = bytes;
	}
	if (a->tells_beat && !a->in_beat && !a->abandoned) {
		a->tells_beat = false;
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

void cancel_fd_drain(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
}

void cancel_fd_signal(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	assert(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

/* NULL when there is nothing more to come. Called and left with the lock held. */
static struct attempt *await_attempt(struct executor_thread *self)
{
	struct attempt *a;

	while (!self->queue.head && !self->stop) {
		self->waiting++;
		pthread_cond_wait(&self->work, &self->lock);
		self->waiting--;
	}
	if (self->stop)
		return NULL;
	a = attempts_shift(&self->queue);
	if (self->queue.head && self->waiting > 0)
		pthread_cond_signal(&self->work);
	return a;
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
		cancel_fd_signal(t->cancel_fd);
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
		cancel_fd_drain(t->cancel_fd);
	a->phase = PHASE_DONE;
	attempts_append(&self->done, a);
	return true;
}

void executor_thread_empty_trash(struct executor_thread *self)
{
	struct attempt *a;

	while ((a = self->trash)) {
		self->trash = a->next;
		attempt_free(a);
	}
}

void executor_thread_destroy(struct executor_thread *self)
{
	executor_thread_empty_trash(self);
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
		executor_thread_destroy(self);
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

enum mr_status executor_thread_start(struct executor_thread *self, struct mr_error *err)
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
