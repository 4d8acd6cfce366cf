/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define EXEC_FAILED 127
#define TAIL_BYTES 2000
#define POLL_US 10000

static int open_log(struct child *child, const char *folder)
{
	struct buf path = {0};

	buf_printf(&path, "%s/%s.log", folder, child->name);
	buf_cstr(&path);
	child->log = path.data;
	return open(child->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

/* In the new process: async-signal-safe calls only. */
static void become(char *const *argv, int log_fd, int null_fd, pid_t parent, int death_signal)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, death_signal);
	if (getppid() != parent || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
		_exit(EXEC_FAILED);
	execv(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(EXEC_FAILED);
}

enum mr_status child_start(struct child *child, const char *name, char *const *argv, const char *folder, int death_signal,
			   struct mr_error *err)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int log_fd;
	pid_t parent = getpid();
	enum mr_status status = MR_OK;

	child->name = name;
	log_fd = open_log(child, folder);
	if (null_fd >= 0 && log_fd >= 0) {
		child->pid = fork();
		if (child->pid == 0)
			become(argv, log_fd, null_fd, parent, death_signal);
	}
	if (null_fd < 0 || log_fd < 0 || child->pid < 0) {
		status = mr_error_set(err, MR_ESYSTEM, name, "cannot be started: %s", strerror(errno));
		child->pid = 0;
	}
	if (null_fd >= 0)
		close(null_fd);
	if (log_fd >= 0)
		close(log_fd);
	return status;
}

bool child_runs(struct child *child)
{
	if (child->pid > 0 && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
		child->pid = 0;
	return child->pid > 0;
}

void child_stop(struct child *child, int grace_ms)
{
	int64_t limit_us = clock_mono_us() + (int64_t)grace_ms * 1000;

	if (!child_runs(child))
		return;
	kill(child->pid, SIGTERM);
	while (child_runs(child) && clock_mono_us() < limit_us)
		usleep(POLL_US);
	if (child->pid == 0)
		return;
	kill(-child->pid, SIGKILL);
	waitpid(child->pid, &child->status, 0);
	child->pid = 0;
}

static void print_tail(const char *path)
{
	char text[TAIL_BYTES + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	ssize_t n = end < 0 ? -1 : pread(fd, text, TAIL_BYTES, end > TAIL_BYTES ? end - TAIL_BYTES : 0);
	char *rest = text, *line;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	if (end > TAIL_BYTES)
		strsep(&rest, "\n"); /* the first line is cut */
	while (rest && (line = strsep(&rest, "\n")))
		if (*line)
			fprintf(stderr, "    %s\n", line);
}

void child_tell_end(const struct child *child)
{
	if (WIFSIGNALED(child->status))
		fprintf(stderr, "millrace dev: %s was ended by signal %d\n", child->name, WTERMSIG(child->status));
	else
		fprintf(stderr, "millrace dev: %s ended with exit status %d\n", child->name, WEXITSTATUS(child->status));
	print_tail(child->log);
}

void child_deinit(struct child *child)
{
	free(child->log);
	child->log = NULL;
}
