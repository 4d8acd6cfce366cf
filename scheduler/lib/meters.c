/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/meters.h"

#include <assert.h>

#include "lib/core.h"
#include "lib/watch.h"

#define COPY_US (200 * 1000)
#define BACKOFF (METERS_TIMERS - 1)

/* Counters that the scheduler keeps anyway. */
static const struct {
	enum metric metric;
	const char *label; /* NULL: none */
	size_t offset;
} copies[] = {
	{METRIC_DISPATCHED, NULL, offsetof(struct scheduler_stats, dispatched)},
	{METRIC_ENDED_BY_SCHEDULER, "retry", offsetof(struct scheduler_stats, ends_retried)},
	{METRIC_ENDED_BY_SCHEDULER, "result", offsetof(struct scheduler_stats, ends_closed)},
	{METRIC_SWEPT, "attempt", offsetof(struct scheduler_stats, swept_attempts)},
	{METRIC_SWEPT, "result", offsetof(struct scheduler_stats, swept_results)},
	{METRIC_APPLIED, NULL, offsetof(struct scheduler_stats, applied)},
	{METRIC_RECOVERIES, NULL, offsetof(struct scheduler_stats, recoveries)},
	{METRIC_REPLAYED, "results", offsetof(struct scheduler_stats, replayed_results)},
	{METRIC_REPLAYED, "journal", offsetof(struct scheduler_stats, replayed_journal)},
	{METRIC_BURIED, NULL, offsetof(struct scheduler_stats, buried)},
	{METRIC_COMMANDS, NULL, offsetof(struct scheduler_stats, commands)},
	{METRIC_COMMANDS_STRAY, NULL, offsetof(struct scheduler_stats, commands_stray)},
	{METRIC_EXPIRED, NULL, offsetof(struct scheduler_stats, expired)},
};
#define COPIES (sizeof(copies) / sizeof(copies[0]))
_Static_assert(COPIES <= METERS_COPIES_MAX, "METERS_COPIES_MAX");

static void init_counters(struct meters *m)
{
	struct metrics *metrics = m->metrics;

	for (size_t i = 0; i < COPIES; i++)
		m->copies[i] = copies[i].label ? metrics_labeled(metrics, copies[i].metric, copies[i].label)
					       : metrics_plain(metrics, copies[i].metric);
	m->kafka_unavailable = metrics_labeled(metrics, METRIC_KAFKA_ERRORS, "unavailable");
	m->kafka_record = metrics_labeled(metrics, METRIC_KAFKA_ERRORS, "record");
	m->kafka_other = metrics_labeled(metrics, METRIC_KAFKA_ERRORS, "other");
	m->redis_unavailable = metrics_labeled(metrics, METRIC_REDIS_ERRORS, "unavailable");
	m->dead_control = metrics_labeled(metrics, METRIC_DEAD_LETTERS, "control");
	m->dead_journal = metrics_labeled(metrics, METRIC_DEAD_LETTERS, "journal");
}

static void init_gauges(struct meters *m)
{
	static const char *const sets[STORE_TIMER_SETS] = {"backoff", "heartbeat", "timeout"};
	static const char *const timers[METERS_TIMERS] = {[TIMER_SCHEDULE_TO_START] = "schedule_to_start",
							  [TIMER_CLOSE] = "close",
							  [TIMER_HEARTBEAT] = "heartbeat",
							  [BACKOFF] = "backoff"};
	struct metrics *metrics = m->metrics;

	for (enum shard_phase phase = PHASE_UNOWNED + 1; phase <= PHASE_READY; phase++)
		m->phases[phase] = metrics_labeled(metrics, METRIC_SHARDS, shard_phase_name(phase));
	for (size_t i = 0; i < STORE_TIMER_SETS; i++)
		m->pending[i] = metrics_labeled(metrics, METRIC_TIMERS_PENDING, sets[i]);
	for (size_t i = 0; i < METERS_TIMERS; i++)
		m->lateness[i] = metrics_labeled(metrics, METRIC_TIMER_LATENESS, timers[i]);
	m->outbox = metrics_plain(metrics, METRIC_OUTBOX);
	m->jobs = metrics_plain(metrics, METRIC_JOBS);
	m->workers = metrics_plain(metrics, METRIC_WORKERS);
	m->unacknowledged = metrics_plain(metrics, METRIC_KAFKA_UNACKNOWLEDGED);
	m->kafka_reachable = metrics_plain(metrics, METRIC_KAFKA_REACHABLE);
	m->redis_reachable = metrics_plain(metrics, METRIC_REDIS_REACHABLE);
}

void meters_init(struct scheduler *s, struct metrics *metrics)
{
	_Static_assert(METERS_PHASES == PHASE_READY + 1, "METERS_PHASES");
	s->meters.metrics = metrics;
	init_counters(&s->meters);
	init_gauges(&s->meters);
}

static void copy_counters(struct scheduler *s, const struct scheduler_stats *stats)
{
	for (size_t i = 0; i < COPIES; i++) {
		const uint64_t *value = (const void *)((const char *)stats + copies[i].offset);

		metric_set(s->meters.copies[i], (int64_t)*value);
	}
}

static void copy_shards(struct scheduler *s)
{
	int64_t phases[METERS_PHASES] = {0}, pending[STORE_TIMER_SETS] = {0}, outbox = 0;

	for (int i = 0; i < s->config.shards; i++) {
		const struct shard *shard = &s->shards[i];

		phases[shard->phase]++;
		outbox += shard->outbox;
		for (size_t set = 0; set < STORE_TIMER_SETS; set++)
			pending[set] += shard->timers[set];
	}
	for (size_t i = PHASE_UNOWNED + 1; i < METERS_PHASES; i++)
		metric_set(s->meters.phases[i], phases[i]);
	for (size_t set = 0; set < STORE_TIMER_SETS; set++)
		metric_set(s->meters.pending[set], pending[set]);
	metric_set(s->meters.outbox, outbox);
}

static void copy(struct scheduler *s)
{
	struct scheduler_stats stats;

	scheduler_get_stats(s, &stats);
	copy_counters(s, &stats);
	copy_shards(s);
	metric_set(s->meters.jobs, (int64_t)s->n_jobs);
	metric_set(s->meters.workers, (int64_t)stats.workers);
	metric_set(s->meters.unacknowledged, (int64_t)bus_outstanding(s->links.bus));
	metric_set(s->meters.kafka_reachable, !s->bus_lost);
	metric_set(s->meters.redis_reachable, !s->redis_lost);
	watch_measure(s->watch);
}

static uint32_t reasons(const struct scheduler *s)
{
	uint32_t found = 0;

	for (int i = 0; i < s->config.shards; i++)
		if (shard_owned(&s->shards[i]) && s->shards[i].phase != PHASE_READY)
			found |= HEALTH_BIT(RECOVERING);
	if (s->bus_lost)
		found |= HEALTH_BIT(KAFKA);
	if (s->redis_lost)
		found |= HEALTH_BIT(REDIS);
	if (!s->ever_assigned)
		found |= HEALTH_BIT(UNASSIGNED);
	if (s->stopping)
		found |= HEALTH_BIT(ENDING);
	return found;
}

void meters_turn(struct scheduler *s)
{
	if (!s->meters.metrics)
		return;
	health_turned(metrics_health(s->meters.metrics), s->now_us, reasons(s));
	if (s->meters.copy_us > s->now_us)
		return;
	s->meters.copy_us = s->now_us + COPY_US;
	copy(s);
}

void meters_backoff_fired(struct scheduler *s, const struct fired *fired, size_t n, int64_t now_ms)
{
	for (size_t i = 0; i < n; i++)
		metric_observe(METRIC_TIMER_LATENESS, s->meters.lateness[BACKOFF], (now_ms - fired[i].due_ms) * 1000);
}

void meters_timer_due(struct scheduler *s, const struct due_timer *due)
{
	int64_t now_ms = s->links.redis->time_ms(s->links.store, s->now_us);

	assert(due->kind < BACKOFF);
	metric_observe(METRIC_TIMER_LATENESS, s->meters.lateness[due->kind], (now_ms - due->due_ms) * 1000);
}

void meters_kafka_trouble(struct scheduler *s, enum mr_status status)
{
	metric_add(status == MR_EKAFKA ? s->meters.kafka_unavailable : s->meters.kafka_other, 1);
}

void meters_record_refused(struct scheduler *s)
{
	metric_add(s->meters.kafka_record, 1);
}

void meters_redis_trouble(struct scheduler *s)
{
	metric_add(s->meters.redis_unavailable, 1);
}

void meters_dead_letter(struct scheduler *s, const struct bus_message *message)
{
	bool is_command = strcmp(message->topic, s->control_topic) == 0;

	metric_add(is_command ? s->meters.dead_control : s->meters.dead_journal, 1);
}
