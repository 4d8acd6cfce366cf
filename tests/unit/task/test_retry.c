/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "task/retry.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define U TASK_UNSET

static struct retry_policy policy_of(int64_t initial_ms, double coefficient, int64_t maximum_ms, int64_t attempts)
{
	struct retry_policy sent = {.initial_interval_ms = initial_ms,
				    .backoff_coefficient = coefficient,
				    .maximum_interval_ms = maximum_ms,
				    .maximum_attempts = attempts};

	return retry_policy_effective(&sent);
}

static void a_missing_policy_gets_the_defaults(void **state)
{
	struct task task;

	(void)state;
	task_init(&task);
	struct retry_policy policy = retry_policy_effective(&task.retry_policy);
	assert_int_equal(policy.initial_interval_ms, 1000);
	assert_true(policy.backoff_coefficient == 2.0);
	assert_int_equal(policy.maximum_interval_ms, 100000);
	assert_int_equal(policy.maximum_attempts, 0);
	assert_int_equal(policy.n_non_retryable_error_types, 0);
	policy = policy_of(10, 0, U, 7);
	assert_int_equal(policy.maximum_interval_ms, 1000);
	assert_int_equal(policy.maximum_attempts, 7);
	assert_true(policy_of(INT64_MAX / 2, 0, U, 0).maximum_interval_ms == INT64_MAX);
}

static void the_backoff_grows_up_to_its_maximum(void **state)
{
	static const struct {
		int64_t initial_ms;
		double coefficient;
		int64_t maximum_ms, attempt, expected_ms;
	} rows[] = {
		{1000, 2, U, 1, 1000},
		{1000, 2, U, 2, 2000},
		{1000, 2, U, 7, 64000},
		{1000, 2, U, 8, 100000},
		{1000, 2, 5000, 3, 4000},
		{1000, 2, 5000, 4, 5000},
		{100, 1, U, 1000000, 100},
		{100, 1.5, U, 3, 225},
		{1000, 2, U, INT64_MAX, 100000},
		{1000, 1e300, 3000, 3, 3000},
		{3000000000000, 10, TASK_DURATION_MAX_MS, 60, TASK_DURATION_MAX_MS},
		{1000, 2, INT64_MAX, 5000, INT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct retry_policy policy = policy_of(rows[i].initial_ms, rows[i].coefficient, rows[i].maximum_ms, 0);

		assert_true(retry_backoff_ms(&policy, rows[i].attempt) == rows[i].expected_ms);
	}
}

struct decision {
	const char *what;
	int64_t attempt, maximum_attempts, deadline_ms, next_retry_delay_ms;
	const char *type;
	enum timeout_type timeout;
	bool non_retryable, cancel;
	struct retry_verdict expected;
};

#define RETRY(ms)                                                                                                                \
	{                                                                                                                        \
		.retry = true, .delay_ms = (ms), .retry_state = RETRY_STATE_IN_PROGRESS                                          \
	}
#define END(reason)                                                                                                              \
	{                                                                                                                        \
		.retry = false, .retry_state = RETRY_STATE_##reason                                                              \
	}
#define TIMED_OUT                                                                                                                \
	{                                                                                                                        \
		.retry = false, .retry_state = RETRY_STATE_TIMEOUT, .timed_out = true                                            \
	}

/* The clock stands at 10,000. `Listed`, `Timeout:Heartbeat` are non-retryable by the policy. */
static const struct decision decisions[] = {
	{"retried after the interval", 1, 0, U, U, "E", TIMEOUT_NONE, false, false, RETRY(1000)},
	{"without a type", 2, 0, U, U, NULL, TIMEOUT_NONE, false, false, RETRY(2000)},
	{"by flag", 1, 0, U, U, "E", TIMEOUT_NONE, true, false, END(NON_RETRYABLE_FAILURE)},
	{"by type", 1, 0, U, U, "Listed", TIMEOUT_NONE, false, false, END(NON_RETRYABLE_FAILURE)},
	{"types are compared exactly", 1, 0, U, U, "listed", TIMEOUT_NONE, false, false, RETRY(1000)},
	{"attempts used up", 3, 3, U, U, "E", TIMEOUT_NONE, false, false, END(MAXIMUM_ATTEMPTS_REACHED)},
	{"one attempt left", 2, 3, U, U, "E", TIMEOUT_NONE, false, false, RETRY(2000)},
	{"cancel beats all", 3, 3, 1, U, "Listed", TIMEOUT_NONE, true, true, END(CANCEL_REQUESTED)},
	{"non-retryable beats attempts", 3, 3, U, U, "E", TIMEOUT_NONE, true, false, END(NON_RETRYABLE_FAILURE)},
	{"attempts beat the deadline", 3, 3, 1, U, "E", TIMEOUT_NONE, false, false, END(MAXIMUM_ATTEMPTS_REACHED)},
	{"the deadline is reached exactly", 1, 0, 11000, U, "E", TIMEOUT_NONE, false, false, RETRY(1000)},
	{"a failure past the deadline", 1, 0, 10999, U, "E", TIMEOUT_NONE, false, false, END(TIMEOUT)},
	{"a timeout past the deadline", 1, 0, 10999, U, "E", TIMEOUT_START_TO_CLOSE, false, false, TIMED_OUT},
	{"the deadline is over", 1, 0, 1, U, "E", TIMEOUT_NONE, false, false, END(TIMEOUT)},
	{"the failure's own delay", 1, 0, U, 7, "E", TIMEOUT_NONE, false, false, RETRY(7)},
	{"the failure's own delay ignores the maximum", 1, 0, U, 500000, "E", TIMEOUT_NONE, false, false, RETRY(500000)},
	{"the failure's own delay is bound by the deadline", 1, 0, 20000, 10001, "E", TIMEOUT_NONE, false, false, END(TIMEOUT)},
	{"the failure's own delay is bound by the attempts", 3, 3, U, 7, "E", TIMEOUT_NONE, false, false,
	 END(MAXIMUM_ATTEMPTS_REACHED)},
	{"a delay of 0 is none", 1, 0, U, 0, "E", TIMEOUT_NONE, false, false, RETRY(1000)},
	{"start-to-close is retried", 1, 0, U, U, "E", TIMEOUT_START_TO_CLOSE, false, false, RETRY(1000)},
	{"heartbeat by the name of the timeout", 1, 0, U, U, "E", TIMEOUT_HEARTBEAT, false, false, END(NON_RETRYABLE_FAILURE)},
	{"a timeout has no type to list", 1, 0, U, U, "Listed", TIMEOUT_START_TO_CLOSE, false, false, RETRY(1000)},
	{"schedule-to-start is never retried", 1, 0, U, U, "E", TIMEOUT_SCHEDULE_TO_START, false, false, END(TIMEOUT)},
	{"schedule-to-close is never retried", 1, 0, U, U, "E", TIMEOUT_SCHEDULE_TO_CLOSE, false, false, END(TIMEOUT)},
};

static void decisions_follow_the_rules(void **state)
{
	static const struct bytes listed[] = {{"Listed", 6}, {"Timeout:Heartbeat", 17}};

	(void)state;
	for (size_t i = 0; i < COUNT(decisions); i++) {
		const struct decision *d = &decisions[i];
		struct retry_policy policy = policy_of(U, 0, U, d->maximum_attempts);
		struct failure failure;

		failure_init(&failure);
		failure.type = bytes_of(d->type);
		failure.timeout_type = d->timeout;
		failure.non_retryable = d->non_retryable;
		failure.next_retry_delay_ms = d->next_retry_delay_ms;
		policy.non_retryable_error_types = listed;
		policy.n_non_retryable_error_types = COUNT(listed);
		struct retry_verdict verdict = retry_decide(&(struct retry_input){
			.policy = &policy,
			.failure = &failure,
			.attempt = d->attempt,
			.now_ms = 10000,
			.close_deadline_ms = d->deadline_ms,
			.cancel_requested = d->cancel,
		});
		if (verdict.retry != d->expected.retry || verdict.delay_ms != d->expected.delay_ms ||
		    verdict.retry_state != d->expected.retry_state || verdict.timed_out != d->expected.timed_out)
			fail_msg("%s", d->what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_policy_gets_the_defaults),
		cmocka_unit_test(the_backoff_grows_up_to_its_maximum),
		cmocka_unit_test(decisions_follow_the_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
