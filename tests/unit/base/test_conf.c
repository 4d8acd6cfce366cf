/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void without_anything_the_defaults_hold(void **state)
{
	(void)state;
	conf_rig_run_ok("");
	assert_string_equal(conf_rig.settings.brokers, "127.0.0.1:9092");
	assert_null(conf_rig.settings.config);
	assert_int_equal(conf_rig.settings.queues.len, 1);
	assert_string_equal(conf_rig.settings.queues.items[0], "default");
	assert_int_equal(conf_rig.settings.properties.len, 0);
	assert_int_equal(conf_rig.settings.slots, 8);
	assert_int_equal(conf_rig.settings.grace_ms, 30000);
	assert_int_equal(conf_rig.settings.memory_bytes, 64 << 20);
	assert_true(conf_rig.settings.coefficient > 1.99 && conf_rig.settings.coefficient < 2.01);
	assert_true(conf_rig.settings.topics);
	assert_false(conf_rig.settings.no_color);
	assert_int_equal(conf_rig.settings.format, FORMAT_TEXT);
	assert_int_equal(conf_rig.args.len, 0);
	conf_rig_done();
}

static void flags_are_taken_in_every_common_form(void **state)
{
	(void)state;
	conf_rig_run_ok("-b a:1 --slots=3 --grace 1m -qone --queue two -X a=b,c=d -Xe=f --memory 2g --backoff-coefficient 1.5 -n "
			"--log-format json");
	assert_string_equal(conf_rig.settings.brokers, "a:1");
	assert_int_equal(conf_rig.settings.slots, 3);
	assert_int_equal(conf_rig.settings.grace_ms, 60000);
	assert_int_equal(conf_rig.settings.queues.len, 2);
	assert_string_equal(conf_rig.settings.queues.items[0], "one");
	assert_string_equal(conf_rig.settings.queues.items[1], "two");
	assert_string_equal(conf_rig.settings.properties.items[0], "a=b,c=d");
	assert_string_equal(conf_rig.settings.properties.items[1], "e=f");
	assert_true(conf_rig.settings.memory_bytes == 2LL << 30);
	assert_true(conf_rig.settings.coefficient > 1.49 && conf_rig.settings.coefficient < 1.51);
	assert_true(conf_rig.settings.no_color);
	assert_int_equal(conf_rig.settings.format, FORMAT_JSON);
	conf_rig_done();
	conf_rig_run_ok("-nqone -b a:1 -b a:2");
	assert_true(conf_rig.settings.no_color);
	assert_string_equal(conf_rig.settings.queues.items[0], "one");
	assert_string_equal(conf_rig.settings.brokers, "a:2");
	conf_rig_done();
}

static void a_bool_is_set_and_unset_by_flag(void **state)
{
	static const struct {
		const char *line;
		bool topics, no_color;
	} cases[] = {
		{"--no-topics", false, false},
		{"--no-topics --topics", true, false},
		{"--topics=no", false, false},
		{"--topics=1", true, false},
		{"--no-color", true, true},
		{"--no-color --color", true, false},
		{"-n", true, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		conf_rig_run_ok(cases[i].line);
		assert_int_equal(conf_rig.settings.topics, cases[i].topics);
		assert_int_equal(conf_rig.settings.no_color, cases[i].no_color);
		conf_rig_done();
	}
}

static void arguments_may_stand_anywhere_and_two_dashes_end_the_flags(void **state)
{
	(void)state;
	conf_rig_run_ok("KEY --slots 3");
	assert_int_equal(conf_rig.args.len, 1);
	assert_string_equal(conf_rig.args.items[0], "KEY");
	assert_int_equal(conf_rig.settings.slots, 3);
	conf_rig_done();
	conf_rig_run_ok("--slots 3 -- --slots");
	assert_string_equal(conf_rig.args.items[0], "--slots");
	conf_rig_done();
	conf_rig_run_ok("-");
	assert_string_equal(conf_rig.args.items[0], "-");
	conf_rig_done();
}

static void a_value_may_begin_with_a_dash(void **state)
{
	(void)state;
	conf_rig_run_ok("-b - -X -x");
	assert_string_equal(conf_rig.settings.brokers, "-");
	assert_string_equal(conf_rig.settings.properties.items[0], "-x");
	conf_rig_done();
}

static void a_flag_beats_a_variable_beats_a_file_beats_the_default(void **state)
{
	static const char file[] = "brokers = file\nqueue = file1\nqueue = file2\nslots = 30\n";
	char line[128];

	(void)state;
	conf_rig_write(file, strlen(file));
	snprintf(line, sizeof(line), "--config %s", conf_rig_path());
	conf_rig_run_ok(line);
	assert_string_equal(conf_rig.settings.brokers, "file");
	assert_int_equal(conf_rig.settings.queues.len, 2);
	assert_string_equal(conf_rig.settings.queues.items[1], "file2");
	assert_int_equal(conf_rig.settings.slots, 30);
	assert_int_equal(conf_rig.settings.grace_ms, 30000);
	conf_rig_done();

	setenv("TEST_BROKERS", "env", 1);
	setenv("TEST_QUEUES", " env1  env2\tenv3 ", 1);
	conf_rig_run_ok(line);
	assert_string_equal(conf_rig.settings.brokers, "env");
	assert_int_equal(conf_rig.settings.queues.len, 3);
	assert_string_equal(conf_rig.settings.queues.items[2], "env3");
	assert_int_equal(conf_rig.settings.slots, 30);
	conf_rig_done();

	snprintf(line, sizeof(line), "-b flag -q flag1 --config %s --slots 5", conf_rig_path());
	conf_rig_run_ok(line);
	assert_string_equal(conf_rig.settings.brokers, "flag");
	assert_int_equal(conf_rig.settings.queues.len, 1);
	assert_string_equal(conf_rig.settings.queues.items[0], "flag1");
	assert_int_equal(conf_rig.settings.slots, 5);
	conf_rig_done();
}

static void an_empty_variable_counts_as_not_set(void **state)
{
	(void)state;
	setenv("TEST_BROKERS", "", 1);
	setenv("TEST_SLOTS", "", 1);
	conf_rig_run_ok("");
	assert_string_equal(conf_rig.settings.brokers, "127.0.0.1:9092");
	assert_int_equal(conf_rig.settings.slots, 8);
	conf_rig_done();
}

static void the_file_may_be_named_by_a_variable(void **state)
{
	(void)state;
	conf_rig_write("slots = 9\n", 10);
	setenv("TEST_CONFIG", conf_rig_path(), 1);
	conf_rig_run_ok("");
	assert_int_equal(conf_rig.settings.slots, 9);
	conf_rig_done();
}

static void a_file_has_comments_blank_lines_quotes_and_loose_spacing(void **state)
{
	static const char file[] = "# a comment\n\n   # another\n\tbrokers=\"  a b # c \"\r\n  slots   =   7  \n"
				   "property = debug=broker,topic\nproperty = \"\nno-color = yes\ntopics=off\nmemory = 1g";

	(void)state;
	conf_rig_write(file, strlen(file));
	setenv("TEST_CONFIG", conf_rig_path(), 1);
	conf_rig_run_ok("");
	assert_string_equal(conf_rig.settings.brokers, "  a b # c ");
	assert_int_equal(conf_rig.settings.slots, 7);
	assert_string_equal(conf_rig.settings.properties.items[0], "debug=broker,topic");
	assert_string_equal(conf_rig.settings.properties.items[1], "\"");
	assert_true(conf_rig.settings.no_color);
	assert_false(conf_rig.settings.topics);
	assert_int_equal(conf_rig.settings.memory_bytes, 1 << 30);
	conf_rig_done();
}

static void an_unknown_flag_is_answered_with_the_nearest_one(void **state)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{"--slot 3", "unknown flag --slot; did you mean --slots"},
		{"--slot", "unknown flag --slot; did you mean --slots"},
		{"--slot=3", "unknown flag --slot; did you mean --slots"},
		{"--solts=3", "unknown flag --solts; did you mean --slots"},
		{"--max-slots 3", "unknown flag --max-slots; did you mean --slots"},
		{"--no-topic", "unknown flag --no-topic; did you mean --no-topics"},
		{"--topic", "unknown flag --topic; did you mean --topics"},
		{"--helpp", "unknown flag --helpp; did you mean --help"},
		{"--backoff", "unknown flag --backoff; did you mean --backoff-coefficient"},
		{"--zebra", "unknown flag --zebra"},
		{"--=3", "unknown flag --"},
		{"--slots 3 -z", "unknown flag -z; see prog run --help"},
		{"-nz", "unknown flag -z; see prog run --help"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		conf_rig_refused(cases[i].line, "", cases[i].message);
}

static void a_wrong_value_is_answered_with_what_is_accepted(void **state)
{
	static const struct {
		const char *line, *where, *message;
	} cases[] = {
		{"--slots abc", "--slots", "\"abc\" is not a whole number from 1 to 4096"},
		{"--slots 0", "--slots", "\"0\" is not a whole number from 1 to 4096"},
		{"--slots 4097", "--slots", "\"4097\" is not a whole number from 1 to 4096"},
		{"--slots 3x", "--slots", "\"3x\" is not a whole number from 1 to 4096"},
		{"--slots=", "--slots", "\"\" is not a whole number from 1 to 4096"},
		{"--slots 99999999999999999999", "--slots", "\"99999999999999999999\" is not a whole number from 1 to 4096"},
		{"--grace 30", "--grace", "\"30\" is not a duration from 0 to 1h, such as 500ms, 30s, 5m, 1h, 2d"},
		{"--grace 2h", "--grace", "\"2h\" is not a duration from 0 to 1h, such as 500ms, 30s, 5m, 1h, 2d"},
		{"--memory 1k", "--memory", "\"1k\" is not a size of at least 1m, such as 4096, 64k, 8m, 1g"},
		{"--backoff-coefficient 0.5", "--backoff-coefficient", "\"0.5\" is not a number from 1 to 100"},
		{"--backoff-coefficient nan", "--backoff-coefficient", "\"nan\" is not a number from 1 to 100"},
		{"--topics=maybe", "--topics", "\"maybe\" is not true or false"},
		{"--log-format jsn", "--log-format", "\"jsn\" is not one of text, json; did you mean json"},
		{"--log-format xml", "--log-format", "\"xml\" is not one of text, json"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		conf_rig_refused(cases[i].line, cases[i].where, cases[i].message);
}

static void a_missing_or_needless_value_is_named(void **state)
{
	(void)state;
	conf_rig_refused("--slots", "--slots", "the value is missing: a whole number from 1 to 4096");
	conf_rig_refused("--brokers", "--brokers", "the value is missing: ADDR[,ADDR]...");
	conf_rig_refused("-n -q", "--queue", "the value is missing: QUEUE");
	conf_rig_refused("--log-format", "--log-format", "the value is missing: one of text, json");
	conf_rig_refused("--no-topics=1", "", "--no-topics takes no value");
	conf_rig_refused("--help=all", "", "--help takes no value");
}

static void a_wrong_variable_is_named(void **state)
{
	(void)state;
	setenv("TEST_SLOTS", "many", 1);
	conf_rig_refused("", "TEST_SLOTS", "\"many\" is not a whole number from 1 to 4096");
	conf_rig_run_ok("--slots 3");
	assert_int_equal(conf_rig.settings.slots, 3);
	conf_rig_done();
}

static void a_wrong_line_of_a_file_is_named(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *message;
	} cases[] = {
		{"# x\nslots = 0\n", 2, "slots: \"0\" is not a whole number from 1 to 4096"},
		{"slot = 3", 1, "unknown name slot; did you mean slots"},
		{"Connections = 3", 1, "unknown name Connections"},
		{"--slots = 3", 1, "unknown name --slots; did you mean slots"},
		{"\n\nslots 3", 3, "\"slots 3\" is not \"name = value\" or a # comment"},
		{"config = other", 1, "config cannot be set in a file"},
		{"log-format = xml", 1, "log-format: \"xml\" is not one of text, json"},
		{"= 3", 1, "unknown name "},
	};

	(void)state;
	setenv("TEST_CONFIG", conf_rig_path(), 1);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char where[128];

		conf_rig_write(cases[i].text, strlen(cases[i].text));
		snprintf(where, sizeof(where), "%s:%d", conf_rig_path(), cases[i].line);
		conf_rig_refused("", where, cases[i].message);
	}
}

static void a_nul_in_a_file_is_refused(void **state)
{
	char where[128];

	(void)state;
	conf_rig_write("slots = 3\0\n", 11);
	setenv("TEST_CONFIG", conf_rig_path(), 1);
	snprintf(where, sizeof(where), "%s:1", conf_rig_path());
	conf_rig_refused("", where, "the line contains a NUL");
}

static void a_file_that_is_not_there_is_named(void **state)
{
	(void)state;
	conf_rig_refused("--config no/such", "no/such", "the file cannot be opened: No such file or directory");
	conf_rig_refused("--config /", "/", "the file cannot be read: Is a directory");
}

static void too_many_and_too_few_arguments_are_named(void **state)
{
	(void)state;
	conf_rig_refused("one two", "", "unexpected argument \"two\"; see prog run --help");
	conf_rig_program.min_args = 1;
	conf_rig_refused("", "", "an argument is missing: prog run -q QUEUE... [KEY]");
	conf_rig_program.min_args = 0;
	conf_rig_program.max_args = -1;
	conf_rig_run_ok("one two three");
	assert_int_equal(conf_rig.args.len, 3);
	conf_rig_done();
	conf_rig_program.max_args = 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONF_TEST(without_anything_the_defaults_hold),
		CONF_TEST(flags_are_taken_in_every_common_form),
		CONF_TEST(a_bool_is_set_and_unset_by_flag),
		CONF_TEST(arguments_may_stand_anywhere_and_two_dashes_end_the_flags),
		CONF_TEST(a_value_may_begin_with_a_dash),
		CONF_TEST(a_flag_beats_a_variable_beats_a_file_beats_the_default),
		CONF_TEST(an_empty_variable_counts_as_not_set),
		CONF_TEST(the_file_may_be_named_by_a_variable),
		CONF_TEST(a_file_has_comments_blank_lines_quotes_and_loose_spacing),
		CONF_TEST(an_unknown_flag_is_answered_with_the_nearest_one),
		CONF_TEST(a_wrong_value_is_answered_with_what_is_accepted),
		CONF_TEST(a_missing_or_needless_value_is_named),
		CONF_TEST(a_wrong_variable_is_named),
		CONF_TEST(a_wrong_line_of_a_file_is_named),
		CONF_TEST(a_nul_in_a_file_is_refused),
		CONF_TEST(a_file_that_is_not_there_is_named),
		CONF_TEST(too_many_and_too_few_arguments_are_named),
	};

	return cmocka_run_group_tests(tests, conf_rig_begin, conf_rig_end);
}
