/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scheduler/ending_bed.h"

/* Lost workers ------------------------------------------------------------------------------------------------------------ */

static void after_a_first_loss_the_next_attempt_is_due_at_once(void **state)
{
	struct bed *bed = *state;
	struct journal_record record;

	ending_started(bed, TASK);
	ending_lost(bed);
	world_expect(bed->world, "produce journal a", NULL);
	record = ending_written(bed);
	assert_int_equal(record.kind, JOURNAL_BACKOFF);
	assert_int_equal(record.attempt, 3);
	assert_int_equal(record.lost, 1);
	assert_true(record.due_at_ms <= world_now_ms(bed->world) && record.due_at_ms > world_now_ms(bed->world) - 500);
	assert_true(bytes_is(record.task, TASK) && bytes_is(record.topic, "t.tasks.default") &&
		    bytes_is(record.task_record_key, "a"));
	assert_int_equal(record.scheduled_at_ms, 5);
	assert_int_equal(record.headers.len, 1);
	assert_true(bytes_is(record.heartbeat_details.data, "\"half\""));
	assert_int_equal(record.n_failures, 2);
	assert_true(bytes_is(record.failures[1].failure.type, "WorkerLost"));
	assert_int_equal(record.failures[1].attempt, 2);
	assert_int_equal(record.failures[1].started_at_ms, 10);
}

static void after_further_losses_the_policy_says_when(void **state)
{
	struct bed *bed = *state;
	struct journal_record record;
	int64_t before_ms;

	ending_started(bed, TASK);
	bed->found.view.lost = 1;
	before_ms = world_now_ms(bed->world);
	ending_lost(bed);
	record = ending_written(bed);
	assert_int_equal(record.lost, 2);
	assert_in_range(record.due_at_ms, before_ms + 2000, before_ms + 2500);
}

static void a_retry_that_is_refused_at_once_has_its_record_read_again(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	world_kafka_refuses(bed->world, MR_ETOO_LARGE);
	ending_lost(bed);
	assert_true(world_did(bed->world, "finish a FAILED"));
	assert_true(bytes_is(ending_published(bed).failure->type, "TooLarge"));
}

static void a_loss_that_may_not_be_retried_fails_the_task(void **state)
{
	struct bed *bed = *state;
	struct result result;

	ending_started(bed, TASK_FRAIL);
	ending_lost(bed);
	world_expect(bed->world, "finish a FAILED", "produce results a", NULL);
	assert_true(bytes_is(world_finish_claim_nonce(bed->world), "n1"));
	assert_string_equal(world_header(bed->world, "results", "tenant"), "t1");
	result = ending_published(bed);
	assert_int_equal(result.format, TASK_JSON);
	assert_true(bytes_is(result.failure->type, "WorkerLost"));
	assert_int_equal(result.retry_state, RETRY_STATE_NON_RETRYABLE_FAILURE);
	assert_true(bytes_equal(result.result_id, world_finish_end_nonce(bed->world)) && result.result_id.len == 32);
	assert_true(bytes_is(result.worker, "w1") && bytes_is(result.queue, "default"));
	assert_true(bytes_is(result.last_heartbeat_details.data, "\"half\""));
	assert_int_equal(result.started_at_ms, 10);
	world_ack(bed->world, MR_OK);
	world_settle(bed->world);
	world_expect(bed->world, "tombstone a", "tombstone a\nh", "tombstone a\nc", "published a", NULL);
}

static void a_lost_attempt_that_was_to_be_canceled_is_canceled(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	bed->found.view.cancel_requested = true;
	ending_lost(bed);
	world_expect(bed->world, "finish a CANCELED", "produce results a", NULL);
}

static void a_long_walk_over_parked_attempts_goes_on_where_it_was(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	world_silence(bed->world, "due sweep look tip tips expire commit ends fire fetch seek apply");
	world_orphan(bed->world, &bed->found, "w5\tb");
	world_pass(bed->world, 500);
	world_expect(bed->world, "orphans", "orphans w5\tb", "produce journal a", NULL);
}

static void a_burial_looks_for_parked_attempts_at_once(void **state)
{
	struct bed *bed = *state;
	struct scheduler *s = world_scheduler(bed->world);

	world_silence(bed->world, "due sweep look tip tips expire commit ends fire fetch seek apply");
	world_pass(bed->world, 500);
	world_turn(bed->world, 10);
	world_settle(bed->world);
	world_forget(bed->world);
	scheduler_bury(s, "w1");
	world_turn(bed->world, 1);
	world_expect(bed->world, "bury w1", "orphans", NULL);
}

/* Commands ---------------------------------------------------------------------------------------------------------------- */

static void what_a_command_wants_ended_is_ended_when_it_is_applied(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	bed->found.view.state = VIEW_BACKING_OFF;
	bed->found.view.cancel_requested = true;
	world_apply_ends(bed->world, &bed->found);
	world_backoff(bed->world, "a", 2, 60000);
	world_settle(bed->world);
	world_expect(bed->world, "finish a CANCELED", "produce results a", NULL);
	assert_int_equal(ending_published(bed).retry_state, RETRY_STATE_CANCEL_REQUESTED);
	assert_int_equal(ending_published(bed).started_at_ms, 1);
}

static void what_was_not_ended_then_is_found_by_the_sweep(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	bed->found.view.cancel_requested = bed->found.view.terminate_requested = true;
	world_sweep_ends(bed->world, &bed->found);
	world_pass(bed->world, 2500);
	world_expect(bed->world, "finish a TERMINATED", "produce results a", NULL);
	assert_true(bytes_is(ending_published(bed).failure->type, "Terminated"));
}

static void a_completion_is_done_when_kafka_has_the_result(void **state)
{
	struct bed *bed = *state;

	ending_pending(bed, TASK);
	ending_ask(bed, (struct ending_request){.cause = ENDING_COMPLETE,
						.result = {.data = BYTES_LIT("42"), .content_type = BYTES_LIT(PAYLOAD_JSON)}});
	world_expect(bed->world, "finish a COMPLETED", "produce results a", NULL);
	assert_int_equal(bed->told.times, 0);
	world_ack(bed->world, MR_OK);
	assert_int_equal(bed->told.times, 1);
	assert_int_equal(bed->told.end, ENDING_DONE);
	assert_true(bytes_is(ending_published(bed).result.data, "42"));
	assert_null(ending_published(bed).failure);
}

static void a_failure_told_by_others_goes_by_the_policy(void **state)
{
	struct bed *bed = *state;
	struct failure failure;

	failure_init(&failure);
	failure.type = BYTES_LIT("Oops");
	ending_pending(bed, TASK);
	ending_ask(bed, (struct ending_request){.cause = ENDING_FAIL,
						.failure = &failure,
						.heartbeat = {.data = BYTES_LIT("7"), .content_type = BYTES_LIT(PAYLOAD_JSON)}});
	world_expect(bed->world, "produce journal a", NULL);
	assert_true(bytes_is(ending_written(bed).failures[1].failure.type, "Oops"));
	assert_true(bytes_is(ending_written(bed).heartbeat_details.data, "7"));
	assert_int_equal(bed->told.times, 0);
	world_ack(bed->world, MR_OK);
	assert_int_equal(bed->told.end, ENDING_DONE);
}

static void options_that_a_command_has_changed_decide(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	bed->found.view.options = BYTES_LIT("{\"retry_policy\":{\"maximum_attempts\":2}}");
	ending_lost(bed);
	world_expect(bed->world, "finish a FAILED", "produce results a", NULL);
}

static void a_reset_goes_before_the_policy(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK_FRAIL);
	bed->found.view.reset_requested = true;
	ending_lost(bed);
	world_expect(bed->world, "produce journal a", NULL);
}

/* What goes wrong --------------------------------------------------------------------------------------------------------- */

static void one_task_is_ended_once_at_a_time(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	ending_lost(bed);
	ending_ask(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	world_expect(bed->world, "produce journal a", NULL);
	world_ack(bed->world, MR_OK);
	ending_ask(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	world_expect(bed->world, "finish a TERMINATED", "produce results a", NULL);
}

static void a_task_that_has_moved_on_is_left_alone(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	world_finish_answers(bed->world, FINISH_STALE);
	ending_ask(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	world_expect(bed->world, "finish a TERMINATED", NULL);
	assert_int_equal(bed->told.end, ENDING_STALE);
	bed->found.view.state = VIEW_FINISHED;
	ending_ask(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	world_expect(bed->world, NULL);
	assert_int_equal(bed->told.times, 2);
	assert_int_equal(bed->told.end, ENDING_STALE);
}

static void ends_are_counted(void **state)
{
	struct bed *bed = *state;
	struct scheduler_stats stats;

	ending_started(bed, TASK);
	ending_lost(bed);
	world_ack(bed->world, MR_OK);
	ending_ask(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	scheduler_get_stats(world_scheduler(bed->world), &stats);
	assert_int_equal(stats.ends_retried, 1);
	assert_int_equal(stats.ends_closed, 1);
}

static void what_kafka_refused_is_to_be_tried_again(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	ending_ask(bed, (struct ending_request){.cause = ENDING_LOST});
	world_ack(bed->world, MR_EKAFKA);
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	world_kafka_full(bed->world, true);
	ending_ask(bed, (struct ending_request){.cause = ENDING_LOST});
	assert_int_equal(bed->told.times, 2);
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	ending_ask(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	assert_int_equal(bed->told.times, 3);
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	world_kafka_full(bed->world, false);
	world_forget(bed->world);
	ending_ask(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	world_expect(bed->world, "finish a TERMINATED", "produce results a", NULL);
}

static void a_next_attempt_that_no_record_can_carry_fails_the_task(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	ending_ask(bed, (struct ending_request){.cause = ENDING_LOST});
	world_forget(bed->world);
	world_ack(bed->world, MR_ETOO_LARGE);
	world_settle(bed->world);
	world_expect(bed->world, "finish a FAILED", "produce results a", NULL);
	assert_true(bytes_is(ending_published(bed).failure->type, "TooLarge"));
}

static void what_is_read_when_the_shard_is_anothers_ends_nothing(void **state)
{
	struct bed *bed = *state;

	ending_started(bed, TASK);
	world_hold_answers(bed->world, true);
	ending_ask(bed, (struct ending_request){.cause = ENDING_LOST});
	world_forget(bed->world);
	bed->found.key = BYTES_LIT("b");
	bed->found.view.journal_offset = 0;
	ending_begin(&world_scheduler(bed->world)->shards[0],
		     &(struct ending_request){.found = bed->found, .cause = ENDING_LOST, .done = ending_told, .ctx = &bed->told});
	world_revoke(bed->world);
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	world_settle(bed->world);
	world_expect(bed->world, NULL);
}

static void tombstones_are_written_again_for_the_key_that_was_read(void **state)
{
	struct bed *bed = *state;
	struct journal_record record;
	struct buf out = {0};

	journal_record_init(&record);
	record.kind = JOURNAL_HEARTBEAT;
	record.task_key = BYTES_LIT("a");
	record.run_id = BYTES_LIT("run");
	record.attempt = 1;
	record.worker = BYTES_LIT("w1");
	record.nonce = BYTES_LIT("n1");
	record.heartbeat_details = (struct payload){.data = BYTES_LIT("1"), .content_type = BYTES_LIT(PAYLOAD_JSON)};
	world_apply_answers(bed->world, APPLY_FINISHED);
	wire_encode_journal(world_wire(bed->world), &record, &out);
	world_journal_bytes(bed->world, "a" JOURNAL_HEARTBEAT_SUFFIX, buf_bytes(&out));
	buf_deinit(&out);
	world_settle(bed->world);
	world_expect(bed->world, "tombstone a\nh", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ending_setup, ending_teardown)
	const struct CMUnitTest tests[] = {
		TEST(after_a_first_loss_the_next_attempt_is_due_at_once),
		TEST(after_further_losses_the_policy_says_when),
		TEST(a_retry_that_is_refused_at_once_has_its_record_read_again),
		TEST(a_loss_that_may_not_be_retried_fails_the_task),
		TEST(a_lost_attempt_that_was_to_be_canceled_is_canceled),
		TEST(a_long_walk_over_parked_attempts_goes_on_where_it_was),
		TEST(a_burial_looks_for_parked_attempts_at_once),
		TEST(what_a_command_wants_ended_is_ended_when_it_is_applied),
		TEST(what_was_not_ended_then_is_found_by_the_sweep),
		TEST(a_completion_is_done_when_kafka_has_the_result),
		TEST(a_failure_told_by_others_goes_by_the_policy),
		TEST(options_that_a_command_has_changed_decide),
		TEST(a_reset_goes_before_the_policy),
		TEST(one_task_is_ended_once_at_a_time),
		TEST(a_task_that_has_moved_on_is_left_alone),
		TEST(ends_are_counted),
		TEST(what_kafka_refused_is_to_be_tried_again),
		TEST(a_next_attempt_that_no_record_can_carry_fails_the_task),
		TEST(what_is_read_when_the_shard_is_anothers_ends_nothing),
		TEST(tombstones_are_written_again_for_the_key_that_was_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
