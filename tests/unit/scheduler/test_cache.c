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
	cache_put(cache, 1, 10, text("a"));
	cache_put(cache, 2, 10, text("b"));
	assert_true(bytes_is(cache_get(cache, 1, 10), "a"));
	assert_true(bytes_is(cache_get(cache, 2, 10), "b"));
	assert_false(bytes_present(cache_get(cache, 1, 11)));
	cache_drop(cache, 1, 10);
	assert_false(bytes_present(cache_get(cache, 1, 10)));
	cache_drop_shard(cache, 2);
	assert_int_equal(cache_bytes(cache), 0);
	cache_free(cache);
}

static void the_bound_holds_and_the_oldest_goes_first(void **state)
{
	struct cache *cache = cache_new(65536);
	char record[1000];

	(void)state;
	memset(record, 'x', sizeof(record));
	for (int64_t i = 0; i < 1000; i++) {
		cache_put(cache, 0, i, (struct bytes){record, sizeof(record)});
		assert_in_range(cache_bytes(cache), 1, 65536);
	}
	assert_true(bytes_present(cache_get(cache, 0, 999)));
	assert_true(bytes_present(cache_get(cache, 0, 960)));
	assert_false(bytes_present(cache_get(cache, 0, 900)));
	cache_free(cache);
}

static void a_huge_record_is_not_kept_and_pushes_nothing_out(void **state)
{
	struct cache *cache = cache_new(8000);
	char record[1001] = {0};

	(void)state;
	cache_put(cache, 0, 1, text("small"));
	cache_put(cache, 0, 2, (struct bytes){record, sizeof(record)});
	assert_true(bytes_present(cache_get(cache, 0, 1)));
	assert_false(bytes_present(cache_get(cache, 0, 2)));
	cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_found_by_shard_and_offset),
		cmocka_unit_test(the_bound_holds_and_the_oldest_goes_first),
		cmocka_unit_test(a_huge_record_is_not_kept_and_pushes_nothing_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
