/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions that come and go, the loss of Redis' data, and the end of a worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "consumer/world.h"

static const char task[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\"}";
static const char task2[] = "{\"activity_type\":\"a\",\"activity_id\":\"k2\"}";

static int setup(void **state)
{
	struct world_options options = {.grace_ms = 1000};
	struct world *world = world_new(&options);

	*state = world;
	world_assign(world, 0);
	world_settle(world);
	world_forget(world);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void a_partition_that_leaves_commits_what_is_settled(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_complete(world, "k", "1");
	world_settle(world);
	world_forget(world);
	world_revoke(world, 0);
	world_expect(world, "commit_now 0:1", NULL);
}

static void what_has_not_started_goes_back_when_its_partition_leaves(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_forget(world);
	world_revoke(world, 0);
	world_settle(world);
	world_expect(world, "commit_now 0:0", "take_back k", "release k", NULL);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void a_claim_that_is_granted_after_its_partition_left_is_given_back(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_tick(world, 0);
	world_revoke(world, 0);
	world_settle(world);
	world_expect(world, "claim k 1", "commit_now 0:0", "release k", NULL);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void what_runs_goes_on_without_its_partition_and_is_published(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 0);
	world_revoke(world, 0);
	world_forget(world);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "finish k COMPLETED outbox", "produce t.results k", "tombstone t.journal k", "published k", NULL);
	world_tick(world, 200);
	world_expect(world, NULL);
}

static void what_commands_have_left_in_the_journal_goes_with_the_result(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_forget(world);
	world_finishes_find_commands(world);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "finish k COMPLETED", "produce t.results k", "tombstone t.journal k", "tombstone t.journal k/h",
		     "tombstone t.journal k/c", "published k", NULL);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void a_record_that_comes_again_while_its_task_runs_here_is_not_claimed_again(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 0);
	world_revoke(world, 0);
	world_assign(world, 0);
	world_forget(world);
	world_record_again(world, 0, 0, task);
	world_settle(world);
	world_expect(world, NULL);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "finish k COMPLETED outbox", "produce t.results k", "tombstone t.journal k", "published k", NULL);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void a_record_that_comes_again_after_its_task_ended_here_settles(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 0);
	world_revoke(world, 0);
	world_assign(world, 0);
	world_complete(world, "k", "1");
	world_settle(world);
	world_forget(world);
	world_record_again(world, 0, 0, task);
	world_settle(world);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void after_a_loss_of_redis_claims_and_results_are_written_back_before_the_lease(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_record(world, 0, task2);
	world_settle(world);
	world_start(world, "k");
	world_complete(world, "k2", "1");
	world_tick(world, 0);
	world_answer(world);
	world_forget(world);
	/* k runs, the result of k2 is on its way to Kafka. */
	world_shards_ready(world, false, "nonce1");
	world_tick(world, 1000);
	world_answer(world);
	world_expect(world, "reassert k", "finish k2 COMPLETED", NULL);
	world_tick(world, 1000);
	world_expect(world, NULL);
	world_answer(world);
	world_tick(world, 100);
	world_expect(world, "lease seen=nonce1", NULL);
}

static void a_worker_that_is_declared_dead_by_its_lease_ends(void **state)
{
	struct world *world = *state;

	world_bury(world);
	world_tick(world, 1000);
	world_answer(world);
	assert_int_equal(worker_ended(world_worker(world)), WORKER_BURIED);
}

static void a_drain_gives_back_lets_finish_and_leaves(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_record(world, 0, task2);
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 0);
	world_forget(world);
	worker_drain(world_worker(world), world_now_ms(world) * 1000);
	world_settle(world);
	world_expect(world, "take_back k2", "release k2", NULL);
	world_record(world, 0, task2);
	world_tick(world, 500);
	world_expect(world, "leave", NULL);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "finish k COMPLETED", "produce t.results k", "lease_end", NULL);
	assert_int_equal(worker_ended(world_worker(world)), WORKER_DRAINED);
}

static void what_outlasts_the_grace_period_is_told_killed_and_retried(void **state)
{
	struct world *world = *state;
	struct outcome crashed = {.kind = OUTCOME_FAILED};

	failure_init(&crashed.failure);
	crashed.failure.type = BYTES_LIT("ActivityCrashed");
	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 0);
	world_forget(world);
	worker_drain(world_worker(world), world_now_ms(world) * 1000);
	world_tick(world, 999);
	world_expect(world, "leave", NULL);
	world_tick(world, 1);
	world_expect(world, "cancel k WORKER_SHUTDOWN", NULL);
	world_tick(world, 500);
	world_expect(world, "kill k", NULL);
	world_end(world, "k", &crashed);
	world_settle(world);
	world_expect(world, "produce t.journal k", "lease_end", NULL);
	assert_int_equal(worker_ended(world_worker(world)), WORKER_DRAINED);
}

static void a_drain_does_not_wait_for_ever_for_kafka(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_answer(world);
	worker_drain(world_worker(world), world_now_ms(world) * 1000);
	world_tick(world, 1499);
	assert_int_equal(worker_ended(world_worker(world)), WORKER_RUNS);
	world_tick(world, 10001);
	assert_int_equal(worker_ended(world_worker(world)), WORKER_CUT_OFF);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_partition_that_leaves_commits_what_is_settled),
		T(what_has_not_started_goes_back_when_its_partition_leaves),
		T(a_claim_that_is_granted_after_its_partition_left_is_given_back),
		T(what_runs_goes_on_without_its_partition_and_is_published),
		T(what_commands_have_left_in_the_journal_goes_with_the_result),
		T(a_record_that_comes_again_while_its_task_runs_here_is_not_claimed_again),
		T(a_record_that_comes_again_after_its_task_ended_here_settles),
		T(after_a_loss_of_redis_claims_and_results_are_written_back_before_the_lease),
		T(a_worker_that_is_declared_dead_by_its_lease_ends),
		T(a_drain_gives_back_lets_finish_and_leaves),
		T(what_outlasts_the_grace_period_is_told_killed_and_retried),
		T(a_drain_does_not_wait_for_ever_for_kafka),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
