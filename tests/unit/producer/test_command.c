/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: the record that each makes, and what is refused before it is sent. */
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

static struct mr_command command_of(enum mr_command_kind kind)
{
	return (struct mr_command){.size = sizeof(struct mr_command), .kind = kind, .task_key = "w/k", .format = MR_FORMAT_JSON};
}

static void assert_sent(struct world *world, const char *text)
{
	struct bytes value = world_sent_value(world);

	if (!bytes_is(value, text)) {
		print_error("expected:\n%s\ngot:\n%.*s\n", text, BYTES_ARG(value));
		fail();
	}
}

static void a_command_is_sent_under_the_key_of_its_task_and_told_when_kafka_has_it(void **state)
{
	struct world *world = *state;
	struct mr_command cancel = command_of(MR_COMMAND_CANCEL);

	cancel.run_id = "r1";
	cancel.reason = "too \"late\"";
	assert_int_equal(world_command(world, &cancel), MR_OK);
	assert_notes(world, "produce millrace.control w/k\n");
	assert_sent(world, "{\"command\":\"CANCEL\",\"task_key\":\"w/k\",\"run_id\":\"r1\",\"request_id\":\"0123456789abcdef\","
			   "\"reason\":\"too \\\"late\\\"\"}");
	assert_int_equal(mr_client_unacknowledged(world->client), 1);
	world_deliver(world, MR_OK, 2, 7);
	assert_notes(world, "submitted w/k MR_OK\n");
	assert_int_equal(mr_client_unacknowledged(world->client), 0);
}

static void the_request_id_is_told_so_that_the_same_command_can_be_sent_again(void **state)
{
	struct world *world = *state;
	struct mr_command pause = command_of(MR_COMMAND_PAUSE);
	struct arena arena = {0};
	char *request_id = NULL;

	assert_int_equal(mr_command_async(world->client, &pause, NULL, &request_id, NULL), MR_OK);
	assert_string_equal(request_id, "0123456789abcdef");
	free(request_id);
	pause.request_id = "mine";
	assert_int_equal(mr_command_async(world->client, &pause, NULL, &request_id, NULL), MR_OK);
	assert_string_equal(request_id, "mine");
	assert_true(bytes_is(world_sent_command(world, &arena).request_id, "mine"));
	free(request_id);
	arena_deinit(&arena);
}

static void every_simple_command_has_its_name(void **state)
{
	static const enum mr_command_kind kinds[] = {MR_COMMAND_CANCEL, MR_COMMAND_TERMINATE, MR_COMMAND_PAUSE,
						     MR_COMMAND_UNPAUSE, MR_COMMAND_RESET};
	static const char *const names[] = {"CANCEL", "TERMINATE", "PAUSE", "UNPAUSE", "RESET"};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct mr_command command = command_of(kinds[i]);
		struct arena arena = {0};

		assert_int_equal(world_command(world, &command), MR_OK);
		assert_string_equal(control_command_name(world_sent_command(world, &arena).command), names[i]);
		arena_deinit(&arena);
	}
}

static void complete_fail_and_heartbeat_carry_their_payloads(void **state)
{
	const struct mr_failure cause = {.type = "Cause", .message = "c", .non_retryable = true};
	const struct mr_failure failure = {.message = "m", .details = MR_JSON("[1]"), .cause = &cause};
	struct mr_command complete = command_of(MR_COMMAND_COMPLETE), fails = command_of(MR_COMMAND_FAIL);
	struct mr_command heartbeat = command_of(MR_COMMAND_HEARTBEAT);
	struct world *world = *state;

	complete.token = "t1";
	complete.result = MR_JSON("{\"ok\":true}");
	fails.failure = &failure;
	heartbeat.details = (struct mr_payload){"\x01", 1, "a/b"};
	assert_int_equal(world_command(world, &complete), MR_OK);
	assert_sent(world,
		    "{\"command\":\"COMPLETE\",\"task_key\":\"w/k\",\"request_id\":\"0123456789abcdef\",\"result\":{\"ok\":"
		    "true},\"token\":\"t1\"}");
	assert_int_equal(world_command(world, &fails), MR_OK);
	assert_sent(world, "{\"command\":\"FAIL\",\"task_key\":\"w/k\",\"request_id\":\"0123456789abcdef\",\"failure\":{\"type\":"
			   "\"Failed\",\"message\":\"m\",\"non_retryable\":false,\"details\":[1],\"cause\":{\"type\":\"Cause\","
			   "\"message\":\"c\",\"non_retryable\":true}}}");
	assert_int_equal(world_command(world, &heartbeat), MR_OK);
	assert_sent(world,
		    "{\"command\":\"HEARTBEAT\",\"task_key\":\"w/k\",\"request_id\":\"0123456789abcdef\",\"details_base64\":"
		    "\"AQ==\",\"details_content_type\":\"a/b\"}");
}

static void an_update_has_the_fields_that_change_and_no_others(void **state)
{
	static const char *const types[] = {"A\"", "B"};
	struct mr_changes changes = {.start_to_close_timeout_ms = 1500, .heartbeat_timeout_ms = MR_NONE};
	struct mr_command update = command_of(MR_COMMAND_UPDATE);
	struct world *world = *state;
	struct arena arena = {0};

	update.changes = &changes;
	update.format = MR_FORMAT_AVRO;
	assert_int_equal(world_command(world, &update), MR_OK);
	assert_true(bytes_is(world_sent_command(world, &arena).options.data,
			     "{\"start_to_close_timeout_ms\":1500,\"heartbeat_timeout_ms\":0}"));
	changes = (struct mr_changes){.priority = 5, .maximum_attempts = 7, .backoff_coefficient = 1.5};
	changes.non_retryable_error_types = types;
	changes.n_non_retryable_error_types = 2;
	assert_int_equal(world_command(world, &update), MR_OK);
	assert_true(bytes_is(world_sent_command(world, &arena).options.data,
			     "{\"priority\":5,\"retry_policy\":{\"backoff_coefficient\":1.5,\"maximum_attempts\":7,"
			     "\"non_retryable_error_types\":[\"A\\\"\",\"B\"]}}"));
	changes = (struct mr_changes){.non_retryable_error_types = types};
	assert_int_equal(world_command(world, &update), MR_OK);
	assert_true(bytes_is(world_sent_command(world, &arena).options.data,
			     "{\"retry_policy\":{\"non_retryable_error_types\":[]}}"));
	arena_deinit(&arena);
}

static void a_wrong_command_is_refused_with_the_field_that_is_wrong(void **state)
{
	const struct mr_failure untyped = {.type = ""},
				deep[4] = {{.cause = &deep[1]}, {.cause = &deep[2]}, {.cause = &deep[3]}, {0}};
	const struct mr_changes nothing = {0}, low = {.priority = -1}, large = {.maximum_attempts = INT64_MAX},
				flat = {.backoff_coefficient = 0.5};
	char long_key[TASK_KEY_MAX_BYTES + 2];
	struct mr_command base = {.size = sizeof(base), .task_key = "k"};
	const struct {
		struct mr_command command;
		const char *where;
	} rows[] = {
		{{.size = 0}, "size"},
		{{.size = sizeof(base), .task_key = NULL}, "task_key"},
		{{.size = sizeof(base), .task_key = ""}, "task_key"},
		{{.size = sizeof(base), .task_key = "a\tb"}, "task_key"},
		{{.size = sizeof(base), .task_key = long_key}, "task_key"},
		{{.size = sizeof(base), .task_key = "k", .run_id = ""}, "run_id"},
		{{.size = sizeof(base), .task_key = "k", .request_id = "\n"}, "request_id"},
		{{.size = sizeof(base), .task_key = "k", .reason = "\xff"}, "reason"},
		{{.size = sizeof(base), .task_key = "k", .kind = (enum mr_command_kind)9}, "kind"},
		{{.size = sizeof(base), .task_key = "k", .format = (enum mr_format)2}, "format"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_PAUSE, .token = "t"}, "token"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_COMPLETE, .token = ""}, "token"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_PAUSE, .result = MR_JSON("1")}, "result"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_COMPLETE, .result = MR_JSON("nul")}, "result"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_COMPLETE, .details = MR_JSON("1")}, "details"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_HEARTBEAT, .details = {NULL, 3, NULL}}, "details"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_FAIL}, "failure"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_FAIL, .failure = &untyped}, "failure"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_FAIL, .failure = deep}, "failure"},
		{{.size = sizeof(base), .task_key = "k", .failure = &untyped}, "failure"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_UPDATE}, "changes"},
		{{.size = sizeof(base), .task_key = "k", .changes = &nothing}, "changes"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_UPDATE, .changes = &nothing}, "changes"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_UPDATE, .changes = &low}, "priority"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_UPDATE, .changes = &large}, "maximum_attempts"},
		{{.size = sizeof(base), .task_key = "k", .kind = MR_COMMAND_UPDATE, .changes = &flat}, "backoff_coefficient"},
	};
	struct world *world = *state;

	memset(long_key, 'k', sizeof(long_key) - 1);
	long_key[sizeof(long_key) - 1] = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(world_command(world, &rows[i].command), MR_EINVAL);
		assert_string_equal(world->err.where, rows[i].where);
	}
	assert_int_equal(mr_complete_by_token(world->client, "k", NULL, MR_JSON("1"), &world->err), MR_EINVAL);
	assert_string_equal(world->err.where, "token");
	assert_notes(world, "");
}

static void a_command_that_is_too_large_is_not_sent(void **state)
{
	static char result[1000001];
	struct mr_command complete = command_of(MR_COMMAND_COMPLETE);
	struct world *world = *state;

	complete.result = (struct mr_payload){result, sizeof(result), NULL};
	assert_int_equal(world_command(world, &complete), MR_ETOO_LARGE);
	assert_notes(world, "");
}

static void a_full_client_takes_no_command(void **state)
{
	struct mr_command cancel = command_of(MR_COMMAND_CANCEL);
	struct world *world = *state;

	world->produce_status = MR_EFULL;
	assert_int_equal(world_command(world, &cancel), MR_EFULL);
	assert_int_equal(mr_client_unacknowledged(world->client), 0);
}

static void what_kafka_does_not_take_or_not_acknowledge_is_told_in_words(void **state)
{
	struct mr_command cancel = command_of(MR_COMMAND_CANCEL);
	struct world *world = *state;

	assert_int_equal(world_command(world, &cancel), MR_OK);
	world_deliver(world, MR_ENOT_FOUND, -1, -1);
	assert_string_equal(world->err.where, "millrace.control");
	assert_non_null(strstr(world->err.message, "millrace setup"));
	assert_int_equal(world_command(world, &cancel), MR_OK);
	buf_reset(&world->notes);
	world_pass(world, 30 * WORLD_SECOND_US);
	assert_notes(world, "submitted w/k MR_EKAFKA\n");
	assert_non_null(strstr(world->err.message, "request id"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_command_is_sent_under_the_key_of_its_task_and_told_when_kafka_has_it),
		TEST(the_request_id_is_told_so_that_the_same_command_can_be_sent_again),
		TEST(every_simple_command_has_its_name),
		TEST(complete_fail_and_heartbeat_carry_their_payloads),
		TEST(an_update_has_the_fields_that_change_and_no_others),
		TEST(a_wrong_command_is_refused_with_the_field_that_is_wrong),
		TEST(a_command_that_is_too_large_is_not_sent),
		TEST(a_full_client_takes_no_command),
		TEST(what_kafka_does_not_take_or_not_acknowledge_is_told_in_words),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
