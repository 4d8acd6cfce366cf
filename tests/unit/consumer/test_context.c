/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "consumer/attempt_rig.h"
#include "lib/context.h"
#include "lib/message.h"

/* One attempt in the test's own thread: what an activity's calls make of it. */

static struct arena arena;
static struct mr_registry *registry;
static struct outcome outcome;
static enum cancel_reason reason;
static int beats;
static char last_beat[MR_HEARTBEAT_MAX_BYTES + 1];

static void on_beat(void *ctx, const struct payload *details)
{
	(void)ctx;
	beats++;
	if (bytes_present(details->data)) {
		memcpy(last_beat, details->data.data, details->data.len);
		last_beat[details->data.len] = '\0';
	}
}

static enum cancel_reason on_cancel_reason(void *ctx)
{
	(void)ctx;
	return reason;
}

static int make(void **state)
{
	(void)state;
	arena = (struct arena){0};
	reason = CANCEL_NONE;
	beats = 0;
	return (int)mr_registry_new(&registry, NULL);
}

static int drop(void **state)
{
	(void)state;
	arena_deinit(&arena);
	mr_registry_free(registry);
	return 0;
}

static void run_input(mr_activity_fn *fn, void *user, const char *input, const char *content_type)
{
	struct context_host host = {.beat = on_beat, .cancel_reason = on_cancel_reason, .cancel_fd = -1};
	struct context_limits limits = {.max_output_bytes = 1000};
	struct attempt_info info;

	assert_int_equal(mr_register(registry, "test", fn, user, NULL, NULL), MR_OK);
	rig_info(&info, "test", input, input ? strlen(input) : 0);
	info.input.content_type = bytes_of(content_type);
	context_run(registry, &info, 1000, &host, &limits, &arena, &outcome);
}

static void run(mr_activity_fn *fn)
{
	run_input(fn, NULL, "1", "application/json");
}

static void assert_failed(const char *type, bool non_retryable)
{
	assert_int_equal(outcome.kind, OUTCOME_FAILED);
	if (!bytes_is(outcome.failure.type, type))
		fail_msg("failure %.*s: %.*s", BYTES_ARG(outcome.failure.type), BYTES_ARG(outcome.failure.message));
	assert_int_equal(outcome.failure.non_retryable, non_retryable);
}

#define ACTIVITY(name)                                                                                                           \
	static enum mr_attempt_end name(struct mr_attempt *attempt __attribute__((unused)), void *user __attribute__((unused)))

ACTIVITY(return_completed)
{
	return MR_ATTEMPT_COMPLETED;
}
ACTIVITY(return_failed)
{
	return MR_ATTEMPT_FAILED;
}
ACTIVITY(return_canceled)
{
	return MR_ATTEMPT_CANCELED;
}
ACTIVITY(return_pending)
{
	return MR_ATTEMPT_PENDING;
}
ACTIVITY(return_nonsense)
{
	return (enum mr_attempt_end)77;
}

static void a_bare_return_value_says_as_much_as_it_can(void **state)
{
	(void)state;
	run(return_completed);
	assert_int_equal(outcome.kind, OUTCOME_COMPLETED);
	assert_false(bytes_present(outcome.result.data));
}

static void a_bare_failure_is_retryable(void **state)
{
	(void)state;
	run(return_failed);
	assert_failed("Failed", false);
}

static void a_bare_pending_is_pending(void **state)
{
	(void)state;
	run(return_pending);
	assert_int_equal(outcome.kind, OUTCOME_PENDING);
}

static void a_value_that_means_nothing_is_a_failure(void **state)
{
	(void)state;
	run(return_nonsense);
	assert_failed("Failed", true);
}

static void canceled_without_a_cancel_is_a_failure(void **state)
{
	(void)state;
	run(return_canceled);
	assert_failed("NotCancelRequested", false);
}

static void canceled_after_a_request_is_canceled(void **state)
{
	(void)state;
	reason = CANCEL_REQUESTED;
	run(return_canceled);
	assert_int_equal(outcome.kind, OUTCOME_CANCELED);
}

static void canceled_by_a_shutdown_is_a_retryable_failure(void **state)
{
	(void)state;
	reason = CANCEL_WORKER_SHUTDOWN;
	run(return_canceled);
	assert_failed("WorkerShutdown", false);
}

ACTIVITY(complete_after_failing)
{
	mr_failf(attempt, "First", "changed its mind");
	return mr_complete_json(attempt, "{}");
}

static void the_last_call_counts(void **state)
{
	(void)state;
	run(complete_after_failing);
	assert_int_equal(outcome.kind, OUTCOME_COMPLETED);
	assert_true(bytes_is(outcome.result.data, "{}"));
	assert_true(bytes_is(outcome.result.content_type, "application/json"));
}

ACTIVITY(complete_with_broken_json)
{
	return mr_complete_jsonf(attempt, "{\"a\":%s}", "oops");
}

static void broken_json_is_no_result(void **state)
{
	(void)state;
	run(complete_with_broken_json);
	assert_failed("BadResult", true);
}

ACTIVITY(complete_with_1001_bytes)
{
	char data[1001];

	memset(data, 'x', sizeof(data));
	return mr_complete(attempt, data, sizeof(data), NULL);
}

static void a_result_that_is_too_large_tells_both_sizes(void **state)
{
	(void)state;
	run(complete_with_1001_bytes);
	assert_failed("ResultTooLarge", true);
	assert_non_null(strstr(outcome.failure.message.data, "1001"));
	assert_non_null(strstr(outcome.failure.message.data, "1000"));
}

ACTIVITY(fail_at_length)
{
	char long_text[20000];
	struct mr_attempt_failure failure = {
		.type = "Long", .message = long_text, .details = {.data = long_text, .bytes = sizeof(long_text)}};

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	return mr_fail(attempt, &failure);
}

static void a_failure_that_is_too_large_is_cut_and_stays_that_failure(void **state)
{
	(void)state;
	run(fail_at_length);
	assert_failed("Long", false);
	assert_false(bytes_present(outcome.failure.details.data));
	assert_int_equal(outcome.failure.message.len, 500);
	assert_true(message_outcome_bytes(&outcome) <= 1256);
}

ACTIVITY(fail_five_deep)
{
	struct mr_attempt_failure chain[5] = {{.type = "0"}, {.type = "1"}, {.type = "2"}, {.type = "3"}, {.type = "4"}};

	for (int i = 0; i < 4; i++)
		chain[i].cause = &chain[i + 1];
	return mr_fail(attempt, &chain[0]);
}

static void causes_are_kept_three_deep(void **state)
{
	(void)state;
	run(fail_five_deep);
	assert_true(bytes_is(outcome.failure.cause->cause->type, "2"));
	assert_null(outcome.failure.cause->cause->cause);
}

ACTIVITY(read_fields)
{
	const char *name = NULL, *otherwise = "otherwise";
	int64_t cents = 0;
	double rate = 0;
	bool paid = false;
	size_t items = 0;
	struct mr_error err;

	if (mr_input_string(attempt, "customer.name", &name, &err) || mr_input_int(attempt, "items.1.cents", &cents, &err) ||
	    mr_input_double(attempt, "rate", &rate, &err) || mr_input_bool(attempt, "paid", &paid, &err) ||
	    mr_input_count(attempt, "items", &items, &err))
		return mr_fail_input(attempt, &err);
	assert_int_equal(mr_input_string(attempt, "nothing", &otherwise, &err), MR_ENOT_FOUND);
	assert_int_equal(mr_input_string(attempt, "none", &otherwise, &err), MR_ENOT_FOUND);
	assert_string_equal(otherwise, "otherwise");
	assert_int_equal(mr_input_string(attempt, "items.7.cents", &otherwise, &err), MR_ENOT_FOUND);
	assert_string_equal(err.where, "items.7.cents");
	assert_int_equal(mr_input_string(attempt, "paid", &otherwise, &err), MR_EBAD_RECORD);
	return mr_complete_jsonf(attempt, "\"%s %d %.1f %d %zu\"", mr_json_escape(attempt, name), (int)cents, rate, paid, items);
}

static void fields_of_json_input_are_read_by_path(void **state)
{
	(void)state;
	run_input(read_fields, NULL,
		  "{\"customer\":{\"name\":\"A\\\"da\"},\"items\":[{\"cents\":1},{\"cents\":25}],\"rate\":1.5,\"paid\":true,"
		  "\"none\":null}",
		  "application/json");
	assert_int_equal(outcome.kind, OUTCOME_COMPLETED);
	assert_true(bytes_is(outcome.result.data, "\"A\\\"da 25 1.5 1 2\""));
}

static void a_missing_field_is_bad_input_that_names_it(void **state)
{
	(void)state;
	run_input(read_fields, NULL, "{\"customer\":{}}", "application/json");
	assert_failed("BadInput", true);
	assert_true(bytes_is(outcome.failure.message, "customer.name: is missing"));
}

static void input_that_is_no_json_has_no_fields(void **state)
{
	(void)state;
	run_input(read_fields, NULL, "\x01\x02", NULL);
	assert_failed("BadInput", true);
}

ACTIVITY(beat_twice)
{
	assert_int_equal(mr_heartbeat(attempt, "50 %", 4, "text/plain"), MR_OK);
	assert_int_equal(mr_heartbeat(attempt, NULL, 0, NULL), MR_OK);
	return mr_complete(attempt, NULL, 0, NULL);
}

static void heartbeats_reach_the_host(void **state)
{
	(void)state;
	run(beat_twice);
	assert_int_equal(beats, 2);
	assert_string_equal(last_beat, "50 %");
}

/* ---- messages between loop and executors ---- */

static void no_message_that_was_overwritten_is_taken_or_read_beyond_its_end(void **state)
{
	struct attempt_info info, back;
	struct header headers[] = {{BYTES_LIT("a"), BYTES_LIT("b")}};
	size_t bytes;
	char *good, *bad;

	(void)state;
	rig_info(&info, "test", "12345", 5);
	info.headers = (struct headers){headers, 1};
	bytes = message_info_bytes(&info);
	good = mem_alloc(bytes);
	bad = mem_alloc(bytes);
	message_info_write(&info, good);
	assert_true(message_info_read((struct bytes){good, bytes}, &arena, &back));
	assert_true(bytes_is(back.input.data, "12345"));
	for (size_t len = 0; len < bytes; len++)
		assert_false(message_info_read((struct bytes){good, len}, &arena, &back));
	for (size_t i = 0; i < bytes; i++) {
		memcpy(bad, good, bytes);
		bad[i] = (char)0xff;
		message_info_read((struct bytes){bad, bytes}, &arena, &back);
		arena_reset(&arena);
	}
	free(good);
	free(bad);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		RULE(a_bare_return_value_says_as_much_as_it_can),
		RULE(a_bare_failure_is_retryable),
		RULE(a_bare_pending_is_pending),
		RULE(a_value_that_means_nothing_is_a_failure),
		RULE(canceled_without_a_cancel_is_a_failure),
		RULE(canceled_after_a_request_is_canceled),
		RULE(canceled_by_a_shutdown_is_a_retryable_failure),
		RULE(the_last_call_counts),
		RULE(broken_json_is_no_result),
		RULE(a_result_that_is_too_large_tells_both_sizes),
		RULE(a_failure_that_is_too_large_is_cut_and_stays_that_failure),
		RULE(causes_are_kept_three_deep),
		RULE(fields_of_json_input_are_read_by_path),
		RULE(a_missing_field_is_bad_input_that_names_it),
		RULE(input_that_is_no_json_has_no_fields),
		RULE(heartbeats_reach_the_host),
		RULE(no_message_that_was_overwritten_is_taken_or_read_beyond_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
