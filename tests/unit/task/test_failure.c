/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "task/failure.h"

static struct bytes fill(char *to, size_t len, char c)
{
	memset(to, c, len);
	return (struct bytes){to, len};
}

static void a_failure_that_fits_is_left_alone(void **state)
{
	struct arena arena = {0};
	struct failure failure;

	(void)state;
	failure_init(&failure);
	failure.type = BYTES_LIT("E");
	failure.message = BYTES_LIT("no");
	assert_ptr_equal(failure_cut(&failure, 3, &arena), &failure);
	assert_int_equal(failure_bytes(&failure), 3);
	arena_deinit(&arena);
}

static void a_message_is_cut_between_characters(void **state)
{
	static const struct {
		const char *message;
		size_t max, len;
	} rows[] = {
		{"abcdef", 3, 3},
		{"aä", 2, 1},
		{"aä", 3, 3},
		{"€€", 5, 3},
		{"€€", 2, 0},
		{"x😀", 4, 1},
		{"\x80\x80\x80\x80\x80\x80", 5, 5},
	};
	struct arena arena = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct failure failure;

		failure_init(&failure);
		failure.message = bytes_of(rows[i].message);
		const struct failure *cut = failure_cut(&failure, rows[i].max, &arena);
		assert_int_equal(cut->message.len, rows[i].len);
	}
	arena_deinit(&arena);
}

static void details_go_whole_or_not_at_all(void **state)
{
	struct arena arena = {0};
	struct failure failure;

	(void)state;
	failure_init(&failure);
	failure.type = BYTES_LIT("E");
	failure.non_retryable = true;
	failure.details = (struct payload){BYTES_LIT("[1,2,3]"), BYTES_LIT("a/b"), BYTES_NONE};
	assert_int_equal(failure_cut(&failure, 11, &arena)->details.data.len, 7);
	const struct failure *cut = failure_cut(&failure, 10, &arena);
	assert_false(bytes_present(cut->details.data) || bytes_present(cut->details.content_type));
	assert_true(cut->non_retryable && bytes_is(cut->type, "E"));
	arena_deinit(&arena);
}

static void causes_share_the_room_and_end_at_the_third(void **state)
{
	struct arena arena = {0};
	struct failure chain[4];
	static char text[FAILURE_KEEP_BYTES];

	(void)state;
	for (int i = 0; i < 4; i++) {
		failure_init(&chain[i]);
		chain[i].type = BYTES_LIT("E");
		chain[i].message = fill(text, 1500, 'm');
		chain[i].cause = i < 3 ? &chain[i + 1] : NULL;
	}
	const struct failure *cut = failure_cut(&chain[0], FAILURE_KEEP_BYTES, &arena);
	assert_int_equal(failure_bytes(cut), FAILURE_KEEP_BYTES);
	assert_non_null(cut->cause->cause);
	assert_null(cut->cause->cause->cause);
	chain[0].message = fill(text, sizeof(text), 'm');
	assert_null(failure_cut(&chain[0], FAILURE_KEEP_BYTES, &arena)->cause);
	arena_deinit(&arena);
}

static void the_history_keeps_the_last_five_within_its_room(void **state)
{
	static char text[2 * FAILURE_KEEP_BYTES];
	struct arena arena = {0};
	const struct attempt_failure *history = NULL;
	size_t n = 0;

	(void)state;
	for (int attempt = 1; attempt <= 8; attempt++) {
		struct attempt_failure added = {.attempt = attempt, .started_at_ms = 1, .failed_at_ms = 2};
		size_t total = 0;

		failure_init(&added.failure);
		added.failure.type = BYTES_LIT("E");
		added.failure.message = fill(text, attempt == 6 ? sizeof(text) : 100, 'm');
		attempt_failures_add(history, n, &added, &arena, &history, &n);
		assert_int_equal(n, attempt < FAILURE_HISTORY ? attempt : FAILURE_HISTORY);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(history[i].attempt, attempt - (int)(n - 1 - i));
			assert_true(history[i].failure.message.len >= 100);
			total += failure_bytes(&history[i].failure);
		}
		assert_true(total <= FAILURE_KEEP_BYTES);
	}
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_that_fits_is_left_alone),
		cmocka_unit_test(a_message_is_cut_between_characters),
		cmocka_unit_test(details_go_whole_or_not_at_all),
		cmocka_unit_test(causes_share_the_room_and_end_at_the_third),
		cmocka_unit_test(the_history_keeps_the_last_five_within_its_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
