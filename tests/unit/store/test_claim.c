/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "support/store_fixture.h"

/* Claim of task "k" by worker w1 with nonce n, in every state. */
struct claim_row {
	const char *rule;
	const char *before; /* NULL: no state */
	/* The record; 0 and NULL stand for what fx_request has. */
	const char *run, *record, *reply;
	int64_t epoch, attempt, max_attempts;
	enum id_reuse_policy reuse;
	bool conflict_fail, first_loss_retries;
	enum claim_verdict verdict;
	const char *after;               /* NULL: as before */
	int64_t told_attempt, told_lost; /* 0: not checked */
	bool reject_running;
};

#define MINE_BESIDE "R|run|0|1|n|w1|rec|5|0||e|"
#define MINE "R|run|0|1|n|w1|rec|5|0|||"

static const struct claim_row rows[] = {
	{"a new task runs", NULL, .verdict = CLAIM_RUN, .after = MINE, .told_attempt = 1},
	{"attempt 2 without state is stale", NULL, .attempt = 2, .verdict = CLAIM_STALE},
	{"epoch 1 without state is stale", NULL, .epoch = 1, .verdict = CLAIM_STALE},

	{"a repeated claim runs again", MINE, .verdict = CLAIM_RUN, .told_attempt = 1},
	{"a repeated claim of a task canceled meanwhile", "R|run|0|1|n|w1|rec|5|0||c|", .verdict = CLAIM_CANCELED},
	{"a repeated claim that was lost is lost", "R|run|0|2|n|w1|rec|5|1||l|", .verdict = CLAIM_LOST, .told_attempt = 2,
	 .told_lost = 1},
	{"the same record waits for its living owner", "R|run|0|1|x|w2|rec|1|0|||", .verdict = CLAIM_WAIT},
	{"the same record waits for the same worker too", "R|run|0|1|x|w1|rec|1|0|||", .verdict = CLAIM_WAIT},
	{"the same record waits when journalled, too", "R|run|0|1|x|w2|rec|1|0|7||", .verdict = CLAIM_WAIT},
	{"an attempt without an owner ends by its timers", "R|run|0|1|x||rec|1|0|7||", .verdict = CLAIM_BUSY},
	{"the first loss runs the next attempt", "R|run|0|1|x|w9|rec|1|0|||", .first_loss_retries = true, .verdict = CLAIM_RUN,
	 .after = "R|run|0|2|n|w1|rec|5|1|||", .told_attempt = 2, .told_lost = 1},
	{"the first loss keeps journal, replies", "R|run|0|3|x|w9|rec|1|0|9||a=b", .attempt = 3, .first_loss_retries = true,
	 .verdict = CLAIM_RUN, .after = "R|run|0|4|n|w1|rec|5|1|9||a=b", .told_attempt = 4},
	{"a loss with a limit that is not reached", "R|run|0|1|x|w9|rec|1|0|||", .max_attempts = 2, .first_loss_retries = true,
	 .verdict = CLAIM_RUN, .after = "R|run|0|2|n|w1|rec|5|1|||"},
	{"a loss of the only attempt", "R|run|0|1|x|w9|rec|1|0|||", .max_attempts = 1, .first_loss_retries = true,
	 .verdict = CLAIM_LOST, .after = "R|run|0|1|n|w1|rec|5|0||l|", .told_attempt = 1},
	{"a loss that may not be retried", "R|run|0|1|x|w9|rec|1|0|||", .verdict = CLAIM_LOST,
	 .after = "R|run|0|1|n|w1|rec|5|0||l|"},
	{"a second loss backs off", "R|run|0|2|x|w9|rec|1|1|||", .first_loss_retries = true, .verdict = CLAIM_LOST,
	 .after = "R|run|0|2|n|w1|rec|5|1||l|", .told_attempt = 2, .told_lost = 1},
	{"what was taken over as lost and lost again stays lost", "R|run|0|1|x|w9|rec|1|0||l|", .first_loss_retries = true,
	 .verdict = CLAIM_LOST, .after = "R|run|0|1|n|w1|rec|5|0||l|"},
	{"a loss of a canceled attempt", "R|run|0|1|x|w9|rec|1|0||c|", .first_loss_retries = true, .verdict = CLAIM_CANCELED,
	 .after = "R|run|0|1|n|w1|rec|5|0||c|", .told_attempt = 1},
	{"a loss of an attempt to be paused", "R|run|0|1|x|w9|rec|1|0||p|", .first_loss_retries = true, .verdict = CLAIM_LOST,
	 .after = "R|run|0|1|n|w1|rec|5|0||pl|"},
	{"a copy joins what runs", "R|other|0|1|x|w9|rec2|1|0|||", .verdict = CLAIM_BUSY},
	{"a copy of a later attempt joins", "R|other|0|3|x|w2|rec2|1|0|||", .verdict = CLAIM_BUSY},
	{"a copy leaves its reply", "R|other|0|1|x|w2|rec2|1|0|||", .reply = "topic=key", .verdict = CLAIM_BUSY,
	 .after = "R|other|0|1|x|w2|rec2|1|0|||topic=key"},
	{"a reply is kept once", "R|other|0|1|x|w2|rec2|1|0|||topic=key", .reply = "topic=key", .verdict = CLAIM_BUSY},
	{"a further reply", "R|other|0|1|x|w2|rec2|1|0|||a=b", .reply = "topic=key", .verdict = CLAIM_BUSY,
	 .after = "R|other|0|1|x|w2|rec2|1|0|||a=b&topic=key"},
	{"at most eight replies", "R|other|0|1|x|w2|rec2|1|0|||1=&2=&3=&4=&5=&6=&7=&8=", .reply = "topic=key",
	 .verdict = CLAIM_BUSY},
	{"a second dispatch of the attempt that runs", "R|run|0|2|x|w2|rec2|1|0|||", .attempt = 2, .verdict = CLAIM_BUSY},
	{"an older attempt", "R|run|0|2|x|w2|rec2|1|0|||", .verdict = CLAIM_STALE},
	{"an attempt that was not dispatched", "R|run|0|1|x|w2|rec2|1|0|||", .attempt = 2, .verdict = CLAIM_STALE},
	{"an older epoch", "R|run|1|1|x|w2|rec2|1|0|||", .attempt = 3, .verdict = CLAIM_STALE},
	{"a late attempt of another run", "R|other|0|2|x|w2|rec2|1|0|||", .attempt = 2, .verdict = CLAIM_STALE},
	{"a copy that wants no conflict", "R|other|0|1|x|w2|rec2|1|0|||", .conflict_fail = true, .verdict = CLAIM_REJECTED,
	 .reject_running = true},
	{"a copy of the same run is no conflict", "R|run|0|1|x|w2|rec2|1|0|||", .conflict_fail = true, .verdict = CLAIM_BUSY},

	{"the dispatched attempt runs", "S|run|0|2||7|0||a=b", .attempt = 2, .verdict = CLAIM_RUN,
	 .after = "R|run|0|2|n|w1|rec|5|0|7||a=b", .told_attempt = 2},
	{"a released record runs again", "S|run|0|2|rec||1||", .attempt = 1, .verdict = CLAIM_RUN,
	 .after = "R|run|0|2|n|w1|rec|5|1|||", .told_attempt = 2, .told_lost = 1},
	{"a second dispatch of a released attempt", "S|run|0|2|rec2|7|0||", .attempt = 2, .verdict = CLAIM_RUN,
	 .after = "R|run|0|2|n|w1|rec|5|0|7||"},
	{"the original record after a backoff", "S|run|0|2||7|0||", .verdict = CLAIM_STALE},
	{"a later attempt than the scheduled one", "S|run|0|2||7|0||", .attempt = 3, .verdict = CLAIM_STALE},
	{"a copy of a scheduled task", "S|other|0|2||7|0||", .reply = "t=k", .verdict = CLAIM_BUSY,
	 .after = "S|other|0|2||7|0||t=k"},
	{"a copy of a scheduled task that wants no conflict", "S|other|0|2||7|0||", .conflict_fail = true,
	 .verdict = CLAIM_REJECTED, .reject_running = true},
	{"a scheduled task that is canceled", "S|run|0|2||7|0|c|", .attempt = 2, .verdict = CLAIM_CANCELED,
	 .after = "R|run|0|2|n|w1|rec|5|0|7|c|"},
	{"a scheduled task that is paused", "S|run|0|2||7|0|p|", .attempt = 2, .verdict = CLAIM_HOLD},
	{"cancel comes before pause", "S|run|0|2||7|0|pc|", .attempt = 2, .verdict = CLAIM_CANCELED,
	 .after = "R|run|0|2|n|w1|rec|5|0|7|pc|"},

	{"the original record while backing off", "B|run|0|2|99|7|0||", .verdict = CLAIM_STALE},
	{"a record of the attempt that backs off", "B|run|0|2|99|7|0||", .attempt = 2, .verdict = CLAIM_STALE},
	{"a copy while backing off", "B|other|0|2|99|7|0||", .reply = "t=k", .verdict = CLAIM_BUSY,
	 .after = "B|other|0|2|99|7|0||t=k"},
	{"a copy while backing off that wants no conflict", "B|other|0|2|99|7|0||", .conflict_fail = true,
	 .verdict = CLAIM_REJECTED, .reject_running = true},
	{"the original record while waiting", "W|run|0|1|99|7|0||", .verdict = CLAIM_STALE},
	{"a copy while waiting", "W|other|0|1|99|7|0||", .verdict = CLAIM_BUSY},
	{"a late attempt of another run while waiting", "W|other|0|1|99|7|0||", .attempt = 2, .verdict = CLAIM_STALE},

	{"the same run when finished", "F|run|0|1|x|0|9|0|^0v", .verdict = CLAIM_FINISHED, .told_attempt = 1},
	{"a late attempt of the run when finished", "F|run|0|2|x|0|9|0|^0v", .attempt = 2, .verdict = CLAIM_FINISHED},
	{"another run when finished", "F|other|0|1|x|0|9|0|^0v", .verdict = CLAIM_FINISHED},
	{"a late attempt of another run when finished", "F|other|0|1|x|0|9|0|^0v", .attempt = 2, .verdict = CLAIM_STALE},
	{"the same run when finished, duplicates rejected", "F|run|0|1|x|0|9|0|^0v", .reuse = REUSE_REJECT_DUPLICATE,
	 .verdict = CLAIM_FINISHED},
	{"another run when finished, duplicates rejected", "F|other|0|1|x|0|9|0|^0v", .reuse = REUSE_REJECT_DUPLICATE,
	 .verdict = CLAIM_REJECTED},
	{"another run when finished, duplicates allowed", "F|other|0|1|x|0|9|0|^0v", .reuse = REUSE_ALLOW_DUPLICATE,
	 .verdict = CLAIM_RUN, .after = MINE_BESIDE},
	{"duplicates allowed, the old result not published", "F|other|0|1|x|0|9|1|^0v", .reuse = REUSE_ALLOW_DUPLICATE,
	 .verdict = CLAIM_WAIT},
	{"another run after a success, failed only", "F|other|0|1|x|0|9|0|^0v", .reuse = REUSE_ALLOW_DUPLICATE_FAILED_ONLY,
	 .verdict = CLAIM_REJECTED},
	{"another run after a failure, failed only", "F|other|0|1|x|1|9|0|^0v", .reuse = REUSE_ALLOW_DUPLICATE_FAILED_ONLY,
	 .verdict = CLAIM_RUN, .after = MINE_BESIDE},

	{"the record of a parked attempt whose owner is dead", "R|run|0|1|x|w9|rec|5|0|7|k|", .verdict = CLAIM_BUSY},
	{"the record of a parked attempt whose owner lives", "R|run|0|1|x|w2|rec|5|0|7|k|", .verdict = CLAIM_BUSY},
	{"the record of an attempt that waits for its completion", "R|run|0|1|x||rec|5|0|7|k|", .verdict = CLAIM_BUSY},
	{"a lost attempt that was terminated", "R|run|0|1|x|w9|rec|5|0||t|", .verdict = CLAIM_CANCELED,
	 .after = "R|run|0|1|n|w1|rec|5|0||t|"},
	{"a lost attempt that is to be reset does not go on", "R|run|0|1|x|w9|rec|5|0||r|", .first_loss_retries = true,
	 .verdict = CLAIM_LOST, .after = "R|run|0|1|n|w1|rec|5|0||rl|"},
	{"scheduled and terminated", "S|run|0|1|rec||0|te|", .verdict = CLAIM_CANCELED, .after = "R|run|0|1|n|w1|rec|5|0||te|"},
	{"scheduled and changed since", "S|run|0|1|rec||0|ue|", .verdict = CLAIM_HOLD},

	{"a marker without a command", "M||0|1|99|j|0|e|", .verdict = CLAIM_RUN, .after = "R|run|0|1|n|w1|rec|5|0|j|e|"},
	{"a marker of a cancel", "M||0|1|99|j|0|ce|", .verdict = CLAIM_CANCELED, .after = "R|run|0|1|n|w1|rec|5|0|j|ce|"},
	{"a marker of a cancel of this run", "M|run|0|1|99|j|0|ce|", .verdict = CLAIM_CANCELED,
	 .after = "R|run|0|1|n|w1|rec|5|0|j|ce|"},
	{"a marker of a cancel of another run", "M|other|0|1|99|j|0|ce|", .verdict = CLAIM_RUN,
	 .after = "R|run|0|1|n|w1|rec|5|0|j|e|"},
	{"a marker of a pause", "M||0|1|99|j|0|pe|", .verdict = CLAIM_HOLD},
	{"a marker of changed options", "M|run|0|1|99|j|0|ue|", .verdict = CLAIM_HOLD},
	{"a later attempt of what is only marked", "M|run|0|1|99|j|0|ce|", .attempt = 2, .verdict = CLAIM_STALE},
};

static struct bytes or_default(const char *text, struct bytes otherwise)
{
	return text ? bytes_of(text) : otherwise;
}

static struct claim_request request_of(const struct claim_row *row)
{
	struct claim_request request = fx_request();
	const char *equals = row->reply ? strchr(row->reply, '=') : NULL;

	request.run_id = or_default(row->run, request.run_id);
	request.record_id = or_default(row->record, request.record_id);
	request.epoch = row->epoch;
	request.attempt = row->attempt ? row->attempt : 1;
	request.max_attempts = row->max_attempts;
	request.reuse = row->reuse;
	request.conflict = row->conflict_fail ? CONFLICT_FAIL : CONFLICT_USE_EXISTING;
	request.first_loss_retries = row->first_loss_retries;
	if (equals) {
		request.reply_topic = (struct bytes){row->reply, (size_t)(equals - row->reply)};
		request.reply_key = bytes_of(equals + 1);
	}
	return request;
}

static void check_answer(struct fixture *fx, const struct claim_row *row, const struct claim_request *request)
{
	struct claim_answer answer = fx_claim(fx, request);
	char verdicts[64];

	snprintf(verdicts, sizeof(verdicts), "%d", (int)answer.verdict);
	if (answer.verdict != row->verdict)
		fail_msg("%s: verdict %s, expected %d", row->rule, verdicts, (int)row->verdict);
	assert_int_equal(answer.reject_running, row->reject_running);
	if (row->told_attempt)
		assert_int_equal(answer.attempt, row->told_attempt);
	if (row->told_lost)
		assert_int_equal(answer.lost, row->told_lost);
	if (answer.verdict == CLAIM_RUN || answer.verdict == CLAIM_LOST || answer.verdict == CLAIM_CANCELED) {
		assert_true(bytes_is(answer.run_id, "run"));
		assert_int_equal(answer.started_at_ms, 5);
	}
	if (answer.verdict == CLAIM_FINISHED)
		assert_true(bytes_is(answer.publication.value, "v"));
	const char *after = row->after ? row->after : row->before;
	CLEANUP_FREE char *state = fx_get(fx, "k");

	if (strcmp(state, after ? after : "(nil)") != 0)
		fail_msg("%s: state %s, expected %s", row->rule, state, after ? after : "none");
}

static void every_state_has_its_answer_and_a_repetition_the_same(void **state)
{
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct claim_request request = request_of(&rows[i]);

		fx_put(fx, "k", rows[i].before);
		check_answer(fx, &rows[i], &request);
		check_answer(fx, &rows[i], &request);
	}
}

static void a_shard_that_is_not_vouched_for_answers_not_ready(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = fx_request();

	free(REDIS(&fx->server, "DEL", fx_key("m")));
	assert_int_equal(fx_claim(fx, &request).verdict, CLAIM_NOT_READY);
	fx_recover(fx, "n2");
	assert_int_equal(fx_claim(fx, &request).verdict, CLAIM_NOT_READY);
	fx_vouch(fx, "n2");
	assert_int_equal(fx_claim(fx, &request).verdict, CLAIM_RUN);
}

static void a_worker_without_a_lease_claims_nothing(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = fx_request();
	int shard = FX_SHARD;

	assert_int_equal(fx_claims(fx, BYTES_LIT("w7"), &request, 1)->verdict, CLAIM_NOT_READY);
	assert_int_equal(fx_status(fx, store_bury(fx->store, BYTES_LIT("w7"), &shard, 1, fx_on_done, fx)), MR_OK);
	assert_int_equal(fx_claims(fx, BYTES_LIT("w7"), &request, 1)->verdict, CLAIM_BURIED);
	fx_assert_state(fx, "k", NULL);
}

static void copies_in_one_batch_run_once(void **state)
{
	struct fixture *fx = *state;
	struct claim_request requests[5];
	static const char *const runs[] = {"r0", "r1", "r2", "r3", "r4"}, *const records[] = {"c0", "c1", "c2", "c3", "c4"},
				 *const nonces[] = {"m0", "m1", "m2", "m3", "m4"};

	for (size_t i = 0; i < 5; i++) {
		requests[i] = fx_request();
		requests[i].run_id = bytes_of(runs[i]);
		requests[i].record_id = bytes_of(records[i]);
		requests[i].nonce = bytes_of(nonces[i]);
	}
	requests[4].attempt = 2;
	for (int round = 0; round < 2; round++) {
		const struct claim_answer *answers = fx_claims(fx, FX_WORKER, requests, 5);

		assert_int_equal(answers[0].verdict, CLAIM_RUN);
		assert_int_equal(answers[1].verdict, CLAIM_BUSY);
		assert_int_equal(answers[2].verdict, CLAIM_BUSY);
		assert_int_equal(answers[3].verdict, CLAIM_BUSY);
		assert_int_equal(answers[4].verdict, CLAIM_STALE);
		fx_assert_state(fx, "k", "R|r0|0|1|m0|w1|c0|5|0|||");
	}
}

static void a_record_behind_a_stale_copy_in_one_batch_runs(void **state)
{
	struct fixture *fx = *state;
	struct claim_request requests[2] = {fx_request(), fx_request()};
	const struct claim_answer *answers;

	requests[0].attempt = 2;
	requests[0].nonce = BYTES_LIT("other");
	answers = fx_claims(fx, FX_WORKER, requests, 2);
	assert_int_equal(answers[0].verdict, CLAIM_STALE);
	assert_int_equal(answers[1].verdict, CLAIM_RUN);
	fx_assert_state(fx, "k", MINE);
}

/* Everything that a batch can hold at once, over shards that are ready and one that is not: the answers keep the order of the
 * requests. */
static void answers_of_many_shards_keep_the_order(void **state)
{
	struct fixture *fx = *state;
	struct claim_request requests[40];
	char keys[40][16];
	const struct claim_answer *answers;

	fx_put(fx, "key-2", "F|other|0|1|x|0|9|0|^0stored");
	for (int i = 0; i < 40; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
		requests[i] = fx_request();
		requests[i].key = bytes_of(keys[i]);
		requests[i].shard = i % FX_SHARDS;
	}
	answers = fx_claims(fx, FX_WORKER, requests, 40);
	for (int i = 0; i < 40; i++)
		assert_int_equal(answers[i].verdict, i == 2                      ? CLAIM_FINISHED
						     : i % FX_SHARDS == FX_SHARD ? CLAIM_RUN
										 : CLAIM_NOT_READY);
	assert_true(bytes_is(answers[2].publication.value, "stored"));
	fx_assert_state(fx, "key-6", MINE);
	fx_assert_state(fx, "key-5", NULL);
}

static void a_full_batch_is_claimed(void **state)
{
	struct fixture *fx = *state;
	struct claim_request requests[STORE_BATCH_MAX + 1];
	char keys[STORE_BATCH_MAX + 1][16];

	for (int i = 0; i <= STORE_BATCH_MAX; i++) {
		snprintf(keys[i], sizeof(keys[i]), "full-%d", i);
		requests[i] = fx_request();
		requests[i].key = bytes_of(keys[i]);
	}
	const struct claim_answer *answers = fx_claims(fx, FX_WORKER, requests, STORE_BATCH_MAX);

	for (int i = 0; i < STORE_BATCH_MAX; i++)
		assert_int_equal(answers[i].verdict, CLAIM_RUN);
	assert_int_equal(store_claim(fx->store, FX_WORKER, requests, STORE_BATCH_MAX + 1, NULL, NULL), MR_EINVAL);
	assert_int_equal(store_claim(fx->store, FX_WORKER, requests, 0, NULL, NULL), MR_EINVAL);
}

static void what_would_break_a_record_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = fx_request();

	request.run_id = BYTES_LIT("a\tb");
	assert_int_equal(store_claim(fx->store, FX_WORKER, &request, 1, NULL, NULL), MR_EINVAL);
	request = fx_request();
	request.reply_topic = BYTES_LIT("a\nb");
	assert_int_equal(store_claim(fx->store, FX_WORKER, &request, 1, NULL, NULL), MR_EINVAL);
	request = fx_request();
	request.shard = FX_SHARDS;
	assert_int_equal(store_claim(fx->store, FX_WORKER, &request, 1, NULL, NULL), MR_EINVAL);
	assert_int_equal(store_claim(fx->store, BYTES_LIT("w\x1f"), &request, 1, NULL, NULL), MR_EINVAL);
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_state_has_its_answer_and_a_repetition_the_same, reset),
		cmocka_unit_test_setup(a_shard_that_is_not_vouched_for_answers_not_ready, reset),
		cmocka_unit_test_setup(a_worker_without_a_lease_claims_nothing, reset),
		cmocka_unit_test_setup(copies_in_one_batch_run_once, reset),
		cmocka_unit_test_setup(a_record_behind_a_stale_copy_in_one_batch_runs, reset),
		cmocka_unit_test_setup(answers_of_many_shards_keep_the_order, reset),
		cmocka_unit_test_setup(a_full_batch_is_claimed, reset),
		cmocka_unit_test_setup(what_would_break_a_record_is_refused, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
