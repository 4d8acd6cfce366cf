/* SPDX-License-Identifier: Apache-2.0 */
/* Several runs of one key: which of their results answers a submission that allows duplicates. */
#include "producer/client_world.h"

#include <stdio.h>

static int setup(void **state)
{
	*state = world_new();
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

/* A task that may join, or run anew, was sent; the log ended at 100. */
static void begin(struct world *world, enum mr_id_reuse reuse)
{
	struct mr_task task = world_task("k");

	task.id_reuse = reuse;
	assert_int_equal(world_submit_task(world, &task, true, 0), MR_OK);
	mr_client_poll(world->client);
	world_answer_ends(world, 100);
	mr_client_poll(world->client);
	world_deliver(world, MR_OK, 0, 55);
	buf_reset(&world->notes);
}

/* The results of the key are read from the beginning, to the end as of now. */
static void look_back(struct world *world, int64_t end)
{
	char text[64];

	world_pass(world, WORLD_SECOND_US);
	world_answer_ends(world, end);
	mr_client_poll(world->client);
	snprintf(text, sizeof(text), "end of %d?\nread %d@-2\n", world_shard("k"), world_shard("k"));
	assert_notes(world, text);
}

static void the_result_of_its_own_run_answers_at_once(void **state)
{
	struct world *world = *state;
	struct arena arena = {0};

	begin(world, MR_REUSE_ALLOW_DUPLICATE);
	world_result(world, "k", 101, world_sent_run(world, &arena), "COMPLETED");
	assert_notes(world, "done k COMPLETED of 0123456789abcdef00000000\n");
	arena_deinit(&arena);
}

static void a_copy_of_a_run_that_had_ended_before_is_passed_over(void **state)
{
	struct world *world = *state;
	struct arena arena = {0};

	begin(world, MR_REUSE_ALLOW_DUPLICATE);
	world_result(world, "k", 101, "old", "FAILED");
	look_back(world, 102);
	world_result(world, "k", 40, "old", "FAILED");
	world_result(world, "k", 101, "old", "FAILED");
	world_result(world, "k", 105, "old", "FAILED");
	assert_notes(world, "");
	world_result(world, "k", 106, world_sent_run(world, &arena), "COMPLETED");
	assert_notes(world, "done k COMPLETED of 0123456789abcdef00000000\n");
	arena_deinit(&arena);
}

static void the_run_that_was_joined_answers(void **state)
{
	struct world *world = *state;

	begin(world, MR_REUSE_ALLOW_DUPLICATE_FAILED_ONLY);
	world_result(world, "k", 101, "running", "COMPLETED");
	look_back(world, 102);
	world_result(world, "k", 40, "old", "COMPLETED");
	world_result(world, "k", 41, "older", "COMPLETED");
	assert_notes(world, "");
	world_result(world, "k", 101, "running", "COMPLETED");
	assert_notes(world, "done k COMPLETED of running\n");
}

static void its_own_result_answers_that_came_while_the_end_was_asked_for(void **state)
{
	struct world *world = *state;
	struct arena arena = {0};
	const char *run;

	begin(world, MR_REUSE_ALLOW_DUPLICATE);
	run = world_sent_run(world, &arena);
	world_result(world, "k", 101, "old", "FAILED");
	world_result(world, "k", 102, run, "COMPLETED");
	look_back(world, 103);
	world_result(world, "k", 40, "old", "FAILED");
	world_result(world, "k", 101, "old", "FAILED");
	world_result(world, "k", 102, run, "COMPLETED");
	assert_notes(world, "done k COMPLETED of 0123456789abcdef00000000\n");
	arena_deinit(&arena);
}

static void what_had_ended_is_read_once(void **state)
{
	struct world *world = *state;

	begin(world, MR_REUSE_REJECT_DUPLICATE);
	world_result(world, "k", 101, "old", "FAILED");
	look_back(world, 102);
	world_result(world, "k", 40, "old", "FAILED");
	world_result(world, "k", 101, "old", "FAILED");
	world_result(world, "k", 102, "joined", "TIMED_OUT");
	assert_notes(world, "done k TIMED_OUT of joined\n");
}

static void a_refusal_of_this_submission_answers_at_once(void **state)
{
	struct world *world = *state;
	struct arena arena = {0};

	begin(world, MR_REUSE_REJECT_DUPLICATE);
	world_answer(world, "k", 101, "of-another-one");
	assert_notes(world, "");
	world_answer(world, "k", 102, world_sent_run(world, &arena));
	assert_notes(world, "done k FAILED of 0123456789abcdef00000000\n");
	arena_deinit(&arena);
}

static void time_that_runs_out_while_it_looks_back_is_told(void **state)
{
	struct mr_task task = world_task("k");
	struct world *world = *state;

	begin(world, MR_REUSE_RETURN_EXISTING);
	world_result(world, "k", 100, "r", "COMPLETED");
	task.id_reuse = MR_REUSE_ALLOW_DUPLICATE;
	assert_int_equal(world_submit_task(world, &task, true, 1000), MR_OK);
	world_deliver(world, MR_OK, 0, 56);
	world_result(world, "k", 101, "old", "FAILED");
	buf_reset(&world->notes);
	world_pass(world, WORLD_SECOND_US);
	assert_non_null(strstr(buf_cstr(&world->notes), "done MR_ETIMEOUT\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(the_result_of_its_own_run_answers_at_once),
		TEST(a_copy_of_a_run_that_had_ended_before_is_passed_over),
		TEST(the_run_that_was_joined_answers),
		TEST(its_own_result_answers_that_came_while_the_end_was_asked_for),
		TEST(what_had_ended_is_read_once),
		TEST(a_refusal_of_this_submission_answers_at_once),
		TEST(time_that_runs_out_while_it_looks_back_is_told),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
