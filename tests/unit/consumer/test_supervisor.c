/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "consumer/attempt_rig.h"
#include "lib/supervisor.h"

/* ---- a store that writes down what it is asked for; the supervisor runs in the test's own process ---- */

static char trace[4096];

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
	size_t len = strlen(trace);
	va_list args;

	va_start(args, format);
	vsnprintf(trace + len, sizeof(trace) - len, format, args);
	va_end(args);
}

enum mr_status store_new(const struct store_config *config, const struct store_callbacks *callbacks, struct store **ret,
			 struct mr_error *err)
{
	(void)callbacks;
	(void)err;
	note("open %d; ", config->shards);
	*ret = (struct store *)trace;
	return MR_OK;
}

void store_free(struct store *store)
{
	(void)store;
	note("close");
}

enum mr_status store_release(struct store *store, const struct claim_token *tokens, size_t n, store_done_fn *done, void *ctx)
{
	(void)store;
	for (size_t i = 0; i < n; i++)
		note("release %.*s of %.*s; ", BYTES_ARG(tokens[i].key), BYTES_ARG(tokens[i].worker));
	done(ctx, MR_OK);
	return MR_OK;
}

enum mr_status store_bury(struct store *store, struct bytes worker, const int *shards, size_t n, store_done_fn *done, void *ctx)
{
	(void)store;
	note("bury %.*s in %zu from %d; ", BYTES_ARG(worker), n, shards[0]);
	done(ctx, MR_OK);
	return MR_OK;
}

enum mr_status store_wait(struct store *store, int timeout_ms, struct mr_error *err)
{
	(void)store;
	(void)timeout_ms;
	(void)err;
	return MR_OK;
}

/* ---- what the loop of a test finds and leaves ---- */

struct shared {
	_Atomic int runs;
	_Atomic int pids[8]; /* of loops */
	_Atomic int executor_pid;
	char incarnations[8][64];
};

static struct shared *shared;
static struct rig rig;

static enum mr_attempt_end spin(struct mr_attempt *attempt, void *user)
{
	(void)user;
	atomic_store(&shared->executor_pid, (int)getpid());
	while (!mr_is_cancelled(attempt))
		;
	return mr_canceled(attempt);
}

static enum mr_attempt_end noop(struct mr_attempt *attempt, void *user)
{
	(void)user;
	return mr_complete(attempt, NULL, 0, NULL);
}

static int make(void **state)
{
	(void)state;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	trace[0] = '\0';
	rig_init(&rig);
	rig.config.slots = 1;
	mr_register(rig.registry, "spin", spin, NULL, NULL, NULL);
	mr_register(rig.registry, "noop", noop, NULL, NULL, NULL);
	assert_int_equal(pool_new(&rig.config, &rig.pool, NULL), MR_OK);
	assert_int_equal(pool_start(rig.pool, NULL), MR_OK);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	rig_deinit(&rig);
	munmap(shared, sizeof(*shared));
	return 0;
}

static int begin(const char *incarnation)
{
	int run = atomic_fetch_add(&shared->runs, 1);

	atomic_store(&shared->pids[run], (int)getpid());
	snprintf(shared->incarnations[run], sizeof(shared->incarnations[run]), "%s", incarnation);
	if (executor_new(rig.pool, &rig.executor, NULL))
		abort();
	return run;
}

static int supervise(int (*loop)(void *ctx, struct pool *pool, const char *incarnation))
{
	struct supervisor_config config = {.pool = rig.pool, .loop = loop, .identity = "host-1"};
	int exit_status;

	assert_int_equal(metrics_new(METRICS_WORKER, &config.metrics, NULL), MR_OK);
	exit_status = supervisor_run(&config);
	metrics_free(config.metrics);
	return exit_status;
}

static int return_7(void *ctx, struct pool *pool, const char *incarnation)
{
	(void)ctx;
	(void)pool;
	begin(incarnation);
	return 7;
}

static void the_exit_status_of_the_loop_is_that_of_the_program(void **state)
{
	(void)state;
	assert_int_equal(supervise(return_7), 7);
	assert_int_equal(atomic_load(&shared->runs), 1);
	assert_string_equal(trace, "");
}

static void push_named(const char *type, const char *key)
{
	struct attempt_info info;

	rig_info(&info, type, "1", 1);
	info.task_key = bytes_of(key);
	rig_push_info(&rig, &info);
}

static void reserve_named(const char *key)
{
	struct claim_token token = {.key = bytes_of(key)};
	uint64_t handle;

	if (!ledger_reserve(pool_ledger(rig.pool), &token, &handle))
		abort();
}

/* First: dies with one attempt running, one queued, one whose claim is on its way. Then: runs one. */
static int die_once(void *ctx, struct pool *pool, const char *incarnation)
{
	(void)ctx;
	if (begin(incarnation) == 0) {
		supervisor_tell_shards(pool, 4);
		push_named("spin", "running");
		rig_wait_started(&rig, 0);
		while (!atomic_load(&shared->executor_pid))
			poll(NULL, 0, 1);
		push_named("noop", "queued");
		reserve_named("claiming");
		raise(SIGKILL);
	}
	if (ledger_free_count(pool_ledger(pool)) != ledger_size(pool_ledger(pool)))
		return 3;
	return rig_run(&rig, "noop", "1")->kind == OUTCOME_COMPLETED ? 0 : 4;
}

static void a_dead_loop_gives_back_what_had_not_started_and_is_buried(void **state)
{
	(void)state;
	assert_int_equal(supervise(die_once), 0);
	assert_int_equal(atomic_load(&shared->runs), 2);
	assert_string_equal(shared->incarnations[0], "host-1.1");
	assert_string_equal(shared->incarnations[1], "host-1.2");
	assert_string_equal(trace, "open 4; release queued of host-1.1; release claiming of host-1.1; bury host-1.1 in 4 from 0; "
				   "release queued of host-1.1; release claiming of host-1.1; close");
	assert_true(rig_process_is_gone((void *)(intptr_t)atomic_load(&shared->executor_pid)));
}

static int again_once(void *ctx, struct pool *pool, const char *incarnation)
{
	(void)ctx;
	supervisor_tell_shards(pool, 2);
	return begin(incarnation) == 0 ? SUPERVISOR_AGAIN : 0;
}

static void a_loop_that_was_buried_begins_again_under_another_name(void **state)
{
	(void)state;
	assert_int_equal(supervise(again_once), 0);
	assert_int_equal(atomic_load(&shared->runs), 2);
	assert_string_not_equal(shared->incarnations[0], shared->incarnations[1]);
}

static int block_and_signal_parent(const char *incarnation)
{
	sigset_t set;
	int sig = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	begin(incarnation);
	kill(getppid(), SIGTERM);
	sigwait(&set, &sig);
	return sig;
}

static int drain(void *ctx, struct pool *pool, const char *incarnation)
{
	(void)ctx;
	(void)pool;
	return block_and_signal_parent(incarnation) == SIGTERM ? 0 : 5;
}

static void sigterm_is_passed_on_and_a_drain_ends_with_its_status(void **state)
{
	(void)state;
	assert_int_equal(supervise(drain), 0);
	assert_int_equal(atomic_load(&shared->runs), 1);
}

static int never_drain(void *ctx, struct pool *pool, const char *incarnation)
{
	(void)ctx;
	(void)pool;
	block_and_signal_parent(incarnation);
	push_named("spin", "running");
	rig_wait_started(&rig, 0);
	kill(getppid(), SIGTERM);
	while (pause() < 0)
		;
	return 0;
}

static void a_second_sigterm_ends_everything_at_once(void **state)
{
	(void)state;
	assert_int_equal(supervise(never_drain), 128 + SIGTERM);
	assert_int_equal(atomic_load(&shared->runs), 1);
	assert_true(rig_process_is_gone((void *)(intptr_t)atomic_load(&shared->pids[0])));
}

static int kill_the_zygote(void *ctx, struct pool *pool, const char *incarnation)
{
	const struct rig_attempt *a;
	char command[64];

	(void)ctx;
	(void)pool;
	begin(incarnation);
	push_named("spin", "running");
	rig_wait_started(&rig, 0);
	while (!atomic_load(&shared->executor_pid))
		poll(NULL, 0, 1);
	/* The executor's parent. */
	snprintf(command, sizeof(command), "kill -KILL $(cut -d' ' -f4 /proc/%d/stat)", atomic_load(&shared->executor_pid));
	if (system(command) != 0) /* NOLINT(cert-env33-c) */
		return 6;
	a = rig_wait(&rig, 0);
	if (!a->failure_type || strcmp(a->failure_type, "ActivityCrashed") != 0)
		return 7;
	return rig_run(&rig, "noop", "1")->kind == OUTCOME_COMPLETED ? 0 : 8;
}

static void a_dead_zygote_is_replaced_and_its_attempts_have_crashed(void **state)
{
	(void)state;
	assert_int_equal(supervise(kill_the_zygote), 0);
	assert_int_equal(atomic_load(&shared->runs), 1);
}

static int hang(void *ctx, struct pool *pool, const char *incarnation)
{
	(void)ctx;
	(void)pool;
	begin(incarnation);
	push_named("spin", "running");
	while (rig.pool)
		rig_poll(&rig, 1000);
	return 0;
}

static bool is_set(void *value)
{
	return atomic_load((_Atomic int *)value) != 0;
}

/* Zombies of ours are gone as well as need be. */
static bool is_gone(void *pid)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return rig_process_is_gone(pid);
}

static void when_the_supervisor_is_killed_nothing_of_it_lives_on(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pool_free(rig.pool);
		if (pool_new(&rig.config, &rig.pool, NULL) || pool_start(rig.pool, NULL))
			_exit(9);
		_exit(supervise(hang));
	}
	assert_true(rig_eventually(is_set, &shared->executor_pid));
	kill(pid, SIGKILL);
	assert_true(rig_eventually(is_gone, (void *)(intptr_t)pid));
	assert_true(rig_eventually(is_gone, (void *)(intptr_t)atomic_load(&shared->pids[0])));
	assert_true(rig_eventually(is_gone, (void *)(intptr_t)atomic_load(&shared->executor_pid)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_exit_status_of_the_loop_is_that_of_the_program, make, drop),
		cmocka_unit_test_setup_teardown(a_dead_loop_gives_back_what_had_not_started_and_is_buried, make, drop),
		cmocka_unit_test_setup_teardown(a_loop_that_was_buried_begins_again_under_another_name, make, drop),
		cmocka_unit_test_setup_teardown(sigterm_is_passed_on_and_a_drain_ends_with_its_status, make, drop),
		cmocka_unit_test_setup_teardown(a_second_sigterm_ends_everything_at_once, make, drop),
		cmocka_unit_test_setup_teardown(a_dead_zygote_is_replaced_and_its_attempts_have_crashed, make, drop),
		cmocka_unit_test_setup_teardown(when_the_supervisor_is_killed_nothing_of_it_lives_on, make, drop),
	};

	log_setup("test_supervisor", LOG_ERROR, LOG_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
