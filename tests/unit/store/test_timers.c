/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "support/store_fixture.h"

/* Due timers, the outbox and the end of retention. */

#define SLICE_MS 60000
#define HOUR_MS 3600000

struct seen {
	struct fixture *fx;
	struct fired fired[64];
	struct swept swept[64];
	struct ahead ahead[64];
	char keys[64][16];
	char value[64];
	size_t n;
	int64_t next_due_ms, now_ms, removed;
	struct ahead_place next;
	bool more;
};

static void note_key(struct seen *seen, size_t i, struct bytes key)
{
	snprintf(seen->keys[i], sizeof(seen->keys[i]), "%.*s", BYTES_ARG(key));
}

static void on_fire(void *ctx, enum mr_status status, const struct fired *fired, size_t n, int64_t next_due_ms, int64_t now_ms)
{
	struct seen *seen = ctx;

	for (size_t i = 0; i < n; i++) {
		seen->fired[i] = fired[i];
		note_key(seen, i, fired[i].key);
	}
	seen->n = n;
	seen->next_due_ms = next_due_ms;
	seen->now_ms = now_ms;
	fx_on_done(seen->fx, status);
}

static enum mr_status fire(struct seen *seen, const char *nonce, int limit)
{
	return fx_status(seen->fx, store_fire(seen->fx->store, FX_SHARD, bytes_of(nonce), limit, on_fire, seen));
}

static void on_ahead(void *ctx, enum mr_status status, const struct ahead *ahead, size_t n, struct ahead_place next)
{
	struct seen *seen = ctx;

	for (size_t i = 0; i < n; i++)
		seen->ahead[i] = ahead[i];
	seen->n = n;
	seen->next = next;
	fx_on_done(seen->fx, status);
}

static enum mr_status look_ahead(struct seen *seen, const char *nonce, struct ahead_place from, int64_t until_ms, int limit)
{
	return fx_status(seen->fx,
			 store_ahead(seen->fx->store, FX_SHARD, bytes_of(nonce), from, until_ms, limit, on_ahead, seen));
}

static void on_sweep(void *ctx, enum mr_status status, const struct swept *swept, size_t n)
{
	struct seen *seen = ctx;

	for (size_t i = 0; i < n; i++) {
		seen->swept[i] = swept[i];
		note_key(seen, i, swept[i].key);
		if (swept[i].finished)
			snprintf(seen->value, sizeof(seen->value), "%.*s", BYTES_ARG(swept[i].publication.value));
	}
	seen->n = n;
	fx_on_done(seen->fx, status);
}

static enum mr_status sweep(struct seen *seen, int64_t older_ms, int limit)
{
	return fx_status(seen->fx, store_sweep(seen->fx->store, FX_SHARD, FX_NONCE, older_ms, limit, on_sweep, seen));
}

static void on_expire(void *ctx, enum mr_status status, int64_t removed, bool more, const struct bytes *unseen, size_t n_unseen)
{
	struct seen *seen = ctx;

	(void)unseen;
	assert_int_equal(n_unseen, 0);
	seen->removed = removed;
	seen->more = more;
	fx_on_done(seen->fx, status);
}

static enum mr_status expire(struct seen *seen, int64_t retention_ms, int limit)
{
	return fx_status(seen->fx, store_expire(seen->fx->store, FX_SHARD, FX_NONCE, retention_ms, limit, on_expire, seen));
}

static int64_t redis_now_ms(struct fixture *fx)
{
	return fx_look(fx, FX_SHARD).now_ms;
}

/* A record of `state` that is due then, and its entry in the backoff set. */
static void put_due(struct fixture *fx, const char *key, char state, int64_t due_ms, int64_t score)
{
	char record[128], text[32];

	snprintf(record, sizeof(record), "%c|run|0|2|%lld|7|1|eu|a=b", state, (long long)due_ms);
	fx_put(fx, key, record);
	snprintf(text, sizeof(text), "%lld", (long long)score);
	free(REDIS(&fx->server, "ZADD", fx_key("b"), text, key));
}

/* ---- fire ---- */

static void a_due_task_is_scheduled_with_an_outbox_entry(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	put_due(fx, "back", 'B', 1000, 1000);
	put_due(fx, "wait", 'W', 2000, 2000);
	assert_int_equal(fire(&seen, "n1", 10), MR_OK);
	assert_int_equal(seen.n, 2);
	assert_string_equal(seen.keys[0], "back");
	assert_string_equal(seen.keys[1], "wait");
	assert_int_equal(seen.fired[0].attempt, 2);
	assert_int_equal(seen.fired[0].due_ms, 1000);
	assert_int_equal(seen.fired[0].journal_offset, 7);
	assert_int_equal(seen.next_due_ms, -1);
	fx_assert_state(fx, "back", "S|run|0|2||7|1|e|a=b");
	fx_assert_state(fx, "wait", "S|run|0|2||7|1|e|a=b");
	FX_ASSERT_REDIS(fx, "0", "ZCARD", fx_key("b"));
	FX_ASSERT_REDIS(fx, "2", "ZCARD", fx_key("o"));
	assert_int_equal(fire(&seen, "n1", 10), MR_OK);
	assert_int_equal(seen.n, 0);
}

static void nothing_fires_early(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};
	int64_t due_ms = redis_now_ms(fx) + 30;

	put_due(fx, "k", 'B', due_ms, due_ms);
	do {
		assert_int_equal(fire(&seen, "n1", 10), MR_OK);
		assert_true(seen.n == (seen.now_ms >= due_ms));
		assert_int_equal(seen.next_due_ms, seen.n ? -1 : due_ms);
	} while (seen.n == 0);
}

static void an_entry_that_comes_before_its_record_is_armed_again(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	put_due(fx, "k", 'B', 9000000000000, 1000);
	assert_int_equal(fire(&seen, "n1", 10), MR_OK);
	assert_int_equal(seen.n, 0);
	assert_int_equal(seen.next_due_ms, 9000000000000);
	FX_ASSERT_REDIS(fx, "9000000000000", "ZSCORE", fx_key("b"), "k");
}

static void an_entry_of_another_state_is_dropped(void **state)
{
	static const char *const records[] = {NULL, "R|run|0|2|n|w1|rec|5|0|7||", "S|run|0|2||7|0||", "F|run|0|2|n|0|9|0|^0v",
					      "W|run|0|2|-1|7|0||"};
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	for (size_t i = 0; i < 5; i++) {
		fx_put(fx, "k", records[i]);
		free(REDIS(&fx->server, "ZADD", fx_key("b"), "1000", "k"));
		assert_int_equal(fire(&seen, "n1", 10), MR_OK);
		assert_int_equal(seen.n, 0);
		fx_assert_state(fx, "k", records[i]);
		FX_ASSERT_REDIS(fx, "0", "ZCARD", fx_key("b"));
	}
}

static void a_limit_leaves_the_rest_for_the_next_call(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	put_due(fx, "a", 'B', 1000, 1000);
	put_due(fx, "b", 'B', 1001, 1001);
	put_due(fx, "c", 'B', 1002, 1002);
	assert_int_equal(fire(&seen, "n1", 2), MR_OK);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.next_due_ms, 1002);
	assert_int_equal(fire(&seen, "n1", 2), MR_OK);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.keys[0], "c");
}

static void without_readiness_nothing_fires(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	put_due(fx, "k", 'B', 1000, 1000);
	assert_int_equal(fire(&seen, "other", 10), MR_ECONFLICT);
	free(REDIS(&fx->server, "DEL", fx_key("m")));
	assert_int_equal(fire(&seen, "n1", 10), MR_ECONFLICT);
	assert_int_equal(sweep(&seen, 0, 10), MR_ECONFLICT);
	assert_int_equal(expire(&seen, 0, 10), MR_ECONFLICT);
	fx_assert_state(fx, "k", "B|run|0|2|1000|7|1|eu|a=b");
}

/* ---- sweep ---- */

static void put_outbox(struct fixture *fx, const char *key, const char *record, int64_t since_ms)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)since_ms);
	fx_put(fx, key, record);
	free(REDIS(&fx->server, "ZADD", fx_key("o"), text, key));
}

static void what_is_not_confirmed_is_published_again_once_a_sweep(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};
	int64_t now_ms = redis_now_ms(fx);

	put_outbox(fx, "old", "S|run|0|2||7|0||a=b", now_ms - 5000);
	put_outbox(fx, "result", "F|run|0|2|n|0|9|1|^0value", now_ms - 4000);
	put_outbox(fx, "new", "S|run|0|2||7|0||", now_ms + 60000);
	assert_int_equal(sweep(&seen, 2000, 10), MR_OK);
	assert_int_equal(seen.n, 2);
	assert_string_equal(seen.keys[0], "old");
	assert_false(seen.swept[0].finished);
	assert_int_equal(seen.swept[0].dispatch.attempt, 2);
	assert_int_equal(seen.swept[0].dispatch.journal_offset, 7);
	assert_string_equal(seen.keys[1], "result");
	assert_true(seen.swept[1].finished);
	assert_string_equal(seen.value, "value");
	assert_int_equal(sweep(&seen, 2000, 10), MR_OK);
	assert_int_equal(seen.n, 0);
	FX_ASSERT_REDIS(fx, "3", "ZCARD", fx_key("o"));
}

static void an_outbox_entry_without_a_need_goes(void **state)
{
	static const char *const records[] = {NULL, "R|run|0|2|n|w1|rec|5|0|7||", "B|run|0|2|99|7|0||", "W|run|0|2|99|7|0||",
					      "F|run|0|2|n|0|9|0|^0v"};
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	for (size_t i = 0; i < 5; i++) {
		put_outbox(fx, "k", records[i], 5);
		assert_int_equal(sweep(&seen, 0, 10), MR_OK);
		assert_int_equal(seen.n, 0);
		FX_ASSERT_REDIS(fx, "0", "ZCARD", fx_key("o"));
	}
}

static void a_sweep_takes_the_oldest_first(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	put_outbox(fx, "b", "S|run|0|2||7|0||", 20);
	put_outbox(fx, "a", "S|run|0|2||7|0||", 10);
	put_outbox(fx, "c", "S|run|0|2||7|0||", 30);
	assert_int_equal(sweep(&seen, 1000, 2), MR_OK);
	assert_string_equal(seen.keys[0], "a");
	assert_string_equal(seen.keys[1], "b");
	assert_int_equal(sweep(&seen, 1000, 2), MR_OK);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.keys[0], "c");
}

/* ---- expire ---- */

static void finish_many(struct fixture *fx, size_t from, size_t n)
{
	char keys[64][16];
	struct finish_request request = {
		.token = fx_token(), .closed_at_ms = redis_now_ms(fx), .publication = {.value = BYTES_LIT("v")}};

	for (size_t i = 0; i < n; i++) {
		snprintf(keys[i], sizeof(keys[i]), "f%zu", from + i);
		request.token.key = bytes_of(keys[i]);
		assert_int_equal(fx_finish(fx, &request).verdict, FINISH_OK);
	}
}

/* Moves everything in the wheel `ms` into the past. */
static void age(struct fixture *fx, int64_t ms)
{
	CLEANUP_FREE char *slices = REDIS(&fx->server, "ZRANGE", fx_key("x"), "0", "-1");
	char *rest = slices;

	free(REDIS(&fx->server, "DEL", fx_key("x")));
	for (char *slice; (slice = strsep(&rest, "\n")) && *slice;) {
		char from[64], to[64], number[32];

		snprintf(number, sizeof(number), "%lld", strtoll(slice, NULL, 10) - (long long)(ms / SLICE_MS));
		snprintf(from, sizeof(from), "x:%s", slice);
		snprintf(to, sizeof(to), "x:%s", number);
		free(REDIS(&fx->server, "RENAME", fx_key(from), fx_key(to)));
		free(REDIS(&fx->server, "ZADD", fx_key("x"), number, number));
	}
}

static void put_closed(struct fixture *fx, const char *key, int64_t closed_at_ms, bool unconfirmed)
{
	char record[64];

	snprintf(record, sizeof(record), "F|run|0|1|n|0|%lld|%d|^0v", (long long)closed_at_ms, unconfirmed);
	fx_put(fx, key, record);
}

static void a_finished_task_stays_for_the_retention_time(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};
	int64_t now_ms = redis_now_ms(fx);

	finish_many(fx, 0, 3);
	age(fx, HOUR_MS);
	put_closed(fx, "f0", now_ms - HOUR_MS, false);
	put_closed(fx, "f1", now_ms - HOUR_MS, false);
	put_closed(fx, "f2", now_ms - HOUR_MS, false);
	assert_int_equal(expire(&seen, HOUR_MS + SLICE_MS, 100), MR_OK);
	assert_int_equal(seen.removed, 0);
	assert_int_equal(expire(&seen, HOUR_MS - 2 * SLICE_MS, 2), MR_OK);
	assert_int_equal(seen.removed, 2);
	assert_true(seen.more);
	assert_int_equal(expire(&seen, HOUR_MS - 2 * SLICE_MS, 2), MR_OK);
	assert_int_equal(seen.removed, 1);
	assert_false(seen.more);
	fx_assert_state(fx, "f0", NULL);
	fx_assert_state(fx, "f2", NULL);
	FX_ASSERT_REDIS(fx, "0", "EXISTS", fx_key("x"));
}

static void what_began_again_or_is_not_confirmed_stays(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};
	int64_t now_ms = redis_now_ms(fx);

	finish_many(fx, 0, 5);
	age(fx, 2 * HOUR_MS);
	fx_put(fx, "f0", "R|run2|0|1|n|w1|rec|5|0|||");
	put_closed(fx, "f1", now_ms - 2 * HOUR_MS, true);
	put_closed(fx, "f2", now_ms - 2 * HOUR_MS, false);
	put_closed(fx, "f3", now_ms, false); /* finished again, later */
	fx_put(fx, "f4", NULL);
	assert_int_equal(expire(&seen, HOUR_MS, 100), MR_OK);
	assert_int_equal(seen.removed, 1);
	fx_assert_state(fx, "f2", NULL);
	CLEANUP_FREE char *f0 = fx_get(fx, "f0"), *f1 = fx_get(fx, "f1"), *f3 = fx_get(fx, "f3");

	assert_true(f0[0] == 'R' && f1[0] == 'F' && f3[0] == 'F');
	/* Both have an entry again, and go with a later slice. */
	FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("x"));
	age(fx, 2 * HOUR_MS);
	put_closed(fx, "f1", now_ms - 2 * HOUR_MS, false);
	put_closed(fx, "f3", now_ms - 2 * HOUR_MS, false);
	assert_int_equal(expire(&seen, HOUR_MS, 100), MR_OK);
	assert_int_equal(seen.removed, 2);
}

static void results_from_the_log_expire_by_when_they_closed(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};
	struct restore_request requests[2] = {
		{.key = BYTES_LIT("old"),
		 .run_id = BYTES_LIT("run"),
		 .attempt = 1,
		 .closed_at_ms = redis_now_ms(fx) - 2 * HOUR_MS,
		 .publication = {.value = BYTES_LIT("v")}},
		{.key = BYTES_LIT("future"),
		 .run_id = BYTES_LIT("run"),
		 .attempt = 1,
		 .closed_at_ms = INT64_MAX / 16,
		 .publication = {.value = BYTES_LIT("v")}},
	};

	free(REDIS(&fx->server, "DEL", fx_key("m")));
	fx_recover(fx, "n1");
	assert_int_equal(fx_status(fx, store_restore(fx->store, FX_SHARD, FX_NONCE, requests, 2, fx_on_done, fx)), MR_OK);
	fx_vouch(fx, "n1");
	assert_int_equal(expire(&seen, HOUR_MS, 100), MR_OK);
	assert_int_equal(seen.removed, 1);
	fx_assert_state(fx, "old", NULL);
	age(fx, 2 * HOUR_MS);
	put_closed(fx, "future", redis_now_ms(fx) - 2 * HOUR_MS, false);
	assert_int_equal(expire(&seen, HOUR_MS, 100), MR_OK);
	assert_int_equal(seen.removed, 1); /* it counted as closed when it was restored */
}

/* ---- ahead ---- */

static const struct ahead_place BEGINNING = {0, 0};

static void what_will_be_due_is_told_and_stays_as_it_is(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	put_due(fx, "back", 'B', 1000, 1000);
	put_due(fx, "wait", 'W', 2000, 2000);
	put_due(fx, "far", 'B', 3001, 3001);
	fx_put(fx, "gone", "F|run|0|1|n1|0|1000|0|^0v");
	free(REDIS(&fx->server, "ZADD", fx_key("b"), "1500", "gone"));
	assert_int_equal(look_ahead(&seen, "n1", BEGINNING, 3000, 10), MR_OK);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.ahead[0].journal_offset, 7);
	assert_int_equal(seen.ahead[0].due_ms, 1000);
	assert_int_equal(seen.ahead[1].due_ms, 2000);
	assert_int_equal(seen.next.due_ms, 3001);
	assert_int_equal(seen.next.skip, 0);
	FX_ASSERT_REDIS(fx, "4", "ZCARD", fx_key("b"));
	fx_assert_state(fx, "back", "B|run|0|2|1000|7|1|eu|a=b");
}

static void what_was_told_before_is_not_told_again(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	put_due(fx, "a", 'B', 1000, 1000);
	put_due(fx, "b", 'B', 1001, 1001);
	assert_int_equal(look_ahead(&seen, "n1", (struct ahead_place){1001, 0}, 3000, 10), MR_OK);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.ahead[0].due_ms, 1001);
}

static void an_instant_with_more_than_the_limit_is_told_in_parts(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	put_due(fx, "a", 'B', 1000, 1000);
	put_due(fx, "b", 'B', 2000, 2000);
	put_due(fx, "c", 'B', 2000, 2000);
	put_due(fx, "d", 'B', 2000, 2000);
	put_due(fx, "e", 'B', 2500, 2500);
	assert_int_equal(look_ahead(&seen, "n1", BEGINNING, 3000, 2), MR_OK);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.next.due_ms, 2000);
	assert_int_equal(seen.next.skip, 1);
	assert_int_equal(look_ahead(&seen, "n1", seen.next, 3000, 1), MR_OK);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.next.due_ms, 2000);
	assert_int_equal(seen.next.skip, 2);
	assert_int_equal(look_ahead(&seen, "n1", seen.next, 3000, 10), MR_OK);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.ahead[0].due_ms, 2000);
	assert_int_equal(seen.ahead[1].due_ms, 2500);
	assert_int_equal(seen.next.due_ms, 3001);
}

static void without_readiness_nothing_is_told_ahead(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};

	put_due(fx, "a", 'B', 1000, 1000);
	assert_int_equal(look_ahead(&seen, "n2", BEGINNING, 3000, 10), MR_ECONFLICT);
	assert_int_equal(store_ahead(fx->store, FX_SHARD, FX_NONCE, (struct ahead_place){2, 0}, 1, 10, on_ahead, &seen),
			 MR_EINVAL);
	assert_int_equal(store_ahead(fx->store, FX_SHARD, FX_NONCE, BEGINNING, 1, STORE_BATCH_MAX + 1, on_ahead, &seen),
			 MR_EINVAL);
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_due_task_is_scheduled_with_an_outbox_entry, reset),
		cmocka_unit_test_setup(nothing_fires_early, reset),
		cmocka_unit_test_setup(an_entry_that_comes_before_its_record_is_armed_again, reset),
		cmocka_unit_test_setup(an_entry_of_another_state_is_dropped, reset),
		cmocka_unit_test_setup(a_limit_leaves_the_rest_for_the_next_call, reset),
		cmocka_unit_test_setup(without_readiness_nothing_fires, reset),
		cmocka_unit_test_setup(what_is_not_confirmed_is_published_again_once_a_sweep, reset),
		cmocka_unit_test_setup(an_outbox_entry_without_a_need_goes, reset),
		cmocka_unit_test_setup(a_sweep_takes_the_oldest_first, reset),
		cmocka_unit_test_setup(a_finished_task_stays_for_the_retention_time, reset),
		cmocka_unit_test_setup(what_began_again_or_is_not_confirmed_stays, reset),
		cmocka_unit_test_setup(results_from_the_log_expire_by_when_they_closed, reset),
		cmocka_unit_test_setup(what_will_be_due_is_told_and_stays_as_it_is, reset),
		cmocka_unit_test_setup(what_was_told_before_is_not_told_again, reset),
		cmocka_unit_test_setup(an_instant_with_more_than_the_limit_is_told_in_parts, reset),
		cmocka_unit_test_setup(without_readiness_nothing_is_told_ahead, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
