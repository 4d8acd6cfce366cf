/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_RETRY_H
#define TASK_RETRY_H

#include "task/task.h"

/* What follows a failed, timed-out or lost attempt: pure rules, Temporal's (server common/backoff/retry.go, common/retrypolicy).
 */

/* The policy with its defaults filled in. */
struct retry_policy retry_policy_effective(const struct retry_policy *sent);

/* Delay after failed attempt n (1-based): min(initial x coefficient^(n-1), maximum), without overflow. */
int64_t retry_backoff_ms(const struct retry_policy *effective, int64_t attempt);

struct retry_input {
	const struct retry_policy *policy; /* effective */
	const struct failure *failure;     /* of attempt n */
	int64_t attempt;                   /* n */
	int64_t now_ms;                    /* Redis' clock */
	int64_t close_deadline_ms;         /* schedule-to-close, TASK_UNSET = none */
	bool at_once;                      /* without the policy's interval */
	bool cancel_requested;
};

struct retry_verdict {
	bool retry;
	int64_t delay_ms;             /* where retry */
	enum retry_state retry_state; /* where not */
	bool timed_out;               /* where not: close as TIMED_OUT (schedule-to-close, cause = the failure), not as FAILED */
};

/* Order (C3-C6): cancel requested, non-retryable by flag or type (`Timeout:StartToClose`, `Timeout:Heartbeat` for timeouts),
 * attempts used up, next start past the deadline. next_retry_delay_ms replaces the interval and ignores the maximum. */
struct retry_verdict retry_decide(const struct retry_input *input);

#endif
