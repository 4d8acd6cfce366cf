/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claims and finishes a second, and Redis' CPU time a task: a private redis-server, one connection, the claim of the next
 * batch in the same round trip as the finish of the last one, as the worker does.
 *
 *   micro_store [tasks [value bytes [shards]]]
 */

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/store.h"
#include "support/redis_server.h"

#define WORKER BYTES_LIT("host-4711-1a2b3c4d5e6f7a8b-1")

struct run {
	struct store *store;
	size_t batch, tasks, claimed, finished;
	int shards;
	struct arena arena; /* of the batch that is made */
	struct bytes value;
	struct claim_request *requests;
	struct finish_request *finishes;
};

static void die(const char *what)
{
	fprintf(stderr, "micro_store: %s\n", what);
	exit(1);
}

static void check(enum mr_status status, const char *what)
{
	if (status != MR_OK)
		die(what);
}

static void on_finish(void *ctx, enum mr_status status, const struct finish_answer *answers, size_t n)
{
	struct run *run = ctx;

	check(status, "finish failed");
	for (size_t i = 0; i < n; i++) {
		if (answers[i].verdict != FINISH_OK)
			die("a finish was stale");
	}
	run->finished += n;
}

static void claim_batch(struct run *run);

static void on_claim(void *ctx, enum mr_status status, const struct claim_answer *answers, size_t n)
{
	struct run *run = ctx;

	check(status, "claim failed");
	for (size_t i = 0; i < n; i++) {
		const struct claim_request *request = &run->requests[i];

		if (answers[i].verdict != CLAIM_RUN)
			die("a claim was not granted");
		run->finishes[i] = (struct finish_request){
			.token = {.key = request->key,
				  .shard = request->shard,
				  .run_id = request->run_id,
				  .attempt = 1,
				  .nonce = request->nonce,
				  .worker = WORKER,
				  .record_id = request->record_id,
				  .started_at_ms = answers[i].started_at_ms},
			.publication = {.value = run->value},
		};
	}
	check(store_finish(run->store, run->finishes, n, on_finish, run), "finish refused");
	if (run->claimed < run->tasks)
		claim_batch(run);
}

static void claim_batch(struct run *run)
{
	size_t n = run->tasks - run->claimed < run->batch ? run->tasks - run->claimed : run->batch;

	arena_reset(&run->arena);
	for (size_t i = 0; i < n; i++) {
		size_t id = run->claimed + i;
		struct claim_request *request = &run->requests[i];

		*request = (struct claim_request){.attempt = 1, .first_loss_retries = true};
		request->key = arena_printf(&run->arena, "order-%09zu/charge-card", id);
		request->run_id = arena_printf(&run->arena, "0192f1c8-7c7e-7000-8000-%012zx", id);
		request->record_id = arena_printf(&run->arena, "millrace.tasks.default:%zu:%zu", id % 32, id / 32);
		request->nonce = arena_printf(&run->arena, "%016zx", id * 2654435761u);
		request->shard = task_shard(request->key, run->shards);
	}
	run->claimed += n;
	check(store_claim(run->store, WORKER, run->requests, n, on_claim, run), "claim refused");
}

static void on_done(void *ctx, enum mr_status status)
{
	(void)ctx;
	check(status, "set-up failed");
}

static void on_status(void *ctx, enum mr_status status, const struct shard_status *answer)
{
	(void)ctx;
	(void)answer;
	check(status, "set-up failed");
}

static void on_lease(void *ctx, enum mr_status status, const struct lease_answer *answers, size_t n)
{
	(void)ctx;
	(void)answers;
	(void)n;
	check(status, "set-up failed");
}

static void wait_all(struct run *run)
{
	struct mr_error err;

	if (store_wait(run->store, 60000, &err) != MR_OK)
		die(err.message);
}

static void make_ready(struct run *run)
{
	for (int shard = 0; shard < run->shards; shard++) {
		check(store_recover(run->store, shard, BYTES_LIT("n"), on_status, NULL), "recover");
		check(store_vouch(run->store, shard, BYTES_LIT("n"), 0, 0, 0, on_done, NULL), "vouch");
		check(store_lease(run->store, WORKER, &shard, NULL, 1, on_lease, NULL), "lease");
	}
	wait_all(run);
}

static void measure(const char *name, const char *const *options, size_t batch, size_t tasks, size_t value_bytes, int shards)
{
	struct redis_server server;
	char *value = mem_alloc(value_bytes);
	struct run run = {.batch = batch, .tasks = tasks, .shards = shards, .value = {value, value_bytes}};
	struct mr_error err;

	memset(value, 'v', value_bytes);
	redis_server_start(&server, options);
	struct store_config config = {.url = server.url, .prefix = "millrace.", .shards = shards};

	if (store_new(&config, NULL, &run.store, &err) != MR_OK)
		die(err.message);
	run.requests = mem_alloc(batch * sizeof(*run.requests));
	run.finishes = mem_alloc(batch * sizeof(*run.finishes));
	make_ready(&run);
	long long cpu_us = redis_server_cpu_us(&server), own_us = (long long)clock() * 1000000 / CLOCKS_PER_SEC;
	int64_t start_us = clock_mono_us();

	claim_batch(&run);
	wait_all(&run);
	int64_t wall_us = clock_mono_us() - start_us;

	cpu_us = redis_server_cpu_us(&server) - cpu_us;
	own_us = (long long)clock() * 1000000 / CLOCKS_PER_SEC - own_us;
	if (run.finished != tasks)
		die("not all tasks finished");
	printf("%-14s  %5zu  %9.0f  %10.2f  %10.2f\n", name, batch, (double)tasks * 1e6 / (double)wall_us,
	       (double)cpu_us / (double)tasks, (double)own_us / (double)tasks);
	fflush(stdout);
	store_free(run.store);
	redis_server_stop(&server);
	arena_deinit(&run.arena);
	free(run.requests);
	free(run.finishes);
	free(value);
}

int main(int argc, char **argv)
{
	static const char *const none[] = {NULL};
	static const char *const everysec[] = {"--appendonly", "yes", "--appendfsync", "everysec", NULL};
	static const size_t batches[] = {1, 16, 64, 256, 512};
	size_t tasks = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
	size_t value_bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 140;
	int shards = argc > 3 ? atoi(argv[3]) : 16;

	if (tasks == 0 || shards < 1)
		die("usage: micro_store [tasks [value bytes [shards]]]");
	signal(SIGPIPE, SIG_IGN);
	printf("%zu tasks, %zu B values, %d shards; claim + finish of each, one connection (Unix socket)\n", tasks, value_bytes,
	       shards);
	printf("%-14s  %5s  %9s  %10s  %10s\n", "AOF", "batch", "tasks/s", "Redis us", "client us");
	for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
		size_t n = batches[i] == 1 ? tasks / 10 : tasks;

		measure("off", none, batches[i], n, value_bytes, shards);
		measure("everysec", everysec, batches[i], n, value_bytes, shards);
	}
	return 0;
}
