/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "consumer/attempt_rig.h"
#include "lib/registry.h"

#ifndef TEST_LIBRARIES
#error TEST_LIBRARIES is the folder with the shared objects of this test
#endif

static struct mr_registry *registry;

static int make(void **state)
{
	(void)state;
	return (int)mr_registry_new(&registry, NULL);
}

static int drop(void **state)
{
	(void)state;
	mr_registry_free(registry);
	return 0;
}

static enum mr_attempt_end noop(struct mr_attempt *attempt, void *user)
{
	(void)user;
	return mr_complete(attempt, NULL, 0, NULL);
}

static void malformed_names_are_errors(void **state)
{
	static const char *const names[] = {"", "a\nb", "a\x7f", "\xff\xfe", NULL};
	char longest[257];
	struct mr_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(mr_register(registry, names[i], noop, NULL, NULL, &err), MR_EINVAL);
	memset(longest, 'x', 256);
	longest[256] = '\0';
	assert_int_equal(mr_register(registry, longest, noop, NULL, NULL, &err), MR_EINVAL);
	longest[255] = '\0';
	assert_int_equal(mr_register(registry, longest, noop, NULL, NULL, &err), MR_OK);
	assert_int_equal(mr_register(registry, "no function", NULL, NULL, NULL, &err), MR_EINVAL);
}

static void duplicate_names_are_errors(void **state)
{
	struct mr_error err;

	(void)state;
	assert_int_equal(mr_register(registry, "a", noop, NULL, NULL, &err), MR_OK);
	assert_int_equal(mr_register(registry, "a", noop, NULL, NULL, &err), MR_EEXISTS);
	assert_string_equal(err.where, "a");
	assert_int_equal(mr_register_exec_text(registry, "a=true", &err), MR_EEXISTS);
	assert_int_equal(mr_register_catch_all(registry, noop, NULL, NULL, &err), MR_OK);
	assert_int_equal(mr_register_catch_all(registry, noop, NULL, NULL, &err), MR_EEXISTS);
}

static void the_first_error_refuses_the_start(void **state)
{
	struct mr_error err;

	(void)state;
	mr_register(registry, "a", noop, NULL, NULL, NULL);
	assert_int_equal(registry_check(registry, &err), MR_OK);
	mr_register(registry, "a", noop, NULL, NULL, NULL);
	mr_register(registry, "", noop, NULL, NULL, NULL);
	assert_int_equal(registry_check(registry, &err), MR_EEXISTS);
}

static void a_worker_with_nothing_to_run_is_refused(void **state)
{
	struct mr_error err;

	(void)state;
	assert_int_equal(registry_check(registry, &err), MR_EINVAL);
	assert_non_null(strstr(err.message, "nothing to run"));
}

static void options_are_checked_and_kept(void **state)
{
	struct mr_activity_options good = {
		.size = sizeof(good), .max_concurrent = 3, .start_to_close_timeout_ms = 10, .heartbeat_timeout_ms = 20};
	struct mr_activity_options bad = {.size = sizeof(bad), .max_concurrent = -1};
	struct mr_activity_options schema = {.size = sizeof(schema), .input_schema = "{\"type\":\"nonsense\"}"};
	struct mr_activity_options no_size = {.size = 0};
	const struct activity *a;
	struct mr_error err;

	(void)state;
	assert_int_equal(mr_register(registry, "a", noop, NULL, &good, &err), MR_OK);
	a = registry_find(registry, BYTES_LIT("a"));
	assert_int_equal(a->max_concurrent, 3);
	assert_int_equal(a->start_to_close_timeout_ms, 10);
	assert_int_equal(a->heartbeat_timeout_ms, 20);
	assert_int_equal(mr_register(registry, "b", noop, NULL, &bad, &err), MR_EINVAL);
	assert_int_equal(mr_register(registry, "c", noop, NULL, &schema, &err), MR_EINVAL);
	assert_non_null(strstr(err.message, "input_schema"));
	assert_int_equal(mr_register(registry, "d", noop, NULL, &no_size, &err), MR_EINVAL);
}

static void a_limit_stands_above_the_options_whenever_it_comes(void **state)
{
	struct mr_activity_options three = {.size = sizeof(three), .max_concurrent = 3};
	struct mr_error err;

	(void)state;
	mr_register(registry, "a", noop, NULL, &three, NULL);
	assert_int_equal(mr_register_limit_text(registry, "a=2", &err), MR_OK);
	assert_int_equal(mr_register_limit(registry, "b", 1, &err), MR_OK);
	assert_int_equal(registry_check_limits(registry, &err), MR_EINVAL);
	assert_string_equal(err.where, "b");
	mr_register(registry, "b", noop, NULL, &three, NULL);
	assert_int_equal(registry_check_limits(registry, &err), MR_OK);
	assert_int_equal(registry_find(registry, BYTES_LIT("a"))->max_concurrent, 2);
	assert_int_equal(registry_find(registry, BYTES_LIT("b"))->max_concurrent, 1);
	assert_int_equal(registry_check(registry, &err), MR_OK);
	assert_int_equal(mr_register_limit_text(registry, "a=1", &err), MR_EEXISTS);
	assert_int_equal(registry_check(registry, &err), MR_EEXISTS);
}

static void a_limit_that_is_none_is_refused(void **state)
{
	static const char *const texts[] = {"", "a", "a=", "=1", "a=0", "a=-1", "a=1025", "a=1x"};
	struct mr_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(mr_register_limit_text(registry, texts[i], &err), MR_EINVAL);
		assert_non_null(strstr(err.message, "TYPE=N"));
	}
	assert_int_equal(mr_register_limit(registry, "a", 0, &err), MR_EINVAL);
}

static void find_prefers_the_name_to_the_catch_all(void **state)
{
	struct buf list = {0};

	(void)state;
	assert_null(registry_find(registry, BYTES_LIT("b")));
	mr_register(registry, "b", noop, NULL, NULL, NULL);
	mr_register_catch_all(registry, noop, NULL, NULL, NULL);
	mr_register(registry, "a", noop, NULL, NULL, NULL);
	assert_string_equal(registry_find(registry, BYTES_LIT("b"))->name, "b");
	assert_string_equal(registry_find(registry, BYTES_LIT("x"))->name, "");
	registry_list(registry, &list);
	assert_string_equal(buf_cstr(&list), "(catch-all), a, b");
	assert_int_equal(registry_count(registry), 3);
	assert_int_equal(registry_at(registry, 2)->index, 2);
	buf_deinit(&list);
}

static void programs_are_found_in_path_and_checked(void **state)
{
	const struct activity *a;
	struct mr_error err;

	(void)state;
	assert_int_equal(mr_register_exec_text(registry, "sh=sh -c  'x' \"a b\"", &err), MR_OK);
	a = registry_find(registry, BYTES_LIT("sh"));
	assert_true(a->program[0] == '/');
	assert_string_equal(a->argv[0], "sh");
	assert_string_equal(a->argv[1], "-c");
	assert_string_equal(a->argv[2], "'x'");
	assert_string_equal(a->argv[3], "a b");
	assert_null(a->argv[4]);
	assert_int_equal(mr_register_exec_text(registry, "x=no-such-program-anywhere", &err), MR_ENOT_FOUND);
	assert_string_equal(err.where, "no-such-program-anywhere");
	assert_int_equal(mr_register_exec_text(registry, "x=/etc/passwd", &err), MR_EINVAL);
	assert_int_equal(mr_register_exec_text(registry, "x=/tmp", &err), MR_EINVAL);
	assert_int_equal(mr_register_exec_text(registry, "x=/no/such", &err), MR_ENOT_FOUND);
	assert_int_equal(mr_register_exec_text(registry, "no equals", &err), MR_EINVAL);
	assert_int_equal(mr_register_exec_text(registry, "=sh", &err), MR_EINVAL);
	assert_int_equal(mr_register_exec_text(registry, "x=", &err), MR_EINVAL);
	assert_int_equal(mr_register_exec_text(registry, "x=sh \"open", &err), MR_EINVAL);
}

/* ---- shared objects ---- */

static enum mr_status start_with(const char *library, bool threads, struct mr_error *err)
{
	struct rig rig;
	enum mr_status status;

	rig_init(&rig);
	rig.config.threads = threads;
	status = mr_register_library(rig.registry, library, err);
	if (!status)
		status = pool_new(&rig.config, &rig.pool, err);
	if (!status)
		status = pool_start(rig.pool, err);
	rig_deinit(&rig);
	return status;
}

static void refuse(const char *library, const char *because)
{
	struct mr_error err = {.message = ""};

	for (int threads = 0; threads < 2; threads++) {
		assert_int_not_equal(start_with(library, threads == 1, &err), MR_OK);
		if (!strstr(err.message, because))
			fail_msg("\"%s\" does not say \"%s\"", err.message, because);
	}
}

static void shared_objects_that_are_none_of_ours_are_refused_with_the_reason(void **state)
{
	(void)state;
	refuse("/no/such.so", "no shared object");
	refuse("/etc/passwd", "cannot be loaded");
	refuse(TEST_LIBRARIES "/test_library_plain.so", "mr_abi_version");
	refuse(TEST_LIBRARIES "/test_library_old.so", "version 0");
	refuse(TEST_LIBRARIES "/test_library_crash.so", "SIGSEGV");
	refuse(TEST_LIBRARIES "/test_library_exit.so", "exit status 5");
	refuse(TEST_LIBRARIES "/test_library_refuse.so", "MR_EFULL");
	refuse(TEST_LIBRARIES "/test_library_twice.so", "registered already");
}

static void run_library(bool threads)
{
	const struct rig_attempt *a;
	struct rig rig;

	rig_init(&rig);
	rig.config.threads = threads;
	assert_int_equal(mr_register_library(rig.registry, TEST_LIBRARIES "/test_activities.so", NULL), MR_OK);
	rig_start(&rig);
	a = rig_run(&rig, "greet", "\"Ada\"");
	assert_string_equal(a->result, "\"Hello, Ada\"");
	assert_string_equal(rig_run(&rig, "cat", "[1]")->result, "[1]");
	/* What the loop must know of it without having loaded it. */
	assert_int_equal(registry_find(rig.registry, BYTES_LIT("one_at_a_time"))->max_concurrent, 1);
	rig_deinit(&rig);
}

static void activities_of_a_shared_object_run_in_processes(void **state)
{
	(void)state;
	run_library(false);
}

static void activities_of_a_shared_object_run_in_threads(void **state)
{
	(void)state;
	run_library(true);
}

static void input_and_output_are_checked_against_their_schemas(void **state)
{
	const struct rig_attempt *a;
	struct attempt_info info;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	assert_int_equal(mr_register_library(rig.registry, TEST_LIBRARIES "/test_activities.so", NULL), MR_OK);
	rig_start(&rig);
	a = rig_run(&rig, "charge", "{\"card\":\"4711\",\"cents\":250}");
	assert_int_equal(a->kind, OUTCOME_COMPLETED);
	assert_string_equal(a->result, "{\"receipt\":\"4711-250\"}");
	a = rig_run(&rig, "charge", "{\"card\":\"4711\",\"cents\":\"much\"}");
	assert_string_equal(a->failure_type, "BadInput");
	assert_true(a->non_retryable);
	assert_non_null(strstr(a->message, "cents"));
	/* The same in Avro: card "47", cents 5 (zigzag 10). */
	rig_info(&info, "charge",
		 "\x04"
		 "47"
		 "\x0a",
		 4);
	info.input.content_type = BYTES_NONE;
	a = rig_wait(&rig, rig_push_info(&rig, &info));
	assert_string_equal(a->result, "{\"receipt\":\"47-5\"}");
	rig_info(&info, "charge", "\x7f", 1);
	info.input.content_type = BYTES_NONE;
	a = rig_wait(&rig, rig_push_info(&rig, &info));
	assert_string_equal(a->failure_type, "BadInput");
	a = rig_run(&rig, "charge", "{\"card\":\"bad-receipt\",\"cents\":1}");
	assert_string_equal(a->failure_type, "BadResult");
	assert_true(a->non_retryable);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(malformed_names_are_errors, make, drop),
		cmocka_unit_test_setup_teardown(duplicate_names_are_errors, make, drop),
		cmocka_unit_test_setup_teardown(the_first_error_refuses_the_start, make, drop),
		cmocka_unit_test_setup_teardown(a_worker_with_nothing_to_run_is_refused, make, drop),
		cmocka_unit_test_setup_teardown(options_are_checked_and_kept, make, drop),
		cmocka_unit_test_setup_teardown(a_limit_stands_above_the_options_whenever_it_comes, make, drop),
		cmocka_unit_test_setup_teardown(a_limit_that_is_none_is_refused, make, drop),
		cmocka_unit_test_setup_teardown(find_prefers_the_name_to_the_catch_all, make, drop),
		cmocka_unit_test_setup_teardown(programs_are_found_in_path_and_checked, make, drop),
		cmocka_unit_test(shared_objects_that_are_none_of_ours_are_refused_with_the_reason),
		cmocka_unit_test(activities_of_a_shared_object_run_in_processes),
		cmocka_unit_test(activities_of_a_shared_object_run_in_threads),
		cmocka_unit_test(input_and_output_are_checked_against_their_schemas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
