/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "support/store_fixture.h"

/* What happens to calls when the connection or the server does not do as asked. Each test has a server of its own. */

#define CALL_TIMEOUT_MS 200

struct answers {
	int ok, lost;
	enum claim_verdict verdict;
	enum finish_verdict finished;
};

static void on_claim(void *ctx, enum mr_status status, const struct claim_answer *answers, size_t n)
{
	struct answers *seen = ctx;

	assert_int_equal(n, status == MR_OK ? 1 : 0);
	if (status == MR_OK)
		seen->verdict = answers[0].verdict;
	*(status == MR_OK ? &seen->ok : &seen->lost) += 1;
}

static void on_finish(void *ctx, enum mr_status status, const struct finish_answer *answers, size_t n)
{
	struct answers *seen = ctx;

	if (status == MR_OK && n == 1)
		seen->finished = answers[0].verdict;
	*(status == MR_OK ? &seen->ok : &seen->lost) += 1;
}

static void on_lease(void *ctx, enum mr_status status, const struct lease_answer *answers, size_t n)
{
	struct answers *seen = ctx;

	(void)answers;
	(void)n;
	*(status == MR_OK ? &seen->ok : &seen->lost) += 1;
}

static void on_apply(void *ctx, enum mr_status status, const struct apply_answer *answers, size_t n)
{
	struct answers *seen = ctx;

	(void)answers;
	(void)n;
	*(status == MR_OK ? &seen->ok : &seen->lost) += 1;
}

static void claim(struct fixture *fx, struct answers *seen)
{
	struct claim_request request = fx_request();

	assert_int_equal(store_claim(fx->store, FX_WORKER, &request, 1, on_claim, seen), MR_OK);
}

static void finish(struct fixture *fx, struct answers *seen)
{
	struct finish_request request = {.token = fx_token(), .closed_at_ms = 1000, .publication = {.value = BYTES_LIT("v")}};

	assert_int_equal(store_finish(fx->store, &request, 1, on_finish, seen), MR_OK);
}

static void wait_until(struct fixture *fx, const int *count, int n)
{
	for (int i = 0; *count < n; i++) {
		fx_poll(fx, 5);
		if (i > 2000)
			fail_msg("no answer of the store (%s)", fx->health);
	}
}

static int start(void **state)
{
	struct fixture *fx = mem_alloc(sizeof(*fx));
	struct store_config config = {
		.call_timeout_ms = CALL_TIMEOUT_MS, .connect_timeout_ms = CALL_TIMEOUT_MS, .queue_max_bytes = 64 * 1024};

	fx_start(fx, NULL, &config);
	fx_reset(fx);
	*state = fx;
	return 0;
}

static void calls_wait_for_a_server_that_comes_later(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};

	redis_server_kill(&fx->server);
	fx_poll(fx, 20);
	assert_false(store_connected(fx->store));
	assert_int_equal(fx->health_lost, 1);
	claim(fx, &seen);
	fx_poll(fx, 120);
	assert_int_equal(seen.ok + seen.lost, 0);
	assert_int_equal(fx->health_lost, 1); /* told once */
	redis_server_restart(&fx->server, NULL);
	wait_until(fx, &seen.ok, 1);
	assert_int_equal(seen.verdict, CLAIM_NOT_READY); /* of a server without data */
	assert_int_equal(fx->health_ok, 2);
	assert_int_equal(store_pending(fx->store), 0);
}

static void unanswered_calls_are_sent_again_in_order(void **state)
{
	struct fixture *fx = *state;
	struct answers claimed = {0}, finished = {0};

	redis_server_freeze(&fx->server);
	claim(fx, &claimed);
	finish(fx, &finished);
	fx_poll(fx, 20);
	assert_int_equal(store_pending(fx->store), 2);
	redis_server_thaw(&fx->server);
	/* The answers are lost on the way. */
	free(REDIS(&fx->server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"));
	wait_until(fx, &finished.ok, 1);
	assert_int_equal(claimed.ok, 1);
	assert_int_equal(finished.finished, FINISH_OK);
	fx_assert_state(fx, "k", "F|run|0|1|n|0|1000|0|^0v");
}

static void a_server_that_is_killed_with_calls_under_way(void **state)
{
	struct fixture *fx = *state;
	struct answers finished = {0};

	redis_server_freeze(&fx->server);
	finish(fx, &finished);
	fx_poll(fx, 20);
	redis_server_kill(&fx->server);
	fx_poll(fx, 20);
	redis_server_restart(&fx->server, NULL);
	wait_until(fx, &finished.ok, 1);
	assert_int_equal(finished.lost, 0);
	fx_assert_state(fx, "k", "F|run|0|1|n|0|1000|0|^0v");
}

static void a_server_that_does_not_answer_is_connected_anew(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};

	redis_server_freeze(&fx->server);
	claim(fx, &seen);
	fx_poll(fx, CALL_TIMEOUT_MS + 50);
	assert_int_equal(fx->health_lost, 1);
	assert_non_null(strstr(fx->health, "no answer for 200 ms"));
	redis_server_thaw(&fx->server);
	wait_until(fx, &seen.ok, 1);
	assert_int_equal(seen.verdict, CLAIM_RUN); /* by both connections with one nonce */
	fx_assert_state(fx, "k", "R|run|0|1|n|w1|rec|5|0|||");
}

static void a_lease_is_not_sent_again(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};
	int shard = FX_SHARD;

	redis_server_freeze(&fx->server);
	assert_int_equal(store_lease(fx->store, FX_WORKER, &shard, NULL, 1, on_lease, &seen), MR_OK);
	fx_poll(fx, CALL_TIMEOUT_MS + 50);
	assert_int_equal(seen.lost, 1);
	redis_server_thaw(&fx->server);
	fx_poll(fx, 200);
	assert_int_equal(seen.ok, 0);
}

static void scripts_that_were_flushed_are_loaded_again(void **state)
{
	struct fixture *fx = *state;
	struct answers claimed = {0}, finished = {0};

	free(REDIS(&fx->server, "SCRIPT", "FLUSH"));
	claim(fx, &claimed);
	finish(fx, &finished);
	claim(fx, &claimed);
	wait_until(fx, &claimed.ok, 2);
	wait_until(fx, &finished.ok, 1);
	assert_int_equal(fx->health_lost, 0);
	assert_int_equal(store_pending(fx->store), 0);
}

/* ---- full ---- */

static void fill(struct fixture *fx, const char *maxmemory)
{
	free(REDIS(&fx->server, "CONFIG", "SET", "maxmemory", maxmemory));
}

static void when_memory_is_full_what_ends_goes_on_and_what_begins_waits(void **state)
{
	struct fixture *fx = *state;
	struct answers claimed = {0}, finished = {0}, applied = {0};
	struct apply_record record = {.kind = JOURNAL_BACKOFF,
				      .key = BYTES_LIT("j"),
				      .run_id = BYTES_LIT("run"),
				      .attempt = 2,
				      .due_ms = 1,
				      .offset = 10};
	struct claim_token token = fx_token();

	fill(fx, "1mb");
	claim(fx, &claimed);
	finish(fx, &finished);
	wait_until(fx, &finished.ok, 1);
	fx_release(fx, &token);
	fx_reassert(fx, &token);
	fx_lease(fx, "w1", "");
	assert_int_equal(fx_recover(fx, "n2"), MR_OK);
	assert_int_equal(fx_look(fx, FX_SHARD).state, SHARD_READY);
	fx_poll(fx, 100);
	assert_int_equal(claimed.ok + claimed.lost, 0);
	assert_int_equal(store_pending(fx->store), 1);
	assert_int_equal(store_apply(fx->store, FX_SHARD, FX_NONCE, false, 10, 11, &record, 1, on_apply, &applied), MR_OK);
	fx_poll(fx, 50);
	assert_int_equal(applied.ok + applied.lost, 0);
	fx_assert_state(fx, "j", NULL);
	/* Told once, and not taken back by what goes on. */
	assert_int_equal(fx->health_lost, 1);
	assert_non_null(strstr(fx->health, "OOM"));
	fill(fx, "0");
	wait_until(fx, &applied.ok, 1);
	wait_until(fx, &claimed.ok, 1);
	assert_string_equal(fx->health, "Redis accepts calls again");
	fx_assert_state(fx, "j", "B|run|0|2|1|10|0||");
}

static void claims_are_refused_from_80_percent_on(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};
	char limit[32];
	CLEANUP_FREE char *info = REDIS(&fx->server, "INFO", "memory");
	long long used = strtoll(strstr(info, "used_memory:") + 12, NULL, 10);

	snprintf(limit, sizeof(limit), "%lld", used + used / 10);
	fill(fx, limit);
	claim(fx, &seen);
	fx_poll(fx, 100);
	assert_int_equal(seen.ok + seen.lost, 0);
	assert_non_null(strstr(fx->health, "80 %"));
	fill(fx, "0");
	wait_until(fx, &seen.ok, 1);
	assert_int_equal(seen.verdict, CLAIM_RUN);
	assert_string_equal(fx->health, "Redis accepts calls again");
}

static void the_queue_is_bounded(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};
	struct claim_request request = fx_request();
	enum mr_status status = MR_OK;
	int queued = 0;

	redis_server_kill(&fx->server);
	for (; queued < 1000 && status == MR_OK; queued++)
		status = store_claim(fx->store, FX_WORKER, &request, 1, on_claim, &seen);
	assert_int_equal(status, MR_EFULL);
	assert_true(queued > 50);
	redis_server_restart(&fx->server, NULL);
	wait_until(fx, &seen.ok, queued - 1);
	assert_int_equal(store_claim(fx->store, FX_WORKER, &request, 1, on_claim, &seen), MR_OK);
	wait_until(fx, &seen.ok, queued); /* else it is answered at the teardown, when `seen` is gone */
}

/* ---- refusals ---- */

static void a_replica_is_left_and_asked_again(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};

	free(REDIS(&fx->server, "REPLICAOF", "127.0.0.1", "1"));
	claim(fx, &seen);
	fx_poll(fx, 100);
	assert_int_equal(seen.ok + seen.lost, 0);
	assert_true(fx->health_lost > 0);
	free(REDIS(&fx->server, "REPLICAOF", "NO", "ONE"));
	wait_until(fx, &seen.ok, 1);
	assert_int_equal(seen.verdict, CLAIM_NOT_READY); /* a promotion begins a new history */
}

static void a_foreign_value_fails_its_call_only(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};

	free(REDIS(&fx->server, "SET", fx_key("t:k"), "not ours"));
	claim(fx, &seen);
	wait_until(fx, &seen.lost, 1);
	assert_true(store_connected(fx->store));
	free(REDIS(&fx->server, "DEL", fx_key("t:k")));
	claim(fx, &seen);
	wait_until(fx, &seen.ok, 1);
}

static void what_is_refused_for_good_is_over_with_the_next_answer(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};

	free(REDIS(&fx->server, "DEL", fx_key("w")));
	free(REDIS(&fx->server, "SET", fx_key("w"), "not ours"));
	claim(fx, &seen);
	wait_until(fx, &seen.lost, 1);
	assert_non_null(strstr(fx->health, "WRONGTYPE"));
	free(REDIS(&fx->server, "DEL", fx_key("w")));
	fx_look(fx, FX_SHARD);
	assert_string_equal(fx->health, "Redis accepts calls again");
}

static void a_wrong_password_is_told(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};

	free(REDIS(&fx->server, "CONFIG", "SET", "requirepass", "secret"));
	/* The connection that is there was let in before; a new one is not. */
	claim(fx, &seen);
	wait_until(fx, &seen.ok, 1);
	struct store *other;
	struct store_config config = {.url = fx->server.url, .prefix = "t.", .shards = FX_SHARDS};
	struct mr_error err = {0};

	assert_int_equal(store_new(&config, NULL, &other, &err), MR_OK);
	assert_int_equal(store_look(other, 0, fx_on_status, fx), MR_OK);
	assert_int_equal(store_wait(other, 150, &err), MR_ETIMEOUT);
	assert_false(store_connected(other));
	store_free(other);
	assert_true(fx->done);
	assert_int_equal(fx->status, MR_EREDIS); /* on store_free */
	assert_int_equal(store_check(&config, 1000, &err), MR_EREDIS);
	assert_non_null(strstr(err.message, "NOAUTH"));
}

static void freeing_answers_what_is_pending(void **state)
{
	struct fixture *fx = *state;
	struct answers seen = {0};

	redis_server_freeze(&fx->server);
	claim(fx, &seen);
	finish(fx, &seen);
	fx_poll(fx, 10);
	claim(fx, &seen);
	store_free(fx->store);
	fx->store = NULL;
	assert_int_equal(seen.lost, 3);
	redis_server_thaw(&fx->server);
}

/* ---- the clock ---- */

static void redis_clock_lies_between_the_bounds(void **state)
{
	struct fixture *fx = *state;

	for (int i = 0; i < 200; i++) {
		int64_t told_ms = fx_look(fx, FX_SHARD).now_ms, now_us = clock_mono_us();

		assert_true(store_time_ms(fx->store, now_us) <= store_time_upper_ms(fx->store, now_us));
		assert_true(store_time_upper_ms(fx->store, now_us) >= told_ms);
		int64_t lower_ms = store_time_ms(fx->store, now_us);

		assert_true(lower_ms <= fx_look(fx, FX_SHARD).now_ms);
		assert_true(told_ms - lower_ms < 1000);
	}
}

/* ---- the check at start ---- */

static void the_check_wants_noeviction(void **state)
{
	struct fixture *fx = *state;
	struct store_config config = {.url = fx->server.url, .prefix = "t.", .shards = 1};
	struct mr_error err;

	assert_int_equal(store_check(&config, 1000, &err), MR_OK);
	free(REDIS(&fx->server, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"));
	assert_int_equal(store_check(&config, 1000, &err), MR_EINVAL);
	assert_non_null(strstr(err.message, "allkeys-lru"));
	redis_server_kill(&fx->server);
	assert_int_equal(store_check(&config, 100, &err), MR_EREDIS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fx_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calls_wait_for_a_server_that_comes_later),
		TEST(unanswered_calls_are_sent_again_in_order),
		TEST(a_server_that_is_killed_with_calls_under_way),
		TEST(a_server_that_does_not_answer_is_connected_anew),
		TEST(a_lease_is_not_sent_again),
		TEST(scripts_that_were_flushed_are_loaded_again),
		TEST(when_memory_is_full_what_ends_goes_on_and_what_begins_waits),
		TEST(claims_are_refused_from_80_percent_on),
		TEST(the_queue_is_bounded),
		TEST(a_replica_is_left_and_asked_again),
		TEST(a_foreign_value_fails_its_call_only),
		TEST(what_is_refused_for_good_is_over_with_the_next_answer),
		TEST(a_wrong_password_is_told),
		TEST(freeing_answers_what_is_pending),
		TEST(redis_clock_lies_between_the_bounds),
		TEST(the_check_wants_noeviction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
