/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/purge.h"
#include "http/monitor.h"
#include "lib/scheduler.h"
#include "program/program.h"

/* millrace-scheduler: reads the flags, connects, and runs the loop. Clock and random numbers come into the core from here. */

#define PROGRAM "millrace-scheduler"
#define MAX_MESSAGE_BYTES (3 << 20)
#define QUEUE_MAX_BYTES (16 << 20)
#define PREFETCH_BYTES (256 << 10)
#define STOP_LIMIT_US (5 * 1000 * 1000)
#define TOPICS_TIMEOUT_MS 10000

struct options {
	struct program_common common;
	bool no_setup;
	const char *http;
	int64_t lease_ms;
	int64_t retention_ms;
	int64_t purge_interval_ms;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Scheduler"},
	{.kind = CONF_DURATION,
	 .name = "lease",
	 .env = "MILLRACE_LEASE",
	 .arg = "D",
	 .def = "3s",
	 .min = 2000,
	 .max = 600000,
	 .offset = offsetof(struct options, lease_ms),
	 .help = "A worker without a sign of life for so long is declared dead. Workers give one each second."},
	{.kind = CONF_DURATION,
	 .name = "retention",
	 .env = "MILLRACE_RETENTION",
	 .arg = "D",
	 .def = "24h",
	 .min = 1000,
	 .max = 31536000000,
	 .offset = offsetof(struct options, retention_ms),
	 .help = "How long a finished task is remembered: a copy of it that is read meanwhile gets the stored result."},
	{.kind = CONF_DURATION,
	 .name = "purge-interval",
	 .env = "MILLRACE_PURGE_INTERVAL",
	 .arg = "D",
	 .def = "1m",
	 .min = 100,
	 .max = 86400000,
	 .offset = offsetof(struct options, purge_interval_ms),
	 .help = "Pause between two deletions of settled records from the task topics."},
	{.kind = CONF_BOOL,
	 .name = "no-setup",
	 .offset = offsetof(struct options, no_setup),
	 .help = "Do not create topics that are missing."},
	MONITOR_OPTION(struct options, http),
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = PROGRAM,
	.usage = "",
	.purpose = "Keeps the clocks of all tasks: retries, recovery of what Redis lost, results that their worker could not "
		   "publish. "
		   "Any number of schedulers share the work; one must run.",
	.epilog = "It ends in order on SIGTERM or SIGINT. Exit: 0 ended, 1 the port of --http is taken, 2 usage, 6 Kafka or "
		  "Redis cannot be used.\n",
	.options = OPTIONS,
	.file_option = "config",
};

struct daemon {
	struct options options;
	int signal_fd;
	char *identity, *group;
	struct metrics *metrics;
	struct http *http;
	struct topics_spec topics;
	struct purge *purge;
	struct scheduler *scheduler;
	struct scheduler_links links;
};

static uint64_t draw(void *ctx)
{
	(void)ctx;
	return random_u64();
}

static void start_purge(void *ctx)
{
	struct daemon *daemon = ctx;

	purge_start(daemon->purge);
}

static void tell_topics(char *report)
{
	char *rest = report, *line;

	while (rest && (line = strsep(&rest, "\n"))) {
		if (*line)
			log_info("topics", LOG_S("report", line));
	}
}

static enum mr_status find_topics(struct daemon *daemon, int *ret_shards, struct mr_error *err)
{
	const struct program_common *common = &daemon->options.common;
	struct topics_info info = {0};
	enum mr_status status;

	daemon->topics = (struct topics_spec){
		.brokers = common->brokers,
		.properties = &common->properties,
		.prefix = common->prefix,
		.check_only = daemon->options.no_setup,
		.retention_ms = daemon->options.retention_ms,
		.timeout_ms = TOPICS_TIMEOUT_MS,
	};
	status = program_wait_topics(&daemon->topics, -1, daemon->signal_fd, &info, err);
	if (status == MR_OK)
		tell_topics(info.report);
	free(info.report);
	*ret_shards = info.shards;
	return status;
}

static enum mr_status open_buses(struct daemon *daemon, struct mr_error *err)
{
	struct bus_config config = program_bus_config(&daemon->options.common, daemon->identity);
	struct bus_callbacks callbacks = scheduler_bus_callbacks(daemon->scheduler);
	enum mr_status status;

	config.max_message_bytes = MAX_MESSAGE_BYTES;
	config.queue_max_bytes = QUEUE_MAX_BYTES;
	config.prefetch_bytes = PREFETCH_BYTES;
	config.topics = scheduler_topics(daemon->scheduler);
	config.n_topics = 2;
	config.group = daemon->group;
	status = bus_kafka_new(&config, &callbacks, &daemon->links.bus, err);
	if (status != MR_OK)
		return status;
	config.group = NULL;
	config.topics = NULL;
	config.n_topics = 0;
	callbacks = scheduler_fetch_callbacks(daemon->scheduler);
	status = bus_kafka_new(&config, &callbacks, &daemon->links.fetch, err);
	if (status != MR_OK)
		return status;
	callbacks = scheduler_watch_callbacks(daemon->scheduler);
	return bus_kafka_new(&config, &callbacks, &daemon->links.watch, err);
}

static enum mr_status open_core(struct daemon *daemon, int shards, struct mr_error *err)
{
	const struct options *options = &daemon->options;
	struct scheduler_config config = {
		.prefix = options->common.prefix,
		.shards = shards,
		.lease_ms = options->lease_ms,
		.retention_ms = options->retention_ms,
		.purge_interval_ms = options->purge_interval_ms,
		.random = draw,
		.purge = start_purge,
		.ctx = daemon,
		.metrics = daemon->metrics,
	};

	return scheduler_new(&config, &daemon->scheduler, err);
}

static enum mr_status open_all(struct daemon *daemon, struct mr_error *err)
{
	struct store_config store = program_store_config(&daemon->options.common, 0);
	struct store_callbacks callbacks;
	enum mr_status status = find_topics(daemon, &store.shards, err);

	if (status == MR_OK)
		status = program_wait_store(&store, -1, daemon->signal_fd, err);
	if (status == MR_OK)
		status = open_core(daemon, store.shards, err);
	if (status == MR_OK)
		status = wire_new(&daemon->links.wire, err);
	if (status != MR_OK)
		return status;
	callbacks = scheduler_store_callbacks(daemon->scheduler);
	status = store_new(&store, &callbacks, &daemon->links.store, err);
	if (status == MR_OK)
		status = open_buses(daemon, err);
	if (status == MR_OK)
		status = purge_new(&daemon->topics, &daemon->purge, err);
	return status;
}

/* Before Kafka and Redis are there, so that it says what is waited for. */
static enum mr_status open_monitor(struct daemon *daemon, struct mr_error *err)
{
	enum mr_status status = metrics_new(METRICS_SCHEDULER, &daemon->metrics, err);

	if (status != MR_OK || !daemon->options.http)
		return status;
	atomic_store(&metrics_health(daemon->metrics)->pid, getpid());
	return monitor_start(daemon->options.http, true, daemon->metrics, &daemon->http, err);
}

/* Half-built ones too. The core outlives the links, whose ends it still hears of. */
static void close_all(struct daemon *daemon)
{
	http_stop(daemon->http);
	purge_free(daemon->purge);
	bus_free(daemon->links.bus);
	bus_free(daemon->links.fetch);
	bus_free(daemon->links.watch);
	store_free(daemon->links.store);
	scheduler_free(daemon->scheduler);
	wire_free(daemon->links.wire);
	metrics_free(daemon->metrics);
	free(daemon->identity);
	free(daemon->group);
	if (daemon->signal_fd >= 0)
		close(daemon->signal_fd);
}

enum { FD_SIGNAL, FD_BUS, FD_FETCH, FD_WATCH, FD_PURGE, FD_STORE, FDS };

/* Waits until something happens or `deadline_us`; returns what Redis' connection is ready for. To the microsecond: a timer's
 * precision depends on it. */
static short wait_for_events(struct daemon *daemon, int64_t deadline_us)
{
	struct pollfd fds[FDS] = {
		[FD_SIGNAL] = {.fd = daemon->signal_fd, .events = POLLIN},
		[FD_BUS] = {.fd = bus_fd(daemon->links.bus), .events = POLLIN},
		[FD_FETCH] = {.fd = bus_fd(daemon->links.fetch), .events = POLLIN},
		[FD_WATCH] = {.fd = bus_fd(daemon->links.watch), .events = POLLIN},
		[FD_PURGE] = {.fd = purge_fd(daemon->purge), .events = POLLIN},
		[FD_STORE] = {.fd = store_fd(daemon->links.store), .events = store_events(daemon->links.store)},
	};
	int64_t wait_us = deadline_us - clock_mono_us();
	struct timespec timeout = {0};

	if (wait_us > 0) {
		timeout.tv_sec = (time_t)(wait_us / 1000000);
		timeout.tv_nsec = (long)(wait_us % 1000000 * 1000);
	}
	if (ppoll(fds, FDS, &timeout, NULL) < 0)
		assert(errno == EINTR);
	return fds[FD_STORE].revents;
}

static void loop(struct daemon *daemon)
{
	struct scheduler *scheduler = daemon->scheduler;
	int64_t stop_us = INT64_MAX;
	short revents = 0;

	for (;;) {
		int64_t now_us = clock_mono_us();
		int64_t deadline_us = scheduler_turn(scheduler, revents, now_us);

		if (program_signal_read(daemon->signal_fd)) {
			/* A second signal does not wait for anything. */
			if (stop_us != INT64_MAX)
				return;
			log_info("scheduler ending");
			scheduler_stop(scheduler);
			stop_us = now_us + STOP_LIMIT_US;
		}
		if (scheduler_stopped(scheduler) || now_us >= stop_us)
			return;
		if (purge_ended(daemon->purge))
			scheduler_purged(scheduler);
		revents = wait_for_events(daemon, deadline_us < stop_us ? deadline_us : stop_us);
	}
}

static void tell_end(const struct scheduler *scheduler)
{
	struct scheduler_stats stats;

	scheduler_get_stats(scheduler, &stats);
	log_info("scheduler ended", LOG_I("applied", stats.applied), LOG_I("fired", stats.fired),
		 LOG_I("dispatched", stats.dispatched), LOG_I("from_memory", stats.cache_hits),
		 LOG_I("read_when_due", stats.cache_misses), LOG_I("swept_attempts", stats.swept_attempts),
		 LOG_I("swept_results", stats.swept_results), LOG_I("recoveries", stats.recoveries),
		 LOG_I("ends_retried", stats.ends_retried), LOG_I("ends_closed", stats.ends_closed),
		 LOG_I("buried", stats.buried), LOG_I("bad_records", stats.bad_records), LOG_I("watch_read", stats.watch_read),
		 LOG_I("watch_armed", stats.watch_armed));
}

static enum mr_status run(struct daemon *daemon, struct mr_error *err)
{
	enum mr_status status = open_all(daemon, err);

	if (status != MR_OK)
		return status;
	scheduler_attach(daemon->scheduler, &daemon->links);
	log_info("scheduler started", LOG_S("brokers", daemon->options.common.brokers),
		 LOG_S("prefix", daemon->options.common.prefix), LOG_S("identity", daemon->identity));
	loop(daemon);
	tell_end(daemon->scheduler);
	scheduler_detach(daemon->scheduler);
	return MR_OK;
}

static char *group_name(const char *prefix)
{
	struct buf buf = {0};
	char *name;

	buf_printf(&buf, "%sscheduler", prefix);
	name = mem_strndup(buf.data, buf.len);
	buf_deinit(&buf);
	return name;
}

int main(int argc, char **argv)
{
	struct daemon daemon = {.signal_fd = -1};
	struct mr_error err = {0};
	int exit_code = program_begin(&CONF, argc, argv, &daemon.options, offsetof(struct options, common), NULL);
	enum mr_status status;

	if (exit_code >= 0)
		return exit_code;
	daemon.identity = program_identity();
	daemon.group = group_name(daemon.options.common.prefix);
	status = program_signal_fd(&daemon.signal_fd, &err);
	if (status == MR_OK)
		status = open_monitor(&daemon, &err);
	if (status == MR_OK)
		status = run(&daemon, &err);
	close_all(&daemon);
	if (status != MR_OK && status != MR_ECLOSED)
		exit_code = program_fail(PROGRAM, &err);
	else
		exit_code = PROGRAM_OK;
	conf_deinit(&CONF, &daemon.options);
	return exit_code;
}
