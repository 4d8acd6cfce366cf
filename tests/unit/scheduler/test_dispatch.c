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

static void live(struct world *world)
{
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 0, 0);
	world_assign(world);
	world_settle(world);
	world_forget(world);
}

static void due_in(struct world *world, const char *key, int64_t ms)
{
	int64_t offset = world_backoff(world, key, 2, ms);

	world_settle(world);
	world_forget(world);
	world_turn(world, ms);
	world_due(world, key, 2, offset);
}

static void the_loop_wakes_when_the_next_attempt_is_due(void **state)
{
	struct world *world = *state;

	live(world);
	world_backoff(world, "a", 2, 50);
	world_settle(world);
	assert_int_equal(world_wakes_in_ms(world), 50);
	world_forget(world);
	world_turn(world, 49);
	world_expect(world, NULL);
	world_turn(world, 1);
	world_expect(world, "fire", NULL);
}

static void a_due_attempt_is_republished_and_then_cleared(void **state)
{
	struct world *world = *state;

	live(world);
	due_in(world, "a", 1000);
	world_settle(world);
	world_expect(world, "fire", "produce tasks.default a", NULL);
	assert_string_equal(world_value(world, "tasks.default"), "{\"activity_type\":\"x\"}");
	assert_string_equal(world_header(world, "tasks.default", "tenant"), "t1");
	assert_string_equal(world_header(world, "tasks.default", HEADER_KEY), "a");
	assert_string_equal(world_header(world, "tasks.default", HEADER_RUN), "run");
	assert_string_equal(world_header(world, "tasks.default", HEADER_EPOCH), "0");
	assert_string_equal(world_header(world, "tasks.default", HEADER_ATTEMPT), "2");
	assert_string_equal(world_header(world, "tasks.default", HEADER_HOPS), "0");
	assert_string_equal(world_header(world, "tasks.default", HEADER_SCHEDULED_AT), "5");
	assert_non_null(world_header(world, "tasks.default", HEADER_DISPATCHED_AT));
	assert_non_null(world_header(world, "tasks.default", HEADER_HISTORY));
	assert_string_equal(world_header(world, "tasks.default", HEADER_HEARTBEAT), "half");
	assert_string_equal(world_header(world, "tasks.default", HEADER_HEARTBEAT_TYPE), "text/plain");
	assert_string_equal(world_header(world, "tasks.default", HEADER_HEARTBEAT_ENCODING), "gzip");
	world_ack(world, MR_OK);
	world_settle(world);
	world_expect(world, "published a", NULL);
}

static void nothing_is_cleared_before_kafka_has_acknowledged(void **state)
{
	struct world *world = *state;

	live(world);
	due_in(world, "a", 1000);
	world_pass(world, 500);
	world_expect(world, "fire", "produce tasks.default a", NULL);
}

static void nothing_fires_before_the_journal_was_read_to_its_end(void **state)
{
	struct world *world = *state;

	world_due(world, "a", 2, 0);
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 0, 0);
	world_hold_ends(world, true);
	world_assign(world);
	world_pass(world, 1000);
	world_expect(world, "seek journal 0", NULL);
	world_hold_ends(world, false);
	world_settle(world);
	assert_true(world_did(world, "fire"));
}

static void after_an_outage_of_kafka_the_end_is_asked_for_again(void **state)
{
	struct world *world = *state;
	struct bus_callbacks callbacks = scheduler_bus_callbacks(world_scheduler(world));

	live(world);
	callbacks.health(callbacks.ctx, MR_EKAFKA, "gone");
	callbacks.health(callbacks.ctx, MR_OK, "back");
	world_hold_ends(world, true);
	due_in(world, "a", 100);
	world_pass(world, 500);
	world_expect(world, NULL);
	world_hold_ends(world, false);
	world_settle(world);
	assert_true(world_did(world, "fire"));
}

static void while_kafka_is_away_nothing_fires(void **state)
{
	struct world *world = *state;
	struct bus_callbacks callbacks = scheduler_bus_callbacks(world_scheduler(world));

	live(world);
	callbacks.health(callbacks.ctx, MR_EKAFKA, "gone");
	world_due(world, "a", 2, 0);
	world_pass(world, 2000);
	world_expect(world, NULL);
	callbacks.health(callbacks.ctx, MR_OK, "back");
	world_settle(world);
	assert_true(world_did(world, "fire"));
}

static void a_record_that_is_not_in_memory_is_read_from_the_journal(void **state)
{
	struct world *world = *state;

	/* Applied by a former owner, so that this one has not seen them. */
	world_backoff(world, "a", 2, 0);
	world_backoff(world, "b", 2, 0);
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 2, 0);
	world_due(world, "b", 2, 1);
	world_due(world, "a", 2, 0);
	world_assign(world);
	world_settle(world);
	world_expect(world, "seek journal 2", "fire", "fetch journal@0", "produce tasks.default a", "produce tasks.default b",
		     "fetch", NULL);
}

static void a_record_that_compaction_moved_is_found_behind_its_place(void **state)
{
	struct world *world = *state;

	world_backoff(world, "a", 2, 0);
	world_backoff(world, "b", 2, 0);
	world_backoff(world, "a", 2, 0);
	world_compact(world, "journal", 0);
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 3, 0);
	world_due(world, "a", 2, 0);
	world_assign(world);
	world_settle(world);
	assert_true(world_did(world, "produce tasks.default a"));
	assert_false(world_did(world, "produce tasks.default b"));
}

static void which_attempt_comes_next_is_for_redis_to_say(void **state)
{
	struct world *world = *state;

	world_backoff(world, "a", 2, 0);
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 1, 0);
	world_due(world, "a", 3, 0);
	world_assign(world);
	world_settle(world);
	assert_true(world_did(world, "produce tasks.default a"));
	assert_string_equal(world_header(world, "tasks.default", HEADER_ATTEMPT), "3");
}

static void a_record_of_another_task_is_not_sent(void **state)
{
	struct world *world = *state;

	world_backoff(world, "b", 2, 0);
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 1, 0);
	world_due(world, "a", 2, 0);
	world_assign(world);
	world_settle(world);
	assert_false(world_did(world, "produce tasks.default a"));
	assert_false(world_did(world, "produce tasks.default b"));
}

static void what_commands_have_changed_goes_with_the_attempt(void **state)
{
	struct world *world = *state;

	live(world);
	due_in(world, "a", 1000);
	world_settle(world);
	assert_null(world_header(world, "tasks.default", HEADER_OPTIONS));
	world_due_options(world, "b", 2, world_backoff(world, "b", 2, 0), "{\"priority\":1}");
	world_pass(world, 100);
	assert_string_equal(world_header(world, "tasks.default", HEADER_OPTIONS), "{\"priority\":1}");
}

/* An attempt that a worker held back, to be dispatched now. */
static void held_back(struct world *world, const char *task)
{
	struct journal_record record;

	journal_record_init(&record);
	record.kind = JOURNAL_WAITING;
	record.task_key = record.task_record_key = BYTES_LIT("a");
	record.run_id = BYTES_LIT("run");
	record.attempt = 1;
	record.record_id = BYTES_LIT("t.tasks.default:0:7");
	record.topic = BYTES_LIT("t.tasks.default");
	record.task = bytes_of(task);
	record.due_at_ms = world_now_ms(world);
	world_due(world, "a", 1, world_journal(world, &record));
	world_settle(world);
}

static void the_time_to_start_of_a_record_that_was_held_back_is_over(void **state)
{
	struct world *world = *state;

	live(world);
	held_back(world, "{\"activity_type\":\"x\",\"schedule_to_start_timeout_ms\":500}");
	world_expect(world, "apply 0>1 a", "fire", "produce tasks.default a", "unwatch a 0", NULL);
}

static void without_a_time_to_start_nothing_is_forgotten(void **state)
{
	struct world *world = *state;

	live(world);
	held_back(world, "{\"activity_type\":\"x\"}");
	world_expect(world, "apply 0>1 a", "fire", "produce tasks.default a", NULL);
}

static void a_full_queue_of_kafka_delays_but_loses_nothing(void **state)
{
	struct world *world = *state;

	live(world);
	due_in(world, "a", 1000);
	world_kafka_full(world, true);
	world_pass(world, 300);
	world_expect(world, "fire", NULL);
	world_kafka_full(world, false);
	world_settle(world);
	world_expect(world, "produce tasks.default a", NULL);
}

static void a_dispatch_that_kafka_failed_is_swept(void **state)
{
	struct world *world = *state;

	live(world);
	due_in(world, "a", 1000);
	world_settle(world);
	world_ack(world, MR_EKAFKA);
	world_outbox_attempt(world, "a", 2, 0);
	world_forget(world);
	world_pass(world, 1500);
	world_ack(world, MR_OK);
	world_settle(world);
	world_expect(world, "sweep", "produce tasks.default a", "published a", NULL);
}

static void what_is_under_way_is_not_swept_twice(void **state)
{
	struct world *world = *state;

	live(world);
	due_in(world, "a", 1000);
	world_settle(world);
	world_outbox_attempt(world, "a", 2, 0);
	world_forget(world);
	world_pass(world, 3000);
	assert_true(world_did(world, "sweep"));
	assert_false(world_did(world, "produce tasks.default a"));
}

static void an_attempt_that_is_too_large_goes_without_its_history(void **state)
{
	struct world *world = *state;

	live(world);
	due_in(world, "a", 1000);
	world_settle(world);
	world_forget(world);
	world_ack(world, MR_ETOO_LARGE);
	world_settle(world);
	world_expect(world, "produce tasks.default a", NULL);
	assert_null(world_header(world, "tasks.default", HEADER_HISTORY));
	assert_null(world_header(world, "tasks.default", HEADER_HEARTBEAT));
	assert_string_equal(world_header(world, "tasks.default", HEADER_ATTEMPT), "2");
}

static void an_attempt_that_is_too_large_even_then_ends_the_task(void **state)
{
	struct world *world = *state;

	live(world);
	due_in(world, "a", 1000);
	world_settle(world);
	world_ack(world, MR_ETOO_LARGE);
	world_settle(world);
	world_forget(world);
	world_ack(world, MR_ETOO_LARGE);
	world_settle(world);
	world_expect(world, "finish a FAILED", "produce results a", NULL);
	assert_non_null(strstr(world_value(world, "results"), "TooLarge"));
}

static void a_result_left_behind_is_published_then_its_tombstones_then_cleared(void **state)
{
	struct world *world = *state;

	live(world);
	world_outbox_result(world, "a", "the result", "t.replies", "t.more\x1fk1");
	world_pass(world, 2000);
	world_expect(world, "sweep", "produce results a", "produce replies reply-key", "produce more k1", "sweep", NULL);
	assert_string_equal(world_value(world, "results"), "the result");
	world_ack(world, MR_OK);
	/* Acknowledging goes on with the tombstones, which world_ack acknowledges too. */
	world_settle(world);
	world_expect(world, "tombstone a", "tombstone a\nh", "tombstone a\nc", "published a", NULL);
}

static void a_result_that_kafka_failed_is_not_cleared(void **state)
{
	struct world *world = *state;

	live(world);
	world_outbox_result(world, "a", "the result", NULL, NULL);
	world_pass(world, 1000);
	world_expect(world, "sweep", "produce results a", NULL);
	world_ack(world, MR_EKAFKA);
	world_settle(world);
	world_expect(world, NULL);
	world_pass(world, 1000);
	world_expect(world, "sweep", "produce results a", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_loop_wakes_when_the_next_attempt_is_due),
		TEST(a_due_attempt_is_republished_and_then_cleared),
		TEST(nothing_is_cleared_before_kafka_has_acknowledged),
		TEST(nothing_fires_before_the_journal_was_read_to_its_end),
		TEST(after_an_outage_of_kafka_the_end_is_asked_for_again),
		TEST(while_kafka_is_away_nothing_fires),
		TEST(a_record_that_is_not_in_memory_is_read_from_the_journal),
		TEST(a_record_that_compaction_moved_is_found_behind_its_place),
		TEST(which_attempt_comes_next_is_for_redis_to_say),
		TEST(a_record_of_another_task_is_not_sent),
		TEST(what_commands_have_changed_goes_with_the_attempt),
		TEST(the_time_to_start_of_a_record_that_was_held_back_is_over),
		TEST(without_a_time_to_start_nothing_is_forgotten),
		TEST(a_full_queue_of_kafka_delays_but_loses_nothing),
		TEST(a_dispatch_that_kafka_failed_is_swept),
		TEST(what_is_under_way_is_not_swept_twice),
		TEST(an_attempt_that_is_too_large_goes_without_its_history),
		TEST(an_attempt_that_is_too_large_even_then_ends_the_task),
		TEST(a_result_left_behind_is_published_then_its_tombstones_then_cleared),
		TEST(a_result_that_kafka_failed_is_not_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
