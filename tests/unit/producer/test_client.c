/* SPDX-License-Identifier: Apache-2.0 */
/* Awaiting results: which record answers whom, and from where on the log is read. */
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

/* "k" is awaited and was sent; the log ended at 100. */
static void begin(struct world *world)
{
	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	mr_client_poll(world->client);
	world_answer_ends(world, 100);
	mr_client_poll(world->client);
	world_deliver(world, MR_OK, 0, 55);
	buf_reset(&world->notes);
}

static void a_task_that_is_awaited_is_sent_after_the_end_of_its_partition_is_known(void **state)
{
	struct world *world = *state;
	char text[128];

	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	assert_notes(world, "");
	mr_client_poll(world->client);
	snprintf(text, sizeof(text), "end of %d?\n", world_shard("k"));
	assert_notes(world, text);
	world_answer_ends(world, 100);
	mr_client_poll(world->client);
	snprintf(text, sizeof(text), "read %d@100\nproduce millrace.tasks.default k\n", world_shard("k"));
	assert_notes(world, text);
	world_deliver(world, MR_OK, 0, 55);
	assert_notes(world, "submitted k MR_OK\n");
	world_result(world, "k", 100, "r", "COMPLETED");
	assert_notes(world, "done k COMPLETED of r\n");
	assert_int_equal(mr_client_awaited(world->client), 0);
}

static void a_second_task_of_the_partition_is_sent_at_once(void **state)
{
	struct world *world = *state;

	begin(world);
	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	assert_notes(world, "produce millrace.tasks.default k\n");
}

static void another_partition_is_added_where_the_first_one_is_read_on(void **state)
{
	struct world *world = *state;
	char other[] = "a", text[128];
	int first = world_shard("k"), second;

	while (world_shard(other) == first)
		other[0]++;
	second = world_shard(other);
	begin(world);
	world_result(world, "k", 120, "r", "COMPLETED");
	assert_int_equal(world_submit(world, other, true, 0), MR_OK);
	world_pass(world, WORLD_SECOND_US);
	buf_reset(&world->notes);
	world_answer_ends(world, 300);
	mr_client_poll(world->client);
	snprintf(text, sizeof(text), "read %d@%d %d@%d\nproduce millrace.tasks.default %s\n", first < second ? first : second,
		 first < second ? 121 : 300, first < second ? second : first, first < second ? 300 : 121, other);
	assert_notes(world, text);
}

static void a_result_that_was_there_before_the_submission_does_not_count(void **state)
{
	struct world *world = *state;

	begin(world);
	world_result(world, "k", 99, "old", "COMPLETED");
	assert_notes(world, "");
	world_result(world, "k", 100, "new", "COMPLETED");
	assert_notes(world, "done k COMPLETED of new\n");
}

static void the_first_result_answers_all_that_await_the_key_and_copies_are_dropped(void **state)
{
	struct world *world = *state;

	begin(world);
	assert_int_equal(world_await(world, "k", false, false, 0), MR_OK);
	world_result(world, "k", 101, "r", "FAILED");
	assert_notes(world, "done k FAILED of r\ndone k FAILED of r\n");
	world_result(world, "k", 102, "r", "COMPLETED");
	assert_notes(world, "");
}

static void an_answer_to_another_publication_is_not_ours(void **state)
{
	struct world *world = *state;
	struct arena arena = {0};

	begin(world);
	world_answer(world, "k", 101, "someone-else");
	assert_notes(world, "");
	world_answer(world, "k", 102, world_sent_run(world, &arena));
	assert_notes(world, "done k FAILED of 0123456789abcdef00000000\n");
	arena_deinit(&arena);
}

static void a_record_of_ours_that_nobody_understood_is_known_by_its_place(void **state)
{
	struct world *world = *state;

	begin(world);
	world_answer(world, "k", 101, "millrace.tasks.default:0:54");
	assert_notes(world, "");
	world_answer(world, "k", 102, "millrace.tasks.default:0:55");
	assert_notes(world, "done k FAILED of millrace.tasks.default:0:55\n");
}

static void a_task_that_joins_nobody_takes_the_result_of_its_own_run_only(void **state)
{
	struct world *world = *state;
	struct mr_task task = world_task("k");
	struct arena arena = {0};

	begin(world);
	world_result(world, "k", 100, "r", "COMPLETED");
	buf_reset(&world->notes);
	task.id_reuse = MR_REUSE_REJECT_DUPLICATE;
	task.id_conflict = MR_CONFLICT_FAIL;
	assert_int_equal(world_submit_task(world, &task, true, 0), MR_OK);
	buf_reset(&world->notes);
	world_result(world, "k", 101, "other", "COMPLETED");
	assert_notes(world, "");
	world_result(world, "k", 102, world_sent_run(world, &arena), "COMPLETED");
	assert_notes(world, "done k COMPLETED of 0123456789abcdef00000001\n");
	arena_deinit(&arena);
}

static void a_record_that_cannot_be_understood_ends_the_await_with_its_place(void **state)
{
	struct world *world = *state;

	begin(world);
	world_result(world, "k", 101, NULL, NULL);
	assert_notes(world, "done MR_EBAD_RECORD\n");
	assert_non_null(strstr(world->err.message, "offset 101"));
}

/* ---- From the start ---- */

static void await_from_start(struct world *world, bool existing_only, int64_t wait_ms, int64_t end)
{
	char text[64];

	assert_int_equal(world_await(world, "k", true, existing_only, wait_ms), MR_OK);
	mr_client_poll(world->client);
	world_answer_ends(world, end);
	mr_client_poll(world->client);
	snprintf(text, sizeof(text), "end of %d?\nread %d@-2\n", world_shard("k"), world_shard("k"));
	if (end > 0)
		assert_notes(world, text);
}

static void from_the_start_the_first_result_of_the_last_run_answers(void **state)
{
	struct world *world = *state;

	await_from_start(world, false, 0, 10);
	world_result(world, "k", 2, "r1", "FAILED");
	world_result(world, "k", 3, "r2", "COMPLETED");
	world_result(world, "k", 5, "r1", "FAILED");
	world_result(world, "k", 6, "r2", "TIMED_OUT");
	assert_notes(world, "");
	world_result(world, "k", 9, "r2", "COMPLETED");
	assert_notes(world, "done k COMPLETED of r2\n");
}

static void from_the_start_it_waits_on_where_there_is_none(void **state)
{
	struct world *world = *state;

	await_from_start(world, false, 0, 10);
	world_result(world, "k", 20, "later", "COMPLETED");
	assert_notes(world, "done k COMPLETED of later\n");
}

static void existing_only_ends_with_the_log(void **state)
{
	struct world *world = *state;

	await_from_start(world, true, 0, 0);
	assert_true(strstr(buf_cstr(&world->notes), "done MR_ENOT_FOUND\n") != NULL);
}

static void time_that_runs_out_during_the_scan_gives_what_was_found(void **state)
{
	struct world *world = *state;

	await_from_start(world, true, 1000, 10);
	world_result(world, "k", 2, "r1", "COMPLETED");
	world_pass(world, WORLD_SECOND_US);
	assert_notes(world, "done k COMPLETED of r1\n");
}

static void reading_again_from_the_start_does_not_tell_old_results_to_others(void **state)
{
	struct world *world = *state;
	char text[64];

	begin(world);
	assert_int_equal(world_await(world, "k", true, false, 0), MR_OK);
	world_pass(world, WORLD_SECOND_US);
	world_answer_ends(world, 110);
	mr_client_poll(world->client);
	snprintf(text, sizeof(text), "end of %d?\nread %d@-2\n", world_shard("k"), world_shard("k"));
	assert_notes(world, text);
	world_result(world, "k", 3, "old", "COMPLETED");
	assert_notes(world, "");
	world_result(world, "k", 109, "new", "COMPLETED");
	assert_notes(world, "done k COMPLETED of new\ndone k COMPLETED of new\n");
}

/* ---- Time and trouble ---- */

static void an_await_ends_when_its_time_is_over(void **state)
{
	struct world *world = *state;

	assert_int_equal(world_submit(world, "k", true, 500), MR_OK);
	mr_client_poll(world->client);
	world_answer_ends(world, 100);
	mr_client_poll(world->client);
	world_deliver(world, MR_OK, 0, 0);
	world_pass(world, 499999);
	buf_reset(&world->notes);
	world_pass(world, 1);
	assert_notes(world, "done MR_ETIMEOUT\n");
	world_result(world, "k", 100, "r", "COMPLETED");
	assert_notes(world, "");
}

static void ends_that_could_not_be_told_are_asked_again(void **state)
{
	struct world *world = *state;
	char text[64];

	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	mr_client_poll(world->client);
	snprintf(text, sizeof(text), "end of %d?\n", world_shard("k"));
	assert_notes(world, text);
	world_answer_ends(world, -1);
	mr_client_poll(world->client);
	assert_notes(world, "");
	world_pass(world, 100000);
	assert_notes(world, text);
}

static void awaits_wait_until_the_number_of_partitions_is_known(void **state)
{
	struct world *world = *state;
	char text[64];

	world->partitions = 0;
	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	world_pass(world, WORLD_SECOND_US);
	assert_notes(world, "");
	world->partitions = WORLD_SHARDS;
	world_pass(world, WORLD_SECOND_US);
	snprintf(text, sizeof(text), "end of %d?\n", world_shard("k"));
	assert_notes(world, text);
}

static void where_kafka_is_away_the_end_of_the_time_says_so(void **state)
{
	struct world *world = *state;

	assert_int_equal(world_await(world, "k", false, false, 500), MR_OK);
	world->callbacks.health(world->callbacks.ctx, MR_EKAFKA, "Kafka cannot be reached: refused");
	world_pass(world, WORLD_SECOND_US);
	assert_true(strstr(buf_cstr(&world->notes), "done MR_EKAFKA\n") != NULL);
	assert_non_null(strstr(world->err.message, "refused"));
}

static void what_is_read_for_nobody_is_given_up_after_a_while(void **state)
{
	struct world *world = *state;
	char text[64];

	begin(world);
	world_result(world, "k", 100, "r", "COMPLETED");
	buf_reset(&world->notes);
	world_pass(world, READER_IDLE_US - 1);
	assert_notes(world, "");
	world_pass(world, 1);
	assert_notes(world, "read\n");
	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	world_pass(world, WORLD_SECOND_US);
	snprintf(text, sizeof(text), "end of %d?\n", world_shard("k"));
	assert_notes(world, text);
}

static void await_the_same_again(struct world *world)
{
	world->on_done = NULL;
	assert_int_equal(world_await(world, "k", false, false, 0), MR_OK);
	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
}

static void a_callback_may_submit_and_await(void **state)
{
	struct world *world = *state;

	begin(world);
	world->on_done = await_the_same_again;
	world_result(world, "k", 100, "r", "COMPLETED");
	/* The copy that is being told is not told again to those that came meanwhile. */
	assert_notes(world, "done k COMPLETED of r\nproduce millrace.tasks.default k\n");
	world_result(world, "k", 101, "r", "COMPLETED");
	assert_notes(world, "done k COMPLETED of r\ndone k COMPLETED of r\n");
}

static void a_client_that_is_freed_tells_all(void **state)
{
	struct world *world = world_new();
	struct mr_client *client = world->client;

	(void)state;
	assert_int_equal(world_submit(world, "held", true, 0), MR_OK);
	assert_int_equal(world_submit(world, "sent", false, 0), MR_OK);
	assert_int_equal(world_await(world, "k", true, false, 0), MR_OK);
	buf_reset(&world->notes);
	world->client = NULL;
	mr_client_free(client);
	assert_notes(world, "submitted held MR_ECLOSED\ndone MR_ECLOSED\nsubmitted sent MR_EKAFKA\ndone MR_ECLOSED\n");
	world_free(world);
}

static void a_result_is_shown_with_all_its_fields(void **state)
{
	struct world *world = *state;
	const struct mr_result *result;

	begin(world);
	world_result(world, "k", 100, "r", "FAILED");
	result = world->result;
	assert_string_equal(result->task_key, "k");
	assert_null(result->workflow_id);
	assert_string_equal(result->queue, "default");
	assert_string_equal(result->result_id, "id-r");
	assert_int_equal(result->attempt, 1);
	assert_int_equal(result->closed_at_ms, 7);
	assert_int_equal(result->started_at_ms, -1);
	assert_string_equal(result->failure->type, "T");
	assert_string_equal(result->failure->message, "m");
	assert_null(result->failure->cause);
	assert_null(result->result.data);
	assert_memory_equal(result->record, "{\"task_key\":\"k\"", 15);
	assert_non_null(strstr(mr_result_json(world->result), "\"status\":\"FAILED\""));
}

static void many_deadlines_end_in_their_order(void **state)
{
	struct world *world = *state;

	for (int64_t i = 0; i < 200; i++)
		assert_int_equal(world_await(world, "k", false, false, 1 + i * 7919 % 1000), MR_OK);
	for (size_t left = 200; left > 0; left = mr_client_awaited(world->client)) {
		int64_t next_us = awaits_deadline_us(&world->client->awaits);

		assert_true(next_us > world->now_us);
		world_pass(world, next_us - world->now_us - 1);
		assert_int_equal(mr_client_awaited(world->client), left);
		world_pass(world, 1);
		assert_true(mr_client_awaited(world->client) < left);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_task_that_is_awaited_is_sent_after_the_end_of_its_partition_is_known),
		TEST(a_second_task_of_the_partition_is_sent_at_once),
		TEST(another_partition_is_added_where_the_first_one_is_read_on),
		TEST(a_result_that_was_there_before_the_submission_does_not_count),
		TEST(the_first_result_answers_all_that_await_the_key_and_copies_are_dropped),
		TEST(an_answer_to_another_publication_is_not_ours),
		TEST(a_record_of_ours_that_nobody_understood_is_known_by_its_place),
		TEST(a_task_that_joins_nobody_takes_the_result_of_its_own_run_only),
		TEST(a_record_that_cannot_be_understood_ends_the_await_with_its_place),
		TEST(from_the_start_the_first_result_of_the_last_run_answers),
		TEST(from_the_start_it_waits_on_where_there_is_none),
		TEST(existing_only_ends_with_the_log),
		TEST(time_that_runs_out_during_the_scan_gives_what_was_found),
		TEST(reading_again_from_the_start_does_not_tell_old_results_to_others),
		TEST(an_await_ends_when_its_time_is_over),
		TEST(ends_that_could_not_be_told_are_asked_again),
		TEST(awaits_wait_until_the_number_of_partitions_is_known),
		TEST(where_kafka_is_away_the_end_of_the_time_says_so),
		TEST(what_is_read_for_nobody_is_given_up_after_a_while),
		TEST(a_callback_may_submit_and_await),
		TEST(a_client_that_is_freed_tells_all),
		TEST(a_result_is_shown_with_all_its_fields),
		TEST(many_deadlines_end_in_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
