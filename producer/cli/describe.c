/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/describe.h"

/* millrace describe: where a task stands. */

struct options {
	bool json;
	struct program_common common;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Output"},
	{.kind = CONF_BOOL,
	 .name = "json",
	 .offset = offsetof(struct options, json),
	 .help = "Prints one line of JSON: task_key, state, run_id, epoch, attempt, worker, started_at_ms, due_at_ms, what "
		 "commands ask "
		 "for (cancel_requested, terminate_requested, pause_requested, reset_requested, options), parked_at_ms, pending "
		 "and token of an "
		 "asynchronous completion, last_heartbeat_at_ms, heartbeat_details, failures, result."},
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace describe",
	.usage = "KEY",
	.purpose = "Tells where a task stands: its state, run, attempt, next attempt, last heartbeat and failures, worker, what "
		   "commands have "
		   "asked for, and its result if it has one.",
	.epilog = "States: SCHEDULED (in its queue), STARTED, BACKING_OFF, WAITING (held back), MARKED (only commands are known "
		  "of it, "
		  "which it will obey), and those of the result: COMPLETED, FAILED, TIMED_OUT, CANCELED, TERMINATED.\n"
		  "Exit: 0 it is known, 2 wrong usage or unknown key, 6 Kafka or Redis is unreachable.\n",
	.options = OPTIONS,
	.min_args = 1,
	.max_args = 1,
	.file_option = "config",
};

/* ---- The command ---- */

static enum mr_status collect(struct description *d, const struct program_common *common, struct mr_error *err)
{
	const struct task_view *view = &d->lookup.view;
	enum mr_status status = lookup_init(&d->lookup, common, d->key, CLI_TIMEOUT_MS, err);

	if (status != MR_OK)
		return status;
	d->now_ms = looker_time_ms(&d->lookup.looker);
	switch (view->state) {
	case VIEW_FINISHED:
		return lookup_result(&d->lookup, &d->box, err);
	case VIEW_BACKING_OFF:
	case VIEW_WAITING:
	case VIEW_SCHEDULED:
	case VIEW_STARTED:
		if (view->journal_offset < 0)
			return MR_OK;
		return journal_entry_init(&d->entry, common, d->lookup.shard, view->journal_offset, err);
	case VIEW_MARKED:
		return MR_OK;
	case VIEW_NONE:
		break;
	}
	return mr_error_set(err, MR_ENOT_FOUND, d->key,
			    view->shard_ready
				    ? "no such task was started, or it ended longer ago than results are remembered; it may "
				      "wait in its queue"
				    : "not known: no scheduler has vouched for the data in Redis yet");
}

static enum mr_status print(const struct description *d, bool json, struct mr_error *err)
{
	struct buf out = {0};
	bool ok;

	if (json)
		describe_json(d, &out);
	else
		describe_text(d, &out);
	ok = fwrite(out.data, 1, out.len, stdout) == out.len && !fflush(stdout);
	buf_deinit(&out);
	return ok ? MR_OK : mr_error_set(err, MR_ESYSTEM, "stdout", "the description cannot be written");
}

int command_describe(int argc, char **argv)
{
	struct description d = {0};
	struct mr_error err = {0};
	struct options options;
	struct conf_list args;
	int exit_code = cli_begin(&CONF, argc, argv, &options, offsetof(struct options, common), &args);

	if (exit_code >= 0)
		return exit_code;
	d.key = args.items[0];
	exit_code = PROGRAM_OK;
	if (collect(&d, &options.common, &err) != MR_OK || print(&d, options.json, &err) != MR_OK)
		exit_code = cli_fail(CONF.name, &err);
	result_box_free(d.box);
	journal_entry_deinit(&d.entry);
	lookup_deinit(&d.lookup);
	conf_deinit(&CONF, &options);
	return exit_code;
}
