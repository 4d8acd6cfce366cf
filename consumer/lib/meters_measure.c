/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker's metrics say of the present, and why it is not ready. */
#include "lib/worker.h"

#define MEASURE_US (200 * 1000)
/* Leases are renewed each second. */
#define SILENT_US (3 * 1000 * 1000)

static bool waits(const struct job *job)
{
	switch (job->state) {
	case JOB_FRESH:
	case JOB_CLAIMING:
	case JOB_READY:
	case JOB_QUEUED:
		return true;
	case JOB_FREE:
	case JOB_DELAYED:
	case JOB_WAITING: /* it runs elsewhere, or may not start yet */
	case JOB_RUNNING:
	case JOB_RELEASING:
	case JOB_JOURNALLING:
	case JOB_FORWARDING:
	case JOB_FINISHING:
	case JOB_PUBLISHING:
	case JOB_CLEARING:
	case JOB_DEAD:
	case JOB_LINGERING:
		break;
	}
	return false;
}

static void measure_waiting(struct worker *worker)
{
	int64_t now_ms = worker_time_ms(worker);
	struct feed_meters *feeds = worker->meters.feeds;

	for (size_t i = 0; i < worker->n_feeds; i++) {
		feeds[i].n_waiting = 0;
		feeds[i].oldest_at_ms = now_ms;
	}
	for (const struct job *job = worker->all; job; job = job->all_next) {
		struct feed_meters *feed = waits(job) ? &feeds[job->lane->feed - worker->feeds] : NULL;

		if (!feed)
			continue;
		feed->n_waiting++;
		if (job->dispatched_at_ms < feed->oldest_at_ms)
			feed->oldest_at_ms = job->dispatched_at_ms;
	}
	for (size_t i = 0; i < worker->n_feeds; i++) {
		metric_set(feeds[i].waiting, feeds[i].n_waiting);
		metric_set(feeds[i].oldest, (now_ms - feeds[i].oldest_at_ms) * 1000);
	}
}

static int64_t count_ready(const struct worker *worker)
{
	int64_t n = 0;

	for (int i = 0; i < worker->config.shards; i++)
		n += worker->shards[i].ready;
	return n;
}

static bool has_joined(const struct worker *worker)
{
	for (size_t i = 0; i < worker->n_feeds; i++)
		if (!worker->feeds[i].joined)
			return false;
	return true;
}

static bool redis_is_away(const struct worker *worker)
{
	return worker->meters.redis_lost || worker->now_us - worker->lease_ok_us > SILENT_US;
}

static uint32_t reasons(const struct worker *worker)
{
	uint32_t found = 0;

	if (worker->kafka_away)
		found |= HEALTH_BIT(KAFKA);
	if (redis_is_away(worker))
		found |= HEALTH_BIT(REDIS);
	if (!has_joined(worker))
		found |= HEALTH_BIT(UNASSIGNED);
	if (count_ready(worker) < worker->config.shards)
		found |= HEALTH_BIT(UNVOUCHED);
	if (worker->draining)
		found |= HEALTH_BIT(ENDING);
	return found;
}

static int64_t count_unacknowledged(const struct worker *worker)
{
	int64_t n = 0;

	for (size_t i = 0; i < worker->n_feeds; i++)
		n += (int64_t)bus_outstanding(worker->feeds[i].bus);
	return n;
}

static void measure(struct worker *worker)
{
	struct meters *m = &worker->meters;
	int64_t slots = (int64_t)worker->config.slots, used = (int64_t)(worker->running.len + worker->ahead);

	metric_set(m->slots_used, used);
	metric_set(m->slots_available, used < slots ? slots - used : 0);
	metric_set(m->in_hand, (int64_t)worker->n_jobs);
	metric_set(m->in_hand_bytes, worker->jobs_bytes);
	metric_set(m->shards_ready, count_ready(worker));
	metric_set(m->shards_waiting, worker->config.shards - count_ready(worker));
	metric_set(m->unacknowledged, count_unacknowledged(worker));
	metric_set(m->kafka_reachable, !worker->kafka_away);
	metric_set(m->redis_reachable, !redis_is_away(worker));
	measure_waiting(worker);
	m->reasons = reasons(worker);
}

void meters_tick(struct worker *worker)
{
	struct meters *m = &worker->meters;

	if (!m->metrics)
		return;
	if (worker->now_us - m->measured_us >= MEASURE_US) {
		m->measured_us = worker->now_us;
		measure(worker);
	}
	health_turned(metrics_health(m->metrics), worker->now_us, m->reasons);
}
