/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a worker: no more intake, what has not started goes back, what runs may end within the grace period, is then
 * told and at last killed; the group is left early, so that others go on with the partitions.
 */
#include <assert.h>

#include "base/log.h"
#include "lib/worker.h"

/* Attempts that end so soon settle their offsets before the partitions go. */
#define DRAIN_LEAVE_US 500000
/* How long Kafka and Redis may take for what is left when nothing runs any more; and where both are away, so that nothing can be
 * saved: one of them may be about to come back. */
#define DRAIN_FLUSH_US 10000000
#define DRAIN_AWAY_US 1500000
/* Redis that has not answered a lease for so long. */
#define DRAIN_REDIS_AWAY_US 2500000

void worker_drain(struct worker *worker, int64_t now_us)
{
	struct job *next;

	if (worker->draining)
		return;
	worker_clock(worker, now_us);
	worker->draining = true;
	worker->drain_at_us = now_us;
	for (struct job *job = worker->all; job; job = next) {
		next = job->all_next;
		if (job->state == JOB_FRESH || job->state == JOB_WAITING)
			worker_job_free(worker, job);
		else if (job->state == JOB_READY)
			execute_release(worker, job);
		else if (job->state == JOB_QUEUED)
			execute_take_back(worker, job);
	}
	log_info("draining", LOG_I("running", worker->running.len), LOG_I("in_hand", worker->n_jobs),
		 LOG_I("grace_ms", worker->config.grace_ms));
}

static int64_t told_at_us(const struct worker *worker)
{
	return worker->drain_at_us + worker->config.grace_ms * 1000;
}

static int64_t killed_at_us(const struct worker *worker)
{
	return told_at_us(worker) + worker->config.kill_after_ms * 1000;
}

static int64_t cut_off_at_us(const struct worker *worker)
{
	bool redis_away = !worker->lease_ending && worker->now_us - worker->lease_ok_us >= DRAIN_REDIS_AWAY_US;

	return killed_at_us(worker) + (worker->kafka_away && redis_away ? DRAIN_AWAY_US : DRAIN_FLUSH_US);
}

static void tell_running(struct worker *worker)
{
	worker->told_shutdown = true;
	for (struct job *job = worker->running.head; job; job = job->next)
		execute_tell(worker, job, CANCEL_WORKER_SHUTDOWN);
	if (worker->running.len)
		log_warn("the grace period is over, running attempts are told to stop", LOG_I("running", worker->running.len));
}

static void kill_running(struct worker *worker)
{
	worker->killed_all = true;
	for (struct job *job = worker->running.head; job; job = job->next)
		if (!job->killed) {
			job->killed = true;
			executor_kill(worker->config.executor, job->handle);
		}
}

static void finish_up(struct worker *worker)
{
	lease_end(worker);
	if (worker->lease_ended) {
		worker->end = WORKER_DRAINED;
		log_info("drained");
	}
}

static void leave(struct worker *worker)
{
	worker->leaving = true;
	for (size_t i = 0; i < worker->n_feeds; i++)
		bus_leave(worker->feeds[i].bus);
}

static bool has_left(const struct worker *worker)
{
	if (!worker->leaving || bus_outstanding(worker->bus) > 0)
		return false;
	for (size_t i = 0; i < worker->n_feeds; i++)
		if (!bus_left(worker->feeds[i].bus))
			return false;
	return true;
}

void drain_tick(struct worker *worker)
{
	int64_t now_us = worker->now_us;

	if (!worker->leaving && (worker->n_jobs == 0 || now_us >= worker->drain_at_us + DRAIN_LEAVE_US))
		leave(worker);
	if (!worker->told_shutdown && now_us >= told_at_us(worker))
		tell_running(worker);
	if (!worker->killed_all && now_us >= killed_at_us(worker))
		kill_running(worker);
	if (worker->n_jobs == 0 && has_left(worker)) {
		finish_up(worker);
	} else if (now_us >= cut_off_at_us(worker)) {
		log_error("Kafka or Redis did not take what was left; the next owner of the partitions goes on with it",
			  LOG_I("in_hand", worker->n_jobs));
		worker->end = WORKER_CUT_OFF;
	}
}

int64_t drain_deadline_us(const struct worker *worker)
{
	int64_t at_us = cut_off_at_us(worker);

	/* The end of the leave and of the flush is looked at often: it is what someone waits for. */
	if (worker->leaving)
		return worker->now_us + 5000;
	if (!worker->killed_all)
		at_us = killed_at_us(worker);
	if (!worker->told_shutdown)
		at_us = told_at_us(worker);
	if (at_us > worker->drain_at_us + DRAIN_LEAVE_US)
		at_us = worker->drain_at_us + DRAIN_LEAVE_US;
	return at_us;
}
