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

static const char help_text[] =
	"Usage: prog run [OPTION]... -q QUEUE... [KEY]\n"
	"\n"
	"Runs the activities of task queues.\n"
	"\n"
	"Connections:\n"
	"  -b, --brokers ADDR[,ADDR]...  Kafka brokers to start from. [default 127.0.0.1:9092; $TEST_BROKERS]\n"
	"  -X, --property NAME=VALUE     A property for librdkafka, passed through. [may repeat;\n"
	"                                $TEST_PROPERTIES]\n"
	"      --config FILE             Read options from FILE. [$TEST_CONFIG]\n"
	"\n"
	"Work:\n"
	"  -q, --queue QUEUE             Task queue to work on. [may repeat; default default; $TEST_QUEUES]\n"
	"      --slots N                 Attempts that run at the same time. More slots need more memory:\n"
	"                                each is a process of its own. [1 to 4096; default 8; $TEST_SLOTS]\n"
	"      --grace DURATION          How long running activities may go on after SIGTERM. [0 to 1h;\n"
	"                                default 30s]\n"
	"      --memory SIZE             Memory budget. [at least 1m; default 64m]\n"
	"      --backoff-coefficient NUMBER\n"
	"                                Factor between two intervals. [1 to 100; default 2.0]\n"
	"      --[no-]topics             Create topics. [default on; $TEST_TOPICS]\n"
	"  -n, --no-color                Plain output.\n"
	"      --log-format text|json    How log lines look. [default text; $TEST_LOG_FORMAT]\n"
	"\n"
	"Help:\n"
	"  -h, --help                    Show this help and exit.\n"
	"      --version                 Show the version and exit.\n"
	"\n"
	"Exit codes:\n"
	"  0  drained\n"
	"  2  usage\n";

static void help_shows_groups_defaults_ranges_and_variables(void **state)
{
	(void)state;
	assert_string_equal(conf_rig_output("--help"), help_text);
	assert_int_equal(conf_rig.exit, 0);
	assert_string_equal(conf_rig_output("--slots 3 -h --zebra"), help_text);
	assert_int_equal(conf_rig.exit, 0);
}

static void help_wraps_at_the_width_of_the_screen(void **state)
{
	static const size_t widths[] = {60, 80, 100};

	(void)state;
	for (size_t i = 0; i < COUNT(widths); i++) {
		struct buf help = {0};
		size_t widest = 0;

		conf_describe_help(&conf_rig_program, widths[i], false, &help);
		for (const char *p = buf_cstr(&help); *p; p += strcspn(p, "\n") + 1)
			if (strcspn(p, "\n") > widest)
				widest = strcspn(p, "\n");
		assert_in_range(widest, widths[i] - 12, widths[i]);
		buf_deinit(&help);
	}
}

static void headings_are_bold_on_a_terminal_only(void **state)
{
	struct buf bold = {0}, plain = {0};

	(void)state;
	conf_describe_help(&conf_rig_program, 80, true, &bold);
	conf_describe_help(&conf_rig_program, 80, false, &plain);
	assert_non_null(strstr(buf_cstr(&bold), "\033[1mWork:\033[0m\n"));
	assert_null(strchr(buf_cstr(&plain), '\033'));
	buf_deinit(&bold);
	buf_deinit(&plain);
}

static void version_names_program_and_version(void **state)
{
	char expected[64];

	(void)state;
	snprintf(expected, sizeof(expected), "prog run %s\n", mr_version());
	assert_string_equal(conf_rig_output("--version"), expected);
	assert_int_equal(conf_rig.exit, 0);
}

static void the_table_becomes_markdown(void **state)
{
	struct buf text = {0};

	(void)state;
	conf_describe_markdown(&conf_rig_program, &text);
	const char *page = buf_cstr(&text);
	assert_ptr_equal(strstr(page, "### Connections\n\n| flag | variable | default | meaning |\n|---|---|---|---|\n"), page);
	assert_non_null(strstr(page, "\n\n### Work\n\n| flag |"));
	assert_non_null(strstr(page, "| `--grace DURATION` |  | `30s` | How long running activities may go on after SIGTERM. "
				     "Range: 0 to 1h. |\n"));
	assert_non_null(
		strstr(page, "| `-q, --queue QUEUE` | `TEST_QUEUES` | `default` | Task queue to work on. May repeat. |\n"));
	assert_non_null(strstr(page, "| `--log-format text\\|json` | `TEST_LOG_FORMAT` | `text` | How log lines look. |\n"));
	buf_deinit(&text);
}

static void the_page_of_the_docs_is_printed_on_request(void **state)
{
	struct buf text = {0};

	(void)state;
	conf_describe_markdown(&conf_rig_program, &text);
	assert_string_equal(conf_rig_output("--help-markdown"), buf_cstr(&text));
	assert_int_equal(conf_rig.exit, 0);
	buf_deinit(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONF_TEST(help_shows_groups_defaults_ranges_and_variables),
		CONF_TEST(help_wraps_at_the_width_of_the_screen),
		CONF_TEST(headings_are_bold_on_a_terminal_only),
		CONF_TEST(version_names_program_and_version),
		CONF_TEST(the_table_becomes_markdown),
		CONF_TEST(the_page_of_the_docs_is_printed_on_request),
	};

	return cmocka_run_group_tests(tests, conf_rig_begin, conf_rig_end);
}
