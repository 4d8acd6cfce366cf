/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/meters.h"

#include <assert.h>

#include "base/mem.h"
#include "lib/worker.h"

static const char *const fate_names[FATES] = {
	[FATE_COMPLETED] = "completed", [FATE_FAILED] = "failed",         [FATE_TIMED_OUT] = "timed_out",
	[FATE_CANCELED] = "canceled",   [FATE_TERMINATED] = "terminated", [FATE_LOST] = "lost",
	[FATE_PENDING] = "pending",     [FATE_SUPERSEDED] = "superseded",
};
static const char *const claim_names[METERS_CLAIMS] = {
	[CLAIM_RUN] = "run",           [CLAIM_LOST] = "lost",           [CLAIM_WAIT] = "wait",     [CLAIM_BUSY] = "busy",
	[CLAIM_FINISHED] = "finished", [CLAIM_HOLD] = "hold",           [CLAIM_STALE] = "stale",   [CLAIM_CANCELED] = "canceled",
	[CLAIM_REJECTED] = "rejected", [CLAIM_NOT_READY] = "not_ready", [CLAIM_BURIED] = "buried",
};
static const char *const result_names[METERS_RESULTS] = {
	[RESULT_COMPLETED] = "completed", [RESULT_FAILED] = "failed",         [RESULT_TIMED_OUT] = "timed_out",
	[RESULT_CANCELED] = "canceled",   [RESULT_TERMINATED] = "terminated",
};
static const char *const dead_names[DEAD_KINDS] = {
	[DEAD_ENCODING] = "encoding",
	[DEAD_UNKNOWN_FIELD] = "unknown_field",
	[DEAD_FIELD] = "field",
	[DEAD_SIZE] = "size",
};

struct type_entry {
	struct type_meters *feeds; /* one a task queue */
	char name[];
};

/* ---- series ---- */

static struct bytes queue_name(const struct worker *worker, size_t feed)
{
	return bytes_of(worker->config.queue_names ? worker->config.queue_names[feed] : "");
}

static void fill_type(struct metrics *metrics, struct type_meters *type, const struct bytes values[3])
{
	type->received = metrics_series(metrics, METRIC_TASK_RECEIVED, values);
	type->to_start = metrics_series(metrics, METRIC_SCHEDULE_TO_START, values);
	type->execution = metrics_series(metrics, METRIC_EXECUTION_LATENCY, values);
	type->endtoend = metrics_series(metrics, METRIC_ENDTOEND_LATENCY, values);
	type->failed = metrics_series(metrics, METRIC_EXECUTION_FAILED, values);
	type->canceled = metrics_series(metrics, METRIC_EXECUTION_CANCELLED, values);
	type->retries = metrics_series(metrics, METRIC_RETRIES, values);
	type->heartbeats = metrics_series(metrics, METRIC_HEARTBEATS, values);
	type->replays = metrics_series(metrics, METRIC_REPLAYS, values);
	for (size_t i = 0; i < FATES; i++)
		type->ended[i] = metrics_series(metrics, METRIC_ATTEMPTS_ENDED,
						(struct bytes[]){values[0], values[1], bytes_of(fate_names[i])});
}

static struct type_entry *entry_new(struct worker *worker, struct bytes name)
{
	struct type_entry *entry = mem_alloc(sizeof(*entry) + name.len + 1);

	memcpy(entry->name, name.data, name.len);
	entry->feeds = mem_alloc(worker->n_feeds * sizeof(entry->feeds[0]));
	for (size_t i = 0; i < worker->n_feeds; i++)
		fill_type(worker->meters.metrics, &entry->feeds[i], (struct bytes[]){queue_name(worker, i), name, BYTES_NONE});
	return entry;
}

static struct type_entry *entry_add(struct worker *worker, struct bytes name)
{
	struct type_entry *entry = entry_new(worker, name);

	map_put(&worker->meters.types, (struct bytes){entry->name, name.len}, entry);
	return entry;
}

static void init_types(struct worker *worker)
{
	const struct mr_registry *registry = worker->config.registry;

	for (size_t i = 0; i < registry_count(registry) && worker->meters.types.len < METERS_TYPES_MAX; i++) {
		const struct activity *activity = registry_at(registry, i);

		if (activity->name[0])
			entry_add(worker, bytes_of(activity->name));
	}
	worker->meters.other = worker->meters.last = entry_new(worker, BYTES_LIT("_other"));
	for (size_t i = 0; i < worker->n_feeds; i++)
		worker->meters.other->feeds[i].is_other = true;
}

/* What no activity is registered for gets no series of its own: anybody may write any type into a topic. */
static struct type_entry *entry_of(struct worker *worker, struct bytes name)
{
	struct meters *m = &worker->meters;
	struct type_entry *entry = map_get(&m->types, name);

	if (entry)
		return entry;
	if (m->types.len >= METERS_TYPES_MAX || !registry_find(worker->config.registry, name))
		return m->other;
	return entry_add(worker, name);
}

static void init_feeds(struct worker *worker)
{
	struct metrics *metrics = worker->meters.metrics;

	worker->meters.feeds = mem_alloc(worker->n_feeds * sizeof(worker->meters.feeds[0]));
	for (size_t i = 0; i < worker->n_feeds; i++) {
		struct bytes queue = queue_name(worker, i);

		worker->meters.feeds[i] = (struct feed_meters){
			.waiting = metrics_series(metrics, METRIC_TASKS_WAITING, &queue),
			.oldest = metrics_series(metrics, METRIC_OLDEST_WAITING, &queue),
			.forwards = metrics_series(metrics, METRIC_FORWARDS, &queue),
			.unregistered = metrics_series(metrics, METRIC_UNREGISTERED, &queue),
		};
	}
}

static void label(struct metrics *metrics, enum metric metric, const char *const *names, metric_cell **cells, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cells[i] = metrics_labeled(metrics, metric, names[i]);
}

static void init_counters(struct meters *m)
{
	struct metrics *metrics = m->metrics;

	label(metrics, METRIC_CLAIMS, claim_names, m->claims, METERS_CLAIMS);
	label(metrics, METRIC_RESULTS, result_names, m->results, METERS_RESULTS);
	label(metrics, METRIC_DEAD_LETTERS, dead_names, m->dead, DEAD_KINDS);
	m->releases = metrics_plain(metrics, METRIC_RELEASES);
	m->stale = metrics_plain(metrics, METRIC_RESULTS_STALE);
	m->kafka_unavailable = metrics_labeled(metrics, METRIC_KAFKA_ERRORS, "unavailable");
	m->kafka_record = metrics_labeled(metrics, METRIC_KAFKA_ERRORS, "record");
	m->kafka_other = metrics_labeled(metrics, METRIC_KAFKA_ERRORS, "other");
	m->redis_unavailable = metrics_labeled(metrics, METRIC_REDIS_ERRORS, "unavailable");
	m->redis_refused = metrics_labeled(metrics, METRIC_REDIS_ERRORS, "refused");
}

static void init_gauges(struct meters *m)
{
	struct metrics *metrics = m->metrics;

	m->slots_available = metrics_plain(metrics, METRIC_SLOTS_AVAILABLE);
	m->slots_used = metrics_plain(metrics, METRIC_SLOTS_USED);
	m->in_hand = metrics_plain(metrics, METRIC_TASKS_IN_HAND);
	m->in_hand_bytes = metrics_plain(metrics, METRIC_BYTES_IN_HAND);
	m->shards_ready = metrics_labeled(metrics, METRIC_WORKER_SHARDS, "ready");
	m->shards_waiting = metrics_labeled(metrics, METRIC_WORKER_SHARDS, "waiting");
	m->unacknowledged = metrics_plain(metrics, METRIC_KAFKA_UNACKNOWLEDGED);
	m->kafka_reachable = metrics_plain(metrics, METRIC_KAFKA_REACHABLE);
	m->redis_reachable = metrics_plain(metrics, METRIC_REDIS_REACHABLE);
}

void meters_init(struct worker *worker)
{
	struct meters *m = &worker->meters;

	m->metrics = worker->config.metrics;
	m->reasons = HEALTH_BIT(STARTING);
	init_counters(m);
	init_gauges(m);
	init_feeds(worker);
	init_types(worker);
	metric_add(metrics_plain(m->metrics, METRIC_WORKER_START), 1);
}

static void entry_free(struct type_entry *entry)
{
	free(entry->feeds);
	free(entry);
}

void meters_deinit(struct worker *worker)
{
	size_t it = 0;

	for (struct map_slot *slot; (slot = map_next(&worker->meters.types, &it));)
		entry_free(slot->value);
	map_deinit(&worker->meters.types);
	entry_free(worker->meters.other);
	free(worker->meters.feeds);
}

/* ---- what happens ---- */

static struct feed_meters *feed_of(struct worker *worker, const struct job *job)
{
	return &worker->meters.feeds[job->lane->feed - worker->feeds];
}

void meters_received(struct worker *worker, struct job *job)
{
	struct meters *m = &worker->meters;

	if (m->last == m->other || !bytes_is(job->task.activity_type, m->last->name))
		m->last = entry_of(worker, job->task.activity_type);
	job->meters = &m->last->feeds[job->lane->feed - worker->feeds];
	metric_add(job->meters->received, 1);
}

enum dead_kind meters_dead_kind(const struct mr_error *err)
{
	if (err->code == MR_ETOO_LARGE)
		return DEAD_SIZE;
	if (strstr(err->message, "unknown field"))
		return DEAD_UNKNOWN_FIELD;
	return err->where[0] ? DEAD_FIELD : DEAD_ENCODING;
}

void meters_dead_letter(struct worker *worker, enum dead_kind kind)
{
	metric_add(worker->meters.dead[kind], 1);
}

void meters_claimed(struct worker *worker, enum claim_verdict verdict)
{
	metric_add(worker->meters.claims[verdict], 1);
}

void meters_granted(const struct job *job, const struct claim_answer *answer)
{
	if (answer->epoch != job->epoch || answer->attempt <= job->attempt)
		return;
	metric_add(job->meters->ended[FATE_LOST], 1);
	metric_add(job->meters->failed, 1);
	metric_add(job->meters->retries, 1);
}

void meters_released(struct worker *worker, size_t n)
{
	metric_add(worker->meters.releases, n);
}

void meters_started(struct worker *worker, const struct job *job)
{
	int64_t at_ms = worker->config.calls->time_ms(worker->store, job->started_mono_us);

	metric_observe(METRIC_SCHEDULE_TO_START, job->meters->to_start, (at_ms - job->dispatched_at_ms) * 1000);
	if (job->meters->is_other && !registry_find(worker->config.registry, job->task.activity_type))
		metric_add(feed_of(worker, job)->unregistered, 1);
}

void meters_heartbeat(const struct job *job)
{
	metric_add(job->meters->heartbeats, 1);
}

static enum attempt_fate fate_of(const struct job *job, const struct ending *ending)
{
	if (ending->terminate_requested)
		return FATE_TERMINATED;
	if (ending->timed_out != TIMEOUT_NONE)
		return FATE_TIMED_OUT;
	switch (ending->outcome->kind) {
	case OUTCOME_COMPLETED:
		return FATE_COMPLETED;
	case OUTCOME_CANCELED:
		return FATE_CANCELED;
	case OUTCOME_PENDING:
		return FATE_PENDING;
	case OUTCOME_FAILED:
		break;
	}
	/* No executor of ours has started it. */
	return job->started_mono_us ? FATE_FAILED : FATE_LOST;
}

static bool is_failure(enum attempt_fate fate)
{
	return fate == FATE_FAILED || fate == FATE_TIMED_OUT || fate == FATE_LOST;
}

static void ran(const struct job *job, enum attempt_fate fate, int64_t ended_mono_us)
{
	metric_add(job->meters->ended[fate], 1);
	if (job->started_mono_us)
		metric_observe(METRIC_EXECUTION_LATENCY, job->meters->execution, ended_mono_us - job->started_mono_us);
}

void meters_ended(const struct job *job, const struct ending *ending, const struct verdict *verdict, int64_t ended_mono_us)
{
	enum attempt_fate fate = fate_of(job, ending);

	if (ending->never_started)
		return;
	ran(job, fate, ended_mono_us);
	if (is_failure(fate) && !(verdict->failed && verdict->failure.benign))
		metric_add(job->meters->failed, 1);
	if (fate == FATE_CANCELED)
		metric_add(job->meters->canceled, 1);
	if (verdict->retry)
		metric_add(job->meters->retries, 1);
	else if (verdict->status == RESULT_COMPLETED)
		metric_observe(METRIC_ENDTOEND_LATENCY, job->meters->endtoend,
			       (ending->ended_at_ms - job->scheduled_at_ms) * 1000);
}

void meters_pending(const struct job *job, int64_t ended_mono_us)
{
	ran(job, FATE_PENDING, ended_mono_us);
}

void meters_superseded(const struct job *job, int64_t ended_mono_us)
{
	ran(job, FATE_SUPERSEDED, ended_mono_us);
}

void meters_published(struct worker *worker, const struct job *job)
{
	if (job->replayed)
		metric_add(job->meters->replays, 1);
	else
		metric_add(worker->meters.results[job->status], 1);
}

void meters_stale(struct worker *worker)
{
	metric_add(worker->meters.stale, 1);
}

void meters_forwarded(struct worker *worker, const struct job *job)
{
	metric_add(feed_of(worker, job)->forwards, 1);
}

void meters_kafka(struct worker *worker, enum mr_status status)
{
	if (status != MR_OK)
		metric_add(status == MR_EKAFKA ? worker->meters.kafka_unavailable : worker->meters.kafka_other, 1);
}

void meters_redis(struct worker *worker, enum mr_status status)
{
	worker->meters.redis_lost = status != MR_OK;
	if (status != MR_OK)
		metric_add(worker->meters.redis_unavailable, 1);
}

void meters_record_refused(struct worker *worker)
{
	metric_add(worker->meters.kafka_record, 1);
}

void meters_call_refused(struct worker *worker)
{
	metric_add(worker->meters.redis_refused, 1);
}
