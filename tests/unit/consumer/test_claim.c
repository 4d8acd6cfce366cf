/* SPDX-License-Identifier: Apache-2.0 */
/* What each answer to a claim leads to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "consumer/world.h"

static const char task[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\"}";

static int setup(void **state)
{
	struct world *world = world_new(NULL);

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

static void claim_of_a_finished_task_publishes_its_stored_result(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_FINISHED);
	world_claim_answer(world)->publication.value = BYTES_LIT("the stored bytes");
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"reply_topic\":\"mine\"}");
	world_settle(world);
	world_expect(world, "claim k 1", "produce t.results k", "produce mine k", NULL);
	assert_string_equal(world_value(world, "t.results"), "the stored bytes");
	assert_string_equal(world_value(world, "mine"), "the stored bytes");
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void claim_of_a_task_that_others_carry_settles(void **state)
{
	static const enum claim_verdict verdicts[] = {CLAIM_BUSY, CLAIM_STALE};
	struct world *world = *state;

	for (size_t i = 0; i < 2; i++) {
		world_claims_get(world, verdicts[i]);
		world_record(world, 0, task);
		world_settle(world);
		world_expect(world, "claim k 1", NULL);
		world_tick(world, 200);
		world_expect(world, i == 0 ? "commit 0:1" : "commit 0:2", NULL);
	}
}

static void claim_of_a_task_whose_owner_lives_is_repeated_with_growing_pauses(void **state)
{
	static const int pauses_ms[] = {20, 40, 80, 160, 320, 500, 500};
	struct world *world = *state;

	world_claims_get(world, CLAIM_WAIT);
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", NULL);
	for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
		world_tick(world, pauses_ms[i] - 1);
		world_expect(world, NULL);
		world_tick(world, 1);
		world_answer(world);
		world_expect(world, "claim k 1", NULL);
	}
}

static void a_lost_attempt_is_followed_by_the_next_one(void **state)
{
	struct world *world = *state;
	struct journal_record record;
	struct arena arena = {0};
	struct wire *wire;

	world_claims_get(world, CLAIM_LOST);
	world_claim_answer(world)->lost = 1;
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", "produce t.journal k", NULL);
	assert_int_equal(wire_new(&wire, NULL), MR_OK);
	assert_int_equal(wire_decode_journal(wire, world_value_bytes(world, "t.journal"), &arena, &record, NULL), MR_OK);
	assert_int_equal(record.attempt, 2);
	assert_int_equal(record.lost, 1);
	assert_true(bytes_is(record.failures[0].failure.type, "WorkerLost"));
	wire_free(wire);
	arena_deinit(&arena);
}

static void a_lost_attempt_that_was_the_only_one_fails_the_task(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_LOST);
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"retry_policy\":{\"maximum_attempts\":1}}");
	world_settle(world);
	world_expect(world, "claim k 1", "finish k FAILED", "produce t.results k", NULL);
	assert_non_null(strstr(world_value(world, "t.results"), "WorkerLost"));
}

static void a_first_loss_runs_as_the_next_attempt(void **state)
{
	struct world *world = *state;

	world_claim_answer(world)->attempt = 1; /* one more than asked for */
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 2", NULL);
}

static void decode_backoff(struct world *world, struct arena *arena, struct journal_record *ret)
{
	struct wire *wire;

	assert_int_equal(wire_new(&wire, NULL), MR_OK);
	assert_int_equal(wire_decode_journal(wire, world_value_bytes(world, "t.journal"), arena, ret, NULL), MR_OK);
	assert_int_equal(ret->kind, JOURNAL_BACKOFF);
	wire_free(wire);
}

static void a_first_loss_is_remembered_by_what_fails_after_it(void **state)
{
	struct world *world = *state;
	struct journal_record record;
	struct arena arena = {0};

	world_claim_answer(world)->attempt = 1; /* one more than asked for */
	world_record(world, 0, task);
	world_settle(world);
	world_fail(world, "k", "Oops", false);
	world_settle(world);
	decode_backoff(world, &arena, &record);
	assert_int_equal(record.attempt, 3);
	assert_int_equal(record.n_failures, 2);
	assert_int_equal(record.failures[0].attempt, 1);
	assert_true(bytes_is(record.failures[0].failure.type, "WorkerLost"));
	assert_int_equal(record.failures[1].attempt, 2);
	assert_true(bytes_is(record.failures[1].failure.type, "Oops"));
	arena_deinit(&arena);
}

static void a_canceled_task_ends_without_running(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_CANCELED);
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", "finish k CANCELED", "produce t.results k", NULL);
	assert_null(strstr(world_value(world, "t.results"), "started_at_ms"));
}

static void a_rejected_publication_is_answered_alone(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_REJECTED);
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", "produce t.results k", NULL);
	assert_non_null(strstr(world_value(world, "t.results"), "DuplicateTask"));
	assert_non_null(world_header(world, "t.results", "millrace-not-state"));
}

static void a_task_on_hold_is_journalled(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_HOLD);
	world_claim_answer(world)->hold_until_ms = 5;
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", "produce t.journal k", NULL);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void the_record_of_a_task_on_hold_keeps_what_former_attempts_left(void **state)
{
	struct world *world = *state;
	struct attempt_failure failure = {.attempt = 1, .started_at_ms = 5, .failed_at_ms = 6};
	struct journal_record record;
	struct arena arena = {0};
	struct buf history = {0};
	struct wire *wire;

	assert_int_equal(wire_new(&wire, NULL), MR_OK);
	failure_init(&failure.failure);
	failure.failure.type = BYTES_LIT("Oops");
	wire_encode_history(wire, &failure, 1, &history);
	world_claims_get(world, CLAIM_HOLD);
	world_record_attempt(world, 0, task, "k", "r1", 2);
	world_record_header(world, HEADER_HISTORY, buf_bytes(&history));
	world_record_header(world, HEADER_HEARTBEAT, BYTES_LIT("half"));
	world_settle(world);
	assert_int_equal(wire_decode_journal(wire, world_value_bytes(world, "t.journal"), &arena, &record, NULL), MR_OK);
	assert_int_equal(record.kind, JOURNAL_WAITING);
	assert_int_equal(record.attempt, 2);
	assert_true(bytes_is(record.heartbeat_details.data, "half"));
	assert_int_equal(record.n_failures, 1);
	assert_true(bytes_is(record.failures[0].failure.type, "Oops"));
	buf_deinit(&history);
	arena_deinit(&arena);
	wire_free(wire);
}

static void a_task_with_a_start_delay_waits_in_the_journal(void **state)
{
	struct world *world = *state;

	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"start_delay_ms\":3600000}");
	world_settle(world);
	world_expect(world, "view k", "produce t.journal k", NULL);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
	/* When it is due the scheduler dispatches it. */
	world_record_attempt(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"start_delay_ms\":3600000}", "k", "r1",
			     1);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", NULL);
}

static void a_start_delay_does_not_hold_up_the_result_of_a_known_task(void **state)
{
	struct world *world = *state;

	world_view_gets(world, VIEW_FINISHED);
	world_claims_get(world, CLAIM_FINISHED);
	world_claim_answer(world)->publication.value = BYTES_LIT("the stored bytes");
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"start_delay_ms\":3600000}");
	world_settle(world);
	world_expect(world, "view k", "claim k 1", "produce t.results k", NULL);
}

static void a_start_delay_holds_a_task_that_only_commands_have_named(void **state)
{
	struct world *world = *state;

	world_view_gets(world, VIEW_MARKED);
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"start_delay_ms\":3600000}");
	world_settle(world);
	world_expect(world, "view k", "produce t.journal k", NULL);
}

static void tasks_of_a_shard_that_is_not_ready_are_held_until_it_is(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_NOT_READY);
	world_shards_ready(world, false, NULL);
	world_record(world, 0, task);
	world_tick(world, 0);
	world_expect(world, "claim k 1", NULL);
	world_answer(world);
	for (int i = 0; i < 50; i++) {
		world_tick(world, 100);
		world_answer(world);
	}
	world_expect(world, NULL);
	world_claims_get(world, CLAIM_RUN);
	world_shards_ready(world, true, NULL);
	world_tick(world, 1000);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", NULL);
}

static void a_worker_that_was_declared_dead_ends(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_BURIED);
	world_record(world, 0, task);
	world_tick(world, 0);
	world_answer(world);
	assert_int_equal(worker_ended(world_worker(world)), WORKER_BURIED);
}

static void claims_that_redis_refuses_are_repeated_after_a_pause(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_tick(world, 0);
	world_refuse(world);
	world_tick(world, 0);
	world_tick(world, 499);
	world_expect(world, "claim k 1", NULL);
	world_tick(world, 1);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", NULL);
}

static void a_result_of_an_attempt_that_is_not_ours_any_more_is_dropped(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_finishes_get(world, FINISH_STALE, NULL);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", "finish k COMPLETED", NULL);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void a_journalled_task_clears_journal_and_outbox_after_its_result(void **state)
{
	struct world *world = *state;

	world_claim_answer(world)->journalled = true;
	world_record_attempt(world, 0, task, "k", "r1", 2);
	world_settle(world);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "claim k 2", "push k 2", "finish k COMPLETED outbox", "produce t.results k", "tombstone t.journal k",
		     "published k", NULL);
}

static void a_record_that_was_not_acknowledged_is_sent_again_until_it_is(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_answer(world);
	world_forget(world);
	world_ack(world, MR_EKAFKA);
	world_tick(world, 99);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "produce t.results k", NULL);
	world_ack(world, MR_EKAFKA);
	world_tick(world, 200);
	world_expect(world, "produce t.results k", NULL);
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void a_reply_topic_that_cannot_be_written_holds_up_nothing(void **state)
{
	struct world *world = *state;

	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"reply_topic\":\"nowhere\"}");
	world_settle(world);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_answer(world);
	world_forget(world);
	world_ack(world, MR_ENOT_FOUND);
	world_tick(world, 100);
	/* The result itself is not optional. */
	world_expect(world, "produce t.results k", NULL);
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void a_backoff_record_that_is_too_large_fails_the_task(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_fail(world, "k", "Oops", false);
	world_tick(world, 0);
	world_forget(world);
	world_ack(world, MR_ETOO_LARGE);
	world_settle(world);
	world_expect(world, "finish k FAILED", "produce t.results k", NULL);
	assert_non_null(strstr(world_value(world, "t.results"), "TooLarge"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(claim_of_a_finished_task_publishes_its_stored_result),
		T(claim_of_a_task_that_others_carry_settles),
		T(claim_of_a_task_whose_owner_lives_is_repeated_with_growing_pauses),
		T(a_lost_attempt_is_followed_by_the_next_one),
		T(a_lost_attempt_that_was_the_only_one_fails_the_task),
		T(a_first_loss_runs_as_the_next_attempt),
		T(a_first_loss_is_remembered_by_what_fails_after_it),
		T(a_canceled_task_ends_without_running),
		T(a_rejected_publication_is_answered_alone),
		T(a_task_on_hold_is_journalled),
		T(the_record_of_a_task_on_hold_keeps_what_former_attempts_left),
		T(a_task_with_a_start_delay_waits_in_the_journal),
		T(a_start_delay_does_not_hold_up_the_result_of_a_known_task),
		T(a_start_delay_holds_a_task_that_only_commands_have_named),
		T(tasks_of_a_shard_that_is_not_ready_are_held_until_it_is),
		T(a_worker_that_was_declared_dead_ends),
		T(claims_that_redis_refuses_are_repeated_after_a_pause),
		T(a_result_of_an_attempt_that_is_not_ours_any_more_is_dropped),
		T(a_journalled_task_clears_journal_and_outbox_after_its_result),
		T(a_record_that_was_not_acknowledged_is_sent_again_until_it_is),
		T(a_reply_topic_that_cannot_be_written_holds_up_nothing),
		T(a_backoff_record_that_is_too_large_fails_the_task),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
