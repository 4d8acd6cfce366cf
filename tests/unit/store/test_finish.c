/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "support/store_fixture.h"

/* The token of the tests: run "run", attempt 1, nonce "n", worker w1, record "rec". */

static void check_state(struct fixture *fx, const char *rule, const char *expected)
{
	CLEANUP_FREE char *state = fx_get(fx, "k");

	if (strcmp(state, expected ? expected : "(nil)") != 0)
		fail_msg("%s: state %s, expected %s", rule, state, expected ? expected : "none");
}

static bool in_set(struct fixture *fx, const char *kind)
{
	CLEANUP_FREE char *score = REDIS(&fx->server, "ZSCORE", fx_key(kind), "k");

	return strcmp(score, "(nil)") != 0;
}

/* ---- finish ---- */

#define DONE "F|run|0|1|n|0|1000|0|^0value"
#define DONE_OUTBOX "F|run|0|1|n|0|1000|1|^0value"

struct finish_row {
	const char *rule;
	const char *before;
	bool outbox;
	enum finish_verdict verdict;
	const char *after; /* NULL: as before */
	const char *replies;
	bool in_outbox;
};

static const struct finish_row finish_rows[] = {
	{"the claim as it was", "R|run|0|1|n|w1|rec|5|0|||", false, FINISH_OK, DONE, "", false},
	{"the claim as it was, outbox", "R|run|0|1|n|w1|rec|5|0|||", true, FINISH_OK, DONE_OUTBOX, "", true},
	{"replies were added", "R|run|0|1|n|w1|rec|5|0|||a=b", false, FINISH_OK, "F|run|0|1|n|0|1000|0|a=b^0value", "a\037b",
	 false},
	{"a flag was added", "R|run|0|1|n|w1|rec|5|0||c|", false, FINISH_OK, DONE, "", false},
	{"a journal record was applied meanwhile", "R|run|0|1|n|w1|rec|5|0|7||", false, FINISH_OK, DONE_OUTBOX, "", true},
	{"the claim was lost", NULL, false, FINISH_OK, DONE, "", false},
	{"another attempt's nonce", "R|run|0|1|x|w2|rec|5|0|||", false, FINISH_STALE, NULL, "", false},
	{"a later attempt", "R|run|0|2|x|w2|rec|5|0|||", true, FINISH_STALE, NULL, "", false},
	{"a later epoch", "R|run|1|1|x|w2|rec|5|0|||", false, FINISH_STALE, NULL, "", false},
	{"another run", "R|other|0|1|x|w2|rec|5|0|||", false, FINISH_STALE, NULL, "", false},
	{"the next attempt backs off", "B|run|0|2|99|7|0||", false, FINISH_STALE, NULL, "", false},
	{"the next attempt is scheduled", "S|run|0|2||7|0||", false, FINISH_STALE, NULL, "", false},
	{"this attempt still backs off: an old state", "B|run|0|1|99|7|0||", false, FINISH_OK, DONE_OUTBOX, "", true},
	{"this attempt is still scheduled: an old state", "S|run|0|1|||0||", false, FINISH_OK, DONE, "", false},
	{"this attempt still waits: an old state", "W|run|0|1|99|7|0||", true, FINISH_OK, DONE_OUTBOX, "", true},
	{"another run waits", "W|other|0|1|99|7|0||", false, FINISH_STALE, NULL, "", false},
	{"finished by this token", DONE, false, FINISH_OK, NULL, "", false},
	{"finished by this token, replies", "F|run|0|1|n|0|1000|0|a=b^0value", false, FINISH_OK, NULL, "a\037b", false},
	{"finished by another", "F|run|0|1|x|0|900|0|^0other", false, FINISH_STALE, NULL, "", false},
	{"another run's result is not published", "F|other|0|1|n|0|900|1|^0other", true, FINISH_STALE, NULL, "", false},
	{"an old state: the end of an earlier run", "F|other|0|1|n|0|900|0|^0other", true, FINISH_OK, DONE_OUTBOX, "", true},
	{"parked", "R|run|0|1|n|w1|rec|5|0|7|k|", true, FINISH_OK, DONE_OUTBOX, "", true},
	{"asynchronous", "R|run|0|1|n||rec|5|0|7|k|", false, FINISH_OK, DONE_OUTBOX, "", true},
	{"only marked", "M||0|1|99|j|0|ce|", false, FINISH_OK, DONE_OUTBOX, "", true},
	{"another run marked", "M|other|0|1|99|j|0|ce|", false, FINISH_OK, DONE_OUTBOX, "", true},
};

static struct finish_request finish_request(bool outbox)
{
	return (struct finish_request){
		.token = fx_token(), .outbox = outbox, .closed_at_ms = 1000, .publication = {.value = BYTES_LIT("value")}};
}

static void check_finish(struct fixture *fx, const struct finish_row *row)
{
	struct finish_request request = finish_request(row->outbox);
	struct finish_answer answer = fx_finish(fx, &request);

	if (answer.verdict != row->verdict)
		fail_msg("%s: verdict %d", row->rule, (int)answer.verdict);
	if (!bytes_is(answer.replies, row->replies))
		fail_msg("%s: replies '%.*s'", row->rule, BYTES_ARG(answer.replies));
	check_state(fx, row->rule, row->after ? row->after : row->before);
	if (in_set(fx, "o") != row->in_outbox)
		fail_msg("%s: outbox", row->rule);
}

static void finish_ends_what_its_token_holds_and_nothing_else(void **state)
{
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(finish_rows) / sizeof(finish_rows[0]); i++) {
		free(REDIS(&fx->server, "DEL", fx_key("o")));
		fx_put(fx, "k", finish_rows[i].before);
		check_finish(fx, &finish_rows[i]);
		check_finish(fx, &finish_rows[i]);
	}
}

static void who_ends_an_attempt_for_its_holder_makes_the_holders_end_stale(void **state)
{
	static const char *const states[] = {"R|run|0|1|n|w1|rec|5|0|||", "R|run|0|1|n|w1|rec|5|0|7|k|"};
	struct fixture *fx = *state;

	for (size_t i = 0; i < 2; i++) {
		struct finish_request holder = finish_request(true), other = finish_request(true);

		fx_put(fx, "k", states[i]);
		other.end_nonce = BYTES_LIT("end");
		other.status = RESULT_TERMINATED;
		assert_int_equal(fx_finish(fx, &other).verdict, FINISH_OK);
		assert_int_equal(fx_finish(fx, &other).verdict, FINISH_OK);
		assert_int_equal(fx_finish(fx, &holder).verdict, FINISH_STALE);
		fx_assert_state(fx, "k", "F|run|0|1|end|4|1000|1|^0value");
		fx_put(fx, "k", states[i]);
		assert_int_equal(fx_finish(fx, &holder).verdict, FINISH_OK);
		assert_int_equal(fx_finish(fx, &other).verdict, FINISH_STALE);
	}
}

static void finish_needs_no_readiness(void **state)
{
	struct fixture *fx = *state;
	struct finish_request request = finish_request(false);

	free(REDIS(&fx->server, "FLUSHALL"));
	assert_int_equal(fx_finish(fx, &request).verdict, FINISH_OK);
	fx_assert_state(fx, "k", DONE);
}

static void finish_tells_that_the_journal_knows_commands_of_the_task(void **state)
{
	static const struct {
		const char *before;
		bool has_commands;
		const char *replies;
	} rows[] = {
		{"R|run|0|1|n|w1|rec|5|0||ce|", true, ""},
		{"R|run|0|1|n|w1|rec|5|0||ce|a=b", true, "a\037b"},
		{"M||0|1|99|j|0|ce|", true, ""},
		{"R|run|0|1|n|w1|rec|5|0|7|ke|", false, ""}, /* a heartbeat only */
	};
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct finish_request request = finish_request(false);
		struct finish_answer answer;

		free(REDIS(&fx->server, "DEL", fx_key("o"), fx_key("c:k")));
		if (rows[i].has_commands)
			free(REDIS(&fx->server, "SET", fx_key("c:k"), "run\t0\tc\tq1\t"));
		fx_put(fx, "k", rows[i].before);
		answer = fx_finish(fx, &request);
		assert_int_equal(answer.verdict, FINISH_OK);
		assert_true(answer.commanded == rows[i].has_commands);
		assert_true(bytes_is(answer.replies, rows[i].replies));
		assert_true(in_set(fx, "o"));
		FX_ASSERT_REDIS(fx, "0", "EXISTS", fx_key("c:k"));
	}
}

static void a_claim_of_a_finished_task_returns_its_stored_publication(void **state)
{
	struct fixture *fx = *state;
	struct claim_request claim = fx_request();
	struct finish_request request = finish_request(false);
	const struct header headers[] = {
		{BYTES_LIT("trace"), BYTES_LIT("abc")}, {BYTES_LIT("empty"), BYTES_LIT("")}, {BYTES_LIT("none"), BYTES_NONE}};
	struct claim_answer answer;

	request.publication =
		(struct store_publication){BYTES_LIT("{\"a\":\n\1}"), BYTES_LIT("replies"), BYTES_LIT("wf"), {headers, 3}};
	assert_int_equal(fx_claim(fx, &claim).verdict, CLAIM_RUN);
	assert_int_equal(fx_finish(fx, &request).verdict, FINISH_OK);
	answer = fx_claim(fx, &claim);
	assert_int_equal(answer.verdict, CLAIM_FINISHED);
	assert_true(bytes_equal(answer.publication.value, request.publication.value));
	assert_true(bytes_is(answer.publication.reply_topic, "replies"));
	assert_true(bytes_is(answer.publication.reply_key, "wf"));
	assert_int_equal(answer.publication.headers.len, 3);
}

static void replies_can_be_read_one_by_one(void **state)
{
	struct bytes replies = BYTES_LIT("t1\037k1\036t2\037\036t3\037k3"), topic, key;

	(void)state;
	assert_true(store_replies_next(&replies, &topic, &key) && bytes_is(topic, "t1") && bytes_is(key, "k1"));
	assert_true(store_replies_next(&replies, &topic, &key) && bytes_is(topic, "t2") && key.len == 0);
	assert_true(store_replies_next(&replies, &topic, &key) && bytes_is(topic, "t3") && bytes_is(key, "k3"));
	assert_false(store_replies_next(&replies, &topic, &key));
}

/* ---- release ---- */

struct release_row {
	const char *rule, *before, *after;
};

static const struct release_row release_rows[] = {
	{"a first claim leaves nothing", "R|run|0|1|n|w1|rec|5|0|||", NULL},
	{"replies are kept", "R|run|0|1|n|w1|rec|5|0|||a=b", "S|run|0|1|rec||0||a=b"},
	{"flags are kept", "R|run|0|1|n|w1|rec|5|0||c|", "S|run|0|1|rec||0|c|"},
	{"an attempt after a loss is kept", "R|run|0|1|n|w1|rec|5|1|||", "S|run|0|1|rec||1||"},
	{"the journal offset is kept", "R|run|0|1|n|w1|rec|5|0|7||", "S|run|0|1|rec|7|0||"},
	{"what was lost stays lost", "R|run|0|1|n|w1|rec|5|0||l|", "R|run|0|1|n|-|rec|5|0||l|"},
	{"a reset is told with the next claim", "R|run|0|1|n|w1|rec|5|0|j|re|", "S|run|0|1|rec|j|0|ue|"},
	{"a run after a closed one is kept", "R|run|0|1|n|w1|rec|5|0||e|", "S|run|0|1|rec||0|e|"},
	{"what the journal says has started", "R|run|0|1|n|w1|rec|5|0|7|k|", "R|run|0|1|n|w1|rec|5|0|7|k|"},
	{"another nonce", "R|run|0|1|x|w1|rec|5|0|||", "R|run|0|1|x|w1|rec|5|0|||"},
	{"another run", "R|other|0|1|n|w1|rec|5|0|||", "R|other|0|1|n|w1|rec|5|0|||"},
	{"another attempt", "R|run|0|2|n|w1|rec|5|0|||", "R|run|0|2|n|w1|rec|5|0|||"},
	{"scheduled", "S|run|0|1|rec||0||", "S|run|0|1|rec||0||"},
	{"backing off", "B|run|0|2|99|7|0||", "B|run|0|2|99|7|0||"},
	{"waiting", "W|run|0|1|99|7|0||", "W|run|0|1|99|7|0||"},
	{"finished", "F|run|0|1|n|0|9|0|^0v", "F|run|0|1|n|0|9|0|^0v"},
	{"no state", NULL, NULL},
};

static void release_gives_back_what_its_token_holds(void **state)
{
	struct fixture *fx = *state;
	struct claim_token token = fx_token();

	for (size_t i = 0; i < sizeof(release_rows) / sizeof(release_rows[0]); i++) {
		fx_put(fx, "k", release_rows[i].before);
		for (int round = 0; round < 2; round++) {
			fx_release(fx, &token);
			check_state(fx, release_rows[i].rule, release_rows[i].after);
		}
	}
}

static void a_released_attempt_runs_under_the_same_number(void **state)
{
	struct fixture *fx = *state;
	struct claim_request again = fx_request();
	struct claim_token token = fx_token();
	struct claim_answer answer;

	again.nonce = BYTES_LIT("n2");
	fx_put(fx, "k", "R|run|0|3|n|w1|rec|5|1|7||a=b");
	token.attempt = 3;
	fx_release(fx, &token);
	answer = fx_claim(fx, &again);
	assert_int_equal(answer.verdict, CLAIM_RUN);
	assert_int_equal(answer.attempt, 3);
	assert_int_equal(answer.lost, 1);
	assert_true(answer.journalled);
	fx_assert_state(fx, "k", "R|run|0|3|n2|w1|rec|5|1|7||a=b");
}

static void a_released_loss_is_lost_for_whoever_comes_next(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = fx_request();
	struct claim_token token = fx_token();

	request.max_attempts = 1;
	fx_put(fx, "k", "R|run|0|1|x|w9|rec|5|0|||");
	assert_int_equal(fx_claim(fx, &request).verdict, CLAIM_LOST);
	fx_release(fx, &token);
	request.nonce = BYTES_LIT("n2");
	assert_int_equal(fx_claims(fx, BYTES_LIT("w2"), &request, 1)->verdict, CLAIM_LOST);
}

/* ---- reassert ---- */

static const struct release_row reassert_rows[] = {
	{"the claim was lost", NULL, "R|run|0|2|n|w1|rec|5|0|||"},
	{"the claim is there", "R|run|0|2|n|w1|rec|5|0|7||a=b", "R|run|0|2|n|w1|rec|5|0|7||a=b"},
	{"an earlier attempt", "R|run|0|1|x|w2|rec|5|0||c|a=b", "R|run|0|2|n|w1|rec|5|0||c|a=b"},
	{"the same attempt of another", "R|run|0|2|x|w2|rec|5|0|||", "R|run|0|2|x|w2|rec|5|0|||"},
	{"a later attempt", "R|run|0|3|x|w2|rec|5|0|||", "R|run|0|3|x|w2|rec|5|0|||"},
	{"another run", "R|other|0|1|x|w2|rec|5|0|||", "R|other|0|1|x|w2|rec|5|0|||"},
	{"only marked", "M||0|1|99|j|0|ce|", "R|run|0|2|n|w1|rec|5|0|j|ce|"},
	{"another run marked", "M|other|0|1|99|j|0|ce|", "R|run|0|2|n|w1|rec|5|0|j|e|"},
	{"the end of an earlier run", "F|other|0|1|x|0|9|0|^0v", "R|run|0|2|n|w1|rec|5|0||e|"},
	{"the end of an earlier run, not published", "F|other|0|1|x|0|9|1|^0v", "F|other|0|1|x|0|9|1|^0v"},
	{"scheduled", "S|run|0|2||7|0||a=b", "R|run|0|2|n|w1|rec|5|0|7||a=b"},
	{"a later attempt scheduled", "S|run|0|3||7|0||", "S|run|0|3||7|0||"},
	{"backing off", "B|run|0|2|99|7|0||", "R|run|0|2|n|w1|rec|5|0|7||"},
	{"a later attempt backing off", "B|run|0|3|99|7|0||", "B|run|0|3|99|7|0||"},
	{"waiting", "W|run|0|2|99|7|0||", "R|run|0|2|n|w1|rec|5|0|7||"},
	{"finished", "F|run|0|2|x|0|9|0|^0v", "F|run|0|2|x|0|9|0|^0v"},
};

static void reassert_wins_over_what_is_older(void **state)
{
	struct fixture *fx = *state;
	struct claim_token token = fx_token();

	token.attempt = 2;
	for (size_t i = 0; i < sizeof(reassert_rows) / sizeof(reassert_rows[0]); i++) {
		const char *before = reassert_rows[i].before, *after = reassert_rows[i].after;

		free(REDIS(&fx->server, "ZADD", fx_key("b"), "99", "k"));
		fx_put(fx, "k", before);
		for (int round = 0; round < 2; round++) {
			fx_reassert(fx, &token);
			check_state(fx, reassert_rows[i].rule, after);
		}
		if (before && (before[0] == 'B' || before[0] == 'W'))
			assert_int_equal(in_set(fx, "b"), strcmp(before, after) == 0);
	}
	fx_put(fx, "k", NULL);
	token.journalled = true;
	fx_reassert(fx, &token);
	fx_assert_state(fx, "k", "R|run|0|2|n|w1|rec|5|0|j||");
	fx_put(fx, "k", "S|run|0|2||7|0||");
	fx_reassert(fx, &token);
	fx_assert_state(fx, "k", "R|run|0|2|n|w1|rec|5|0|7||");
}

/* ---- published ---- */

static void publish(struct fixture *fx, int64_t attempt, bool finished)
{
	struct published_request request = {BYTES_LIT("k"), FX_SHARD, BYTES_LIT("run"), 0, attempt, finished};

	assert_int_equal(fx_status(fx, store_published(fx->store, &request, 1, fx_on_done, fx)), MR_OK);
}

struct published_row {
	const char *rule, *before;
	int64_t attempt;
	bool finished;
	const char *after; /* NULL: as before */
	bool stays;
};

static const struct published_row published_rows[] = {
	{"a dispatch", "S|run|0|2||7|0||", 2, false, NULL, false},
	{"a dispatch that was claimed already", "R|run|0|2|x|w2|rec|5|0|7||", 2, false, NULL, false},
	{"an older dispatch", "S|run|0|3||7|0||", 2, false, NULL, true},
	{"a dispatch of a task that backs off again", "B|run|0|3|99|7|0||", 2, false, NULL, true},
	{"a dispatch of another run", "S|other|0|2||7|0||", 2, false, NULL, true},
	{"a dispatch of a task that finished", "F|run|0|2|x|0|9|1|^0v", 2, false, NULL, true},
	{"a result", "F|run|0|2|nonce|4|1234|1|a=b^0v", 2, true, "F|run|0|2|nonce|4|1234|0|a=b^0v", false},
	{"a result confirmed before", "F|run|0|2|x|0|9|0|^0v", 2, true, NULL, false},
	{"a result of another run", "F|other|0|2|x|0|9|1|^0v", 2, true, NULL, true},
	{"a result of a task that runs", "R|run|0|2|x|w2|rec|5|0|7||", 2, true, NULL, true},
	{"a dispatch of a task that a command ends", "S|run|0|2||7|0|ce|", 2, false, NULL, true},
	{"an attempt that a command ends", "R|run|0|2|x|w2|rec|5|0|7|te|", 2, false, NULL, true},
	{"an attempt that is told to end by itself", "R|run|0|2|x|w2|rec|5|0|7|ce|", 2, false, NULL, false},
	{"nothing", NULL, 2, true, NULL, true},
};

static void published_clears_only_what_it_was_for(void **state)
{
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(published_rows) / sizeof(published_rows[0]); i++) {
		const struct published_row *row = &published_rows[i];

		free(REDIS(&fx->server, "ZADD", fx_key("o"), "5", "k"));
		fx_put(fx, "k", row->before);
		for (int round = 0; round < 2; round++) {
			publish(fx, row->attempt, row->finished);
			check_state(fx, row->rule, row->after ? row->after : row->before);
			if (in_set(fx, "o") != row->stays)
				fail_msg("%s: outbox", row->rule);
		}
	}
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(finish_ends_what_its_token_holds_and_nothing_else, reset),
		cmocka_unit_test_setup(who_ends_an_attempt_for_its_holder_makes_the_holders_end_stale, reset),
		cmocka_unit_test_setup(finish_needs_no_readiness, reset),
		cmocka_unit_test_setup(finish_tells_that_the_journal_knows_commands_of_the_task, reset),
		cmocka_unit_test_setup(a_claim_of_a_finished_task_returns_its_stored_publication, reset),
		cmocka_unit_test(replies_can_be_read_one_by_one),
		cmocka_unit_test_setup(release_gives_back_what_its_token_holds, reset),
		cmocka_unit_test_setup(a_released_attempt_runs_under_the_same_number, reset),
		cmocka_unit_test_setup(a_released_loss_is_lost_for_whoever_comes_next, reset),
		cmocka_unit_test_setup(reassert_wins_over_what_is_older, reset),
		cmocka_unit_test_setup(published_clears_only_what_it_was_for, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
