/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/cache.h"

static struct bytes text(const char *s)
{
	return bytes_of(s);
}

static void what_was_put_is_found_by_shard_and_offset(void **state)
{
	struct cache *cache = cache_new(65536);

	(void)state;
	cache_put(cache, 1, 10, 5, text("a"));
	cache_put(cache, 2, 10, 5, text("b"));
	assert_true(bytes_is(cache_get(cache, 1, 10), "a"));
	assert_true(bytes_is(cache_get(cache, 2, 10), "b"));
	assert_false(bytes_present(cache_get(cache, 1, 11)));
	cache_drop(cache, 1, 10);
	assert_false(bytes_present(cache_get(cache, 1, 10)));
	cache_drop_shard(cache, 2);
	assert_int_equal(cache_bytes(cache), 0);
	cache_free(cache);
}

static struct bytes filler(void)
{
	static char record[1000];

	return (struct bytes){record, sizeof(record)};
}

static void the_bound_holds_and_what_is_due_latest_goes_first(void **state)
{
	struct cache *cache = cache_new(65536);

	(void)state;
	/* Due times in no order: 7919 is prime to 1000. */
	for (int64_t i = 0; i < 1000; i++) {
		cache_put(cache, 0, i, i * 7919 % 1000, filler());
		assert_in_range(cache_bytes(cache), 1, 65536);
	}
	for (int64_t i = 0; i < 1000; i++) {
		int64_t due_ms = i * 7919 % 1000;

		if (due_ms < 50)
			assert_true(bytes_present(cache_get(cache, 0, i)));
		if (due_ms > 70)
			assert_false(bytes_present(cache_get(cache, 0, i)));
	}
	assert_true(cache_takes(cache, 10));
	assert_false(cache_takes(cache, 100));
	cache_free(cache);
}

static void what_is_dropped_in_any_order_makes_room(void **state)
{
	struct cache *cache = cache_new(65536);

	(void)state;
	for (int64_t i = 0; i < 50; i++)
		cache_put(cache, 0, i, i * 31 % 50, filler());
	for (int64_t i = 0; i < 50; i += 2)
		cache_drop(cache, 0, i * 7 % 50);
	for (int64_t i = 100; i < 200; i++)
		cache_put(cache, 0, i, i * 17 % 100, filler());
	for (int64_t i = 0; i < 200; i++)
		cache_drop(cache, 0, i);
	assert_int_equal(cache_bytes(cache), 0);
	assert_true(cache_takes(cache, INT64_MAX));
	cache_free(cache);
}

static void what_is_overdue_goes_where_room_is_short(void **state)
{
	struct cache *cache = cache_new(65536);

	(void)state;
	cache_put(cache, 0, 1, 1000, text("few"));
	cache_drop_overdue(cache, 2000);
	assert_true(bytes_present(cache_get(cache, 0, 1)));
	for (int64_t i = 2; i < 50; i++)
		cache_put(cache, 0, i, 1000 + i, filler());
	cache_drop_overdue(cache, 1010);
	assert_false(bytes_present(cache_get(cache, 0, 9)));
	assert_true(bytes_present(cache_get(cache, 0, 10)));
	cache_free(cache);
}

static void a_huge_record_is_not_kept_and_pushes_nothing_out(void **state)
{
	struct cache *cache = cache_new(8000);
	char record[1001] = {0};

	(void)state;
	cache_put(cache, 0, 1, 2, text("small"));
	cache_put(cache, 0, 2, 1, (struct bytes){record, sizeof(record)});
	assert_true(bytes_present(cache_get(cache, 0, 1)));
	assert_false(bytes_present(cache_get(cache, 0, 2)));
	cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_found_by_shard_and_offset),
		cmocka_unit_test(the_bound_holds_and_what_is_due_latest_goes_first),
		cmocka_unit_test(what_is_dropped_in_any_order_makes_room),
		cmocka_unit_test(what_is_overdue_goes_where_room_is_short),
		cmocka_unit_test(a_huge_record_is_not_kept_and_pushes_nothing_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
