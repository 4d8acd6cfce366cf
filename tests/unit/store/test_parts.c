/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "store/record.h"
#include "store/redis_clock.h"
#include "store/redis_url.h"
#include "store/store_impl.h"

/* The parts that need no server. */

/* ---- URLs ---- */

struct url_row {
	const char *url, *host;
	int port;
	const char *path, *user, *password;
	int db;
	bool tls;
};

static const struct url_row urls[] = {
	{"redis://localhost", "localhost", 6379, .db = 0},
	{"redis://", "127.0.0.1", 6379, .db = 0},
	{"redis://127.0.0.1:7000/3", "127.0.0.1", 7000, .db = 3},
	{"redis://h/", "h", 6379, .db = 0},
	{"redis://:pw@h", "h", 6379, .password = "pw"},
	{"redis://me:p%40%2Fw@h:1/0", "h", 1, .user = "me", .password = "p@/w"},
	{"redis://me:a@b@h", "h", 6379, .user = "me", .password = "a@b"},
	{"redis://[::1]:7000/15", "::1", 7000, .db = 15},
	{"redis://[::1]", "::1", 6379, .db = 0},
	{"rediss://:x@h:6380", "h", 6380, .password = "x", .tls = true},
	{"unix:///run/redis.sock", NULL, 0, "/run/redis.sock", .db = 0},
	{"unix:///run/redis.sock?db=2", NULL, 0, "/run/redis.sock", .db = 2},
};

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void urls_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		const struct url_row *row = &urls[i];
		struct redis_url url;

		if (redis_url_parse(row->url, &url, NULL) != MR_OK)
			fail_msg("%s is refused", row->url);
		if (!same(url.host, row->host) || !same(url.path, row->path) || !same(url.user, row->user) ||
		    !same(url.password, row->password) || url.port != row->port || url.db != row->db || url.tls != row->tls)
			fail_msg("%s is misunderstood", row->url);
		redis_url_deinit(&url);
	}
}

static void wrong_urls_are_refused_without_their_password(void **state)
{
	static const char *const wrong[] = {"",
					    "http://h",
					    "redis:h",
					    "redis://h:0",
					    "redis://h:65536",
					    "redis://h:x",
					    "redis://h/x",
					    "redis://hunter2@h",
					    "redis://:hunter2%4@h",
					    "redis://:hunter2%00@h",
					    "redis://[::1",
					    "redis://[::1]x",
					    "unix://relative",
					    "unix:///s?base=1",
					    "redis://:hunter2@h:x"};
	struct mr_error err;
	struct redis_url url;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		err = (struct mr_error){0};
		if (redis_url_parse(wrong[i], &url, &err) != MR_EINVAL)
			fail_msg("%s is accepted", wrong[i]);
		assert_string_equal(err.where, "redis");
		assert_null(strstr(err.message, "hunter2"));
	}
}

/* ---- records ---- */

static struct claim_token token_of(void)
{
	return (struct claim_token){.run_id = BYTES_LIT("run"),
				    .epoch = 1,
				    .attempt = 2,
				    .nonce = BYTES_LIT("n"),
				    .worker = BYTES_LIT("w"),
				    .record_id = BYTES_LIT("t:0:7"),
				    .started_at_ms = 1234567890123,
				    .lost = 1};
}

static void a_record_reads_back_as_written(void **state)
{
	struct claim_token token = token_of();
	struct buf text = {0};
	struct record record;

	(void)state;
	record_append_started(&text, &token);
	assert_true(bytes_is(buf_bytes(&text), "R\trun\t1\t2\tn\tw\tt:0:7\t1234567890123\t1\t\t\t"));
	assert_true(record_parse(buf_bytes(&text), &record));
	assert_int_equal(record.state, 'R');
	assert_int_equal(record.epoch, 1);
	assert_int_equal(record.attempt, 2);
	assert_int_equal(record.started_at_ms, 1234567890123);
	assert_true(bytes_is(record.worker, "w"));
	assert_false(record.journalled);
	buf_deinit(&text);
}

static void a_publication_reads_back_as_written(void **state)
{
	const struct header items[] = {
		{BYTES_LIT("a"), BYTES_LIT("1\n2\t")}, {BYTES_LIT("b"), BYTES_NONE}, {BYTES_LIT("c"), BYTES_LIT("")}};
	const struct store_publication publications[] = {
		{.value = BYTES_LIT("v")},
		{.value = BYTES_LIT("")},
		{BYTES_LIT("v\0w\n"), BYTES_LIT("topic"), BYTES_LIT("key"), {items, 3}},
		{.value = BYTES_LIT("v"), .reply_topic = BYTES_LIT("topic")},
	};
	struct claim_token token = token_of();
	struct arena arena = {0};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct buf text = {0};
		struct record record;
		struct store_publication back;

		record_append_finished(&text, &token, RESULT_TIMED_OUT, 99, true, &publications[i]);
		assert_true(record_parse(buf_bytes(&text), &record));
		assert_int_equal(record.status, RESULT_TIMED_OUT);
		assert_int_equal(record.closed_at_ms, 99);
		assert_true(publication_parse(record.publication, &arena, &back));
		assert_true(bytes_equal(back.value, publications[i].value));
		assert_true(bytes_equal(back.reply_topic, publications[i].reply_topic));
		assert_int_equal(bytes_present(back.reply_key), bytes_present(publications[i].reply_key));
		assert_int_equal(back.headers.len, publications[i].headers.len);
		for (size_t h = 0; h < back.headers.len; h++) {
			assert_true(bytes_equal(back.headers.items[h].value, items[h].value));
			assert_int_equal(bytes_present(back.headers.items[h].value), bytes_present(items[h].value));
		}
		/* Cut anywhere, it is refused or shorter, never read past its end (the sanitizers watch). */
		for (size_t len = 0; len < record.publication.len; len++) {
			char *cut = malloc(len + 1);

			memcpy(cut, record.publication.data, len);
			publication_parse((struct bytes){cut, len}, &arena, &back);
			free(cut);
		}
		buf_deinit(&text);
	}
	arena_deinit(&arena);
}

static void foreign_values_are_no_records(void **state)
{
	static const char *const foreign[] = {"",
					      "R",
					      "x\trun\t0\t1",
					      "R\trun\t0\t1\tn\tw\trec\t5\t0\t\t",
					      "R\trun\tx\t1\tn\tw\trec\t5\t0\t\t\t",
					      "R\trun\t0\t1\tn\tw\trec\t5\t0\t\t\t\t",
					      "F\trun\t0\t1\tn\t9\t9\t0\t\n0v",
					      "F\trun\t0\t1\tn\t0\t9999999999999999999\t0\t\n0v",
					      "S\trun\t0\t1\t\t\t0\t",
					      "B\trun\t0\t1\t\t\t0\t\t",
					      "BR\trun\t0\t1\t5\t\t0\t\t"};
	struct record record;

	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (record_parse(bytes_of(foreign[i]), &record))
			fail_msg("accepted: %s", foreign[i]);
	}
}

/* ---- the clock ---- */

static void the_tightest_sample_bounds_the_clock(void **state)
{
	struct redis_clock clock = {0};

	(void)state;
	assert_int_equal(redis_clock_lower_ms(&clock, 5000), 0);
	assert_int_equal(redis_clock_upper_ms(&clock, 5000), 0);
	redis_clock_sample(&clock, 1000, 0, 10000);
	assert_int_equal(redis_clock_lower_ms(&clock, 10000), 1000);
	assert_int_equal(redis_clock_upper_ms(&clock, 10000), 1011);
	redis_clock_sample(&clock, 1015, 18000, 20000); /* a shorter round trip */
	assert_int_equal(redis_clock_upper_ms(&clock, 20000), 1018);
	redis_clock_sample(&clock, 1020, 20000, 60000); /* a longer one */
	assert_int_equal(redis_clock_lower_ms(&clock, 60000), 1055);
	redis_clock_sample(&clock, 2100, 1060000, 1100000); /* longer, but the old one is stale */
	assert_int_equal(redis_clock_lower_ms(&clock, 1100000), 2100);
}

static void a_clock_that_was_set_is_believed(void **state)
{
	struct redis_clock clock = {0};

	(void)state;
	redis_clock_sample(&clock, 1000000, 0, 1000);
	redis_clock_sample(&clock, 500000, 10000, 20000);
	assert_int_equal(redis_clock_lower_ms(&clock, 20000), 500000);
	redis_clock_sample(&clock, 1000000, 30000, 60000);
	assert_int_equal(redis_clock_lower_ms(&clock, 60000), 1000000);
}

/* ---- batches ---- */

static void a_batch_is_ordered_by_shard_and_each_shard_by_the_caller(void **state)
{
	int shards[] = {2, 0, 2, 1, 0, 2}, order_of_shards[STORE_BATCH_MAX];
	struct store_config config = {.url = "redis://", .prefix = "p", .shards = 3};
	struct store *store;
	struct buf counts = {0};
	uint16_t *order;

	(void)state;
	assert_int_equal(store_new(&config, NULL, &store, NULL), MR_OK);
	for (int round = 0; round < 2; round++) {
		buf_reset(&counts);
		assert_int_equal(group_by_shard(store, shards, 6, &order, &counts, order_of_shards), 3);
		assert_string_equal(buf_cstr(&counts), "3 2 1");
		const uint16_t expected[] = {0, 2, 5, 1, 4, 3};

		assert_memory_equal(order, expected, sizeof(expected));
		assert_int_equal(order_of_shards[0], 2);
		assert_int_equal(order_of_shards[1], 0);
		assert_int_equal(order_of_shards[2], 1);
		free(order);
	}
	buf_deinit(&counts);
	store_free(store);
}

static void a_configuration_that_cannot_be_is_refused(void **state)
{
	static const struct store_config configs[] = {
		{.url = "redis://", .prefix = NULL, .shards = 1},  {.url = "redis://", .prefix = "a{b}", .shards = 1},
		{.url = "redis://", .prefix = "a\n", .shards = 1}, {.url = "redis://", .prefix = "a", .shards = 0},
		{.url = NULL, .prefix = "a", .shards = 1},         {.url = "tcp://h", .prefix = "a", .shards = 1},
	};
	struct store *store = NULL;
	struct mr_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		assert_int_equal(store_new(&configs[i], NULL, &store, &err), MR_EINVAL);
		assert_null(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_understood),
		cmocka_unit_test(wrong_urls_are_refused_without_their_password),
		cmocka_unit_test(a_record_reads_back_as_written),
		cmocka_unit_test(a_publication_reads_back_as_written),
		cmocka_unit_test(foreign_values_are_no_records),
		cmocka_unit_test(the_tightest_sample_bounds_the_clock),
		cmocka_unit_test(a_clock_that_was_set_is_believed),
		cmocka_unit_test(a_batch_is_ordered_by_shard_and_each_shard_by_the_caller),
		cmocka_unit_test(a_configuration_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
