/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/conf.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ARGS_MAX 32

enum format { FORMAT_TEXT, FORMAT_JSON };

struct settings {
	const char *before; /* not in the table: must stay untouched */
	const char *brokers;
	const char *config;
	struct conf_list queues;
	struct conf_list properties;
	int64_t slots;
	int64_t grace_ms;
	int64_t memory_bytes;
	double coefficient;
	bool topics;
	bool no_color;
	int format;
};

#define AT(member) .offset = offsetof(struct settings, member)

static const struct conf_option options[] = {
	{.kind = CONF_GROUP, .name = "Connections"},
	{.kind = CONF_STRING,
	 .name = "brokers",
	 .letter = 'b',
	 .env = "TEST_BROKERS",
	 .arg = "ADDR[,ADDR]...",
	 .def = "127.0.0.1:9092",
	 AT(brokers),
	 .help = "Kafka brokers to start from."},
	{.kind = CONF_LIST,
	 .name = "property",
	 .letter = 'X',
	 .arg = "NAME=VALUE",
	 .env = "TEST_PROPERTIES",
	 AT(properties),
	 .help = "A property for librdkafka, passed through."},
	{.kind = CONF_STRING,
	 .name = "config",
	 .env = "TEST_CONFIG",
	 .arg = "FILE",
	 AT(config),
	 .help = "Read options from FILE."},
	{.kind = CONF_GROUP, .name = "Work"},
	{.kind = CONF_LIST,
	 .name = "queue",
	 .letter = 'q',
	 .arg = "QUEUE",
	 .env = "TEST_QUEUES",
	 .def = "default",
	 AT(queues),
	 .help = "Task queue to work on."},
	{.kind = CONF_INT,
	 .name = "slots",
	 .env = "TEST_SLOTS",
	 .min = 1,
	 .max = 4096,
	 .def = "8",
	 AT(slots),
	 .help = "Attempts that run at the same time. More slots need more memory: each is a process of its own."},
	{.kind = CONF_DURATION,
	 .name = "grace",
	 .min = 0,
	 .max = 3600000,
	 .def = "30s",
	 AT(grace_ms),
	 .help = "How long running activities may go on after SIGTERM."},
	{.kind = CONF_BYTES,
	 .name = "memory",
	 .min = 1 << 20,
	 .max = 9e18,
	 .def = "64m",
	 AT(memory_bytes),
	 .help = "Memory budget."},
	{.kind = CONF_DOUBLE,
	 .name = "backoff-coefficient",
	 .min = 1,
	 .max = 100,
	 .def = "2.0",
	 AT(coefficient),
	 .help = "Factor between two intervals."},
	{.kind = CONF_BOOL, .name = "topics", .env = "TEST_TOPICS", .def = "true", AT(topics), .help = "Create topics."},
	{.kind = CONF_BOOL, .name = "no-color", .letter = 'n', AT(no_color), .help = "Plain output."},
	{.kind = CONF_ENUM,
	 .name = "log-format",
	 .choices = "text|json",
	 .def = "text",
	 .env = "TEST_LOG_FORMAT",
	 AT(format),
	 .help = "How log lines look."},
	CONF_END,
};

static struct conf_program program = {
	.name = "prog run",
	.usage = "-q QUEUE... [KEY]",
	.purpose = "Runs the activities of task queues.",
	.epilog = "Exit codes:\n  0  drained\n  2  usage",
	.options = options,
	.min_args = 0,
	.max_args = 1,
	.file_option = "config",
};

/* What the last call of run() gave. */
static struct {
	struct settings settings;
	struct conf_list args;
	int exit;
	struct mr_error err;
	char line[512];
	char *argv[ARGS_MAX];
} got;

/* Runs the parser over `line`, split at blanks. */
static enum mr_status run(const char *line)
{
	int argc = 0;

	memset(&got, 0x55, sizeof(got));
	got.settings.before = "kept";
	snprintf(got.line, sizeof(got.line), "prog %s", line);
	char *rest = got.line, *word;
	while ((word = strsep(&rest, " ")))
		if (*word)
			got.argv[argc++] = word;
	got.argv[argc] = NULL;
	return conf_parse(&program, argc, got.argv, &got.settings, &got.args, &got.exit, &got.err);
}

static void done(void)
{
	conf_deinit(&program, &got.settings);
}

static void run_ok(const char *line)
{
	enum mr_status status = run(line);

	if (status != MR_OK)
		fail_msg("%s: %s: %s", line, got.err.where, got.err.message);
	assert_int_equal(got.exit, -1);
	assert_string_equal(got.settings.before, "kept");
}

static void expect_error(const char *line, const char *where, const char *message)
{
	if (run(line) != MR_EINVAL)
		fail_msg("\"%s\" was taken", line);
	assert_int_equal(got.err.code, MR_EINVAL);
	assert_string_equal(got.err.message, message);
	assert_string_equal(got.err.where, where);
	assert_null(strchr(got.err.message, '\n'));
	assert_null(got.settings.brokers);
}

static const char *config_path(void)
{
	static char path[64];

	snprintf(path, sizeof(path), "test_conf.%d.conf", (int)getpid());
	return path;
}

static void config_write(const char *text, size_t len)
{
	FILE *file = fopen(config_path(), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
}

static int clean(void **state)
{
	(void)state;
	for (const struct conf_option *option = options; option->name; option++)
		if (option->env)
			unsetenv(option->env);
	unlink(config_path());
	return 0;
}

static int scratch_folder(void **state)
{
	static char folder[] = "/tmp/test_conf.XXXXXX";

	*state = folder;
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int scratch_folder_remove(void **state)
{
	return rmdir(*state);
}

static void without_anything_the_defaults_hold(void **state)
{
	(void)state;
	run_ok("");
	assert_string_equal(got.settings.brokers, "127.0.0.1:9092");
	assert_null(got.settings.config);
	assert_int_equal(got.settings.queues.len, 1);
	assert_string_equal(got.settings.queues.items[0], "default");
	assert_int_equal(got.settings.properties.len, 0);
	assert_int_equal(got.settings.slots, 8);
	assert_int_equal(got.settings.grace_ms, 30000);
	assert_int_equal(got.settings.memory_bytes, 64 << 20);
	assert_true(got.settings.coefficient > 1.99 && got.settings.coefficient < 2.01);
	assert_true(got.settings.topics);
	assert_false(got.settings.no_color);
	assert_int_equal(got.settings.format, FORMAT_TEXT);
	assert_int_equal(got.args.len, 0);
	done();
}

static void flags_are_taken_in_every_common_form(void **state)
{
	(void)state;
	run_ok("-b a:1 --slots=3 --grace 1m -qone --queue two -X a=b,c=d -Xe=f --memory 2g --backoff-coefficient 1.5 -n "
	       "--log-format json");
	assert_string_equal(got.settings.brokers, "a:1");
	assert_int_equal(got.settings.slots, 3);
	assert_int_equal(got.settings.grace_ms, 60000);
	assert_int_equal(got.settings.queues.len, 2);
	assert_string_equal(got.settings.queues.items[0], "one");
	assert_string_equal(got.settings.queues.items[1], "two");
	assert_string_equal(got.settings.properties.items[0], "a=b,c=d");
	assert_string_equal(got.settings.properties.items[1], "e=f");
	assert_true(got.settings.memory_bytes == 2LL << 30);
	assert_true(got.settings.coefficient > 1.49 && got.settings.coefficient < 1.51);
	assert_true(got.settings.no_color);
	assert_int_equal(got.settings.format, FORMAT_JSON);
	done();
	run_ok("-nqone -b a:1 -b a:2");
	assert_true(got.settings.no_color);
	assert_string_equal(got.settings.queues.items[0], "one");
	assert_string_equal(got.settings.brokers, "a:2");
	done();
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
		run_ok(cases[i].line);
		assert_int_equal(got.settings.topics, cases[i].topics);
		assert_int_equal(got.settings.no_color, cases[i].no_color);
		done();
	}
}

static void arguments_may_stand_anywhere_and_two_dashes_end_the_flags(void **state)
{
	(void)state;
	run_ok("KEY --slots 3");
	assert_int_equal(got.args.len, 1);
	assert_string_equal(got.args.items[0], "KEY");
	assert_int_equal(got.settings.slots, 3);
	done();
	run_ok("--slots 3 -- --slots");
	assert_string_equal(got.args.items[0], "--slots");
	done();
	run_ok("-");
	assert_string_equal(got.args.items[0], "-");
	done();
}

static void a_value_may_begin_with_a_dash(void **state)
{
	(void)state;
	run_ok("-b - -X -x");
	assert_string_equal(got.settings.brokers, "-");
	assert_string_equal(got.settings.properties.items[0], "-x");
	done();
}

static void a_flag_beats_a_variable_beats_a_file_beats_the_default(void **state)
{
	static const char file[] = "brokers = file\nqueue = file1\nqueue = file2\nslots = 30\n";
	char line[128];

	(void)state;
	config_write(file, strlen(file));
	snprintf(line, sizeof(line), "--config %s", config_path());
	run_ok(line);
	assert_string_equal(got.settings.brokers, "file");
	assert_int_equal(got.settings.queues.len, 2);
	assert_string_equal(got.settings.queues.items[1], "file2");
	assert_int_equal(got.settings.slots, 30);
	assert_int_equal(got.settings.grace_ms, 30000);
	done();

	setenv("TEST_BROKERS", "env", 1);
	setenv("TEST_QUEUES", " env1  env2\tenv3 ", 1);
	run_ok(line);
	assert_string_equal(got.settings.brokers, "env");
	assert_int_equal(got.settings.queues.len, 3);
	assert_string_equal(got.settings.queues.items[2], "env3");
	assert_int_equal(got.settings.slots, 30);
	done();

	snprintf(line, sizeof(line), "-b flag -q flag1 --config %s --slots 5", config_path());
	run_ok(line);
	assert_string_equal(got.settings.brokers, "flag");
	assert_int_equal(got.settings.queues.len, 1);
	assert_string_equal(got.settings.queues.items[0], "flag1");
	assert_int_equal(got.settings.slots, 5);
	done();
}

static void an_empty_variable_counts_as_not_set(void **state)
{
	(void)state;
	setenv("TEST_BROKERS", "", 1);
	setenv("TEST_SLOTS", "", 1);
	run_ok("");
	assert_string_equal(got.settings.brokers, "127.0.0.1:9092");
	assert_int_equal(got.settings.slots, 8);
	done();
}

static void the_file_may_be_named_by_a_variable(void **state)
{
	(void)state;
	config_write("slots = 9\n", 10);
	setenv("TEST_CONFIG", config_path(), 1);
	run_ok("");
	assert_int_equal(got.settings.slots, 9);
	done();
}

static void a_file_has_comments_blank_lines_quotes_and_loose_spacing(void **state)
{
	static const char file[] = "# a comment\n\n   # another\n\tbrokers=\"  a b # c \"\r\n  slots   =   7  \n"
				   "property = debug=broker,topic\nproperty = \"\nno-color = yes\ntopics=off\nmemory = 1g";

	(void)state;
	config_write(file, strlen(file));
	setenv("TEST_CONFIG", config_path(), 1);
	run_ok("");
	assert_string_equal(got.settings.brokers, "  a b # c ");
	assert_int_equal(got.settings.slots, 7);
	assert_string_equal(got.settings.properties.items[0], "debug=broker,topic");
	assert_string_equal(got.settings.properties.items[1], "\"");
	assert_true(got.settings.no_color);
	assert_false(got.settings.topics);
	assert_int_equal(got.settings.memory_bytes, 1 << 30);
	done();
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
		expect_error(cases[i].line, "", cases[i].message);
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
		expect_error(cases[i].line, cases[i].where, cases[i].message);
}

static void a_missing_or_needless_value_is_named(void **state)
{
	(void)state;
	expect_error("--slots", "--slots", "the value is missing: a whole number from 1 to 4096");
	expect_error("--brokers", "--brokers", "the value is missing: ADDR[,ADDR]...");
	expect_error("-n -q", "--queue", "the value is missing: QUEUE");
	expect_error("--log-format", "--log-format", "the value is missing: one of text, json");
	expect_error("--no-topics=1", "", "--no-topics takes no value");
	expect_error("--help=all", "", "--help takes no value");
}

static void a_wrong_variable_is_named(void **state)
{
	(void)state;
	setenv("TEST_SLOTS", "many", 1);
	expect_error("", "TEST_SLOTS", "\"many\" is not a whole number from 1 to 4096");
	run_ok("--slots 3");
	assert_int_equal(got.settings.slots, 3);
	done();
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
	setenv("TEST_CONFIG", config_path(), 1);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char where[128];

		config_write(cases[i].text, strlen(cases[i].text));
		snprintf(where, sizeof(where), "%s:%d", config_path(), cases[i].line);
		expect_error("", where, cases[i].message);
	}
}

static void a_nul_in_a_file_is_refused(void **state)
{
	char where[128];

	(void)state;
	config_write("slots = 3\0\n", 11);
	setenv("TEST_CONFIG", config_path(), 1);
	snprintf(where, sizeof(where), "%s:1", config_path());
	expect_error("", where, "the line contains a NUL");
}

static void a_file_that_is_not_there_is_named(void **state)
{
	(void)state;
	expect_error("--config no/such", "no/such", "the file cannot be opened: No such file or directory");
	expect_error("--config /", "/", "the file cannot be read: Is a directory");
}

static void too_many_and_too_few_arguments_are_named(void **state)
{
	(void)state;
	expect_error("one two", "", "unexpected argument \"two\"; see prog run --help");
	program.min_args = 1;
	expect_error("", "", "an argument is missing: prog run -q QUEUE... [KEY]");
	program.min_args = 0;
	program.max_args = -1;
	run_ok("one two three");
	assert_int_equal(got.args.len, 3);
	done();
	program.max_args = 1;
}

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

/* Runs with stdout in a file and returns what was written. */
static const char *run_output(const char *line)
{
	static char text[8192];
	FILE *file = tmpfile();
	int former = dup(STDOUT_FILENO);

	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	enum mr_status status = run(line);
	fflush(stdout);
	dup2(former, STDOUT_FILENO);
	close(former);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	assert_int_equal(status, MR_OK);
	return text;
}

static void help_shows_groups_defaults_ranges_and_variables(void **state)
{
	(void)state;
	assert_string_equal(run_output("--help"), help_text);
	assert_int_equal(got.exit, 0);
	assert_string_equal(run_output("--slots 3 -h --zebra"), help_text);
	assert_int_equal(got.exit, 0);
}

static void help_wraps_at_the_width_of_the_screen(void **state)
{
	static const size_t widths[] = {60, 80, 100};

	(void)state;
	for (size_t i = 0; i < COUNT(widths); i++) {
		struct buf help = {0};
		size_t widest = 0;

		conf_describe_help(&program, widths[i], false, &help);
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
	conf_describe_help(&program, 80, true, &bold);
	conf_describe_help(&program, 80, false, &plain);
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
	assert_string_equal(run_output("--version"), expected);
	assert_int_equal(got.exit, 0);
}

static void the_table_becomes_markdown(void **state)
{
	struct buf text = {0};

	(void)state;
	conf_describe_markdown(&program, &text);
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
	conf_describe_markdown(&program, &text);
	assert_string_equal(run_output("--help-markdown"), buf_cstr(&text));
	assert_int_equal(got.exit, 0);
	buf_deinit(&text);
}

#define CONF_TEST(f) cmocka_unit_test_setup_teardown(f, clean, clean)

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
		CONF_TEST(help_shows_groups_defaults_ranges_and_variables),
		CONF_TEST(help_wraps_at_the_width_of_the_screen),
		CONF_TEST(headings_are_bold_on_a_terminal_only),
		CONF_TEST(version_names_program_and_version),
		CONF_TEST(the_table_becomes_markdown),
		CONF_TEST(the_page_of_the_docs_is_printed_on_request),
	};

	return cmocka_run_group_tests(tests, scratch_folder, scratch_folder_remove);
}
