/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The execution log of the tests, written from C activities: see exec_log.py for the format. Header only, so that a shared
 * object of activities needs nothing else. Safe to call from several threads and processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Appends one line to the file that MILLRACE_EXEC_LOG names; without the variable it does nothing. event: "start", "end" or a
 * word of the test's own. Keys are percent-encoded ids; quotes, backslashes and control characters in them become '?'. */
static inline void exec_log(const char *event, const char *key, unsigned attempt)
{
	const char *path = getenv("MILLRACE_EXEC_LOG");
	if (!path || !path[0])
		return;

	char safe[600];
	size_t n = 0;
	for (; key[n] && n < sizeof(safe) - 1; n++) {
		unsigned char c = (unsigned char)key[n];
		safe[n] = c < 0x20 || c == '"' || c == '\\' ? '?' : key[n];
	}
	safe[n] = '\0';

	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;

	char line[800];
	int length = snprintf(line, sizeof(line),
			      "{\"event\": \"%s\", \"key\": \"%s\", \"attempt\": %u, \"pid\": %d, \"at_ms\": %" PRId64 "}\n",
			      event, safe, attempt, (int)getpid(), at_ms);
	if (length < 0 || (size_t)length >= sizeof(line))
		abort();

	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		fprintf(stderr, "exec_log: %s: %s\n", path, strerror(errno));
		abort();
	}
	if (write(fd, line, (size_t)length) != length)
		abort();
	close(fd);
}
