/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void appended_pieces_stand_one_after_the_other(void **state)
{
	struct buf buf = {0};

	(void)state;
	buf_append(&buf, "abc", 3);
	buf_append_char(&buf, '-');
	buf_append_bytes(&buf, BYTES_LIT("d\0e"));
	buf_append_bytes(&buf, BYTES_NONE);
	buf_printf(&buf, "%d|%s", 42, "x");
	assert_true(bytes_equal(buf_bytes(&buf), BYTES_LIT("abc-d\0e42|x")));
	buf_deinit(&buf);
}

static void it_grows_to_whatever_is_appended(void **state)
{
	struct buf buf = {0};

	(void)state;
	for (int i = 0; i < 20000; i++)
		buf_printf(&buf, "%d,", i);
	assert_true(buf.len > 100000 && buf.len <= buf.cap);
	assert_memory_equal(buf.data, "0,1,2,3,", 8);
	assert_memory_equal(buf.data + buf.len - 6, "19999,", 6);
	buf_deinit(&buf);
	assert_null(buf.data);
}

static void printf_that_fills_the_rest_exactly_is_not_cut(void **state)
{
	(void)state;
	for (int len = 0; len < 200; len++) {
		struct buf buf = {0};

		buf_append_char(&buf, '>');
		buf_printf(&buf, "%0*d", len ? len : 1, 7);
		assert_int_equal(buf.len, 1 + (len ? len : 1));
		assert_int_equal(buf.data[buf.len - 1], '7');
		buf_deinit(&buf);
	}
}

static void cstr_ends_with_a_nul_that_is_not_counted(void **state)
{
	struct buf buf = {0};

	(void)state;
	assert_string_equal(buf_cstr(&buf), "");
	buf_printf(&buf, "abc");
	assert_string_equal(buf_cstr(&buf), "abc");
	assert_int_equal(buf.len, 3);
	buf_deinit(&buf);
}

static void bytes_of_an_unused_buffer_are_present(void **state)
{
	struct buf buf = {0};

	(void)state;
	assert_true(bytes_present(buf_bytes(&buf)));
	buf_deinit(&buf);
	buf_deinit(NULL);
}

static void consume_forgets_the_front(void **state)
{
	struct buf buf = {0};

	(void)state;
	buf_consume(&buf, 0);
	buf_printf(&buf, "abcdef");
	buf_consume(&buf, 2);
	assert_string_equal(buf_cstr(&buf), "cdef");
	buf_consume(&buf, 4);
	assert_int_equal(buf.len, 0);
	buf_deinit(&buf);
}

/* RFC 4648, section 10, and the two digits that are no letters. */
static const struct {
	struct bytes plain;
	const char *coded;
} base64[] = {
	{BYTES_LIT(""), ""},
	{BYTES_LIT("f"), "Zg=="},
	{BYTES_LIT("fo"), "Zm8="},
	{BYTES_LIT("foo"), "Zm9v"},
	{BYTES_LIT("foob"), "Zm9vYg=="},
	{BYTES_LIT("fooba"), "Zm9vYmE="},
	{BYTES_LIT("foobar"), "Zm9vYmFy"},
	{BYTES_LIT("\xfb\xff\xbf"), "+/+/"},
	{BYTES_LIT("\0\0\0"), "AAAA"},
	{BYTES_LIT("\xff"), "/w=="},
};

static void base64_is_that_of_rfc_4648(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(base64); i++) {
		struct buf buf = {0};

		buf_append_base64(&buf, base64[i].plain);
		assert_string_equal(buf_cstr(&buf), base64[i].coded);
		buf_reset(&buf);
		assert_true(buf_append_base64_decoded(&buf, bytes_of(base64[i].coded)));
		assert_true(bytes_equal(buf_bytes(&buf), base64[i].plain));
		buf_deinit(&buf);
	}
}

static void what_is_not_base64_appends_nothing(void **state)
{
	static const char *const wrong[] = {
		"Z",    "Zg",   "Zg=",  "=",        "====", "Z===", "Zg==Zg==",         "Zm9v\n",   "Zm 9",
		"Zm9-", "Zm9_", "Z=g=", "Zm8=Zm9v", "Zh==", "Zm9=", "\x80\x80\x80\x80", "Zm9vZm9*",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct buf buf = {0};

		buf_printf(&buf, "kept");
		if (buf_append_base64_decoded(&buf, bytes_of(wrong[i])))
			fail_msg("\"%s\" was taken", wrong[i]);
		assert_string_equal(buf_cstr(&buf), "kept");
		buf_deinit(&buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appended_pieces_stand_one_after_the_other),
		cmocka_unit_test(it_grows_to_whatever_is_appended),
		cmocka_unit_test(printf_that_fills_the_rest_exactly_is_not_cut),
		cmocka_unit_test(cstr_ends_with_a_nul_that_is_not_counted),
		cmocka_unit_test(bytes_of_an_unused_buffer_are_present),
		cmocka_unit_test(consume_forgets_the_front),
		cmocka_unit_test(base64_is_that_of_rfc_4648),
		cmocka_unit_test(what_is_not_base64_appends_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
