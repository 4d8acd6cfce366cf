/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_EXEC_RESULT_H
#define CONSUMER_EXEC_RESULT_H

#include "base/bytes.h"

struct mr_attempt;

#define EXEC_STDERR_BYTES 4096
#define EXEC_PERMANENT 100 /* exit status for a failure that is not to be retried (qmail's convention) */

/* How a program ended, and what follows from it for the attempt. */
struct exec_end {
	int wait_status;
	bool too_large; /* stdout passed the limit, for which it was killed */
	bool cancelled; /* it was told to stop */
	struct bytes out;
	struct bytes err; /* the tail */
};

void exec_result(struct mr_attempt *attempt, const struct exec_end *end);
/* It did not start. */
void exec_failed(struct mr_attempt *attempt, int error);
/* The clean environment: PATH, HOME, LANG, TZ and MILLRACE_*; in the attempt's arena. */
char *const *exec_environment(struct mr_attempt *attempt, int heartbeat_fd);

#endif
