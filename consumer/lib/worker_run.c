/* SPDX-License-Identifier: Apache-2.0 */
/* mr_worker_run: checks the options, makes the pool and gives everything to the supervisor. */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/monitor.h"
#include "lib/supervisor.h"
#include "lib/worker_loop.h"

#define RUN_SLOTS 16
#define RUN_SLOTS_MAX 1024
#define RUN_DEPTH 512
#define RUN_START_TO_CLOSE_MS (10 * 60 * 1000)
#define RUN_GRACE_MS (30 * 1000)
#define RUN_PARK_AFTER_MS 1000
#define RUN_IN_FLIGHT_BYTES (16 * 1024 * 1024)
#define RUN_PAYLOAD_BYTES (1024 * 1024)
#define RUN_QUEUE_MAX_BYTES 200

static struct mr_worker_options with_defaults(const struct mr_worker_options *options)
{
	struct mr_worker_options full = {0};

	memcpy(&full, options, options->size < sizeof(full) ? options->size : sizeof(full));
	full.size = sizeof(full);
	full.slots = full.slots ? full.slots : RUN_SLOTS;
	full.start_to_close_ms = full.start_to_close_ms ? full.start_to_close_ms : RUN_START_TO_CLOSE_MS;
	full.grace_ms = full.grace_ms ? full.grace_ms : RUN_GRACE_MS;
	full.park_after_ms = full.park_after_ms ? full.park_after_ms : RUN_PARK_AFTER_MS;
	full.max_in_flight_bytes = full.max_in_flight_bytes ? full.max_in_flight_bytes : RUN_IN_FLIGHT_BYTES;
	full.max_input_bytes = full.max_input_bytes ? full.max_input_bytes : RUN_PAYLOAD_BYTES;
	full.max_result_bytes = full.max_result_bytes ? full.max_result_bytes : RUN_PAYLOAD_BYTES;
	return full;
}

static bool is_queue_name(const char *name)
{
	static const char accepted[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(name);

	return len > 0 && len <= RUN_QUEUE_MAX_BYTES && strspn(name, accepted) == len;
}

static enum mr_status check_range(const char *name, int64_t value, int64_t min, int64_t max, struct mr_error *err)
{
	if (value >= min && value <= max)
		return MR_OK;
	return mr_error_set(err, MR_EINVAL, name, "must be from %lld to %lld, is %lld", (long long)min, (long long)max,
			    (long long)value);
}

static enum mr_status check_queues(const struct mr_worker_options *options, struct mr_error *err)
{
	if (options->n_queues == 0)
		return mr_error_set(err, MR_EINVAL, "queue", "name at least one task queue");
	for (size_t i = 0; i < options->n_queues; i++) {
		if (!is_queue_name(options->queues[i]))
			return mr_error_set(err, MR_EINVAL, "queue",
					    "\"%s\": must be 1 to %d of letters, digits, '.', '_' and '-'", options->queues[i],
					    RUN_QUEUE_MAX_BYTES);
		for (size_t j = 0; j < i; j++)
			if (strcmp(options->queues[i], options->queues[j]) == 0)
				return mr_error_set(err, MR_EINVAL, "queue", "\"%s\" is named twice", options->queues[i]);
	}
	return MR_OK;
}

static enum mr_status check(const struct mr_worker_options *options, struct mr_error *err)
{
	const int64_t duration_max_ms = INT64_C(365) * 24 * 3600 * 1000;
	enum mr_status status = check_queues(options, err);

	if (!status)
		status = check_range("slots", options->slots, 1, RUN_SLOTS_MAX, err);
	if (!status)
		status = check_range("start-to-close", options->start_to_close_ms, 1, duration_max_ms, err);
	if (!status)
		status = check_range("grace", options->grace_ms, 1, duration_max_ms, err);
	if (!status)
		status = check_range("park-after", options->park_after_ms, 1, duration_max_ms, err);
	if (!status)
		status = check_range("max-in-flight-bytes", options->max_in_flight_bytes, 64 * 1024, INT64_C(1) << 40, err);
	if (!status)
		status = check_range("max-input-bytes", options->max_input_bytes, 1024, RUN_PAYLOAD_BYTES, err);
	if (!status)
		status = check_range("max-result-bytes", options->max_result_bytes, 1024, RUN_PAYLOAD_BYTES, err);
	return status;
}

static const char *first_of(const char *value, const char *variable, const char *fallback)
{
	const char *env = getenv(variable);

	if (value)
		return value;
	return env && env[0] ? env : fallback;
}

static struct program_common common_of(const struct mr_worker_options *options)
{
	return (struct program_common){
		.brokers = first_of(options->brokers, "MILLRACE_BROKERS", "127.0.0.1:9092"),
		.redis = first_of(options->redis, "MILLRACE_REDIS", "redis://127.0.0.1:6379/0"),
		.prefix = first_of(options->prefix, "MILLRACE_PREFIX", "millrace."),
		.properties = {.items = (char **)(uintptr_t)options->properties, .len = options->n_properties},
	};
}

static enum mr_status supervise(struct worker_setup *setup, struct http *http, int *ret_exit, struct mr_error *err)
{
	const struct mr_worker_options *options = setup->options;
	struct pool_config config = {
		.registry = setup->registry,
		.slots = (size_t)options->slots,
		.depth = RUN_DEPTH,
		/* Ids and headers come on top of the input. */
		.max_input_bytes = options->max_input_bytes + RUN_PAYLOAD_BYTES,
		.max_output_bytes = options->max_result_bytes,
		.threads = options->isolation == MR_ISOLATION_THREAD,
		.grace_ms = options->grace_ms,
	};
	struct supervisor_config supervisor = {
		.store = program_store_config(&setup->common, 0),
		.loop = worker_loop,
		.ctx = setup,
		.metrics = setup->metrics,
		.http = http,
		.identity = setup->identity,
	};
	enum mr_status status = pool_new(&config, &supervisor.pool, err);

	if (status)
		return status;
	status = pool_start(supervisor.pool, err);
	if (!status)
		*ret_exit = supervisor_run(&supervisor);
	pool_stop(supervisor.pool);
	pool_free(supervisor.pool);
	return status;
}

/* What a worker cannot start for is wrong usage, but for what belongs to the moment. */
static int exit_code(enum mr_status status)
{
	return status == MR_ESYSTEM ? PROGRAM_FAILED : PROGRAM_USAGE;
}

static enum mr_status open_monitor(struct worker_setup *setup, struct http **ret_http, struct mr_error *err)
{
	enum mr_status status = metrics_new(METRICS_WORKER, &setup->metrics, err);

	if (!status && setup->options->http)
		status = monitor_start(setup->options->http, false, setup->metrics, ret_http, err);
	return status;
}

int mr_worker_run(const struct mr_worker_options *options, struct mr_registry *registry, struct mr_error *err)
{
	struct mr_worker_options full = with_defaults(options);
	struct worker_setup setup = {.common = common_of(&full), .options = &full, .registry = registry, .wait_ms = -1};
	CLEANUP_FREE char *identity = program_identity();
	int ret_exit = PROGRAM_FAILED;
	struct http *http = NULL;
	enum mr_status status = check(&full, err);

	if (!status)
		status = registry_check(registry, err);
	if (status)
		return PROGRAM_USAGE;
	signal(SIGPIPE, SIG_IGN);
	setup.identity = identity;
	status = open_monitor(&setup, &http, err);
	if (status)
		ret_exit = exit_code(status);
	else if (supervise(&setup, http, &ret_exit, err))
		ret_exit = PROGRAM_USAGE;
	http_stop(http);
	metrics_free(setup.metrics);
	return ret_exit;
}
