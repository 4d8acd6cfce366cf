/* SPDX-License-Identifier: Apache-2.0 */
/* 5 outcome: completed, failed, timed out or to be tried again. Pure. */
#include "task/outcome.h"

#include <assert.h>
#include <stdlib.h>

#include "task/failure.h"

static struct failure failure_of(struct bytes type, struct bytes message)
{
	struct failure failure;

	failure_init(&failure);
	failure.type = type;
	failure.message = message;
	return failure;
}

static const char *timeout_words(enum timeout_type type)
{
	switch (type) {
	case TIMEOUT_START_TO_CLOSE:
		return "start-to-close";
	case TIMEOUT_HEARTBEAT:
		return "heartbeat";
	case TIMEOUT_SCHEDULE_TO_START:
		return "schedule-to-start";
	case TIMEOUT_SCHEDULE_TO_CLOSE:
		return "schedule-to-close";
	case TIMEOUT_NONE:
		break;
	}
	abort();
}

static struct bytes timeout_message(const struct ending *ending, struct arena *arena)
{
	const char *what = timeout_words(ending->timed_out);

	if (ending->budget_ms == TASK_UNSET)
		return arena_printf(arena, "the attempt was %s its %s timeout",
				    ending->never_started ? "not started within" : "ended by", what);
	if (ending->timed_out == TIMEOUT_HEARTBEAT)
		return arena_printf(arena, "the attempt gave no heartbeat for %lld ms", (long long)ending->budget_ms);
	return arena_printf(arena, "the attempt was %s its %s timeout %s %lld ms",
			    ending->never_started ? "not started within" : "ended by", what,
			    ending->never_started ? "of" : "after", (long long)ending->budget_ms);
}

static struct failure timeout_failure(const struct ending *ending, struct arena *arena)
{
	struct failure failure = failure_of(BYTES_LIT("Timeout"), timeout_message(ending, arena));

	failure.timeout_type = ending->timed_out;
	return failure;
}

/* What ended the attempt, where it did not complete; false where it did. */
static bool failure_of_ending(const struct ending *ending, struct arena *arena, struct failure *ret)
{
	const struct outcome *outcome = ending->outcome;

	if (ending->lost) {
		*ret = failure_of_lost_worker();
		return true;
	}
	if (ending->timed_out != TIMEOUT_NONE) {
		*ret = timeout_failure(ending, arena);
		return true;
	}
	switch (outcome->kind) {
	case OUTCOME_COMPLETED:
		return false;
	case OUTCOME_CANCELED:
		break;
	case OUTCOME_PENDING:
		*ret = failure_of(BYTES_LIT("PendingUnsupported"),
				  BYTES_LIT("this worker cannot leave an attempt to be completed by others"));
		ret->non_retryable = true;
		return true;
	case OUTCOME_FAILED:
		if (ending->shut_down && bytes_is(outcome->failure.type, "ActivityCrashed"))
			break;
		*ret = outcome->failure;
		return true;
	}
	if (ending->shut_down)
		*ret = failure_of(BYTES_LIT("WorkerShutdown"),
				  BYTES_LIT("the worker shut down and the activity did not end within the grace period"));
	else
		*ret = failure_of(BYTES_LIT("NotCancelRequested"),
				  BYTES_LIT("the activity reported a cancel that nobody had asked for"));
	return true;
}

/* A task that ends by a timeout tells what went wrong before it, if anything did. */
static void add_cause(const struct ending *ending, struct failure *failure)
{
	if (failure->timeout_type != TIMEOUT_NONE && !failure->cause)
		failure->cause = ending->last_failure;
}

static struct verdict out_of_time(const struct failure *cause, struct arena *arena)
{
	struct verdict verdict = {.status = RESULT_TIMED_OUT, .retry_state = RETRY_STATE_TIMEOUT, .failed = true};
	struct failure *copy = arena_alloc(arena, sizeof(*copy));

	*copy = *cause;
	verdict.failure = failure_of(BYTES_LIT("Timeout"),
				     BYTES_LIT("not enough time is left to retry before the schedule-to-close timeout"));
	verdict.failure.timeout_type = TIMEOUT_SCHEDULE_TO_CLOSE;
	verdict.failure.cause = copy;
	return verdict;
}

static struct verdict close_with(const struct ending *ending, struct failure failure, enum retry_state retry_state)
{
	add_cause(ending, &failure);
	return (struct verdict){
		.status = failure.timeout_type == TIMEOUT_NONE ? RESULT_FAILED : RESULT_TIMED_OUT,
		.retry_state = retry_state,
		.failed = true,
		.failure = failure,
	};
}

static struct verdict canceled(const struct ending *ending)
{
	struct verdict verdict = {.status = RESULT_CANCELED, .retry_state = RETRY_STATE_CANCEL_REQUESTED, .failed = true};

	verdict.failure = failure_of(BYTES_LIT("Canceled"), ending->never_started
								    ? BYTES_LIT("canceled before the attempt started")
								    : BYTES_LIT("canceled on request"));
	if (!ending->lost)
		verdict.failure.details = ending->outcome->result;
	return verdict;
}

static struct verdict terminated(void)
{
	struct verdict verdict = {.status = RESULT_TERMINATED, .failed = true};

	verdict.failure = failure_of(BYTES_LIT("Terminated"), BYTES_LIT("terminated on request"));
	verdict.failure.non_retryable = true;
	return verdict;
}

static bool is_canceled(const struct ending *ending)
{
	if (ending->lost)
		return ending->cancel_requested;
	return ending->outcome->kind == OUTCOME_CANCELED && ending->timed_out == TIMEOUT_NONE && ending->cancel_requested &&
	       !ending->shut_down;
}

static bool is_schedule_timeout(enum timeout_type type)
{
	return type == TIMEOUT_SCHEDULE_TO_START || type == TIMEOUT_SCHEDULE_TO_CLOSE;
}

/* A reset goes before the policy, and the attempt that follows is due at once; a cancel and the end of all time go before it. */
static bool begins_anew(const struct ending *ending)
{
	bool over = ending->close_deadline_ms != TASK_UNSET && ending->ended_at_ms >= ending->close_deadline_ms;

	return ending->reset_requested && !ending->cancel_requested && !over;
}

struct verdict outcome_decide(const struct ending *ending, struct arena *arena)
{
	struct failure failure;
	struct retry_input input;
	struct retry_verdict retry;

	if (ending->terminate_requested)
		return terminated();
	if (is_canceled(ending))
		return canceled(ending);
	if (!failure_of_ending(ending, arena, &failure))
		return (struct verdict){.status = RESULT_COMPLETED};
	if (is_schedule_timeout(failure.timeout_type))
		return close_with(ending, failure, RETRY_STATE_TIMEOUT);
	if (begins_anew(ending))
		return (struct verdict){.retry = true, .failed = true, .failure = failure};
	input = (struct retry_input){
		.policy = ending->policy,
		.failure = &failure,
		.attempt = ending->attempt,
		.now_ms = ending->ended_at_ms,
		.close_deadline_ms = ending->close_deadline_ms,
		.at_once = ending->lost && ending->first_loss,
		.cancel_requested = ending->cancel_requested,
	};
	retry = retry_decide(&input);
	if (retry.retry)
		return (struct verdict){.retry = true, .delay_ms = retry.delay_ms, .failed = true, .failure = failure};
	return retry.timed_out ? out_of_time(&failure, arena) : close_with(ending, failure, retry.retry_state);
}
