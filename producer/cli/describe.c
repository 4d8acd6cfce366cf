/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/journal_entry.h"
#include "cli/lookup.h"

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
	 .help = "Prints one line of JSON: task_key, state, run_id, epoch, attempt, worker, started_at_ms, due_at_ms, "
		 "cancel_requested, pause_requested, failures, result."},
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace describe",
	.usage = "KEY",
	.purpose =
		"Tells where a task stands: its state, run, attempt, next attempt, last failures, worker, and its result if it "
		"has "
		"one.",
	.epilog = "States: SCHEDULED (in its queue), STARTED, BACKING_OFF, WAITING, and those of the result: COMPLETED, FAILED, "
		  "TIMED_OUT, CANCELED, TERMINATED.\n"
		  "Exit: 0 it is known, 2 wrong usage or unknown key, 6 Kafka or Redis is unreachable.\n",
	.options = OPTIONS,
	.min_args = 1,
	.max_args = 1,
	.file_option = "config",
};

struct description {
	const char *key;
	struct lookup lookup;
	struct journal_entry entry;
	struct result_box *box; /* FINISHED */
};

static const char *state_name(const struct description *d)
{
	return d->box ? mr_outcome_name(d->box->pub.outcome) : lookup_state_name(d->lookup.view.state);
}

/* ---- JSON ---- */

static void json_text(struct buf *out, const char *name, struct bytes text)
{
	if (!bytes_present(text) || text.len == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	wire_append_json_string(out, text);
}

static void json_number(struct buf *out, const char *name, int64_t value)
{
	buf_printf(out, ",\"%s\":%" PRId64, name, value);
}

/* Text as a string, JSON as it is, other bytes by their number. */
static void json_details(struct buf *out, const struct payload *details)
{
	if (!bytes_present(details->data))
		return;
	if (bytes_is(details->content_type, PAYLOAD_JSON) && wire_is_json(details->data))
		buf_printf(out, ",\"details\":%.*s", BYTES_ARG(details->data));
	else if (bytes_is_utf8(details->data))
		json_text(out, "details", details->data);
	else
		json_number(out, "details_bytes", (int64_t)details->data.len);
}

static void json_failure(struct buf *out, const struct attempt_failure *failed)
{
	const struct failure *failure = &failed->failure;
	int depth = 0;

	buf_printf(out, "{\"attempt\":%" PRId64 ",\"failed_at_ms\":%" PRId64, failed->attempt, failed->failed_at_ms);
	for (; failure; failure = failure->cause, depth++) {
		if (depth > 0)
			buf_printf(out, ",\"cause\":{\"non_retryable\":%s", failure->non_retryable ? "true" : "false");
		else
			buf_printf(out, ",\"non_retryable\":%s", failure->non_retryable ? "true" : "false");
		json_text(out, "type", failure->type);
		json_text(out, "message", failure->message);
		json_text(out, "timeout_type", bytes_of(timeout_type_name(failure->timeout_type)));
		json_details(out, &failure->details);
	}
	while (depth-- > 0)
		buf_append_char(out, '}');
}

static void json_failures(struct buf *out, const struct journal_record *record)
{
	buf_printf(out, ",\"failures\":[");
	for (size_t i = 0; i < record->n_failures; i++) {
		if (i > 0)
			buf_append_char(out, ',');
		json_failure(out, &record->failures[i]);
	}
	buf_append_char(out, ']');
}

static void describe_json(const struct description *d, struct buf *out)
{
	const struct task_view *view = &d->lookup.view;

	buf_printf(out, "{\"task_key\":");
	wire_append_json_string(out, bytes_of(d->key));
	json_text(out, "state", bytes_of(state_name(d)));
	json_text(out, "run_id", view->run_id);
	json_number(out, "epoch", view->epoch);
	json_number(out, "attempt", view->attempt);
	json_text(out, "worker", view->worker);
	if (view->started_at_ms > 0)
		json_number(out, "started_at_ms", view->started_at_ms);
	if (view->due_ms > 0)
		json_number(out, "due_at_ms", view->due_ms);
	buf_printf(out, ",\"cancel_requested\":%s,\"pause_requested\":%s", view->cancel_requested ? "true" : "false",
		   view->pause_requested ? "true" : "false");
	if (d->entry.there)
		json_failures(out, &d->entry.record);
	if (d->box)
		buf_printf(out, ",\"result\":%s", mr_result_json(&d->box->pub));
	buf_printf(out, "}\n");
}

/* ---- Text ---- */

static void row(struct buf *out, const char *name, struct bytes text)
{
	if (bytes_present(text) && text.len > 0)
		buf_printf(out, "%-14s %.*s\n", name, BYTES_ARG(text));
}

static void row_time(struct buf *out, const char *name, int64_t at_ms)
{
	time_t seconds = at_ms / 1000;
	struct tm tm;
	char text[32];

	if (at_ms <= 0 || !gmtime_r(&seconds, &tm))
		return;
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(out, "%-14s %s.%03dZ\n", name, text, (int)(at_ms % 1000));
}

/* A failure and what caused it. */
static void rows_failure(struct buf *out, int64_t attempt, const struct failure *failure)
{
	const char *name = "failure";

	for (; failure; failure = failure->cause, name = "caused by")
		buf_printf(out, "%-14s attempt %" PRId64 ": %.*s: %.*s\n", name, attempt, BYTES_ARG(failure->type),
			   BYTES_ARG(failure->message));
}

static void describe_result(const struct result *result, struct buf *out)
{
	row(out, "type", result->activity_type);
	row(out, "queue", result->queue);
	row(out, "worker", result->worker);
	row_time(out, "scheduled", result->scheduled_at_ms);
	row_time(out, "started", result->started_at_ms);
	row_time(out, "closed", result->closed_at_ms);
	row(out, "retry state", bytes_of(result->failure ? retry_state_name(result->retry_state) : NULL));
	rows_failure(out, result->attempt, result->failure);
	if (bytes_is(result->result.content_type, PAYLOAD_JSON))
		row(out, "result", result->result.data);
	else if (bytes_present(result->result.data))
		buf_printf(out, "%-14s %zu bytes\n", "result", result->result.data.len);
}

static void describe_text(const struct description *d, struct buf *out)
{
	const struct task_view *view = &d->lookup.view;

	row(out, "key", bytes_of(d->key));
	row(out, "state", bytes_of(state_name(d)));
	row(out, "run", view->run_id);
	buf_printf(out, "%-14s %" PRId64 "%s\n", "attempt", view->attempt,
		   view->state == VIEW_BACKING_OFF ? " (the next one)" : "");
	if (view->epoch > 0)
		buf_printf(out, "%-14s %" PRId64 "\n", "epoch", view->epoch);
	if (view->cancel_requested || view->pause_requested)
		buf_printf(out, "%-14s %s%s\n", "requested", view->cancel_requested ? "cancel " : "",
			   view->pause_requested ? "pause" : "");
	if (d->box) {
		describe_result(&d->box->decoded, out);
		return;
	}
	row(out, "worker", view->worker);
	row_time(out, "started", view->started_at_ms);
	row_time(out, view->state == VIEW_BACKING_OFF ? "next attempt" : "due", view->due_ms);
	for (size_t i = d->entry.there ? d->entry.record.n_failures : 0; i-- > 0;)
		rows_failure(out, d->entry.record.failures[i].attempt, &d->entry.record.failures[i].failure);
}

/* ---- The command ---- */

static enum mr_status collect(struct description *d, const struct program_common *common, struct mr_error *err)
{
	const struct task_view *view = &d->lookup.view;
	enum mr_status status = lookup_init(&d->lookup, common, d->key, err);

	if (status != MR_OK)
		return status;
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
	case VIEW_NONE:
	case VIEW_MARKED:
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
