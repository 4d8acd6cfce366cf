/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

static void allocations_are_aligned_zeroed_and_apart(void **state)
{
	struct arena arena = {0};
	unsigned char *pieces[200];

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		size_t size = 1 + i * 7 % 100;

		pieces[i] = arena_alloc(&arena, size);
		assert_int_equal((uintptr_t)pieces[i] % 16, 0);
		for (size_t j = 0; j < size; j++)
			assert_int_equal(pieces[i][j], 0);
		memset(pieces[i], (int)i + 1, size);
	}
	for (size_t i = 0; i < 200; i++)
		for (size_t j = 0; j < 1 + i * 7 % 100; j++)
			assert_int_equal(pieces[i][j], i + 1);
	arena_deinit(&arena);
}

static void one_larger_than_a_block_gets_its_own(void **state)
{
	struct arena arena = {0};

	(void)state;
	char *small = arena_alloc(&arena, 10);
	char *large = arena_alloc(&arena, 3 << 20);
	memset(large, 'l', 3 << 20);
	memset(small, 's', 10);
	assert_int_equal(large[0], 'l');
	assert_int_equal(small[9], 's');
	arena_deinit(&arena);
}

static void an_empty_allocation_is_a_pointer(void **state)
{
	struct arena arena = {0};

	(void)state;
	assert_non_null(arena_alloc(&arena, 0));
	arena_deinit(&arena);
}

static void reset_reuses_memory_and_zeroes_it_again(void **state)
{
	struct arena arena = {0};

	(void)state;
	char *first = arena_alloc(&arena, 64);
	memset(first, 'x', 64);
	arena_reset(&arena);
	char *second = arena_alloc(&arena, 64);
	assert_ptr_equal(first, second);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(second[i], 0);
	arena_deinit(&arena);
}

static void reset_gives_back_a_huge_block(void **state)
{
	struct arena arena = {0};

	(void)state;
	arena_alloc(&arena, 3 << 20);
	arena_reset(&arena);
	assert_null(arena.head);
	arena_alloc(&arena, 10);
	arena_alloc(&arena, 3 << 20);
	arena_reset(&arena);
	assert_non_null(arena.head);
	arena_deinit(&arena);
}

static void reset_and_deinit_take_an_arena_never_used(void **state)
{
	struct arena arena = {0};

	(void)state;
	arena_reset(&arena);
	arena_deinit(&arena);
	arena_deinit(&arena);
	arena_deinit(NULL);
}

static void a_copy_ends_with_a_nul_that_is_not_counted(void **state)
{
	struct arena arena = {0};

	(void)state;
	struct bytes copy = arena_copy(&arena, (struct bytes){"abcdef", 3});
	assert_int_equal(copy.len, 3);
	assert_string_equal(copy.data, "abc");
	copy = arena_copy(&arena, BYTES_LIT("a\0b"));
	assert_int_equal(copy.len, 3);
	assert_memory_equal(copy.data, "a\0b\0", 4);
	arena_deinit(&arena);
}

static void a_copy_of_absent_bytes_is_absent_and_of_empty_ones_present(void **state)
{
	struct arena arena = {0};

	(void)state;
	assert_false(bytes_present(arena_copy(&arena, BYTES_NONE)));
	assert_true(bytes_present(arena_copy(&arena, BYTES_LIT(""))));
	arena_deinit(&arena);
}

static void printf_formats_into_the_arena(void **state)
{
	struct arena arena = {0};

	(void)state;
	struct bytes text = arena_printf(&arena, "%s:%d", "tasks.default", 7);
	assert_int_equal(text.len, strlen("tasks.default:7"));
	assert_string_equal(text.data, "tasks.default:7");
	text = arena_printf(&arena, "%09000d", 1);
	assert_int_equal(text.len, 9000);
	assert_int_equal(text.data[8999], '1');
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations_are_aligned_zeroed_and_apart),
		cmocka_unit_test(one_larger_than_a_block_gets_its_own),
		cmocka_unit_test(an_empty_allocation_is_a_pointer),
		cmocka_unit_test(reset_reuses_memory_and_zeroes_it_again),
		cmocka_unit_test(reset_gives_back_a_huge_block),
		cmocka_unit_test(reset_and_deinit_take_an_arena_never_used),
		cmocka_unit_test(a_copy_ends_with_a_nul_that_is_not_counted),
		cmocka_unit_test(a_copy_of_absent_bytes_is_absent_and_of_empty_ones_present),
		cmocka_unit_test(printf_formats_into_the_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
