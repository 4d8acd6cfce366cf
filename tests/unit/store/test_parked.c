/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/store_fixture.h"
#include "support/store_seen.h"

/* Attempts that the journal has: parked ones, those that wait for their asynchronous completion, and their heartbeats. */

#define PARKED "R|run|0|1|n|w1|rec|5|0|50|k|"
#define PENDING "R|run|0|1|n||rec|5|0|60|k|"

static struct apply_record started(void)
{
	return (struct apply_record){
		.kind = JOURNAL_STARTED,
		.key = BYTES_LIT("k"),
		.run_id = BYTES_LIT("run"),
		.attempt = 1,
		.offset = 50,
		.nonce = BYTES_LIT("n"),
		.worker = FX_WORKER,
		.record_id = BYTES_LIT("rec"),
		.started_at_ms = 5,
		.control_offset = -1,
	};
}

static struct apply_record pending(int64_t close_at_ms, int64_t heartbeat_timeout_ms)
{
	struct apply_record record = started();

	record.worker = BYTES_LIT("");
	record.offset = 60;
	record.close_at_ms = close_at_ms;
	record.heartbeat_timeout_ms = heartbeat_timeout_ms;
	return record;
}

static struct apply_record beat(const char *details)
{
	struct apply_record record = started();

	record.kind = JOURNAL_HEARTBEAT;
	record.offset = 70;
	record.heartbeat.data = bytes_of(details);
	record.heartbeat.content_type = BYTES_LIT("text/plain");
	record.heartbeat.encoding = BYTES_LIT("gzip");
	return record;
}

static struct apply_record backoff(void)
{
	struct apply_record record = started();

	record.kind = JOURNAL_BACKOFF;
	record.attempt = 2;
	record.offset = 80;
	record.due_ms = 1000;
	return record;
}

static enum apply_verdict apply(struct fixture *fx, struct apply_record record)
{
	struct apply_answer answer;

	assert_int_equal(fx_apply(fx, "n1", false, 10, 10, &record, 1, &answer), MR_OK);
	return answer.verdict;
}

static enum apply_verdict replay(struct fixture *fx, struct apply_record record)
{
	struct apply_answer answer;

	assert_int_equal(fx_apply(fx, "n2", true, 10, 10, &record, 1, &answer), MR_OK);
	return answer.verdict;
}

static void assert_nothing_beside(struct fixture *fx)
{
	static const char *const kinds[] = {"k", "h", "T", "y:k", "c:k"};

	for (size_t i = 0; i < 5; i++)
		FX_ASSERT_REDIS(fx, "0", "EXISTS", fx_key(kinds[i]));
}

/* ---- parked ---- */

static void a_start_parks_its_attempt(void **state)
{
	struct fixture *fx = *state;

	fx_put(fx, "k", "R|run|0|1|n|w1|rec|5|0|||");
	for (int round = 0; round < 2; round++) {
		assert_int_equal(apply(fx, started()), APPLY_DONE);
		fx_assert_state(fx, "k", PARKED);
		FX_ASSERT_REDIS(fx, "0", "ZSCORE", fx_key("k"), "w1\tk");
		FX_ASSERT_REDIS(fx, "0", "EXISTS", fx_key("y:k"));
	}
	assert_true(fx_view(fx, "k").parked);
	assert_true(bytes_is(fx_view(fx, "k").nonce, "n"));
}

static void a_start_of_another_owner_parks_nothing(void **state)
{
	struct fixture *fx = *state;

	fx_put(fx, "k", "R|run|0|1|x|w2|rec|5|0|||");
	assert_int_equal(apply(fx, started()), APPLY_STALE);
	fx_assert_state(fx, "k", "R|run|0|1|x|w2|rec|5|0|50||");
	assert_nothing_beside(fx);
}

static void the_end_of_a_parked_attempt_takes_all_with_it(void **state)
{
	struct fixture *fx = *state;
	struct finish_request finish = {.token = fx_token(), .closed_at_ms = 1000, .publication = {.value = BYTES_LIT("v")}};

	fx_put(fx, "k", "R|run|0|1|n|w1|rec|5|0|||");
	apply(fx, started());
	apply(fx, beat("half"));
	assert_int_equal(fx_finish(fx, &finish).verdict, FINISH_OK);
	fx_assert_state(fx, "k", "F|run|0|1|n|0|1000|1|^0v"); /* unconfirmed: the journal wants its tombstones */
	assert_nothing_beside(fx);
	/* By its own key, whoever publishes the result may not know of it; the task's record stays until that is confirmed. */
	assert_int_equal(apply(fx, beat("late")), APPLY_FINISHED);
	assert_int_equal(apply(fx, started()), APPLY_STALE);
	FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("o"));
	fx_put(fx, "k", "F|run|0|1|n|0|1000|0|^0v");
	assert_int_equal(apply(fx, beat("late")), APPLY_FINISHED);
	assert_int_equal(apply(fx, started()), APPLY_FINISHED);
	assert_nothing_beside(fx);
}

static void a_backoff_ends_the_parked_attempt_and_keeps_its_heartbeat(void **state)
{
	struct fixture *fx = *state;

	fx_put(fx, "k", "R|run|0|1|n|w1|rec|5|0|||");
	apply(fx, started());
	apply(fx, beat("half"));
	assert_int_equal(apply(fx, backoff()), APPLY_DONE);
	fx_assert_state(fx, "k", "B|run|0|2|1000|80|0|e|");
	FX_ASSERT_REDIS(fx, "0", "ZCARD", fx_key("k"));
	assert_true(bytes_is(fx_view(fx, "k").heartbeat.data, "half"));
}

/* ---- orphans ---- */

static void park(struct fixture *fx, const char *key, const char *worker)
{
	struct apply_record record = started();

	record.key = bytes_of(key);
	record.worker = bytes_of(worker);
	assert_int_equal(apply(fx, record), APPLY_DONE);
}

static void parked_attempts_of_workers_without_a_lease_are_found(void **state)
{
	struct fixture *fx = *state;
	struct seen_tasks seen;

	for (int i = 0; i < 20; i++) {
		char key[16];

		snprintf(key, sizeof(key), "live%d", i);
		park(fx, key, i % 2 ? "w1" : "w2");
	}
	park(fx, "a", "w0");
	park(fx, "b", "w9");
	park(fx, "c", "w9");
	seen = fx_orphans(fx, "", 100);
	assert_string_equal(seen.keys, "a b c");
	assert_string_equal(seen.next, "");
	assert_string_equal(seen.worker, "w9"); /* of the last */
	/* They are told as long as they are there. */
	assert_string_equal(fx_orphans(fx, "", 100).keys, "a b c");
	/* w0's, then both living workers for one step each. */
	seen = fx_orphans(fx, "", 3);
	assert_string_equal(seen.keys, "a");
	assert_true(seen.next[0] != '\0');
	seen = fx_orphans(fx, seen.next, 1);
	assert_string_equal(seen.keys, "b");
	seen = fx_orphans(fx, seen.next, 3);
	assert_string_equal(seen.keys, "c");
	assert_string_equal(seen.next, "");
}

static void a_buried_workers_attempts_are_found_at_once(void **state)
{
	struct fixture *fx = *state;
	int shard = FX_SHARD;

	park(fx, "a", "w1");
	assert_string_equal(fx_orphans(fx, "", 100).keys, "");
	assert_int_equal(fx_status(fx, store_bury(fx->store, FX_WORKER, &shard, 1, fx_on_done, fx)), MR_OK);
	assert_string_equal(fx_orphans(fx, "", 100).keys, "a");
	apply(fx, backoff());
}

static void members_that_are_no_parked_attempt_go(void **state)
{
	struct fixture *fx = *state;

	free(REDIS(&fx->server, "ZADD", fx_key("k"), "0", "w9\tnone", "0", "w9\tother", "0", "w9\tbacks-off"));
	fx_put(fx, "other", PARKED);
	fx_put(fx, "backs-off", "B|run|0|2|1000|80|0||");
	assert_string_equal(fx_orphans(fx, "", 100).keys, "");
	FX_ASSERT_REDIS(fx, "0", "ZCARD", fx_key("k"));
}

static void without_readiness_nothing_is_lost(void **state)
{
	struct fixture *fx = *state;

	park(fx, "a", "w9");
	assert_int_equal(fx_orphans_status(fx, "other"), MR_ECONFLICT);
	fx_put(fx, "a", NULL);
	assert_int_equal(fx_orphans_status(fx, "other"), MR_ECONFLICT);
	FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("k"));
}

/* ---- asynchronous completion ---- */

static void a_start_without_a_worker_frees_the_owner_and_arms_the_timers(void **state)
{
	struct fixture *fx = *state;

	fx_put(fx, "k", "R|run|0|1|n|w1|rec|5|0|||");
	apply(fx, started());
	for (int round = 0; round < 2; round++) {
		assert_int_equal(apply(fx, pending(253402300799999, 5000)), APPLY_DONE);
		fx_assert_state(fx, "k", "R|run|0|1|n||rec|5|0|60|ke|");
		FX_ASSERT_REDIS(fx, "0", "ZCARD", fx_key("k"));
		FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("h"));
		FX_ASSERT_REDIS(fx, "253402300799999", "ZSCORE", fx_key("T"), "c\tk\trun\t0\t1\t");
	}
	/* An older record that comes again changes nothing. */
	assert_int_equal(apply(fx, started()), APPLY_DONE);
	fx_assert_state(fx, "k", "R|run|0|1|n||rec|5|0|60|ke|");
	assert_true(bytes_is(fx_view(fx, "k").worker, ""));
	assert_true(fx_view(fx, "k").beat_ms > 0);
	assert_string_equal(fx_orphans(fx, "", 100).keys, "");
}

static void its_end_takes_the_timers_with_it(void **state)
{
	struct fixture *fx = *state;
	struct finish_request finish = {.token = fx_token(), .closed_at_ms = 1000, .publication = {.value = BYTES_LIT("v")}};

	finish.token.worker = BYTES_LIT("");
	assert_int_equal(apply(fx, pending(253402300799999, 5000)), APPLY_DONE);
	assert_int_equal(fx_finish(fx, &finish).verdict, FINISH_OK);
	assert_nothing_beside(fx);
}

static void without_timeouts_nothing_is_armed(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(apply(fx, pending(-1, 0)), APPLY_DONE);
	fx_assert_state(fx, "k", PENDING);
	assert_nothing_beside(fx);
}

/* ---- heartbeats ---- */

static void a_heartbeat_is_told_and_the_next_one_takes_its_place(void **state)
{
	struct fixture *fx = *state;
	struct task_view view;
	struct apply_record record = beat("two");

	fx_put(fx, "k", PARKED);
	assert_int_equal(apply(fx, beat("one")), APPLY_DONE);
	fx_assert_state(fx, "k", "R|run|0|1|n|w1|rec|5|0|50|ke|");
	assert_int_equal(apply(fx, record), APPLY_DONE);
	fx_assert_state(fx, "k", "R|run|0|1|n|w1|rec|5|0|50|ke|");
	view = fx_view(fx, "k");
	assert_true(bytes_is(view.heartbeat.data, "two"));
	assert_true(bytes_is(view.heartbeat.content_type, "text/plain") && bytes_is(view.heartbeat.encoding, "gzip"));
	assert_true(view.beat_ms > 0);
	record.heartbeat = (struct payload){0};
	assert_int_equal(apply(fx, record), APPLY_DONE);
	assert_true(bytes_is(fx_view(fx, "k").heartbeat.data, "two")); /* a beat without details leaves them */
}

static void details_may_be_any_bytes(void **state)
{
	struct fixture *fx = *state;
	struct apply_record record = beat("");

	fx_put(fx, "k", PARKED);
	record.heartbeat.data = (struct bytes){"\n\t\0x\n", 5};
	assert_int_equal(apply(fx, record), APPLY_DONE);
	assert_int_equal(fx_view(fx, "k").heartbeat.data.len, 5);
	record.heartbeat.data = BYTES_LIT("");
	assert_int_equal(apply(fx, record), APPLY_DONE);
	assert_true(bytes_present(fx_view(fx, "k").heartbeat.data));
	assert_int_equal(fx_view(fx, "k").heartbeat.data.len, 0);
}

struct beat_row {
	const char *rule, *before;
	enum apply_verdict verdict;
	bool counts; /* the details are the task's; if not, the record is noted so that its end takes it along */
};

static const struct beat_row beat_rows[] = {
	{"of the attempt that runs", PARKED, APPLY_DONE, true},
	{"before the attempt is known to be parked", "R|run|0|1|n|w1|rec|5|0|||", APPLY_DONE, true},
	{"of another owner", "R|run|0|1|x|w2|rec|5|0|50|k|", APPLY_DONE, false},
	{"of an older attempt", "R|run|0|2|x|w2|rec|5|0|50|k|", APPLY_DONE, false},
	{"of an older epoch", "R|run|1|1|x|w2|rec|5|0|50|k|", APPLY_DONE, false},
	{"of another run", "R|other|0|1|n|w1|rec|5|0|50|k|", APPLY_DONE, false},
	{"when the next attempt backs off", "B|run|0|2|1000|80|0||", APPLY_DONE, false},
	{"when the next attempt is scheduled", "S|run|0|2||80|0||", APPLY_DONE, false},
	{"when an older state came back", "B|run|0|1|1000|80|0||", APPLY_DONE, true},
	{"of a task that is only marked", "M||0|1|99|j|0|e|", APPLY_DONE, true},
	{"when the task is finished in another run", "F|other|0|1|n|0|9|0|^0v", APPLY_STALE, false},
};

static void a_heartbeat_counts_for_its_own_attempt_only(void **state)
{
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(beat_rows) / sizeof(beat_rows[0]); i++) {
		const struct beat_row *row = &beat_rows[i];

		fx_put(fx, "k", row->before);
		free(REDIS(&fx->server, "DEL", fx_key("y:k")));
		if (apply(fx, beat("x")) != row->verdict)
			fail_msg("%s: verdict", row->rule);
		if (bytes_present(fx_view(fx, "k").heartbeat.data) != (row->counts && row->before[0] != 'M'))
			fail_msg("%s: details", row->rule);
		FX_ASSERT_REDIS(fx, row->verdict == APPLY_DONE ? "1" : "0", "EXISTS", fx_key("y:k"));
	}
}

static void the_end_of_a_task_finds_records_that_changed_nothing(void **state)
{
	static const char *const before[] = {"R|run|0|2|n|w1|rec|5|0|||", "R|run|0|2|n|w1|rec|5|0|||a=b"};
	struct fixture *fx = *state;
	struct finish_request finish = {.token = fx_token(), .closed_at_ms = 1000, .publication = {.value = BYTES_LIT("v")}};
	struct apply_record stray[] = {beat("of the first attempt"),
				       {.kind = JOURNAL_COMMAND,
					.key = BYTES_LIT("k"),
					.run_id = BYTES_LIT("other"),
					.offset = 71,
					.cancel_requested = true,
					.control_offset = -1}};

	finish.token.attempt = 2;
	for (size_t i = 0; i < 2; i++) {
		fx_put(fx, "k", before[i]);
		assert_int_equal(apply(fx, stray[i]), APPLY_DONE);
		assert_false(fx_view(fx, "k").cancel_requested);
		assert_false(bytes_present(fx_view(fx, "k").heartbeat.data));
		assert_true(fx_finish(fx, &finish).commanded);
		assert_nothing_beside(fx);
	}
}

/* ---- what a replay finds before the task itself ---- */

static void begin_replay(struct fixture *fx)
{
	fx_recover(fx, "n2");
	free(REDIS(&fx->server, "FLUSHALL"));
	fx_recover(fx, "n2");
}

static void assert_kept_with(struct fixture *fx, const char *record)
{
	fx_assert_state(fx, "k", record);
	assert_true(bytes_is(fx_view(fx, "k").heartbeat.data, "half"));
	FX_ASSERT_REDIS(fx, "-1", "TTL", fx_key("y:k"));
}

static void a_beat_stays_with_what_commands_have_marked(void **state)
{
	struct fixture *fx = *state;
	struct apply_record command = {.kind = JOURNAL_COMMAND,
				       .key = BYTES_LIT("k"),
				       .run_id = BYTES_LIT("run"),
				       .offset = 71,
				       .pause_requested = true,
				       .control_offset = -1};

	begin_replay(fx);
	assert_int_equal(replay(fx, beat("half")), APPLY_DONE);
	assert_int_equal(replay(fx, command), APPLY_DONE);
	FX_ASSERT_REDIS(fx, "-1", "TTL", fx_key("y:k"));
	assert_int_equal(replay(fx, started()), APPLY_DONE);
	assert_kept_with(fx, "R|run|0|1|n|w1|rec|5|0|50|pek|");
}

static void a_beat_stays_with_the_claim_that_its_worker_writes_back(void **state)
{
	struct fixture *fx = *state;
	struct claim_token token = fx_token();

	begin_replay(fx);
	assert_int_equal(replay(fx, beat("half")), APPLY_DONE);
	fx_reassert(fx, &token);
	assert_kept_with(fx, "R|run|0|1|n|w1|rec|5|0||e|");
	assert_int_equal(replay(fx, started()), APPLY_DONE);
	assert_kept_with(fx, "R|run|0|1|n|w1|rec|5|0|50|ek|");
}

static void a_beat_stays_with_the_start_of_a_claim_that_did_not_know_of_it(void **state)
{
	struct fixture *fx = *state;

	begin_replay(fx);
	assert_int_equal(replay(fx, beat("half")), APPLY_DONE);
	fx_put(fx, "k", "R|run|0|1|n|w1|rec|5|0|||");
	assert_int_equal(replay(fx, started()), APPLY_DONE);
	assert_kept_with(fx, "R|run|0|1|n|w1|rec|5|0|50|ke|");
}

/* The end of an earlier run is all that Redis knows. */
static void a_beat_waits_for_its_run_beside_the_end_of_an_earlier_one(void **state)
{
	struct fixture *fx = *state;

	begin_replay(fx);
	fx_put(fx, "k", "F|before|0|1|n|0|1000|0|^0v");
	assert_int_equal(replay(fx, beat("half")), APPLY_DONE);
	FX_ASSERT_REDIS(fx, "3600", "TTL", fx_key("y:k"));
	assert_int_equal(replay(fx, started()), APPLY_DONE);
	assert_kept_with(fx, "R|run|0|1|n|w1|rec|5|0|50|ek|");
}

/* By its own key: the task's record is still there, and so is the task where Redis forgets the result before it is published. */
static void what_is_tombstoned_of_an_unpublished_end_is_not_the_task(void **state)
{
	struct fixture *fx = *state;

	fx_put(fx, "k", "F|run|0|1|n|0|1000|1|^0v");
	assert_int_equal(apply(fx, beat("half")), APPLY_FINISHED);
	assert_int_equal(apply(fx, started()), APPLY_STALE);
	begin_replay(fx);
	assert_int_equal(replay(fx, started()), APPLY_DONE);
	fx_assert_state(fx, "k", PARKED);
}

static void details_survive_a_wipe_in_any_order_of_the_log(void **state)
{
	struct fixture *fx = *state;

	begin_replay(fx);
	/* The attempt's own record was written anew, or compacted away. */
	assert_int_equal(replay(fx, beat("half")), APPLY_DONE);
	assert_int_equal(replay(fx, started()), APPLY_DONE);
	assert_true(bytes_is(fx_view(fx, "k").heartbeat.data, "half"));
	FX_ASSERT_REDIS(fx, "-1", "TTL", fx_key("y:k"));
	fx_assert_state(fx, "k", "R|run|0|1|n|w1|rec|5|0|50|ek|");
}

static void details_come_with_the_start_too(void **state)
{
	struct fixture *fx = *state;
	struct apply_record record = started();

	record.heartbeat.data = BYTES_LIT("first");
	assert_int_equal(apply(fx, record), APPLY_DONE);
	assert_true(bytes_is(fx_view(fx, "k").heartbeat.data, "first"));
	assert_false(bytes_present(fx_view(fx, "k").heartbeat.content_type));
	assert_false(bytes_present(fx_view(fx, "k").heartbeat.encoding));
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_start_parks_its_attempt, reset),
		cmocka_unit_test_setup(a_start_of_another_owner_parks_nothing, reset),
		cmocka_unit_test_setup(the_end_of_a_parked_attempt_takes_all_with_it, reset),
		cmocka_unit_test_setup(a_backoff_ends_the_parked_attempt_and_keeps_its_heartbeat, reset),
		cmocka_unit_test_setup(parked_attempts_of_workers_without_a_lease_are_found, reset),
		cmocka_unit_test_setup(a_buried_workers_attempts_are_found_at_once, reset),
		cmocka_unit_test_setup(members_that_are_no_parked_attempt_go, reset),
		cmocka_unit_test_setup(without_readiness_nothing_is_lost, reset),
		cmocka_unit_test_setup(a_start_without_a_worker_frees_the_owner_and_arms_the_timers, reset),
		cmocka_unit_test_setup(its_end_takes_the_timers_with_it, reset),
		cmocka_unit_test_setup(without_timeouts_nothing_is_armed, reset),
		cmocka_unit_test_setup(a_heartbeat_is_told_and_the_next_one_takes_its_place, reset),
		cmocka_unit_test_setup(details_may_be_any_bytes, reset),
		cmocka_unit_test_setup(a_heartbeat_counts_for_its_own_attempt_only, reset),
		cmocka_unit_test_setup(the_end_of_a_task_finds_records_that_changed_nothing, reset),
		cmocka_unit_test_setup(a_beat_stays_with_what_commands_have_marked, reset),
		cmocka_unit_test_setup(a_beat_stays_with_the_claim_that_its_worker_writes_back, reset),
		cmocka_unit_test_setup(a_beat_stays_with_the_start_of_a_claim_that_did_not_know_of_it, reset),
		cmocka_unit_test_setup(a_beat_waits_for_its_run_beside_the_end_of_an_earlier_one, reset),
		cmocka_unit_test_setup(what_is_tombstoned_of_an_unpublished_end_is_not_the_task, reset),
		cmocka_unit_test_setup(details_survive_a_wipe_in_any_order_of_the_log, reset),
		cmocka_unit_test_setup(details_come_with_the_start_too, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
