/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scheduler/ending_bed.h"

/* Attempts and tasks whose time is over. */

static void due(struct bed *bed, enum timer_kind kind, const char *place)
{
	bed->timer = (struct due_timer){.kind = kind,
					.due_ms = world_now_ms(bed->world),
					.place = bytes_of(place),
					.run_id = BYTES_LIT("run"),
					.attempt = 2,
					.found = bed->found};
	world_timer(bed->world, &bed->timer);
	timers_note_timeout(&world_scheduler(bed->world)->shards[0], world_now_ms(bed->world));
	world_settle(bed->world);
}

/* Redis answers for a lease period. */
static void hear(struct bed *bed)
{
	for (int ms = 0; ms < 4000; ms += 500)
		world_pass(bed->world, 500);
	world_forget(bed->world);
}

static void without_a_heartbeat_it_ends_with_the_last_one_and_the_last_failure(void **state)
{
	struct bed *bed = *state;
	struct result result;

	ending_pending(bed, TASK_LAST);
	hear(bed);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, "finish a TIMED_OUT", "produce results a", NULL);
	result = ending_published(bed);
	assert_int_equal(result.failure->timeout_type, TIMEOUT_HEARTBEAT);
	assert_true(bytes_is(result.failure->message, "the attempt gave no heartbeat for 700 ms"));
	assert_true(bytes_is(result.failure->cause->type, "Boom"));
	assert_int_equal(result.retry_state, RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED);
	assert_true(bytes_is(result.last_heartbeat_details.data, "\"half\""));
}

static void silence_while_redis_was_away_is_none(void **state)
{
	struct bed *bed = *state;

	ending_pending(bed, TASK_LAST);
	hear(bed);
	world_turn(bed->world, 5000);
	world_forget(bed->world);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, NULL);
}

static void silence_while_kafka_was_away_is_none(void **state)
{
	struct bed *bed = *state;
	struct bus_callbacks callbacks = scheduler_bus_callbacks(world_scheduler(bed->world));

	ending_pending(bed, TASK_LAST);
	hear(bed);
	callbacks.health(callbacks.ctx, MR_EKAFKA, "gone");
	hear(bed);
	callbacks.health(callbacks.ctx, MR_OK, "back");
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, NULL);
	hear(bed);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, "finish a TIMED_OUT", "produce results a", NULL);
}

static void silence_before_the_shard_was_ours_is_none(void **state)
{
	struct bed *bed = *state;

	ending_pending(bed, TASK_LAST);
	hear(bed);
	world_revoke(bed->world);
	world_assign(bed->world);
	world_settle(bed->world);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, NULL);
	hear(bed);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, "finish a TIMED_OUT", "produce results a", NULL);
}

static void the_end_of_a_pending_attempts_time_is_its_start_to_close(void **state)
{
	struct bed *bed = *state;
	struct journal_record record;

	ending_pending(bed, TASK_TIMED);
	due(bed, TIMER_CLOSE, "");
	record = ending_written(bed);
	assert_int_equal(record.attempt, 3);
	assert_int_equal(record.lost, 0);
	assert_int_equal(record.failures[1].failure.timeout_type, TIMEOUT_START_TO_CLOSE);
	assert_int_equal(record.close_at_ms, 5 + 2000000);
	assert_in_range(record.due_at_ms, world_now_ms(bed->world) + 2000, world_now_ms(bed->world) + 2100);
}

static void the_end_of_all_its_time_closes_a_pending_attempt(void **state)
{
	struct bed *bed = *state;

	ending_pending(bed, "{\"activity_type\":\"x\",\"schedule_to_close_timeout_ms\":1000}");
	due(bed, TIMER_CLOSE, "");
	world_expect(bed->world, "finish a TIMED_OUT", "produce results a", NULL);
	assert_int_equal(ending_published(bed).failure->timeout_type, TIMEOUT_SCHEDULE_TO_CLOSE);
	assert_int_equal(ending_published(bed).retry_state, RETRY_STATE_TIMEOUT);
}

static void scheduled(struct bed *bed, const char *run)
{
	bed->found = (struct found_task){
		.key = BYTES_LIT("w/a"),
		.view = {.state = VIEW_SCHEDULED, .run_id = bytes_of(run), .attempt = 1, .journal_offset = -1}};
}

static void a_task_record_that_waited_too_long_is_ended_by_its_place(void **state)
{
	static const struct header headers[] = {{{"tenant", 6}, {"t1", 2}}};
	struct bed *bed = *state;
	struct result result;

	scheduled(bed, "t.tasks.default:0:1");
	world_task(bed->world, TASK, NULL, 0);
	world_task(bed->world, TASK_KEPT, headers, 1);
	due(bed, TIMER_SCHEDULE_TO_START, "t.tasks.default:0:1");
	world_expect(bed->world, NULL);
	ending_records = WAITING;
	due(bed, TIMER_SCHEDULE_TO_START, "t.tasks.default:0:1");
	world_expect(bed->world, "finish w/a TIMED_OUT", "produce results w/a", "produce replies w", NULL);
	assert_string_equal(world_header(bed->world, "results", "tenant"), "t1");
	result = ending_published(bed);
	assert_int_equal(result.failure->timeout_type, TIMEOUT_SCHEDULE_TO_START);
	assert_true(bytes_is(result.workflow_id, "w") && bytes_is(result.activity_id, "a") && bytes_is(result.queue, "default"));
	assert_int_equal(result.scheduled_at_ms, 1);
	assert_int_equal(result.started_at_ms, TASK_UNSET);
	assert_int_equal(result.attempt, 1);
	assert_false(bytes_present(result.worker));
	assert_int_equal(world_finish_claim_nonce(bed->world).len, 32);
}

static void the_time_of_a_record_that_was_taken_and_held_back_is_forgotten(void **state)
{
	struct bed *bed = *state;

	scheduled(bed, "t.tasks.default:0:0");
	world_task(bed->world, TASK_KEPT, NULL, 0);
	ending_records = PASSED;
	due(bed, TIMER_SCHEDULE_TO_START, "t.tasks.default:0:0");
	assert_true(world_did(bed->world, "unwatch w/a 1000000"));
}

static void a_task_whose_time_was_made_longer_is_not_ended_at_the_former_time(void **state)
{
	struct bed *bed = *state;

	scheduled(bed, "t.tasks.default:0:0");
	world_task(bed->world, TASK_KEPT, NULL, 0);
	bed->found.view.options = BYTES_LIT("{\"schedule_to_close_timeout_ms\":86400000}");
	due(bed, TIMER_CLOSE, "t.tasks.default:0:0");
	world_expect(bed->world, NULL);
}

static void a_record_of_another_task_ends_nothing(void **state)
{
	struct bed *bed = *state;

	scheduled(bed, "another run");
	ending_records = WAITING;
	world_task(bed->world, TASK_KEPT, NULL, 0);
	due(bed, TIMER_SCHEDULE_TO_START, "t.tasks.default:0:0");
	world_expect(bed->world, NULL);
}

static void a_record_that_is_gone_ends_nothing(void **state)
{
	struct bed *bed = *state;

	scheduled(bed, "t.tasks.default:0:0");
	world_task(bed->world, TASK_KEPT, NULL, 0);
	world_task(bed->world, TASK_KEPT, NULL, 0);
	world_compact(bed->world, "tasks.default", 0);
	ending_ask(bed, (struct ending_request){.cause = ENDING_CANCEL, .place = BYTES_LIT("t.tasks.default:0:0")});
	world_expect(bed->world, NULL);
	assert_int_equal(bed->told.end, ENDING_STALE);
}

static void a_timer_without_a_task_is_forgotten(void **state)
{
	struct bed *bed = *state;

	bed->found = (struct found_task){.key = BYTES_LIT("a"), .view = {.state = VIEW_NONE, .journal_offset = -1}};
	due(bed, TIMER_CLOSE, "");
	assert_true(world_did(bed->world, "unwatch a 1000000"));
}

static void a_task_that_nobody_knows_is_not_ended_while_its_record_may_be_settled(void **state)
{
	struct bed *bed = *state;

	bed->found = (struct found_task){.key = BYTES_LIT("w/a"), .view = {.state = VIEW_NONE, .journal_offset = -1}};
	world_task(bed->world, TASK_KEPT, NULL, 0);
	due(bed, TIMER_CLOSE, "t.tasks.default:0:0");
	world_expect(bed->world, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ending_setup, ending_teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_a_heartbeat_it_ends_with_the_last_one_and_the_last_failure),
		TEST(silence_while_redis_was_away_is_none),
		TEST(silence_while_kafka_was_away_is_none),
		TEST(silence_before_the_shard_was_ours_is_none),
		TEST(the_end_of_a_pending_attempts_time_is_its_start_to_close),
		TEST(the_end_of_all_its_time_closes_a_pending_attempt),
		TEST(a_task_record_that_waited_too_long_is_ended_by_its_place),
		TEST(the_time_of_a_record_that_was_taken_and_held_back_is_forgotten),
		TEST(a_task_whose_time_was_made_longer_is_not_ended_at_the_former_time),
		TEST(a_record_of_another_task_ends_nothing),
		TEST(a_record_that_is_gone_ends_nothing),
		TEST(a_timer_without_a_task_is_forgotten),
		TEST(a_task_that_nobody_knows_is_not_ended_while_its_record_may_be_settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
