/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "program/program.h"

struct options {
	struct program_common common;
	int64_t n;
};

static const struct conf_option table[] = {
	{.kind = CONF_INT, .name = "n", .def = "3", .offset = offsetof(struct options, n), .help = "A number."},
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program program = {
	.name = "test",
	.usage = "",
	.purpose = "Tests.",
	.options = table,
	.file_option = "config",
};

static int begin(struct options *options, const char *const *words)
{
	char *argv[16];
	int argc = 0;

	argv[argc++] = (char[]){"test"};
	for (; *words; words++)
		argv[argc++] = (char *)(uintptr_t)*words;
	argv[argc] = NULL;
	return program_begin(&program, argc, argv, options, offsetof(struct options, common), NULL);
}

static void shared_flags_have_the_documented_defaults(void **state)
{
	struct options options;

	(void)state;
	unsetenv("MILLRACE_BROKERS");
	unsetenv("MILLRACE_REDIS");
	unsetenv("MILLRACE_PREFIX");
	assert_int_equal(begin(&options, (const char *const[]){NULL}), -1);
	assert_string_equal(options.common.brokers, "127.0.0.1:9092");
	assert_string_equal(options.common.redis, "redis://127.0.0.1:6379/0");
	assert_string_equal(options.common.prefix, "millrace.");
	assert_int_equal(options.n, 3);
	conf_deinit(&program, &options);
}

static void shared_flags_come_from_variables_too(void **state)
{
	struct options options;
	struct bus_config bus;
	struct store_config store;

	(void)state;
	setenv("MILLRACE_BROKERS", "b:1", 1);
	setenv("MILLRACE_PREFIX", "p.", 1);
	assert_int_equal(begin(&options, (const char *const[]){"--redis=redis://r:2/3", "-X", "a=b", NULL}), -1);
	bus = program_bus_config(&options.common, "me");
	store = program_store_config(&options.common, 7);
	assert_string_equal(bus.brokers, "b:1");
	assert_string_equal(bus.client_id, "me");
	assert_string_equal(bus.properties->items[0], "a=b");
	assert_string_equal(store.url, "redis://r:2/3");
	assert_string_equal(store.prefix, "p.");
	assert_int_equal(store.shards, 7);
	unsetenv("MILLRACE_BROKERS");
	unsetenv("MILLRACE_PREFIX");
	conf_deinit(&program, &options);
}

static void a_wrong_flag_is_exit_2(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(begin(&options, (const char *const[]){"--nn=1", NULL}), PROGRAM_USAGE);
	assert_int_equal(begin(&options, (const char *const[]){"--log-level=loud", NULL}), PROGRAM_USAGE);
	assert_int_equal(begin(&options, (const char *const[]){"--redis=http://r", NULL}), PROGRAM_USAGE);
}

static void errors_have_their_exit_code(void **state)
{
	static const struct {
		enum mr_status status;
		int code;
	} rows[] = {
		{MR_EINVAL, PROGRAM_USAGE},       {MR_ENOT_FOUND, PROGRAM_USAGE},   {MR_ECONFLICT, PROGRAM_USAGE},
		{MR_EKAFKA, PROGRAM_UNREACHABLE}, {MR_EREDIS, PROGRAM_UNREACHABLE}, {MR_ETIMEOUT, PROGRAM_WAIT_OVER},
		{MR_ECANCELED, PROGRAM_CANCELED}, {MR_ESYSTEM, PROGRAM_FAILED},     {MR_EBAD_RECORD, PROGRAM_FAILED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mr_error err = {.code = rows[i].status};

		assert_int_equal(program_fail("test", &err), rows[i].code);
	}
}

static void names_and_identity(void **state)
{
	char *topic = program_topic("p.", "results"), *one = program_identity(), *other = program_identity();

	(void)state;
	assert_string_equal(topic, "p.results");
	assert_string_not_equal(one, other);
	for (const char *c = one; *c; c++)
		assert_non_null(strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c));
	free(topic);
	free(one);
	free(other);
}

static void signals_are_read_from_the_descriptor(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(program_signal_fd(&fd, NULL), MR_OK);
	assert_int_equal(program_signal_read(fd), 0);
	raise(SIGTERM);
	assert_int_equal(program_signal_read(fd), SIGTERM);
	assert_int_equal(program_signal_read(fd), 0);
	close(fd);
}

static void waiting_for_redis_ends_with_its_time_or_with_a_signal(void **state)
{
	struct store_config config = {.url = "redis://127.0.0.1:1/0", .prefix = "p.", .shards = 1};
	struct mr_error err = {0};
	int fd;

	(void)state;
	assert_int_equal(program_wait_store(&config, 200, -1, &err), MR_EREDIS);
	assert_int_not_equal(err.message[0], '\0');
	assert_int_equal(program_signal_fd(&fd, NULL), MR_OK);
	raise(SIGTERM);
	assert_int_equal(program_wait_store(&config, -1, fd, &err), MR_ECLOSED);
	assert_int_equal(program_signal_read(fd), SIGTERM);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_flags_have_the_documented_defaults),
		cmocka_unit_test(shared_flags_come_from_variables_too),
		cmocka_unit_test(a_wrong_flag_is_exit_2),
		cmocka_unit_test(errors_have_their_exit_code),
		cmocka_unit_test(names_and_identity),
		cmocka_unit_test(signals_are_read_from_the_descriptor),
		cmocka_unit_test(waiting_for_redis_ends_with_its_time_or_with_a_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
