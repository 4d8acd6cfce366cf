/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/map.h"

#define ITEMS 2000

struct item {
	char key[32];
	bool in;
};

static struct item items[ITEMS];

static struct bytes key_of(const struct item *item)
{
	return bytes_of(item->key);
}

static int items_fill(void **state)
{
	(void)state;
	for (int i = 0; i < ITEMS; i++)
		snprintf(items[i].key, sizeof(items[i].key), "order-%d/charge", i);
	return 0;
}

static void an_unused_map_finds_and_removes_nothing(void **state)
{
	struct map map = {0};
	size_t it = 0;

	(void)state;
	assert_null(map_get(&map, BYTES_LIT("a")));
	assert_null(map_remove(&map, BYTES_LIT("a")));
	assert_null(map_next(&map, &it));
	map_deinit(&map);
	map_deinit(NULL);
}

static void put_returns_the_former_value_and_takes_the_new_key(void **state)
{
	struct map map = {0};
	char first[] = "key", second[] = "key";

	(void)state;
	assert_null(map_put(&map, bytes_of(first), first));
	assert_ptr_equal(map_put(&map, bytes_of(second), second), first);
	memset(first, 'x', sizeof(first));
	assert_int_equal(map.len, 1);
	assert_ptr_equal(map_get(&map, BYTES_LIT("key")), second);
	assert_ptr_equal(map_remove(&map, BYTES_LIT("key")), second);
	assert_null(map_remove(&map, BYTES_LIT("key")));
	assert_int_equal(map.len, 0);
	map_deinit(&map);
}

static void the_empty_key_is_a_key(void **state)
{
	struct map map = {0};
	int value = 1;

	(void)state;
	map_put(&map, BYTES_LIT(""), &value);
	assert_ptr_equal(map_get(&map, BYTES_LIT("")), &value);
	assert_null(map_get(&map, BYTES_LIT("a")));
	map_deinit(&map);
}

static void keys_with_nul_bytes_are_told_apart(void **state)
{
	struct map map = {0};
	int one = 1, two = 2;

	(void)state;
	map_put(&map, BYTES_LIT("a\0b"), &one);
	map_put(&map, BYTES_LIT("a\0c"), &two);
	assert_ptr_equal(map_get(&map, BYTES_LIT("a\0b")), &one);
	assert_ptr_equal(map_get(&map, BYTES_LIT("a\0c")), &two);
	map_deinit(&map);
}

static void check_all(const struct map *map)
{
	size_t n = 0;

	for (size_t i = 0; i < ITEMS; i++) {
		assert_ptr_equal(map_get(map, key_of(&items[i])), items[i].in ? &items[i] : NULL);
		n += items[i].in;
	}
	assert_int_equal(map->len, n);
}

static void flip(struct map *map, struct item *item)
{
	void *former = item->in ? map_remove(map, key_of(item)) : map_put(map, key_of(item), item);

	assert_ptr_equal(former, item->in ? item : NULL);
	item->in = !item->in;
}

static void churn_loses_and_invents_nothing(void **state)
{
	struct map map = {0};
	uint32_t random = 1;

	(void)state;
	for (int step = 0; step < 200000; step++) {
		random = random * 1664525 + 1013904223;
		flip(&map, &items[(random >> 8) % ITEMS]);
		if (step % 5000 == 0)
			check_all(&map);
	}
	check_all(&map);
	for (size_t i = 0; i < ITEMS; i++)
		if (items[i].in)
			flip(&map, &items[i]);
	check_all(&map);
	map_deinit(&map);
}

static void a_table_that_only_turns_over_does_not_grow(void **state)
{
	struct map map = {0};

	(void)state;
	for (size_t i = 0; i < 8; i++)
		flip(&map, &items[i]);
	size_t cap = map.cap;
	for (size_t i = 8; i < ITEMS; i++) {
		flip(&map, &items[i]);
		flip(&map, &items[i - 8]);
	}
	assert_int_equal(map.cap, cap);
	for (size_t i = ITEMS - 8; i < ITEMS; i++)
		flip(&map, &items[i]);
	map_deinit(&map);
}

static void iteration_meets_every_entry_once(void **state)
{
	struct map map = {0};
	struct map_slot *slot;
	size_t it = 0, met = 0;

	(void)state;
	for (size_t i = 0; i < ITEMS; i++)
		flip(&map, &items[i]);
	while ((slot = map_next(&map, &it))) {
		struct item *item = slot->value;

		assert_true(bytes_equal(slot->key, key_of(item)));
		assert_true(item->in);
		item->in = false;
		met++;
	}
	assert_int_equal(met, ITEMS);
	map_deinit(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unused_map_finds_and_removes_nothing),
		cmocka_unit_test(put_returns_the_former_value_and_takes_the_new_key),
		cmocka_unit_test(the_empty_key_is_a_key),
		cmocka_unit_test(keys_with_nul_bytes_are_told_apart),
		cmocka_unit_test(churn_loses_and_invents_nothing),
		cmocka_unit_test(a_table_that_only_turns_over_does_not_grow),
		cmocka_unit_test(iteration_meets_every_entry_once),
	};

	return cmocka_run_group_tests(tests, items_fill, NULL);
}
