/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 4 execute, long attempts: after a while, with the first heartbeat, or when its partition leaves, an attempt is parked: a
 * STARTED record carries the task from then on. Once that is acknowledged its offset settles, and nothing queues behind it. From
 * the moment it is sent the result needs the outbox; once the result is on its way only that settles the offset.
 */
#include "lib/park.h"

#include <assert.h>

#include "base/log.h"
#include "lib/worker.h"

#define PARK_RETRY_FIRST_MS 20
#define PARK_RETRY_MAX_MS 5000

static struct park *park_of(struct worker *worker, struct job *job)
{
	if (job->park)
		return job->park;
	job->park = arena_alloc(&job->arena, sizeof(*job->park));
	*job->park = (struct park){
		.started = {.job = job, .kind = DELIVERY_OF_PARK},
		.beat = {.job = job, .kind = DELIVERY_OF_BEAT},
		.quiet = true,
		.again_us = worker->now_us,
	};
	return job->park;
}

bool park_is_sending(const struct job *job)
{
	return job->park && job->park->started.state == DELIVERY_SENT;
}

bool park_holds(const struct job *job)
{
	return park_is_sending(job) || (job->park && job->park->beat.state == DELIVERY_SENT);
}

static void send_later(struct worker *worker, struct park *park)
{
	park->started.state = DELIVERY_UNSENT;
	park->backoff_ms = park->backoff_ms ? park->backoff_ms * 2 : PARK_RETRY_FIRST_MS;
	if (park->backoff_ms > PARK_RETRY_MAX_MS)
		park->backoff_ms = PARK_RETRY_MAX_MS;
	park->again_us = worker->now_us + park->backoff_ms * 1000;
}

static void not_written(struct worker *worker, struct job *job, enum mr_status status)
{
	if (status == MR_ETOO_LARGE) {
		log_info("a task is too large to be parked; its partition waits for it", LOG_B("key", job->key),
			 LOG_I("bytes", job->value.len));
		job->park->refused = true;
		job->park->started.state = DELIVERY_UNSENT;
		return;
	}
	send_later(worker, job->park);
	log_at(status == MR_EFULL ? LOG_DEBUG : LOG_WARN, "a long attempt is not parked yet", LOG_B("key", job->key),
	       LOG_S("status", mr_status_name(status)), LOG_I("in_ms", job->park->backoff_ms));
}

static void send(struct worker *worker, struct job *job)
{
	enum mr_status status = journal_started(worker, job, &job->park->started);

	if (status) {
		not_written(worker, job, status);
		return;
	}
	job->park->started.state = DELIVERY_SENT;
	job->journalled = true;
}

void park_begin(struct worker *worker, struct job *job)
{
	assert(job->state == JOB_RUNNING);
	if (job->superseded || (job->park && (job->park->started.state != DELIVERY_UNSENT || job->park->refused)))
		return;
	park_of(worker, job);
	send(worker, job);
}

int64_t park_next_us(const struct worker *worker, const struct job *job)
{
	const struct park *park = job->park;

	if (!park)
		return job->started_mono_us + worker->config.park_after_ms * 1000;
	return park->started.state == DELIVERY_UNSENT && !park->refused ? park->again_us : INT64_MAX;
}

void park_woken(struct worker *worker, struct job *job)
{
	if (worker->now_us >= park_next_us(worker, job))
		park_begin(worker, job);
}

/* What nobody waits for any more goes with its last record. */
static bool linger(struct worker *worker, struct job *job)
{
	if (job->state != JOB_LINGERING)
		return false;
	if (!park_holds(job))
		worker_job_free(worker, job);
	return true;
}

void park_reported(struct worker *worker, struct job *job, enum mr_status status)
{
	assert(job->park->started.state == DELIVERY_SENT);
	job->park->started.state = status == MR_OK ? DELIVERY_DONE : DELIVERY_UNSENT;
	if (linger(worker, job))
		return;
	if (job->state == JOB_JOURNALLING)
		deliver_send(worker, job);
	if (job->state != JOB_RUNNING)
		return;
	if (status == MR_OK)
		settle_job(worker, job);
	else
		not_written(worker, job, status);
	execute_arm(worker, job);
}

void heartbeat_reported(struct worker *worker, struct job *job, enum mr_status status)
{
	struct park *park = job->park;

	assert(park->beat.state == DELIVERY_SENT);
	park->beat.state = status == MR_OK ? DELIVERY_DONE : DELIVERY_UNSENT;
	if (status == MR_OK)
		meters_heartbeat(job);
	if (linger(worker, job) || status == MR_OK)
		return;
	/* The next look finds it untold. */
	park->beats_told = 0;
	park->quiet = false;
	if (job->state == JOB_RUNNING)
		execute_arm(worker, job);
}
