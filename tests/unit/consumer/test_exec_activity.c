/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "consumer/attempt_rig.h"

/* protocol.md, "exec activities", sentence by sentence. Programs are shell scripts in a folder of the test's own. */

static char folder[] = "/tmp/millrace-exec-XXXXXX";

static void script(struct rig *rig, const char *name, const char *body)
{
	const char *argv[2] = {NULL, NULL};
	char path[256];
	struct mr_error err;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n%s\n", body);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
	argv[0] = path;
	if (mr_register_exec(rig->registry, name, argv, NULL, &err))
		fail_msg("%s: %s", err.where, err.message);
}

static void start_script(struct rig *rig, const char *body)
{
	rig_init(rig);
	script(rig, "program", body);
	rig_start(rig);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[256];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command); /* NOLINT(cert-env33-c): a constant path of ours */
}

static void input_is_on_stdin_and_json_output_is_the_result(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	start_script(&rig, "printf '{\"got\":'; cat; echo '}'");
	a = rig_run(&rig, "program", "[1, 2]");
	assert_int_equal(a->kind, OUTCOME_COMPLETED);
	assert_string_equal(a->result, "{\"got\":[1, 2]}");
	assert_string_equal(a->content_type, "application/json");
	rig_deinit(&rig);
}

static void other_output_is_the_result_as_raw_bytes(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	start_script(&rig, "echo hello");
	a = rig_run(&rig, "program", "1");
	assert_string_equal(a->result, "hello\n");
	assert_null(a->content_type);
	rig_deinit(&rig);
}

static void a_program_that_reads_and_writes_nothing_completes(void **state)
{
	const struct rig_attempt *a;
	struct attempt_info info;
	struct rig rig;
	char *input = mem_alloc(1 << 20);

	(void)state;
	memset(input, 'a', 1 << 20);
	start_script(&rig, "exit 0");
	rig_info(&info, "program", input, 1 << 20);
	a = rig_wait(&rig, rig_push_info(&rig, &info));
	assert_int_equal(a->kind, OUTCOME_COMPLETED);
	assert_int_equal(a->result_bytes, 0);
	rig_deinit(&rig);
	free(input);
}

static void a_megabyte_goes_in_and_out(void **state)
{
	const struct rig_attempt *a;
	struct attempt_info info;
	struct rig rig;
	size_t bytes = 1 << 20;
	char *input = mem_alloc(bytes);

	(void)state;
	memset(input, 'a', bytes);
	start_script(&rig, "exec cat");
	rig_info(&info, "program", input, bytes);
	a = rig_wait(&rig, rig_push_info(&rig, &info));
	assert_int_equal(a->result_bytes, bytes);
	assert_memory_equal(a->result, input, bytes);
	rig_deinit(&rig);
	free(input);
}

static void another_exit_status_is_a_retryable_failure_with_the_last_line_of_stderr(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	start_script(&rig, "echo first >&2; echo 'no \"stock\"' >&2; exit 7");
	a = rig_run(&rig, "program", "1");
	assert_string_equal(a->failure_type, "ExitStatus");
	assert_string_equal(a->message, "no \"stock\"");
	assert_string_equal(a->details, "{\"exit_status\":7,\"stderr\":\"first\\nno \\\"stock\\\"\\n\"}");
	assert_false(a->non_retryable);
	rig_deinit(&rig);
}

static void exit_status_100_is_not_retried(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	start_script(&rig, "exit 100");
	a = rig_run(&rig, "program", "1");
	assert_string_equal(a->failure_type, "ExitStatus");
	assert_string_equal(a->message, "exit status 100");
	assert_true(a->non_retryable);
	rig_deinit(&rig);
}

static void a_signal_is_a_failure_of_type_signal(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	start_script(&rig, "kill -KILL $$");
	a = rig_run(&rig, "program", "1");
	assert_string_equal(a->failure_type, "Signal");
	assert_string_equal(a->message, "SIGKILL (Killed)");
	assert_string_equal(a->details, "{\"signal\":\"SIGKILL\",\"stderr\":\"\"}");
	assert_false(a->non_retryable);
	rig_deinit(&rig);
}

static void stderr_is_kept_to_its_last_4_kib(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	start_script(&rig, "i=0; while [ $i -lt 3000 ]; do echo line-$i >&2; i=$((i+1)); done; exit 1");
	a = rig_run(&rig, "program", "1");
	assert_string_equal(a->message, "line-2999");
	assert_true(strlen(a->details) < 5000);
	assert_null(strstr(a->details, "line-1000"));
	rig_deinit(&rig);
}

static void the_environment_is_clean_and_says_who_it_is(void **state)
{
	struct attempt_info info;
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	setenv("MILLRACE_TEST_SECRET", "secret", 1);
	start_script(&rig, "exec env");
	rig_info(&info, "program", "1", 1);
	info.attempt = 3;
	info.heartbeat_details.data = BYTES_LIT("half way");
	a = rig_wait(&rig, rig_push_info(&rig, &info));
	assert_non_null(strstr(a->result, "MILLRACE_TASK_KEY=flow/step\n"));
	assert_non_null(strstr(a->result, "MILLRACE_WORKFLOW_ID=flow\n"));
	assert_non_null(strstr(a->result, "MILLRACE_ACTIVITY_ID=step\n"));
	assert_non_null(strstr(a->result, "MILLRACE_ACTIVITY_TYPE=program\n"));
	assert_non_null(strstr(a->result, "MILLRACE_RUN_ID=run-1\n"));
	assert_non_null(strstr(a->result, "MILLRACE_QUEUE=default\n"));
	assert_non_null(strstr(a->result, "MILLRACE_ATTEMPT=3\n"));
	assert_non_null(strstr(a->result, "MILLRACE_HEARTBEAT_FD=3\n"));
	assert_non_null(strstr(a->result, "MILLRACE_HEARTBEAT_DETAILS=half way\n"));
	assert_non_null(strstr(a->result, "PATH="));
	assert_null(strstr(a->result, "MILLRACE_TEST_SECRET"));
	rig_deinit(&rig);
	unsetenv("MILLRACE_TEST_SECRET");
}

static void it_has_four_descriptors(void **state)
{
	struct rig rig;

	(void)state;
	start_script(&rig, "exec ls /proc/self/fd");
	/* The last one is the folder that ls reads. */
	assert_string_equal(rig_run(&rig, "program", "1")->result, "0\n1\n2\n3\n4\n");
	rig_deinit(&rig);
}

static void it_has_a_process_group_of_its_own(void **state)
{
	int group = 0, pid = -1;
	struct rig rig;

	(void)state;
	start_script(&rig, "echo $(cut -d' ' -f5 /proc/$$/stat) $$");
	assert_int_equal(sscanf(rig_run(&rig, "program", "1")->result, "%d %d", &group, &pid), 2);
	assert_int_equal(group, pid);
	rig_deinit(&rig);
}

static void lines_on_the_heartbeat_descriptor_are_heartbeats(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;
	char fifo[256];
	size_t i;
	int fd;

	(void)state;
	setenv("HOME", folder, 1);
	snprintf(fifo, sizeof(fifo), "%s/go", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	start_script(&rig, "echo '{\"row\":1}' >&$MILLRACE_HEARTBEAT_FD; echo 2 >&3; read go < \"$HOME/go\"; printf 'half a "
			   "line' >&3; exit 1");
	i = rig_push(&rig, "program", "1");
	while (!rig.attempts[i].beat_details || strcmp(rig.attempts[i].beat_details, "2") != 0)
		rig_poll(&rig, 1000);
	fd = open(fifo, O_WRONLY);
	assert_int_equal(write(fd, "x\n", 2), 2);
	close(fd);
	a = rig_wait(&rig, i);
	assert_string_equal(a->last_details, "2");
	rig_deinit(&rig);
	unlink(fifo);
}

static void too_much_output_fails_at_once(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.config.max_output_bytes = 1000;
	script(&rig, "program", "exec yes");
	rig_start(&rig);
	a = rig_run(&rig, "program", "1");
	assert_string_equal(a->failure_type, "ResultTooLarge");
	assert_true(a->non_retryable);
	rig_deinit(&rig);
}

static size_t start_and_cancel(struct rig *rig, const char *body, enum cancel_reason reason)
{
	size_t i;

	start_script(rig, body);
	i = rig_push(rig, "program", "1");
	while (!rig->attempts[i].beats)
		rig_poll(rig, 1000);
	executor_cancel(rig->executor, rig->attempts[i].handle, reason);
	return i;
}

static void after_a_cancel_exit_0_is_completed_100_failed_and_else_canceled(void **state)
{
	struct rig rig;
	size_t i;

	(void)state;
	i = start_and_cancel(&rig, "trap 'echo 1; exit 0' TERM; echo >&3; while :; do sleep 0.02; done", CANCEL_REQUESTED);
	assert_int_equal(rig_wait(&rig, i)->kind, OUTCOME_COMPLETED);
	rig_deinit(&rig);
	i = start_and_cancel(&rig, "trap 'exit 100' TERM; echo >&3; while :; do sleep 0.02; done", CANCEL_REQUESTED);
	assert_int_equal(rig_wait(&rig, i)->kind, OUTCOME_FAILED);
	assert_true(rig.attempts[i].non_retryable);
	rig_deinit(&rig);
	i = start_and_cancel(&rig, "trap 'exit 9' TERM; echo >&3; while :; do sleep 0.02; done", CANCEL_REQUESTED);
	assert_int_equal(rig_wait(&rig, i)->kind, OUTCOME_CANCELED);
	rig_deinit(&rig);
	i = start_and_cancel(&rig, "echo >&3; exec sleep 100", CANCEL_REQUESTED);
	assert_int_equal(rig_wait(&rig, i)->kind, OUTCOME_CANCELED);
	rig_deinit(&rig);
}

static void who_ignores_sigterm_is_killed_after_the_grace_period(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;
	size_t i;

	(void)state;
	i = start_and_cancel(&rig, "trap '' TERM; echo >&3; while :; do sleep 0.02; done", CANCEL_TIMED_OUT);
	a = rig_wait(&rig, i);
	assert_string_equal(a->failure_type, "Timeout");
	assert_true(a->ended_mono_us - a->started_mono_us >= 200000);
	rig_deinit(&rig);
}

static void a_cancel_is_told_to_who_went_on_after_a_pause(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;
	size_t i;

	(void)state;
	i = start_and_cancel(&rig,
			     "n=0; trap 'n=$((n+1)); echo >&3' TERM; echo >&3; "
			     "while [ $n -lt 2 ]; do sleep 0.02; done; echo $n",
			     CANCEL_PAUSED);
	while (rig.attempts[i].beats < 2)
		rig_poll(&rig, 1000);
	executor_cancel(rig.executor, rig.attempts[i].handle, CANCEL_REQUESTED);
	a = rig_wait(&rig, i);
	assert_int_equal(a->kind, OUTCOME_COMPLETED);
	assert_string_equal(a->result, "2");
	rig_deinit(&rig);
}

static bool has_no_process(void *text)
{
	return rig_process_is_gone((void *)(intptr_t)atoi(text));
}

static void what_a_program_leaves_behind_is_killed(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	start_script(&rig, "setsid sh -c 'sleep 1000' </dev/null >/dev/null 2>&1 & sleep 1000 & echo $!");
	a = rig_run(&rig, "program", "1");
	assert_int_equal(a->kind, OUTCOME_COMPLETED);
	assert_true(has_no_process(a->result));
	rig_deinit(&rig);
}

static void a_kill_ends_the_whole_tree_a_setsid_child_included(void **state)
{
	struct rig rig;
	size_t i;

	(void)state;
	start_script(&rig, "setsid sh -c 'echo $$ >&3; exec sleep 1000' </dev/null >/dev/null & wait");
	i = rig_push(&rig, "program", "1");
	while (!rig.attempts[i].beat_details)
		rig_poll(&rig, 1000);
	assert_false(has_no_process(rig.attempts[i].beat_details));
	executor_kill(rig.executor, rig.attempts[i].handle);
	assert_string_equal(rig_wait(&rig, i)->message, "killed");
	assert_true(has_no_process(rig.attempts[i].beat_details));
	rig_deinit(&rig);
}

static void a_program_that_is_gone_fails_with_exec_failed(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;
	char path[256];

	(void)state;
	start_script(&rig, "exit 0");
	snprintf(path, sizeof(path), "%s/program", folder);
	unlink(path);
	a = rig_run(&rig, "program", "1");
	assert_string_equal(a->failure_type, "ExecFailed");
	assert_false(a->non_retryable);
	assert_non_null(strstr(a->message, "No such file or directory"));
	rig_deinit(&rig);
}

static void arguments_are_passed_as_they_are_without_a_shell(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	assert_int_equal(mr_register_exec_text(rig.registry, "say=echo $(id) `id` ; rm \"two words\" -rf", NULL), MR_OK);
	rig_start(&rig);
	assert_string_equal(rig_run(&rig, "say", "1")->result, "$(id) `id` ; rm two words -rf\n");
	rig_deinit(&rig);
}

static size_t open_descriptors(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static enum mr_attempt_end count_descriptors(struct mr_attempt *attempt, void *user)
{
	(void)user;
	return mr_complete_jsonf(attempt, "%zu", open_descriptors());
}

static void hundreds_of_programs_leak_no_descriptor(void **state)
{
	struct rig rig;
	char *before;

	(void)state;
	rig_init(&rig);
	rig.config.slots = 1;
	script(&rig, "program", "exit 0");
	mr_register(rig.registry, "descriptors", count_descriptors, NULL, NULL, NULL);
	rig_start(&rig);
	before = mem_strdup(rig_run(&rig, "descriptors", "1")->result);
	for (int i = 0; i < 200; i++)
		assert_int_equal(rig_run(&rig, "program", "1")->kind, OUTCOME_COMPLETED);
	assert_string_equal(rig_run(&rig, "descriptors", "1")->result, before);
	free(before);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_is_on_stdin_and_json_output_is_the_result),
		cmocka_unit_test(other_output_is_the_result_as_raw_bytes),
		cmocka_unit_test(a_program_that_reads_and_writes_nothing_completes),
		cmocka_unit_test(a_megabyte_goes_in_and_out),
		cmocka_unit_test(another_exit_status_is_a_retryable_failure_with_the_last_line_of_stderr),
		cmocka_unit_test(exit_status_100_is_not_retried),
		cmocka_unit_test(a_signal_is_a_failure_of_type_signal),
		cmocka_unit_test(stderr_is_kept_to_its_last_4_kib),
		cmocka_unit_test(the_environment_is_clean_and_says_who_it_is),
		cmocka_unit_test(it_has_four_descriptors),
		cmocka_unit_test(it_has_a_process_group_of_its_own),
		cmocka_unit_test(lines_on_the_heartbeat_descriptor_are_heartbeats),
		cmocka_unit_test(too_much_output_fails_at_once),
		cmocka_unit_test(after_a_cancel_exit_0_is_completed_100_failed_and_else_canceled),
		cmocka_unit_test(who_ignores_sigterm_is_killed_after_the_grace_period),
		cmocka_unit_test(a_cancel_is_told_to_who_went_on_after_a_pause),
		cmocka_unit_test(what_a_program_leaves_behind_is_killed),
		cmocka_unit_test(a_kill_ends_the_whole_tree_a_setsid_child_included),
		cmocka_unit_test(a_program_that_is_gone_fails_with_exec_failed),
		cmocka_unit_test(arguments_are_passed_as_they_are_without_a_shell),
		cmocka_unit_test(hundreds_of_programs_leak_no_descriptor),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
