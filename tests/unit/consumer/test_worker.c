/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a task through the core, without faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "consumer/world.h"

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

static void a_task_is_claimed_run_finished_published_and_settled(void **state)
{
	struct world *world = *state;

	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	world_tick(world, 0);
	world_expect(world, "claim k 1", NULL);
	world_answer(world);
	world_tick(world, 0);
	world_expect(world, "push k 1", NULL);
	world_complete(world, "k", "[1]");
	world_tick(world, 0);
	world_expect(world, "finish k COMPLETED", NULL);
	world_answer(world);
	world_expect(world, "produce t.results k", NULL);
	assert_non_null(strstr(world_value(world, "t.results"), "\"result\":[1]"));
	world_tick(world, 200);
	world_expect(world, NULL);
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void a_result_goes_to_the_reply_topics_too(void **state)
{
	struct world *world = *state;

	world_finishes_get(world, FINISH_OK, "other\x1fkey2");
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"workflow_id\":\"wf\",\"reply_topic\":\"mine\"}");
	world_settle(world);
	world_complete(world, "wf/k", "1");
	world_settle(world);
	world_expect(world, "claim wf/k 1", "push wf/k 1", "finish wf/k COMPLETED", "produce t.results wf/k", "produce mine wf",
		     "produce other key2", NULL);
}

static void a_failed_attempt_is_journalled_and_settles_when_that_is_acknowledged(void **state)
{
	struct world *world = *state;
	struct journal_record record;
	struct arena arena = {0};
	struct wire *wire;

	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 5);
	world_fail(world, "k", "Oops", false);
	world_tick(world, 0);
	world_expect(world, "claim k 1", "push k 1", "produce t.journal k", NULL);
	assert_int_equal(wire_new(&wire, NULL), MR_OK);
	assert_int_equal(wire_decode_journal(wire, world_value_bytes(world, "t.journal"), &arena, &record, NULL), MR_OK);
	assert_int_equal(record.kind, JOURNAL_BACKOFF);
	assert_int_equal(record.attempt, 2);
	/* The latest that Redis' clock may have shown at the failure, and the first interval. */
	assert_int_equal(record.due_at_ms, world_now_ms(world) + 1 + 1000);
	assert_int_equal(record.n_failures, 1);
	assert_true(bytes_is(record.failures[0].failure.type, "Oops"));
	assert_true(bytes_is(record.record_id, "t.tasks.q:0:0"));
	assert_true(bytes_is(record.task, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}"));
	world_tick(world, 200);
	world_expect(world, NULL);
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
	wire_free(wire);
	arena_deinit(&arena);
}

static void a_failure_for_good_closes_the_task(void **state)
{
	struct world *world = *state;

	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	world_settle(world);
	world_fail(world, "k", "Oops", true);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", "finish k FAILED", "produce t.results k", NULL);
	assert_non_null(strstr(world_value(world, "t.results"), "NON_RETRYABLE_FAILURE"));
}

static void offsets_settle_in_any_order_and_are_committed_without_a_gap(void **state)
{
	struct world *world = *state;

	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k0\"}");
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k1\"}");
	world_settle(world);
	world_forget(world);
	world_complete(world, "k1", "1");
	world_settle(world);
	world_forget(world);
	world_tick(world, 200);
	world_expect(world, "commit 0:0", NULL);
	world_complete(world, "k0", "1");
	world_settle(world);
	world_forget(world);
	world_tick(world, 200);
	world_expect(world, "commit 0:2", NULL);
}

static void a_task_of_an_unknown_type_is_claimed_for_free_slots_only(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 4; i++) {
		char json[80];

		snprintf(json, sizeof(json), "{\"activity_type\":\"a\",\"activity_id\":\"k%d\"}", i);
		world_record(world, 0, json);
	}
	world_settle(world);
	world_expect(world, "claim k0 1", "claim k1 1", "push k0 1", "push k1 1", NULL);
	world_complete(world, "k0", "1");
	world_tick(world, 0);
	world_expect(world, "finish k0 COMPLETED", "claim k2 1", NULL);
}

static void run_one(struct world *world, const char *key, const char *json)
{
	world_record(world, 0, json);
	world_settle(world);
	world_complete(world, key, "1");
	world_settle(world);
	world_forget(world);
}

static void tasks_of_a_type_known_as_fast_are_claimed_ahead(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 5; i++)
		run_one(world, "k", "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	for (int i = 0; i < 5; i++) {
		char json[80];

		snprintf(json, sizeof(json), "{\"activity_type\":\"a\",\"activity_id\":\"k%d\"}", i);
		world_record(world, 0, json);
	}
	world_tick(world, 0);
	world_expect(world, "claim k0 1", "claim k1 1", "claim k2 1", "claim k3 1", "claim k4 1", NULL);
}

static void a_task_with_one_attempt_is_claimed_for_a_free_slot_only(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 5; i++)
		run_one(world, "k", "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	for (int i = 0; i < 3; i++) {
		char json[160];

		snprintf(json, sizeof(json),
			 "{\"activity_type\":\"a\",\"activity_id\":\"k%d\",\"retry_policy\":{\"maximum_attempts\":1}}", i);
		world_record(world, 0, json);
	}
	world_settle(world);
	world_expect(world, "claim k0 1", "claim k1 1", "push k0 1", "push k1 1", NULL);
}

static void a_task_without_id_has_its_place_as_key(void **state)
{
	struct world *world = *state;

	world_record(world, 0, "{\"activity_type\":\"a\"}");
	world_settle(world);
	world_complete(world, "t.tasks.q:0:0", "1");
	world_settle(world);
	world_expect(world, "claim t.tasks.q:0:0 1", "push t.tasks.q:0:0 1", "finish t.tasks.q:0:0 COMPLETED",
		     "produce t.results t.tasks.q:0:0", NULL);
}

static void a_result_that_no_record_holds_fails_the_task(void **state)
{
	struct world *world = *state;
	char json[4002];

	json[0] = '"';
	memset(json + 1, 'x', sizeof(json) - 3);
	json[sizeof(json) - 2] = '"';
	json[sizeof(json) - 1] = '\0';
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	world_settle(world);
	world_complete(world, "k", json);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", "finish k FAILED", "produce t.results k", NULL);
	assert_non_null(strstr(world_value(world, "t.results"), "ResultTooLarge"));
}

static void a_record_that_is_not_understood_goes_to_the_dead_letters_and_is_answered(void **state)
{
	struct world *world = *state;

	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"colour\":1}");
	world_settle(world);
	world_expect(world, "produce t.dead record key", "view k", "produce t.results k", NULL);
	assert_non_null(strstr(world_header(world, "t.dead", "millrace-reason"), "colour"));
	assert_string_equal(world_header(world, "t.dead", "millrace-topic"), "t.tasks.q");
	assert_string_equal(world_header(world, "t.dead", "millrace-partition"), "0");
	assert_string_equal(world_header(world, "t.dead", "millrace-offset"), "0");
	assert_non_null(strstr(world_value(world, "t.results"), "BadTask"));
	assert_non_null(strstr(world_value(world, "t.results"), "\"run_id\":\"t.tasks.q:0:0\""));
	assert_non_null(world_header(world, "t.results", "millrace-not-state"));
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void an_input_that_is_too_large_is_answered_with_both_sizes(void **state)
{
	struct world *world = *state;
	char json[3100];

	snprintf(json, sizeof(json), "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"input\":\"%02999d\"}", 0);
	world_record(world, 0, json);
	world_settle(world);
	world_expect(world, "produce t.dead record key", "view k", "produce t.results k", NULL);
	assert_non_null(strstr(world_header(world, "t.dead", "millrace-reason"), "3001"));
	assert_non_null(strstr(world_header(world, "t.dead", "millrace-reason"), "3000"));
	snprintf(json, sizeof(json), "{\"activity_type\":\"a\",\"activity_id\":\"l\",\"input\":\"%02998d\"}", 0);
	world_record(world, 0, json);
	world_settle(world);
	world_expect(world, "claim l 1", "push l 1", NULL);
}

/* Brokers measure a record compressed; what writes the letter measures it as it is. */
static void a_letter_that_no_topic_takes_keeps_the_beginning_of_its_record(void **state)
{
	struct world *world = *state;
	static char text[DEAD_KEEP_BYTES + 100];

	memset(text, 'x', sizeof(text) - 1);
	world_record(world, 0, text);
	world_tick(world, 0);
	world_expect(world, "produce t.dead record key", NULL);
	assert_int_equal(world_value_bytes(world, "t.dead").len, sizeof(text) - 1);
	world_ack(world, MR_ETOO_LARGE);
	world_tick(world, 0);
	world_expect(world, "produce t.dead record key", NULL);
	assert_int_equal(world_value_bytes(world, "t.dead").len, DEAD_KEEP_BYTES);
	assert_non_null(strstr(world_header(world, "t.dead", "millrace-reason"), "65635 bytes"));
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void a_bad_record_of_a_task_that_is_known_is_not_answered(void **state)
{
	struct world *world = *state;

	world_view_gets(world, VIEW_STARTED);
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"colour\":1}");
	world_settle(world);
	world_expect(world, "produce t.dead record key", "view k", NULL);
	world_record(world, 0, "no JSON");
	world_settle(world);
	world_expect(world, "produce t.dead record key", NULL);
}

static void an_attempt_is_told_at_its_deadline_and_killed_after_the_grace_period(void **state)
{
	struct world *world = *state;
	struct outcome crashed = {.kind = OUTCOME_FAILED};

	failure_init(&crashed.failure);
	crashed.failure.type = BYTES_LIT("ActivityCrashed");
	world_record(world, 0,
		     "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"start_to_close_timeout_ms\":100,\"retry_policy\":{"
		     "\"maximum_attempts\":1}}");
	world_settle(world);
	world_forget(world);
	/* Its clock starts with the attempt, not before. */
	world_tick(world, 1000);
	world_start(world, "k");
	world_tick(world, 0);
	world_tick(world, 99);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "cancel k TIMED_OUT", NULL);
	world_tick(world, 499);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "kill k", NULL);
	world_end(world, "k", &crashed);
	world_settle(world);
	world_expect(world, "finish k TIMED_OUT", "produce t.results k", NULL);
	assert_non_null(strstr(world_value(world, "t.results"), "START_TO_CLOSE"));
}

static void a_task_without_timeout_has_the_workers_start_to_close(void **state)
{
	struct world *world = *state;

	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 0);
	world_forget(world);
	world_tick(world, 9999);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "cancel k TIMED_OUT", NULL);
}

static void what_does_not_fit_stays_in_kafka(void **state)
{
	struct world_options options = {.max_jobs = 3};
	struct world *world = world_new(&options);

	(void)state;
	world_assign(world, 0);
	for (int i = 0; i < 5; i++)
		world_record(world, 0, "{\"activity_type\":\"a\"}");
	world_tick(world, 0);
	assert_int_equal(world_worker(world)->n_jobs, 3);
	assert_false(worker_has_room(world_worker(world)));
	world_free(world);
}

static void bytes_in_hand_are_bounded(void **state)
{
	struct world_options options = {.max_jobs_bytes = 10000};
	struct world *world = world_new(&options);

	(void)state;
	world_assign(world, 0);
	for (int i = 0; i < 300; i++)
		world_record(world, 0, "{\"activity_type\":\"a\"}");
	world_tick(world, 0);
	/* What was taken in one go may pass the bound by that; nothing more is taken. */
	assert_false(worker_has_room(world_worker(world)));
	world_free(world);
}

static void a_type_at_its_limit_does_not_hold_up_the_others(void **state)
{
	struct world_options options = {.limit = 1, .slots = 4};
	struct world *world = world_new(&options);

	(void)state;
	world_assign(world, 0);
	world_settle(world);
	world_forget(world);
	world_record(world, 0, "{\"activity_type\":\"limited\",\"activity_id\":\"l0\"}");
	world_record(world, 0, "{\"activity_type\":\"limited\",\"activity_id\":\"l1\"}");
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	world_settle(world);
	world_expect(world, "claim l0 1", "claim k 1", "push l0 1", "push k 1", NULL);
	world_complete(world, "l0", "1");
	world_tick(world, 0);
	world_expect(world, "finish l0 COMPLETED", "claim l1 1", NULL);
	world_free(world);
}

static void what_leaves_without_a_claim_lets_the_next_of_its_type_pass(void **state)
{
	struct world_options options = {.limit = 1, .slots = 4};
	struct world *world = world_new(&options);

	(void)state;
	world_assign(world, 0);
	world_assign(world, 1);
	world_settle(world);
	world_record(world, 0, "{\"activity_type\":\"limited\",\"activity_id\":\"l0\"}");
	world_record(world, 1, "{\"activity_type\":\"limited\",\"activity_id\":\"l1\"}");
	world_record(world, 0, "{\"activity_type\":\"limited\",\"activity_id\":\"l2\"}");
	world_settle(world);
	/* l1 is next, and the claims of others are still under way when its partition leaves. */
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	world_tick(world, 0);
	world_complete(world, "l0", "1");
	world_tick(world, 0);
	world_revoke(world, 1);
	world_forget(world);
	world_answer(world);
	world_tick(world, 0);
	world_expect(world, "produce t.results l0", "push k 1", "claim l2 1", NULL);
	world_free(world);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_task_is_claimed_run_finished_published_and_settled),
		T(a_result_goes_to_the_reply_topics_too),
		T(a_failed_attempt_is_journalled_and_settles_when_that_is_acknowledged),
		T(a_failure_for_good_closes_the_task),
		T(offsets_settle_in_any_order_and_are_committed_without_a_gap),
		T(a_task_of_an_unknown_type_is_claimed_for_free_slots_only),
		T(tasks_of_a_type_known_as_fast_are_claimed_ahead),
		T(a_task_with_one_attempt_is_claimed_for_a_free_slot_only),
		T(a_task_without_id_has_its_place_as_key),
		T(a_result_that_no_record_holds_fails_the_task),
		T(a_record_that_is_not_understood_goes_to_the_dead_letters_and_is_answered),
		T(an_input_that_is_too_large_is_answered_with_both_sizes),
		T(a_letter_that_no_topic_takes_keeps_the_beginning_of_its_record),
		T(a_bad_record_of_a_task_that_is_known_is_not_answered),
		T(an_attempt_is_told_at_its_deadline_and_killed_after_the_grace_period),
		T(a_task_without_timeout_has_the_workers_start_to_close),
		cmocka_unit_test(what_does_not_fit_stays_in_kafka),
		cmocka_unit_test(bytes_in_hand_are_bounded),
		cmocka_unit_test(a_type_at_its_limit_does_not_hold_up_the_others),
		cmocka_unit_test(what_leaves_without_a_claim_lets_the_next_of_its_type_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
