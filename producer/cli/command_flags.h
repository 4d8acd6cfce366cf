/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMAND_FLAGS_H
#define CLI_COMMAND_FLAGS_H

#include "cli/cli.h"

/* The flags of the commands to tasks: cancel, pause, complete, ... Each command has those of its table only. */
struct command_flags {
	const char *run_id, *request_id, *reason, *token;
	const char *result, *details, *content_type;
	const char *failure_type, *message;
	bool non_retryable;
	/* update; texts, because 0 is not the same as not given */
	const char *schedule_to_close, *schedule_to_start, *start_to_close, *heartbeat_timeout;
	const char *initial_interval, *max_interval, *max_attempts;
	double backoff_coefficient;
	struct conf_list non_retryable_types;
	int64_t priority;
	/* of many tasks at once */
	bool all, yes;
	const char *match_type, *match_queue;
	int64_t limit;

	int64_t wait_ms;
	bool json;
	struct program_common common;
};

/* The table of a command, by its kind: its flags and --help. */
const struct conf_program *command_program(enum mr_command_kind kind);
/* "cancel" */
const char *command_word(enum mr_command_kind kind);

/* The command that the flags say, without a task key, with the memory that it needs. */
struct cli_command {
	struct mr_command command;
	struct mr_changes changes;
	struct mr_failure failure;
	struct buf result, details;
};
/* MR_EINVAL names the flag. The flags must outlive the command. Call cli_command_deinit in any case. */
enum mr_status cli_command_init(struct cli_command *command, enum mr_command_kind kind, const struct command_flags *flags,
				struct mr_error *err);
void cli_command_deinit(struct cli_command *command);

#endif
