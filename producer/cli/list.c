/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/lookup.h"
#include "cli/survey.h"
#include "wire/wire.h"

/* millrace list: the tasks that have not ended. */

/* With --state, which only Redis knows, so many are looked at. */
#define LOOK_AT_MAX 1000000

struct options {
	const char *type, *queue;
	int state;
	int64_t limit;
	bool json;
	struct program_common common;
};

/* As of --state. */
enum { STATE_ANY, STATE_SCHEDULED, STATE_STARTED, STATE_BACKING_OFF, STATE_WAITING, STATE_PAUSED, STATE_CANCELING };

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Which"},
	{.kind = CONF_STRING,
	 .name = "type",
	 .letter = 't',
	 .arg = "TYPE",
	 .offset = offsetof(struct options, type),
	 .help = "Tasks of this activity."},
	{.kind = CONF_STRING,
	 .name = "queue",
	 .letter = 'q',
	 .arg = "QUEUE",
	 .offset = offsetof(struct options, queue),
	 .help = "Tasks of this queue."},
	{.kind = CONF_ENUM,
	 .name = "state",
	 .letter = 's',
	 .arg = "STATE",
	 .def = "any",
	 .choices = "any|scheduled|started|backing-off|waiting|paused|canceling",
	 .offset = offsetof(struct options, state),
	 .help = "Tasks that stand so; paused and canceling: of whatever state."},
	{.kind = CONF_INT,
	 .name = "limit",
	 .arg = "N",
	 .def = "1000",
	 .min = 1,
	 .max = LOOK_AT_MAX,
	 .offset = offsetof(struct options, limit),
	 .help = "How many to list at most."},
	{.kind = CONF_GROUP, .name = "Output"},
	{.kind = CONF_BOOL,
	 .name = "json",
	 .offset = offsetof(struct options, json),
	 .help = "Prints one line of JSON a task: task_key, state, type, queue, and where Redis knows them run_id, attempt, "
		 "worker, "
		 "due_at_ms, pause_requested, cancel_requested."},
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace list",
	.usage = "",
	.purpose =
		"Lists the tasks that have not ended: those that wait in a queue, run, wait for their next attempt, or are held "
		"back. Reads what is not settled of the queues, and the journal.",
	.epilog = "A line is: key, state (SCHEDULED: in its queue), attempt, activity, queue, and paused or canceling.\n"
		  "Exit: 0 listed, 2 wrong usage or no such queue, 6 Kafka is unreachable. A Redis that is away is no obstacle: "
		  "the "
		  "states are then as Kafka has them.\n"
		  "Example: millrace list -t charge_card -s paused\n",
	.options = OPTIONS,
	.file_option = "config",
};

static bool stands_so(const struct survey_task *task, int state)
{
	switch (state) {
	case STATE_SCHEDULED:
		return task->state == VIEW_SCHEDULED;
	case STATE_STARTED:
		return task->state == VIEW_STARTED;
	case STATE_BACKING_OFF:
		return task->state == VIEW_BACKING_OFF;
	case STATE_WAITING:
		return task->state == VIEW_WAITING;
	case STATE_PAUSED:
		return task->paused;
	case STATE_CANCELING:
		return task->canceling;
	default:
		return true;
	}
}

static void json_text(struct buf *out, const char *name, struct bytes text)
{
	if (text.len == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	wire_append_json_string(out, text);
}

static void line_json(const struct survey_task *task, struct buf *out)
{
	const struct task_view *view = &task->view;

	buf_printf(out, "{\"task_key\":");
	wire_append_json_string(out, task->key);
	json_text(out, "state", bytes_of(lookup_state_name(task->state)));
	json_text(out, "type", task->type);
	json_text(out, "queue", task->queue);
	json_text(out, "run_id", view->run_id);
	if (view->attempt > 0)
		buf_printf(out, ",\"attempt\":%" PRId64, view->attempt);
	json_text(out, "worker", view->worker);
	if (view->due_ms > 0)
		buf_printf(out, ",\"due_at_ms\":%" PRId64, view->due_ms);
	buf_printf(out, ",\"pause_requested\":%s,\"cancel_requested\":%s}\n", task->paused ? "true" : "false",
		   task->canceling ? "true" : "false");
}

static void line_text(const struct survey_task *task, struct buf *out)
{
	buf_printf(out, "%.*s\t%s\t%" PRId64 "\t%.*s\t%.*s\t%s%s%s\n", BYTES_ARG(task->key), lookup_state_name(task->state),
		   task->view.attempt > 0 ? task->view.attempt : 1, BYTES_ARG(task->type), BYTES_ARG(task->queue),
		   task->paused ? "paused" : "", task->paused && task->canceling ? " " : "", task->canceling ? "canceling" : "");
}

static enum mr_status print(const struct survey *survey, const struct options *options, struct mr_error *err)
{
	int64_t n = 0, left_out = 0;
	struct buf out = {0};
	bool ok;

	for (size_t i = 0; i < survey->len; i++) {
		if (!stands_so(&survey->tasks[i], options->state))
			continue;
		if (n == options->limit) {
			left_out++;
			continue;
		}
		n++;
		if (options->json)
			line_json(&survey->tasks[i], &out);
		else
			line_text(&survey->tasks[i], &out);
	}
	ok = fwrite(out.data ? out.data : "", 1, out.len, stdout) == out.len && !fflush(stdout);
	buf_deinit(&out);
	if (!survey->known)
		fprintf(stderr, "millrace list: Redis at %s does not answer: the states are as Kafka has them\n",
			options->common.redis);
	if (survey->cut || left_out > 0)
		fprintf(stderr, "millrace list: there are more than --limit %" PRId64 "\n", options->limit);
	return ok ? MR_OK : mr_error_set(err, MR_ESYSTEM, "stdout", "the list cannot be written");
}

int command_list(int argc, char **argv)
{
	struct mr_error err = {0};
	struct options options;
	struct survey survey;
	int exit_code = cli_begin(&CONF, argc, argv, &options, offsetof(struct options, common), NULL);

	if (exit_code >= 0)
		return exit_code;
	const struct survey_filter filter = {options.type, options.queue,
					     options.state == STATE_ANY ? (size_t)options.limit : LOOK_AT_MAX};
	exit_code = PROGRAM_OK;
	if (survey_init(&survey, &options.common, &filter, &err) != MR_OK || print(&survey, &options, &err) != MR_OK)
		exit_code = cli_fail(CONF.name, &err);
	survey_deinit(&survey);
	conf_deinit(&CONF, &options);
	return exit_code;
}
