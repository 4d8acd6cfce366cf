/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEV_STACK_H
#define CLI_DEV_STACK_H

#include "cli/child.h"
#include "cli/cli.h"

/* Everything that `millrace dev` runs, in the order of its start; it is stopped in the opposite one. */
enum dev_member { DEV_REDIS, DEV_BROKER, DEV_SCHEDULER, DEV_WORKER, DEV_MEMBERS };

struct dev_stack {
	/* Given. */
	const struct program_common *common;      /* brokers and redis are those of the stack */
	const char *worker_http, *scheduler_http; /* NULL: none */
	const struct conf_list *queues;
	const struct conf_list *libraries; /* besides the examples */
	int broker_port;                   /* of the embedded broker; 0: a real one runs at `brokers` */
	int redis_port;
	int signal_fd;
	/* Made. */
	char folder[64]; /* logs, and where Redis runs */
	char *examples;
	struct child members[DEV_MEMBERS];
	bool ended_by_signal;
};

/* Starts all, and runs a task to see that it works. Whatever it returns, call dev_stack_stop. MR_ECLOSED: a signal came. Where a
 * member ended, that has been told on stderr, and err->message is empty. */
enum mr_status dev_stack_start(struct dev_stack *stack, struct mr_error *err);
/* Until a signal comes (MR_ECLOSED) or a member ends (MR_ESYSTEM, told). */
enum mr_status dev_stack_run(struct dev_stack *stack);
void dev_stack_stop(struct dev_stack *stack);

#endif
