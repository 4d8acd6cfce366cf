/* SPDX-License-Identifier: Apache-2.0 */
/* What a caller who no longer wants to wait does to the task, by cancellation type. */
#include "producer/client_world.h"

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

/* "k" was submitted, is awaited and acknowledged. */
static void begin(struct world *world, enum mr_cancellation_type type)
{
	world->cancellation = type;
	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	mr_client_poll(world->client);
	world_answer_ends(world, 100);
	mr_client_poll(world->client);
	world_deliver(world, MR_OK, 0, 55);
	buf_reset(&world->notes);
}

static enum mr_status cancel(struct world *world)
{
	return mr_client_cancel_await(world->client, "k", &world->err);
}

static void wait_sends_one_cancel_and_awaits_how_the_task_ends(void **state)
{
	struct world *world = *state;
	struct arena arena = {0};

	begin(world, MR_WAIT_CANCELLATION_COMPLETED);
	assert_int_equal(cancel(world), MR_OK);
	assert_int_equal(cancel(world), MR_OK);
	assert_notes(world, "produce millrace.control k\n");
	assert_int_equal(world_sent_command(world, &arena).command, CONTROL_CANCEL);
	assert_false(bytes_present(world_sent_command(world, &arena).run_id));
	world_pass(world, WORLD_SECOND_US);
	assert_notes(world, "");
	world_result(world, "k", 100, "r", "CANCELED");
	assert_notes(world, "done k CANCELED of r\n");
	arena_deinit(&arena);
}

static void try_sends_the_cancel_and_ends_at_once(void **state)
{
	struct world *world = *state;

	begin(world, MR_TRY_CANCEL);
	assert_int_equal(cancel(world), MR_OK);
	assert_int_equal(cancel(world), MR_OK);
	assert_notes(world, "produce millrace.control k\n");
	mr_client_poll(world->client);
	assert_notes(world, "done MR_ECANCELED\n");
	assert_int_equal(mr_client_awaited(world->client), 0);
	assert_int_equal(cancel(world), MR_ENOT_FOUND);
}

static void abandon_sends_nothing_and_ends_at_once(void **state)
{
	struct world *world = *state;

	begin(world, MR_ABANDON);
	assert_int_equal(cancel(world), MR_OK);
	mr_client_poll(world->client);
	assert_notes(world, "done MR_ECANCELED\n");
	assert_non_null(strstr(world->err.message, "goes on"));
}

static void each_await_of_the_key_ends_by_its_own_type(void **state)
{
	struct world *world = *state;

	begin(world, MR_WAIT_CANCELLATION_COMPLETED);
	world->cancellation = MR_ABANDON;
	assert_int_equal(world_await(world, "k", false, false, 0), MR_OK);
	assert_int_equal(cancel(world), MR_OK);
	mr_client_poll(world->client);
	assert_notes(world, "produce millrace.control k\ndone MR_ECANCELED\n");
	world_result(world, "k", 100, "r", "COMPLETED");
	assert_notes(world, "done k COMPLETED of r\n");
}

static void what_was_not_sent_yet_is_not_sent(void **state)
{
	struct world *world = *state;

	world->cancellation = MR_TRY_CANCEL;
	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	assert_int_equal(cancel(world), MR_OK);
	mr_client_poll(world->client);
	world_answer_ends(world, 100);
	mr_client_poll(world->client);
	assert_null(strstr(buf_cstr(&world->notes), "produce"));
	assert_non_null(strstr(buf_cstr(&world->notes), "submitted k MR_ECANCELED\ndone MR_ECANCELED\n"));
	assert_int_equal(mr_client_unacknowledged(world->client), 0);
}

static void what_is_abandoned_before_it_was_sent_is_sent_all_the_same(void **state)
{
	struct world *world = *state;

	world->cancellation = MR_ABANDON;
	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	assert_int_equal(cancel(world), MR_OK);
	mr_client_poll(world->client);
	assert_non_null(strstr(buf_cstr(&world->notes), "done MR_ECANCELED\n"));
	world_answer_ends(world, 100);
	mr_client_poll(world->client);
	assert_non_null(strstr(buf_cstr(&world->notes), "produce millrace.tasks.default k\n"));
}

static void the_cancel_of_a_run_of_its_own_names_it(void **state)
{
	struct world *world = *state;
	struct mr_task task = world_task("k");
	struct arena arena = {0};
	const char *run;

	begin(world, MR_TRY_CANCEL);
	world_result(world, "k", 100, "r", "COMPLETED");
	task.id_reuse = MR_REUSE_ALLOW_DUPLICATE;
	task.id_conflict = MR_CONFLICT_FAIL;
	assert_int_equal(world_submit_task(world, &task, true, 0), MR_OK);
	run = world_sent_run(world, &arena);
	assert_int_equal(cancel(world), MR_OK);
	assert_true(bytes_is(world_sent_command(world, &arena).run_id, run));
	arena_deinit(&arena);
}

static void a_client_that_is_full_cancels_when_it_is_asked_again(void **state)
{
	struct world *world = *state;

	begin(world, MR_TRY_CANCEL);
	world->produce_status = MR_EFULL;
	assert_int_equal(cancel(world), MR_EFULL);
	world->produce_status = MR_OK;
	mr_client_poll(world->client);
	assert_notes(world, "produce refused\n");
	assert_int_equal(cancel(world), MR_OK);
	mr_client_poll(world->client);
	assert_notes(world, "produce millrace.control k\ndone MR_ECANCELED\n");
}

static void cancel_the_rest(struct world *world)
{
	world->on_done = NULL;
	assert_int_equal(mr_client_cancel_await(world->client, "k", NULL), MR_OK);
}

static void a_callback_may_cancel_others(void **state)
{
	struct world *world = *state;

	begin(world, MR_TRY_CANCEL);
	assert_int_equal(world_await(world, "k", false, false, 1), MR_OK);
	world->on_done = cancel_the_rest;
	world_pass(world, WORLD_SECOND_US);
	assert_notes(world, "done MR_ETIMEOUT\nproduce millrace.control k\ndone MR_ECANCELED\n");
}

static void a_type_that_is_none_is_refused(void **state)
{
	struct world *world = *state;

	world->cancellation = (enum mr_cancellation_type)3;
	assert_int_equal(world_submit(world, "k", true, 0), MR_EINVAL);
	assert_string_equal(world->err.where, "cancellation_type");
	assert_int_equal(world_await(world, "k", false, false, 0), MR_EINVAL);
	assert_string_equal(world->err.where, "cancellation_type");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(wait_sends_one_cancel_and_awaits_how_the_task_ends),
		TEST(try_sends_the_cancel_and_ends_at_once),
		TEST(abandon_sends_nothing_and_ends_at_once),
		TEST(each_await_of_the_key_ends_by_its_own_type),
		TEST(what_was_not_sent_yet_is_not_sent),
		TEST(what_is_abandoned_before_it_was_sent_is_sent_all_the_same),
		TEST(the_cancel_of_a_run_of_its_own_names_it),
		TEST(a_client_that_is_full_cancels_when_it_is_asked_again),
		TEST(a_callback_may_cancel_others),
		TEST(a_type_that_is_none_is_refused),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
