/* SPDX-License-Identifier: Apache-2.0 */
/* What waits here goes to workers with free slots, and what waits is taken by its priority. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "consumer/world.h"

static int setup(void **state)
{
	struct world_options options = {.limit = 1};
	struct world *world = world_new(&options);

	*state = world;
	world_assign(world, 0);
	world_settle(world);
	world_forget(world);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void record(struct world *world, const char *type, const char *id, const char *more)
{
	char json[200];

	snprintf(json, sizeof(json), "{\"activity_type\":\"%s\",\"activity_id\":\"%s\"%s}", type, id, more);
	world_record(world, 0, json);
}

/* Both slots. */
static void fill_slots(struct world *world)
{
	record(world, "a", "x", "");
	record(world, "a", "y", "");
	world_settle(world);
	world_start(world, "x");
	world_start(world, "y");
	world_settle(world);
	world_forget(world);
}

static void what_has_waited_goes_to_who_has_room_and_no_more_than_that(void **state)
{
	static const struct offer others[] = {{BYTES_LIT("w2"), 2, BYTES_LIT("5,0")}};
	struct world *world = *state;

	fill_slots(world);
	world_offers_get(world, others, 1);
	record(world, "a", "k1", "");
	record(world, "a", "k2", "");
	record(world, "a", "k3", "");
	world_tick(world, 0);
	world_answer(world);
	world_tick(world, 99);
	world_answer(world);
	world_forget(world);
	world_tick(world, 251);
	world_expect(world, "offer q 0 0", NULL);
	world_answer(world);
	world_expect(world, "produce t.tasks.q record key", "produce t.tasks.q record key", NULL);
	assert_int_equal(world_partition(world, "t.tasks.q"), 5);
	world_ack(world, MR_OK);
	assert_int_equal(world_worker(world)->counters.forwarded, 2);
	assert_int_equal(world_worker(world)->n_jobs, 3);
}

static void forward_one(struct world *world)
{
	static const struct offer others[] = {{BYTES_LIT("w2"), 1, BYTES_LIT("5")}};

	world_offers_get(world, others, 1);
	world_tick(world, 0);
	world_answer(world);
	world_tick(world, 350);
	world_answer(world);
	world_tick(world, 350);
	world_answer(world);
}

static void the_record_is_the_same_but_for_its_reserved_headers(void **state)
{
	struct world *world = *state;

	fill_slots(world);
	world_record_attempt(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}", "k", "r1", 2);
	forward_one(world);
	assert_string_equal(world_value(world, "t.tasks.q"), "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_KEY), "k");
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_RUN), "r1");
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_ATTEMPT), "2");
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_EPOCH), "0");
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_HOPS), "1");
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_SCHEDULED_AT), "1000000");
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_DISPATCHED_AT), "1000000");
}

static void a_task_without_id_keeps_its_key_and_run(void **state)
{
	struct world *world = *state;

	fill_slots(world);
	world_record(world, 0, "{\"activity_type\":\"a\"}");
	forward_one(world);
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_KEY), "t.tasks.q:0:2");
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_RUN), "t.tasks.q:0:2");
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_ATTEMPT), "1");
}

static void its_offset_settles_when_it_is_acknowledged(void **state)
{
	struct world *world = *state;

	fill_slots(world);
	record(world, "a", "k", "");
	forward_one(world);
	world_complete(world, "x", "1");
	world_complete(world, "y", "1");
	world_tick(world, 0);
	world_answer(world); /* the results are on their way, too */
	world_tick(world, 200);
	world_expect(world, "offer q 0 0", "produce t.tasks.q record key", "finish x COMPLETED", "finish y COMPLETED",
		     "offer q 2 0", "produce t.results x", "produce t.results y", NULL);
	world_ack(world, MR_OK);
	world_tick(world, 200);
	world_expect(world, "commit 0:3", NULL);
}

static void it_stays_where_kafka_does_not_take_it(void **state)
{
	struct world *world = *state;

	fill_slots(world);
	record(world, "a", "k", "");
	forward_one(world);
	world_expect(world, "offer q 0 0", "produce t.tasks.q record key", NULL);
	world_ack(world, MR_ETOO_LARGE);
	world_tick(world, 350);
	world_answer(world);
	world_tick(world, 350);
	world_expect(world, NULL); /* nor is it tried again */
	world_complete(world, "x", "1");
	world_settle(world);
	world_expect(world, "finish x COMPLETED", "claim k 1", "produce t.results x", "push k 1", NULL);
}

static void a_partition_of_its_own_is_no_way_out(void **state)
{
	static const struct offer others[] = {{BYTES_LIT("w2"), 2, BYTES_LIT("0")}, {BYTES_LIT("w3"), 2, BYTES_LIT("")}};
	struct world *world = *state;

	fill_slots(world);
	record(world, "a", "k", "");
	world_offers_get(world, others, 2);
	world_tick(world, 0);
	world_tick(world, 350);
	world_answer(world);
	world_tick(world, 350);
	world_answer(world);
	assert_int_equal(world_worker(world)->n_jobs, 3);
	world_expect(world, "offer q 0 0", "offer q 0 0", NULL);
}

static void a_task_that_has_moved_three_times_stays(void **state)
{
	struct world *world = *state;

	fill_slots(world);
	world_record_hops(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}", "k", "r1", 1, 3);
	forward_one(world);
	world_expect(world, NULL);
	world_record_hops(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k2\"}", "k2", "r1", 1, 2);
	forward_one(world);
	world_expect(world, "offer q 0 0", "produce t.tasks.q record key", NULL);
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_HOPS), "3");
}

static void what_has_been_asked_for_is_not_forwarded(void **state)
{
	struct world *world = *state;

	record(world, "a", "k", "");
	world_claims_get(world, CLAIM_WAIT);
	world_settle(world);
	world_claims_get(world, CLAIM_RUN);
	record(world, "a", "x", "");
	record(world, "a", "y", "");
	world_tick(world, 0);
	world_answer(world);
	world_tick(world, 20);
	world_forget(world);
	forward_one(world);
	world_expect(world, NULL);
}

static void of_a_type_at_its_limit_one_moves_once(void **state)
{
	struct world *world = *state;

	record(world, "limited", "x", "");
	world_settle(world);
	world_start(world, "x");
	world_settle(world);
	record(world, "limited", "k1", "");
	record(world, "limited", "k2", "");
	world_record_hops(world, 0, "{\"activity_type\":\"limited\",\"activity_id\":\"k3\"}", "k3", "r1", 1, 1);
	world_settle(world);
	world_forget(world);
	static const struct offer others[] = {{BYTES_LIT("w2"), 4, BYTES_LIT("5")}};

	world_offers_get(world, others, 1);
	world_tick(world, 350);
	world_answer(world);
	world_expect(world, "offer q 1 0", "produce t.tasks.q record key", NULL);
	assert_string_equal(world_header(world, "t.tasks.q", HEADER_KEY), "k1");
}

static void an_idle_worker_tells_what_it_has_and_renews_it_each_second(void **state)
{
	struct world *world = world_new(NULL);

	(void)state;
	world_offers_get(world, NULL, 0);
	world_assign(world, 3);
	world_assign(world, 1);
	world_settle(world);
	world_tick(world, 250);
	world_answer(world);
	assert_int_equal(world_worker(world)->exchanges[0].told_free, 2);
	world_forget(world);
	for (int i = 0; i < 40; i++) {
		world_tick(world, 100);
		world_answer(world);
	}
	world_expect(world, "offer q 2 1,3", "offer q 2 1,3", "offer q 2 1,3", "offer q 2 1,3", NULL);
	world_free(world);
}

static void a_worker_that_has_nothing_free_says_so_once(void **state)
{
	struct world *world = *state;

	world_offers_get(world, NULL, 0);
	world_tick(world, 1000);
	world_answer(world);
	world_expect(world, "offer q 2 0", NULL);
	fill_slots(world);
	for (int i = 0; i < 30; i++) {
		world_tick(world, 100);
		world_answer(world);
	}
	world_expect(world, NULL);
	assert_int_equal(world_worker(world)->exchanges[0].told_free, 0);
}

static void a_worker_that_drains_takes_its_offer_back(void **state)
{
	struct world *world = *state;

	world_offers_get(world, NULL, 0);
	world_tick(world, 1000);
	world_answer(world);
	world_record(world, 0, "{\"activity_type\":\"a\",\"activity_id\":\"k\"}");
	world_settle(world);
	world_start(world, "k");
	world_settle(world);
	world_forget(world);
	worker_drain(world_worker(world), world_now_ms(world) * 1000);
	world_tick(world, 0);
	world_expect(world, "offer q 0 0", NULL);
}

static void tasks_that_wait_start_by_priority_and_then_in_order(void **state)
{
	struct world *world = *state;

	fill_slots(world);
	record(world, "a", "late", ",\"priority\":5");
	record(world, "a", "n1", "");
	record(world, "a", "n2", ",\"priority\":3");
	record(world, "a", "u1", ",\"priority\":1");
	record(world, "a", "u2", ",\"priority\":1");
	world_settle(world);
	world_complete(world, "x", "1");
	world_complete(world, "y", "1");
	world_settle(world);
	world_expect(world, "finish x COMPLETED", "finish y COMPLETED", "claim u1 1", "claim u2 1", "produce t.results x",
		     "produce t.results y", "push u1 1", "push u2 1", NULL);
	world_complete(world, "u1", "1");
	world_complete(world, "u2", "1");
	world_tick(world, 0);
	world_expect(world, "finish u1 COMPLETED", "finish u2 COMPLETED", "claim n1 1", "claim n2 1", "claim late 1", NULL);
}

static void a_refused_claim_keeps_the_order_of_its_priority(void **state)
{
	struct world *world = *state;

	record(world, "a", "n1", "");
	record(world, "a", "n2", "");
	record(world, "a", "u1", ",\"priority\":2");
	world_tick(world, 0);
	world_expect(world, "claim u1 1", "claim n1 1", NULL);
	world_refuse(world);
	world_tick(world, 1000);
	world_expect(world, "claim u1 1", "claim n1 1", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_has_waited_goes_to_who_has_room_and_no_more_than_that, setup, teardown),
		cmocka_unit_test_setup_teardown(the_record_is_the_same_but_for_its_reserved_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_without_id_keeps_its_key_and_run, setup, teardown),
		cmocka_unit_test_setup_teardown(its_offset_settles_when_it_is_acknowledged, setup, teardown),
		cmocka_unit_test_setup_teardown(it_stays_where_kafka_does_not_take_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_partition_of_its_own_is_no_way_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_that_has_moved_three_times_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_been_asked_for_is_not_forwarded, setup, teardown),
		cmocka_unit_test_setup_teardown(of_a_type_at_its_limit_one_moves_once, setup, teardown),
		cmocka_unit_test(an_idle_worker_tells_what_it_has_and_renews_it_each_second),
		cmocka_unit_test_setup_teardown(a_worker_that_has_nothing_free_says_so_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_worker_that_drains_takes_its_offer_back, setup, teardown),
		cmocka_unit_test_setup_teardown(tasks_that_wait_start_by_priority_and_then_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_claim_keeps_the_order_of_its_priority, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
