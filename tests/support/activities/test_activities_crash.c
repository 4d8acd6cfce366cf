/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activities that end badly.
 *
 *   crash_segv · abort · exit0 · loop_forever
 *   crash_n_times  {"file":PATH,"times":N}: SIGSEGV N times, then completes with the number of calls
 *   breed          {"file":PATH}: a grandchild in a session of its own writes its pid to the file and sleeps; the activity hangs
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test_activities.h"

/* A sanitizer's handler would turn the signal into an exit. */
static void die_of(int sig)
{
	signal(sig, SIG_DFL);
	raise(sig);
}

static enum mr_attempt_end crash_segv(struct mr_attempt *attempt, void *user)
{
	(void)attempt;
	(void)user;
	die_of(SIGSEGV);
	return MR_ATTEMPT_FAILED;
}

static enum mr_attempt_end abort_now(struct mr_attempt *attempt, void *user)
{
	(void)attempt;
	(void)user;
	die_of(SIGABRT);
	return MR_ATTEMPT_FAILED;
}

static enum mr_attempt_end exit0(struct mr_attempt *attempt, void *user)
{
	(void)attempt;
	(void)user;
	_exit(0);
}

static enum mr_attempt_end loop_forever(struct mr_attempt *attempt, void *user)
{
	volatile bool forever = true;

	(void)attempt;
	(void)user;
	while (forever)
		;
	return MR_ATTEMPT_FAILED;
}

static enum mr_attempt_end crash_n_times(struct mr_attempt *attempt, void *user)
{
	const char *file;
	int64_t times;
	struct mr_error err;
	long call = -1;
	int fd;

	(void)user;
	if (mr_input_string(attempt, "file", &file, &err) || mr_input_int(attempt, "times", &times, &err))
		return mr_fail_input(attempt, &err);
	fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd >= 0 && write(fd, ".", 1) == 1)
		call = (long)lseek(fd, 0, SEEK_CUR);
	if (fd >= 0)
		close(fd);
	if (call < 0)
		return mr_failf(attempt, "TestFile", "%s cannot be written", file);
	if (call <= times)
		die_of(SIGSEGV);
	return mr_complete_jsonf(attempt, "%ld", call);
}

static _Noreturn void grandchild(const char *path)
{
	FILE *file = fopen(path, "w");

	setsid();
	if (file) {
		fprintf(file, "%d\n", (int)getpid());
		fclose(file);
	}
	for (;;)
		pause();
}

static enum mr_attempt_end breed(struct mr_attempt *attempt, void *user)
{
	const char *file;
	struct mr_error err;

	(void)user;
	if (mr_input_string(attempt, "file", &file, &err))
		return mr_fail_input(attempt, &err);
	if (fork() == 0) {
		setsid();
		if (fork() == 0)
			grandchild(file);
		_exit(0);
	}
	for (;;)
		pause();
}

void test_register_crashes(struct mr_registry *registry)
{
	mr_register(registry, "crash_segv", crash_segv, NULL, NULL, NULL);
	mr_register(registry, "abort", abort_now, NULL, NULL, NULL);
	mr_register(registry, "exit0", exit0, NULL, NULL, NULL);
	mr_register(registry, "loop_forever", loop_forever, NULL, NULL, NULL);
	mr_register(registry, "crash_n_times", crash_n_times, NULL, NULL, NULL);
	mr_register(registry, "breed", breed, NULL, NULL, NULL);
}
