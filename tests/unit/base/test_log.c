/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TIME_LEN (sizeof("2025-01-31T23:59:59.999Z") - 1)

static char written[8192];
static int former_stderr, capture[2];

static void capture_begin(void)
{
	fflush(stderr);
	former_stderr = dup(STDERR_FILENO);
	/* Packets: one read returns what one write wrote. */
	assert_int_equal(pipe2(capture, O_DIRECT | O_NONBLOCK), 0);
	dup2(capture[1], STDERR_FILENO);
	close(capture[1]);
}

/* Returns what the first write wrote ("" where there was none); *ret_writes counts them. */
static const char *capture_end(int *ret_writes)
{
	char more[8192];

	dup2(former_stderr, STDERR_FILENO);
	close(former_stderr);
	*ret_writes = 0;
	ssize_t n = read(capture[0], written, sizeof(written) - 1);
	written[n > 0 ? n : 0] = '\0';
	while (n > 0) {
		(*ret_writes)++;
		n = read(capture[0], more, sizeof(more));
	}
	close(capture[0]);
	return written;
}

static const char *line_of(enum log_format format, struct log_field field)
{
	int writes;

	log_setup("prog", LOG_INFO, format);
	capture_begin();
	log_info("it is", field);
	const char *line = capture_end(&writes);
	assert_int_equal(writes, 1);
	assert_true(strlen(line) > 0 && strchr(line, '\n') == line + strlen(line) - 1);
	return line;
}

static void a_text_line_has_time_level_program_message_and_fields(void **state)
{
	int writes;

	(void)state;
	log_setup("millrace-worker", LOG_INFO, LOG_TEXT);
	capture_begin();
	log_warn("worker ready", LOG_S("queue", "default"), LOG_I("slots", -8), LOG_B("key", BYTES_LIT("a/b")));
	const char *line = capture_end(&writes);
	assert_int_equal(writes, 1);
	assert_string_equal(line + TIME_LEN, " warn  millrace-worker: worker ready queue=default slots=-8 key=a/b\n");
	assert_int_equal(line[10], 'T');
	assert_int_equal(line[19], '.');
	assert_int_equal(line[TIME_LEN - 1], 'Z');
}

static void a_json_line_is_one_object(void **state)
{
	int writes;

	(void)state;
	log_setup("millrace-worker", LOG_DEBUG, LOG_JSON);
	capture_begin();
	log_debug("worker ready", LOG_S("queue", "default"), LOG_I("slots", 8), LOG_S("node", NULL));
	json_t *json = json_loads(capture_end(&writes), JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(writes, 1);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "level")), "debug");
	assert_string_equal(json_string_value(json_object_get(json, "program")), "millrace-worker");
	assert_string_equal(json_string_value(json_object_get(json, "message")), "worker ready");
	assert_string_equal(json_string_value(json_object_get(json, "queue")), "default");
	assert_int_equal(json_integer_value(json_object_get(json, "slots")), 8);
	assert_true(json_is_null(json_object_get(json, "node")));
	assert_int_equal(json_string_length(json_object_get(json, "time")), TIME_LEN);
	json_decref(json);
}

static const struct {
	struct bytes value;
	const char *text; /* behind "v=" */
	const char *json; /* the string that a reader gets */
} values[] = {
	{BYTES_LIT("plain-1.2:3/4"), "plain-1.2:3/4", "plain-1.2:3/4"},
	{BYTES_LIT(""), "\"\"", ""},
	{BYTES_LIT("-"), "\"-\"", "-"}, /* unlike an absent value */
	{BYTES_LIT("two words"), "\"two words\"", "two words"},
	{BYTES_LIT("a=b"), "\"a=b\"", "a=b"},
	{BYTES_LIT("say \"x\" \\ y"), "\"say \\\"x\\\" \\\\ y\"", "say \"x\" \\ y"},
	{BYTES_LIT("forged\n2025 info"), "\"forged\\n2025 info\"", "forged\n2025 info"},
	{BYTES_LIT("\t\r"), "\"\\t\\u000d\"", "\t\r"},
	{BYTES_LIT("a\0b"), "\"a\\u0000b\"", NULL},
	{BYTES_LIT("\x1b[31m"), "\"\\u001b[31m\"", "\x1b[31m"},
	{BYTES_LIT("\x7f"), "\"\\u007f\"", "\x7f"},
	{BYTES_LIT("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"", "gr\xc3\xbc\xc3\x9f"},
	{BYTES_LIT("\xc2\x85"), "\"\\u0085\"", "\xc2\x85"},         /* NEL, a C1 control */
	{BYTES_LIT("\xe2\x80\xa8"), "\"\\u2028\"", "\xe2\x80\xa8"}, /* line separator */
	{BYTES_LIT("\xe2\x80\xae"
		   "abc"),
	 "\"\\u202eabc\"",
	 "\xe2\x80\xae"
	 "abc"},                                                 /* right-to-left override */
	{BYTES_LIT("\xff\xfe"), "\"\\xff\\xfe\"", "\\xff\\xfe"}, /* no UTF-8 */
	{BYTES_LIT("\xc3("), "\"\\xc3(\"", "\\xc3("},
	{BYTES_LIT("\xf0\x9f\x92\xb6"), "\"\xf0\x9f\x92\xb6\"", "\xf0\x9f\x92\xb6"},
};

static void text_values_are_quoted_and_escaped_where_they_could_mislead(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		char expected[256];

		snprintf(expected, sizeof(expected), " info  prog: it is v=%s\n", values[i].text);
		assert_string_equal(line_of(LOG_TEXT, LOG_B("v", values[i].value)) + TIME_LEN, expected);
	}
	assert_string_equal(line_of(LOG_TEXT, LOG_B("v", BYTES_NONE)) + TIME_LEN, " info  prog: it is v=-\n");
}

static void json_values_come_back_as_they_were(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		json_t *json = json_loads(line_of(LOG_JSON, LOG_B("v", values[i].value)), JSON_ALLOW_NUL, NULL);
		const json_t *v = json_object_get(json, "v");

		assert_non_null(v);
		if (values[i].json)
			assert_string_equal(json_string_value(v), values[i].json);
		else
			assert_memory_equal(json_string_value(v), values[i].value.data, values[i].value.len);
		json_decref(json);
	}
}

static void a_long_value_is_cut_between_characters(void **state)
{
	char text[3001];

	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x92\xb6", 5);
		json_t *json = json_loads(line_of(LOG_JSON, LOG_S("v", text)), 0, NULL);
		assert_non_null(json);
		const char *value = json_string_value(json_object_get(json, "v"));
		assert_in_range(strlen(value), 1000, 1027);
		assert_string_equal(value + strlen(value) - 3, "...");
		assert_null(strstr(value, "\\x"));
		json_decref(json);
	}
}

static void fields_that_do_not_fit_are_left_out_and_the_line_says_so(void **state)
{
	char text[1025];
	int writes;

	(void)state;
	memset(text, '\1', sizeof(text) - 1); /* six bytes each when escaped */
	text[sizeof(text) - 1] = '\0';
	for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
		log_setup("prog", LOG_INFO, (enum log_format)format);
		capture_begin();
		log_info("big", LOG_I("first", 1), LOG_S("huge", text), LOG_I("last", 2));
		const char *line = capture_end(&writes);
		assert_int_equal(writes, 1);
		assert_true(strlen(line) <= 4096);
		assert_non_null(strstr(line, "first"));
		assert_null(strstr(line, "huge"));
		assert_non_null(strstr(line, format == LOG_JSON ? ",\"cut\":true}\n" : " cut=true\n"));
	}
}

static void levels_below_the_chosen_one_are_not_written(void **state)
{
	int writes;

	(void)state;
	log_setup("prog", LOG_WARN, LOG_TEXT);
	capture_begin();
	log_debug("no");
	log_info("no", LOG_I("n", 1));
	capture_end(&writes);
	assert_int_equal(writes, 0);
	assert_true(log_enabled(LOG_ERROR));
	assert_false(log_enabled(LOG_INFO));
}

static void logging_leaves_errno_alone_even_when_it_fails(void **state)
{
	int former = dup(STDERR_FILENO);

	(void)state;
	log_setup("prog", LOG_INFO, LOG_TEXT);
	close(STDERR_FILENO);
	errno = EBUSY;
	log_info("x");
	int after = errno;
	dup2(former, STDERR_FILENO);
	close(former);
	assert_int_equal(after, EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_line_has_time_level_program_message_and_fields),
		cmocka_unit_test(a_json_line_is_one_object),
		cmocka_unit_test(text_values_are_quoted_and_escaped_where_they_could_mislead),
		cmocka_unit_test(json_values_come_back_as_they_were),
		cmocka_unit_test(a_long_value_is_cut_between_characters),
		cmocka_unit_test(fields_that_do_not_fit_are_left_out_and_the_line_says_so),
		cmocka_unit_test(levels_below_the_chosen_one_are_not_written),
		cmocka_unit_test(logging_leaves_errno_alone_even_when_it_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
