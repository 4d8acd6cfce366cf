/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit of exec activities: vfork, exec and wait of the same program, and nothing else.
 *
 *	spawn_loop PROGRAM RUNS LOOPS        LOOPS of them side by side
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "meter.h"

static void spawn_one(const char *program)
{
	char *const argv[] = {(char *)(uintptr_t)program, NULL};
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		execv(program, argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "spawn_loop: %s cannot be run, or failed\n", program);
		exit(1);
	}
}

static _Noreturn void loop(const char *program, long long runs)
{
	for (long long i = 0; i < runs; i++)
		spawn_one(program);
	exit(0);
}

int main(int argc, char **argv)
{
	int status, failed = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: spawn_loop PROGRAM RUNS LOOPS\n");
		return 2;
	}
	long long runs = meter_number("RUNS", argv[2], 1, 10000000), loops = meter_number("LOOPS", argv[3], 1, 64);
	struct meter meter = meter_start();

	for (long long i = 0; i < loops; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0)
			loop(argv[1], runs / loops);
	}
	while (wait(&status) > 0)
		failed += status != 0;
	if (failed)
		return 1;
	meter.begin_cpu_s -= meter_cpu_s(RUSAGE_CHILDREN);
	meter_report(&meter, runs / loops * loops);
	return 0;
}
