/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_EXEC_ACTIVITY_H
#define CONSUMER_EXEC_ACTIVITY_H

struct mr_attempt;

/*
 * Runs the program of an exec activity to its end (protocol.md, "exec activities"): input on stdin, result from stdout, stderr's
 * tail as the failure's message, heartbeats from a pipe, SIGTERM to its process group on cancel, SIGKILL after the grace period;
 * what it leaves behind is killed.
 */
void exec_activity_run(struct mr_attempt *attempt);

#endif
