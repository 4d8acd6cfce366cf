/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts that COMPLETE or FAIL from outside may have ended while they run here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

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

static struct job *run(struct world *world)
{
	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", NULL);
	return world_worker(world)->running.head;
}

static void command(struct world *world, const char *name, const char *more, int64_t after_ms)
{
	char json[200];

	snprintf(json, sizeof(json), "{\"command\":\"%s\",\"task_key\":\"k\"%s}", name, more);
	world_command(world, json, TASK_AT_MS + after_ms);
	world_tick(world, 0);
}

/* What Redis says of the task: it runs under this nonce. */
static void view_is_started(struct world *world, struct bytes nonce)
{
	world_view_gets(world, VIEW_STARTED);
	world_view(world)->nonce = nonce;
}

static void killed(struct world *world)
{
	world_fail(world, "k", "ActivityCrashed", false);
}

static void an_attempt_that_was_completed_from_outside_is_killed_and_nothing_follows_from_it(void **state)
{
	struct world *world = *state;

	run(world);
	world_view_gets(world, VIEW_FINISHED);
	command(world, "COMPLETE", "", 5);
	world_tick(world, 299);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_settle(world);
	world_expect(world, "view k", "kill k", NULL);
	killed(world);
	world_settle(world);
	world_tick(world, 1000);
	world_settle(world);
	world_expect(world, "commit 0:1", NULL);
	assert_int_equal(world_worker(world)->n_jobs, 0);
	assert_int_equal(world_worker(world)->n_doubted, 0);
}

static void what_ends_by_itself_before_the_kill_is_dropped_too(void **state)
{
	struct world *world = *state;

	run(world);
	world_view_gets(world, VIEW_BACKING_OFF);
	command(world, "FAIL", "", 5);
	world_tick(world, 300);
	world_answer(world);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "view k", "kill k", NULL);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void an_attempt_that_is_still_ours_is_asked_for_again_later_and_later(void **state)
{
	struct world *world = *state;
	struct job *job = run(world);
	const int64_t after_ms[] = {300, 1000, 3000, 10000, 10000};

	job->budget_ms = TASK_UNSET;
	view_is_started(world, job->nonce);
	command(world, "COMPLETE", "", 5);
	for (size_t i = 0; i < sizeof(after_ms) / sizeof(after_ms[0]); i++) {
		world_tick(world, after_ms[i] - 1);
		world_expect(world, NULL);
		world_tick(world, 1);
		world_answer(world);
		world_expect(world, "view k", NULL);
	}
	assert_false(job->superseded);
}

static void an_attempt_under_another_nonce_is_not_ours(void **state)
{
	struct world *world = *state;

	run(world);
	view_is_started(world, BYTES_LIT("of another claim"));
	command(world, "FAIL", "", 5);
	world_tick(world, 300);
	world_settle(world);
	world_expect(world, "view k", "kill k", NULL);
}

static void nothing_is_concluded_from_data_that_is_not_vouched_for(void **state)
{
	struct world *world = *state;

	run(world);
	world_view_gets(world, VIEW_BACKING_OFF);
	world_view(world)->shard_ready = false;
	command(world, "FAIL", "", 5);
	world_tick(world, 300);
	world_answer(world);
	world_tick(world, 499);
	world_expect(world, "view k", NULL);
	world_tick(world, 1);
	world_refuse(world);
	world_expect(world, "view k", NULL);
	world_view(world)->shard_ready = true;
	world_tick(world, 500);
	world_answer(world);
	world_expect(world, "view k", "kill k", NULL);
}

static void a_task_of_which_nothing_is_known_goes_on(void **state)
{
	struct world *world = *state;

	run(world);
	world_view_gets(world, VIEW_NONE);
	command(world, "COMPLETE", "", 5);
	world_tick(world, 300);
	world_answer(world);
	world_expect(world, "view k", NULL);
}

static void a_command_for_another_attempt_or_run_brings_no_doubt(void **state)
{
	struct world *world = *state;

	run(world);
	command(world, "COMPLETE", ",\"token\":\"of an attempt before\"", 5);
	command(world, "FAIL", ",\"run_id\":\"r0\"", 5);
	command(world, "COMPLETE", "", -5); /* before the run began */
	command(world, "HEARTBEAT", "", 5);
	world_tick(world, 1000);
	world_expect(world, NULL);
	assert_int_equal(world_worker(world)->n_doubted, 0);
}

static void a_command_by_token_is_for_its_attempt(void **state)
{
	struct world *world = *state;
	struct job *job = run(world);
	char more[64];

	world_view_gets(world, VIEW_FINISHED);
	snprintf(more, sizeof(more), ",\"token\":\"%.*s\"", (int)job->nonce.len, job->nonce.data);
	command(world, "COMPLETE", more, -5);
	world_tick(world, 300);
	world_settle(world);
	world_expect(world, "view k", "kill k", NULL);
}

static void a_result_in_doubt_waits_until_the_attempt_is_known_to_be_ours(void **state)
{
	struct world *world = *state;
	struct job *job = run(world);

	view_is_started(world, job->nonce);
	world_view(world)->shard_ready = false;
	command(world, "COMPLETE", "", 5);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_answer(world);
	world_tick(world, 499);
	world_expect(world, "view k", NULL);
	world_view(world)->shard_ready = true;
	world_tick(world, 1);
	world_settle(world);
	world_expect(world, "view k", "finish k COMPLETED", "produce t.results k", NULL);
}

static void a_result_in_doubt_is_dropped_where_the_task_has_ended(void **state)
{
	struct world *world = *state;

	run(world);
	world_view_gets(world, VIEW_FINISHED);
	command(world, "COMPLETE", "", 5);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "view k", NULL);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void a_result_that_redis_calls_stale_is_dropped_as_ever(void **state)
{
	struct world *world = *state;
	struct job *job = run(world);

	view_is_started(world, job->nonce);
	world_finishes_get(world, FINISH_STALE, NULL);
	command(world, "COMPLETE", "", 5);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "view k", "finish k COMPLETED", NULL);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void an_answer_for_an_attempt_that_has_ended_meanwhile_is_for_nobody(void **state)
{
	struct world *world = *state;

	run(world);
	world_view_gets(world, VIEW_BACKING_OFF);
	command(world, "FAIL", "", 5);
	world_tick(world, 300);
	world_fail(world, "k", "Boom", false); /* by its own journal record, which is stale */
	world_tick(world, 0);
	world_ack(world, MR_OK);
	world_answer(world);
	world_expect(world, "view k", "produce t.journal k", NULL);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void a_superseded_attempt_is_no_longer_held(void **state)
{
	struct world *world = *state;

	run(world);
	world_view_gets(world, VIEW_BACKING_OFF);
	command(world, "FAIL", "", 5);
	world_tick(world, 300);
	world_settle(world);
	world_forget(world);
	world_shards_ready(world, false, "n2");
	world_tick(world, 1000);
	world_settle(world);
	world_expect(world, "lease seen=n2", NULL);
}

static void an_attempt_in_doubt_is_held_and_so_is_its_result(void **state)
{
	struct world *world = *state;
	struct job *job = run(world);

	view_is_started(world, job->nonce);
	world_view(world)->shard_ready = false;
	command(world, "COMPLETE", "", 5);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_answer(world);
	world_forget(world);
	world_shards_ready(world, false, "n2");
	world_tick(world, 1000);
	world_settle(world);
	world_expect(world, "view k", "reassert k", NULL);
	world_tick(world, 100);
	world_expect(world, "lease seen=n2", NULL);
}

static void nothing_is_journalled_of_a_superseded_attempt(void **state)
{
	struct world *world = *state;

	run(world);
	world_view_gets(world, VIEW_BACKING_OFF);
	command(world, "FAIL", "", 5);
	world_tick(world, 300);
	world_settle(world);
	world_expect(world, "view k", "kill k", NULL);
	world_beat(world, "k", "\"1\"");
	world_tick(world, 0);
	world_revoke(world, 0);
	world_settle(world);
	world_expect(world, "commit_now 0:0", NULL);
}

static void the_next_attempt_waits_until_the_former_one_is_gone(void **state)
{
	struct world *world = *state;

	run(world);
	world_record_attempt(world, 0, task, "k", "r1", 2);
	world_settle(world);
	world_expect(world, "claim k 2", "kill k", NULL);
	world_tick(world, 100);
	world_settle(world);
	world_expect(world, NULL);
	killed(world);
	world_settle(world);
	world_expect(world, "push k 2", NULL);
}

static void the_next_attempt_follows_at_once_on_one_that_has_not_started(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_record_attempt(world, 0, task, "k", "r1", 2);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", "claim k 2", "take_back k", "push k 2", NULL);
}

static void an_attempt_that_was_about_to_start_is_killed_at_its_start(void **state)
{
	struct world *world = *state;

	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k"); /* and nobody has told yet */
	world_worker(world)->config.slots = 3;
	world_record_attempt(world, 0, task, "k", "r1", 2);
	command(world, "FAIL", "", 5);
	world_settle(world);
	world_expect(world, "claim k 1", "push k 1", "claim k 2", "kill k", NULL);
}

static void a_command_is_remembered_for_an_attempt_that_starts_before_it_takes_effect(void **state)
{
	struct world *world = *state;

	command(world, "COMPLETE", "", 5);
	run(world);
	world_view_gets(world, VIEW_FINISHED);
	world_tick(world, 300);
	world_settle(world);
	world_expect(world, "view k", "kill k", NULL);
}

static void a_command_is_forgotten_after_a_minute(void **state)
{
	struct world *world = *state;

	command(world, "COMPLETE", "", 5);
	world_tick(world, 60001);
	world_settle(world);
	run(world);
	assert_int_equal(world_worker(world)->n_doubted, 0);
}

static void a_drain_gives_back_the_attempt_that_waits_for_a_former_one(void **state)
{
	struct world *world = *state;

	run(world);
	world_record_attempt(world, 0, task, "k", "r1", 2);
	world_settle(world);
	world_forget(world);
	worker_drain(world_worker(world), world_now_ms(world) * 1000);
	world_tick(world, 0);
	world_answer(world);
	killed(world);
	world_tick(world, 0);
	world_expect(world, "release k", "leave", "lease_end", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_attempt_that_was_completed_from_outside_is_killed_and_nothing_follows_from_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_ends_by_itself_before_the_kill_is_dropped_too, setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_that_is_still_ours_is_asked_for_again_later_and_later, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_attempt_under_another_nonce_is_not_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_concluded_from_data_that_is_not_vouched_for, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_of_which_nothing_is_known_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_command_for_another_attempt_or_run_brings_no_doubt, setup, teardown),
		cmocka_unit_test_setup_teardown(a_command_by_token_is_for_its_attempt, setup, teardown),
		cmocka_unit_test_setup_teardown(a_result_in_doubt_waits_until_the_attempt_is_known_to_be_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(a_result_in_doubt_is_dropped_where_the_task_has_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(a_result_that_redis_calls_stale_is_dropped_as_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_for_an_attempt_that_has_ended_meanwhile_is_for_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(a_superseded_attempt_is_no_longer_held, setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_in_doubt_is_held_and_so_is_its_result, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_journalled_of_a_superseded_attempt, setup, teardown),
		cmocka_unit_test_setup_teardown(the_next_attempt_waits_until_the_former_one_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(the_next_attempt_follows_at_once_on_one_that_has_not_started, setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_that_was_about_to_start_is_killed_at_its_start, setup, teardown),
		cmocka_unit_test_setup_teardown(a_command_is_remembered_for_an_attempt_that_starts_before_it_takes_effect, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_command_is_forgotten_after_a_minute, setup, teardown),
		cmocka_unit_test_setup_teardown(a_drain_gives_back_the_attempt_that_waits_for_a_former_one, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
