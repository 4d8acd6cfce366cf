/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TASK_OPTIONS_H
#define CLI_TASK_OPTIONS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/conf.h"
#include "millrace/client.h"
#include "task/task.h"

/* The flags that describe a task, of submit and execute. */
struct task_options {
	const char *queue, *type, *activity_id, *workflow_id;
	const char *input, *content_type;
	struct conf_list headers;
	bool avro;
	int64_t priority;
	const char *fairness_key, *reply_topic;
	int id_reuse, id_conflict; /* enum mr_id_reuse, enum mr_id_conflict */
	int64_t schedule_to_close_ms, schedule_to_start_ms, start_to_close_ms, heartbeat_timeout_ms, start_delay_ms;
	int64_t max_attempts, initial_interval_ms, max_interval_ms;
	double backoff_coefficient;
	struct conf_list non_retryable;
};

/* Rows for a command's table: TASK_OPTIONS(struct submit_options, task). */
#define TASK_OPTIONS(structure, at)                                                                                              \
	{.kind = CONF_GROUP, .name = "Task"},                                                                                    \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "queue",                                                                                                \
		 .letter = 'q',                                                                                                  \
		 .arg = "QUEUE",                                                                                                 \
		 .def = "default",                                                                                               \
		 .offset = offsetof(structure, at.queue),                                                                        \
		 .help = "Task queue."},                                                                                         \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "type",                                                                                                 \
		 .letter = 't',                                                                                                  \
		 .arg = "TYPE",                                                                                                  \
		 .offset = offsetof(structure, at.type),                                                                         \
		 .help = "Activity to run. Required."},                                                                          \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "activity-id",                                                                                          \
		 .letter = 'i',                                                                                                  \
		 .arg = "ID",                                                                                                    \
		 .offset = offsetof(structure, at.activity_id),                                                                  \
		 .help = "Id of the task within its workflow, or alone. Submitted again it is not run again. Random where it "   \
			 "is left out."},                                                                                        \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "workflow-id",                                                                                          \
		 .letter = 'w',                                                                                                  \
		 .arg = "ID",                                                                                                    \
		 .offset = offsetof(structure, at.workflow_id),                                                                  \
		 .help = "Workflow that the task belongs to; needs --activity-id."},                                             \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "input",                                                                                                \
		 .arg = "JSON|@FILE|-",                                                                                          \
		 .offset = offsetof(structure, at.input),                                                                        \
		 .help = "Input: a JSON value, a file that holds one, or standard input."},                                      \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "content-type",                                                                                         \
		 .arg = "TYPE",                                                                                                  \
		 .offset = offsetof(structure, at.content_type),                                                                 \
		 .help = "The input is not JSON but bytes of this kind, such as text/plain."},                                   \
		{.kind = CONF_LIST,                                                                                              \
		 .name = "header",                                                                                               \
		 .arg = "NAME=VALUE",                                                                                            \
		 .offset = offsetof(structure, at.headers),                                                                      \
		 .help = "Header that travels with the task and its result; may repeat."},                                       \
		{.kind = CONF_BOOL,                                                                                              \
		 .name = "avro",                                                                                                 \
		 .offset = offsetof(structure, at.avro),                                                                         \
		 .help = "Sends the task as Avro, and so gets its result in Kafka as Avro; JSON otherwise."},                    \
		{.kind = CONF_INT,                                                                                               \
		 .name = "priority",                                                                                             \
		 .arg = "N",                                                                                                     \
		 .def = "3",                                                                                                     \
		 .min = 1,                                                                                                       \
		 .max = 5,                                                                                                       \
		 .offset = offsetof(structure, at.priority),                                                                     \
		 .help = "From 1, first, to 5."},                                                                                \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "fairness-key",                                                                                         \
		 .arg = "KEY",                                                                                                   \
		 .offset = offsetof(structure, at.fairness_key),                                                                 \
		 .help = "Whose share of the queue it takes; carried, without effect so far."},                                  \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "reply-topic",                                                                                          \
		 .arg = "TOPIC",                                                                                                 \
		 .offset = offsetof(structure, at.reply_topic),                                                                  \
		 .help = "Topic that gets a copy of the result."},                                                               \
		{.kind = CONF_ENUM,                                                                                              \
		 .name = "id-reuse",                                                                                             \
		 .arg = "POLICY",                                                                                                \
		 .def = "return-existing",                                                                                       \
		 .choices = "return-existing|allow-duplicate|allow-duplicate-failed-only|reject-duplicate",                      \
		 .offset = offsetof(structure, at.id_reuse),                                                                     \
		 .help = "What a key means whose task has ended."},                                                              \
		{.kind = CONF_ENUM,                                                                                              \
		 .name = "id-conflict",                                                                                          \
		 .arg = "POLICY",                                                                                                \
		 .def = "use-existing",                                                                                          \
		 .choices = "use-existing|fail",                                                                                 \
		 .offset = offsetof(structure, at.id_conflict),                                                                  \
		 .help = "What a key means whose task still runs."},                                                             \
		{.kind = CONF_GROUP, .name = "Timeouts (500ms, 30s, 5m, 1h)"},                                                   \
		{.kind = CONF_DURATION,                                                                                          \
		 .name = "start-to-close",                                                                                       \
		 .arg = "D",                                                                                                     \
		 .min = 0,                                                                                                       \
		 .max = TASK_DURATION_MAX_MS,                                                                                    \
		 .offset = offsetof(structure, at.start_to_close_ms),                                                            \
		 .help = "How long one attempt may run. 10m where neither this nor --schedule-to-close is given."},              \
		{.kind = CONF_DURATION,                                                                                          \
		 .name = "schedule-to-close",                                                                                    \
		 .arg = "D",                                                                                                     \
		 .min = 0,                                                                                                       \
		 .max = TASK_DURATION_MAX_MS,                                                                                    \
		 .offset = offsetof(structure, at.schedule_to_close_ms),                                                         \
		 .help = "How long the task may take with all its attempts."},                                                   \
		{.kind = CONF_DURATION,                                                                                          \
		 .name = "schedule-to-start",                                                                                    \
		 .arg = "D",                                                                                                     \
		 .min = 0,                                                                                                       \
		 .max = TASK_DURATION_MAX_MS,                                                                                    \
		 .offset = offsetof(structure, at.schedule_to_start_ms),                                                         \
		 .help = "How long an attempt may wait for a worker."},                                                          \
		{.kind = CONF_DURATION,                                                                                          \
		 .name = "heartbeat-timeout",                                                                                    \
		 .arg = "D",                                                                                                     \
		 .min = 0,                                                                                                       \
		 .max = TASK_DURATION_MAX_MS,                                                                                    \
		 .offset = offsetof(structure, at.heartbeat_timeout_ms),                                                         \
		 .help = "Longest silence of an attempt that tells its progress."},                                              \
		{.kind = CONF_DURATION,                                                                                          \
		 .name = "start-delay",                                                                                          \
		 .arg = "D",                                                                                                     \
		 .min = 0,                                                                                                       \
		 .max = TASK_DURATION_MAX_MS,                                                                                    \
		 .offset = offsetof(structure, at.start_delay_ms),                                                               \
		 .help = "How long the task waits before it may start."},                                                        \
		{.kind = CONF_GROUP, .name = "Retries"},                                                                         \
		{.kind = CONF_INT,                                                                                               \
		 .name = "max-attempts",                                                                                         \
		 .arg = "N",                                                                                                     \
		 .min = 0,                                                                                                       \
		 .max = INT32_MAX,                                                                                               \
		 .offset = offsetof(structure, at.max_attempts),                                                                 \
		 .help = "Attempts at most; 0 = no limit, 1 = at most once."},                                                   \
		{.kind = CONF_DURATION,                                                                                          \
		 .name = "initial-interval",                                                                                     \
		 .arg = "D",                                                                                                     \
		 .min = 0,                                                                                                       \
		 .max = TASK_DURATION_MAX_MS,                                                                                    \
		 .offset = offsetof(structure, at.initial_interval_ms),                                                          \
		 .help = "Wait after the first failed attempt. Default 1s."},                                                    \
		{.kind = CONF_DOUBLE,                                                                                            \
		 .name = "backoff-coefficient",                                                                                  \
		 .arg = "F",                                                                                                     \
		 .offset = offsetof(structure, at.backoff_coefficient),                                                          \
		 .help = "Each further wait is so much longer than the one before. Default 2."},                                 \
		{.kind = CONF_DURATION,                                                                                          \
		 .name = "max-interval",                                                                                         \
		 .arg = "D",                                                                                                     \
		 .min = 0,                                                                                                       \
		 .max = TASK_DURATION_MAX_MS,                                                                                    \
		 .offset = offsetof(structure, at.max_interval_ms),                                                              \
		 .help = "Longest wait. Default 100 times the first."},                                                          \
	{                                                                                                                        \
		.kind = CONF_LIST, .name = "non-retryable", .arg = "TYPE", .offset = offsetof(structure, at.non_retryable),      \
		.help = "Failure type that ends the task at once; may repeat."                                                   \
	}

/* A task made of them, with the memory that it needs. */
struct cli_task {
	struct mr_task task;
	struct buf input;
	struct mr_header *headers;
	char *names; /* of the headers */
};

/* MR_EINVAL names the flag. The flags must outlive the task. Call cli_task_deinit in any case. */
enum mr_status cli_task_init(struct cli_task *task, const struct task_options *options, struct mr_error *err);
void cli_task_deinit(struct cli_task *task);

#endif
