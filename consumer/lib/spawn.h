/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_SPAWN_H
#define CONSUMER_SPAWN_H

#include <sys/types.h>

/*
 * Starts a program as posix_spawn does (the parent's memory is borrowed until exec, nothing is copied), and besides: a process
 * group of its own, a kill by the kernel when this thread ends, no descriptor beyond those named, default signals, a pidfd.
 */
#define SPAWN_EXTRA_FD 3

struct spawn {
	const char *program;
	char *const *argv;
	char *const *envp;
	int stdin_fd, stdout_fd, stderr_fd;
	int extra_fd; /* becomes SPAWN_EXTRA_FD */
};

/* 0, or the errno of what failed (that of execve where the program cannot be executed). One thread of a process at a time. */
int spawn(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd);

#endif
