/* SPDX-License-Identifier: Apache-2.0 */
/* Long attempts: parked by a STARTED record, so that nothing queues behind them; and those that someone else completes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "consumer/world.h"

static const char task[] = "{\"activity_type\":\"a\",\"activity_id\":\"k\",\"start_to_close_timeout_ms\":60000}";

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

/* One task runs. */
static int setup(void **state)
{
	struct world_options options = {.park_after_ms = 1000};
	struct world *world = world_new(&options);

	*state = world;
	world_assign(world, 0);
	world_settle(world);
	world_record(world, 0, task);
	world_settle(world);
	world_start(world, "k");
	world_tick(world, 0);
	world_forget(world);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void an_attempt_that_runs_for_long_is_journalled_and_its_offset_settles(void **state)
{
	struct world *world = *state;
	struct decoded d;

	world_tick(world, 999);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "produce t.journal k", NULL);
	d = last_record(world);
	assert_int_equal(d.record.kind, JOURNAL_STARTED);
	assert_int_equal(d.record.attempt, 1);
	assert_true(bytes_is(d.record.task_key, "k"));
	assert_true(bytes_is(d.record.worker, "w1"));
	assert_true(bytes_is(d.record.record_id, "t.tasks.q:0:0"));
	assert_true(bytes_is(d.record.task, task));
	assert_int_equal(d.record.nonce.len, 16);
	assert_int_equal(d.record.started_at_ms, world_worker(world)->running.head->claimed_at_ms);
	decoded_deinit(&d);
	world_tick(world, 200);
	world_expect(world, NULL);
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void the_result_of_a_parked_attempt_needs_the_outbox_and_a_tombstone(void **state)
{
	struct world *world = *state;

	world_tick(world, 1000);
	world_settle(world);
	world_tick(world, 200);
	world_forget(world);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "finish k COMPLETED outbox", "produce t.results k", "tombstone t.journal k", "published k", NULL);
	world_tick(world, 200);
	world_expect(world, NULL);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void once_the_result_is_on_its_way_only_that_settles_the_offset(void **state)
{
	struct world *world = *state;

	world_tick(world, 1000);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_expect(world, "produce t.journal k", "finish k COMPLETED outbox", NULL);
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, NULL);
	world_settle(world);
	world_tick(world, 200);
	world_expect(world, "produce t.results k", "tombstone t.journal k", "published k", "commit 0:1", NULL);
}

static void a_job_stays_in_memory_while_kafka_has_its_started_record(void **state)
{
	struct world *world = *state;

	world_tick(world, 1000);
	world_finishes_get(world, FINISH_STALE, NULL);
	world_complete(world, "k", "1");
	world_tick(world, 0);
	world_answer(world);
	assert_int_equal(world_worker(world)->n_jobs, 1);
	world_tick(world, 5000);
	world_ack(world, MR_OK);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void a_started_record_that_is_too_large_is_not_tried_again(void **state)
{
	struct world *world = *state;

	world_tick(world, 1000);
	world_ack(world, MR_ETOO_LARGE);
	world_forget(world);
	world_tick(world, 20000);
	world_expect(world, NULL);
	world_complete(world, "k", "1");
	world_settle(world);
	world_tick(world, 200);
	world_expect(world, "finish k COMPLETED outbox", "produce t.results k", "tombstone t.journal k", "published k",
		     "commit 0:1", NULL);
}

static void a_started_record_that_is_not_acknowledged_is_sent_again_while_it_runs(void **state)
{
	struct world *world = *state;

	world_tick(world, 1000);
	world_ack(world, MR_EKAFKA);
	world_forget(world);
	world_tick(world, 19);
	world_expect(world, NULL);
	world_tick(world, 1);
	world_expect(world, "produce t.journal k", NULL);
	world_ack(world, MR_EKAFKA);
	world_fail(world, "k", "Oops", true);
	world_tick(world, 0);
	world_expect(world, "finish k FAILED outbox", NULL);
	world_settle(world);
	world_tick(world, 5000);
	world_expect(world, "produce t.results k", "tombstone t.journal k", "published k", "commit 0:1", NULL);
}

static void write_history(struct buf *out)
{
	struct attempt_failure failures[8];
	struct wire *wire;

	assert_int_equal(wire_new(&wire, NULL), MR_OK);
	for (size_t i = 0; i < 8; i++) {
		failures[i] = (struct attempt_failure){.attempt = (int64_t)i + 1, .started_at_ms = 5, .failed_at_ms = 6};
		failure_init(&failures[i].failure);
		failures[i].failure.type = BYTES_LIT("Oops");
	}
	wire_encode_history(wire, failures, 8, out);
	wire_free(wire);
}

static void an_attempt_does_not_grow_with_each_try_to_park_it(void **state)
{
	struct world *world = *state;
	struct buf history = {0};
	struct arena_block *newest;
	struct job *job;

	write_history(&history);
	world_record_attempt(world, 0, "{\"activity_type\":\"a\",\"start_to_close_timeout_ms\":86400000}", "later", "r1", 9);
	world_record_header(world, HEADER_HISTORY, buf_bytes(&history));
	world_settle(world);
	world_start(world, "later");
	world_settle(world);
	job = world_worker(world)->running.tail;
	world_tick(world, 1000);
	newest = job->arena.head;
	for (int i = 0; i < 500; i++) {
		world_ack(world, MR_EKAFKA);
		world_tick(world, 5000);
	}
	assert_int_equal(job->park->started.state, DELIVERY_SENT);
	assert_ptr_equal(job->arena.head, newest);
	buf_deinit(&history);
}

static void the_attempt_after_a_parked_one_is_carried_by_its_backoff(void **state)
{
	struct world *world = *state;
	struct decoded d;

	world_tick(world, 1000);
	world_settle(world);
	world_tick(world, 200);
	world_forget(world);
	world_fail(world, "k", "Oops", false);
	world_settle(world);
	world_expect(world, "produce t.journal k", NULL);
	d = last_record(world);
	assert_int_equal(d.record.kind, JOURNAL_BACKOFF);
	decoded_deinit(&d);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

static void what_runs_is_parked_when_its_partition_leaves_and_committed_with_it(void **state)
{
	struct world *world = *state;

	world_tick(world, 10);
	world_acks_in_revoke(world);
	world_revoke(world, 0);
	world_expect(world, "produce t.journal k", "commit_now 0:1", NULL);
	world_complete(world, "k", "1");
	world_settle(world);
	world_expect(world, "finish k COMPLETED outbox", "produce t.results k", "tombstone t.journal k", "published k", NULL);
}

static void what_is_not_acknowledged_in_time_stays_uncommitted_when_its_partition_leaves(void **state)
{
	struct world *world = *state;

	world_tick(world, 10);
	world_revoke(world, 0);
	world_expect(world, "produce t.journal k", "commit_now 0:0", NULL);
	world_settle(world);
	world_tick(world, 2000);
	world_expect(world, NULL);
	assert_int_equal(world_worker(world)->running.len, 1);
}

static void a_pending_attempt_is_journalled_without_a_worker_and_leaves(void **state)
{
	struct world *world = *state;
	struct outcome outcome = {.kind = OUTCOME_PENDING};
	struct decoded d;
	int64_t started_ms = world_now_ms(world);

	failure_init(&outcome.failure);
	world_tick(world, 10);
	world_end(world, "k", &outcome);
	world_tick(world, 0);
	world_expect(world, "produce t.journal k", NULL);
	d = last_record(world);
	assert_int_equal(d.record.kind, JOURNAL_STARTED);
	assert_int_equal(d.record.worker.len, 0);
	assert_int_equal(d.record.nonce.len, 16);
	/* By the latest that Redis' clock may have shown at its start. */
	assert_int_equal(d.record.close_at_ms, started_ms + 1 + 60000);
	assert_int_equal(d.record.heartbeat_timeout_ms, TASK_UNSET);
	decoded_deinit(&d);
	world_tick(world, 200);
	world_expect(world, NULL);
	world_ack(world, MR_OK);
	assert_int_equal(world_worker(world)->n_jobs, 0);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

/* In the other order the attempt would belong to a worker that has forgotten it. */
static void a_pending_attempt_is_journalled_when_its_start_is(void **state)
{
	struct world *world = *state;
	struct outcome outcome = {.kind = OUTCOME_PENDING};
	struct decoded d;

	failure_init(&outcome.failure);
	world_tick(world, 1000);
	world_end(world, "k", &outcome);
	world_tick(world, 0);
	world_expect(world, "produce t.journal k", NULL);
	world_ack(world, MR_OK);
	world_expect(world, "produce t.journal k", NULL);
	d = last_record(world);
	assert_int_equal(d.record.worker.len, 0);
	decoded_deinit(&d);
	world_settle(world);
	assert_int_equal(world_worker(world)->n_jobs, 0);
	world_tick(world, 200);
	world_expect(world, "commit 0:1", NULL);
}

static void what_follows_an_attempt_is_journalled_also_where_its_start_is_not(void **state)
{
	struct world *world = *state;
	struct decoded d;

	world_tick(world, 1000);
	world_fail(world, "k", "Oops", false);
	world_tick(world, 0);
	world_expect(world, "produce t.journal k", NULL);
	world_ack(world, MR_EKAFKA);
	world_expect(world, "produce t.journal k", NULL);
	d = last_record(world);
	assert_int_equal(d.record.kind, JOURNAL_BACKOFF);
	decoded_deinit(&d);
	world_settle(world);
	assert_int_equal(world_worker(world)->n_jobs, 0);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(an_attempt_that_runs_for_long_is_journalled_and_its_offset_settles),
		RULE(the_result_of_a_parked_attempt_needs_the_outbox_and_a_tombstone),
		RULE(once_the_result_is_on_its_way_only_that_settles_the_offset),
		RULE(a_job_stays_in_memory_while_kafka_has_its_started_record),
		RULE(a_started_record_that_is_too_large_is_not_tried_again),
		RULE(a_started_record_that_is_not_acknowledged_is_sent_again_while_it_runs),
		RULE(an_attempt_does_not_grow_with_each_try_to_park_it),
		RULE(the_attempt_after_a_parked_one_is_carried_by_its_backoff),
		RULE(what_runs_is_parked_when_its_partition_leaves_and_committed_with_it),
		RULE(what_is_not_acknowledged_in_time_stays_uncommitted_when_its_partition_leaves),
		RULE(a_pending_attempt_is_journalled_without_a_worker_and_leaves),
		RULE(a_pending_attempt_is_journalled_when_its_start_is),
		RULE(what_follows_an_attempt_is_journalled_also_where_its_start_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
