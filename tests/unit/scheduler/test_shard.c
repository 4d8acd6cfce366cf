/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/world.h"

static int setup_of(void **state, int shards)
{
	struct world *world = world_new_of(shards);

	world_silence(world, "orphans due look tip tips expire commit ends");
	*state = world;
	return 0;
}

static int setup(void **state)
{
	return setup_of(state, 1);
}

static int setup_two_shards(void **state)
{
	return setup_of(state, 2);
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void live(struct world *world)
{
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 0, 0);
	world_assign(world);
	world_settle(world);
	world_forget(world);
}

static void a_vouched_shard_goes_on_at_the_stored_offset(void **state)
{
	struct world *world = *state;

	world_backoff(world, "a", 2, 60000);
	world_backoff(world, "b", 2, 60000);
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 1, 0);
	world_assign(world);
	world_settle(world);
	world_expect(world, "seek journal 1", "apply 1>2 b", NULL);
	assert_true(scheduler_ready(world_scheduler(world)));
}

static void batches_follow_one_another_by_their_offsets(void **state)
{
	struct world *world = *state;

	live(world);
	world_backoff(world, "a", 2, 60000);
	world_settle(world);
	world_backoff(world, "b", 2, -1);
	world_backoff(world, "c", 3, 60000);
	world_settle(world);
	world_expect(world, "apply 0>1 a", "apply 1>3 b c", NULL);
}

static void tombstones_move_the_offset_only(void **state)
{
	struct world *world = *state;

	live(world);
	world_journal_raw(world, "a", NULL);
	world_settle(world);
	world_expect(world, "apply 0>1", NULL);
}

static void a_bad_journal_record_goes_to_dead_and_is_passed(void **state)
{
	struct world *world = *state;
	struct scheduler_stats stats;

	live(world);
	world_journal_raw(world, "a", "rubbish");
	world_backoff(world, "b", 2, 60000);
	world_settle(world);
	world_expect(world, "produce dead a", "apply 0>2 b", NULL);
	assert_string_equal(world_value(world, "dead"), "rubbish");
	assert_string_equal(world_header(world, "dead", HEADER_TOPIC), "t.journal");
	assert_string_equal(world_header(world, "dead", HEADER_PARTITION), "0");
	assert_string_equal(world_header(world, "dead", HEADER_OFFSET), "0");
	assert_non_null(world_header(world, "dead", HEADER_REASON));
	scheduler_get_stats(world_scheduler(world), &stats);
	assert_int_equal(stats.bad_records, 1);
}

static void a_record_of_a_finished_task_gets_its_tombstone_again(void **state)
{
	struct world *world = *state;

	live(world);
	world_apply_answers(world, APPLY_FINISHED);
	world_backoff(world, "a", 2, 60000);
	world_settle(world);
	assert_true(world_did(world, "apply 0>1 a"));
	assert_true(world_did(world, "tombstone a"));
}

static void a_conflict_of_apply_looks_again_and_reads_again(void **state)
{
	struct world *world = *state;

	live(world);
	world_conflict(world, "apply");
	world_backoff(world, "a", 2, 60000);
	world_settle(world);
	world_expect(world, "apply 0>1 a", "seek journal 0", "apply 0>1 a", NULL);
}

static void a_shard_that_comes_back_is_looked_at_again(void **state)
{
	struct world *world = *state;

	live(world);
	world_revoke(world);
	world_backoff(world, "a", 2, 60000);
	world_settle(world);
	world_expect(world, NULL);
	world_assign(world);
	world_settle(world);
	world_expect(world, "seek journal 0", "apply 0>1 a", NULL);
}

/* Something is due that this scheduler has not armed. */
static bool is_fired_within_300_ms(struct world *world)
{
	live(world);
	world_pass(world, 1000);
	world_due(world, "a", 2, 0);
	world_pass(world, 300);
	return world_did(world, "fire");
}

static void what_other_schedulers_arm_is_seen_soon(void **state)
{
	assert_true(is_fired_within_300_ms(*state));
}

static void without_other_schedulers_a_look_each_second_is_enough(void **state)
{
	assert_false(is_fired_within_300_ms(*state));
}

static void the_tip_of_results_is_noted_each_second(void **state)
{
	struct world *world = *state;

	world_silence(world, "orphans due look expire commit");
	live(world);
	world_result(world, "a");
	world_pass(world, 1000);
	world_expect(world, "tips results", "tip 1", NULL);
}

static void a_journal_that_was_made_anew_is_read_from_its_beginning(void **state)
{
	struct world *world = *state;

	world_backoff(world, "a", 2, 60000);
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 500, 0);
	world_assign(world);
	world_settle(world);
	world_expect(world, "seek journal 500", "seek journal -2", "apply 500>1 a", NULL);
}

static void lost_data_is_noticed_when_redis_comes_back(void **state)
{
	struct world *world = *state;

	live(world);
	world_redis_lost(world);
	world_pass(world, 500);
	world_marker(world, SHARD_UNKNOWN, "");
	world_redis_back(world);
	world_settle(world);
	world_expect(world, "recover", NULL);
}

static void offsets_are_committed_for_the_display_of_lag(void **state)
{
	struct world *world = *state;

	world_silence(world, "orphans due look expire ends tip tips");
	live(world);
	world_backoff(world, "a", 2, 60000);
	world_control(world, "{\"command\":\"CANCEL\",\"task_key\":\"a\"}");
	world_settle(world);
	world_ack(world, MR_OK);
	world_pass(world, 5000);
	assert_true(world_did(world, "commit journal 1"));
	assert_true(world_did(world, "commit control 1"));
}

static void a_worker_that_falls_silent_is_buried(void **state)
{
	struct world *world = *state;

	live(world);
	world_lease(world, "w1", "", true);
	world_pass(world, 5000);
	world_expect(world, NULL);
	world_lease(world, "w1", "", false);
	world_pass(world, LEASE_MS + 1200);
	world_expect(world, "bury w1", NULL);
}

static void a_scheduler_that_stood_still_buries_nobody_for_that(void **state)
{
	struct world *world = *state;

	live(world);
	world_lease(world, "w1", "", true);
	world_pass(world, 3000);
	world_lease(world, "w1", "", false);
	world_turn(world, 60000);
	world_pass(world, 1000);
	world_expect(world, NULL);
	world_lease(world, "w1", "", true);
	world_pass(world, 2 * LEASE_MS);
	world_expect(world, NULL);
}

static void an_orderly_end_leaves_the_group(void **state)
{
	struct world *world = *state;

	live(world);
	scheduler_stop(world_scheduler(world));
	assert_true(scheduler_stopped(world_scheduler(world)));
	assert_false(scheduler_ready(world_scheduler(world)));
	world_expect(world, "leave", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_vouched_shard_goes_on_at_the_stored_offset),
		TEST(batches_follow_one_another_by_their_offsets),
		TEST(tombstones_move_the_offset_only),
		TEST(a_bad_journal_record_goes_to_dead_and_is_passed),
		TEST(a_record_of_a_finished_task_gets_its_tombstone_again),
		TEST(a_conflict_of_apply_looks_again_and_reads_again),
		TEST(a_shard_that_comes_back_is_looked_at_again),
		cmocka_unit_test_setup_teardown(what_other_schedulers_arm_is_seen_soon, setup_two_shards, teardown),
		TEST(without_other_schedulers_a_look_each_second_is_enough),
		TEST(the_tip_of_results_is_noted_each_second),
		TEST(a_journal_that_was_made_anew_is_read_from_its_beginning),
		TEST(lost_data_is_noticed_when_redis_comes_back),
		TEST(offsets_are_committed_for_the_display_of_lag),
		TEST(a_worker_that_falls_silent_is_buried),
		TEST(a_scheduler_that_stood_still_buries_nobody_for_that),
		TEST(an_orderly_end_leaves_the_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
