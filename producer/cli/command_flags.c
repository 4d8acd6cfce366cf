/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command_flags.h"

#include <stdlib.h>

#include "cli/input.h"

/* ---- Flags ---- */

/* clang-format off */
#define TEXT(flag, member, value, text)                                                                                          \
	{.kind = CONF_STRING, .name = flag, .arg = value, .offset = offsetof(struct command_flags, member), .help = text}
#define SWITCH(flag, member, text)                                                                                               \
	{.kind = CONF_BOOL, .name = flag, .offset = offsetof(struct command_flags, member), .help = text}

#define COMMAND_ROWS                                                                                                             \
	{.kind = CONF_GROUP, .name = "Command"},                                                                                 \
	TEXT("run-id", run_id, "RUN", "Only this run of the task; otherwise the one that there is, or comes."),                  \
	TEXT("request-id", request_id, "ID", "The same command with the same id counts once. Random where it is left out."),     \
	TEXT("reason", reason, "TEXT", "Why, for people.")
#define TOKEN_ROW TEXT("token", token, "TOKEN", "Only the attempt that has this token; otherwise whatever attempt there is.")
#define WAIT_ROWS(what)                                                                                                          \
	{.kind = CONF_GROUP, .name = "Answer"},                                                                                  \
	CLI_WAIT_OPTION(struct command_flags, what),                                                                             \
	SWITCH("json", json, "Prints one line of JSON: the result record where --wait got one, else task_key, command, "         \
			     "request_id and what was known of the task before: state, run_id, attempt.")
#define WAIT_FOR_RESULT "How long to wait for the task's result, and print it; 0 = only until Kafka has the command."
#define WAIT_FOR_EFFECT "How long to wait until the scheduler has done it; 0 = only until Kafka has the command."
#define MANY_ROWS                                                                                                                \
	{.kind = CONF_GROUP, .name = "Many tasks"},                                                                              \
	SWITCH("all", all, "Instead of KEY: all tasks that millrace list finds with --type or --queue, or both."),               \
	{.kind = CONF_STRING, .name = "type", .letter = 't', .arg = "TYPE",                                                      \
	 .offset = offsetof(struct command_flags, match_type), .help = "With --all: tasks of this activity."},                   \
	{.kind = CONF_STRING, .name = "queue", .letter = 'q', .arg = "QUEUE",                                                    \
	 .offset = offsetof(struct command_flags, match_queue), .help = "With --all: tasks of this queue."},                     \
	{.kind = CONF_INT, .name = "limit", .arg = "N", .def = "100000", .min = 1, .max = 1000000,                               \
	 .offset = offsetof(struct command_flags, limit), .help = "With --all: refuses where more tasks match."},                \
	SWITCH("yes", yes, "With --all: does it; otherwise it is only told how many tasks match.")
#define COMMON_ROWS PROGRAM_COMMON_OPTIONS(struct command_flags, common), CONF_END

static const struct conf_option CANCEL_OPTIONS[] = {COMMAND_ROWS, TOKEN_ROW, WAIT_ROWS(WAIT_FOR_RESULT), MANY_ROWS, COMMON_ROWS};
static const struct conf_option TERMINATE_OPTIONS[] = {COMMAND_ROWS, WAIT_ROWS(WAIT_FOR_RESULT), MANY_ROWS, COMMON_ROWS};
static const struct conf_option PAUSE_OPTIONS[] = {COMMAND_ROWS, WAIT_ROWS(WAIT_FOR_EFFECT), MANY_ROWS, COMMON_ROWS};

static const struct conf_option UPDATE_OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Timeouts and retries; what is not given stays as it is, 0 takes it away"},
	TEXT("schedule-to-close", schedule_to_close, "D", "Longest time from the beginning to the result, over all attempts."),
	TEXT("schedule-to-start", schedule_to_start, "D", "Longest wait for a worker, of each attempt."),
	TEXT("start-to-close", start_to_close, "D", "Longest run of one attempt."),
	TEXT("heartbeat-timeout", heartbeat_timeout, "D", "Longest silence of an attempt that tells its progress."),
	TEXT("max-attempts", max_attempts, "N", "Attempts at most; 0 = no limit."),
	TEXT("initial-interval", initial_interval, "D", "Wait after the first failed attempt."),
	{.kind = CONF_DOUBLE, .name = "backoff-coefficient", .arg = "F",
	 .offset = offsetof(struct command_flags, backoff_coefficient),
	 .help = "Each further wait is so much longer than the one before."},
	TEXT("max-interval", max_interval, "D", "Longest wait."),
	{.kind = CONF_LIST, .name = "non-retryable", .arg = "TYPE", .offset = offsetof(struct command_flags, non_retryable_types),
	 .help = "Failure type that ends the task at once; may repeat; '' = none any more."},
	{.kind = CONF_INT, .name = "priority", .arg = "N", .min = 1, .max = 5, .offset = offsetof(struct command_flags, priority),
	 .help = "From 1, first, to 5."},
	COMMAND_ROWS, WAIT_ROWS(WAIT_FOR_EFFECT), MANY_ROWS, COMMON_ROWS};

static const struct conf_option COMPLETE_OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Result"},
	TEXT("result", result, "JSON|@FILE|-", "Result: a JSON value, a file that holds one, or standard input."),
	TEXT("content-type", content_type, "TYPE", "The result is not JSON but bytes of this kind, such as text/plain."),
	COMMAND_ROWS, TOKEN_ROW, WAIT_ROWS(WAIT_FOR_RESULT), COMMON_ROWS};

static const struct conf_option FAIL_OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Failure"},
	TEXT("type", failure_type, "TYPE", "Kind of failure, for the task's non-retryable types. Default Failed."),
	TEXT("message", message, "TEXT", "What went wrong, for people."),
	SWITCH("non-retryable", non_retryable, "No further attempt follows, whatever the task's retry policy says."),
	TEXT("details", details, "JSON|@FILE|-", "More about it: a JSON value, a file that holds one, or standard input."),
	COMMAND_ROWS, TOKEN_ROW, WAIT_ROWS(WAIT_FOR_RESULT), COMMON_ROWS};

static const struct conf_option HEARTBEAT_OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Progress"},
	TEXT("details", details, "JSON|@FILE|-", "How far it has come: a JSON value, a file that holds one, or standard input."),
	COMMAND_ROWS, TOKEN_ROW, WAIT_ROWS(WAIT_FOR_EFFECT), COMMON_ROWS};

#define SENT_CODES                                                                                                               \
	"Exit without --wait: 0 Kafka has the command, 2 wrong usage, 6 Kafka is unreachable. A Redis that is away is no obstacle: "     \
	"only where the task stands is not known then.\n"
#define RESULT_CODES SENT_CODES "With --wait: 0 completed, 1 failed, 3 timed out, 4 canceled or terminated, 5 --wait ran out.\n"
#define EFFECT_CODES SENT_CODES "With --wait: 0 it is done, or the task has ended, 5 --wait ran out, 6 Redis is unreachable.\n"
#define MANY_CODES "With --all: 0 Kafka has all commands; without --yes 2, and nothing is sent.\n"
#define PROGRAM(word, how, text, codes, table)                                                                                   \
	{.name = "millrace " word, .usage = how, .purpose = text, .epilog = codes, .options = table, .min_args = 0, .max_args = 1,     \
	 .file_option = "config"}
#define ONE "KEY"
#define ONE_OR_MANY "KEY | --all [-t TYPE] [-q QUEUE]"

static const struct conf_program PROGRAMS[] = {
	[MR_COMMAND_CANCEL] = PROGRAM("cancel", ONE_OR_MANY,
		"Cancels a task. Where no attempt is running it is CANCELED at once and never runs; a running attempt is told, may "
		"still complete or fail, and is not tried again.",
		RESULT_CODES MANY_CODES "Example: millrace cancel order-17/charge --reason 'out of stock' --wait 10s\n", CANCEL_OPTIONS),
	[MR_COMMAND_TERMINATE] = PROGRAM("terminate", ONE_OR_MANY,
		"Ends a task at once as TERMINATED. A running attempt is killed without being told before.",
		RESULT_CODES MANY_CODES "Example: millrace terminate order-17/charge --wait 10s\n", TERMINATE_OPTIONS),
	[MR_COMMAND_PAUSE] = PROGRAM("pause", ONE_OR_MANY,
		"Holds a task back: no new attempt begins until millrace unpause. A running attempt is told and may still complete. "
		"The schedule-to-close timeout goes on.",
		EFFECT_CODES MANY_CODES "Example: millrace pause --all -t charge_card --yes\n", PAUSE_OPTIONS),
	[MR_COMMAND_UNPAUSE] = PROGRAM("unpause", ONE_OR_MANY,
		"Lets a paused task go on: at once, or when its backoff or start delay is over.",
		EFFECT_CODES MANY_CODES "Example: millrace unpause --all -t charge_card --yes\n", PAUSE_OPTIONS),
	[MR_COMMAND_RESET] = PROGRAM("reset", ONE_OR_MANY,
		"Begins a task anew: attempt 1, without backoff. A running attempt is told, may still complete, and is otherwise "
		"followed by attempt 1. The last heartbeat details stay, and the schedule-to-close timeout goes on.",
		EFFECT_CODES MANY_CODES "Example: millrace reset order-17/charge\n", PAUSE_OPTIONS),
	[MR_COMMAND_UPDATE] = PROGRAM("update", ONE_OR_MANY,
		"Changes timeouts, retries and priority of a task, for its next attempts.",
		EFFECT_CODES MANY_CODES "Example: millrace update order-17/charge --max-attempts 10 --start-to-close 1m\n", UPDATE_OPTIONS),
	[MR_COMMAND_COMPLETE] = PROGRAM("complete", ONE,
		"Ends a task as COMPLETED with a result: the asynchronous completion of an activity that returned mr_pending, or of "
		"any attempt that is running.",
		RESULT_CODES "Example: millrace complete order-17/approval --result '{\"approved\":true}'\n", COMPLETE_OPTIONS),
	[MR_COMMAND_FAIL] = PROGRAM("fail", ONE,
		"Ends the attempt of a task as failed, from outside. It is tried again as its retry policy says.",
		RESULT_CODES "Example: millrace fail order-17/approval --type Rejected --message 'over budget' --non-retryable\n",
		FAIL_OPTIONS),
	[MR_COMMAND_HEARTBEAT] = PROGRAM("heartbeat", ONE,
		"Tells that the attempt of a task lives, from outside, and how far it has come.",
		EFFECT_CODES "Example: millrace heartbeat order-17/approval --details '\"asked twice\"'\n", HEARTBEAT_OPTIONS),
};
/* clang-format on */

const struct conf_program *command_program(enum mr_command_kind kind)
{
	return &PROGRAMS[kind];
}

const char *command_word(enum mr_command_kind kind)
{
	return strchr(PROGRAMS[kind].name, ' ') + 1;
}

/* ---- The command that they say ---- */

static enum mr_status payload(const char *flag, const char *text, const char *content_type, struct buf *memory,
			      struct mr_payload *ret, struct mr_error *err)
{
	struct bytes value;
	enum mr_status status;

	if (!text)
		return MR_OK;
	status = input_read(flag, text, memory, err);
	value = buf_bytes(memory);
	if (status == MR_OK && !content_type)
		status = input_json(flag, value, &value, err);
	*ret = (struct mr_payload){value.data, value.len, content_type ? content_type : PAYLOAD_JSON};
	return status;
}

static enum mr_status duration(const char *flag, const char *text, int64_t *ret_ms, struct mr_error *err)
{
	int64_t ms;

	if (!text)
		return MR_OK;
	if (!conf_duration_parse(text, &ms) || ms < 0 || ms > TASK_DURATION_MAX_MS)
		return mr_error_set(err, MR_EINVAL, flag,
				    "%s: a duration is accepted, such as 500ms, 30s, 5m, 1h, 1h30m; 0 = none", text);
	*ret_ms = ms == 0 ? MR_NONE : ms;
	return MR_OK;
}

static enum mr_status attempts(const char *text, int64_t *ret, struct mr_error *err)
{
	char *end;
	long long n;

	if (!text)
		return MR_OK;
	n = strtoll(text, &end, 10);
	if (end == text || *end || n < 0 || n > INT32_MAX)
		return mr_error_set(err, MR_EINVAL, "--max-attempts", "%s: a number from 0 to %d is accepted", text, INT32_MAX);
	*ret = n == 0 ? MR_NONE : n;
	return MR_OK;
}

static enum mr_status timeouts(struct mr_changes *changes, const struct command_flags *flags, struct mr_error *err)
{
	enum mr_status status;

	if ((status = duration("--schedule-to-close", flags->schedule_to_close, &changes->schedule_to_close_timeout_ms, err)) ||
	    (status = duration("--schedule-to-start", flags->schedule_to_start, &changes->schedule_to_start_timeout_ms, err)) ||
	    (status = duration("--start-to-close", flags->start_to_close, &changes->start_to_close_timeout_ms, err)))
		return status;
	return duration("--heartbeat-timeout", flags->heartbeat_timeout, &changes->heartbeat_timeout_ms, err);
}

static enum mr_status retries(struct mr_changes *changes, const struct command_flags *flags, struct mr_error *err)
{
	const struct conf_list *types = &flags->non_retryable_types;
	bool none = types->len == 1 && !types->items[0][0];
	enum mr_status status;

	if (types->len > 0) {
		changes->non_retryable_error_types = (const char *const *)types->items;
		changes->n_non_retryable_error_types = none ? 0 : types->len;
	}
	changes->backoff_coefficient = flags->backoff_coefficient;
	changes->priority = (int)flags->priority;
	if ((status = attempts(flags->max_attempts, &changes->maximum_attempts, err)) ||
	    (status = duration("--initial-interval", flags->initial_interval, &changes->initial_interval_ms, err)))
		return status;
	return duration("--max-interval", flags->max_interval, &changes->maximum_interval_ms, err);
}

static bool changes_any(const struct command_flags *flags)
{
	return flags->schedule_to_close || flags->schedule_to_start || flags->start_to_close || flags->heartbeat_timeout ||
	       flags->initial_interval || flags->max_interval || flags->max_attempts || flags->backoff_coefficient != 0 ||
	       flags->non_retryable_types.len > 0 || flags->priority > 0;
}

static enum mr_status read_changes(struct cli_command *command, const struct command_flags *flags, struct mr_error *err)
{
	enum mr_status status;

	command->command.changes = &command->changes;
	if ((status = timeouts(&command->changes, flags, err)) || (status = retries(&command->changes, flags, err)))
		return status;
	if (!changes_any(flags))
		return mr_error_set(err, MR_EINVAL, "update",
				    "nothing to change is given, such as --start-to-close or --max-attempts");
	return MR_OK;
}

static enum mr_status read_failure(struct cli_command *command, const struct command_flags *flags, struct mr_error *err)
{
	command->failure = (struct mr_failure){
		.type = flags->failure_type,
		.message = flags->message,
		.non_retryable = flags->non_retryable,
	};
	command->command.failure = &command->failure;
	return payload("--details", flags->details, NULL, &command->details, &command->failure.details, err);
}

enum mr_status cli_command_init(struct cli_command *command, enum mr_command_kind kind, const struct command_flags *flags,
				struct mr_error *err)
{
	*command = (struct cli_command){.command = {
						.size = sizeof(struct mr_command),
						.kind = kind,
						.run_id = flags->run_id,
						.request_id = flags->request_id,
						.reason = flags->reason,
						.token = flags->token,
						.format = MR_FORMAT_JSON,
					}};
	switch (kind) {
	case MR_COMMAND_CANCEL:
	case MR_COMMAND_TERMINATE:
	case MR_COMMAND_PAUSE:
	case MR_COMMAND_UNPAUSE:
	case MR_COMMAND_RESET:
		return MR_OK;
	case MR_COMMAND_UPDATE:
		return read_changes(command, flags, err);
	case MR_COMMAND_COMPLETE:
		return payload("--result", flags->result, flags->content_type, &command->result, &command->command.result, err);
	case MR_COMMAND_FAIL:
		return read_failure(command, flags, err);
	case MR_COMMAND_HEARTBEAT:
		return payload("--details", flags->details, NULL, &command->details, &command->command.details, err);
	}
	abort();
}

void cli_command_deinit(struct cli_command *command)
{
	buf_deinit(&command->result);
	buf_deinit(&command->details);
}
