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

struct conf_rig conf_rig;

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

struct conf_program conf_rig_program = {
	.name = "prog run",
	.usage = "-q QUEUE... [KEY]",
	.purpose = "Runs the activities of task queues.",
	.epilog = "Exit codes:\n  0  drained\n  2  usage",
	.options = options,
	.min_args = 0,
	.max_args = 1,
	.file_option = "config",
};

enum mr_status conf_rig_run(const char *line)
{
	int argc = 0;

	memset(&conf_rig, 0x55, sizeof(conf_rig));
	conf_rig.settings.before = "kept";
	snprintf(conf_rig.line, sizeof(conf_rig.line), "prog %s", line);
	char *rest = conf_rig.line, *word;
	while ((word = strsep(&rest, " ")))
		if (*word)
			conf_rig.argv[argc++] = word;
	conf_rig.argv[argc] = NULL;
	return conf_parse(&conf_rig_program, argc, conf_rig.argv, &conf_rig.settings, &conf_rig.args, &conf_rig.exit,
			  &conf_rig.err);
}

void conf_rig_done(void)
{
	conf_deinit(&conf_rig_program, &conf_rig.settings);
}

void conf_rig_run_ok(const char *line)
{
	enum mr_status status = conf_rig_run(line);

	if (status != MR_OK)
		fail_msg("%s: %s: %s", line, conf_rig.err.where, conf_rig.err.message);
	assert_int_equal(conf_rig.exit, -1);
	assert_string_equal(conf_rig.settings.before, "kept");
}

void conf_rig_refused(const char *line, const char *where, const char *message)
{
	if (conf_rig_run(line) != MR_EINVAL)
		fail_msg("\"%s\" was taken", line);
	assert_int_equal(conf_rig.err.code, MR_EINVAL);
	assert_string_equal(conf_rig.err.message, message);
	assert_string_equal(conf_rig.err.where, where);
	assert_null(strchr(conf_rig.err.message, '\n'));
	assert_null(conf_rig.settings.brokers);
}

const char *conf_rig_path(void)
{
	static char path[64];

	snprintf(path, sizeof(path), "test_conf.%d.conf", (int)getpid());
	return path;
}

void conf_rig_write(const char *text, size_t len)
{
	FILE *file = fopen(conf_rig_path(), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
}

int conf_rig_clean(void **state)
{
	(void)state;
	for (const struct conf_option *option = options; option->name; option++)
		if (option->env)
			unsetenv(option->env);
	unlink(conf_rig_path());
	return 0;
}

int conf_rig_begin(void **state)
{
	static char folder[] = "/tmp/test_conf.XXXXXX";

	*state = folder;
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

int conf_rig_end(void **state)
{
	return rmdir(*state);
}

const char *conf_rig_output(const char *line)
{
	static char text[8192];
	FILE *file = tmpfile();
	int former = dup(STDOUT_FILENO);

	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	enum mr_status status = conf_rig_run(line);
	fflush(stdout);
	dup2(former, STDOUT_FILENO);
	close(former);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	assert_int_equal(status, MR_OK);
	return text;
}
