/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES (64 * 1024)

struct start {
	const struct spawn *spawn;
	pid_t parent;
	int error;
};

static int place(int fd, int wanted)
{
	if (fd == wanted)
		return fcntl(fd, F_SETFD, 0);
	return dup2(fd, wanted);
}

/* Runs in the parent's memory while the parent waits: system calls only. */
static int child(void *arg)
{
	struct start *start = arg;
	const struct spawn *s = start->spawn;
	struct sigaction def = {.sa_handler = SIG_DFL};
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != start->parent)
		_exit(127);
	if (place(s->stdin_fd, 0) < 0 || place(s->stdout_fd, 1) < 0 || place(s->stderr_fd, 2) < 0 ||
	    place(s->extra_fd, SPAWN_EXTRA_FD) < 0) {
		start->error = errno;
		_exit(127);
	}
	syscall(SYS_close_range, SPAWN_EXTRA_FD + 1, UINT_MAX,
		0); /* without it (Linux < 5.9) what libraries left open without O_CLOEXEC stays open */
	sigaction(SIGPIPE, &def, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(s->program, s->argv, s->envp);
	start->error = errno;
	_exit(127);
}

int spawn(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd)
{
	static char *stack;
	struct start start = {.spawn = spawn, .parent = getpid()};
	sigset_t all, before;
	pid_t pid;
	int pidfd = -1, error;

	if (!stack) {
		void *memory = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

		if (memory == MAP_FAILED)
			return errno;
		stack = memory;
	}
	/* No handler of the parent may run in the child. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = clone(child, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start, &pidfd);
	error = pid < 0 ? errno : start.error;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid > 0 && error) {
		waitpid(pid, NULL, 0);
		close(pidfd);
	}
	if (error)
		return error;
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}
