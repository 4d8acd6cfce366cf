/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "cli/describe.h"
#include "wire/wire.h"

/* millrace describe --json. */

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
static void json_payload(struct buf *out, const char *name, const struct payload *details)
{
	if (!bytes_present(details->data))
		return;
	if (bytes_is(details->content_type, PAYLOAD_JSON) && wire_is_json(details->data))
		buf_printf(out, ",\"%s\":%.*s", name, BYTES_ARG(details->data));
	else if (bytes_is_utf8(details->data))
		json_text(out, name, details->data);
	else
		buf_printf(out, ",\"%s_bytes\":%zu", name, details->data.len);
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
		json_payload(out, "details", &failure->details);
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

static void json_bool(struct buf *out, const char *name, bool value)
{
	buf_printf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

/* What they have asked for. */
static void json_commands(struct buf *out, const struct task_view *view)
{
	json_bool(out, "cancel_requested", view->cancel_requested);
	json_bool(out, "terminate_requested", view->terminate_requested);
	json_bool(out, "pause_requested", view->pause_requested);
	json_bool(out, "reset_requested", view->reset_requested);
	if (view->options.len > 0)
		buf_printf(out, ",\"options\":%.*s", BYTES_ARG(view->options));
}

static void json_attempt(struct buf *out, const struct description *d)
{
	const struct task_view *view = &d->lookup.view;

	if (view->state == VIEW_STARTED && view->parked && d->entry.there)
		json_number(out, "parked_at_ms", d->entry.timestamp_ms);
	if (describe_is_pending(d)) {
		json_bool(out, "pending", true);
		json_text(out, "token", view->nonce);
	}
	if (view->beat_ms > 0)
		json_number(out, "last_heartbeat_at_ms", view->beat_ms);
	json_payload(out, "heartbeat_details", &view->heartbeat);
}

void describe_json(const struct description *d, struct buf *out)
{
	const struct task_view *view = &d->lookup.view;

	buf_printf(out, "{\"task_key\":");
	wire_append_json_string(out, bytes_of(d->key));
	json_text(out, "state", bytes_of(describe_state(d)));
	json_text(out, "run_id", view->run_id);
	json_number(out, "epoch", view->epoch);
	json_number(out, "attempt", view->attempt);
	json_text(out, "worker", view->worker);
	if (view->started_at_ms > 0)
		json_number(out, "started_at_ms", view->started_at_ms);
	if (view->due_ms > 0)
		json_number(out, "due_at_ms", view->due_ms);
	json_commands(out, view);
	json_attempt(out, d);
	if (d->entry.there)
		json_failures(out, &d->entry.record);
	if (d->box)
		buf_printf(out, ",\"result\":%s", mr_result_json(&d->box->pub));
	buf_printf(out, "}\n");
}
