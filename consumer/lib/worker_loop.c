/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/worker_loop.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "lib/loop.h"
#include "lib/supervisor.h"

/* A record waits for nobody, but under load, where many small requests would cost the broker more than all the rest. */
#define LOOP_LINGER_MS 0
#define LOOP_BULK_LINGER_MS 5
#define LOOP_SEND_QUEUE_BYTES (16 * 1024 * 1024)
#define LOOP_PREFETCH_BYTES (128 * 1024) /* a partition */
/* What results and journal accept (common/bus/topics.h): 1 MiB more than the task topics. */
#define LOOP_RECORD_MAX_BYTES (1048588 + 1024 * 1024)
#define LOOP_RECORD_SPARE_BYTES 4096
#define LOOP_JOBS_MAX 2048
/* How long an attempt that was told to stop may take, at most. */
#define LOOP_KILL_AFTER_MAX_MS 5000

struct loop_parts {
	const struct worker_setup *setup;
	struct pool *pool;
	const char *incarnation;
	struct topics_info topics;
	struct wire *wire;
	struct executor *executor;
	struct worker *worker;
	struct bus **buses; /* one a queue */
	struct store *store;
	int signal_fd;
};

static void on_store_health(void *ctx, enum mr_status status, const char *message)
{
	const struct loop_parts *parts = ctx;

	meters_redis(parts->worker, status);
	if (status == MR_OK)
		log_info("Redis is reachable", LOG_S("detail", message));
	else
		log_warn("Redis has a problem", LOG_S("detail", message));
}

static void log_topics(char *report)
{
	char *rest = report;

	for (char *line; report && (line = strsep(&rest, "\n"));)
		if (line[0])
			log_info("topic", LOG_S("report", line));
}

static enum mr_status connect_first(struct loop_parts *parts, struct mr_error *err)
{
	const struct worker_setup *setup = parts->setup;
	struct store_config store = program_store_config(&setup->common, 1);
	struct topics_spec topics = {
		.brokers = setup->common.brokers,
		.properties = &setup->common.properties,
		.prefix = setup->common.prefix,
		.queues = setup->options->queues,
		.n_queues = setup->options->n_queues,
		.partitions = TOPICS_DEFAULT_PARTITIONS,
		.check_only = setup->options->no_setup,
	};
	enum mr_status status = program_wait_topics(&topics, setup->wait_ms, parts->signal_fd, &parts->topics, err);

	if (status)
		return status;
	log_topics(parts->topics.report);
	return program_wait_store(&store, setup->wait_ms, parts->signal_fd, err);
}

static struct worker_config core_config(const struct loop_parts *parts)
{
	const struct mr_worker_options *options = parts->setup->options;
	const struct pool_config *pool = pool_config(parts->pool);
	int64_t kill_after_ms = options->grace_ms < LOOP_KILL_AFTER_MAX_MS ? options->grace_ms : LOOP_KILL_AFTER_MAX_MS;

	return (struct worker_config){
		.incarnation = parts->incarnation,
		.prefix = parts->setup->common.prefix,
		.queues = options->n_queues,
		.queue_names = options->queues,
		.shards = parts->topics.shards,
		.slots = pool->slots,
		.depth = pool->depth,
		.max_jobs = LOOP_JOBS_MAX,
		.max_jobs_bytes = options->max_in_flight_bytes,
		.max_input_bytes = options->max_input_bytes,
		.max_result_bytes = LOOP_RECORD_MAX_BYTES - LOOP_RECORD_SPARE_BYTES,
		.start_to_close_ms = options->start_to_close_ms,
		.grace_ms = options->grace_ms,
		.kill_after_ms = kill_after_ms,
		.park_after_ms = options->park_after_ms,
		.nonce_seed = random_u64(),
		.registry = parts->setup->registry,
		.wire = parts->wire,
		.ledger = pool_ledger(parts->pool),
		.executor = parts->executor,
		.calls = &store_calls_redis,
		.metrics = parts->setup->metrics,
	};
}

static enum mr_status new_bus(struct loop_parts *parts, size_t i, struct mr_error *err)
{
	const struct worker_setup *setup = parts->setup;
	const char *queue = setup->options->queues[i];
	struct bus_config config = program_bus_config(&setup->common, setup->identity);
	struct bus_callbacks callbacks = worker_bus_callbacks(parts->worker, i);
	CLEANUP_FREE char *topic = topics_task_topic(setup->common.prefix, queue);
	CLEANUP_FREE char *group = topics_worker_group(setup->common.prefix, queue);
	const char *topics[] = {topic};

	config.group = group;
	config.group_instance = setup->identity;
	config.topics = topics;
	config.n_topics = 1;
	config.linger_ms = LOOP_LINGER_MS;
	config.bulk_linger_ms = LOOP_BULK_LINGER_MS;
	config.max_message_bytes = LOOP_RECORD_MAX_BYTES;
	config.queue_max_bytes = LOOP_SEND_QUEUE_BYTES;
	config.prefetch_bytes = LOOP_PREFETCH_BYTES;
	return bus_kafka_new(&config, &callbacks, &parts->buses[i], err);
}

static enum mr_status new_buses(struct loop_parts *parts, struct mr_error *err)
{
	size_t n = parts->setup->options->n_queues;
	enum mr_status status = MR_OK;

	parts->buses = mem_alloc(n * sizeof(parts->buses[0]));
	for (size_t i = 0; i < n && !status; i++)
		status = new_bus(parts, i, err);
	return status;
}

static enum mr_status assemble(struct loop_parts *parts, struct mr_error *err)
{
	struct store_callbacks callbacks = {.ctx = parts, .health = on_store_health};
	struct store_config store = program_store_config(&parts->setup->common, parts->topics.shards);
	struct worker_config config;
	enum mr_status status = wire_new(&parts->wire, err);

	if (!status)
		status = executor_new(parts->pool, &parts->executor, err);
	if (status)
		return status;
	config = core_config(parts);
	parts->worker = worker_new(&config);
	status = store_new(&store, &callbacks, &parts->store, err);
	if (!status)
		status = new_buses(parts, err);
	if (!status)
		worker_start(parts->worker, parts->buses, parts->store, clock_mono_us());
	return status;
}

static void take_down(struct loop_parts *parts)
{
	for (size_t i = 0; parts->buses && i < parts->setup->options->n_queues; i++)
		bus_free(parts->buses[i]);
	if (parts->store)
		store_free(parts->store);
	worker_free(parts->worker);
	executor_free(parts->executor);
	wire_free(parts->wire);
	free(parts->topics.report);
	free(parts->buses);
	if (parts->signal_fd >= 0)
		close(parts->signal_fd);
}

static int exit_status(enum worker_end end)
{
	switch (end) {
	case WORKER_DRAINED:
		return PROGRAM_OK;
	case WORKER_CUT_OFF:
		return PROGRAM_FAILED;
	case WORKER_BURIED:
		return SUPERVISOR_AGAIN;
	case WORKER_RUNS:
		break;
	}
	assert(0 && "the loop ended while the worker runs");
	return PROGRAM_FAILED;
}

static enum mr_status run(struct loop_parts *parts, int *ret_exit, struct mr_error *err)
{
	struct loop loop;
	enum mr_status status = program_signal_fd(&parts->signal_fd, err);

	if (!status)
		status = connect_first(parts, err);
	if (status)
		return status;
	supervisor_tell_shards(parts->pool, parts->topics.shards);
	status = assemble(parts, err);
	if (status)
		return status;
	loop = (struct loop){
		.worker = parts->worker,
		.buses = parts->buses,
		.n_buses = parts->setup->options->n_queues,
		.store = parts->store,
		.executor = parts->executor,
		.signal_fd = parts->signal_fd,
	};
	log_info("worker started", LOG_S("worker", parts->incarnation), LOG_S("queue", parts->setup->options->queues[0]),
		 LOG_I("queues", parts->setup->options->n_queues), LOG_I("slots", parts->setup->options->slots));
	*ret_exit = exit_status(loop_run(&loop));
	return MR_OK;
}

int worker_loop(void *ctx, struct pool *pool, const char *incarnation)
{
	struct loop_parts parts = {.setup = ctx, .pool = pool, .incarnation = incarnation, .signal_fd = -1};
	struct mr_error err = {0};
	int ret_exit = PROGRAM_OK;
	enum mr_status status = run(&parts, &ret_exit, &err);

	/* Nothing is left that closing could save, and the clients of Kafka and Redis would wait for who is away. */
	if (!status && parts.worker && worker_ended(parts.worker) == WORKER_CUT_OFF) {
		fflush(NULL);
		_exit(ret_exit);
	}
	take_down(&parts);
	/* A signal while it waited for Kafka or Redis: nothing was begun. */
	if (status == MR_ECLOSED)
		return PROGRAM_OK;
	return status ? program_fail("millrace-worker", &err) : ret_exit;
}
