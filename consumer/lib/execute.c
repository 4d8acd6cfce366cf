/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 4 execute: hands claimed attempts to the executors, and enforces how long they may run and be silent: told when that is over,
 * killed a grace period later. The clock of an attempt is the one that its executor notes when it starts, not the receipt or the
 * claim.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "lib/worker.h"

static int64_t close_deadline_ms(const struct job *job)
{
	return deadline_close_ms(&job->timeouts, job->scheduled_at_ms, job->task.start_delay_ms);
}

/* Closes one that was not started as it was asked to, where that was asked. */
static bool ended_before_start(struct worker *worker, struct job *job, enum ledger_state from)
{
	if (!job->cancel_requested && !job->terminated)
		return false;
	pace_started(worker, job);
	pace_left(worker, job);
	if (!ledger_move(worker->config.ledger, job->handle, from, LEDGER_NOBODY, LEDGER_ENDED, LEDGER_NOBODY))
		assert(0 && "nobody else moves an entry that no executor has");
	outcome_of_cancel(worker, job);
	return true;
}

void execute_begin(struct worker *worker, struct job *job)
{
	if (ended_before_start(worker, job, LEDGER_CLAIMING))
		return;
	worker_job_state(job, JOB_READY);
	if (!fence_holds_back(worker, job))
		execute_ready(worker, job);
}

void execute_ready(struct worker *worker, struct job *job)
{
	job->budget_ms = deadline_budget_ms(&job->timeouts, close_deadline_ms(job), worker_time_ms(worker));
	job_list_push(&worker->ready, job);
}

static struct attempt_info info_of(const struct worker *worker, const struct job *job)
{
	return (struct attempt_info){
		.task_key = job->key,
		.workflow_id = job->task.workflow_id,
		.activity_id = job->task.activity_id,
		.run_id = job->run_id,
		.activity_type = job->task.activity_type,
		.queue = job->lane->queue,
		.worker = worker->incarnation,
		.token = job->nonce,
		.epoch = job->epoch,
		.attempt = job->attempt,
		.scheduled_at_ms = job->scheduled_at_ms,
		.attempt_scheduled_at_ms = job->dispatched_at_ms,
		.schedule_to_close_timeout_ms = job->timeouts.schedule_to_close_ms,
		.schedule_to_start_timeout_ms = job->timeouts.schedule_to_start_ms,
		.start_to_close_timeout_ms = job->timeouts.start_to_close_ms,
		.heartbeat_timeout_ms = job->timeouts.heartbeat_ms,
		.budget_ms = job->budget_ms,
		.retry_policy = job->policy,
		.priority = job->task.priority,
		.headers = job->user_headers,
		.input = job->task.input,
		.heartbeat_details = job->dispatch.heartbeat,
	};
}

void execute_retime(struct worker *worker, struct job *job)
{
	bool is_running = job->state == JOB_RUNNING;
	int64_t from_us = is_running ? job->started_mono_us : worker->now_us;

	/* Who is not READY yet is reckoned then. */
	if (job->state != JOB_READY && job->state != JOB_QUEUED && !is_running)
		return;
	job->budget_ms = deadline_budget_ms(&job->timeouts, close_deadline_ms(job),
					    worker->config.calls->time_ms(worker->store, from_us));
	if (is_running)
		execute_arm(worker, job);
}

/* ---- telling it to stop ---- */

/* What comes later does not hide what weighs more: what an attempt says of its end goes by the reason that it sees. */
static int weight_of(enum cancel_reason reason)
{
	switch (reason) {
	case CANCEL_NONE:
		return 0;
	case CANCEL_PAUSED:
		return 1;
	case CANCEL_RESET:
		return 2;
	case CANCEL_WORKER_SHUTDOWN:
		return 3;
	case CANCEL_TIMED_OUT:
		return 4;
	case CANCEL_REQUESTED:
		return 5;
	}
	abort();
}

static enum cancel_reason weightiest(unsigned told)
{
	enum cancel_reason found = CANCEL_NONE;

	for (enum cancel_reason reason = CANCEL_REQUESTED; reason <= CANCEL_RESET; reason++)
		if ((told & 1u << reason) && weight_of(reason) > weight_of(found))
			found = reason;
	return found;
}

static void remember(struct job *job, enum cancel_reason reason)
{
	job->told |= 1u << reason;
	switch (reason) {
	case CANCEL_REQUESTED:
		job->cancel_requested = true;
		return;
	case CANCEL_PAUSED:
		job->paused = true;
		return;
	case CANCEL_RESET:
		job->reset = true;
		return;
	case CANCEL_WORKER_SHUTDOWN:
		job->shut_down = true;
		return;
	case CANCEL_NONE:
	case CANCEL_TIMED_OUT:
		return;
	}
}

/* Who accepts no cancel, deadline or shutdown is killed a grace period later; the first kill that is due stands. A pause and a reset
 * only ask: who goes on may complete (Temporal's rule). */
static void arm_kill(struct worker *worker, struct job *job, enum cancel_reason reason)
{
	int64_t grace_ms = reason == CANCEL_REQUESTED ? worker->config.grace_ms : worker->config.kill_after_ms;
	int64_t at_us = worker->now_us + grace_ms * 1000;

	if (reason == CANCEL_PAUSED || reason == CANCEL_RESET)
		return;
	if (job->kill_at_us == 0 || at_us < job->kill_at_us)
		job->kill_at_us = at_us;
}

static int64_t deadline_us(const struct job *job)
{
	if (job->budget_ms == TASK_UNSET || job->budget_ms > (INT64_MAX - job->started_mono_us) / 1000)
		return INT64_MAX;
	return job->started_mono_us + job->budget_ms * 1000;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When a running attempt is to be looked at next. */
static int64_t next_us(const struct worker *worker, const struct job *job)
{
	int64_t at_us = earlier(fence_next_us(job), earlier(park_next_us(worker, job), heartbeat_next_us(job)));

	if (job->killed)
		return INT64_MAX;
	if (job->timed_out == TIMEOUT_NONE)
		at_us = earlier(at_us, earlier(deadline_us(job), heartbeat_limit_us(job)));
	return job->kill_at_us ? earlier(at_us, job->kill_at_us) : at_us;
}

void execute_arm(struct worker *worker, struct job *job)
{
	int64_t at_us = next_us(worker, job);

	if (at_us == INT64_MAX)
		timers_clear(&worker->timers, &job->timer);
	else
		timers_set(&worker->timers, &job->timer, at_us);
}

static void kill_now(struct worker *worker, struct job *job)
{
	if (job->killed)
		return;
	job->killed = true;
	executor_kill(worker->config.executor, job->handle);
}

/* True where no executor has it any more. */
static bool take_unstarted(struct worker *worker, struct job *job)
{
	return job->state == JOB_QUEUED && executor_take_back(worker->config.executor, job->handle) &&
	       ended_before_start(worker, job, LEDGER_TAKEN);
}

void execute_tell(struct worker *worker, struct job *job, enum cancel_reason reason)
{
	enum cancel_reason before = weightiest(job->told);

	if (job->told & 1u << reason)
		return;
	remember(job, reason);
	if (job->state == JOB_READY && ended_before_start(worker, job, LEDGER_CLAIMING))
		return;
	if (reason == CANCEL_REQUESTED && take_unstarted(worker, job))
		return;
	if (job->state != JOB_QUEUED && job->state != JOB_RUNNING)
		return;
	if (weight_of(reason) > weight_of(before))
		executor_cancel(worker->config.executor, job->handle, reason);
	if (job->state != JOB_RUNNING)
		return;
	arm_kill(worker, job, reason);
	execute_arm(worker, job);
}

void execute_terminate(struct worker *worker, struct job *job)
{
	job->terminated = true;
	if (job->state == JOB_READY && ended_before_start(worker, job, LEDGER_CLAIMING))
		return;
	if (take_unstarted(worker, job))
		return;
	if (job->state == JOB_RUNNING)
		kill_now(worker, job);
}

void execute_supersede(struct worker *worker, struct job *job)
{
	bool queued = job->state == JOB_QUEUED;

	job->superseded = true;
	if (job->state == JOB_READY || (queued && executor_take_back(worker->config.executor, job->handle))) {
		fence_drop(worker, job);
		return;
	}
	assert(queued || job->state == JOB_RUNNING);
	timers_clear(&worker->timers, &job->timer);
	if (!queued)
		kill_now(worker, job);
}

/* ---- its way through an executor ---- */

void execute_push(struct worker *worker)
{
	struct job *job;

	while ((job = worker->ready.head)) {
		struct attempt_info info = info_of(worker, job);

		if (job->budget_ms == 0) {
			pace_started(worker, job);
			outcome_too_late(worker, job);
			continue;
		}
		if (!executor_push(worker->config.executor, job->handle, &info))
			return;
		worker_job_state(job, JOB_QUEUED);
		job_list_push(&worker->queued, job);
		if (job->told)
			executor_cancel(worker->config.executor, job->handle, weightiest(job->told));
	}
}

static void started(struct worker *worker, struct job *job, int64_t started_mono_us)
{
	if (job->state != JOB_QUEUED)
		return;
	job->started_mono_us = started_mono_us;
	worker->counters.started++;
	meters_started(worker, job);
	pace_started(worker, job);
	worker_job_state(job, JOB_RUNNING);
	job_list_push(&worker->running, job);
}

/* What it was told before it started counts from now on. */
static void begin_clocks(struct worker *worker, struct job *job)
{
	for (enum cancel_reason reason = CANCEL_REQUESTED; job->told && reason <= CANCEL_RESET; reason++)
		if (job->told & 1u << reason)
			arm_kill(worker, job, reason);
	if (job->terminated || job->superseded)
		kill_now(worker, job);
	execute_arm(worker, job);
}

static enum timeout_type budget_timeout(const struct job *job)
{
	return job->budget_ms == job->timeouts.start_to_close_ms ? TIMEOUT_START_TO_CLOSE : TIMEOUT_SCHEDULE_TO_CLOSE;
}

/* What ended in time by the executor's clock has ended in time, even if it had been told to stop since; and what was silent for too
 * long until then has timed out, even if nobody had looked. */
static enum timeout_type timeout_at_end(struct job *job, const struct executor_event *event)
{
	if (job->timed_out != TIMEOUT_NONE && event->ended_mono_us > job->timed_out_us)
		return job->timed_out;
	if (event->beat_mono_us > job->beat_mono_us)
		job->beat_mono_us = event->beat_mono_us;
	if (event->ended_mono_us <= earlier(deadline_us(job), heartbeat_limit_us(job)))
		return TIMEOUT_NONE;
	return heartbeat_limit_us(job) < deadline_us(job) ? TIMEOUT_HEARTBEAT : budget_timeout(job);
}

static void ended(struct worker *worker, struct job *job, const struct executor_event *event)
{
	started(worker, job, event->started_mono_us);
	assert(job->state == JOB_RUNNING);
	timers_clear(&worker->timers, &job->timer);
	job->timed_out = timeout_at_end(job, event);
	pace_measured(job, event->ended_mono_us - event->started_mono_us);
	pace_left(worker, job);
	if (job->superseded) {
		meters_superseded(job, event->ended_mono_us);
		fence_drop(worker, job);
	} else {
		outcome_of_attempt(worker, job, &event->outcome, event->ended_mono_us);
	}
}

void execute_event(void *ctx, const struct executor_event *event)
{
	struct worker *worker = ctx;
	size_t index = ledger_handle_index(event->handle);
	struct job *job = index < ledger_size(worker->config.ledger) ? worker->by_entry[index] : NULL;

	if (!job || job->handle != event->handle)
		return;
	switch (event->kind) {
	case EXECUTOR_STARTED:
		started(worker, job, event->started_mono_us);
		begin_clocks(worker, job);
		return;
	case EXECUTOR_ENDED:
		ended(worker, job, event);
		return;
	case EXECUTOR_HEARTBEAT:
		heartbeat_rung(worker, job);
		if (job->state == JOB_RUNNING)
			execute_arm(worker, job);
		return;
	}
}

static void time_out(struct worker *worker, struct job *job, enum timeout_type type, int64_t limit_us)
{
	job->timed_out = type;
	job->timed_out_us = limit_us;
	log_info("an attempt has used up its time", LOG_B("key", job->key), LOG_B("type", job->task.activity_type),
		 LOG_I("attempt", job->attempt), LOG_S("timeout", timeout_type_name(type)));
	execute_tell(worker, job, CANCEL_TIMED_OUT);
}

static void look_at_time(struct worker *worker, struct job *job)
{
	bool overdue;

	if (job->timed_out != TIMEOUT_NONE)
		return;
	overdue = heartbeat_is_overdue(worker, job);
	if (overdue && heartbeat_limit_us(job) < deadline_us(job))
		time_out(worker, job, TIMEOUT_HEARTBEAT, heartbeat_limit_us(job));
	else if (worker->now_us >= deadline_us(job))
		time_out(worker, job, budget_timeout(job), deadline_us(job));
}

void execute_woken(struct worker *worker, struct job *job)
{
	look_at_time(worker, job);
	if (job->kill_at_us && worker->now_us >= job->kill_at_us)
		kill_now(worker, job);
	park_woken(worker, job);
	heartbeat_woken(worker, job);
	fence_woken(worker, job);
	execute_arm(worker, job);
}

bool execute_take_back(struct worker *worker, struct job *job)
{
	assert(job->state == JOB_QUEUED);
	if (!executor_take_back(worker->config.executor, job->handle))
		return false;
	execute_release(worker, job);
	return true;
}

void execute_release(struct worker *worker, struct job *job)
{
	worker_job_state(job, JOB_RELEASING);
	job_list_push(&worker->releasing, job);
}

static void released(void *ctx, enum mr_status status)
{
	struct batch *batch = ctx;
	struct worker *worker = batch->worker;

	worker->release_calls--;
	for (size_t i = 0; i < batch->n; i++) {
		/* On an error the store is being closed: the ledger tells the supervisor what was not given back. */
		if (status)
			worker_job_forget(worker, batch->jobs[i]);
		worker_job_free(worker, batch->jobs[i]);
	}
	worker_batch_free(batch);
}

void execute_release_send(struct worker *worker)
{
	struct claim_token tokens[WORKER_BATCH_MAX];
	struct batch *batch;
	struct job *job;

	if (!worker->releasing.head || worker->now_us < worker->refused_until_us)
		return;
	batch = worker_batch_new(worker);
	while (batch->n < WORKER_BATCH_MAX && (job = job_list_pop(&worker->releasing))) {
		tokens[batch->n] = job_token(job);
		tokens[batch->n].worker = worker->incarnation;
		batch->jobs[batch->n++] = job;
	}
	worker->release_calls++;
	worker->counters.released += batch->n;
	meters_released(worker, batch->n);
	if (worker->config.calls->release(worker->store, tokens, batch->n, released, batch) == MR_OK)
		return;
	worker->release_calls--;
	worker_batch_refused(worker, "release");
	for (size_t i = batch->n; i-- > 0;)
		job_list_push_front(&worker->releasing, batch->jobs[i]);
	worker_batch_free(batch);
}
