/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 4 execute, heartbeats: the executor keeps the latest in shared memory and tells of the first one only. The loop looks at them when
 * the heartbeat timeout would run out, and throttled for the journal: the first one at once, with the STARTED record; then the latest
 * of each interval, under a key of its own so that the task is not written again; after a quiet interval the next one at once.
 */
#include "base/log.h"
#include "lib/worker.h"

#define HEARTBEAT_DEFAULT_MS 30000
#define HEARTBEAT_MAX_MS 60000

/* Temporal's rule: 0.8 of the timeout, 30 s where there is none, 60 s at most. */
static int64_t interval_us(const struct job *job)
{
	int64_t timeout_ms = job->timeouts.heartbeat_ms;
	int64_t interval_ms = timeout_ms == TASK_UNSET ? HEARTBEAT_DEFAULT_MS : timeout_ms / 5 * 4 + timeout_ms % 5 * 4 / 5;

	if (interval_ms > HEARTBEAT_MAX_MS)
		interval_ms = HEARTBEAT_MAX_MS;
	return (interval_ms > 0 ? interval_ms : 1) * 1000;
}

static void told(struct worker *worker, struct job *job, uint32_t count)
{
	job->park->beats_told = count;
	job->park->quiet = false;
	job->park->beat_at_us = worker->now_us + interval_us(job);
}

static void send(struct worker *worker, struct job *job, const struct executor_beat *beat)
{
	struct park *park = job->park;
	enum mr_status status;

	told(worker, job, beat->count);
	/* The former one is still on its way: this one, or a later one, goes when the interval is over. */
	if (park->beat.state == DELIVERY_SENT) {
		park->beats_told = 0;
		return;
	}
	status = journal_heartbeat(worker, job, &beat->details, &park->beat);
	if (status) {
		log_debug("a heartbeat is not written yet", LOG_B("key", job->key), LOG_S("status", mr_status_name(status)));
		park->beats_told = 0;
		return;
	}
	park->beat.state = DELIVERY_SENT;
	park->beats_journalled = job->journalled = true;
}

/* False where there is none, or no news since the last one that was told; `tell_next`: the executor tells of the next one. */
static bool look(struct worker *worker, struct job *job, bool tell_next, struct executor_beat *ret)
{
	if (!executor_beat(worker->config.executor, job->handle, tell_next, ret) || ret->count == 0)
		return false;
	if (ret->at_mono_us > job->beat_mono_us)
		job->beat_mono_us = ret->at_mono_us;
	return !job->park || ret->count != job->park->beats_told;
}

void heartbeat_rung(struct worker *worker, struct job *job)
{
	struct executor_beat beat;

	/* Not of the next one: until the interval is over nobody needs to know, and then the timer looks. */
	if (job->state != JOB_RUNNING || job->superseded || !look(worker, job, false, &beat))
		return;
	if (!job->park) {
		/* The STARTED record has its details, which are borrowed no longer when it was made. */
		park_begin(worker, job);
		if (!job->park->refused) {
			told(worker, job, beat.count);
			meters_heartbeat(job);
		} else if (look(worker, job, false, &beat)) {
			send(worker, job, &beat);
		}
	} else if (job->park->quiet || worker->now_us >= job->park->beat_at_us) {
		send(worker, job, &beat);
	}
}

int64_t heartbeat_next_us(const struct job *job)
{
	return job->park && !job->park->quiet ? job->park->beat_at_us : INT64_MAX;
}

void heartbeat_woken(struct worker *worker, struct job *job)
{
	struct executor_beat beat;

	if (worker->now_us < heartbeat_next_us(job))
		return;
	if (look(worker, job, true, &beat))
		send(worker, job, &beat);
	else
		job->park->quiet = true;
}

int64_t heartbeat_limit_us(const struct job *job)
{
	int64_t last_us = job->beat_mono_us > job->started_mono_us ? job->beat_mono_us : job->started_mono_us;

	if (job->timeouts.heartbeat_ms == TASK_UNSET || job->timeouts.heartbeat_ms > (INT64_MAX - last_us) / 1000)
		return INT64_MAX;
	return last_us + job->timeouts.heartbeat_ms * 1000;
}

bool heartbeat_is_overdue(struct worker *worker, struct job *job)
{
	struct executor_beat beat;

	if (worker->now_us < heartbeat_limit_us(job))
		return false;
	if (executor_beat(worker->config.executor, job->handle, false, &beat) && beat.at_mono_us > job->beat_mono_us)
		job->beat_mono_us = beat.at_mono_us;
	return worker->now_us >= heartbeat_limit_us(job);
}

bool heartbeat_was_journalled(const struct job *job)
{
	bool by_former = job->attempt > 1 && job->timeouts.heartbeat_ms != TASK_UNSET;

	return by_former || bytes_present(job->dispatch.heartbeat.data) || (job->park && job->park->beats_journalled);
}
