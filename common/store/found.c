/* SPDX-License-Identifier: Apache-2.0 */
#include "store/found.h"

#include "store/store_impl.h"

#define BEAT_FIELDS 7
#define COMMAND_FIELDS 5

static enum view_state state_of(char letter)
{
	switch (letter) {
	case 'R':
		return VIEW_STARTED;
	case 'S':
		return VIEW_SCHEDULED;
	case 'B':
		return VIEW_BACKING_OFF;
	case 'W':
		return VIEW_WAITING;
	case 'M':
		return VIEW_MARKED;
	case 'F':
		return VIEW_FINISHED;
	default:
		return VIEW_NONE;
	}
}

static struct task_view view_of(const struct record *record)
{
	return (struct task_view){
		.state = state_of(record->state),
		.run_id = record->run_id,
		.epoch = record->epoch,
		.attempt = record->attempt,
		.nonce = record->nonce,
		.worker = record->worker,
		.record_id = record->record_id,
		.lost = record->lost,
		.started_at_ms = record->started_at_ms,
		.due_ms = record->due_ms,
		.journal_offset = record->journal_offset,
		.status = record->status,
		.closed_at_ms = record->closed_at_ms,
		.cancel_requested = record->cancel_requested,
		.terminate_requested = record->terminate_requested,
		.pause_requested = record->pause_requested,
		.reset_requested = record->reset_requested,
		.parked = record->parked,
		.replies = record->replies,
	};
}

/* The fields up to the last TAB but `n - 1`; the last field goes to the end of the text. */
static bool take_fields(struct bytes text, struct bytes *fields, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		const char *tab = text.len ? memchr(text.data, '\t', text.len) : NULL;

		if (!tab)
			return false;
		fields[i] = (struct bytes){text.data, (size_t)(tab - text.data)};
		text.len -= fields[i].len + 1;
		text.data = tab + 1;
	}
	fields[n - 1] = text;
	return true;
}

/* run epoch attempt beat_ms timeout_ms content_type encoding, a newline, details */
static bool take_beat(struct bytes text, struct task_view *view)
{
	struct bytes fields[BEAT_FIELDS];
	int64_t beat_ms;

	if (!take_fields(text, fields, BEAT_FIELDS) || !record_number(fields[3], &beat_ms))
		return false;
	if (!bytes_equal(fields[0], view->run_id))
		return true;
	struct bytes last = fields[6];
	const char *newline = last.len ? memchr(last.data, '\n', last.len) : NULL;

	view->beat_ms = beat_ms;
	if (!newline)
		return true;
	view->heartbeat.data = (struct bytes){newline + 1, last.len - (size_t)(newline + 1 - last.data)};
	last.len = (size_t)(newline - last.data);
	view->heartbeat.content_type = fields[5].len ? fields[5] : BYTES_NONE;
	view->heartbeat.encoding = last.len ? last : BYTES_NONE;
	return true;
}

/* run epoch flags request_ids options */
static bool take_commands(struct bytes text, struct task_view *view)
{
	struct bytes fields[COMMAND_FIELDS];
	int64_t epoch;

	if (!take_fields(text, fields, COMMAND_FIELDS) || !record_number(fields[1], &epoch))
		return false;
	if (fields[0].len && !bytes_equal(fields[0], view->run_id))
		return true;
	view->reset_epoch = epoch;
	view->request_ids = fields[3];
	view->options = fields[4].len ? fields[4] : BYTES_NONE;
	return true;
}

bool found_view(struct store *store, const redisReply *reply, size_t at, struct task_view *ret)
{
	struct bytes text = reply_bytes(reply, at), beat = reply_bytes(reply, at + 1), commands = reply_bytes(reply, at + 2);
	struct task_view view = {.state = VIEW_NONE, .journal_offset = -1};
	struct record record;

	if (text.len > 0) {
		if (!record_parse(text, &record))
			return false;
		view = view_of(&record);
		if (view.state == VIEW_FINISHED && !publication_parse(record.publication, &store->arena, &view.publication))
			return false;
	}
	if (beat.len > 0 && !take_beat(beat, &view))
		return false;
	if (commands.len > 0 && !take_commands(commands, &view))
		return false;
	*ret = view;
	return true;
}
