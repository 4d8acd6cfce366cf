/* SPDX-License-Identifier: Apache-2.0 */
#include "task/deadlines.h"

#include <assert.h>

static int64_t set_or_unset(int64_t ms)
{
	return ms == 0 ? TASK_UNSET : ms;
}

/* The smaller of two where TASK_UNSET is without limit. */
static int64_t smaller(int64_t a_ms, int64_t b_ms)
{
	if (a_ms == TASK_UNSET || (b_ms != TASK_UNSET && b_ms < a_ms))
		return b_ms;
	return a_ms;
}

static enum mr_status not_negative(int64_t ms, const char *field, struct mr_error *err)
{
	if (ms == TASK_UNSET || ms >= 0)
		return MR_OK;
	return mr_error_set(err, MR_EINVAL, field, "field %s must not be negative, got %lld", field, (long long)ms);
}

enum mr_status timeouts_normalise(const struct task *task, int64_t default_start_to_close_ms, struct timeouts *ret,
				  struct mr_error *err)
{
	enum mr_status status;

	if ((status = not_negative(task->schedule_to_close_timeout_ms, "schedule_to_close_timeout_ms", err)) ||
	    (status = not_negative(task->schedule_to_start_timeout_ms, "schedule_to_start_timeout_ms", err)) ||
	    (status = not_negative(task->start_to_close_timeout_ms, "start_to_close_timeout_ms", err)) ||
	    (status = not_negative(task->heartbeat_timeout_ms, "heartbeat_timeout_ms", err)))
		return status;
	struct timeouts t = {
		.schedule_to_close_ms = set_or_unset(task->schedule_to_close_timeout_ms),
		.schedule_to_start_ms = set_or_unset(task->schedule_to_start_timeout_ms),
		.start_to_close_ms = set_or_unset(task->start_to_close_timeout_ms),
		.heartbeat_ms = set_or_unset(task->heartbeat_timeout_ms),
	};
	if (t.schedule_to_close_ms == TASK_UNSET && t.start_to_close_ms == TASK_UNSET) {
		if (default_start_to_close_ms == TASK_UNSET)
			return mr_error_set(err, MR_EINVAL, "start_to_close_timeout_ms",
					    "one of start_to_close_timeout_ms and schedule_to_close_timeout_ms is required");
		t.start_to_close_ms = set_or_unset(default_start_to_close_ms);
	}
	t.schedule_to_start_ms = smaller(t.schedule_to_start_ms, t.schedule_to_close_ms);
	t.start_to_close_ms = smaller(t.start_to_close_ms, t.schedule_to_close_ms);
	if (t.heartbeat_ms != TASK_UNSET)
		t.heartbeat_ms = smaller(t.heartbeat_ms, t.start_to_close_ms);
	*ret = t;
	return MR_OK;
}

int64_t deadline_add_ms(int64_t at_ms, int64_t duration_ms)
{
	int64_t sum;

	if (at_ms == TASK_UNSET || duration_ms == TASK_UNSET)
		return TASK_UNSET;
	assert(at_ms >= 0 && duration_ms >= 0);
	return __builtin_add_overflow(at_ms, duration_ms, &sum) ? INT64_MAX : sum;
}

int64_t deadline_close_ms(const struct timeouts *timeouts, int64_t scheduled_at_ms, int64_t start_delay_ms)
{
	int64_t from_ms = deadline_add_ms(scheduled_at_ms, start_delay_ms == TASK_UNSET ? 0 : start_delay_ms);

	return deadline_add_ms(from_ms, timeouts->schedule_to_close_ms);
}

int64_t deadline_start_ms(const struct timeouts *timeouts, int64_t dispatched_at_ms)
{
	return deadline_add_ms(dispatched_at_ms, timeouts->schedule_to_start_ms);
}

int64_t deadline_budget_ms(const struct timeouts *timeouts, int64_t close_deadline_ms, int64_t now_ms)
{
	if (close_deadline_ms == TASK_UNSET)
		return timeouts->start_to_close_ms;
	int64_t left_ms = close_deadline_ms > now_ms ? close_deadline_ms - now_ms : 0;
	return smaller(timeouts->start_to_close_ms, left_ms);
}
