/* SPDX-License-Identifier: Apache-2.0 */
#include "task/retry.h"

#include <assert.h>
#include <math.h>

#define INITIAL_INTERVAL_MS 1000
#define BACKOFF_COEFFICIENT 2.0
#define MAXIMUM_OF_INITIAL 100

static int64_t positive_or(int64_t value, int64_t otherwise)
{
	return value > 0 ? value : otherwise;
}

struct retry_policy retry_policy_effective(const struct retry_policy *sent)
{
	struct retry_policy policy = *sent;
	int64_t maximum;

	policy.initial_interval_ms = positive_or(sent->initial_interval_ms, INITIAL_INTERVAL_MS);
	if (__builtin_mul_overflow(policy.initial_interval_ms, MAXIMUM_OF_INITIAL, &maximum))
		maximum = INT64_MAX;
	policy.maximum_interval_ms = positive_or(sent->maximum_interval_ms, maximum);
	policy.backoff_coefficient = sent->backoff_coefficient > 0 ? sent->backoff_coefficient : BACKOFF_COEFFICIENT;
	policy.maximum_attempts = positive_or(sent->maximum_attempts, 0);
	return policy;
}

int64_t retry_backoff_ms(const struct retry_policy *effective, int64_t attempt)
{
	assert(attempt >= 1);
	double interval = (double)effective->initial_interval_ms * pow(effective->backoff_coefficient, (double)(attempt - 1));

	/* The comparison is false for values that do not fit an int64 and for NAN alike. */
	if (interval < (double)effective->maximum_interval_ms)
		return (int64_t)interval;
	return effective->maximum_interval_ms;
}

static bool type_is_listed(const struct retry_policy *policy, struct bytes type)
{
	for (size_t i = 0; i < policy->n_non_retryable_error_types; i++)
		if (bytes_equal(policy->non_retryable_error_types[i], type))
			return true;
	return false;
}

static bool is_retryable(const struct retry_policy *policy, const struct failure *failure)
{
	switch (failure->timeout_type) {
	case TIMEOUT_SCHEDULE_TO_START:
	case TIMEOUT_SCHEDULE_TO_CLOSE:
		return false;
	case TIMEOUT_START_TO_CLOSE:
		return !failure->non_retryable && !type_is_listed(policy, BYTES_LIT("Timeout:StartToClose"));
	case TIMEOUT_HEARTBEAT:
		return !failure->non_retryable && !type_is_listed(policy, BYTES_LIT("Timeout:Heartbeat"));
	case TIMEOUT_NONE:
		break;
	}
	return !failure->non_retryable && !type_is_listed(policy, failure->type);
}

static struct retry_verdict give_up(enum retry_state state)
{
	return (struct retry_verdict){.retry = false, .retry_state = state};
}

static bool is_schedule_timeout(enum timeout_type type)
{
	return type == TIMEOUT_SCHEDULE_TO_START || type == TIMEOUT_SCHEDULE_TO_CLOSE;
}

static int64_t delay_of(const struct retry_input *input)
{
	if (input->at_once)
		return 0;
	return positive_or(input->failure->next_retry_delay_ms, retry_backoff_ms(input->policy, input->attempt));
}

struct retry_verdict retry_decide(const struct retry_input *input)
{
	const struct failure *failure = input->failure;

	assert(input->attempt >= 1);
	if (input->cancel_requested)
		return give_up(RETRY_STATE_CANCEL_REQUESTED);
	if (!is_retryable(input->policy, failure))
		return give_up(is_schedule_timeout(failure->timeout_type) ? RETRY_STATE_TIMEOUT
									  : RETRY_STATE_NON_RETRYABLE_FAILURE);
	if (input->policy->maximum_attempts > 0 && input->attempt >= input->policy->maximum_attempts)
		return give_up(RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED);
	int64_t delay_ms = delay_of(input);
	if (input->close_deadline_ms != TASK_UNSET && delay_ms > input->close_deadline_ms - input->now_ms) {
		struct retry_verdict verdict = give_up(RETRY_STATE_TIMEOUT);

		verdict.timed_out = failure->timeout_type != TIMEOUT_NONE;
		return verdict;
	}
	return (struct retry_verdict){.retry = true, .delay_ms = delay_ms, .retry_state = RETRY_STATE_IN_PROGRESS};
}
