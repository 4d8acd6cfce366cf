/* SPDX-License-Identifier: Apache-2.0 */
/* Submitting: what is refused, what is sent, and what becomes of it. */
#include "producer/client_world.h"

#include <stdlib.h>

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

static void decode(struct world *world, struct arena *arena, struct task *ret)
{
	bool has_key;

	assert_int_equal(wire_decode_task(world->client->wire, world_sent_value(world), arena, ret, &has_key, NULL), MR_OK);
}

static void all_fields_arrive_in_both_formats(void **state)
{
	static const char *const types[] = {"CardDeclined", "Timeout:StartToClose"};
	static const struct mr_header headers[] = {{"tenant", "t1", 2}, {"empty", "", 0}};
	struct world *world = *state;
	struct mr_task from = {
		.size = sizeof(from),
		.queue = "q",
		.activity_type = "charge",
		.workflow_id = "w/1",
		.activity_id = "a",
		.input = MR_JSON("{\"x\": 1.50}"),
		.schedule_to_close_timeout_ms = 1,
		.schedule_to_start_timeout_ms = 2,
		.start_to_close_timeout_ms = 3,
		.heartbeat_timeout_ms = 4,
		.initial_interval_ms = 5,
		.backoff_coefficient = 1.5,
		.maximum_interval_ms = 6,
		.maximum_attempts = 7,
		.non_retryable_error_types = types,
		.n_non_retryable_error_types = 2,
		.start_delay_ms = 8,
		.priority = 1,
		.fairness_key = "f",
		.reply_topic = "replies",
		.id_reuse = MR_REUSE_ALLOW_DUPLICATE,
		.id_conflict = MR_CONFLICT_FAIL,
		.headers = headers,
		.n_headers = 2,
	};

	for (from.format = MR_FORMAT_AVRO; from.format <= MR_FORMAT_JSON; from.format++) {
		struct arena arena = {0};
		struct task task;

		assert_int_equal(world_submit_task(world, &from, false, 0), MR_OK);
		assert_notes(world, "produce millrace.tasks.q w%2F1/a\n");
		decode(world, &arena, &task);
		assert_int_equal((int)task.format, (int)from.format);
		assert_true(bytes_is(task.activity_type, "charge") && bytes_is(task.workflow_id, "w/1"));
		assert_true(bytes_is(task.input.data, "{\"x\": 1.50}") && bytes_is(task.input.content_type, PAYLOAD_JSON));
		assert_int_equal(task.schedule_to_close_timeout_ms, 1);
		assert_int_equal(task.schedule_to_start_timeout_ms, 2);
		assert_int_equal(task.start_to_close_timeout_ms, 3);
		assert_int_equal(task.heartbeat_timeout_ms, 4);
		assert_int_equal(task.retry_policy.initial_interval_ms, 5);
		assert_true(task.retry_policy.backoff_coefficient == 1.5);
		assert_int_equal(task.retry_policy.maximum_interval_ms, 6);
		assert_int_equal(task.retry_policy.maximum_attempts, 7);
		assert_int_equal(task.retry_policy.n_non_retryable_error_types, 2);
		assert_true(bytes_is(task.retry_policy.non_retryable_error_types[1], "Timeout:StartToClose"));
		assert_int_equal(task.start_delay_ms, 8);
		assert_int_equal(task.priority, 1);
		assert_true(bytes_is(task.fairness_key, "f") && bytes_is(task.reply_topic, "replies"));
		assert_int_equal(task.id_reuse_policy, REUSE_ALLOW_DUPLICATE);
		assert_int_equal(task.id_conflict_policy, CONFLICT_FAIL);
		assert_int_equal(world_sent_headers(world).len, 2);
		assert_true(bytes_is(world_sent_headers(world).items[0].value, "t1"));
		arena_deinit(&arena);
	}
}

static void a_held_task_keeps_its_own_copies(void **state)
{
	struct world *world = *state;
	char id[] = "mine", value[] = "v1";
	const struct mr_header header = {"h", value, 2};
	struct mr_task task = world_task(id);
	struct arena arena = {0};
	struct task sent;

	task.headers = &header;
	task.n_headers = 1;
	assert_int_equal(world_submit_task(world, &task, true, 0), MR_OK);
	memset(id, 'x', sizeof(id) - 1);
	memset(value, 'x', sizeof(value) - 1);
	mr_client_poll(world->client);
	world_answer_ends(world, 0);
	mr_client_poll(world->client);
	decode(world, &arena, &sent);
	assert_true(bytes_is(sent.activity_id, "mine"));
	assert_true(bytes_is(world_sent_headers(world).items[0].value, "v1"));
	arena_deinit(&arena);
}

static void every_task_has_a_run_of_its_own_and_one_without_id_gets_one(void **state)
{
	struct world *world = *state;
	struct mr_task task = world_task(NULL);
	char *keys[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(mr_submit(world->client, &task, NULL, &keys[i], NULL), MR_OK);
	assert_string_not_equal(keys[0], keys[1]);
	assert_int_equal(strlen(keys[0]), 24);
	free(keys[0]);
	free(keys[1]);
}

/* ---- Refused ---- */

static void set_no_type(struct mr_task *task)
{
	task->activity_type = NULL;
}

static void set_no_bound(struct mr_task *task)
{
	task->start_to_close_timeout_ms = 0;
}

static void set_workflow_only(struct mr_task *task)
{
	task->workflow_id = "w";
	task->activity_id = NULL;
}

static void set_negative(struct mr_task *task)
{
	task->heartbeat_timeout_ms = -1;
}

static void set_priority(struct mr_task *task)
{
	task->priority = 6;
}

static void set_queue(struct mr_task *task)
{
	task->queue = "a/b";
}

static void set_bad_json(struct mr_task *task)
{
	task->input = MR_JSON("{");
}

static void set_reserved(struct mr_task *task)
{
	static const struct mr_header header = {"millrace-key", "x", 1};

	task->headers = &header;
	task->n_headers = 1;
}

static void set_reply_topic(struct mr_task *task)
{
	task->reply_topic = "no topic";
}

static void set_format(struct mr_task *task)
{
	task->format = (enum mr_format)9;
}

static void set_size(struct mr_task *task)
{
	task->size = 0;
}

static void a_wrong_field_is_named_and_nothing_is_sent(void **state)
{
	static const struct {
		void (*set)(struct mr_task *task);
		const char *where;
	} cases[] = {
		{set_no_type, "activity_type"},
		{set_no_bound, "start_to_close_timeout_ms"},
		{set_workflow_only, "activity_id"},
		{set_negative, "heartbeat_timeout_ms"},
		{set_priority, "priority"},
		{set_queue, "queue"},
		{set_bad_json, "input"},
		{set_reserved, "headers"},
		{set_reply_topic, "reply_topic"},
		{set_format, "format"},
		{set_size, "size"},
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mr_task task = world_task("k");

		cases[i].set(&task);
		assert_int_equal(world_submit_task(world, &task, i % 2, 0), MR_EINVAL);
		assert_int_equal(world->err.code, MR_EINVAL);
		assert_string_equal(world->err.where, cases[i].where);
		task = world_task("k");
		cases[i].set(&task);
		assert_int_equal(mr_submit(world->client, &task, NULL, NULL, NULL), MR_EINVAL);
	}
	assert_notes(world, "");
	assert_int_equal(mr_client_unacknowledged(world->client) + mr_client_awaited(world->client), 0);
}

static void an_input_that_makes_too_large_a_record_is_refused_with_both_sizes(void **state)
{
	struct world *world = *state;
	char *input = calloc(1, 800000);
	struct mr_task task = world_task("k");

	assert_non_null(input);
	task.input = (struct mr_payload){input, 800000, "a/b"};
	/* JSON carries bytes as base64. */
	assert_int_equal(world_submit_task(world, &task, true, 0), MR_ETOO_LARGE);
	assert_non_null(strstr(world->err.message, "800000"));
	assert_non_null(strstr(world->err.message, "1000000"));
	task.format = MR_FORMAT_AVRO;
	assert_int_equal(world_submit_task(world, &task, false, 0), MR_OK);
	free(input);
}

static void a_full_queue_leaves_nothing_behind(void **state)
{
	struct world *world = *state;

	world->produce_status = MR_EFULL;
	assert_int_equal(world_submit(world, "k", false, 0), MR_EFULL);
	assert_int_equal(mr_client_unacknowledged(world->client), 0);
	world->client->max_queue_bytes = 100;
	assert_int_equal(world_submit(world, "k", true, 0), MR_EFULL);
	assert_int_equal(mr_client_unacknowledged(world->client) + mr_client_awaited(world->client), 0);
}

static void a_held_task_waits_for_room(void **state)
{
	struct world *world = *state;

	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	mr_client_poll(world->client);
	world->produce_status = MR_EFULL;
	world_answer_ends(world, 0);
	mr_client_poll(world->client);
	buf_reset(&world->notes);
	world->produce_status = MR_OK;
	mr_client_poll(world->client);
	assert_notes(world, "produce millrace.tasks.default k\n");
}

/* ---- What becomes of it ---- */

static void a_submission_that_failed_ends_its_await_too(void **state)
{
	struct world *world = *state;

	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	mr_client_poll(world->client);
	world_answer_ends(world, 0);
	mr_client_poll(world->client);
	buf_reset(&world->notes);
	world_deliver(world, MR_ENOT_FOUND, -1, -1);
	assert_notes(world, "submitted k MR_ENOT_FOUND\ndone MR_ENOT_FOUND\n");
	assert_non_null(strstr(world->err.message, "millrace setup"));
}

static void an_acknowledgement_that_does_not_come_is_told_as_unknown_and_once(void **state)
{
	struct world *world = *state;

	assert_int_equal(world_submit(world, "k", false, 0), MR_OK);
	world_pass(world, 30 * WORLD_SECOND_US - 1);
	buf_reset(&world->notes);
	world_pass(world, 1);
	assert_notes(world, "submitted k MR_EKAFKA\n");
	assert_non_null(strstr(world->err.message, "submitting the same ids again is safe"));
	assert_int_equal(mr_client_unacknowledged(world->client), 0);
	world_deliver(world, MR_OK, 0, 0);
	assert_notes(world, "");
}

static void a_task_that_could_not_be_sent_is_told_as_not_sent(void **state)
{
	struct world *world = *state;

	world->partitions = 0;
	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	world_pass(world, 30 * WORLD_SECOND_US);
	assert_notes(world, "submitted k MR_EKAFKA\ndone MR_EKAFKA\n");
	assert_non_null(strstr(world->err.message, "not sent"));
}

static void a_result_may_come_before_the_acknowledgement(void **state)
{
	struct world *world = *state;

	assert_int_equal(world_submit(world, "k", true, 0), MR_OK);
	mr_client_poll(world->client);
	world_answer_ends(world, 0);
	mr_client_poll(world->client);
	buf_reset(&world->notes);
	world_result(world, "k", 0, "r", "COMPLETED");
	world_deliver(world, MR_OK, 0, 0);
	assert_notes(world, "done k COMPLETED of r\nsubmitted k MR_OK\n");
}

static void flush_tells_the_failure_that_nobody_was_told(void **state)
{
	struct world *world = *state;
	struct mr_task task = world_task("k");

	assert_int_equal(mr_submit(world->client, &task, NULL, NULL, NULL), MR_OK);
	world_deliver(world, MR_ETOO_LARGE, -1, -1);
	assert_int_equal(mr_client_flush(world->client, 1, &world->err), MR_ETOO_LARGE);
	assert_int_equal(mr_client_flush(world->client, 1, NULL), MR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_fields_arrive_in_both_formats),
		TEST(a_held_task_keeps_its_own_copies),
		TEST(every_task_has_a_run_of_its_own_and_one_without_id_gets_one),
		TEST(a_wrong_field_is_named_and_nothing_is_sent),
		TEST(an_input_that_makes_too_large_a_record_is_refused_with_both_sizes),
		TEST(a_full_queue_leaves_nothing_behind),
		TEST(a_held_task_waits_for_room),
		TEST(a_submission_that_failed_ends_its_await_too),
		TEST(an_acknowledgement_that_does_not_come_is_told_as_unknown_and_once),
		TEST(a_task_that_could_not_be_sent_is_told_as_not_sent),
		TEST(a_result_may_come_before_the_acknowledgement),
		TEST(flush_tells_the_failure_that_nobody_was_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
