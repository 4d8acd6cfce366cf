/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "task/task.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEADER(n, v)                                                                                                             \
	{                                                                                                                        \
		{n, sizeof(n) - 1},                                                                                              \
		{                                                                                                                \
			v, sizeof(v) - 1                                                                                         \
		}                                                                                                                \
	}

static void without_reserved_headers_it_is_a_first_attempt(void **state)
{
	const struct header items[] = {HEADER("trace", "x"), HEADER("millrac", "y"), {{"none", 4}, {NULL, 0}}};
	struct dispatch dispatch;

	(void)state;
	assert_true(dispatch_parse((struct headers){items, COUNT(items)}, &dispatch, NULL));
	assert_int_equal(dispatch.attempt, 1);
	assert_int_equal(dispatch.epoch, 0);
	assert_int_equal(dispatch.hops, 0);
	assert_true(dispatch.scheduled_at_ms == TASK_UNSET && dispatch.dispatched_at_ms == TASK_UNSET);
	assert_false(bytes_present(dispatch.key) || bytes_present(dispatch.run_id) || bytes_present(dispatch.history));
	assert_false(dispatch.republished);
}

static void all_reserved_headers_are_read(void **state)
{
	const struct header items[] = {
		HEADER(HEADER_KEY, "w/a"),
		HEADER(HEADER_RUN, "r"),
		HEADER(HEADER_EPOCH, "2"),
		HEADER(HEADER_ATTEMPT, "3"),
		HEADER(HEADER_HOPS, "1"),
		HEADER(HEADER_SCHEDULED_AT, "1700000000000"),
		HEADER(HEADER_DISPATCHED_AT, "9007199254740991"),
		HEADER(HEADER_HISTORY, "\x00\xff"),
		HEADER(HEADER_HEARTBEAT, "\x01\x00"),
		HEADER(HEADER_HEARTBEAT_TYPE, "a/b"),
		HEADER(HEADER_HEARTBEAT_ENCODING, "gzip"),
		HEADER(HEADER_OPTIONS, "{}"),
		HEADER("millrace-later", "unknown ones are left alone"),
	};
	struct dispatch dispatch;

	(void)state;
	assert_true(dispatch_parse((struct headers){items, COUNT(items)}, &dispatch, NULL));
	assert_true(bytes_is(dispatch.key, "w/a") && bytes_is(dispatch.run_id, "r"));
	assert_int_equal(dispatch.epoch, 2);
	assert_int_equal(dispatch.attempt, 3);
	assert_int_equal(dispatch.hops, 1);
	assert_true(dispatch.scheduled_at_ms == INT64_C(1700000000000));
	assert_true(dispatch.dispatched_at_ms == INT64_C(9007199254740991));
	assert_int_equal(dispatch.history.len, 2);
	assert_int_equal(dispatch.heartbeat.data.len, 2);
	assert_true(bytes_is(dispatch.heartbeat.content_type, "a/b") && bytes_is(dispatch.heartbeat.encoding, "gzip"));
	assert_true(bytes_is(dispatch.options, "{}"));
	assert_true(dispatch.republished);
}

static void a_malformed_reserved_header_is_named(void **state)
{
	static const struct header bad[] = {
		HEADER(HEADER_ATTEMPT, "0"),
		HEADER(HEADER_ATTEMPT, "-1"),
		HEADER(HEADER_ATTEMPT, ""),
		HEADER(HEADER_ATTEMPT, "1 "),
		HEADER(HEADER_EPOCH, "0x1"),
		HEADER(HEADER_HOPS, "9007199254740992"),
		HEADER(HEADER_EPOCH, "99999999999999999999"),
		{{HEADER_ATTEMPT, sizeof(HEADER_ATTEMPT) - 1}, {NULL, 0}},
		HEADER(HEADER_KEY, ""),
		HEADER(HEADER_KEY, "a\tb"),
		HEADER(HEADER_RUN, "\xff"),
		{{HEADER_HISTORY, sizeof(HEADER_HISTORY) - 1}, {NULL, 0}},
	};
	struct dispatch dispatch;
	struct mr_error err;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_false(dispatch_parse((struct headers){&bad[i], 1}, &dispatch, &err));
		assert_int_equal(err.code, MR_EBAD_RECORD);
		assert_true(bytes_is(bad[i].name, err.where));
	}
}

static void a_reserved_header_may_not_repeat(void **state)
{
	const struct header items[] = {HEADER(HEADER_EPOCH, "1"), HEADER(HEADER_EPOCH, "1")};
	struct dispatch dispatch;

	(void)state;
	assert_false(dispatch_parse((struct headers){items, COUNT(items)}, &dispatch, NULL));
}

static void reserved_is_what_begins_with_the_prefix(void **state)
{
	(void)state;
	assert_true(header_is_reserved(BYTES_LIT("millrace-")));
	assert_true(header_is_reserved(BYTES_LIT("millrace-anything")));
	assert_false(header_is_reserved(BYTES_LIT("millrace")));
	assert_false(header_is_reserved(BYTES_LIT("Millrace-key")));
	assert_false(header_is_reserved(BYTES_LIT("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_reserved_headers_it_is_a_first_attempt),
		cmocka_unit_test(all_reserved_headers_are_read),
		cmocka_unit_test(a_malformed_reserved_header_is_named),
		cmocka_unit_test(a_reserved_header_may_not_repeat),
		cmocka_unit_test(reserved_is_what_begins_with_the_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
