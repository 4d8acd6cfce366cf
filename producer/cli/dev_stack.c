/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dev_stack.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/find.h"

#define TRY_MS 500
#define START_LIMIT_US (30 * INT64_C(1000000))
#define PROBE_LIMIT_MS 60000
#define WORKER_GRACE_MS 10000
#define GRACE_MS 5000
#define TASK_PARTITIONS 8
#define SHARDS 4

static const char *const NAMES[DEV_MEMBERS] = {"redis-server", "millrace-mockbroker", "millrace-scheduler", "millrace-worker"};

/* ---- Words of a command line ---- */

struct words {
	char *items[128];
	size_t len;
};

static void add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct words *words, const char *format, ...)
{
	struct buf text = {0};
	va_list args;

	/* The rest is left out; so many libraries, queues and properties are nobody's. */
	if (words->len + 1 >= sizeof(words->items) / sizeof(*words->items))
		return;
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	buf_cstr(&text);
	words->items[words->len++] = text.data;
}

static void add_list(struct words *words, const char *flag, const struct conf_list *list)
{
	for (size_t i = 0; i < list->len; i++) {
		add(words, "%s", flag);
		add(words, "%s", list->items[i]);
	}
}

static void words_deinit(struct words *words)
{
	for (size_t i = 0; i < words->len; i++)
		free(words->items[i]);
}

/* ---- Waiting ---- */

/* MR_OK where all that was started runs and no signal came. */
static enum mr_status watch(struct dev_stack *stack, int timeout_ms)
{
	struct pollfd fd = {.fd = stack->signal_fd, .events = POLLIN};

	if (poll(&fd, 1, timeout_ms) > 0 && program_signal_read(stack->signal_fd)) {
		stack->ended_by_signal = true;
		return MR_ECLOSED;
	}
	for (int i = 0; i < DEV_MEMBERS; i++) {
		struct child *child = &stack->members[i];

		if (child->pid > 0 && !child_runs(child)) {
			child_tell_end(child);
			return MR_ESYSTEM;
		}
	}
	return MR_OK;
}

static enum mr_status await(struct dev_stack *stack, enum mr_status (*works)(struct dev_stack *stack, struct mr_error *err),
			    struct mr_error *err)
{
	int64_t limit_us = clock_mono_us() + START_LIMIT_US;

	for (;;) {
		enum mr_status status = works(stack, err);

		if (status == MR_OK || !mr_status_retryable(status) || clock_mono_us() > limit_us)
			return status;
		*err = (struct mr_error){0};
		if ((status = watch(stack, 20)))
			return status;
	}
}

static enum mr_status redis_works(struct dev_stack *stack, struct mr_error *err)
{
	struct store_config config = program_store_config(stack->common, SHARDS);

	return store_check(&config, TRY_MS, err);
}

static enum mr_status broker_works(struct dev_stack *stack, struct mr_error *err)
{
	const struct topics_spec spec = {
		.brokers = stack->common->brokers,
		.properties = &stack->common->properties,
		.prefix = stack->common->prefix,
		.queues = (const char *const *)stack->queues->items,
		.n_queues = stack->queues->len,
		.timeout_ms = stack->broker_port ? TRY_MS : CLI_TIMEOUT_MS,
	};
	struct topics_info info = {0};
	enum mr_status status = topics_setup(&spec, &info, err);

	free(info.report);
	return status;
}

/* ---- Members ---- */

static enum mr_status start(struct dev_stack *stack, enum dev_member member, struct words *words, struct mr_error *err)
{
	char *program;
	enum mr_status status = find_program(NAMES[member], &program, err);

	if (status != MR_OK)
		return status;
	free(words->items[0]);
	words->items[0] = program;
	/* With a broker that is gone too there is nothing to hand over in order. */
	return child_start(&stack->members[member], NAMES[member], words->items, stack->folder,
			   stack->broker_port ? SIGKILL : SIGTERM, err);
}

static enum mr_status start_redis(struct dev_stack *stack, struct mr_error *err)
{
	struct words words = {0};
	enum mr_status status;

	add(&words, "%s", NAMES[DEV_REDIS]);
	add(&words, "--port");
	add(&words, "%d", stack->redis_port);
	add(&words, "--bind");
	add(&words, "127.0.0.1");
	add(&words, "--dir");
	add(&words, "%s", stack->folder);
	add(&words, "--save");
	add(&words, "%s", "");
	add(&words, "--maxmemory-policy");
	add(&words, "noeviction");
	status = start(stack, DEV_REDIS, &words, err);
	words_deinit(&words);
	return status == MR_OK ? await(stack, redis_works, err) : status;
}

static enum mr_status start_broker(struct dev_stack *stack, struct mr_error *err)
{
	static const char *const sharded[] = {"journal", "control", "results"};
	const char *prefix = stack->common->prefix;
	struct words words = {0};
	enum mr_status status;

	if (!stack->broker_port)
		return broker_works(stack, err);
	add(&words, "%s", NAMES[DEV_BROKER]);
	add(&words, "--exit-with-parent");
	add(&words, "--port=%d", stack->broker_port);
	for (size_t i = 0; i < sizeof(sharded) / sizeof(*sharded); i++)
		add(&words, "--topic=%s%s:%d", prefix, sharded[i], SHARDS);
	add(&words, "--topic=%sdead:1", prefix);
	for (size_t i = 0; i < stack->queues->len; i++)
		add(&words, "--topic=%stasks.%s:%d", prefix, stack->queues->items[i], TASK_PARTITIONS);
	status = start(stack, DEV_BROKER, &words, err);
	words_deinit(&words);
	return status == MR_OK ? await(stack, broker_works, err) : status;
}

static void add_common(struct dev_stack *stack, struct words *words)
{
	add(words, "--brokers=%s", stack->common->brokers);
	add(words, "--redis=%s", stack->common->redis);
	add(words, "--prefix=%s", stack->common->prefix);
	/* A fetch of the embedded broker is answered when its time is over, and not before. */
	if (stack->broker_port)
		add(words, "-Xfetch.wait.max.ms=5");
	add_list(words, "-X", &stack->common->properties);
}

static enum mr_status start_scheduler(struct dev_stack *stack, struct mr_error *err)
{
	struct words words = {0};
	enum mr_status status;

	add(&words, "%s", NAMES[DEV_SCHEDULER]);
	add_common(stack, &words);
	if (stack->scheduler_http)
		add(&words, "--http=%s", stack->scheduler_http);
	status = start(stack, DEV_SCHEDULER, &words, err);
	words_deinit(&words);
	return status;
}

static enum mr_status start_worker(struct dev_stack *stack, struct mr_error *err)
{
	struct words words = {0};
	enum mr_status status = find_example_activities(&stack->examples, err);

	if (status != MR_OK)
		return status;
	add(&words, "%s", NAMES[DEV_WORKER]);
	add_common(stack, &words);
	add(&words, "--grace=5s");
	if (stack->worker_http)
		add(&words, "--http=%s", stack->worker_http);
	add_list(&words, "-q", stack->queues);
	add(&words, "--activity-lib=%s", stack->examples);
	add_list(&words, "--activity-lib", stack->libraries);
	status = start(stack, DEV_WORKER, &words, err);
	words_deinit(&words);
	return status;
}

/* ---- The proof that it works ---- */

struct probe {
	bool there;
	enum mr_status status;
	struct mr_error err;
};

static void on_done(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err)
{
	struct probe *probe = ctx;

	probe->there = true;
	probe->status = status;
	if (err)
		probe->err = *err;
	else if (result->outcome != MR_COMPLETED)
		probe->status = mr_error_set(&probe->err, MR_ESYSTEM, "greet", "a first task ended as %s",
					     mr_outcome_name(result->outcome));
	mr_result_free(result);
}

static enum mr_status submit_probe(struct dev_stack *stack, struct mr_client *client, struct probe *probe, struct mr_error *err)
{
	struct mr_task task = {
		.size = sizeof(task),
		.queue = stack->queues->items[0],
		.activity_type = "greet",
		.input = MR_JSON("\"millrace dev\""),
		.start_to_close_timeout_ms = 10000,
		.format = MR_FORMAT_JSON,
	};
	struct mr_submit_options options = {.size = sizeof(options), .done = on_done, .ctx = probe, .wait_ms = PROBE_LIMIT_MS};
	enum mr_status status = mr_submit(client, &task, &options, NULL, err);

	while (status == MR_OK && !probe->there) {
		mr_client_wait(client, 100);
		status = watch(stack, 0);
	}
	return status;
}

static enum mr_status run_probe(struct dev_stack *stack, struct mr_error *err)
{
	struct probe probe = {.there = false};
	struct mr_client *client;
	enum mr_status status = cli_client_new(stack->common, &client, err);

	if (status != MR_OK)
		return status;
	status = submit_probe(stack, client, &probe, err);
	mr_client_free(client);
	if (status == MR_OK && probe.status != MR_OK) {
		*err = probe.err;
		status = probe.status;
	}
	return status;
}

enum mr_status dev_stack_start(struct dev_stack *stack, struct mr_error *err)
{
	const char *temporary = getenv("TMPDIR");
	enum mr_status status;

	snprintf(stack->folder, sizeof(stack->folder), "%.40s/millrace-dev.XXXXXX", temporary && *temporary ? temporary : "/tmp");
	if (!mkdtemp(stack->folder)) {
		status = mr_error_set(err, MR_ESYSTEM, stack->folder, "%s", strerror(errno));
		stack->folder[0] = '\0';
		return status;
	}
	if ((status = start_redis(stack, err)) || (status = start_broker(stack, err)) || (status = start_scheduler(stack, err)) ||
	    (status = start_worker(stack, err)))
		return status;
	return run_probe(stack, err);
}

enum mr_status dev_stack_run(struct dev_stack *stack)
{
	enum mr_status status;

	while ((status = watch(stack, 200)) == MR_OK)
		;
	return status;
}

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
	(void)stat, (void)kind, (void)ftw;
	return remove(path);
}

void dev_stack_stop(struct dev_stack *stack)
{
	for (int i = DEV_MEMBERS - 1; i >= 0; i--) {
		child_stop(&stack->members[i], i == DEV_WORKER ? WORKER_GRACE_MS : GRACE_MS);
		child_deinit(&stack->members[i]);
	}
	if (stack->folder[0] && nftw(stack->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS))
		fprintf(stderr, "millrace dev: %s cannot be removed: %s\n", stack->folder, strerror(errno));
	free(stack->examples);
}
