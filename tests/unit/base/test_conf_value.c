/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/conf.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct quantity {
	const char *text;
	int64_t value;
};

static void durations_are_understood(void **state)
{
	static const struct quantity cases[] = {
		{"0", 0},
		{"0s", 0},
		{"1ms", 1},
		{"500ms", 500},
		{"30s", 30000},
		{"5m", 300000},
		{"1h", 3600000},
		{"2d", 172800000},
		{"1h30m", 5400000},
		{"1d2h3m4s5ms", 93784005},
		{"1.5s", 1500},
		{"0.25h", 900000},
		{"1.0000000s", 1000},
		{"1.5h1.5s", 5401500},
		{"106751991167d", 9223372036828800000},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t ms = -1;

		if (!conf_duration_parse(cases[i].text, &ms) || ms != cases[i].value)
			fail_msg("%s: %lld", cases[i].text, (long long)ms);
	}
}

static void a_duration_without_unit_is_refused(void **state)
{
	int64_t ms = 7;

	(void)state;
	assert_false(conf_duration_parse("30", &ms));
	assert_false(conf_duration_parse("1h30", &ms));
	assert_int_equal(ms, 7);
}

static void what_is_no_duration_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"s",
		"-1s",
		"+1s",
		" 1s",
		"1s ",
		"1 s",
		"1S",
		"1x",
		"1sec",
		"1.s",
		".5s",
		"0.5ms",
		"1.0005s",
		"1m1h",
		"1s1s",
		"1e3s",
		"0x1s",
		"00",
		"1..5s",
		"1,5s",
		"1.5.5s",
		"infinity",
		"1us",
		"1mss",
		"106751991168d",
		"9223372036854775808ms",
		"106751991167d1d",
		"99999999999999999999s",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t ms = 7;

		if (conf_duration_parse(cases[i], &ms))
			fail_msg("\"%s\" was taken", cases[i]);
		assert_int_equal(ms, 7);
	}
}

static void a_duration_is_printed_in_its_largest_whole_unit(void **state)
{
	static const struct quantity cases[] = {
		{"0", 0},         {"1ms", 1},     {"1s", 1000},    {"90s", 90000},
		{"1500ms", 1500}, {"5m", 300000}, {"1h", 3600000}, {"2d", 172800000},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf buf = {0};

		conf_duration_print(&buf, cases[i].value);
		assert_string_equal(buf_cstr(&buf), cases[i].text);
		buf_deinit(&buf);
	}
}

static void sizes_are_understood(void **state)
{
	static const struct quantity cases[] = {
		{"0", 0},           {"1048576", 1048576},  {"64k", 65536},
		{"64K", 65536},     {"64KiB", 65536},      {"8m", 8388608},
		{"1g", 1073741824}, {"2t", 2199023255552}, {"8388607t", 8388607LL << 40},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t bytes = -1;

		if (!conf_bytes_parse(cases[i].text, &bytes) || bytes != cases[i].value)
			fail_msg("%s: %lld", cases[i].text, (long long)bytes);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const cases[] = {
		"",    "k",    "-1", "+1",    " 1",  "1 ",   "1 k",      "1kb",
		"1kk", "1.5k", "1x", "1KiBs", "1iB", "0x10", "8388608t", "9223372036854775808",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t bytes = 7;

		if (conf_bytes_parse(cases[i], &bytes))
			fail_msg("\"%s\" was taken", cases[i]);
		assert_int_equal(bytes, 7);
	}
}

static void a_slip_is_answered_with_the_nearest_name(void **state)
{
	static const char *const names[] = {"slots", "grace", "start-to-close", "heartbeat-timeout", "maximum_attempts", "queue"};
	static const struct {
		const char *word;
		const char *nearest;
	} cases[] = {
		{"slots", "slots"},
		{"slot", "slots"},
		{"solts", "slots"},
		{"slotss", "slots"},
		{"sluts", "slots"},
		{"garce", "grace"},
		{"start_to_close", "start-to-close"},
		{"start", "start-to-close"},
		{"max_attempts", "maximum_attempts"},
		{"timeout", "heartbeat-timeout"},
		{"queues", "queue"},
		{"task-queue", "queue"},
		{"x", NULL},
		{"", NULL},
		{"zebra", NULL},
		{"st", NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *nearest = conf_nearest(cases[i].word, names, COUNT(names));

		if (cases[i].nearest ? !nearest || strcmp(nearest, cases[i].nearest) != 0 : nearest != NULL)
			fail_msg("%s: %s", cases[i].word, nearest ? nearest : "nothing");
	}
	assert_null(conf_nearest("slots", names, 0));
	assert_string_equal(conf_nearest("grade", (const char *const[]){"grate", "grave"}, 2), "grate");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_understood),
		cmocka_unit_test(a_duration_without_unit_is_refused),
		cmocka_unit_test(what_is_no_duration_is_refused),
		cmocka_unit_test(a_duration_is_printed_in_its_largest_whole_unit),
		cmocka_unit_test(sizes_are_understood),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(a_slip_is_answered_with_the_nearest_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
