/* SPDX-License-Identifier: Apache-2.0 */

/* A batch of the journal. */

#include "base/mem.h"
#include "store/record.h"
#include "store/store_impl.h"

static void answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	struct bytes letters = reply_bytes(reply, 2);

	status = reply_outcome(status, reply);
	if (status == MR_OK && letters.len != call->n_sent)
		status = MR_EREDIS;
	if (status != MR_OK) {
		call->done.apply(call->ctx, status, NULL, 0);
		return;
	}
	struct apply_answer *answers = arena_alloc(&store->arena, (call->n + 1) * sizeof(*answers));

	for (size_t i = 0; i < call->n; i++)
		answers[i].verdict = APPLY_STALE;
	for (size_t i = 0; i < call->n_sent; i++) {
		if (letters.data[i] != 's')
			answers[call->order[i]].verdict = letters.data[i] == 'f' ? APPLY_FINISHED : APPLY_DONE;
	}
	call->done.apply(call->ctx, MR_OK, answers, call->n);
}

/* The letter of the state that the record makes; 0 where it makes none. */
static char state_letter(enum journal_kind kind)
{
	switch (kind) {
	case JOURNAL_WAITING:
		return 'W';
	case JOURNAL_STARTED:
		return 'R';
	case JOURNAL_BACKOFF:
		return 'B';
	case JOURNAL_HEARTBEAT:
	case JOURNAL_CHECKPOINT:
	case JOURNAL_COMMAND:
		return '\0';
	}
	return '\0';
}

/* Any client may write to the journal: what cannot be a record of ours is stale. */
static bool record_ok(const struct apply_record *record)
{
	return state_letter(record->kind) && record->key.len > 0 && record->attempt >= 1 && record->epoch >= 0 &&
	       record->offset >= 0 && record_text_ok(record->key) && record_text_ok(record->run_id) &&
	       record_text_ok(record->nonce) && record_text_ok(record->worker) && record_text_ok(record->record_id);
}

/* An instant that is not set is told as `otherwise`. */
static int64_t instant(int64_t at_ms, int64_t otherwise)
{
	return at_ms < 0 ? otherwise : at_ms;
}

static void append_record(struct store *store, struct call *call, const struct apply_record *record)
{
	struct buf *text = call_scratch(store);

	buf_append_char(text, state_letter(record->kind));
	record_append_field(text, record->run_id);
	record_append_int(text, record->epoch);
	record_append_int(text, record->attempt);
	record_append_int(text, instant(record->due_ms, record->kind == JOURNAL_BACKOFF ? 0 : -1));
	record_append_int(text, record->offset);
	record_append_int(text, record->lost);
	buf_append_char(text, '\t');
	if (record->cancel_requested)
		buf_append_char(text, 'c');
	if (record->pause_requested)
		buf_append_char(text, 'p');
	record_append_field(text, record->nonce);
	record_append_field(text, record->worker);
	record_append_field(text, record->record_id);
	record_append_int(text, instant(record->started_at_ms, 0));
	call_arg(call, buf_bytes(text));
	call_arg(call, record->key);
}

enum mr_status store_apply(struct store *store, int shard, struct bytes nonce, bool recovering, int64_t from, int64_t to,
			   const struct apply_record *records, size_t n, store_apply_fn *done, void *ctx)
{
	static const char *const kinds[] = {"m", "p", "b", "o"};

	if (!store_shard_ok(store, shard) || n > STORE_BATCH_MAX)
		return MR_EINVAL;
	uint16_t *order = mem_alloc((n + 1) * sizeof(*order));
	size_t n_sent = 0;

	for (size_t i = 0; i < n; i++) {
		if (record_ok(&records[i]))
			order[n_sent++] = (uint16_t)i;
	}
	struct call *call = call_new(store, SCRIPT_apply, 4 + n_sent, 4 + 2 * n_sent);

	call->n = n;
	call->n_sent = n_sent;
	call->order = order;
	call->answer = answered;
	call->done.apply = done;
	call->ctx = ctx;
	for (size_t i = 0; i < 4; i++)
		call_key(store, call, shard, kinds[i], BYTES_NONE);
	for (size_t i = 0; i < n_sent; i++)
		call_key(store, call, shard, "t:", records[order[i]].key);
	call_arg(call, nonce);
	call_arg_int(call, recovering);
	call_arg_int(call, from);
	call_arg_int(call, to);
	for (size_t i = 0; i < n_sent; i++)
		append_record(store, call, &records[order[i]]);
	return store_submit(store, call);
}
