/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_DEADLINES_H
#define TASK_DEADLINES_H

#include "task/task.h"

/* Effective timeouts and the instants they end at: pure, Temporal's rules (server chasm/lib/activity/validator.go,
 * statemachine.go). */

/* TASK_UNSET: none. */
struct timeouts {
	int64_t schedule_to_close_ms;
	int64_t schedule_to_start_ms;
	int64_t start_to_close_ms;
	int64_t heartbeat_ms;
};

/*
 * With schedule-to-close: schedule-to-start and start-to-close default to it and do not exceed it. With start-to-close alone the
 * schedule timeouts stay as they are (unlimited where not given). With neither: start-to-close is `default_start_to_close_ms`, or
 * MR_EINVAL where that is TASK_UNSET (typed clients). The heartbeat timeout does not exceed start-to-close. 0 counts as not set;
 * negative values are MR_EINVAL, the error's `where` names the field.
 */
enum mr_status timeouts_normalise(const struct task *task, int64_t default_start_to_close_ms, struct timeouts *ret,
				  struct mr_error *err);

/* Schedule-to-close counts from the first schedule and its start delay (TASK_UNSET: none) over all attempts. TASK_UNSET: no
 * deadline. */
int64_t deadline_close_ms(const struct timeouts *timeouts, int64_t scheduled_at_ms, int64_t start_delay_ms);
/* Schedule-to-start counts per attempt, from its dispatch (after backoff or start delay). TASK_UNSET: no deadline. */
int64_t deadline_start_ms(const struct timeouts *timeouts, int64_t dispatched_at_ms);
/* How long an attempt that starts at `now_ms` may run: the smaller of start-to-close and what is left until `close_deadline_ms`
 * (not below 0); TASK_UNSET: without limit. */
int64_t deadline_budget_ms(const struct timeouts *timeouts, int64_t close_deadline_ms, int64_t now_ms);
/* The sum, held at INT64_MAX; TASK_UNSET where either is. */
int64_t deadline_add_ms(int64_t at_ms, int64_t duration_ms);

#endif
