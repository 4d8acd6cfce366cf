/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as a worker meets them: on what runs, on what waits, and on what comes later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <malloc.h>

#include "consumer/world.h"

#define TASK_AT_MS 1000000 /* when the world's records are written */

static const char task[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"run_id\":\"r1\"}";

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

static void run(struct world *world)
{
	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", NULL);
}

static void command(struct world *world, const char *name, const char *more, int64_t after_ms)
{
	char json[200];

	snprintf(json, sizeof(json), "{\"command\":\"%s\",\"task_key\":\"k\"%s}", name, more);
	world_command(world, json, TASK_AT_MS + after_ms);
}

static void a_changed_retry_policy_decides_about_the_attempt_that_runs(void **state)
{
	struct world *world = *state;

	run(world);
	command(world, "UPDATE", ",\"run_id\":\"another\",\"options\":{\"retry_policy\":{\"maximum_attempts\":7}}", 5);
	command(world, "UPDATE", ",\"options\":{\"retry_policy\":{\"maximum_attempts\":7}}", -5); /* before it began */
	world_tick(world, 0);
	assert_int_equal(world_worker(world)->all->policy.maximum_attempts, 0);
	command(world, "UPDATE", ",\"options\":{\"retry_policy\":{\"maximum_attempts\":1}}", 5);
	world_tick(world, 0);
	world_expect(world, NULL);
	world_fail(world, "k", "Boom", false);
	world_settle(world);
	world_expect(world, "finish k FAILED", "produce t.results k", NULL);
}

static void a_changed_policy_is_met_by_an_attempt_whose_claim_is_under_way(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_tick(world, 0);
	world_expect(world, "claim k 1", NULL);
	command(world, "UPDATE", ",\"options\":{\"retry_policy\":{\"maximum_attempts\":1}}", 5);
	world_tick(world, 0);
	world_settle(world);
	world_fail(world, "k", "Boom", false);
	world_forget(world);
	world_settle(world);
	world_expect(world, "finish k FAILED", "produce t.results k", NULL);
}

static void a_shorter_time_of_the_task_ends_the_attempt_that_runs(void **state)
{
	struct world *world = *state;

	run(world);
	command(world, "UPDATE", ",\"options\":{\"schedule_to_close_timeout_ms\":60000}", 5); /* longer than the attempt's own */
	world_tick(world, 500);
	command(world, "UPDATE", ",\"options\":{\"schedule_to_close_timeout_ms\":700}", 6);
	world_tick(world, 199);
	world_expect(world, NULL);
	assert_true(worker_deadline_us(world_worker(world)) <= (TASK_AT_MS + 700) * 1000);
	world_tick(world, 1);
	world_expect(world, "cancel k TIMED_OUT", NULL);
	world_pass(world, 1);
	world_fail(world, "k", "Boom", false);
	world_settle(world);
	world_expect(world, "finish k TIMED_OUT", "produce t.results k", NULL);
	assert_non_null(strstr(world_value(world, "t.results"), "\"SCHEDULE_TO_CLOSE\""));
}

static void a_time_of_the_task_that_is_over_already_ends_the_attempt_at_once(void **state)
{
	struct world *world = *state;

	run(world);
	world_tick(world, 500);
	command(world, "UPDATE", ",\"options\":{\"schedule_to_close_timeout_ms\":400}", 6);
	world_tick(world, 0);
	world_tick(world, 0);
	world_expect(world, "cancel k TIMED_OUT", NULL);
}

static void a_longer_time_of_the_task_leaves_the_attempt_its_own(void **state)
{
	struct world *world = *state;

	run(world);
	command(world, "UPDATE", ",\"options\":{\"schedule_to_close_timeout_ms\":60000}", 5);
	world_tick(world, 9999);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "cancel k TIMED_OUT", NULL);
}

static void the_policy_changed_last_holds_with_all_that_it_names(void **state)
{
	struct world *world = *state;
	const struct retry_policy *policy;

	run(world);
	command(world, "UPDATE", ",\"options\":{\"retry_policy\":{\"non_retryable_error_types\":[\"A\",\"B\"]}}", 5);
	command(world, "UPDATE", ",\"options\":{\"retry_policy\":{\"maximum_attempts\":7}}", 6);
	world_tick(world, 0);
	policy = &world_worker(world)->all->policy;
	assert_int_equal(policy->maximum_attempts, 7);
	assert_int_equal(policy->n_non_retryable_error_types, 2);
	assert_true(bytes_is(policy->non_retryable_error_types[1], "B"));
	world_fail(world, "k", "B", false);
	world_settle(world);
	world_expect(world, "finish k FAILED", "produce t.results k", NULL);
}

static size_t allocated_bytes(void)
{
	return mallinfo2().uordblks;
}

static void an_attempt_does_not_grow_with_each_change_of_its_policy(void **state)
{
	struct world *world = *state;
	size_t before = 0;

	run(world);
	for (int i = 0; i < 2000; i++) {
		command(world, "UPDATE", ",\"options\":{\"retry_policy\":{\"non_retryable_error_types\":[\"A\"]}}", 5);
		world_tick(world, 0);
		if (i == 10)
			before = allocated_bytes();
	}
	assert_in_range(allocated_bytes(), 0, before + 16384);
}

static void a_running_attempt_is_told_of_a_cancel_at_once(void **state)
{
	struct world *world = *state;

	run(world);
	command(world, "CANCEL", "", 5);
	world_tick(world, 0);
	world_expect(world, "cancel k REQUESTED", NULL);
	command(world, "CANCEL", "", 6);
	world_tick(world, 0);
	world_expect(world, NULL);
}

static void each_command_has_its_reason(void **state)
{
	struct world *world = *state;

	run(world);
	command(world, "PAUSE", "", 5);
	world_tick(world, 0);
	world_expect(world, "cancel k PAUSED", NULL);
	command(world, "RESET", "", 6);
	world_tick(world, 0);
	world_expect(world, "cancel k RESET", NULL);
	command(world, "TERMINATE", "", 7);
	world_tick(world, 0);
	world_expect(world, "kill k", NULL);
}

static void a_command_for_another_run_is_not_for_this_one(void **state)
{
	struct world *world = *state;

	run(world);
	command(world, "CANCEL", ",\"run_id\":\"r0\"", 5);
	world_tick(world, 0);
	world_expect(world, NULL);
	command(world, "CANCEL", ",\"run_id\":\"r1\"", 6);
	world_tick(world, 0);
	world_expect(world, "cancel k REQUESTED", NULL);
}

static void a_cancel_by_token_is_for_that_attempt_alone(void **state)
{
	struct world *world = *state;
	char more[64];
	struct job *job;

	run(world);
	job = world_worker(world)->all;
	command(world, "CANCEL", ",\"token\":\"of an attempt before\"", 5);
	world_tick(world, 0);
	world_expect(world, NULL);
	snprintf(more, sizeof(more), ",\"token\":\"%.*s\"", (int)job->nonce.len, job->nonce.data);
	command(world, "CANCEL", more, 6);
	world_tick(world, 0);
	world_expect(world, "cancel k REQUESTED", NULL);
}

static void a_repeated_request_does_nothing(void **state)
{
	struct world *world = *state;

	command(world, "PAUSE", ",\"request_id\":\"q1\"", 5);
	command(world, "UNPAUSE", ",\"request_id\":\"q2\"", 6);
	command(world, "PAUSE", ",\"request_id\":\"q1\"", 7);
	world_tick(world, 0);
	run(world);
	world_expect(world, NULL);
}

static void a_pause_is_taken_back_whatever_run_either_names(void **state)
{
	struct world *world = *state;

	command(world, "PAUSE", "", 5);
	command(world, "UNPAUSE", ",\"run_id\":\"r1\"", 6);
	command(world, "PAUSE", ",\"run_id\":\"r1\"", 7);
	command(world, "UNPAUSE", "", 8);
	world_tick(world, 0);
	run(world);
	world_expect(world, NULL);
}

static void a_command_that_names_no_run_is_not_for_one_that_began_later(void **state)
{
	struct world *world = *state;

	command(world, "CANCEL", "", -1);
	world_tick(world, 0);
	run(world);
}

static void a_command_that_is_passed_on_late_is_not_for_one_that_began_later(void **state)
{
	struct world *world = *state;

	run(world);
	world_command_passed_on(world, "{\"command\":\"CANCEL\",\"task_key\":\"k\"}", TASK_AT_MS + 5, TASK_AT_MS - 1);
	world_tick(world, 0);
	world_expect(world, NULL);
	world_command_passed_on(world, "{\"command\":\"CANCEL\",\"task_key\":\"k\"}", TASK_AT_MS + 9, TASK_AT_MS + 5);
	world_tick(world, 0);
	world_expect(world, "cancel k REQUESTED", NULL);
}

static void a_command_that_comes_before_its_task_is_kept_for_it(void **state)
{
	struct world *world = *state;

	command(world, "CANCEL", ",\"run_id\":\"r1\"", -1);
	world_tick(world, 0);
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", "finish k CANCELED", "produce t.results k", NULL);
}

static void a_pause_before_the_start_is_told_at_the_start(void **state)
{
	struct world *world = *state;

	command(world, "PAUSE", "", 5);
	world_tick(world, 0);
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", "cancel k PAUSED", NULL);
}

static void an_attempt_that_was_dispatched_after_a_reset_or_pause_goes_on(void **state)
{
	struct world *world = *state;

	command(world, "PAUSE", "", -2);
	command(world, "RESET", ",\"run_id\":\"r1\"", -1);
	world_tick(world, 0);
	run(world);
}

static void a_pause_that_is_taken_back_before_the_start_is_forgotten(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_tick(world, 0); /* the claim is under way */
	command(world, "PAUSE", ",\"run_id\":\"r1\"", 5);
	world_tick(world, 0);
	command(world, "UNPAUSE", "", 6);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", NULL);
}

static void commands_are_kept_for_a_minute(void **state)
{
	struct world *world = *state;

	command(world, "PAUSE", "", 5);
	world_tick(world, 0);
	world_tick(world, 60001);
	world_settle(world);
	run(world);
}

static void fill_slots(struct world *world)
{
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"x\"}");
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"y\"}");
	world_settle(world);
	world_start(world, "x");
	world_start(world, "y");
	world_settle(world);
	world_forget(world);
}

static void a_task_that_waits_for_a_slot_is_claimed_at_once_and_canceled(void **state)
{
	struct world *world = *state;

	fill_slots(world);
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, NULL);
	world_claims_get(world, CLAIM_CANCELED);
	command(world, "CANCEL", "", 5);
	world_settle(world);
	world_expect(world, "claim k 1", "finish k CANCELED", "produce t.results k", NULL);
}

static void a_claim_that_is_granted_before_the_cancel_takes_effect_does_not_run(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_tick(world, 0);
	command(world, "CANCEL", "", 5);
	world_tick(world, 0);
	world_settle(world);
	world_expect(world, "claim k 1", "finish k CANCELED", "produce t.results k", NULL);
}

static void a_terminated_task_that_waits_is_terminated(void **state)
{
	struct world *world = *state;

	fill_slots(world);
	world_record(world, 0, task);
	world_settle(world);
	command(world, "TERMINATE", "", 5);
	world_settle(world);
	world_expect(world, "claim k 1", "finish k TERMINATED", "produce t.results k", NULL);
}

static void a_claim_is_told_whether_it_was_terminated(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_CANCELED);
	world_claim_answer(world)->terminated = true;
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, "claim k 1", "finish k TERMINATED", "produce t.results k", NULL);
}

static void a_task_whose_owner_lives_elsewhere_is_asked_for_at_once(void **state)
{
	struct world *world = *state;

	world_claims_get(world, CLAIM_WAIT);
	world_record(world, 0, task);
	world_settle(world);
	world_forget(world);
	command(world, "CANCEL", "", 5);
	world_settle(world);
	world_expect(world, "claim k 1", NULL);
}

static void what_is_no_command_is_left_to_the_scheduler(void **state)
{
	struct world *world = *state;

	run(world);
	world_command(world, "{\"command\":\"CANCEL\"}", TASK_AT_MS + 5);
	world_command(world, "rubbish", TASK_AT_MS + 5);
	command(world, "HEARTBEAT", "", 5);
	command(world, "COMPLETE", "", 5);
	world_tick(world, 0);
	world_expect(world, NULL);
	assert_int_equal(world_worker(world)->counters.commands, 0);
}

static void commands_are_heard_while_no_task_fits(void **state)
{
	struct world_options options = {.max_jobs = 1};
	struct world *world = world_new(&options);

	(void)state;
	world_assign(world, 0);
	world_settle(world);
	world_forget(world);
	run(world);
	world_record(world, 0, "{\"activity_type\":\"a\"}");
	world_tick(world, 0);
	command(world, "CANCEL", "", 5);
	world_tick(world, 0);
	world_expect(world, "cancel k REQUESTED", NULL);
	world_free(world);
}

static void commands_are_heard_during_a_drain(void **state)
{
	struct world *world = *state;

	run(world);
	worker_drain(world_worker(world), world_now_ms(world) * 1000);
	command(world, "CANCEL", "", 5);
	world_tick(world, 0);
	world_expect(world, "cancel k REQUESTED", NULL);
}

static void the_first_claim_waits_for_kafka_for_a_second_at_most(void **state)
{
	struct world *world = world_new(NULL);

	(void)state;
	world_slow_ends(world);
	world_assign(world, 0);
	world_record(world, 0, task);
	world_settle(world);
	world_expect(world, NULL);
	assert_true(worker_deadline_us(world_worker(world)) <= (world_now_ms(world) + 1000) * 1000);
	world_tick(world, 999);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "claim k 1", NULL);
	world_free(world);
}

static void no_more_commands_are_kept_than_fit(void **state)
{
	struct world *world = *state;
	char json[200];

	for (int i = 0; i < 10001; i++) {
		snprintf(json, sizeof(json), "{\"command\":\"PAUSE\",\"task_key\":\"k%d\"}", i);
		world_command(world, json, TASK_AT_MS + 5);
	}
	world_tick(world, 0);
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k0\"}");
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k1\"}");
	world_settle(world);
	world_settle(world);
	world_expect(world, "claim k0 1", "claim k1 1", "push k0 1", "push k1 1", "cancel k1 PAUSED", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_changed_retry_policy_decides_about_the_attempt_that_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(a_changed_policy_is_met_by_an_attempt_whose_claim_is_under_way, setup, teardown),
		cmocka_unit_test_setup_teardown(a_shorter_time_of_the_task_ends_the_attempt_that_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(a_time_of_the_task_that_is_over_already_ends_the_attempt_at_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_longer_time_of_the_task_leaves_the_attempt_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(the_policy_changed_last_holds_with_all_that_it_names, setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_does_not_grow_with_each_change_of_its_policy, setup, teardown),
		cmocka_unit_test_setup_teardown(a_running_attempt_is_told_of_a_cancel_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(each_command_has_its_reason, setup, teardown),
		cmocka_unit_test_setup_teardown(a_command_for_another_run_is_not_for_this_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_by_token_is_for_that_attempt_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_repeated_request_does_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pause_is_taken_back_whatever_run_either_names, setup, teardown),
		cmocka_unit_test_setup_teardown(a_command_that_names_no_run_is_not_for_one_that_began_later, setup, teardown),
		cmocka_unit_test_setup_teardown(a_command_that_is_passed_on_late_is_not_for_one_that_began_later, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_command_that_comes_before_its_task_is_kept_for_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pause_before_the_start_is_told_at_the_start, setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_that_was_dispatched_after_a_reset_or_pause_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pause_that_is_taken_back_before_the_start_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(commands_are_kept_for_a_minute, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_that_waits_for_a_slot_is_claimed_at_once_and_canceled, setup, teardown),
		cmocka_unit_test_setup_teardown(a_claim_that_is_granted_before_the_cancel_takes_effect_does_not_run, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_terminated_task_that_waits_is_terminated, setup, teardown),
		cmocka_unit_test_setup_teardown(a_claim_is_told_whether_it_was_terminated, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_whose_owner_lives_elsewhere_is_asked_for_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_command_is_left_to_the_scheduler, setup, teardown),
		cmocka_unit_test(commands_are_heard_while_no_task_fits),
		cmocka_unit_test_setup_teardown(commands_are_heard_during_a_drain, setup, teardown),
		cmocka_unit_test(the_first_claim_waits_for_kafka_for_a_second_at_most),
		cmocka_unit_test_setup_teardown(no_more_commands_are_kept_than_fit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
