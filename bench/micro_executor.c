/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What isolation costs: no-op activities from push to poll, in batches and one at a time, and programs against a bare
 * fork-exec-wait loop.
 *
 *	micro_executor [ATTEMPTS [EXECUTORS]]
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lib/executor.h"
#include "lib/pool.h"

#define DEPTH 256
#define ROUND_TRIPS 5000
#define PROGRAMS 400

struct bench {
	struct pool *pool;
	struct executor *executor;
	size_t ended, failed;
};

static enum mr_attempt_end noop(struct mr_attempt *attempt, void *user)
{
	(void)user;
	return mr_complete(attempt, "ok", 2, NULL);
}

static _Noreturn void die(const struct mr_error *err)
{
	fprintf(stderr, "micro_executor: %s: %s\n", err->where, err->message);
	exit(1);
}

static void bench_start(struct bench *b, size_t slots, bool threads, struct mr_registry *registry)
{
	struct pool_config config = {.registry = registry, .slots = slots, .depth = DEPTH, .threads = threads, .grace_ms = 1000};
	struct mr_error err;

	*b = (struct bench){.ended = 0};
	if (pool_new(&config, &b->pool, &err) || pool_start(b->pool, &err) || executor_new(b->pool, &b->executor, &err))
		die(&err);
}

static void bench_stop(struct bench *b)
{
	executor_free(b->executor);
	pool_stop(b->pool);
	pool_free(b->pool);
}

static void on_event(void *ctx, const struct executor_event *event)
{
	struct bench *b = ctx;

	if (event->kind != EXECUTOR_ENDED)
		return;
	b->ended++;
	b->failed += event->outcome.kind != OUTCOME_COMPLETED;
	ledger_free_entry(pool_ledger(b->pool), event->handle);
}

static void push(struct bench *b, const char *type)
{
	struct attempt_info info = {
		.task_key = BYTES_LIT("order-123456/charge_card"),
		.workflow_id = BYTES_LIT("order-123456"),
		.activity_id = BYTES_LIT("charge_card"),
		.run_id = BYTES_LIT("0123456789abcdef"),
		.activity_type = bytes_of(type),
		.queue = BYTES_LIT("default"),
		.worker = BYTES_LIT("bench"),
		.attempt = 1,
		.budget_ms = TASK_UNSET,
		.input = {.data = BYTES_LIT(
				  "{\"order\":123456,\"amount_cents\":4999,\"currency\":\"EUR\",\"card\":\"tok_0123456789\"}"),
			  .content_type = BYTES_LIT(PAYLOAD_JSON)},
	};
	struct claim_token token = {
		.key = info.task_key, .run_id = info.run_id, .nonce = BYTES_LIT("n"), .record_id = BYTES_LIT("t:0:0")};
	uint64_t handle;

	if (!ledger_reserve(pool_ledger(b->pool), &token, &handle) || !executor_push(b->executor, handle, &info)) {
		fprintf(stderr, "micro_executor: no room\n");
		exit(1);
	}
}

static void wait_events(struct bench *b)
{
	struct pollfd fd = {.fd = executor_fd(b->executor), .events = POLLIN};

	poll(&fd, 1, 1000);
	executor_poll(b->executor, on_event, b);
}

static void run_many(struct bench *b, const char *type, size_t n)
{
	size_t pushed = 0;

	b->ended = 0;
	while (b->ended < n) {
		while (pushed < n && executor_room(b->executor) > 0) {
			push(b, type);
			pushed++;
		}
		wait_events(b);
	}
}

static double cpu_s(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void round_trips(struct bench *b)
{
	CLEANUP_FREE int64_t *us = mem_alloc(ROUND_TRIPS * sizeof(int64_t));

	for (size_t i = 0; i < ROUND_TRIPS; i++) {
		int64_t begin_us = clock_mono_us();

		run_many(b, "noop", 1);
		us[i] = clock_mono_us() - begin_us;
		poll(NULL, 0, i % 16 == 0 ? 1 : 0);
	}
	qsort(us, ROUND_TRIPS, sizeof(*us), compare);
	printf("  round trip      p50 %lld us, p99 %lld us\n", (long long)us[ROUND_TRIPS / 2],
	       (long long)us[ROUND_TRIPS * 99 / 100]);
}

static void measure(const char *name, size_t n, size_t slots, bool threads)
{
	struct mr_registry *registry;
	struct bench b;
	double loop_s, all_s;
	int64_t begin_us;

	mr_registry_new(&registry, NULL);
	mr_register(registry, "noop", noop, NULL, NULL, NULL);
	bench_start(&b, slots, threads, registry);
	run_many(&b, "noop", 1000);
	loop_s = cpu_s(RUSAGE_SELF);
	begin_us = clock_mono_us();
	run_many(&b, "noop", n);
	all_s = (double)(clock_mono_us() - begin_us) / 1e6;
	printf("%s, %zu executors\n  batches         %.0f/s, loop process %.2f us CPU each%s\n", name, slots, (double)n / all_s,
	       (cpu_s(RUSAGE_SELF) - loop_s) / (double)n * 1e6, b.failed ? " (SOME FAILED)" : "");
	round_trips(&b);
	bench_stop(&b);
	mr_registry_free(registry);
}

static double bare_programs_per_s(size_t n)
{
	int64_t begin_us = clock_mono_us();

	for (size_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
	}
	return (double)n / ((double)(clock_mono_us() - begin_us) / 1e6);
}

static void measure_programs(void)
{
	struct mr_registry *registry;
	struct bench b;
	double bare = bare_programs_per_s(PROGRAMS), ours;
	int64_t begin_us;

	mr_registry_new(&registry, NULL);
	mr_register_exec_text(registry, "true=/bin/true", NULL);
	bench_start(&b, 1, false, registry);
	run_many(&b, "true", 10);
	begin_us = clock_mono_us();
	run_many(&b, "true", PROGRAMS);
	ours = PROGRAMS / ((double)(clock_mono_us() - begin_us) / 1e6);
	printf("programs (/bin/true), 1 executor\n  exec activity   %.0f/s, fork-exec-wait loop %.0f/s: %.0f %%%s\n", ours, bare,
	       100 * ours / bare, b.failed ? " (SOME FAILED)" : "");
	bench_stop(&b);
	mr_registry_free(registry);
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 500000;
	size_t slots = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;

	setvbuf(stdout, NULL, _IOLBF, 0);
	measure_programs();
	measure("process isolation", n, slots, false);
	measure("thread isolation", n, slots, true);
	return 0;
}
