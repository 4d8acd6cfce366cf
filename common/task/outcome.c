/* SPDX-License-Identifier: Apache-2.0 */
/* 5 outcome: completed, failed, timed out or to be tried again. Pure. */
#include "task/outcome.h"

#include <assert.h>

static struct failure failure_of(struct bytes type, struct bytes message)
{
	struct failure failure;

	failure_init(&failure);
	failure.type = type;
	failure.message = message;
	return failure;
}

static struct failure timeout_failure(const struct ending *ending, struct arena *arena)
{
	const char *what = ending->timed_out == TIMEOUT_SCHEDULE_TO_CLOSE ? "schedule-to-close" : "start-to-close";
	bool early = ending->never_started;
	struct failure failure = failure_of(BYTES_LIT("Timeout"),
					    arena_printf(arena, "the attempt was %s its %s timeout %s %lld ms",
							 early ? "not started within" : "ended by", what, early ? "of" : "after",
							 (long long)ending->budget_ms));

	failure.timeout_type = ending->timed_out;
	return failure;
}

/* What ended the attempt, where it did not complete; false where it did, or was canceled as asked. */
static bool failure_of_ending(const struct ending *ending, struct arena *arena, struct failure *ret)
{
	const struct outcome *outcome = ending->outcome;

	if (ending->timed_out != TIMEOUT_NONE) {
		*ret = timeout_failure(ending, arena);
		return true;
	}
	switch (outcome->kind) {
	case OUTCOME_COMPLETED:
		return false;
	case OUTCOME_CANCELED:
		if (ending->cancel_requested && !ending->shut_down)
			return false;
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

	verdict.failure = failure_of(BYTES_LIT("Canceled"), BYTES_LIT("canceled on request"));
	verdict.failure.details = ending->outcome->result;
	return verdict;
}

struct verdict outcome_decide(const struct ending *ending, struct arena *arena)
{
	struct failure failure;
	struct retry_input input;
	struct retry_verdict retry;

	if (!failure_of_ending(ending, arena, &failure)) {
		if (ending->outcome->kind == OUTCOME_CANCELED)
			return canceled(ending);
		return (struct verdict){.status = RESULT_COMPLETED};
	}
	if (failure.timeout_type == TIMEOUT_SCHEDULE_TO_CLOSE)
		return close_with(ending, failure, RETRY_STATE_TIMEOUT);
	input = (struct retry_input){
		.policy = ending->policy,
		.failure = &failure,
		.attempt = ending->attempt,
		.now_ms = ending->ended_at_ms,
		.close_deadline_ms = ending->close_deadline_ms,
		.cancel_requested = ending->cancel_requested,
	};
	retry = retry_decide(&input);
	if (retry.retry)
		return (struct verdict){.retry = true, .delay_ms = retry.delay_ms, .failed = true, .failure = failure};
	return retry.timed_out ? out_of_time(&failure, arena) : close_with(ending, failure, retry.retry_state);
}
