/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/task_options.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cli/input.h"

#define DEFAULT_START_TO_CLOSE_MS (10 * 60 * 1000)

static enum mr_status read_input(struct cli_task *task, const struct task_options *options, struct mr_error *err)
{
	struct bytes value;
	enum mr_status status;

	if (!options->input)
		return options->content_type
			       ? mr_error_set(err, MR_EINVAL, "--content-type", "goes with --input only, which is not given")
			       : MR_OK;
	status = input_read("--input", options->input, &task->input, err);
	value = buf_bytes(&task->input);
	if (status == MR_OK && !options->content_type)
		status = input_json("--input", value, &value, err);
	task->task.input = (struct mr_payload){value.data, value.len,
					       options->content_type ? options->content_type : PAYLOAD_JSON};
	return status;
}

static enum mr_status read_headers(struct cli_task *task, const struct conf_list *list, struct mr_error *err)
{
	size_t bytes = 1;
	char *p;

	for (size_t i = 0; i < list->len; i++)
		bytes += strlen(list->items[i]) + 1;
	p = task->names = mem_alloc(bytes);
	task->headers = mem_alloc((list->len + 1) * sizeof(*task->headers));
	for (size_t i = 0; i < list->len; i++) {
		const char *text = list->items[i], *equals = strchr(text, '=');

		if (!equals || equals == text)
			return mr_error_set(err, MR_EINVAL, "--header", "%s: NAME=VALUE is accepted", text);
		task->headers[i] = (struct mr_header){p, equals + 1, strlen(equals + 1)};
		memcpy(p, text, (size_t)(equals - text));
		p += equals - text + 1;
	}
	task->task.headers = task->headers;
	task->task.n_headers = list->len;
	return MR_OK;
}

static int64_t start_to_close_ms(const struct task_options *options)
{
	if (options->start_to_close_ms == 0 && options->schedule_to_close_ms == 0)
		return DEFAULT_START_TO_CLOSE_MS;
	return options->start_to_close_ms;
}

enum mr_status cli_task_init(struct cli_task *task, const struct task_options *options, struct mr_error *err)
{
	enum mr_status status;

	*task = (struct cli_task){0};
	if (!options->type)
		return mr_error_set(err, MR_EINVAL, "--type", "it is required: the activity to run");
	task->task = (struct mr_task){
		.size = sizeof(struct mr_task),
		.queue = options->queue,
		.activity_type = options->type,
		.workflow_id = options->workflow_id,
		.activity_id = options->activity_id,
		.schedule_to_close_timeout_ms = options->schedule_to_close_ms,
		.schedule_to_start_timeout_ms = options->schedule_to_start_ms,
		.start_to_close_timeout_ms = start_to_close_ms(options),
		.heartbeat_timeout_ms = options->heartbeat_timeout_ms,
		.initial_interval_ms = options->initial_interval_ms,
		.backoff_coefficient = options->backoff_coefficient,
		.maximum_interval_ms = options->max_interval_ms,
		.maximum_attempts = options->max_attempts,
		.non_retryable_error_types = (const char *const *)options->non_retryable.items,
		.n_non_retryable_error_types = options->non_retryable.len,
		.start_delay_ms = options->start_delay_ms,
		.priority = (int)options->priority,
		.fairness_key = options->fairness_key,
		.reply_topic = options->reply_topic,
		.id_reuse = (enum mr_id_reuse)options->id_reuse,
		.id_conflict = (enum mr_id_conflict)options->id_conflict,
		.format = options->avro ? MR_FORMAT_AVRO : MR_FORMAT_JSON,
	};
	status = read_input(task, options, err);
	return status == MR_OK ? read_headers(task, &options->headers, err) : status;
}

void cli_task_deinit(struct cli_task *task)
{
	buf_deinit(&task->input);
	free(task->headers);
	free(task->names);
}
