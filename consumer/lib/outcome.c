/* SPDX-License-Identifier: Apache-2.0 */
/* 5 outcome: closes the task with a result, or has the journal carry it to its next attempt. */
#include <assert.h>

#include "base/log.h"
#include "lib/worker.h"
#include "task/failure.h"
#include "task/outcome.h"

struct history {
	const struct attempt_failure *failures;
	size_t n;
};

static void history_add(struct history *history, const struct attempt_failure *failed, struct arena *arena)
{
	attempt_failures_add(history->failures, history->n, failed, arena, &history->failures, &history->n);
}

/* A history that cannot be read is not worth an attempt: it is for people. */
static struct history former_failures(struct worker *worker, const struct job *job, struct arena *arena)
{
	struct history history = {NULL, 0};
	struct mr_error err = {0};

	if (bytes_present(job->dispatch.history) &&
	    wire_decode_history(worker->config.wire, job->dispatch.history, arena, &history.failures, &history.n, &err)) {
		log_warn("the failures of former attempts cannot be read", LOG_B("key", job->key), LOG_S("reason", err.message));
		history = (struct history){NULL, 0};
	}
	attempt_failures_add_lost(job->dispatch.attempt, job->attempt, job->claimed_at_ms, arena, &history.failures, &history.n);
	return history;
}

void outcome_history(struct worker *worker, const struct job *job, struct arena *arena, const struct attempt_failure **ret,
		     size_t *ret_n)
{
	struct history history = former_failures(worker, job, arena);

	*ret = history.failures;
	*ret_n = history.n;
}

static void log_failure(const struct job *job, const struct verdict *verdict)
{
	enum log_level level = verdict->failure.benign ? LOG_DEBUG : LOG_INFO;

	log_at(level, verdict->retry ? "attempt failed, it is retried" : "task failed", LOG_B("key", job->key),
	       LOG_B("type", job->task.activity_type), LOG_I("attempt", job->attempt), LOG_B("failure", verdict->failure.type),
	       LOG_B("message", verdict->failure.message), LOG_I("delay_ms", verdict->retry ? verdict->delay_ms : 0));
}

/* When the attempt began and ended. */
struct span {
	int64_t started_at_ms; /* TASK_UNSET: never */
	int64_t ended_mono_us;
};

/* The last heartbeat of this attempt, else of a former one. */
static struct payload last_heartbeat(const struct job *job, const struct ending *ending)
{
	if (bytes_present(ending->outcome->heartbeat_details.data))
		return ending->outcome->heartbeat_details;
	return job->dispatch.heartbeat;
}

/* A worker hears of a pause or a reset before the scheduler has made its effect, which holds the next attempt back or makes it the
 * first, due at once. The attempt that follows by the policy must not be faster. */
#define COMMAND_EFFECT_MS 2000

static int64_t delay_ms(const struct job *job, const struct verdict *verdict)
{
	bool told = job->paused || job->reset;

	return told && verdict->delay_ms < COMMAND_EFFECT_MS ? COMMAND_EFFECT_MS : verdict->delay_ms;
}

static void retry(struct worker *worker, struct job *job, const struct verdict *verdict, const struct ending *ending,
		  struct history *history, const struct span *span)
{
	/* By the latest that Redis' clock may have shown, so that the next attempt is never early. */
	int64_t due_at_ms = worker->config.calls->time_upper_ms(worker->store, span->ended_mono_us) + delay_ms(job, verdict);
	struct attempt_failure failed = {
		.attempt = job->attempt,
		.started_at_ms = span->started_at_ms,
		.failed_at_ms = ending->ended_at_ms,
		.failure = verdict->failure,
	};
	struct payload heartbeat = last_heartbeat(job, ending);

	worker->counters.retried++;
	history_add(history, &failed, &job->arena);
	journal_backoff(worker, job, history->failures, history->n, due_at_ms, &heartbeat);
}

static void close_task(struct worker *worker, struct job *job, const struct verdict *verdict, const struct ending *ending,
		       int64_t started_at_ms)
{
	struct result result;

	result_begin(worker, job, &result);
	result.status = verdict->status;
	result.started_at_ms = started_at_ms;
	result.retry_state = verdict->retry_state;
	if (verdict->failed) {
		result.failure = &verdict->failure;
		result.last_heartbeat_details = last_heartbeat(job, ending);
		worker->counters.failed++;
	} else {
		result.result = ending->outcome->result;
		worker->counters.completed++;
	}
	result_close(worker, job, &result);
}

static void conclude(struct worker *worker, struct job *job, struct ending *ending, const struct span *span)
{
	struct history history = {NULL, 0};
	struct verdict verdict;

	ending->attempt = job->attempt;
	ending->policy = &job->policy;
	ending->cancel_requested = job->cancel_requested;
	ending->terminate_requested = job->terminated;
	ending->reset_requested = job->reset;
	ending->shut_down = job->shut_down && !job->cancel_requested;
	ending->close_deadline_ms = deadline_close_ms(&job->timeouts, job->scheduled_at_ms, job->task.start_delay_ms);
	if (ending->outcome->kind != OUTCOME_COMPLETED || ending->timed_out != TIMEOUT_NONE)
		history = former_failures(worker, job, &job->arena);
	ending->last_failure = attempt_failures_last_real(history.failures, history.n);
	verdict = outcome_decide(ending, &job->arena);
	meters_ended(job, ending, &verdict, span->ended_mono_us);
	if (verdict.failed)
		log_failure(job, &verdict);
	if (verdict.retry)
		retry(worker, job, &verdict, ending, &history, span);
	else
		close_task(worker, job, &verdict, ending, span->started_at_ms);
}

/* What was killed because it did not heed a cancel was canceled. */
static bool killed_for_cancel(const struct job *job, const struct outcome *outcome)
{
	return job->killed && job->cancel_requested && outcome->kind == OUTCOME_FAILED &&
	       bytes_is(outcome->failure.type, "ActivityCrashed");
}

/* By the latest that Redis' clock may have shown, so that its time is never over too early. */
static int64_t end_of_time_ms(const struct worker *worker, const struct job *job)
{
	return deadline_add_ms(worker->config.calls->time_upper_ms(worker->store, job->started_mono_us), job->budget_ms);
}

void outcome_of_attempt(struct worker *worker, struct job *job, const struct outcome *outcome, int64_t ended_mono_us)
{
	struct outcome canceled = {.kind = OUTCOME_CANCELED, .heartbeat_details = outcome->heartbeat_details};
	struct ending ending = {
		.outcome = killed_for_cancel(job, outcome) ? &canceled : outcome,
		.timed_out = job->timed_out,
		.budget_ms = job->timed_out == TIMEOUT_HEARTBEAT ? job->timeouts.heartbeat_ms : job->budget_ms,
		.ended_at_ms = worker->config.calls->time_ms(worker->store, ended_mono_us),
	};
	struct span span = {
		.started_at_ms = ending.ended_at_ms - (ended_mono_us - job->started_mono_us) / 1000,
		.ended_mono_us = ended_mono_us,
	};
	struct payload heartbeat = last_heartbeat(job, &ending);

	if (outcome->kind == OUTCOME_PENDING && job->timed_out == TIMEOUT_NONE && !job->terminated) {
		meters_pending(job, ended_mono_us);
		journal_pending(worker, job, &heartbeat, end_of_time_ms(worker, job));
	} else {
		conclude(worker, job, &ending, &span);
	}
}

/* For an end that no executor reports. */
static void conclude_without(struct worker *worker, struct job *job, const struct outcome *outcome, enum timeout_type timed_out,
			     int64_t started_at_ms)
{
	struct ending ending = {
		.outcome = outcome,
		.timed_out = timed_out,
		.budget_ms = job->budget_ms,
		.never_started = started_at_ms == TASK_UNSET,
		.ended_at_ms = worker_time_ms(worker),
	};
	struct span span = {.started_at_ms = started_at_ms, .ended_mono_us = worker->now_us};

	conclude(worker, job, &ending, &span);
}

void outcome_of_loss(struct worker *worker, struct job *job)
{
	struct outcome outcome = {.kind = OUTCOME_FAILED, .failure = failure_of_lost_worker()};

	worker->counters.lost++;
	conclude_without(worker, job, &outcome, TIMEOUT_NONE, job->claimed_at_ms);
}

void outcome_too_late(struct worker *worker, struct job *job)
{
	struct outcome outcome = {.kind = OUTCOME_FAILED};

	failure_init(&outcome.failure);
	pace_left(worker, job);
	if (!ledger_move(worker->config.ledger, job->handle, LEDGER_CLAIMING, LEDGER_NOBODY, LEDGER_ENDED, LEDGER_NOBODY))
		assert(0 && "nobody else moves an entry that waits for the ring");
	job->budget_ms = job->timeouts.schedule_to_close_ms;
	conclude_without(worker, job, &outcome, TIMEOUT_SCHEDULE_TO_CLOSE, TASK_UNSET);
}

void outcome_of_cancel(struct worker *worker, struct job *job)
{
	struct outcome outcome = {.kind = OUTCOME_CANCELED};

	failure_init(&outcome.failure);
	job->cancel_requested = true;
	conclude_without(worker, job, &outcome, TIMEOUT_NONE, TASK_UNSET);
}
