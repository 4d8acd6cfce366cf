/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts that are told to stop, by whatever reason, and what becomes of their tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "consumer/world.h"

static const char task[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"start_to_close_timeout_ms\":60000,"
			   "\"retry_policy\":{\"maximum_attempts\":1}}";
static const char retried[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"start_to_close_timeout_ms\":60000}";

static int setup(void **state)
{
	struct world_options options = {.grace_ms = 1000};
	struct world *world = world_new(&options);

	*state = world;
	world_assign(world, 0);
	world_settle(world);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static struct job *run(struct world *world, const char *json)
{
	world_record(world, 0, json);
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 0);
	world_forget(world);
	return world_worker(world)->running.head;
}

/* As the executor tells of an attempt that it killed. */
static void die(struct world *world)
{
	struct outcome crashed = {.kind = OUTCOME_FAILED};

	failure_init(&crashed.failure);
	crashed.failure.type = BYTES_LIT("ActivityCrashed");
	crashed.failure.message = BYTES_LIT("killed");
	world_end(world, "k", &crashed);
	world_tick(world, 0);
}

static void end_as_canceled(struct world *world)
{
	struct outcome outcome = {.kind = OUTCOME_CANCELED};

	failure_init(&outcome.failure);
	world_end(world, "k", &outcome);
	world_tick(world, 0);
}

static bool result_says(struct world *world, const char *text)
{
	world_settle(world);
	return strstr(world_value(world, "t.results"), text);
}

static void a_reason_is_told_once_and_a_weightier_one_again(void **state)
{
	struct world *world = *state;
	struct job *job = run(world, task);

	execute_tell(world_worker(world), job, CANCEL_PAUSED);
	execute_tell(world_worker(world), job, CANCEL_PAUSED);
	execute_tell(world_worker(world), job, CANCEL_RESET);
	execute_tell(world_worker(world), job, CANCEL_REQUESTED);
	execute_tell(world_worker(world), job, CANCEL_WORKER_SHUTDOWN);
	execute_tell(world_worker(world), job, CANCEL_REQUESTED);
	world_expect(world, "cancel k PAUSED", "cancel k RESET", "cancel k REQUESTED", NULL);
}

static void what_goes_on_after_its_grace_period_is_killed_and_canceled(void **state)
{
	struct world *world = *state;

	execute_tell(world_worker(world), run(world, task), CANCEL_REQUESTED);
	world_tick(world, 999);
	world_expect(world, "cancel k REQUESTED", NULL);
	world_tick(world, 1);
	world_expect(world, "kill k", NULL);
	world_tick(world, 5000);
	world_expect(world, NULL);
	die(world);
	world_expect(world, "finish k CANCELED", NULL);
	assert_true(result_says(world, "CANCEL_REQUESTED"));
}

static void an_attempt_that_accepts_the_cancel_is_canceled(void **state)
{
	struct world *world = *state;

	execute_tell(world_worker(world), run(world, retried), CANCEL_REQUESTED);
	end_as_canceled(world);
	world_expect(world, "cancel k REQUESTED", "finish k CANCELED", NULL);
}

static void a_cancel_is_kept_though_the_worker_ends_too(void **state)
{
	struct world *world = *state;
	struct job *job = run(world, retried);

	execute_tell(world_worker(world), job, CANCEL_REQUESTED);
	execute_tell(world_worker(world), job, CANCEL_WORKER_SHUTDOWN);
	end_as_canceled(world);
	world_expect(world, "cancel k REQUESTED", "finish k CANCELED", NULL);
}

static void an_attempt_that_fails_after_a_cancel_is_not_retried(void **state)
{
	struct world *world = *state;

	execute_tell(world_worker(world), run(world, retried), CANCEL_REQUESTED);
	world_fail(world, "k", "Oops", false);
	world_tick(world, 0);
	world_expect(world, "cancel k REQUESTED", "finish k FAILED", NULL);
	assert_true(result_says(world, "\"retry_state\":\"CANCEL_REQUESTED\""));
}

static void an_attempt_may_complete_after_a_cancel(void **state)
{
	struct world *world = *state;

	execute_tell(world_worker(world), run(world, task), CANCEL_REQUESTED);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_expect(world, "cancel k REQUESTED", "finish k COMPLETED", NULL);
}

static void a_task_that_waits_in_the_ring_is_canceled_at_once(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_forget(world);
	execute_tell(world_worker(world), world_worker(world)->queued.head, CANCEL_REQUESTED);
	world_settle(world);
	world_expect(world, "take_back k", "finish k CANCELED", "produce t.results k", NULL);
	assert_non_null(strstr(world_value(world, "t.results"), "before the attempt started"));
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void what_waits_in_the_ring_is_told_and_has_its_grace_from_the_start(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_forget(world);
	execute_tell(world_worker(world), world_worker(world)->queued.head, CANCEL_WORKER_SHUTDOWN);
	world_expect(world, "cancel k WORKER_SHUTDOWN", NULL);
	world_tick(world, 5000);
	world_start(world, "k");
	world_tick(world, 0);
	world_tick(world, 499);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "kill k", NULL);
}

static void an_attempt_that_is_paused_or_reset_may_go_on_and_complete(void **state)
{
	struct world *world = *state;
	struct job *job = run(world, retried);

	execute_tell(world_worker(world), job, CANCEL_PAUSED);
	execute_tell(world_worker(world), job, CANCEL_RESET);
	world_tick(world, 50000);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_expect(world, "cancel k PAUSED", "cancel k RESET", "finish k COMPLETED", NULL);
}

static void a_paused_attempt_that_fails_goes_by_the_policy(void **state)
{
	struct world *world = *state;

	execute_tell(world_worker(world), run(world, retried), CANCEL_PAUSED);
	world_fail(world, "k", "ActivityPause", false);
	world_tick(world, 0);
	world_expect(world, "cancel k PAUSED", "produce t.journal k", NULL);
}

static void a_pause_of_the_last_attempt_fails_the_task(void **state)
{
	struct world *world = *state;

	execute_tell(world_worker(world), run(world, task), CANCEL_PAUSED);
	world_fail(world, "k", "ActivityPause", false);
	world_tick(world, 0);
	world_expect(world, "cancel k PAUSED", "finish k FAILED", NULL);
}

static void a_reset_attempt_begins_anew_whatever_the_policy_once_the_scheduler_knows(void **state)
{
	struct world *world = *state;
	struct journal_record record;
	struct arena arena = {0};
	struct wire *wire;

	execute_tell(world_worker(world), run(world, task), CANCEL_RESET);
	world_fail(world, "k", "Oops", true);
	world_tick(world, 0);
	world_expect(world, "cancel k RESET", "produce t.journal k", NULL);
	assert_int_equal(wire_new(&wire, NULL), MR_OK);
	assert_int_equal(wire_decode_journal(wire, world_value_bytes(world, "t.journal"), &arena, &record, NULL), MR_OK);
	assert_int_equal(record.kind, JOURNAL_BACKOFF);
	/* The scheduler makes it due at once. */
	assert_int_equal(record.due_at_ms, world_now_ms(world) + 1 + 2000);
	wire_free(wire);
	arena_deinit(&arena);
}

static void a_terminated_attempt_is_killed_at_once_and_its_task_terminated(void **state)
{
	struct world *world = *state;

	execute_terminate(world_worker(world), run(world, retried));
	world_expect(world, "kill k", NULL);
	die(world);
	world_expect(world, "finish k TERMINATED", NULL);
	assert_true(result_says(world, "\"Terminated\""));
}

static void a_terminated_task_that_waits_in_the_ring_never_runs(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_forget(world);
	execute_terminate(world_worker(world), world_worker(world)->queued.head);
	world_settle(world);
	world_expect(world, "take_back k", "finish k TERMINATED", "produce t.results k", NULL);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(a_reason_is_told_once_and_a_weightier_one_again),
		RULE(what_goes_on_after_its_grace_period_is_killed_and_canceled),
		RULE(an_attempt_that_accepts_the_cancel_is_canceled),
		RULE(a_cancel_is_kept_though_the_worker_ends_too),
		RULE(an_attempt_that_fails_after_a_cancel_is_not_retried),
		RULE(an_attempt_may_complete_after_a_cancel),
		RULE(a_task_that_waits_in_the_ring_is_canceled_at_once),
		RULE(what_waits_in_the_ring_is_told_and_has_its_grace_from_the_start),
		RULE(an_attempt_that_is_paused_or_reset_may_go_on_and_complete),
		RULE(a_paused_attempt_that_fails_goes_by_the_policy),
		RULE(a_pause_of_the_last_attempt_fails_the_task),
		RULE(a_reset_attempt_begins_anew_whatever_the_policy_once_the_scheduler_knows),
		RULE(a_terminated_attempt_is_killed_at_once_and_its_task_terminated),
		RULE(a_terminated_task_that_waits_in_the_ring_never_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
