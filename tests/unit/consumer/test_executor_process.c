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

#include "consumer/attempt_rig.h"
#include "consumer/executor_rules.h"
#include "lib/pool_impl.h"

const bool rules_with_threads = false;

static enum mr_attempt_end crash(struct mr_attempt *attempt, void *user)
{
	(void)attempt;
	(void)user;
	signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would turn it into an exit */
	raise(SIGSEGV);
	return MR_ATTEMPT_COMPLETED;
}

static enum mr_attempt_end leave(struct mr_attempt *attempt, void *user)
{
	(void)attempt;
	(void)user;
	_exit(3);
}

static enum mr_attempt_end spin(struct mr_attempt *attempt, void *user)
{
	volatile bool forever = true;

	(void)attempt;
	(void)user;
	while (forever)
		;
	return MR_ATTEMPT_COMPLETED;
}

static char hangs[1];

/* Answers with the number of a grandchild in a session of its own, which lives on; or goes on until it is cancelled, or hangs. */
static enum mr_attempt_end breed(struct mr_attempt *attempt, void *user)
{
	int fds[2];
	pid_t grandchild = 0;
	char text[32];

	if (pipe(fds) < 0)
		return mr_failf(attempt, "Test", "pipe");
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			setsid();
			grandchild = getpid();
			if (write(fds[1], &grandchild, sizeof(grandchild)) < 0)
				_exit(1);
			for (;;)
				pause();
		}
		_exit(0);
	}
	if (read(fds[0], &grandchild, sizeof(grandchild)) != (ssize_t)sizeof(grandchild))
		return mr_failf(attempt, "Test", "read");
	snprintf(text, sizeof(text), "%d", (int)grandchild);
	mr_heartbeat(attempt, text, strlen(text), NULL);
	while (user == hangs)
		pause();
	while (user && !mr_is_cancelled(attempt))
		poll(NULL, 0, 1);
	return mr_complete(attempt, text, strlen(text), NULL);
}

static enum mr_attempt_end whoami(struct mr_attempt *attempt, void *user)
{
	(void)user;
	return mr_complete_jsonf(attempt, "%d", (int)getpid());
}

static void begin(struct rig *rig)
{
	rig_init(rig);
	mr_register(rig->registry, "crash", crash, NULL, NULL, NULL);
	mr_register(rig->registry, "leave", leave, NULL, NULL, NULL);
	mr_register(rig->registry, "spin", spin, NULL, NULL, NULL);
	mr_register(rig->registry, "breed_and_hang", breed, hangs, NULL, NULL);
	mr_register(rig->registry, "breed_and_wait", breed, rig, NULL, NULL);
	mr_register(rig->registry, "whoami", whoami, NULL, NULL, NULL);
}

static void a_crash_costs_one_attempt_and_names_the_signal(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;
	size_t spinning;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	spinning = rig_push(&rig, "spin", "1");
	rig_wait_started(&rig, spinning);
	for (int i = 0; i < 3; i++) {
		a = rig_run(&rig, "crash", "1");
		assert_int_equal(a->kind, OUTCOME_FAILED);
		assert_string_equal(a->failure_type, "ActivityCrashed");
		assert_false(a->non_retryable);
		assert_string_equal(a->message, "SIGSEGV (Segmentation fault)");
	}
	assert_int_equal(rig.attempts[spinning].ended, 0);
	a = rig_run(&rig, "leave", "1");
	assert_string_equal(a->failure_type, "ActivityCrashed");
	assert_non_null(strstr(a->message, "exit status 3"));
	executor_kill(rig.executor, rig.attempts[spinning].handle);
	assert_string_equal(rig_wait(&rig, spinning)->message, "killed");
	rig_deinit(&rig);
}

static void what_an_attempt_that_was_told_to_stop_has_started_ends_with_it(void **state)
{
	struct rig rig;
	size_t i;
	pid_t grandchild;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	i = rig_push(&rig, "breed_and_wait", "1");
	while (!rig.attempts[i].beat_details)
		rig_poll(&rig, 1000);
	grandchild = (pid_t)atoi(rig.attempts[i].beat_details);
	assert_int_equal(kill(grandchild, 0), 0);
	executor_cancel(rig.executor, rig.attempts[i].handle, CANCEL_TIMED_OUT);
	assert_int_equal(rig_wait(&rig, i)->kind, OUTCOME_COMPLETED);
	assert_true(rig_process_is_gone((void *)(intptr_t)grandchild));
	rig_deinit(&rig);
}

static bool has_beaten(void *cell)
{
	return atomic_load(&((struct cell *)cell)->beats) > 0;
}

/* It may start and beat after the loop has looked for starts, and before it looks for heartbeats. */
static void a_start_is_told_before_the_first_heartbeat(void **state)
{
	struct rig rig;
	size_t i, cell;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	i = rig_push(&rig, "breed_and_wait", "1");
	cell = (size_t)ledger_get(pool_ledger(rig.pool), rig.attempts[i].handle)->cell;
	assert_true(rig_eventually(has_beaten, &rig.pool->cells[cell]));
	bit_clear(rig.pool->shared->started, cell);
	while (!rig.attempts[i].beats)
		rig_poll(&rig, 1000);
	assert_int_equal(rig.attempts[i].started, 1);
	executor_cancel(rig.executor, rig.attempts[i].handle, CANCEL_TIMED_OUT);
	rig_wait(&rig, i);
	assert_int_equal(rig.attempts[i].started, 1);
	rig_deinit(&rig);
}

static void a_kill_ends_a_grandchild_in_a_session_of_its_own(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;
	size_t i;
	pid_t grandchild;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	i = rig_push(&rig, "breed_and_hang", "1");
	while (!rig.attempts[i].beat_details)
		rig_poll(&rig, 1000);
	grandchild = (pid_t)atoi(rig.attempts[i].beat_details);
	assert_int_equal(kill(grandchild, 0), 0);
	executor_kill(rig.executor, rig.attempts[i].handle);
	a = rig_wait(&rig, i);
	assert_string_equal(a->message, "killed");
	/* Not "soon": the end is told when the tree is gone. */
	assert_true(rig_process_is_gone((void *)(intptr_t)grandchild));
	rig_deinit(&rig);
}

static void many_crashes_among_many_attempts_touch_nothing_else(void **state)
{
	struct rig rig;
	size_t n = 300;

	(void)state;
	begin(&rig);
	rig.config.slots = 3;
	rig_start(&rig);
	for (size_t i = 0; i < n; i++) {
		while (executor_room(rig.executor) == 0)
			rig_poll(&rig, 1000);
		rig_push(&rig, i % 10 == 3 ? "crash" : "whoami", "1");
	}
	for (size_t i = 0; i < n; i++) {
		const struct rig_attempt *a = rig_wait(&rig, i);

		assert_int_equal(a->kind, i % 10 == 3 ? OUTCOME_FAILED : OUTCOME_COMPLETED);
	}
	rig_deinit(&rig);
}

static void executors_killed_from_outside_lose_nothing_that_waits(void **state)
{
	struct rig rig;
	size_t n = 400, crashed = 0;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	for (size_t i = 0; i < n; i++) {
		while (executor_room(rig.executor) == 0)
			rig_poll(&rig, 1000);
		rig_push(&rig, "whoami", "1");
		if (i % 20 == 10) {
			const struct rig_attempt *a = rig_wait(&rig, i);

			if (a->kind == OUTCOME_COMPLETED)
				kill((pid_t)atoi(a->result), SIGKILL);
		}
	}
	for (size_t i = 0; i < n; i++)
		crashed += rig_wait(&rig, i)->kind == OUTCOME_FAILED;
	assert_true(crashed <= n / 20);
	rig_deinit(&rig);
}

static void a_reset_leaves_nothing_running_and_an_empty_ledger(void **state)
{
	struct mr_error err;
	struct rig rig;
	size_t i;
	pid_t grandchild;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	i = rig_push(&rig, "breed_and_hang", "1");
	while (!rig.attempts[i].beat_details)
		rig_poll(&rig, 1000);
	grandchild = (pid_t)atoi(rig.attempts[i].beat_details);
	rig_push(&rig, "spin", "1");
	rig_push(&rig, "whoami", "1");
	executor_free(rig.executor); /* the loop is gone; its supervisor goes on */
	rig.executor = NULL;
	assert_int_equal(pool_reset(rig.pool, &err), MR_OK);
	assert_true(rig_process_is_gone((void *)(intptr_t)grandchild));
	assert_int_equal(ledger_free_count(pool_ledger(rig.pool)), ledger_size(pool_ledger(rig.pool)));
	assert_int_equal(executor_new(rig.pool, &rig.executor, &err), MR_OK);
	assert_int_equal(rig_run(&rig, "whoami", "1")->kind, OUTCOME_COMPLETED);
	rig_deinit(&rig);
}

static void when_the_zygote_dies_running_attempts_crash_and_others_go_on(void **state)
{
	struct mr_error err;
	struct rig rig;
	size_t spinning[2], waiting;
	int wait_status;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	for (int i = 0; i < 2; i++) {
		spinning[i] = rig_push(&rig, "spin", "1");
		rig_wait_started(&rig, spinning[i]);
	}
	waiting = rig_push(&rig, "whoami", "1");
	kill(pool_zygote_pid(rig.pool), SIGKILL);
	assert_int_equal(waitpid(pool_zygote_pid(rig.pool), &wait_status, 0), pool_zygote_pid(rig.pool));
	assert_int_equal(pool_zygote_died(rig.pool, wait_status, &err), MR_OK);
	for (int i = 0; i < 2; i++)
		assert_string_equal(rig_wait(&rig, spinning[i])->failure_type, "ActivityCrashed");
	assert_int_equal(rig_wait(&rig, waiting)->kind, OUTCOME_COMPLETED);
	rig_deinit(&rig);
}

static size_t resident_bytes(const struct pool *pool)
{
	size_t pages = pool->memory_bytes / 4096, n = 0;
	unsigned char *map = malloc(pages);

	assert_non_null(map);
	assert_int_equal(mincore(pool->memory, pool->memory_bytes, map), 0);
	for (size_t i = 0; i < pages; i++)
		n += map[i] & 1;
	free(map);
	return n * 4096;
}

static void the_memory_of_large_payloads_is_given_back(void **state)
{
	size_t bytes = 1 << 20, before;
	char *input = malloc(bytes);
	struct attempt_info info;
	struct rig rig;

	(void)state;
	assert_non_null(input);
	begin(&rig);
	memset(input, 'z', bytes);
	rig_start(&rig);
	rig_run(&rig, "whoami", "1");
	before = resident_bytes(rig.pool);
	for (int i = 0; i < 32; i++) {
		rig_info(&info, "whoami", input, bytes);
		rig_push_info(&rig, &info);
	}
	for (size_t i = 0; i < rig.n_attempts; i++)
		rig_wait(&rig, i);
	assert_true(resident_bytes(rig.pool) < before + 2 * bytes);
	rig_deinit(&rig);
	free(input);
}

int main(void)
{
#define XX(name) cmocka_unit_test(name),
	const struct CMUnitTest tests[] = {
		EXECUTOR_RULES(XX) cmocka_unit_test(a_crash_costs_one_attempt_and_names_the_signal),
		cmocka_unit_test(a_start_is_told_before_the_first_heartbeat),
		cmocka_unit_test(a_kill_ends_a_grandchild_in_a_session_of_its_own),
		cmocka_unit_test(what_an_attempt_that_was_told_to_stop_has_started_ends_with_it),
		cmocka_unit_test(many_crashes_among_many_attempts_touch_nothing_else),
		cmocka_unit_test(executors_killed_from_outside_lose_nothing_that_waits),
		cmocka_unit_test(a_reset_leaves_nothing_running_and_an_empty_ledger),
		cmocka_unit_test(when_the_zygote_dies_running_attempts_crash_and_others_go_on),
		cmocka_unit_test(the_memory_of_large_payloads_is_given_back),
	};
#undef XX

	return cmocka_run_group_tests(tests, NULL, NULL);
}
