/* SPDX-License-Identifier: Apache-2.0 */

/* A batch of the journal. */

#include "base/mem.h"
#include "store/found.h"
#include "store/store_impl.h"

/* ---- the answer: {now_ms, 'k', one letter a record, four for each e: key, and how it was found} ---- */

static bool answer_one(struct store *store, const redisReply *reply, char letter, size_t *found_at, struct apply_answer *ret)
{
	switch (letter) {
	case 'k':
		ret->verdict = APPLY_DONE;
		return true;
	case 's':
		ret->verdict = APPLY_STALE;
		return true;
	case 'f':
		ret->verdict = APPLY_FINISHED;
		return true;
	case 'e':
		break;
	default:
		return false;
	}
	struct found_task *found = arena_alloc(&store->arena, sizeof(*found));

	found->key = reply_bytes(reply, *found_at);
	if (!found_view(store, reply, *found_at + 1, &found->view))
		return false;
	*found_at += 1 + FOUND_ELEMENTS;
	found->view.shard_ready = true;
	*ret = (struct apply_answer){.verdict = APPLY_END, .found = found};
	return true;
}

static void answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	struct bytes letters = reply_bytes(reply, 2);
	struct apply_answer *answers = arena_alloc(&store->arena, (call->n + 1) * sizeof(*answers));
	size_t found_at = 3;

	status = reply_outcome(status, reply);
	if (status == MR_OK && letters.len != call->n_sent)
		status = MR_EREDIS;
	for (size_t i = 0; i < call->n; i++)
		answers[i].verdict = APPLY_STALE;
	for (size_t i = 0; i < call->n_sent && status == MR_OK; i++) {
		if (!answer_one(store, reply, letters.data[i], &found_at, &answers[call->order[i]]))
			status = MR_EREDIS;
	}
	call->done.apply(call->ctx, status, status == MR_OK ? answers : NULL, status == MR_OK ? call->n : 0);
}

/* ---- the request ---- */

/* As scripts/apply.lua has them. */
static char kind_letter(enum journal_kind kind)
{
	switch (kind) {
	case JOURNAL_WAITING:
		return 'W';
	case JOURNAL_STARTED:
		return 'R';
	case JOURNAL_BACKOFF:
		return 'B';
	case JOURNAL_HEARTBEAT:
		return 'H';
	case JOURNAL_CHECKPOINT:
		return 'P';
	case JOURNAL_COMMAND:
		return 'C';
	}
	return '\0';
}

static bool request_ids_ok(const struct apply_record *record)
{
	for (size_t i = 0; i < record->n_request_ids; i++) {
		if (!record_text_ok(record->request_ids[i]))
			return false;
	}
	return true;
}

/* Any client may write to the journal: what cannot be a record of ours is stale. */
static bool record_ok(const struct apply_record *record)
{
	if (record->kind == JOURNAL_CHECKPOINT)
		return record->control_offset >= 0;
	return record->key.len > 0 && (record->attempt >= 1 || record->kind == JOURNAL_COMMAND) && record->epoch >= 0 &&
	       record->offset >= 0 && record_text_ok(record->key) && record_text_ok(record->run_id) &&
	       record_text_ok(record->nonce) && record_text_ok(record->worker) && record_text_ok(record->record_id) &&
	       record_text_ok(record->heartbeat.content_type) && record_text_ok(record->heartbeat.encoding) &&
	       request_ids_ok(record);
}

/* An instant that is not set is told as `otherwise`. */
static int64_t instant(int64_t at_ms, int64_t otherwise)
{
	return at_ms < 0 ? otherwise : at_ms;
}

static void append_flags(struct buf *text, const struct apply_record *record)
{
	buf_append_char(text, '\t');
	if (record->cancel_requested)
		buf_append_char(text, 'c');
	if (record->terminate_requested)
		buf_append_char(text, 't');
	if (record->pause_requested)
		buf_append_char(text, 'p');
}

static void append_request_ids(struct buf *text, const struct apply_record *record)
{
	buf_append_char(text, '\t');
	for (size_t i = 0; i < record->n_request_ids; i++) {
		if (i > 0)
			buf_append_char(text, RECORD_SEPARATOR);
		buf_append_bytes(text, record->request_ids[i]);
	}
}

static void append_blob(struct buf *text, const struct apply_record *record)
{
	struct bytes blob = record->kind == JOURNAL_COMMAND ? record->options : record->heartbeat.data;

	if (!bytes_present(blob))
		return;
	buf_append_char(text, '\n');
	buf_append_bytes(text, blob);
}

static void append_record(struct store *store, struct call *call, const struct apply_record *record)
{
	struct buf *text = call_scratch(store);

	buf_append_char(text, kind_letter(record->kind));
	record_append_field(text, record->run_id);
	record_append_int(text, record->epoch);
	record_append_int(text, record->attempt);
	record_append_int(text, instant(record->due_ms, record->kind == JOURNAL_BACKOFF ? 0 : -1));
	record_append_int(text, record->offset);
	record_append_int(text, record->lost);
	append_flags(text, record);
	record_append_field(text, record->nonce);
	record_append_field(text, record->worker);
	record_append_field(text, record->record_id);
	record_append_int(text, instant(record->started_at_ms, 0));
	record_append_int(text, instant(record->close_at_ms, 0));
	record_append_int(text, instant(record->heartbeat_timeout_ms, 0));
	record_append_int(text, instant(record->control_offset, -1));
	append_request_ids(text, record);
	record_append_field(text, record->heartbeat.content_type);
	record_append_field(text, record->heartbeat.encoding);
	append_blob(text, record);
	call_arg(call, buf_bytes(text));
	call_arg(call, record->kind == JOURNAL_CHECKPOINT ? BYTES_NONE : record->key);
}

enum mr_status store_apply(struct store *store, int shard, struct bytes nonce, bool recovering, int64_t from, int64_t to,
			   const struct apply_record *records, size_t n, store_apply_fn *done, void *ctx)
{
	static const char *const kinds[] = {"m", "p", "b", "o", "h", "T", "k", "x"};
	enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

	if (!store_shard_ok(store, shard) || n > STORE_BATCH_MAX)
		return MR_EINVAL;
	uint16_t *order = mem_alloc((n + 1) * sizeof(*order));
	size_t n_sent = 0;

	for (size_t i = 0; i < n; i++) {
		if (record_ok(&records[i]))
			order[n_sent++] = (uint16_t)i;
	}
	struct call *call = call_new(store, SCRIPT_apply, KINDS + n_sent, 4 + 2 * n_sent);

	call->n = n;
	call->n_sent = n_sent;
	call->order = order;
	call->answer = answered;
	call->done.apply = done;
	call->ctx = ctx;
	for (size_t i = 0; i < KINDS; i++)
		call_key(store, call, shard, kinds[i], BYTES_NONE);
	for (size_t i = 0; i < n_sent; i++) {
		struct bytes key = records[order[i]].key;

		call_key(store, call, shard, "t:", records[order[i]].kind == JOURNAL_CHECKPOINT ? BYTES_NONE : key);
	}
	call_arg(call, nonce);
	call_arg_int(call, recovering);
	call_arg_int(call, from);
	call_arg_int(call, to);
	for (size_t i = 0; i < n_sent; i++)
		append_record(store, call, &records[order[i]]);
	return store_submit(store, call);
}
