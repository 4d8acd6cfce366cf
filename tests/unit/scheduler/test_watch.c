/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/watch_bed.h"

/* What the deadline watch reads, when, and which deadlines it arms. */

static void a_record_that_waits_is_armed_once(void **state)
{
	bed_publish(1, TASK("a", START));
	bed_pass(5000);
	world_expect(*state, "tasks 1@0", "watch a s 1500", "tasks", NULL);
	bed_publish(1, TASK("b", CLOSE));
	bed_pass(5000);
	world_expect(*state, "tasks 1@1", "watch b c 1900", "tasks", NULL);
	assert_int_equal(bed_stats().watch_read, 2);
}

static void a_queue_that_drains_is_not_read(void **state)
{
	for (int i = 0; i < 500; i++) {
		bed_publish(0, TASK("a", START));
		bed_pass(10);
		/* The workers are 100 ms behind. */
		kafka.queues[0].committed = kafka.queues[0].end > 10 ? kafka.queues[0].end - 10 : 0;
	}
	world_expect(*state, NULL);
	assert_int_equal(bed_stats().watch_read, 0);
}

static void what_is_committed_meanwhile_is_passed_over(void **state)
{
	for (int i = 0; i < 100; i++)
		bed_publish(0, TASK("a", ""));
	kafka.queues[0].committed = 90;
	bed_pass(3000);
	world_expect(*state, "tasks 0@90", "tasks", NULL);
	assert_int_equal(bed_stats().watch_read, 10);
}

static void a_record_that_has_not_waited_is_not_read(void **state)
{
	bed_publish(0, TASK("a", START));
	bed_pass(100);
	world_expect(*state, NULL);
	bed_pass(900);
	assert_true(world_did(*state, "watch a s 1500"));
}

static void an_idle_system_asks_twice_a_second_and_reads_nothing(void **state)
{
	bed_publish(0, TASK("a", START));
	bed_pass(20000);
	kafka.queues[0].committed = 1;
	bed_pass(2000);
	world_forget(*state);
	kafka.n_questions = 0;
	bed_pass(10000);
	assert_in_range(kafka.n_questions, 10, 20);
	world_expect(*state, NULL);
}

static void deadlines_count_from_where_they_should(void **state)
{
	struct record *record;

	bed_publish(0, TASK("both", START CLOSE));
	/* schedule-to-start is as long as schedule-to-close where nothing is said: one timer is enough. */
	bed_publish(0, TASK("close", CLOSE));
	bed_publish(0, TASK("delay", START CLOSE ",\"start_delay_ms\":10000"));
	bed_publish(0, TASK("told", CLOSE ",\"scheduled_at_ms\":5000"));
	record = bed_publish(0, TASK("second", START CLOSE));
	bed_with_header(record, HEADER_ATTEMPT, "2");
	bed_with_header(record, HEADER_DISPATCHED_AT, "7000");
	record = bed_publish(0, TASK("third", ",\"schedule_to_start_timeout_ms\":9,\"start_to_close_timeout_ms\":5"));
	bed_with_header(record, HEADER_ATTEMPT, "3");
	bed_with_header(record, HEADER_DISPATCHED_AT, "7000");
	record = bed_publish(0, TASK("longer", CLOSE));
	bed_with_header(record, HEADER_OPTIONS, "{\"schedule_to_close_timeout_ms\":2000}");
	record = bed_publish(0, TASK("set", ""));
	bed_with_header(record, HEADER_OPTIONS, "{\"schedule_to_close_timeout_ms\":2000}");
	record = bed_publish(0, TASK("unfit", CLOSE));
	bed_with_header(record, HEADER_OPTIONS, "{\"schedule_to_close_timeout_ms\":-1}");
	bed_publish(0, TASK("none", ",\"start_to_close_timeout_ms\":5"));
	bed_publish(0, TASK("escaped", ",\"\\u0073chedule_to_start_timeout_ms\":500"));
	bed_publish(0, "{\"activity_type\":\"schedule_to_");
	bed_publish(0, NULL);
	bed_pass(2000);
	world_expect(
		*state, "tasks 0@0",
		"watch both s 1500 both c 1900 close c 1900 delay s 11500 delay c 11900 told s 1900 told c 5900 third s 7009 "
		"longer c 3000 set c 3000 unfit c 1900 escaped s 1500",
		"tasks", NULL);
}

static void records_come_in_batches(void **state)
{
	for (int i = 0; i < 599; i++)
		bed_publish(0, TASK("a", ""));
	bed_publish(0, TASK("last", START));
	bed_pass(2000);
	world_expect(*state, "tasks 0@0", "watch last s 1500", "tasks", NULL);
	assert_int_equal(bed_stats().watch_read, 600);
}

static void what_could_not_be_armed_is_read_again_after_a_while(void **state)
{
	bed_publish(0, TASK("a", START));
	kafka.watch_status = MR_ECONFLICT;
	bed_pass(2000);
	world_expect(*state, "tasks 0@0", "watch a s 1500", "tasks", NULL);
	kafka.watch_status = MR_OK;
	bed_pass(5000);
	world_expect(*state, "tasks 0@0", "watch a s 1500", "tasks", NULL);
}

static void after_a_loss_of_redis_what_is_not_committed_is_read_again(void **state)
{
	struct world *world = *state;

	bed_publish(0, TASK("a", START));
	bed_publish(0, TASK("b", START));
	bed_pass(2000);
	world_forget(world);
	kafka.queues[0].committed = 1;
	world_marker(world, SHARD_UNKNOWN, "");
	world_silence(world, "look tip tips expire commit ends seek fire due orphans recover read replay");
	bed_pass(8000);
	assert_true(world_did(world, "tasks 0@1"));
	assert_true(world_did(world, "watch b s 1500"));
	assert_false(world_did(world, "watch a s 1500 b s 1500"));
}

static void nothing_is_read_while_a_shard_recovers(void **state)
{
	struct world *world = *state;

	world_marker(world, SHARD_UNKNOWN, "");
	bed_pass(1500);
	world_forget(world);
	world_silence(world, "look tip tips expire commit ends seek fire due orphans recover");
	bed_publish(0, TASK("a", START));
	bed_pass(1000);
	world_expect(world, NULL);
}

static void who_owns_no_shard_asks_and_reads_nothing(void **state)
{
	struct world *world = *state;

	bed_publish(0, TASK("a", START));
	world_revoke(world);
	bed_pass(1000);
	kafka.n_questions = 0;
	bed_pass(3000);
	assert_int_equal(kafka.n_questions, 0);
	world_expect(world, NULL);
}

static void last_offsets_without_a_record_are_not_waited_for_without_an_end(void **state)
{
	bed_publish(0, TASK("a", START));
	bed_publish(0, NULL);
	kafka.queues[0].hollow = 1;
	bed_pass(10000);
	world_expect(*state, "tasks 0@0", "watch a s 1500", "tasks", NULL);
	kafka.queues[0].hollow = 0;
	bed_publish(0, TASK("b", START));
	bed_pass(2000);
	world_expect(*state, "tasks 0@1", "watch b s 1500", "tasks", NULL);
}

static void a_record_waits_until_its_group_has_committed_it(void **state)
{
	struct scheduler *s = world_scheduler(*state);

	bed_publish(0, TASK("a", START));
	bed_pass(2000);
	assert_true(watch_is_waiting(s, BYTES_LIT(TOPIC ":0:0")));
	assert_false(watch_has_passed(s, BYTES_LIT(TOPIC ":0:0")));
	kafka.queues[0].committed = 1;
	bed_pass(2000);
	assert_false(watch_is_waiting(s, BYTES_LIT(TOPIC ":0:0")));
	assert_true(watch_has_passed(s, BYTES_LIT(TOPIC ":0:0")));
}

static void what_is_not_known_of_a_record_is_asked_for(void **state)
{
	struct scheduler *s = world_scheduler(*state);

	bed_pass(5000);
	bed_publish(1, TASK("a", START));
	/* The committed offset was asked for long ago. */
	assert_false(watch_is_waiting(s, BYTES_LIT(TOPIC ":1:0")));
	assert_false(watch_has_passed(s, BYTES_LIT(TOPIC ":1:0")));
	bed_pass(50);
	assert_true(watch_is_waiting(s, BYTES_LIT(TOPIC ":1:0")));
}

static void places_that_are_none_are_neither_waiting_nor_known(void **state)
{
	struct scheduler *s = world_scheduler(*state);
	const char *const places[] = {"",         ":",         "0:0",        TOPIC,
				      TOPIC ":0", TOPIC ":0:", TOPIC ":7:0", TOPIC ":0:99999999999999999999"};

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		assert_false(watch_is_waiting(s, bytes_of(places[i])));
	assert_true(watch_has_passed(s, BYTES_LIT("t.tasks.deleted:0:0")));
}

static void a_queue_may_be_deleted_and_made_again(void **state)
{
	struct world *world = *state;

	bed_publish(0, TASK("a", START));
	bed_pass(2000);
	kafka.is_there = false;
	bed_pass(4000);
	assert_true(watch_has_passed(world_scheduler(world), BYTES_LIT(TOPIC ":0:0")));
	kafka.queues[0].end = 0;
	kafka.is_there = true;
	bed_publish(0, TASK("b", START));
	world_forget(world);
	bed_pass(5000);
	world_expect(world, "tasks 0@0", "watch b s 1500", "tasks", NULL);
}

int main(void)
{
#define t(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
	const struct CMUnitTest tests[] = {
		t(a_record_that_waits_is_armed_once),
		t(a_queue_that_drains_is_not_read),
		t(what_is_committed_meanwhile_is_passed_over),
		t(a_record_that_has_not_waited_is_not_read),
		t(an_idle_system_asks_twice_a_second_and_reads_nothing),
		t(deadlines_count_from_where_they_should),
		t(records_come_in_batches),
		t(what_could_not_be_armed_is_read_again_after_a_while),
		t(after_a_loss_of_redis_what_is_not_committed_is_read_again),
		t(nothing_is_read_while_a_shard_recovers),
		t(who_owns_no_shard_asks_and_reads_nothing),
		t(last_offsets_without_a_record_are_not_waited_for_without_an_end),
		t(a_record_waits_until_its_group_has_committed_it),
		t(what_is_not_known_of_a_record_is_asked_for),
		t(places_that_are_none_are_neither_waiting_nor_known),
		t(a_queue_may_be_deleted_and_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
