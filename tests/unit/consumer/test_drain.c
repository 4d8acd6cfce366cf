/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a worker, with Kafka and Redis as slow as they like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "consumer/world.h"

#define GRACE_MS 1000
#define KILL_MS 500 /* the world's */

static const char task[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\"}";
static const char task2[] = "{\"activity_type\":\"a\",\"activity_id\":\"k2\"}";

static int setup(void **state)
{
	struct world_options options = {.grace_ms = GRACE_MS};
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

static void drain(struct world *world)
{
	worker_drain(world_worker(world), world_now_ms(world) * 1000);
}

static enum worker_end end_of(struct world *world)
{
	return worker_ended(world_worker(world));
}

static void run(struct world *world)
{
	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_settle(world);
	world_forget(world);
}

/* Its result waits for Kafka. */
static void finish_unacknowledged(struct world *world)
{
	run(world);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_answer(world);
	world_forget(world);
}

static void nothing_can_be_saved_where_kafka_and_redis_are_both_away(void **state)
{
	struct world *world = *state;

	finish_unacknowledged(world);
	world_kafka_is(world, MR_EKAFKA);
	world_tick(world, 1000); /* a lease without an answer */
	drain(world);
	world_tick(world, GRACE_MS + KILL_MS + 1499);
	assert_int_equal(end_of(world), WORKER_RUNS);
	world_tick(world, 1);
	assert_int_equal(end_of(world), WORKER_CUT_OFF);
}

static void one_that_is_away_may_come_back(void **state)
{
	struct world *world = *state;

	finish_unacknowledged(world);
	world_kafka_is(world, MR_EKAFKA);
	drain(world);
	for (int i = 0; i < 11; i++) {
		world_tick(world, 1000);
		world_answer(world);
	}
	assert_int_equal(end_of(world), WORKER_RUNS);
	world_kafka_is(world, MR_OK);
	world_ack(world, MR_OK);
	world_settle(world);
	assert_int_equal(end_of(world), WORKER_DRAINED);
}

static void a_claim_that_is_granted_during_a_drain_is_given_back(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_tick(world, 0);
	drain(world);
	world_settle(world);
	world_expect(world, "claim k 1", "release k", "leave", "lease_end", NULL);
	assert_int_equal(end_of(world), WORKER_DRAINED);
}

static void what_is_on_its_way_to_another_worker_is_waited_for(void **state)
{
	static const struct offer others[] = {{BYTES_LIT("w2"), 1, BYTES_LIT("5")}};
	struct world *world = *state;

	world_record(world, 0, task);
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"x\"}");
	world_record(world, 0, task2);
	world_settle(world);
	world_start(world, "k");
	world_start(world, "x");
	world_tick(world, 0);
	world_offers_get(world, others, 1);
	world_tick(world, 350);
	world_answer(world);
	world_forget(world);
	world_complete(world, "k", "1");
	world_complete(world, "x", "1");
	drain(world);
	world_tick(world, 0);
	world_answer(world);
	world_tick(world, 100);
	assert_int_equal(world_worker(world)->n_jobs, 3);
	world_expect(world, "finish k COMPLETED", "finish x COMPLETED", "produce t.results k", "produce t.results x", NULL);
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, "leave", "lease_end", "commit 0:3", NULL);
}

static void what_is_refused_during_a_drain_is_left_to_the_next_owner(void **state)
{
	static const struct offer others[] = {{BYTES_LIT("w2"), 1, BYTES_LIT("5")}};
	struct world *world = *state;

	world_record(world, 0, task);
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"x\"}");
	world_record(world, 0, task2);
	world_settle(world);
	world_start(world, "k");
	world_start(world, "x");
	world_tick(world, 0);
	world_offers_get(world, others, 1);
	world_tick(world, 350);
	world_answer(world);
	drain(world);
	world_ack(world, MR_EKAFKA);
	world_tick(world, 0);
	assert_int_equal(world_worker(world)->n_jobs, 2);
}

static void a_task_that_waits_is_not_asked_for_any_more(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_WAIT);
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", NULL);
	drain(world);
	world_settle(world);
	world_expect(world, "leave", "lease_end", NULL);
	assert_int_equal(end_of(world), WORKER_DRAINED);
}

static void what_runs_on_after_its_partition_left_is_published_before_the_end(void **state)
{
	struct world *world = *state;

	run(world);
	drain(world);
	world_tick(world, 500);
	world_revoke(world, 0);
	world_expect(world, "leave", "produce t.journal k", "commit_now 0:0", NULL);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "finish k COMPLETED outbox", "produce t.results k", "tombstone t.journal k", "published k",
		     "lease_end", NULL);
	assert_int_equal(end_of(world), WORKER_DRAINED);
}

/* One runs, and is in the journal. */
static struct world *parked(void)
{
	struct world_options options = {.grace_ms = GRACE_MS, .park_after_ms = 100};
	struct world *world = world_new(&options);

	world_assign(world, 0);
	world_settle(world);
	run(world);
	world_tick(world, 100);
	world_ack(world, MR_OK);
	world_tick(world, 100);
	world_expect(world, "produce t.journal k", "commit 0:1", NULL);
	return world;
}

static void a_parked_attempt_that_ends_within_the_grace_period_is_not_run_again(void **state)
{
	struct world *world = parked();

	(void)state;
	drain(world);
	world_tick(world, GRACE_MS - 1);
	world_expect(world, "leave", NULL);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "finish k COMPLETED outbox", "produce t.results k", "tombstone t.journal k", "published k",
		     "lease_end", NULL);
	assert_int_equal(end_of(world), WORKER_DRAINED);
	world_free(world);
}

static void a_parked_attempt_that_outlasts_the_grace_period_goes_on_as_the_next(void **state)
{
	struct world *world = parked();
	struct outcome crashed = {.kind = OUTCOME_FAILED};

	(void)state;
	failure_init(&crashed.failure);
	crashed.failure.type = BYTES_LIT("ActivityCrashed");
	drain(world);
	world_tick(world, GRACE_MS);
	world_expect(world, "leave", "cancel k WORKER_SHUTDOWN", NULL);
	world_tick(world, KILL_MS);
	world_expect(world, "kill k", NULL);
	world_end(world, "k", &crashed);
	world_tick(world, 0);
	world_expect(world, "produce t.journal k", NULL);
	world_tick(world, 1000);
	assert_int_equal(end_of(world), WORKER_RUNS); /* until the record is in Kafka */
	world_ack(world, MR_OK);
	world_settle(world);
	world_expect(world, "lease_end", NULL);
	assert_int_equal(end_of(world), WORKER_DRAINED);
	world_free(world);
}

static void a_drain_waits_for_the_result_of_an_attempt_whose_parking_kafka_has_not_taken_yet(void **state)
{
	struct world_options options = {.grace_ms = GRACE_MS, .park_after_ms = 100};
	struct world *world = world_new(&options);

	(void)state;
	world_assign(world, 0);
	world_settle(world);
	run(world);
	world_tick(world, 100);
	drain(world);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_answer(world);
	world_expect(world, "produce t.journal k", "finish k COMPLETED outbox", "produce t.results k", NULL);
	world_tick(world, 5000);
	assert_int_equal(end_of(world), WORKER_RUNS);
	world_expect(world, "leave", NULL);
	world_settle(world);
	assert_int_equal(end_of(world), WORKER_DRAINED);
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_can_be_saved_where_kafka_and_redis_are_both_away, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_is_away_may_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_claim_that_is_granted_during_a_drain_is_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_on_its_way_to_another_worker_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_refused_during_a_drain_is_left_to_the_next_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_that_waits_is_not_asked_for_any_more, setup, teardown),
		cmocka_unit_test_setup_teardown(what_runs_on_after_its_partition_left_is_published_before_the_end, setup,
						teardown),
		cmocka_unit_test(a_parked_attempt_that_ends_within_the_grace_period_is_not_run_again),
		cmocka_unit_test(a_parked_attempt_that_outlasts_the_grace_period_goes_on_as_the_next),
		cmocka_unit_test(a_drain_waits_for_the_result_of_an_attempt_whose_parking_kafka_has_not_taken_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
