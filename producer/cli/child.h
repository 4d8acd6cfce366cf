/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <sys/types.h>

#include "base/bytes.h"
#include "millrace/status.h"

/*
 * A program that runs below `millrace dev`: in a process group of its own, so that Ctrl-C reaches us alone and we end them in
 * order; with a signal from the kernel should we die; with its output in a file.
 */
struct child {
	const char *name;
	pid_t pid;  /* 0: not started, or ended and reaped */
	int status; /* of waitpid, once it ended */
	char *log;
};

/* argv[0] is the path of the program; argv ends with NULL. Its output goes to FOLDER/NAME.log. `death_signal`: what it gets when
 * we die. MR_ESYSTEM. */
enum mr_status child_start(struct child *child, const char *name, char *const *argv, const char *folder, int death_signal,
			   struct mr_error *err);
/* False where it has ended. */
bool child_runs(struct child *child);
/* SIGTERM, then after `grace_ms` SIGKILL, and reaps it. */
void child_stop(struct child *child, int grace_ms);
/* How it ended, with the last lines of its output, on stderr. */
void child_tell_end(const struct child *child);
void child_deinit(struct child *child);

#endif
