/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "task/outcome.h"

struct row {
	const char *name;
	enum outcome_kind kind;
	const char *type;
	bool non_retryable;
	enum timeout_type timed_out;
	bool shut_down, cancel_requested;
	int64_t attempt, max_attempts;
	int64_t left_ms; /* to schedule-to-close; 0 = none */
	/* expected */
	bool retry;
	enum result_status status;
	enum retry_state retry_state;
	const char *failure;
	enum timeout_type failure_timeout;
};

#define OK RETRY_STATE_NONE
#define MAXED RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
#define PERMANENT RETRY_STATE_NON_RETRYABLE_FAILURE
#define LATE RETRY_STATE_TIMEOUT
#define ASKED RETRY_STATE_CANCEL_REQUESTED
#define START TIMEOUT_START_TO_CLOSE
#define CLOSE TIMEOUT_SCHEDULE_TO_CLOSE

static const struct row rows[] = {
	{"completed", OUTCOME_COMPLETED, NULL, false, 0, false, false, 1, 0, 0, false, RESULT_COMPLETED, OK, NULL, 0},
	{"completed after its deadline", OUTCOME_COMPLETED, NULL, false, START, false, false, 1, 1, 0, false, RESULT_TIMED_OUT,
	 MAXED, "Timeout", START},
	{"failed, retried", OUTCOME_FAILED, "Oops", false, 0, false, false, 1, 0, 0, true, 0, OK, "Oops", 0},
	{"failed for the last time", OUTCOME_FAILED, "Oops", false, 0, false, false, 3, 3, 0, false, RESULT_FAILED, MAXED, "Oops",
	 0},
	{"failed for good", OUTCOME_FAILED, "Oops", true, 0, false, false, 1, 0, 0, false, RESULT_FAILED, PERMANENT, "Oops", 0},
	{"no time for a retry after a failure", OUTCOME_FAILED, "Oops", false, 0, false, false, 1, 0, 500, false, RESULT_FAILED,
	 LATE, "Oops", 0},
	{"no time for a retry after a timeout", OUTCOME_FAILED, "Killed", false, START, false, false, 1, 0, 500, false,
	 RESULT_TIMED_OUT, LATE, "Timeout", CLOSE},
	{"timed out, retried", OUTCOME_FAILED, "ActivityCrashed", false, START, false, false, 1, 0, 0, true, 0, OK, "Timeout",
	 START},
	{"used up schedule-to-close", OUTCOME_FAILED, "ActivityCrashed", false, CLOSE, false, false, 1, 0, 0, false,
	 RESULT_TIMED_OUT, LATE, "Timeout", CLOSE},
	{"canceled as asked", OUTCOME_CANCELED, NULL, false, 0, false, true, 1, 0, 0, false, RESULT_CANCELED, ASKED, "Canceled",
	 0},
	{"failed after a cancel request", OUTCOME_FAILED, "Oops", false, 0, false, true, 1, 0, 0, false, RESULT_FAILED, ASKED,
	 "Oops", 0},
	{"canceled though nobody asked", OUTCOME_CANCELED, NULL, false, 0, false, false, 1, 0, 0, true, 0, OK,
	 "NotCancelRequested", 0},
	{"stopped by a shutdown", OUTCOME_CANCELED, NULL, false, 0, true, false, 1, 0, 0, true, 0, OK, "WorkerShutdown", 0},
	{"killed by a shutdown", OUTCOME_FAILED, "ActivityCrashed", false, 0, true, false, 1, 0, 0, true, 0, OK, "WorkerShutdown",
	 0},
	{"killed by a shutdown, last attempt", OUTCOME_FAILED, "ActivityCrashed", false, 0, true, false, 1, 1, 0, false,
	 RESULT_FAILED, MAXED, "WorkerShutdown", 0},
	{"failed by itself during a shutdown", OUTCOME_FAILED, "Oops", false, 0, true, false, 1, 0, 0, true, 0, OK, "Oops", 0},
	{"completed during a shutdown", OUTCOME_COMPLETED, NULL, false, 0, true, false, 1, 0, 0, false, RESULT_COMPLETED, OK,
	 NULL, 0},
	{"pending", OUTCOME_PENDING, NULL, false, 0, false, false, 1, 0, 0, false, RESULT_FAILED, PERMANENT, "PendingUnsupported",
	 0},
};

static struct verdict decide(const struct row *row, const struct failure *last, struct arena *arena)
{
	struct retry_policy sent = {
		.initial_interval_ms = TASK_UNSET, .maximum_interval_ms = TASK_UNSET, .maximum_attempts = row->max_attempts};
	struct retry_policy policy = retry_policy_effective(&sent);
	struct outcome outcome = {.kind = row->kind};
	struct ending ending = {
		.outcome = &outcome,
		.attempt = row->attempt,
		.policy = &policy,
		.timed_out = row->timed_out,
		.budget_ms = 10,
		.shut_down = row->shut_down,
		.cancel_requested = row->cancel_requested,
		.ended_at_ms = 1000000,
		.close_deadline_ms = row->left_ms ? 1000000 + row->left_ms : TASK_UNSET,
		.last_failure = last,
	};

	failure_init(&outcome.failure);
	outcome.failure.type = bytes_of(row->type);
	outcome.failure.non_retryable = row->non_retryable;
	return outcome_decide(&ending, arena);
}

static void outcomes_become_verdicts_as_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct arena arena = {0};
		struct verdict verdict = decide(row, NULL, &arena);

		print_message("  %s\n", row->name);
		assert_int_equal(verdict.retry, row->retry);
		if (row->retry)
			assert_int_equal(verdict.delay_ms, 1000);
		else
			assert_int_equal(verdict.status, row->status);
		if (!row->retry)
			assert_int_equal(verdict.retry_state, row->retry_state);
		assert_int_equal(verdict.failed, row->failure != NULL);
		if (row->failure)
			assert_true(bytes_is(verdict.failure.type, row->failure));
		assert_int_equal(verdict.failure.timeout_type, row->failure_timeout);
		arena_deinit(&arena);
	}
}

static void a_final_timeout_has_the_last_real_failure_as_its_cause(void **state)
{
	struct arena arena = {0};
	struct failure last;
	struct verdict verdict;

	(void)state;
	failure_init(&last);
	last.type = BYTES_LIT("Refused");
	verdict = decide(&rows[1], &last, &arena);
	assert_non_null(verdict.failure.cause);
	assert_true(bytes_is(verdict.failure.cause->type, "Refused"));
	arena_deinit(&arena);
}

static void a_timeout_without_time_for_a_retry_keeps_its_own_timeout_as_cause(void **state)
{
	struct arena arena = {0};
	struct verdict verdict;

	(void)state;
	verdict = decide(&rows[6], NULL, &arena);
	assert_non_null(verdict.failure.cause);
	assert_int_equal(verdict.failure.cause->timeout_type, TIMEOUT_START_TO_CLOSE);
	arena_deinit(&arena);
}

/* Ends that no executor reports. */
struct outer_row {
	const char *name;
	enum timeout_type timed_out;
	bool lost, first_loss, terminate, cancel, reset;
	bool not_retryable; /* type WorkerLost and both timeouts, by the policy */
	int64_t max_attempts, left_ms;
	/* expected */
	int64_t retry_in_ms; /* -1: it ends */
	enum result_status status;
	enum retry_state retry_state;
	const char *failure;
};

#define BEAT TIMEOUT_HEARTBEAT
#define QUEUE TIMEOUT_SCHEDULE_TO_START

static const struct outer_row outer_rows[] = {
	{"lost for the first time", 0, true, true, false, false, false, false, 0, 0, 0, 0, 0, "WorkerLost"},
	{"lost again", 0, true, false, false, false, false, false, 0, 0, 1000, 0, 0, "WorkerLost"},
	{"lost, without a retry by its type", 0, true, true, false, false, false, true, 0, 0, -1, RESULT_FAILED, PERMANENT,
	 "WorkerLost"},
	{"lost, and it was the last attempt", 0, true, true, false, false, false, false, 1, 0, -1, RESULT_FAILED, MAXED,
	 "WorkerLost"},
	{"lost again without time for the backoff", 0, true, false, false, false, false, false, 0, 500, -1, RESULT_FAILED, LATE,
	 "WorkerLost"},
	{"a first loss needs no time for a backoff", 0, true, true, false, false, false, false, 0, 500, 0, 0, 0, "WorkerLost"},
	{"lost while it was to be canceled", 0, true, true, false, true, false, false, 0, 0, -1, RESULT_CANCELED, ASKED,
	 "Canceled"},
	{"terminated", 0, true, true, true, true, true, false, 0, 0, -1, RESULT_TERMINATED, OK, "Terminated"},
	{"no heartbeat", BEAT, false, false, false, false, false, false, 0, 0, 1000, 0, 0, "Timeout"},
	{"no heartbeat, without a retry by its type", BEAT, false, false, false, false, false, true, 0, 0, -1, RESULT_TIMED_OUT,
	 PERMANENT, "Timeout"},
	{"not started in time", QUEUE, false, false, false, false, false, false, 0, 0, -1, RESULT_TIMED_OUT, LATE, "Timeout"},
	{"reset goes before the policy", BEAT, false, false, false, false, true, true, 1, 500, 0, 0, 0, "Timeout"},
	{"cancel goes before reset", BEAT, false, false, false, true, true, false, 0, 0, -1, RESULT_TIMED_OUT, ASKED, "Timeout"},
	{"the end of all time goes before reset", BEAT, false, false, false, false, true, false, 0, -1, -1, RESULT_TIMED_OUT,
	 LATE, "Timeout"},
};

static struct verdict decide_outer(const struct outer_row *row, struct arena *arena)
{
	const struct bytes types[] = {BYTES_LIT("WorkerLost"), BYTES_LIT("Timeout:Heartbeat")};
	struct retry_policy sent = {.initial_interval_ms = TASK_UNSET,
				    .maximum_interval_ms = TASK_UNSET,
				    .maximum_attempts = row->max_attempts,
				    .non_retryable_error_types = types,
				    .n_non_retryable_error_types = row->not_retryable ? 2 : 0};
	struct retry_policy policy = retry_policy_effective(&sent);
	struct outcome outcome = {.kind = OUTCOME_FAILED};

	failure_init(&outcome.failure);
	return outcome_decide(&(struct ending){.outcome = &outcome,
					       .attempt = 1,
					       .policy = &policy,
					       .timed_out = row->timed_out,
					       .budget_ms = 10,
					       .lost = row->lost,
					       .first_loss = row->first_loss,
					       .terminate_requested = row->terminate,
					       .cancel_requested = row->cancel,
					       .reset_requested = row->reset,
					       .ended_at_ms = 1000000,
					       .close_deadline_ms = row->left_ms ? 1000000 + row->left_ms : TASK_UNSET},
			      arena);
}

static void ends_from_outside_become_verdicts_as_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(outer_rows) / sizeof(outer_rows[0]); i++) {
		const struct outer_row *row = &outer_rows[i];
		struct arena arena = {0};
		struct verdict verdict = decide_outer(row, &arena);

		print_message("  %s\n", row->name);
		assert_int_equal(verdict.retry, row->retry_in_ms >= 0);
		if (verdict.retry)
			assert_int_equal(verdict.delay_ms, row->retry_in_ms);
		else
			assert_int_equal(verdict.status, row->status);
		if (!verdict.retry)
			assert_int_equal(verdict.retry_state, row->retry_state);
		assert_true(verdict.failed && bytes_is(verdict.failure.type, row->failure));
		arena_deinit(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes_become_verdicts_as_the_table_says),
		cmocka_unit_test(ends_from_outside_become_verdicts_as_the_table_says),
		cmocka_unit_test(a_final_timeout_has_the_last_real_failure_as_its_cause),
		cmocka_unit_test(a_timeout_without_time_for_a_retry_keeps_its_own_timeout_as_cause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
