/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/world.h"

static int setup(void **state)
{
	struct world *world = world_new();

	world_silence(world, "orphans due look tip tips expire commit");
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

/* A scheduler that starts on an empty Redis, up to the barrier. */
static void begin(struct world *world)
{
	world_assign(world);
	world_settle(world);
}

/* A scheduler that has watched a ready shard with worker w1 for longer than a lease. */
static void live_with_worker(struct world *world)
{
	world_marker(world, SHARD_READY, "old");
	world_stored(world, 0, 0);
	world_lease(world, "w1", "", true);
	begin(world);
	world_pass(world, LEASE_MS + 2000);
	world_forget(world);
}

static void lose_data(struct world *world)
{
	world_marker(world, SHARD_UNKNOWN, "");
	world_stored(world, -1, -1);
	world_lease_gone(world, "w1");
}

static void recovery_goes_nonce_barrier_ends_results_journal_vouch(void **state)
{
	struct world *world = *state;

	world_result(world, "a");
	world_result(world, "b");
	world_backoff(world, "c", 2, 60000);
	begin(world);
	world_expect(world, "recover", NULL);
	world_pass(world, LEASE_MS - 100);
	/* Nothing is read, and no end is asked for, before the workers had their time. */
	world_expect(world, NULL);
	world_pass(world, 100);
	world_expect(world, "ends journal results", "read results@-2", "restore a b", "read", "seek journal -2", "replay c",
		     "vouch 1 2", "ends journal", NULL);
	assert_true(scheduler_ready(world_scheduler(world)));
}

static void nothing_fires_before_what_was_written_during_the_replay_is_read(void **state)
{
	struct world *world = *state;

	world_hold_ends(world, true);
	begin(world);
	world_pass(world, LEASE_MS);
	world_hold_answers(world, true);
	world_answer_ends(world);
	world_settle(world);
	assert_true(world_did(world, "vouch 0 0"));
	world_backoff(world, "late", 2, 60000);
	world_due(world, "a", 2, 0);
	world_hold_answers(world, false);
	world_pass(world, 200);
	assert_true(world_did(world, "apply 0>1 late"));
	assert_false(world_did(world, "fire"));
	world_hold_ends(world, false);
	world_settle(world);
	assert_true(world_did(world, "fire"));
}

static void an_installation_without_records_is_ready_after_the_lease_period(void **state)
{
	struct world *world = *state;

	begin(world);
	world_pass(world, LEASE_MS);
	assert_true(world_did(world, "vouch 0 0"));
	assert_true(scheduler_ready(world_scheduler(world)));
}

static void results_and_journal_are_replayed_from_the_stored_positions(void **state)
{
	struct world *world = *state;

	world_result(world, "a");
	world_result(world, "b");
	world_backoff(world, "c", 2, 60000);
	world_backoff(world, "d", 2, 60000);
	world_stored(world, 1, 1);
	begin(world);
	world_pass(world, LEASE_MS);
	assert_true(world_did(world, "read results@1"));
	assert_true(world_did(world, "restore b"));
	assert_true(world_did(world, "seek journal 1"));
	assert_true(world_did(world, "replay d"));
	assert_true(world_did(world, "vouch 2 2"));
}

static void an_answer_to_one_publication_only_is_not_restored(void **state)
{
	struct world *world = *state;

	world_result_not_state(world, "a");
	begin(world);
	world_pass(world, LEASE_MS);
	assert_false(world_did(world, "restore a"));
	assert_true(world_did(world, "vouch 0 1"));
}

static void a_result_older_than_the_retention_is_not_restored(void **state)
{
	struct world *world = *state;

	world_result(world, "old");
	world_turn(world, 3600000);
	world_forget(world);
	begin(world);
	world_pass(world, LEASE_MS);
	assert_false(world_did(world, "restore old"));
	assert_true(world_did(world, "vouch 0 1"));
}

static void known_workers_that_all_show_the_nonce_end_the_barrier_early(void **state)
{
	struct world *world = *state;

	live_with_worker(world);
	lose_data(world);
	world_pass(world, 1000);
	assert_true(world_did(world, "recover"));
	world_pass(world, 600);
	assert_false(world_did(world, "vouch 0 0"));
	world_lease(world, "w1", world_marker_nonce(world), true);
	world_pass(world, 200);
	assert_true(world_did(world, "vouch 0 0"));
}

static void a_known_worker_that_does_not_come_back_is_buried_before_the_replay(void **state)
{
	struct world *world = *state;

	live_with_worker(world);
	lose_data(world);
	world_pass(world, 1000);
	world_forget(world);
	world_pass(world, LEASE_MS + 500);
	world_expect(world, "bury w1", "ends journal results", "seek journal -2", "vouch 0 0", "ends journal", NULL);
}

static void a_lease_that_has_not_seen_the_nonce_holds_the_barrier(void **state)
{
	struct world *world = *state;

	begin(world);
	world_lease(world, "new", "", true);
	world_pass(world, 3 * LEASE_MS);
	world_expect(world, "recover", NULL);
	world_lease(world, "new", world_marker_nonce(world), true);
	world_pass(world, 200);
	assert_true(world_did(world, "vouch 0 0"));
}

static void a_lease_of_a_snapshot_that_does_not_move_is_buried(void **state)
{
	struct world *world = *state;

	world_lease(world, "ghost", "", false);
	begin(world);
	world_pass(world, LEASE_MS + 500);
	assert_true(world_did(world, "bury ghost"));
	assert_true(world_did(world, "vouch 0 0"));
}

static void the_lease_period_begins_anew_when_redis_did_not_answer(void **state)
{
	struct world *world = *state;

	begin(world);
	world_pass(world, LEASE_MS - 500);
	world_hold_answers(world, true);
	world_pass(world, 5000);
	world_hold_answers(world, false);
	world_forget(world);
	world_pass(world, LEASE_MS - 500);
	assert_false(world_did(world, "vouch 0 0"));
	world_pass(world, 600);
	assert_true(world_did(world, "vouch 0 0"));
}

static void an_end_asked_for_before_the_barrier_does_not_count(void **state)
{
	struct world *world = *state;

	/* A question for the tip is under way when the data is lost. */
	live_with_worker(world);
	world_silence(world, "orphans due look tip expire commit");
	world_hold_ends(world, true);
	world_pass(world, 1000);
	assert_true(world_did(world, "tips results"));
	lose_data(world);
	world_pass(world, 1000);
	world_lease(world, "w1", world_marker_nonce(world), true);
	world_result(world, "late");
	world_pass(world, 1000);
	world_hold_ends(world, false);
	world_pass(world, 300);
	assert_true(world_did(world, "restore late"));
	assert_true(world_did(world, "vouch 0 1"));
}

static void results_that_retention_deleted_at_the_end_do_not_stop_the_replay(void **state)
{
	struct world *world = *state;

	world_result(world, "a");
	world_result(world, "gone");
	world_compact(world, "results", 1);
	begin(world);
	world_pass(world, LEASE_MS + 1000);
	assert_true(world_did(world, "restore a"));
	assert_false(world_did(world, "vouch 0 2"));
	world_pass(world, 2000);
	assert_true(world_did(world, "vouch 0 2"));
}

static void a_refused_vouch_looks_again(void **state)
{
	struct world *world = *state;

	world_conflict(world, "vouch");
	begin(world);
	world_pass(world, LEASE_MS);
	assert_false(scheduler_ready(world_scheduler(world)));
	world_expect(world, "recover", "ends journal results", "seek journal -2", "vouch 0 0", "recover", NULL);
}

static void a_recovery_that_another_finished_is_taken_as_it_is(void **state)
{
	struct world *world = *state;

	begin(world);
	world_marker(world, SHARD_READY, "theirs");
	world_stored(world, 0, 0);
	world_forget(world);
	world_pass(world, 300);
	world_expect(world, "seek journal 0", "ends journal", NULL);
	assert_true(scheduler_ready(world_scheduler(world)));
}

static void a_shard_that_leaves_during_its_recovery_does_nothing_more(void **state)
{
	struct world *world = *state;

	begin(world);
	world_hold_answers(world, true);
	world_pass(world, 200);
	world_revoke(world);
	world_hold_answers(world, false);
	world_forget(world);
	world_pass(world, 2 * LEASE_MS);
	world_expect(world, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(recovery_goes_nonce_barrier_ends_results_journal_vouch),
		TEST(nothing_fires_before_what_was_written_during_the_replay_is_read),
		TEST(an_installation_without_records_is_ready_after_the_lease_period),
		TEST(results_and_journal_are_replayed_from_the_stored_positions),
		TEST(an_answer_to_one_publication_only_is_not_restored),
		TEST(a_result_older_than_the_retention_is_not_restored),
		TEST(known_workers_that_all_show_the_nonce_end_the_barrier_early),
		TEST(a_known_worker_that_does_not_come_back_is_buried_before_the_replay),
		TEST(a_lease_that_has_not_seen_the_nonce_holds_the_barrier),
		TEST(a_lease_of_a_snapshot_that_does_not_move_is_buried),
		TEST(the_lease_period_begins_anew_when_redis_did_not_answer),
		TEST(an_end_asked_for_before_the_barrier_does_not_count),
		TEST(results_that_retention_deleted_at_the_end_do_not_stop_the_replay),
		TEST(a_refused_vouch_looks_again),
		TEST(a_recovery_that_another_finished_is_taken_as_it_is),
		TEST(a_shard_that_leaves_during_its_recovery_does_nothing_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
