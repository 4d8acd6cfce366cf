/* SPDX-License-Identifier: Apache-2.0 */

/* 3 claim. */

#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/record.h"
#include "store/store_impl.h"

#define TABLE_SLOTS 2048
_Static_assert(TABLE_SLOTS >= 4 * STORE_BATCH_MAX && (TABLE_SLOTS & (TABLE_SLOTS - 1)) == 0, "sparse, and a power of two");

/* ---- the answer ---- */

/* The letters of scripts/claim.lua; capital ones come with the record. */
static enum claim_verdict verdict_of(char letter)
{
	switch (letter) {
	case 'r':
	case 'R':
		return CLAIM_RUN;
	case 'L':
		return CLAIM_LOST;
	case 'W':
		return CLAIM_WAIT;
	case 'B':
		return CLAIM_BUSY;
	case 'F':
		return CLAIM_FINISHED;
	case 'H':
		return CLAIM_HOLD;
	case 'C':
		return CLAIM_CANCELED;
	case 'J':
	case 'E':
		return CLAIM_REJECTED;
	case 'x':
		return CLAIM_BURIED;
	case 'S':
	case 's':
		return CLAIM_STALE;
	default:
		return CLAIM_NOT_READY;
	}
}

static bool answer_from_record(struct store *store, struct bytes text, int64_t now_ms, struct claim_answer *answer)
{
	struct record record;

	if (!record_parse(text, &record))
		return false;
	answer->run_id = record.run_id;
	answer->epoch = record.epoch;
	answer->attempt = record.attempt;
	answer->lost = record.lost;
	answer->journalled = record.journalled;
	answer->terminated = record.terminate_requested;
	answer->started_at_ms = record.started_at_ms;
	/* What has changed comes with the next dispatch, which is due at once; a pause ends when it is told to. */
	if (answer->verdict == CLAIM_HOLD)
		answer->hold_until_ms = record.pause_requested ? 0 : now_ms;
	return answer->verdict != CLAIM_FINISHED || publication_parse(record.publication, &store->arena, &answer->publication);
}

static bool answer_one(struct store *store, const struct call *call, size_t at, char letter, struct bytes record, int64_t now_ms,
		       struct claim_answer *answer)
{
	const struct call_claim *fresh = &call->claims[at];

	answer->verdict = verdict_of(letter);
	answer->reject_running = letter == 'J';
	if (letter >= 'A' && letter <= 'Z')
		return answer_from_record(store, record, now_ms, answer);
	answer->run_id = (struct bytes){call->request.data + fresh->run_at, fresh->run_len};
	answer->epoch = fresh->epoch;
	answer->attempt = fresh->attempt;
	answer->started_at_ms = fresh->started_at_ms;
	return true;
}

static void answered(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	struct bytes letters = reply_bytes(reply, 1);
	size_t next_record = 2;

	if (status != MR_OK || letters.len != call->n) {
		call->done.claim(call->ctx, MR_EREDIS, NULL, 0);
		return;
	}
	struct claim_answer *answers = arena_alloc(&store->arena, call->n * sizeof(*answers));

	for (size_t i = 0; i < call->n; i++) {
		char letter = letters.data[i];
		bool capital = letter >= 'A' && letter <= 'Z';

		if (!answer_one(store, call, i, letter, capital ? reply_bytes(reply, next_record) : BYTES_NONE,
				reply_int(reply, 0, 0), &answers[call->order[i]])) {
			call->done.claim(call->ctx, MR_EREDIS, NULL, 0);
			return;
		}
		next_record += capital;
	}
	call->done.claim(call->ctx, MR_OK, answers, call->n);
}

/* ---- the request ---- */

static bool request_ok(const struct store *store, const struct claim_request *request)
{
	return store_shard_ok(store, request->shard) && request->key.len > 0 && request->nonce.len > 0 && request->attempt >= 1 &&
	       request->epoch >= 0 && record_text_ok(request->key) && record_text_ok(request->run_id) &&
	       record_text_ok(request->record_id) && record_text_ok(request->nonce) && record_text_ok(request->reply_topic) &&
	       record_text_ok(request->reply_key);
}

static bool is_late(const struct claim_request *request)
{
	return request->attempt != 1 || request->epoch != 0;
}

/* True where the batch has had this key; notes it. `at` is the position. */
static bool key_was_there(uint16_t *table, const struct claim_request *requests, const uint16_t *order, size_t at)
{
	struct bytes key = requests[order[at]].key;
	size_t slot = (size_t)bytes_hash(key) & (TABLE_SLOTS - 1);

	for (; table[slot]; slot = (slot + 1) & (TABLE_SLOTS - 1)) {
		if (bytes_equal(requests[order[table[slot] - 1]].key, key))
			return true;
	}
	table[slot] = (uint16_t)(at + 1);
	return false;
}

/* One character a task, or nothing where all are '-'. */
static struct bytes marks_of(struct store *store, const struct claim_request *requests, size_t n, const uint16_t *order)
{
	char *marks = arena_alloc(&store->arena, n);
	bool any = false;

	if (!store->key_table)
		store->key_table = mem_alloc(TABLE_SLOTS * sizeof(*store->key_table));
	memset(store->key_table, 0, TABLE_SLOTS * sizeof(*store->key_table));
	for (size_t i = 0; i < n; i++) {
		bool again = key_was_there(store->key_table, requests, order, i);

		marks[i] = again ? 'd' : is_late(&requests[order[i]]) ? 'l' : '-';
		any = any || marks[i] != '-';
	}
	return (struct bytes){marks, any ? n : 0};
}

static void append_options(struct buf *out, const struct claim_request *request)
{
	record_append_number(out, request->max_attempts);
	record_append_int(out, (int64_t)request->reuse);
	record_append_int(out, (int64_t)request->conflict);
	record_append_int(out, request->first_loss_retries);
	buf_append_char(out, '\t');
	record_append_reply(out, request->reply_topic, request->reply_key);
	buf_append_char(out, '\n');
}

static struct bytes options_of(struct store *store, const struct claim_request *requests, size_t n, const uint16_t *order)
{
	struct buf *out = call_scratch(store);

	for (size_t i = 0; i < n; i++)
		append_options(out, &requests[order[i]]);
	return buf_bytes(out);
}

static void append_record(struct store *store, struct call *call, struct bytes worker, const struct claim_request *request,
			  int64_t now_ms, struct call_claim *ret)
{
	struct claim_token token = {
		.run_id = request->run_id,
		.epoch = request->epoch,
		.attempt = request->attempt,
		.nonce = request->nonce,
		.worker = worker,
		.record_id = request->record_id,
		.started_at_ms = request->started_at_ms ? request->started_at_ms : now_ms,
	};
	struct buf *record = call_scratch(store);

	record_append_started(record, &token);
	call_arg(call, buf_bytes(record));
	/* "R<TAB>run...", and behind the record CR LF. */
	*ret = (struct call_claim){token.attempt, token.epoch, token.started_at_ms, call->request.len - record->len,
				   token.run_id.len};
}

static void append_keys(struct store *store, struct call *call, const struct claim_request *requests, size_t n, const int *shards,
			size_t n_shards)
{
	for (size_t s = 0; s < n_shards; s++)
		call_key(store, call, shards[s], "m", BYTES_NONE);
	for (size_t i = 0; i < n; i++)
		call_key(store, call, requests[call->order[i]].shard, "t:", requests[call->order[i]].key);
	for (size_t s = 0; s < n_shards; s++) {
		call_key(store, call, shards[s], "w", BYTES_NONE);
		call_key(store, call, shards[s], "d", BYTES_NONE);
	}
}

enum mr_status store_claim(struct store *store, struct bytes worker, const struct claim_request *requests, size_t n,
			   store_claim_fn *done, void *ctx)
{
	int shard_of[STORE_BATCH_MAX], shards[STORE_BATCH_MAX];
	uint16_t *order;

	if (n == 0 || n > STORE_BATCH_MAX || worker.len == 0 || !record_text_ok(worker))
		return MR_EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!request_ok(store, &requests[i]))
			return MR_EINVAL;
		shard_of[i] = requests[i].shard;
	}
	struct buf *counts = call_scratch(store);
	size_t n_shards = group_by_shard(store, shard_of, n, &order, counts, shards);
	struct bytes counts_text = arena_copy(&store->arena, buf_bytes(counts));
	struct call *call = call_new(store, SCRIPT_claim, 3 * n_shards + n, 4 + n);

	call->order = order;
	call->n = n;
	call->answer = answered;
	call->done.claim = done;
	call->ctx = ctx;
	call->claims = mem_alloc(n * sizeof(*call->claims));
	append_keys(store, call, requests, n, shards, n_shards);
	call_arg(call, worker);
	call_arg(call, counts_text);
	call_arg(call, marks_of(store, requests, n, order));
	call_arg(call, options_of(store, requests, n, order));
	int64_t now_ms = store_time_ms(store, clock_mono_us());

	for (size_t i = 0; i < n; i++)
		append_record(store, call, worker, &requests[order[i]], now_ms, &call->claims[i]);
	return store_submit(store, call);
}
