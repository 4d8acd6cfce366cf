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

	world_silence(world, "orphans due look tip tips expire commit ends");
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

/* Records that a former owner has applied, so that none of them is in memory here. */
static void live_after(struct world *world, int64_t records)
{
	for (int64_t i = 0; i < records; i++)
		world_backoff(world, (char[]){(char)('a' + i), '\0'}, 2, 0);
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, records, 0);
	world_assign(world);
}

static void a_record_is_fetched_before_its_attempt_is_due(void **state)
{
	struct world *world = *state;

	live_after(world, 1);
	world_ahead(world, 0, 4000);
	world_settle(world);
	world_expect(world, "seek journal 1", "fetch journal@0", "fetch", NULL);
	world_due(world, "a", 2, 0);
	world_settle(world);
	world_turn(world, 1000);
	world_settle(world);
	world_expect(world, "fire", "produce tasks.default a", NULL);
}

static void the_loop_wakes_when_something_comes_near(void **state)
{
	struct world *world = *state;

	live_after(world, 1);
	world_ahead(world, 0, 5700);
	world_settle(world);
	assert_int_equal(world_looked_ahead(world), 0);
	assert_int_equal(world_wakes_in_ms(world), 100);
	world_pass(world, 600);
	assert_int_equal(world_looked_ahead(world), 0);
	world_turn(world, 50);
	assert_int_equal(world_wakes_in_ms(world), 50);
	world_turn(world, 50);
	world_settle(world);
	assert_int_equal(world_looked_ahead(world), 1);
	assert_true(world_did(world, "fetch journal@0"));
}

static void what_is_in_memory_is_not_fetched(void **state)
{
	struct world *world = *state;

	live_after(world, 0);
	world_settle(world);
	world_ahead(world, world_backoff(world, "a", 2, 4000), 4000);
	world_forget(world);
	world_pass(world, 1000);
	assert_in_range(world_looked_ahead(world), 1, 2);
	world_expect(world, "apply 0>1 a", NULL);
}

static void a_due_record_is_read_before_those_ahead(void **state)
{
	struct world *world = *state;

	live_after(world, 3);
	world_ahead(world, 0, 3000);
	world_ahead(world, 1, 3000);
	world_due(world, "c", 2, 2);
	world_hold_answers(world, true);
	world_settle(world);
	world_forget(world);
	world_hold_answers(world, false);
	world_settle(world);
	world_expect(world, "seek journal 3", "fire", "fetch journal@2", "produce tasks.default c", "fetch-seek journal 0",
		     "fetch", NULL);
}

static void what_compaction_has_moved_is_left_to_its_due_time(void **state)
{
	struct world *world = *state;

	live_after(world, 2);
	world_compact(world, "journal", 0);
	world_ahead(world, 0, 3000);
	world_settle(world);
	world_expect(world, "seek journal 2", "fetch journal@0", "fetch", NULL);
}

static void a_refusal_begins_the_walk_anew(void **state)
{
	struct world *world = *state;

	live_after(world, 1);
	world_settle(world);
	world_conflict(world, "ahead");
	world_ahead(world, 0, 3000);
	world_silence(world, "orphans due tip tips expire commit ends");
	world_forget(world);
	world_pass(world, 1000);
	assert_true(world_did(world, "look"));
	assert_true(world_did(world, "seek journal 1"));
}

static void a_shard_that_left_is_not_looked_at(void **state)
{
	struct world *world = *state;
	size_t looked;

	live_after(world, 1);
	world_ahead(world, 0, 4000);
	world_settle(world);
	looked = world_looked_ahead(world);
	assert_int_not_equal(looked, 0);
	world_revoke(world);
	world_pass(world, 2000);
	assert_int_equal(world_looked_ahead(world), looked);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_record_is_fetched_before_its_attempt_is_due),
		TEST(the_loop_wakes_when_something_comes_near),
		TEST(what_is_in_memory_is_not_fetched),
		TEST(a_due_record_is_read_before_those_ahead),
		TEST(what_compaction_has_moved_is_left_to_its_due_time),
		TEST(a_refusal_begins_the_walk_anew),
		TEST(a_shard_that_left_is_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
