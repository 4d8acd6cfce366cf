/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "golden.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct wire *wire;

static int set_up(void **state)
{
	(void)state;
	return wire_new(&wire, NULL) != MR_OK;
}

static int tear_down(void **state)
{
	(void)state;
	wire_free(wire);
	return 0;
}

static void json_and_avro_of_a_vector_say_the_same(void **state)
{
	(void)state;
	for (size_t k = 0; k < GOLDEN_KINDS; k++) {
		json_t *vectors = golden_load(golden_kinds[k]), *vector;
		size_t i;

		json_array_foreach(vectors, i, vector)
		{
			const char *json = json_string_value(json_object_get(vector, "json"));
			struct buf avro = {0}, out = {0};
			struct arena arena = {0};

			golden_avro(vector, &avro);
			if (json) {
				assert_int_equal(golden_read(wire, golden_kinds[k], bytes_of(json), &arena, &out, NULL), MR_OK);
				assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&avro)));
			}
			arena_deinit(&arena);
			buf_deinit(&out);
			buf_deinit(&avro);
		}
		json_decref(vectors);
	}
}

/* A task in JSON, what is wrong with it, and whether it can still be answered under its key. */
static const struct {
	const char *json, *where, *message;
	bool has_key;
} bad_tasks[] = {
	{"{", "", "not valid JSON at byte 1: the name of a member is missing", false},
	{"{}", "activity_type", "field activity_type is required", true},
	{"{\"activity_type\":null}", "activity_type", "field activity_type is required, got null", true},
	{"{\"activity_typ\":\"x\"}", "activity_typ", "unknown field activity_typ; did you mean activity_type", true},
	{"{\"activity_type\":\"x\",\"zzz\":1,\"activity_id\":\"a\"}", "zzz", "unknown field zzz", true},
	{"{\"activity_type\":\"x\",\"retry_policy\":{\"max_attempts\":3}}", "retry_policy.max_attempts",
	 "unknown field retry_policy.max_attempts; did you mean maximum_attempts", true},
	{"{\"activity_type\":\"x\",\"input_bas64\":\"\"}", "input_bas64", "unknown field input_bas64; did you mean input_base64",
	 true},
	{"{\"activity_type\":1}", "activity_type", "field activity_type must be a string, got 1", true},
	{"{\"activity_type\":\"x\",\"priority\":\"3\"}", "priority",
	 "field priority must be an integer from 1 to 5, got a string", true},
	{"{\"activity_type\":\"x\",\"priority\":2.5}", "priority", "field priority must be an integer from 1 to 5, got 2.5",
	 true},
	{"{\"activity_type\":\"x\",\"priority\":6}", "priority", "field priority must be an integer from 1 to 5, got 6", true},
	{"{\"activity_type\":\"x\",\"priority\":99999999999}", "priority",
	 "field priority must be an integer from 1 to 5, got 99999999999", true},
	{"{\"activity_type\":\"x\",\"start_to_close_timeout_ms\":\"30s\"}", "start_to_close_timeout_ms",
	 "field start_to_close_timeout_ms must be an integer of ms, at least 0, got a string", true},
	{"{\"activity_type\":\"x\",\"start_delay_ms\":-1}", "start_delay_ms",
	 "field start_delay_ms must be from 0 to 3155760000000 ms, got -1", true},
	{"{\"activity_type\":\"x\",\"scheduled_at_ms\":9223372036854775808}", "scheduled_at_ms",
	 "field scheduled_at_ms must be an integer of ms since 1970, got 9223372036854775808", true},
	{"{\"activity_type\":\"x\",\"retry_policy\":[]}", "retry_policy", "field retry_policy must be an object, got an array",
	 true},
	{"{\"activity_type\":\"x\",\"retry_policy\":{\"backoff_coefficient\":\"2\"}}", "retry_policy.backoff_coefficient",
	 "field retry_policy.backoff_coefficient must be a number of at least 1, got a string", true},
	{"{\"activity_type\":\"x\",\"retry_policy\":{\"non_retryable_error_types\":\"E\"}}",
	 "retry_policy.non_retryable_error_types",
	 "field retry_policy.non_retryable_error_types must be an array of strings, got a string", true},
	{"{\"activity_type\":\"x\",\"retry_policy\":{\"non_retryable_error_types\":[1]}}",
	 "retry_policy.non_retryable_error_types",
	 "field retry_policy.non_retryable_error_types must be an array of strings, got one with a number", true},
	{"{\"activity_type\":\"x\",\"id_reuse_policy\":\"ALLOW\"}", "id_reuse_policy",
	 "field id_reuse_policy must be one of RETURN_EXISTING, ALLOW_DUPLICATE, ALLOW_DUPLICATE_FAILED_ONLY, REJECT_DUPLICATE; "
	 "got \"ALLOW\"",
	 true},
	{"{\"activity_type\":\"x\",\"id_conflict_policy\":1}", "id_conflict_policy",
	 "field id_conflict_policy must be one of USE_EXISTING, FAIL; got 1", true},
	{"{\"activity_type\":\"x\",\"activity_type\":\"y\"}", "activity_type", "field activity_type is given twice", true},
	{"{\"activity_type\":\"x\",\"input\":1,\"input_base64\":\"MQ==\"}", "input",
	 "field input and input_base64 exclude each other", true},
	{"{\"activity_type\":\"x\",\"input_base64\":\"MQ==\",\"input\":1}", "input",
	 "field input and input_base64 exclude each other", true},
	{"{\"activity_type\":\"x\",\"input_base64\":\"MQ\"}", "input_base64",
	 "field input_base64 must be a string of base64 with padding", true},
	{"{\"activity_type\":\"x\",\"input_base64\":7}", "input_base64",
	 "field input_base64 must be a string of base64 with padding", true},
	{"{\"activity_type\":\"x\",\"input\":1,\"content_type\":\"text/plain\"}", "content_type",
	 "field content_type goes with input_base64; input itself is application/json", true},
	{"{\"activity_type\":\"x\",\"input\":1,\"encoding\":\"zstd\"}", "encoding",
	 "field encoding goes with input_base64, not with input", true},
	{"{\"activity_type\":\"x\",\"content_type\":\"text/plain\"}", "content_type",
	 "field content_type goes with input_base64, which is missing", true},
	{"{\"activity_type\":\"x\\u0000y\"}", "activity_type", "field activity_type must be UTF-8 text without NUL", true},
	{"{\"activity_type\":\"\\ud800\"}", "activity_type", "field activity_type must be UTF-8 text without NUL", true},
	{"{\"activity_type\":\"x\",\"activity_id\":\"\"}", "activity_id", "field activity_id must have 1 to 255 bytes, got 0",
	 false},
	{"{\"activity_type\":\"x\",\"activity_id\":\"a\\tb\"}", "activity_id",
	 "field activity_id must not contain control characters", false},
	{"{\"activity_type\":\"x\",\"workflow_id\":\"w\"}", "activity_id",
	 "field activity_id is required where workflow_id is given", false},
	{"{\"activity_type\":\"x\",\"activity_id\":7}", "activity_id", "field activity_id must be a string, got 7", true},
	{"{\"workflow_id\":\"w\",\"activity_id\":\"a\",\"activity_type\":\"x\"", "",
	 "not valid JSON at byte 56: a comma or a closing bracket is missing", true},
	{"{\"activity_id\":\"a\",\"activity_type\":\"x\"", "",
	 "not valid JSON at byte 38: a comma or a closing bracket is missing", false},
	{"{\"activity_type\":\"x\"}x", "", "not valid JSON at byte 21: more text behind the value", false},
	{"{\"activity_type\":\"x\",\"in\\nput\":1}", "in?put", "unknown field in?put; did you mean input", true},
	{"[1]", "", "neither JSON (begins with {) nor an Avro single object (begins with C3 01)", false},
	{"greet", "", "neither JSON (begins with {) nor an Avro single object (begins with C3 01)", false},
	{"", "", "neither JSON (begins with {) nor an Avro single object (begins with C3 01): the value is empty", false},
};

static void a_bad_task_is_answered_with_the_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_tasks); i++) {
		struct arena arena = {0};
		struct mr_error err = {.code = MR_OK};
		struct task task;
		bool has_key;

		assert_int_equal(wire_decode_task(wire, bytes_of(bad_tasks[i].json), &arena, &task, &has_key, &err),
				 MR_EBAD_RECORD);
		assert_string_equal(err.message, bad_tasks[i].message);
		assert_string_equal(err.where, bad_tasks[i].where);
		if (has_key != bad_tasks[i].has_key)
			fail_msg("key of %s", bad_tasks[i].json);
		assert_false(bytes_present(task.activity_type));
		arena_deinit(&arena);
	}
}

static void a_bad_task_keeps_its_ids(void **state)
{
	struct arena arena = {0};
	struct task task;
	bool has_key;

	(void)state;
	assert_int_equal(wire_decode_task(wire, BYTES_LIT("{\"activity_id\":\"a\",\"x\":1,\"workflow_id\":\"w\"}"), &arena, &task,
					  &has_key, NULL),
			 MR_EBAD_RECORD);
	assert_true(has_key && bytes_is(task.workflow_id, "w") && bytes_is(task.activity_id, "a"));
	assert_int_equal(task.format, TASK_JSON);
	arena_deinit(&arena);
}

static void the_input_is_kept_byte_for_byte(void **state)
{
	static const char *const inputs[] = {
		"{\"b\": 1.50, \"a\":[1e999 ,123456789012345678901234567890],\"b\":\"\\u0000\\ud800\"}",
		"null",
		"\"Ada\"",
		"0.10",
		"[ ]",
		"true",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(inputs); i++) {
		struct arena arena = {0};
		struct buf value = {0}, again = {0};
		struct task task;
		bool has_key;

		buf_printf(&value, " {\"activity_type\":\"x\" , \"input\" :\n %s\t}\n", inputs[i]);
		assert_int_equal(wire_decode_task(wire, buf_bytes(&value), &arena, &task, &has_key, NULL), MR_OK);
		assert_true(bytes_is(task.input.data, inputs[i]) && bytes_is(task.input.content_type, PAYLOAD_JSON));
		wire_encode_task(wire, &task, &again);
		assert_non_null(strstr(buf_cstr(&again), inputs[i]));
		buf_deinit(&again);
		buf_deinit(&value);
		arena_deinit(&arena);
	}
}

static void zero_and_null_mean_not_set(void **state)
{
	struct arena arena = {0};
	struct task task;
	bool has_key;

	(void)state;
	assert_int_equal(
		wire_decode_task(
			wire,
			BYTES_LIT(
				"{\"activity_type\":\"x\",\"start_to_close_timeout_ms\":0,\"schedule_to_close_timeout_ms\":null,"
				"\"schedule_to_start_timeout_ms\":0,\"heartbeat_timeout_ms\":0,\"start_delay_ms\":0,\"priority\":"
				"null,"
				"\"retry_policy\":null,\"activity_id\":null,\"input_base64\":null}"),
			&arena, &task, &has_key, NULL),
		MR_OK);
	assert_true(task.start_to_close_timeout_ms == TASK_UNSET && task.schedule_to_close_timeout_ms == TASK_UNSET);
	assert_true(task.schedule_to_start_timeout_ms == TASK_UNSET && task.heartbeat_timeout_ms == TASK_UNSET &&
		    task.start_delay_ms == TASK_UNSET);
	assert_int_equal(task.priority, 3);
	assert_false(bytes_present(task.activity_id) || bytes_present(task.input.data));
	assert_true(has_key);
	arena_deinit(&arena);
}

static struct result a_result(const char *data, const char *content_type, const char *encoding)
{
	struct result result;

	result_init(&result);
	result.format = TASK_JSON;
	result.task_key = BYTES_LIT("k");
	result.status = RESULT_COMPLETED;
	result.result = (struct payload){bytes_of(data), bytes_of(content_type), bytes_of(encoding)};
	return result;
}

static void a_result_is_json_where_it_can_be(void **state)
{
	static const struct {
		const char *data, *content_type, *encoding, *json;
	} rows[] = {
		{"{\"a\": 1}", PAYLOAD_JSON, NULL, "\"result\":{\"a\": 1}"},
		{" 42\n", PAYLOAD_JSON, NULL, "\"result\":42"},
		{"{broken", PAYLOAD_JSON, NULL, "\"result_base64\":\"e2Jyb2tlbg==\",\"content_type\":\"application/json\""},
		{"42", PAYLOAD_JSON, "zstd",
		 "\"result_base64\":\"NDI=\",\"content_type\":\"application/json\",\"encoding\":\"zstd\""},
		{"42", "text/plain", NULL, "\"result_base64\":\"NDI=\",\"content_type\":\"text/plain\""},
		{"42", NULL, NULL, "\"result_base64\":\"NDI=\""},
		{"", NULL, NULL, "\"result_base64\":\"\""},
		{NULL, PAYLOAD_JSON, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct result result = a_result(rows[i].data, rows[i].content_type, rows[i].encoding);
		struct buf out = {0}, expected = {0};

		wire_encode_result(wire, &result, &out);
		buf_printf(&expected, "{\"task_key\":\"k\",\"status\":\"COMPLETED\",\"attempt\":1%s%s}", rows[i].json ? "," : "",
			   rows[i].json ? rows[i].json : "");
		assert_string_equal(buf_cstr(&out), buf_cstr(&expected));
		buf_deinit(&out);
		buf_deinit(&expected);
	}
}

static void a_result_for_people_is_one_line(void **state)
{
	struct result result = a_result("{\n \"a\":\r\n 1\n}", PAYLOAD_JSON, NULL);
	struct buf out = {0};

	(void)state;
	result.format = TASK_AVRO;
	wire_result_to_json(&result, &out);
	assert_string_equal(buf_cstr(&out),
			    "{\"task_key\":\"k\",\"status\":\"COMPLETED\",\"attempt\":1,\"result\":{  \"a\":   1 }}");
	buf_deinit(&out);
}

static void text_that_is_not_utf8_is_repaired(void **state)
{
	struct result result = a_result(NULL, NULL, NULL), read;
	struct failure failure;

	(void)state;
	failure_init(&failure);
	failure.message = BYTES_LIT("a\xff\0z");
	result.failure = &failure;
	for (int format = 0; format < 2; format++) {
		struct arena arena = {0};
		struct buf out = {0};

		result.format = format ? TASK_JSON : TASK_AVRO;
		failure.message.len = format ? 2 : 4;
		wire_encode_result(wire, &result, &out);
		assert_int_equal(wire_decode_result(wire, buf_bytes(&out), &arena, &read, NULL), MR_OK);
		assert_true(bytes_is(read.failure->message, format ? "a\xef\xbf\xbd" : "a\xef\xbf\xbd\xef\xbf\xbdz"));
		buf_deinit(&out);
		arena_deinit(&arena);
	}
}

static void a_chain_of_causes_ends_at_the_third(void **state)
{
	struct failure chain[4];
	struct result result = a_result(NULL, NULL, NULL), read;

	(void)state;
	for (int i = 0; i < 4; i++) {
		failure_init(&chain[i]);
		chain[i].cause = i < 3 ? &chain[i + 1] : NULL;
	}
	result.failure = &chain[0];
	for (int format = 0; format < 2; format++) {
		struct arena arena = {0};
		struct buf out = {0};

		result.format = format ? TASK_JSON : TASK_AVRO;
		wire_encode_result(wire, &result, &out);
		assert_int_equal(wire_decode_result(wire, buf_bytes(&out), &arena, &read, NULL), MR_OK);
		assert_non_null(read.failure->cause->cause);
		assert_null(read.failure->cause->cause->cause);
		buf_deinit(&out);
		arena_deinit(&arena);
	}
}

static void bad_commands_are_refused_by_name(void **state)
{
	static const struct {
		const char *json, *where;
	} rows[] = {
		{"{\"command\":\"STOP\",\"task_key\":\"k\"}", "command"},
		{"{\"task_key\":\"k\"}", "command"},
		{"{\"command\":\"CANCEL\"}", "task_key"},
		{"{\"command\":\"CANCEL\",\"task_key\":\"\"}", "task_key"},
		{"{\"command\":\"CANCEL\",\"task_key\":\"a\\nb\"}", "task_key"},
		{"{\"command\":\"CANCEL\",\"task_key\":\"k\",\"request_id\":\"\"}", "request_id"},
		{"{\"command\":\"UPDATE\",\"task_key\":\"k\",\"options\":\"{}\"}", "options"},
		{"{\"command\":\"FAIL\",\"task_key\":\"k\",\"failure\":{\"messag\":\"x\"}}", "failure.messag"},
		{"{\"command\":\"FAIL\",\"task_key\":\"k\",\"failure\":{\"cause\":{\"cause\":{\"cause\":{}}}}}",
		 "failure.cause.cause.cause"},
		{"{\"command\":\"FAIL\",\"task_key\":\"k\",\"failure\":{\"next_retry_delay_ms\":-1}}",
		 "failure.next_retry_delay_ms"},
		{"{\"command\":\"FAIL\",\"task_key\":\"k\",\"failure\":{\"timeout_type\":\"\"}}", "failure.timeout_type"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena arena = {0};
		struct mr_error err = {.code = MR_OK};
		struct control control;

		assert_int_equal(wire_decode_control(wire, bytes_of(rows[i].json), &arena, &control, &err), MR_EBAD_RECORD);
		assert_string_equal(err.where, rows[i].where);
		arena_deinit(&arena);
	}
}

static void records_with_numbers_out_of_range_are_refused(void **state)
{
	static const struct {
		const char *json, *where;
	} results[] = {
		{"{\"task_key\":\"k\",\"status\":\"FAILED\",\"attempt\":0}", "attempt"},
		{"{\"task_key\":\"k\",\"status\":\"FAILED\",\"attempt\":-9223372036854775808}", "attempt"},
		{"{\"task_key\":\"k\",\"status\":\"FAILED\",\"closed_at_ms\":-1}", "closed_at_ms"},
		{"{\"task_key\":\"k\",\"status\":\"FAILED\",\"run_id\":\"a\\tb\"}", "run_id"},
		{"{\"task_key\":\"\",\"status\":\"FAILED\"}", "task_key"},
		{"{\"task_key\":\"k\",\"status\":\"DONE\"}", "status"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(results); i++) {
		struct arena arena = {0};
		struct mr_error err = {.code = MR_OK};
		struct result result;

		assert_int_equal(wire_decode_result(wire, bytes_of(results[i].json), &arena, &result, &err), MR_EBAD_RECORD);
		assert_string_equal(err.where, results[i].where);
		arena_deinit(&arena);
	}
}

static void a_journal_record_out_of_range_is_refused(void **state)
{
	const struct journal_record rows[] = {
		{.task_key = BYTES_LIT("k"), .attempt = 0},
		{.task_key = BYTES_LIT("k"), .attempt = 1, .epoch = -1},
		{.task_key = BYTES_LIT("k"), .attempt = 1, .lost = -1},
		{.task_key = BYTES_LIT("k"), .attempt = 1, .due_at_ms = -1},
		{.task_key = BYTES_LIT("k"), .attempt = 1, .nonce = BYTES_LIT("a\tb")},
		{.task_key = BYTES_LIT("k"), .attempt = INT64_MAX},
		{.task_key = BYTES_LIT(""), .attempt = 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena arena = {0};
		struct buf out = {0};
		struct journal_record record;

		wire_encode_journal(wire, &rows[i], &out);
		assert_int_equal(wire_decode_journal(wire, buf_bytes(&out), &arena, &record, NULL), MR_EBAD_RECORD);
		buf_deinit(&out);
		arena_deinit(&arena);
	}
}

static void a_record_of_another_kind_is_told(void **state)
{
	struct arena arena = {0};
	struct mr_error err;
	struct result result = a_result(NULL, NULL, NULL);
	struct buf out = {0};
	struct task task;
	bool has_key;

	(void)state;
	result.format = TASK_AVRO;
	wire_encode_result(wire, &result, &out);
	assert_int_equal(wire_decode_task(wire, buf_bytes(&out), &arena, &task, &has_key, &err), MR_EBAD_RECORD);
	assert_string_equal(err.message, "an Avro record of type Result where Task is expected");
	assert_false(has_key);
	memset(out.data + 2, 0xab, 8);
	assert_int_equal(wire_decode_task(wire, buf_bytes(&out), &arena, &task, &has_key, &err), MR_EBAD_RECORD);
	assert_string_equal(err.message, "the Avro schema with fingerprint abababababababab is not known");
	buf_deinit(&out);
	arena_deinit(&arena);
}

/* Each optional field alone, and all but each: whatever is set comes back, in both encodings. */
static void optional_fields_are_independent(void **state)
{
	json_t *vectors = golden_load("task");
	const char *text = json_string_value(json_object_get(json_array_get(vectors, 2), "json"));
	json_t *full = json_loads(text, 0, NULL);
	const char *names[32];
	size_t n = 0;

	(void)state;
	for (void *it = json_object_iter(full); it; it = json_object_iter_next(full, it))
		names[n++] = json_object_iter_key(it);
	for (size_t i = 0; i < 2 * n; i++) {
		json_t *some = i < n ? json_object() : json_copy(full);
		struct arena arena = {0};
		struct buf avro = {0}, json = {0};
		struct task task;
		bool has_key;
		const char *name = names[i % n];

		if (i < n)
			json_object_set(some, name, json_object_get(full, name));
		else
			json_object_del(some, name);
		json_object_set(some, "activity_type", json_object_get(full, "activity_type"));
		if (!json_object_get(some, "activity_id"))
			json_object_del(some, "workflow_id");
		if (!json_object_get(some, "input_base64"))
			json_object_del(some, "content_type"), json_object_del(some, "encoding");
		char *sent = json_dumps(some, JSON_COMPACT);
		assert_int_equal(wire_decode_task(wire, bytes_of(sent), &arena, &task, &has_key, NULL), MR_OK);
		task.format = TASK_AVRO;
		wire_encode_task(wire, &task, &avro);
		assert_int_equal(wire_decode_task(wire, buf_bytes(&avro), &arena, &task, &has_key, NULL), MR_OK);
		task.format = TASK_JSON;
		wire_encode_task(wire, &task, &json);
		json_t *came = json_loadb(json.data, json.len, 0, NULL);
		assert_true(json_equal(came, some));
		json_decref(came);
		free(sent);
		buf_deinit(&json);
		buf_deinit(&avro);
		arena_deinit(&arena);
		json_decref(some);
	}
	json_decref(full);
	json_decref(vectors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_and_avro_of_a_vector_say_the_same),
		cmocka_unit_test(a_bad_task_is_answered_with_the_reason),
		cmocka_unit_test(a_bad_task_keeps_its_ids),
		cmocka_unit_test(the_input_is_kept_byte_for_byte),
		cmocka_unit_test(zero_and_null_mean_not_set),
		cmocka_unit_test(a_result_is_json_where_it_can_be),
		cmocka_unit_test(a_result_for_people_is_one_line),
		cmocka_unit_test(text_that_is_not_utf8_is_repaired),
		cmocka_unit_test(a_chain_of_causes_ends_at_the_third),
		cmocka_unit_test(bad_commands_are_refused_by_name),
		cmocka_unit_test(records_with_numbers_out_of_range_are_refused),
		cmocka_unit_test(a_journal_record_out_of_range_is_refused),
		cmocka_unit_test(a_record_of_another_kind_is_told),
		cmocka_unit_test(optional_fields_are_independent),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
