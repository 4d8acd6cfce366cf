/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/worker.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

/* Jobs that weighed more give their memory back. */
#define WORKER_KEEP_BYTES 8192
/* How long calls wait after Redis has refused one. */
#define WORKER_REFUSED_US 500000

static char *topic_named(const char *prefix, const char *name)
{
	struct buf text = {0};

	buf_printf(&text, "%s%s", prefix, name);
	buf_cstr(&text);
	return text.data;
}

struct worker *worker_new(const struct worker_config *config)
{
	struct worker *worker = mem_alloc(sizeof(*worker));

	assert(config->slots > 0 && config->queues > 0 && config->shards > 0 && config->max_jobs > 0);
	worker->config = *config;
	worker->incarnation = bytes_of(config->incarnation);
	worker->topic_results = topic_named(config->prefix, "results");
	worker->topic_journal = topic_named(config->prefix, "journal");
	worker->topic_control = topic_named(config->prefix, "control");
	worker->topic_dead = topic_named(config->prefix, "dead");
	worker->topic_tasks_prefix = topic_named(config->prefix, "tasks.");
	worker->by_entry = mem_alloc(ledger_size(config->ledger) * sizeof(worker->by_entry[0]));
	worker->n_feeds = config->queues;
	worker->feeds = mem_alloc(config->queues * sizeof(worker->feeds[0]));
	for (size_t i = 0; i < config->queues; i++)
		worker->feeds[i].worker = worker;
	worker->exchanges = mem_alloc(config->queues * sizeof(worker->exchanges[0]));
	worker->commands = control_new();
	worker->reports = reports_new();
	worker->shards = mem_alloc((size_t)config->shards * sizeof(worker->shards[0]));
	meters_init(worker);
	return worker;
}

static void job_destroy(struct job *job)
{
	arena_deinit(&job->arena);
	free(job);
}

static void batches_free(struct batch *batch)
{
	while (batch) {
		struct batch *next = batch->next;

		free(batch);
		batch = next;
	}
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	while (worker->all) {
		worker->all->park = NULL; /* the bus is closed */
		worker_job_free(worker, worker->all);
	}
	while (worker->pool) {
		struct job *job = worker->pool;

		worker->pool = job->all_next;
		job_destroy(job);
	}
	meters_deinit(worker);
	settle_deinit(worker);
	pace_deinit(worker);
	batches_free(worker->batches);
	timers_deinit(&worker->timers);
	buf_deinit(&worker->scratch);
	arena_deinit(&worker->turn);
	free(worker->by_entry);
	free(worker->shards);
	free(worker->exchanges);
	control_free(worker->commands);
	reports_free(worker->reports);
	free(worker->feeds);
	free(worker->topic_results);
	free(worker->topic_journal);
	free(worker->topic_control);
	free(worker->topic_dead);
	free(worker->topic_tasks_prefix);
	free(worker);
}

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	(void)partition;
	(void)offset;
	deliver_report(((struct feed *)ctx)->worker, tag, status);
}

static void on_assigned(void *ctx, struct bus_partition *partitions, size_t n)
{
	((struct feed *)ctx)->joined = true;
	settle_assigned(ctx, partitions, n);
}

static void on_revoked(void *ctx, const struct bus_partition *partitions, size_t n, bool lost)
{
	settle_revoked(ctx, partitions, n, lost);
}

static void on_committed(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	settle_committed(ctx, partitions, n, status);
}

static void on_ends(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	control_ends(((struct feed *)ctx)->worker, partitions, n, status);
}

static void on_health(void *ctx, enum mr_status status, const char *message)
{
	struct feed *feed = ctx;
	struct worker *worker = feed->worker;

	if (feed == worker->feeds && (status == MR_OK || status == MR_EKAFKA))
		worker->kafka_away = status != MR_OK;
	meters_kafka(worker, status);
	if (status == MR_OK)
		log_info("Kafka is reachable", LOG_S("detail", message));
	else
		log_warn("Kafka has a problem", LOG_S("status", mr_status_name(status)), LOG_S("detail", message));
}

struct bus_callbacks worker_bus_callbacks(struct worker *worker, size_t i)
{
	assert(i < worker->n_feeds);
	return (struct bus_callbacks){
		.ctx = &worker->feeds[i],
		.delivered = on_delivered,
		.assigned = on_assigned,
		.revoked = on_revoked,
		.committed = on_committed,
		.ends = on_ends,
		.health = on_health,
	};
}

void worker_start(struct worker *worker, struct bus *const *buses, struct store *store, int64_t now_us)
{
	for (size_t i = 0; i < worker->n_feeds; i++)
		worker->feeds[i].bus = buses[i];
	worker->bus = buses[0];
	worker->store = store;
	worker->now_us = now_us;
	worker->lease_at_us = now_us;
}

void worker_clock(struct worker *worker, int64_t now_us)
{
	assert(now_us >= worker->now_us);
	worker->now_us = now_us;
}

static void wake_due(struct worker *worker)
{
	struct timer *timer;

	while ((timer = timers_take_due(&worker->timers, worker->now_us)))
		worker_timer_due(worker, job_of_timer(timer));
}

void worker_timer_due(struct worker *worker, struct job *job)
{
	switch (job->state) {
	case JOB_WAITING:
		worker_job_state(job, JOB_FRESH);
		claim_queue(worker, job);
		return;
	case JOB_RUNNING:
		execute_woken(worker, job);
		return;
	case JOB_JOURNALLING:
	case JOB_PUBLISHING:
	case JOB_CLEARING:
		deliver_send(worker, job);
		return;
	case JOB_DEAD:
		dead_woken(worker, job);
		return;
	case JOB_FINISHING:
		fence_woken(worker, job);
		return;
	case JOB_FREE:
	case JOB_FRESH:
	case JOB_DELAYED:
	case JOB_CLAIMING:
	case JOB_READY:
	case JOB_QUEUED:
	case JOB_RELEASING:
	case JOB_FORWARDING:
	case JOB_LINGERING:
		break;
	}
	assert(0 && "a timer in a state that has none");
}

void worker_tick(struct worker *worker, int64_t now_us)
{
	worker_clock(worker, now_us);
	executor_poll(worker->config.executor, execute_event, worker);
	for (size_t i = 0; i < worker->n_feeds; i++)
		bus_poll(worker->feeds[i].bus);
	wake_due(worker);
	lease_tick(worker);
	if (worker->draining)
		drain_tick(worker);
	else
		intake_take(worker);
	control_tick(worker);
	execute_push(worker);
	result_finish_send(worker);
	result_clear_send(worker);
	execute_release_send(worker);
	claim_send(worker);
	offer_tick(worker);
	for (size_t i = 0; i < worker->n_feeds; i++)
		settle_commit(&worker->feeds[i]);
	meters_tick(worker);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t worker_deadline_us(const struct worker *worker)
{
	int64_t at_us = earlier(timers_next_us(&worker->timers), lease_deadline_us(worker));

	at_us = earlier(at_us, earlier(control_deadline_us(worker), offer_deadline_us(worker)));

	if (worker->was_full && worker_has_room(worker))
		return worker->now_us;
	if (worker->now_us < worker->refused_until_us)
		at_us = earlier(at_us, worker->refused_until_us);
	for (size_t i = 0; i < worker->n_feeds; i++)
		at_us = earlier(at_us, settle_deadline_us(&worker->feeds[i]));
	if (worker->draining)
		at_us = earlier(at_us, drain_deadline_us(worker));
	return at_us;
}

bool worker_has_room(const struct worker *worker)
{
	return !worker->draining && worker->n_jobs < worker->config.max_jobs &&
	       worker->jobs_bytes < worker->config.max_jobs_bytes;
}

enum worker_end worker_ended(const struct worker *worker)
{
	return worker->end;
}

struct job *worker_job_new(struct worker *worker)
{
	struct job *job = worker->pool;

	if (job)
		worker->pool = job->all_next;
	else
		job = mem_alloc(sizeof(*job));
	job->all_prev = NULL;
	job->all_next = worker->all;
	if (worker->all)
		worker->all->all_prev = job;
	worker->all = job;
	worker->n_jobs++;
	return job;
}

static void unlink_all(struct worker *worker, struct job *job)
{
	if (job->all_prev)
		job->all_prev->all_next = job->all_next;
	else
		worker->all = job->all_next;
	if (job->all_next)
		job->all_next->all_prev = job->all_prev;
	worker->n_jobs--;
	worker->jobs_bytes -= (int64_t)job->weight_bytes;
	assert(worker->jobs_bytes >= 0);
}

void worker_job_free(struct worker *worker, struct job *job)
{
	struct arena arena = job->arena;

	job_list_remove(job);
	if (job->state == JOB_FRESH)
		pace_next(worker, job->kind);
	timers_clear(&worker->timers, &job->timer);
	pace_started(worker, job);
	pace_left(worker, job);
	worker_job_unreserve(worker, job);
	settle_forget(job);
	fence_forget(worker, job);
	if (park_holds(job)) {
		job->state = JOB_LINGERING;
		return;
	}
	unlink_all(worker, job);
	arena_deinit(&job->policy_arena);
	/* What one large task needed is not kept for the small ones after it. */
	if (job->weight_bytes > WORKER_KEEP_BYTES)
		arena_deinit(&arena);
	else
		arena_reset(&arena);
	*job = (struct job){.arena = arena, .all_next = worker->pool};
	worker->pool = job;
}

void worker_job_weigh(struct worker *worker, struct job *job, size_t bytes)
{
	job->weight_bytes += bytes;
	worker->jobs_bytes += (int64_t)bytes;
}

void worker_job_state(struct job *job, enum job_state state)
{
	assert(job->state != state || state == JOB_FRESH);
	job_list_remove(job);
	job->state = state;
}

void worker_job_wake(struct worker *worker, struct job *job, int64_t delay_ms)
{
	timers_set(&worker->timers, &job->timer, worker->now_us + delay_ms * 1000);
}

bool worker_job_reserve(struct worker *worker, struct job *job)
{
	struct claim_token token = job_token(job);

	assert(!job->handle);
	if (!ledger_reserve(worker->config.ledger, &token, &job->handle))
		return false;
	worker->by_entry[ledger_handle_index(job->handle)] = job;
	return true;
}

void worker_job_unreserve(struct worker *worker, struct job *job)
{
	struct ledger_entry *entry;

	if (!job->handle)
		return;
	worker->by_entry[ledger_handle_index(job->handle)] = NULL;
	entry = ledger_get(worker->config.ledger, job->handle);
	/* At the end of the process an attempt may still run: its entry tells the supervisor so. */
	if (entry && ledger_state(entry) != LEDGER_QUEUED && ledger_state(entry) != LEDGER_STARTED &&
	    ledger_state(entry) != LEDGER_KILLED)
		ledger_free_entry(worker->config.ledger, job->handle);
	job->handle = 0;
}

void worker_job_forget(struct worker *worker, struct job *job)
{
	if (job->handle)
		worker->by_entry[ledger_handle_index(job->handle)] = NULL;
	job->handle = 0;
}

/* A bijection of the counter (the finaliser of splitmix64), so that no two claims of this worker have the same. */
static uint64_t scramble(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

struct bytes worker_nonce(struct worker *worker, struct arena *arena)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t x = scramble(worker->config.nonce_seed + ++worker->nonces * UINT64_C(0x9e3779b97f4a7c15));
	char text[16];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = digits[x >> (60 - 4 * i) & 15];
	return arena_copy(arena, (struct bytes){text, sizeof(text)});
}

int64_t worker_time_ms(const struct worker *worker)
{
	return worker->config.calls->time_ms(worker->store, worker->now_us);
}

struct batch *worker_batch_new(struct worker *worker)
{
	struct batch *batch = worker->batches;

	if (batch)
		worker->batches = batch->next;
	else
		batch = mem_alloc(sizeof(*batch));
	batch->worker = worker;
	batch->next = NULL;
	batch->n = 0;
	return batch;
}

void worker_batch_free(struct batch *batch)
{
	batch->next = batch->worker->batches;
	batch->worker->batches = batch;
}

bool worker_batch_due(const struct worker *worker, size_t waiting, size_t calls)
{
	if (waiting == 0 || calls >= WORKER_CALLS_MAX || worker->now_us < worker->refused_until_us)
		return false;
	return calls == 0 || waiting >= WORKER_BATCH_FULL;
}

void worker_batch_refused(struct worker *worker, const char *call)
{
	meters_call_refused(worker);
	if (worker->now_us >= worker->refused_until_us)
		log_warn("Redis refused a call, it is repeated", LOG_S("call", call));
	worker->refused_until_us = worker->now_us + WORKER_REFUSED_US;
}
