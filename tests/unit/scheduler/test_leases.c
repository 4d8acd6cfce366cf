/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lib/leases.h"

#define S 1000000
#define LEASE_US (3 * S)

static char buried[256];

static void bury(void *ctx, const char *worker)
{
	(void)ctx;
	strncat(buried, worker, sizeof(buried) - strlen(buried) - 2);
	strcat(buried, " ");
}

static int setup(void **state)
{
	buried[0] = '\0';
	*state = leases_new(&(struct leases_config){.shards = 2, .lease_us = LEASE_US, .bury = bury});
	return 0;
}

static int teardown(void **state)
{
	leases_free(*state);
	return 0;
}

static void see(struct leases *leases, int shard, int64_t counter, int64_t now_us)
{
	const struct lease lease = {.worker = BYTES_LIT("w"), .counter = counter};

	leases_observe(leases, shard, &lease, counter < 0 ? 0 : 1, true, now_us);
	leases_turn(leases, now_us);
}

static void a_counter_that_stands_still_for_the_period_is_a_death(void **state)
{
	for (int64_t t = 0; t <= 3; t++)
		see(*state, 0, 7, t * S);
	assert_string_equal(buried, "w ");
	assert_int_equal(leases_count(*state), 0);
}

static void a_counter_that_moves_is_life(void **state)
{
	for (int64_t t = 0; t < 60; t++)
		see(*state, 0, t / 2, t * S);
	assert_string_equal(buried, "");
}

static void life_in_any_shard_counts(void **state)
{
	for (int64_t t = 0; t < 60; t++) {
		see(*state, 0, 7, t * S);
		see(*state, 1, t, t * S);
	}
	assert_string_equal(buried, "");
}

static void a_lease_that_was_given_back_is_no_death(void **state)
{
	see(*state, 0, 1, 0);
	for (int64_t t = 1; t < 10; t++)
		see(*state, 0, -1, t * S);
	assert_string_equal(buried, "");
	assert_int_equal(leases_count(*state), 0);
}

static void an_outage_of_redis_begins_the_period_anew(void **state)
{
	see(*state, 0, 7, 0);
	see(*state, 0, 7, S);
	leases_outage(*state);
	leases_turn(*state, 20 * S);
	see(*state, 0, 7, 21 * S);
	see(*state, 0, 7, 22 * S);
	see(*state, 0, 7, 23 * S);
	assert_string_equal(buried, "");
	see(*state, 0, 7, 24 * S);
	assert_string_equal(buried, "w ");
}

static void a_gap_between_answers_is_an_outage(void **state)
{
	see(*state, 0, 7, 0);
	see(*state, 0, 7, 20 * S);
	assert_string_equal(buried, "");
}

static void time_without_an_answer_kills_nobody(void **state)
{
	see(*state, 0, 7, 0);
	leases_turn(*state, S);
	leases_turn(*state, 4 * S);
	assert_string_equal(buried, "");
}

static void a_shard_that_is_ours_no_more_says_nothing(void **state)
{
	see(*state, 0, 7, 0);
	leases_forget_shard(*state, 0);
	for (int64_t t = 0; t < 10; t++)
		leases_observe(*state, 1, NULL, 0, true, t * S);
	leases_turn(*state, 10 * S);
	assert_string_equal(buried, "");
}

static void count_living(void *ctx, const char *worker)
{
	(void)worker;
	++*(int *)ctx;
}

static void the_living_are_known_after_a_period_of_watching(void **state)
{
	int n = 0;

	see(*state, 0, 1, 0);
	assert_false(leases_knows(*state, 0, 0));
	for (int64_t t = 1; t <= 4; t++)
		see(*state, 0, t, t * S);
	assert_true(leases_knows(*state, 0, 4 * S));
	assert_false(leases_knows(*state, 1, 4 * S));
	leases_living(*state, 0, 4 * S, count_living, &n);
	assert_int_equal(n, 1);
}

static void silence_counts_after_a_period_of_answers(void **state)
{
	assert_false(leases_hears(*state, 0));
	for (int64_t t = 0; t < 3; t++) {
		see(*state, 0, t, t * S);
		assert_false(leases_hears(*state, t * S));
	}
	see(*state, 0, 3, 3 * S);
	assert_true(leases_hears(*state, 3 * S));
	assert_false(leases_hears(*state, 8 * S));
	see(*state, 0, 4, 8 * S);
	assert_false(leases_hears(*state, 8 * S));
	assert_false(leases_hears(*state, 10 * S + 999999));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_counter_that_stands_still_for_the_period_is_a_death),
		TEST(a_counter_that_moves_is_life),
		TEST(life_in_any_shard_counts),
		TEST(a_lease_that_was_given_back_is_no_death),
		TEST(an_outage_of_redis_begins_the_period_anew),
		TEST(a_gap_between_answers_is_an_outage),
		TEST(time_without_an_answer_kills_nobody),
		TEST(silence_counts_after_a_period_of_answers),
		TEST(a_shard_that_is_ours_no_more_says_nothing),
		TEST(the_living_are_known_after_a_period_of_watching),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
