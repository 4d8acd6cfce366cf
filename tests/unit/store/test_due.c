/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "support/store_fixture.h"
#include "support/store_seen.h"

/* Timers of heartbeats and timeouts: what is due is derived from the task, and told until the task has moved on. */

#define AGAIN_MS 2000
#define PLACE "t:0:5"

static int64_t redis_now_ms(struct fixture *fx)
{
	return fx_look(fx, FX_SHARD).now_ms;
}

static int64_t score_of(struct fixture *fx, const char *kind, const char *member)
{
	CLEANUP_FREE char *text = REDIS(&fx->server, "ZSCORE", fx_key(kind), member);

	return strcmp(text, "(nil)") == 0 ? -1 : strtoll(text, NULL, 10);
}

static void put_beat(struct fixture *fx, const char *fence, int64_t beat_ms, int64_t timeout_ms)
{
	char text[128];

	snprintf(text, sizeof(text), "%s\t%lld\t%lld\t\t\nhalf", fence, (long long)beat_ms, (long long)timeout_ms);
	free(REDIS(&fx->server, "SET", fx_key("y:k"), text));
}

/* ---- by state ---- */

enum fate { TOLD, LATER, DROPPED };

struct due_row {
	const char *rule;
	const char *state;
	enum timer_kind kind;
	int64_t epoch, attempt;
	const char *place;
	enum fate fate;
};

static const struct due_row rows[] = {
	{"nobody has claimed the first attempt", NULL, TIMER_SCHEDULE_TO_START, 0, 1, PLACE, TOLD},
	{"no state of a later attempt", NULL, TIMER_SCHEDULE_TO_START, 0, 2, PLACE, DROPPED},
	{"no state of a later epoch", NULL, TIMER_SCHEDULE_TO_START, 1, 1, PLACE, DROPPED},
	{"only commands are known", "M||0|1|9|j|0|pe|", TIMER_SCHEDULE_TO_START, 0, 1, PLACE, TOLD},
	{"only commands to another run", "M|other|0|1|9|j|0|pe|", TIMER_SCHEDULE_TO_START, 0, 1, PLACE, DROPPED},
	{"scheduled", "S|run|0|2||7|0||", TIMER_SCHEDULE_TO_START, 0, 2, PLACE, TOLD},
	{"another attempt is scheduled", "S|run|0|3||7|0||", TIMER_SCHEDULE_TO_START, 0, 2, PLACE, DROPPED},
	{"another run is scheduled", "S|other|0|2||7|0||", TIMER_SCHEDULE_TO_START, 0, 2, PLACE, DROPPED},
	{"claimed, and may come back", "R|run|0|2|n|w1|rec|5|0|7||", TIMER_SCHEDULE_TO_START, 0, 2, PLACE, LATER},
	{"parked", "R|run|0|2|n|w1|rec|5|0|7|k|", TIMER_SCHEDULE_TO_START, 0, 2, PLACE, DROPPED},
	{"backing off", "B|run|0|2|9|7|0||", TIMER_SCHEDULE_TO_START, 0, 2, PLACE, DROPPED},
	{"waiting", "W|run|0|1|9|7|0||", TIMER_SCHEDULE_TO_START, 0, 1, PLACE, DROPPED},
	{"finished", "F|run|0|1|n|0|9|0|^0v", TIMER_SCHEDULE_TO_START, 0, 1, PLACE, DROPPED},

	{"no state, and the task's time is over", NULL, TIMER_CLOSE, 0, 1, PLACE, TOLD},
	{"scheduled, and the task's time is over", "S|run|0|2||7|0||", TIMER_CLOSE, 0, 2, PLACE, TOLD},
	{"it backs off, by the journal", "B|run|0|2|9|7|0||", TIMER_CLOSE, 0, 2, "", TOLD},
	{"it waits, by the journal", "W|run|0|1|9|7|0||", TIMER_CLOSE, 0, 1, "", TOLD},
	{"it backs off paused", "B|run|0|2|9|7|0|pe|", TIMER_CLOSE, 0, 2, "", TOLD},
	{"it backs off, and the journal has its own timer", "B|run|0|2|9|7|0||", TIMER_CLOSE, 0, 1, PLACE, DROPPED},
	{"the time of a task whose attempts went on", "S|run|0|3||7|0||", TIMER_CLOSE, 0, 2, "", TOLD},
	{"a timer of what is not there yet", "S|run|0|1||7|0||", TIMER_CLOSE, 0, 2, "", DROPPED},
	{"another run waits", "W|other|0|1|9|7|0||", TIMER_CLOSE, 0, 1, "", DROPPED},
	{"its worker lives and ends it", "R|run|0|1|n|w1|rec|5|0|||", TIMER_CLOSE, 0, 1, PLACE, LATER},
	{"its worker is dead", "R|run|0|1|n|w9|rec|5|0|||", TIMER_CLOSE, 0, 1, PLACE, TOLD},
	{"parked by a worker", "R|run|0|1|n|w9|rec|5|0|7|k|", TIMER_CLOSE, 0, 1, PLACE, DROPPED},
	{"it waits for its completion", "R|run|0|1|n||rec|5|0|7|k|", TIMER_CLOSE, 0, 1, "", TOLD},
	{"finished already", "F|run|0|1|n|0|9|0|^0v", TIMER_CLOSE, 0, 1, "", DROPPED},
};

static void check_row(struct fixture *fx, const struct due_row *row)
{
	struct seen_timers seen;
	char member[64];

	fx_put(fx, "k", row->state);
	free(REDIS(&fx->server, "DEL", fx_key("T")));
	assert_int_equal(fx_watch(fx, "n1", row->kind, row->epoch, row->attempt, row->place, 1000), MR_OK);
	snprintf(member, sizeof(member), "%c\tk\trun\t%d\t%d\t%s", row->kind == TIMER_CLOSE ? 'c' : 's', (int)row->epoch,
		 (int)row->attempt, row->place);
	assert_int_equal(score_of(fx, "T", member), 1000);
	int64_t before_ms = redis_now_ms(fx);

	seen = fx_due(fx, 10);
	int64_t score = score_of(fx, "T", member);

	if (seen.n != (row->fate == TOLD))
		fail_msg("%s: told %zu times", row->rule, seen.n);
	if ((score == -1) != (row->fate == DROPPED) || (row->fate == TOLD && score < before_ms + AGAIN_MS) ||
	    (row->fate == LATER && score <= before_ms))
		fail_msg("%s: armed at %lld", row->rule, (long long)score);
	assert_int_equal(seen.next_due_ms, score);
	if (row->fate == TOLD) {
		assert_int_equal(seen.due_ms, 1000);
		assert_int_equal(fx_due(fx, 10).n, 0);
	}
}

static void what_is_due_is_derived_from_the_task(void **state)
{
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(fx, &rows[i]);
}

static void a_timer_is_told_with_its_task_and_place(void **state)
{
	struct fixture *fx = *state;
	struct seen_timers seen;

	fx_put(fx, "k", "S|run|0|2||7|0||");
	fx_watch(fx, "n1", TIMER_SCHEDULE_TO_START, 0, 2, PLACE, 1000);
	fx_watch(fx, "n1", TIMER_CLOSE, 0, 2, "", 1001);
	seen = fx_due(fx, 10);
	assert_string_equal(seen.timers, "s k run 0 2 " PLACE ";c k run 0 2 ;");
	assert_int_equal(seen.state, VIEW_SCHEDULED);
}

/* ---- never early, bounded, fenced ---- */

static void no_timer_is_early(void **state)
{
	struct fixture *fx = *state;
	int64_t due_ms = redis_now_ms(fx) + 30;
	struct seen_timers seen = {0};

	fx_watch(fx, "n1", TIMER_CLOSE, 0, 1, PLACE, due_ms);
	while (seen.n == 0) {
		int64_t before_ms = redis_now_ms(fx);

		seen = fx_due(fx, 10);
		assert_true(seen.n == 0 || redis_now_ms(fx) >= due_ms);
		assert_true(seen.n == 1 || (before_ms <= due_ms && seen.next_due_ms == due_ms));
	}
}

static void a_limit_leaves_the_rest_for_the_next_call(void **state)
{
	struct fixture *fx = *state;
	char place[16];

	for (int i = 0; i < 7; i++) {
		snprintf(place, sizeof(place), "t:0:%d", i);
		fx_watch(fx, "n1", TIMER_CLOSE, 0, 1, place, 1000 + i);
	}
	assert_int_equal(fx_due(fx, 3).n, 3);
	assert_int_equal(fx_due(fx, 3).n, 3);
	assert_int_equal(fx_due(fx, 3).n, 1);
	assert_int_equal(fx_due(fx, 3).n, 0);
}

static void without_readiness_nothing_is_due(void **state)
{
	struct fixture *fx = *state;

	fx_watch(fx, "n1", TIMER_CLOSE, 0, 1, PLACE, 1000);
	assert_int_equal(fx_due_status(fx, "other"), MR_ECONFLICT);
	assert_int_equal(fx_watch(fx, "other", TIMER_CLOSE, 0, 1, "t:0:6", 1000), MR_ECONFLICT);
	assert_int_equal(fx_unwatch(fx, "other", TIMER_CLOSE, 0, 1, PLACE), MR_ECONFLICT);
	free(REDIS(&fx->server, "DEL", fx_key("m")));
	assert_int_equal(fx_due_status(fx, "n1"), MR_ECONFLICT);
	assert_int_equal(fx_watch(fx, "", TIMER_CLOSE, 0, 1, "t:0:6", 1000), MR_ECONFLICT);
	FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("T"));
}

/* ---- watch ---- */

static void the_same_watch_again_changes_nothing(void **state)
{
	struct fixture *fx = *state;

	fx_watch(fx, "n1", TIMER_CLOSE, 0, 1, PLACE, 1000);
	assert_int_equal(fx_due(fx, 10).n, 1);
	assert_int_equal(fx_watch(fx, "n1", TIMER_CLOSE, 0, 1, PLACE, 1000), MR_OK);
	assert_int_equal(fx_due(fx, 10).n, 0); /* it was told, and is told again in a while */
	assert_int_equal(fx_unwatch(fx, "n1", TIMER_CLOSE, 0, 1, PLACE), MR_OK);
	assert_int_equal(fx_due(fx, 10).next_due_ms, -1);
}

static void whoever_watches_need_not_own_the_shard(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(fx_watch(fx, "", TIMER_CLOSE, 0, 1, PLACE, 1000), MR_OK);
	FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("T"));
	assert_int_equal(fx_unwatch(fx, "n1", TIMER_CLOSE, 0, 1, PLACE), MR_OK);
	FX_ASSERT_REDIS(fx, "0", "ZCARD", fx_key("T"));
}

static void the_shard_tells_when_the_first_timer_is_due(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(fx_look(fx, FX_SHARD).next_due_ms, -1);
	fx_watch(fx, "n1", TIMER_CLOSE, 0, 1, PLACE, 1000);
	assert_int_equal(fx_look(fx, FX_SHARD).next_due_ms, 1000);
	free(REDIS(&fx->server, "ZADD", fx_key("h"), "900", "k"));
	assert_int_equal(fx_look(fx, FX_SHARD).next_due_ms, 900);
	free(REDIS(&fx->server, "ZADD", fx_key("b"), "800", "k"));
	assert_int_equal(fx_look(fx, FX_SHARD).next_due_ms, 800);
}

static void what_cannot_be_watched_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct watch_request request = {TIMER_HEARTBEAT, BYTES_LIT("k"), BYTES_LIT("run"), 0, 1, BYTES_LIT(""), 5};

	assert_int_equal(store_watch(fx->store, FX_SHARD, FX_NONCE, &request, 1, fx_on_done, fx), MR_EINVAL);
	request.kind = TIMER_CLOSE;
	request.place = BYTES_LIT("a\tb");
	assert_int_equal(store_watch(fx->store, FX_SHARD, FX_NONCE, &request, 1, fx_on_done, fx), MR_EINVAL);
	assert_int_equal(store_watch(fx->store, FX_SHARD, FX_NONCE, &request, 0, fx_on_done, fx), MR_EINVAL);
	request.place = BYTES_LIT("a");
	assert_int_equal(store_unwatch(fx->store, -1, FX_NONCE, &request, 1, fx_on_done, fx), MR_EINVAL);
	assert_int_equal(store_unwatch(fx->store, FX_SHARD, BYTES_LIT(""), &request, 1, fx_on_done, fx), MR_EINVAL);
}

/* ---- heartbeats of attempts that nobody runs ---- */

struct beat_row {
	const char *rule, *state, *fence;
	int64_t timeout_ms;
	bool recent; /* the last beat is of now */
	enum fate fate;
};

static const struct beat_row beat_rows[] = {
	{"no beat in time", "R|run|0|1|n||rec|5|0|7|ke|", "run\t0\t1", 1000, false, TOLD},
	{"a beat came meanwhile", "R|run|0|1|n||rec|5|0|7|ke|", "run\t0\t1", 60000, true, LATER},
	{"the beats are of another attempt", "R|run|0|2|n||rec|5|0|7|ke|", "run\t0\t1", 1000, false, DROPPED},
	{"no timeout", "R|run|0|1|n||rec|5|0|7|ke|", "run\t0\t1", 0, false, DROPPED},
	{"a worker runs it", "R|run|0|1|n|w1|rec|5|0|7|ke|", "run\t0\t1", 1000, false, DROPPED},
	{"it backs off", "B|run|0|2|9|7|0|e|", "run\t0\t1", 1000, false, DROPPED},
	{"it is finished", "F|run|0|1|n|0|9|0|^0v", "run\t0\t1", 1000, false, DROPPED},
	{"it is gone", NULL, "run\t0\t1", 1000, false, DROPPED},
};

static void a_heartbeat_timer_is_derived_from_the_last_beat(void **state)
{
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(beat_rows) / sizeof(beat_rows[0]); i++) {
		const struct beat_row *row = &beat_rows[i];
		int64_t now_ms = redis_now_ms(fx), beat_ms = row->recent ? now_ms : 1000;

		fx_put(fx, "k", row->state);
		put_beat(fx, row->fence, beat_ms, row->timeout_ms);
		free(REDIS(&fx->server, "ZADD", fx_key("h"), "500", "k"));
		struct seen_timers seen = fx_due(fx, 10);
		int64_t score = score_of(fx, "h", "k");

		if (seen.n != (row->fate == TOLD) || (score == -1) != (row->fate == DROPPED))
			fail_msg("%s: told %zu times, armed at %lld", row->rule, seen.n, (long long)score);
		if (row->fate == LATER)
			assert_int_equal(score, beat_ms + row->timeout_ms);
		if (row->fate == TOLD) {
			assert_string_equal(seen.timers, "h k run 0 1 ;");
			assert_true(score >= now_ms + AGAIN_MS);
		}
	}
}

static void many_timers_of_one_instant_are_told_once_each(void **state)
{
	struct fixture *fx = *state;
	size_t told = 0, n;
	char place[16];

	for (int i = 0; i < 300; i++) {
		snprintf(place, sizeof(place), "t:0:%d", i);
		fx_watch(fx, "n1", TIMER_CLOSE, 0, 1, place, 1000);
	}
	while ((n = fx_due(fx, 100).n) > 0)
		told += n;
	assert_int_equal(told, 300);
}

static void when_memory_is_full_timers_end_tasks_and_new_ones_wait(void **state)
{
	struct fixture *fx = *state;
	struct watch_request request = {TIMER_CLOSE, BYTES_LIT("k"), BYTES_LIT("run"), 0, 1, BYTES_LIT("t:0:9"), 1000};

	fx_watch(fx, "n1", TIMER_CLOSE, 0, 1, PLACE, 1000);
	free(REDIS(&fx->server, "CONFIG", "SET", "maxmemory", "1mb"));
	assert_int_equal(fx_due(fx, 10).n, 1);
	assert_string_equal(fx_orphans(fx, "", 10).keys, "");
	assert_int_equal(fx_unwatch(fx, "n1", TIMER_CLOSE, 0, 1, PLACE), MR_OK);
	assert_int_equal(store_watch(fx->store, FX_SHARD, FX_NONCE, &request, 1, fx_on_done, fx), MR_OK);
	fx_poll(fx, 50);
	assert_false(fx->done);
	FX_ASSERT_REDIS(fx, "0", "ZCARD", fx_key("T"));
	free(REDIS(&fx->server, "CONFIG", "SET", "maxmemory", "0"));
	fx_wait(fx);
	fx->done = false;
	FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("T"));
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_due_is_derived_from_the_task, reset),
		cmocka_unit_test_setup(a_timer_is_told_with_its_task_and_place, reset),
		cmocka_unit_test_setup(no_timer_is_early, reset),
		cmocka_unit_test_setup(a_limit_leaves_the_rest_for_the_next_call, reset),
		cmocka_unit_test_setup(without_readiness_nothing_is_due, reset),
		cmocka_unit_test_setup(the_same_watch_again_changes_nothing, reset),
		cmocka_unit_test_setup(whoever_watches_need_not_own_the_shard, reset),
		cmocka_unit_test_setup(the_shard_tells_when_the_first_timer_is_due, reset),
		cmocka_unit_test_setup(what_cannot_be_watched_is_refused, reset),
		cmocka_unit_test_setup(a_heartbeat_timer_is_derived_from_the_last_beat, reset),
		cmocka_unit_test_setup(when_memory_is_full_timers_end_tasks_and_new_ones_wait, reset),
		cmocka_unit_test_setup(many_timers_of_one_instant_are_told_once_each, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
