/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeats: what the journal is told of them, what the next attempt gets, and the end of an attempt that is silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "consumer/world.h"

/* The interval of their records is 800 ms. */
static const char watched[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"heartbeat_timeout_ms\":1000,"
			      "\"start_to_close_timeout_ms\":600000}";
static const char unwatched[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"start_to_close_timeout_ms\":600000}";
static const char strict[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"heartbeat_timeout_ms\":1000,"
			     "\"retry_policy\":{\"non_retryable_error_types\":[\"Timeout:Heartbeat\"]}}";

struct decoded {
	struct journal_record record;
	struct arena arena;
	struct wire *wire;
};

static struct decoded last_record(struct world *world)
{
	struct decoded d = {.arena = {0}};

	assert_int_equal(wire_new(&d.wire, NULL), MR_OK);
	assert_int_equal(wire_decode_journal(d.wire, world_value_bytes(world, "t.journal"), &d.arena, &d.record, NULL), MR_OK);
	return d;
}

static void decoded_deinit(struct decoded *d)
{
	wire_free(d->wire);
	arena_deinit(&d->arena);
}

static void assert_last_details(struct world *world, enum journal_kind kind, const char *details)
{
	struct decoded d = last_record(world);

	assert_int_equal(d.record.kind, kind);
	assert_true(bytes_is(d.record.heartbeat_details.data, details));
	assert_true(bytes_is(d.record.heartbeat_details.content_type, "text/plain"));
	decoded_deinit(&d);
}

static int setup(void **state)
{
	struct world *world = world_new(NULL);

	*state = world;
	world_assign(world, 0);
	world_settle(world);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void run(struct world *world, const char *task)
{
	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 0);
	world_forget(world);
}

static void beat(struct world *world, const char *details)
{
	world_beat(world, "k", details);
	world_tick(world, 0);
}

static void the_first_heartbeat_parks_the_attempt_with_its_details(void **state)
{
	struct world *world = *state;

	run(world, watched);
	world_tick(world, 10);
	beat(world, "1");
	world_expect(world, "produce t.journal k", NULL);
	assert_last_details(world, JOURNAL_STARTED, "1");
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void of_the_heartbeats_of_an_interval_the_latest_is_journalled(void **state)
{
	struct world *world = *state;
	struct decoded d;

	run(world, watched);
	beat(world, "1");
	world_ack(world, MR_OK);
	world_tick(world, 100);
	world_forget(world);
	beat(world, "2");
	world_tick(world, 600);
	beat(world, "3");
	world_tick(world, 99);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "produce t.journal k/h", NULL);
	assert_last_details(world, JOURNAL_HEARTBEAT, "3");
	d = last_record(world);
	assert_int_equal(d.record.attempt, 1);
	assert_int_equal(d.record.nonce.len, 16);
	assert_true(bytes_is(d.record.worker, "w1"));
	assert_false(bytes_present(d.record.task));
	decoded_deinit(&d);
}

static void after_a_quiet_interval_the_next_heartbeat_is_journalled_at_once(void **state)
{
	struct world *world = *state;

	run(world, unwatched);
	beat(world, "1");
	world_ack(world, MR_OK);
	world_tick(world, 40000);
	world_forget(world);
	beat(world, "2");
	world_expect(world, "produce t.journal k/h", NULL);
	world_ack(world, MR_OK);
	world_tick(world, 29999);
	beat(world, "3");
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "produce t.journal k/h", NULL);
	assert_last_details(world, JOURNAL_HEARTBEAT, "3");
}

static void within_an_interval_the_executor_tells_of_none(void **state)
{
	struct world *world = *state;

	run(world, watched);
	beat(world, "1");
	world_ack(world, MR_OK);
	for (int i = 0; i < 5; i++) {
		world_beat(world, "k", "more");
		assert_false(world_tells(world));
		world_tick(world, 10);
	}
	world_tick(world, 750);
	/* The one that ends a quiet time is asked for before it is known that the time was quiet. */
	world_beat(world, "k", "and more");
	assert_true(world_tells(world));
	world_tick(world, 10);
	world_beat(world, "k", "and more");
	assert_false(world_tells(world));
}

static void a_heartbeat_that_kafka_did_not_take_is_followed_by_the_latest(void **state)
{
	struct world *world = *state;

	run(world, watched);
	beat(world, "1");
	world_ack(world, MR_OK);
	world_tick(world, 700);
	beat(world, "2");
	world_tick(world, 100);
	world_ack(world, MR_EKAFKA);
	world_forget(world);
	world_tick(world, 800);
	world_expect(world, "produce t.journal k/h", NULL);
	assert_last_details(world, JOURNAL_HEARTBEAT, "2");
}

static void the_next_attempt_gets_the_last_details(void **state)
{
	struct world *world = *state;

	run(world, watched);
	beat(world, "1");
	world_tick(world, 10);
	beat(world, "2");
	world_fail(world, "k", "Oops", false);
	world_tick(world, 0);
	world_ack(world, MR_OK);
	assert_last_details(world, JOURNAL_BACKOFF, "2");
	world_settle(world);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void a_result_closes_the_key_of_the_heartbeats_too(void **state)
{
	struct world *world = *state;

	run(world, unwatched);
	beat(world, "1");
	world_settle(world);
	world_tick(world, 30000);
	beat(world, "2");
	world_settle(world);
	world_forget(world);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "finish k COMPLETED outbox", "produce t.results k", "tombstone t.journal k",
		     "tombstone t.journal k/h", "published k", NULL);
}

static void a_silent_attempt_is_told_to_the_millisecond_and_killed_after_the_grace(void **state)
{
	struct world *world = *state;

	run(world, watched);
	world_tick(world, 999);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "cancel k TIMED_OUT", NULL);
	world_tick(world, 499);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "kill k", NULL);
}

static void each_heartbeat_begins_the_timeout_anew(void **state)
{
	struct world *world = *state;

	run(world, watched);
	for (int i = 0; i < 5; i++) {
		world_tick(world, 900);
		beat(world, NULL);
		world_ack(world, MR_OK);
	}
	world_forget(world);
	world_tick(world, 999);
	assert_int_equal(world_worker(world)->running.head->timed_out, TIMEOUT_NONE);
	world_tick(world, 1);
	assert_int_equal(world_worker(world)->running.head->timed_out, TIMEOUT_HEARTBEAT);
}

static void a_heartbeat_timeout_is_retried_with_the_last_details(void **state)
{
	struct world *world = *state;
	struct decoded d;

	run(world, watched);
	beat(world, "half");
	world_ack(world, MR_OK);
	world_tick(world, 1000);
	world_tick(world, 1);
	world_fail(world, "k", "ActivityCrashed", false);
	world_tick(world, 0);
	assert_last_details(world, JOURNAL_BACKOFF, "half");
	d = last_record(world);
	assert_int_equal(d.record.n_failures, 1);
	assert_true(bytes_is(d.record.failures[0].failure.type, "Timeout"));
	assert_int_equal(d.record.failures[0].failure.timeout_type, TIMEOUT_HEARTBEAT);
	decoded_deinit(&d);
}

static void a_heartbeat_timeout_that_is_not_retryable_closes_the_task(void **state)
{
	struct world *world = *state;

	run(world, strict);
	beat(world, "half");
	world_ack(world, MR_OK);
	world_tick(world, 1000);
	world_tick(world, 1);
	world_forget(world);
	world_fail(world, "k", "ActivityCrashed", false);
	world_tick(world, 0);
	world_expect(world, "finish k TIMED_OUT outbox", NULL);
	world_settle(world);
	assert_non_null(strstr(world_value(world, "t.results"), "\"timeout_type\":\"HEARTBEAT\""));
	assert_non_null(strstr(world_value(world, "t.results"), "NON_RETRYABLE_FAILURE"));
	assert_non_null(strstr(world_value(world, "t.results"), "aGFsZg"));
}

static void an_attempt_that_was_silent_for_too_long_at_its_end_has_timed_out(void **state)
{
	struct world *world = *state;

	run(world, strict);
	/* The loop was away when the time was over. */
	world_pass(world, 1001);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_expect(world, "finish k TIMED_OUT", NULL);
}

static void an_attempt_that_ends_in_time_is_completed_even_if_it_was_told(void **state)
{
	struct world *world = *state;

	run(world, strict);
	world_pass(world, 1000);
	world_complete(world, "k", "1");
	world_tick(world, 5);
	world_expect(world, "finish k COMPLETED", NULL);
}

static void heartbeats_in_the_grace_period_do_not_take_the_timeout_back(void **state)
{
	struct world *world = *state;

	run(world, strict);
	world_tick(world, 1000);
	world_tick(world, 10);
	beat(world, "late");
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_expect(world, "cancel k TIMED_OUT", "produce t.journal k", "finish k TIMED_OUT outbox", NULL);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(the_first_heartbeat_parks_the_attempt_with_its_details),
		RULE(of_the_heartbeats_of_an_interval_the_latest_is_journalled),
		RULE(after_a_quiet_interval_the_next_heartbeat_is_journalled_at_once),
		RULE(within_an_interval_the_executor_tells_of_none),
		RULE(a_heartbeat_that_kafka_did_not_take_is_followed_by_the_latest),
		RULE(the_next_attempt_gets_the_last_details),
		RULE(a_result_closes_the_key_of_the_heartbeats_too),
		RULE(a_silent_attempt_is_told_to_the_millisecond_and_killed_after_the_grace),
		RULE(each_heartbeat_begins_the_timeout_anew),
		RULE(a_heartbeat_timeout_is_retried_with_the_last_details),
		RULE(a_heartbeat_timeout_that_is_not_retryable_closes_the_task),
		RULE(an_attempt_that_was_silent_for_too_long_at_its_end_has_timed_out),
		RULE(an_attempt_that_ends_in_time_is_completed_even_if_it_was_told),
		RULE(heartbeats_in_the_grace_period_do_not_take_the_timeout_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
