/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "millrace/client.h"
#include "program/program.h"

/* What the commands have in common. */

/* How long a command tries to reach Kafka or Redis. */
#define CLI_TIMEOUT_MS 10000
/* A little longer than the 10 s after which the bus is sure that a topic does not exist. */
#define CLI_SUBMIT_TIMEOUT_MS 12000

#define CLI_EXIT_CODES                                                                                                           \
	"Exit: 0 completed, 1 failed, 2 wrong usage or unknown key, 3 timed out, 4 canceled or terminated, 5 --wait ran out, 6 " \
	"Kafka or "                                                                                                              \
	"Redis is unreachable.\n"

/* clang-format off */
/* Of commands that print a result, and of those that are about queues. */
#define CLI_JSON_OPTION(structure)                                                                                               \
	{.kind = CONF_BOOL,                                                                                                      \
	 .name = "json",                                                                                                         \
	 .offset = offsetof(structure, json),                                                                                    \
	 .help = "Prints the whole result record as one line of JSON, whatever the outcome."}
#define CLI_WAIT_OPTION(structure, text)                                                                                         \
	{.kind = CONF_DURATION, .name = "wait", .arg = "D", .min = 0, .max = TASK_DURATION_MAX_MS,                               \
	 .offset = offsetof(structure, wait_ms), .help = text}
#define CLI_QUEUES_OPTION(structure, text)                                                                                       \
	{.kind = CONF_LIST, .name = "queue", .letter = 'q', .env = "MILLRACE_QUEUES", .arg = "QUEUE", .def = "default",          \
	 .offset = offsetof(structure, queues), .help = text}
/* clang-format on */

/* program_begin for a command that says itself, in one line, what went wrong: log lines only with --log-level debug. */
int cli_begin(const struct conf_program *program, int argc, char **argv, void *options, size_t common_offset,
	      struct conf_list *ret_args);
/* program_fail with the commands' own view of a task that is too large: wrong usage. */
int cli_fail(const char *program, const struct mr_error *err);
enum mr_status cli_client_new(const struct program_common *common, struct mr_client **ret, struct mr_error *err);

/* The result's payload, or the whole record, on stdout; why it is none on stderr. Returns the exit code of the outcome. */
int cli_print_result(const char *program, struct mr_result *result, bool json);

#endif
