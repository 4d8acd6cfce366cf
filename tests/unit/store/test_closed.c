/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "support/store_fixture.h"

/* Runs of one key: where duplicates are allowed, a closed run keeps its result while others run. */

static struct claim_request request_of(const char *run, const char *nonce)
{
	struct claim_request request = fx_request();

	request.run_id = bytes_of(run);
	request.record_id = bytes_of(run); /* each run is a record of its own */
	request.nonce = bytes_of(nonce);
	request.reuse = REUSE_ALLOW_DUPLICATE;
	return request;
}

static struct claim_answer claim(struct fixture *fx, const char *run, const char *nonce)
{
	struct claim_request request = request_of(run, nonce);

	return fx_claim(fx, &request);
}

static struct claim_token token_of(const char *run, const char *nonce)
{
	struct claim_token token = fx_token();

	token.run_id = token.record_id = bytes_of(run);
	token.nonce = bytes_of(nonce);
	return token;
}

static enum finish_verdict finish(struct fixture *fx, const char *run, const char *nonce, const char *value)
{
	struct finish_request request = {.token = token_of(run, nonce), .closed_at_ms = 1000};

	request.publication.value = bytes_of(value);
	return fx_finish(fx, &request).verdict;
}

static void run_to_its_end(struct fixture *fx, const char *run, const char *value)
{
	assert_int_equal(claim(fx, run, run).verdict, CLAIM_RUN);
	assert_int_equal(finish(fx, run, run, value), FINISH_OK);
}

static void assert_result(struct fixture *fx, const char *run, const char *value)
{
	struct claim_answer answer = claim(fx, run, "later");

	assert_int_equal(answer.verdict, CLAIM_FINISHED);
	assert_true(bytes_is(answer.run_id, run));
	assert_true(bytes_is(answer.publication.value, value));
}

static void a_closed_run_keeps_its_result_while_others_run(void **state)
{
	struct fixture *fx = *state;

	run_to_its_end(fx, "one", "1");
	run_to_its_end(fx, "two", "2");
	assert_int_equal(claim(fx, "three", "three").verdict, CLAIM_RUN);
	assert_result(fx, "one", "1");
	assert_result(fx, "two", "2");
	assert_int_equal(finish(fx, "three", "three", "3"), FINISH_OK);
	assert_result(fx, "one", "1");
	assert_result(fx, "two", "2");
	assert_result(fx, "three", "3");
}

static void a_run_that_was_given_back_does_not_let_the_closed_one_begin_again(void **state)
{
	struct fixture *fx = *state;
	struct claim_token token = token_of("two", "two");

	run_to_its_end(fx, "one", "1");
	assert_int_equal(claim(fx, "two", "two").verdict, CLAIM_RUN);
	fx_release(fx, &token);
	assert_result(fx, "one", "1");
	assert_int_equal(claim(fx, "two", "again").verdict, CLAIM_RUN);
	assert_int_equal(finish(fx, "two", "again", "2"), FINISH_OK);
	assert_result(fx, "two", "2");
}

static void a_repeated_claim_of_the_later_run_is_answered_alike(void **state)
{
	struct fixture *fx = *state;

	run_to_its_end(fx, "one", "1");
	for (int round = 0; round < 2; round++)
		assert_int_equal(claim(fx, "two", "two").verdict, CLAIM_RUN);
	FX_ASSERT_REDIS(fx, "1", "EXISTS", fx_key("u:k\tone"));
}

static void a_late_attempt_of_a_closed_run_is_stale(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = request_of("one", "later");

	run_to_its_end(fx, "one", "1");
	run_to_its_end(fx, "two", "2");
	request.attempt = 2;
	assert_int_equal(fx_claim(fx, &request).verdict, CLAIM_STALE);
}

static void a_closed_run_is_finished_once(void **state)
{
	struct fixture *fx = *state;

	run_to_its_end(fx, "one", "1");
	run_to_its_end(fx, "two", "2");
	assert_int_equal(finish(fx, "one", "other", "x"), FINISH_STALE);
	assert_result(fx, "one", "1");
	assert_result(fx, "two", "2");
}

/* ---- the wheel ---- */

struct expired {
	struct fixture *fx;
	int64_t removed;
};

static void on_expired(void *ctx, enum mr_status status, int64_t removed, bool more, const struct bytes *unseen, size_t n_unseen)
{
	struct expired *expired = ctx;

	(void)unseen;
	assert_int_equal(n_unseen, 0);
	assert_false(more);
	expired->removed = removed;
	fx_on_done(expired->fx, status);
}

static int64_t expire(struct fixture *fx)
{
	struct expired expired = {.fx = fx};

	assert_int_equal(fx_status(fx, store_expire(fx->store, FX_SHARD, FX_NONCE, 1000, 100, on_expired, &expired)), MR_OK);
	return expired.removed;
}

static void a_closed_run_is_forgotten_when_its_retention_ends(void **state)
{
	struct fixture *fx = *state;

	run_to_its_end(fx, "one", "1"); /* closed at 1000, 50 years ago */
	assert_int_equal(claim(fx, "two", "two").verdict, CLAIM_RUN);
	assert_int_equal(expire(fx), 1);
	FX_ASSERT_REDIS(fx, "0", "EXISTS", fx_key("u:k\tone"));
	FX_ASSERT_REDIS(fx, "1", "EXISTS", fx_key("t:k"));
}

/* ---- recovery ---- */

static void restore(struct fixture *fx, const char *run, int64_t closed_at_ms, const char *value)
{
	struct restore_request request = {.key = BYTES_LIT("k"), .attempt = 1, .closed_at_ms = closed_at_ms};

	request.run_id = bytes_of(run);
	request.publication.value = bytes_of(value);
	assert_int_equal(fx_status(fx, store_restore(fx->store, FX_SHARD, BYTES_LIT("n2"), &request, 1, fx_on_done, fx)), MR_OK);
}

static void closed_runs_survive_a_wipe(void **state)
{
	struct fixture *fx = *state;
	struct claim_token running = token_of("four", "n4");

	free(REDIS(&fx->server, "FLUSHALL"));
	fx_recover(fx, "n2");
	fx_reassert(fx, &running);
	restore(fx, "one", 1000, "1");
	restore(fx, "three", 3000, "3");
	restore(fx, "two", 2000, "2");
	fx_ready(fx, "n2");
	assert_result(fx, "one", "1");
	assert_result(fx, "two", "2");
	assert_result(fx, "three", "3");
	assert_int_equal(finish(fx, "four", "n4", "4"), FINISH_OK);
	assert_result(fx, "four", "4");
}

static void the_last_result_stays_in_front_whatever_the_order_of_the_log(void **state)
{
	struct fixture *fx = *state;

	free(REDIS(&fx->server, "FLUSHALL"));
	fx_recover(fx, "n2");
	restore(fx, "two", 2000, "2");
	restore(fx, "one", 1000, "1");
	restore(fx, "three", 3000, "3");
	fx_ready(fx, "n2");
	FX_ASSERT_REDIS(fx, "1", "EXISTS", fx_key("u:k\tone"));
	FX_ASSERT_REDIS(fx, "1", "EXISTS", fx_key("u:k\ttwo"));
	fx_assert_state(fx, "k", "F|three|0|1||0|3000|0|^03");
}

/* A failover to a replica that has not seen the later run: its worker writes the claim, or the result, back. */
static void a_later_run_comes_back_after_redis_fell_back(void **state)
{
	struct fixture *fx = *state;
	struct claim_token token = token_of("two", "n2");

	for (int by_finish = 0; by_finish < 2; by_finish++) {
		fx_put(fx, "k", "F|one|0|1||0|9|0|^01");
		free(REDIS(&fx->server, "DEL", fx_key("u:k\tone")));
		if (!by_finish)
			fx_reassert(fx, &token);
		assert_int_equal(finish(fx, "two", "n2", "2"), FINISH_OK);
		assert_result(fx, "one", "1");
		assert_result(fx, "two", "2");
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
		cmocka_unit_test_setup(a_closed_run_keeps_its_result_while_others_run, reset),
		cmocka_unit_test_setup(a_run_that_was_given_back_does_not_let_the_closed_one_begin_again, reset),
		cmocka_unit_test_setup(a_repeated_claim_of_the_later_run_is_answered_alike, reset),
		cmocka_unit_test_setup(a_late_attempt_of_a_closed_run_is_stale, reset),
		cmocka_unit_test_setup(a_closed_run_is_finished_once, reset),
		cmocka_unit_test_setup(a_closed_run_is_forgotten_when_its_retention_ends, reset),
		cmocka_unit_test_setup(closed_runs_survive_a_wipe, reset),
		cmocka_unit_test_setup(the_last_result_stays_in_front_whatever_the_order_of_the_log, reset),
		cmocka_unit_test_setup(a_later_run_comes_back_after_redis_fell_back, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
