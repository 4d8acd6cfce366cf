/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "wire/json_leaf.h"
#include "wire/json_scan.h"
#include "wire/wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const valid[] = {
	"0",
	"-0",
	"1.5e+10",
	"-12.25E-3",
	"1e999",
	"123456789012345678901234567890",
	"true",
	"false",
	"null",
	"\"\"",
	"\"a\\n\"",
	"\"\\u0000\"",
	"\"ä€😀\"",
	"\"\\ud83d\\ude00\"",
	"[]",
	"{}",
	"[1, 2]",
	" [ ] ",
	"{\"a\":1}",
	"{ \"a\" : [ { } , null ] }",
	"{\"a\":1,\"a\":2}",
	"[[[[]]]]",
	"\t\r\n 1 \n",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	"\"\x7f\"",
	"{\"\":{}}",
	"[{\"a\":[]},[{}]]",
};
static const char *const invalid[] = {
	"",        " ",         "{",           "}",        "[",         "]",         "[1",           "[1,",
	"[1,]",    "[,1]",      "{\"a\"}",     "{\"a\":}", "{\"a\":1",  "{\"a\":1,", "{\"a\":1,}",   "{a:1}",
	"{1:1}",   "01",        "1.",          ".5",       "-",         "+1",        "1e",           "1e+",
	"0x1",     "nul",       "nulll",       "True",     "'a'",       "\"",        "\"a",          "\"\\",
	"\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\n\"",   "\"\t\"",    "\"\xff\"",  "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
	"1 2",     "[1 2]",     "{} {}",       "[1]]",     "[}",        "{]",        "{\"a\" 1}",    "\xef\xbb\xbf[]",
	"NaN",     "Infinity",  "/**/1",       "[1}",      "{\"a\":[}",
};

static void json_is_what_the_rfc_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++)
		if (!wire_is_json(bytes_of(valid[i])))
			fail_msg("refused: %s", valid[i]);
	for (size_t i = 0; i < COUNT(invalid); i++)
		if (wire_is_json(bytes_of(invalid[i])))
			fail_msg("accepted: %s", invalid[i]);
	assert_false(wire_is_json(BYTES_NONE));
	assert_false(wire_is_json(BYTES_LIT("\"a\0b\"")));
}

/* jansson refuses some values that are JSON (numbers beyond its range, lone surrogates); what it accepts, the scan must accept.
 */
static void whatever_jansson_reads_is_json(void **state)
{
	static const char alphabet[] = "{}[]:,\"\\u019aeE+-.truefalsnl \n\x01\xc3\xa4";
	unsigned seed = 3;

	(void)state;
	for (int round = 0; round < 300000; round++) {
		char text[12];
		size_t len = (size_t)rand_r(&seed) % sizeof(text);

		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		if (json && !wire_is_json((struct bytes){text, len}))
			fail_msg("refused: %.*s", (int)len, text);
		json_decref(json);
	}
}

/* In both directions where jansson has no limits of its own: mutations of values without numbers and escapes. */
static void what_is_json_jansson_reads(void **state)
{
	static const char alphabet[] = "{}[]:,\"atrue ";
	unsigned seed = 5;

	(void)state;
	for (int round = 0; round < 300000; round++) {
		char text[10];
		size_t len = (size_t)rand_r(&seed) % sizeof(text);

		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		json_t *json = json_loadb(text, len, JSON_DECODE_ANY, NULL);
		assert_int_equal(json != NULL, wire_is_json((struct bytes){text, len}));
		json_decref(json);
	}
}

static char *nested(size_t depth, char open, size_t *ret_len)
{
	char *text = malloc(2 * depth);

	memset(text, open, depth);
	memset(text + depth, open == '[' ? ']' : '}', depth);
	*ret_len = 2 * depth;
	return text;
}

static void depth_is_bounded_without_recursion(void **state)
{
	static const struct {
		size_t depth;
		bool ok;
	} rows[] = {{1, true}, {JSON_DEPTH_MAX, true}, {JSON_DEPTH_MAX + 1, false}, {100000, false}, {10000000, false}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len;
		char *text = nested(rows[i].depth, '[', &len);

		assert_int_equal(wire_is_json((struct bytes){text, len}), rows[i].ok);
		free(text);
	}
}

static void strings_are_escaped_and_repaired(void **state)
{
	static const struct {
		struct bytes text;
		const char *json;
	} rows[] = {
		{{"", 0}, "\"\""},
		{{"a\"b\\c/", 6}, "\"a\\\"b\\\\c/\""},
		{{"\b\t\n\v\f\r", 6}, "\"\\b\\t\\n\\u000b\\f\\r\""},
		{{"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\\u007f\""},
		{{"ä€😀", 9}, "\"ä€😀\""},
		{{"a\xff\xc3", 3}, "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = {0};

		wire_append_json_string(&out, rows[i].text);
		assert_string_equal(buf_cstr(&out), rows[i].json);
		assert_true(wire_is_json(buf_bytes(&out)));
		buf_deinit(&out);
	}
}

static void numbers_are_read_exactly_or_not_at_all(void **state)
{
	int64_t value;
	double real;

	(void)state;
	assert_true(json_leaf_int(BYTES_LIT("9223372036854775807"), &value) && value == INT64_MAX);
	assert_true(json_leaf_int(BYTES_LIT("-9223372036854775808"), &value) && value == INT64_MIN);
	assert_true(json_leaf_int(BYTES_LIT("-0"), &value) && value == 0);
	static const char *const none[] = {
		"9223372036854775808", "-9223372036854775809", "1.0", "1e3", "\"1\"", "null", "-", "true"};
	for (size_t i = 0; i < COUNT(none); i++)
		assert_false(json_leaf_int(bytes_of(none[i]), &value));
	assert_true(json_leaf_double(BYTES_LIT("2"), &real) && real == 2.0);
	assert_true(json_leaf_double(BYTES_LIT("1.5e1"), &real) && real == 15.0);
	assert_false(json_leaf_double(BYTES_LIT("1e999"), &real));
	assert_false(json_leaf_double(BYTES_LIT("\"2\""), &real));
}

static void doubles_are_written_short_and_exact(void **state)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {
		{0, "0.0"},        {2, "2.0"},       {0.1, "0.1"}, {1.5, "1.5"}, {1.0 / 3, "0.3333333333333333"},
		{1e300, "1e+300"}, {-0.25, "-0.25"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = {0};

		json_append_double(&out, rows[i].value);
		assert_string_equal(buf_cstr(&out), rows[i].text);
		buf_deinit(&out);
	}
}

static void integers_are_written_to_their_ends(void **state)
{
	struct buf out = {0};

	(void)state;
	json_append_int(&out, INT64_MIN);
	buf_append_char(&out, ' ');
	json_append_int(&out, INT64_MAX);
	buf_append_char(&out, ' ');
	json_append_int(&out, 0);
	assert_string_equal(buf_cstr(&out), "-9223372036854775808 9223372036854775807 0");
	buf_deinit(&out);
}

static void valid_text_is_utf8_without_nul_at_every_length(void **state)
{
	(void)state;
	for (size_t len = 0; len < 40; len++) {
		char text[40];

		memset(text, 'a', sizeof(text));
		assert_true(text_is_valid((struct bytes){text, len}));
		for (size_t i = 0; i < len; i++) {
			text[i] = '\0';
			assert_false(text_is_valid((struct bytes){text, len}));
			text[i] = (char)0xff;
			assert_false(text_is_valid((struct bytes){text, len}));
			text[i] = (char)0xc3;
			if (i + 1 < len) {
				text[i + 1] = (char)0xa4;
				assert_true(text_is_valid((struct bytes){text, len}));
				text[i + 1] = 'a';
			}
			assert_false(text_is_valid((struct bytes){text, len}));
			text[i] = 'a';
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_what_the_rfc_says),
		cmocka_unit_test(whatever_jansson_reads_is_json),
		cmocka_unit_test(what_is_json_jansson_reads),
		cmocka_unit_test(depth_is_bounded_without_recursion),
		cmocka_unit_test(strings_are_escaped_and_repaired),
		cmocka_unit_test(numbers_are_read_exactly_or_not_at_all),
		cmocka_unit_test(doubles_are_written_short_and_exact),
		cmocka_unit_test(integers_are_written_to_their_ends),
		cmocka_unit_test(valid_text_is_utf8_without_nul_at_every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
