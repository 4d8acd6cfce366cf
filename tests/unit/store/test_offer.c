/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "support/store_fixture.h"

/* Workers of a queue tell each other how busy they are. */

struct told {
	struct fixture *fx;
	char others[256]; /* "worker:free:partitions " each, in the order of their names */
};

static void on_offer(void *ctx, enum mr_status status, const struct offer *others, size_t n)
{
	struct told *told = ctx;
	struct buf text = {0};

	for (char first = 'a'; first <= 'z'; first++) {
		for (size_t i = 0; i < n; i++) {
			if (others[i].worker.data[0] == first)
				buf_printf(&text, "%.*s:%lld:%.*s ", BYTES_ARG(others[i].worker), (long long)others[i].free,
					   BYTES_ARG(others[i].partitions));
		}
	}
	snprintf(told->others, sizeof(told->others), "%s", buf_cstr(&text));
	buf_deinit(&text);
	fx_on_done(told->fx, status);
}

static struct told ask(struct fixture *fx, const char *worker, int64_t wanted)
{
	struct told told = {.fx = fx};
	struct offer ours = {bytes_of(worker), 0, BYTES_LIT("9")};

	assert_int_equal(fx_status(fx, store_offer(fx->store, BYTES_LIT("q"), &ours, wanted, on_offer, &told)), MR_OK);
	return told;
}

static void offer(struct fixture *fx, const char *queue, const char *worker, int64_t free_slots, const char *partitions)
{
	struct told told = {.fx = fx};
	struct offer ours = {bytes_of(worker), free_slots, bytes_of(partitions)};

	assert_int_equal(fx_status(fx, store_offer(fx->store, bytes_of(queue), &ours, 0, on_offer, &told)), MR_OK);
	assert_string_equal(told.others, "");
}

static void who_asks_gets_the_free_slots_of_the_others(void **state)
{
	struct fixture *fx = *state;

	offer(fx, "q", "a", 3, "0,4");
	offer(fx, "q", "b", 1, "1");
	offer(fx, "other", "c", 5, "2");
	assert_string_equal(ask(fx, "d", 10).others, "a:3:0,4 b:1:1 ");
}

static void nobody_gets_his_own(void **state)
{
	struct fixture *fx = *state;

	offer(fx, "q", "a", 3, "0");
	assert_string_equal(ask(fx, "a", 10).others, "");
}

static void what_one_has_taken_is_not_there_for_the_next(void **state)
{
	struct fixture *fx = *state;

	offer(fx, "q", "a", 3, "0,4");
	assert_string_equal(ask(fx, "b", 2).others, "a:2:0,4 ");
	assert_string_equal(ask(fx, "c", 2).others, "a:1:0,4 ");
	assert_string_equal(ask(fx, "d", 2).others, "");
	offer(fx, "q", "a", 2, "0,4");
	assert_string_equal(ask(fx, "d", 5).others, "a:2:0,4 ");
}

static void who_has_no_free_slot_withdraws(void **state)
{
	struct fixture *fx = *state;

	offer(fx, "q", "a", 3, "0");
	offer(fx, "q", "a", 0, "0");
	assert_string_equal(ask(fx, "b", 5).others, "");
}

static void what_is_old_counts_no_more_and_goes(void **state)
{
	struct fixture *fx = *state;
	int64_t now_ms = fx_look(fx, FX_SHARD).now_ms;
	char recent[64];

	snprintf(recent, sizeof(recent), "%lld 2 5", (long long)(now_ms - 1000));
	free(REDIS(&fx->server, "HSET", "t.{0}q:q", "b", recent));
	snprintf(recent, sizeof(recent), "%lld 2 6", (long long)(now_ms - 3001));
	free(REDIS(&fx->server, "HSET", "t.{0}q:q", "c", recent, "d", "not one of ours"));
	assert_string_equal(ask(fx, "a", 9).others, "b:2:5 ");
	FX_ASSERT_REDIS(fx, "1", "HLEN", "t.{0}q:q");
}

static void what_cannot_be_told_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct offer ours = {BYTES_LIT("a"), -1, BYTES_LIT("0")};

	assert_int_equal(store_offer(fx->store, BYTES_LIT("q"), &ours, 0, on_offer, NULL), MR_EINVAL);
	ours.free = 1;
	assert_int_equal(store_offer(fx->store, BYTES_LIT("q"), &ours, -1, on_offer, NULL), MR_EINVAL);
	assert_int_equal(store_offer(fx->store, BYTES_LIT(""), &ours, 0, on_offer, NULL), MR_EINVAL);
	ours.partitions = BYTES_LIT("0\n");
	assert_int_equal(store_offer(fx->store, BYTES_LIT("q"), &ours, 0, on_offer, NULL), MR_EINVAL);
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_asks_gets_the_free_slots_of_the_others, reset),
		cmocka_unit_test_setup(nobody_gets_his_own, reset),
		cmocka_unit_test_setup(what_one_has_taken_is_not_there_for_the_next, reset),
		cmocka_unit_test_setup(who_has_no_free_slot_withdraws, reset),
		cmocka_unit_test_setup(what_is_old_counts_no_more_and_goes, reset),
		cmocka_unit_test_setup(what_cannot_be_told_is_refused, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
