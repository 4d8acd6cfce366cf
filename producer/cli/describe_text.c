/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <time.h>

#include "cli/describe.h"

/* millrace describe, for people. */

const char *describe_state(const struct description *d)
{
	return d->box ? mr_outcome_name(d->box->pub.outcome) : lookup_state_name(d->lookup.view.state);
}

bool describe_is_pending(const struct description *d)
{
	return d->lookup.view.state == VIEW_STARTED && d->lookup.view.worker.len == 0;
}

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

static void rows_commands(struct buf *out, const struct task_view *view)
{
	if (view->cancel_requested || view->terminate_requested || view->pause_requested || view->reset_requested)
		buf_printf(out, "%-14s%s%s%s%s\n", "requested", view->cancel_requested ? " cancel" : "",
			   view->terminate_requested ? " terminate" : "", view->pause_requested ? " pause" : "",
			   view->reset_requested ? " reset" : "");
	if (view->pause_requested && view->state != VIEW_STARTED)
		row(out, "paused", BYTES_LIT("until millrace unpause"));
	row(out, "changed", view->options);
}

static void row_heartbeat(struct buf *out, const struct task_view *view, int64_t now_ms)
{
	int64_t age_ms = now_ms > view->beat_ms ? now_ms - view->beat_ms : 0;

	if (view->beat_ms > 0)
		buf_printf(out, "%-14s %" PRId64 ".%03d s ago\n", "heartbeat", age_ms / 1000, (int)(age_ms % 1000));
	if (bytes_is_utf8(view->heartbeat.data))
		row(out, "details", view->heartbeat.data);
	else
		buf_printf(out, "%-14s %zu bytes\n", "details", view->heartbeat.data.len);
}

static void rows_attempt(struct buf *out, const struct description *d)
{
	const struct task_view *view = &d->lookup.view;

	row(out, "worker", view->worker);
	row_time(out, "started", view->started_at_ms);
	if (view->state == VIEW_STARTED && view->parked && d->entry.there)
		row_time(out, "parked", d->entry.timestamp_ms);
	if (describe_is_pending(d)) {
		row(out, "waits for", BYTES_LIT("its completion from outside (millrace complete)"));
		row(out, "token", view->nonce);
	}
	row_heartbeat(out, view, d->now_ms);
}

void describe_text(const struct description *d, struct buf *out)
{
	const struct task_view *view = &d->lookup.view;

	row(out, "key", bytes_of(d->key));
	row(out, "state", bytes_of(describe_state(d)));
	row(out, "run", view->run_id);
	buf_printf(out, "%-14s %" PRId64 "%s\n", "attempt", view->attempt,
		   view->state == VIEW_BACKING_OFF ? " (the next one)" : "");
	if (view->epoch > 0)
		buf_printf(out, "%-14s %" PRId64 "\n", "epoch", view->epoch);
	rows_commands(out, view);
	if (d->box) {
		describe_result(&d->box->decoded, out);
		return;
	}
	rows_attempt(out, d);
	row_time(out, view->state == VIEW_BACKING_OFF ? "next attempt" : "due", view->due_ms);
	for (size_t i = d->entry.there ? d->entry.record.n_failures : 0; i-- > 0;)
		rows_failure(out, d->entry.record.failures[i].attempt, &d->entry.record.failures[i].failure);
}
