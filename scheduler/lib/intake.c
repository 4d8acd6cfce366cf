/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/core.h"
#include "lib/ending.h"

/*
 * The journal of one shard, batch by batch: read, decode, apply together with the offset. The same code serves a replay under
 * the recovery nonce, where Redis leaves the positions alone.
 */
struct applied {
	struct shard *shard;
	uint32_t generation;
	bool recovering;
	int64_t to;
	struct arena arena; /* keys of the records */
	size_t n;
	struct bytes *keys; /* as in the journal, where they may have a suffix */
	struct alarms {
		int64_t backoff_ms, timeout_ms; /* -1: none */
	} * alarms;
};

static void applied_free(struct applied *applied)
{
	arena_deinit(&applied->arena);
	free(applied->keys);
	free(applied->alarms);
	free(applied);
}

static bool has_timer(enum journal_kind kind, int64_t due_at_ms)
{
	return (kind == JOURNAL_BACKOFF || kind == JOURNAL_WAITING) && due_at_ms != TASK_UNSET && due_at_ms >= 0;
}

static void answer_record(struct shard *shard, const struct applied *applied, size_t i, const struct apply_answer *answer)
{
	switch (answer->verdict) {
	case APPLY_DONE:
		timers_note_backoff(shard, applied->alarms[i].backoff_ms);
		timers_note_timeout(shard, applied->alarms[i].timeout_ms);
		break;
	case APPLY_STALE:
		break;
	case APPLY_END:
		ending_by_flags(shard, answer->found);
		break;
	case APPLY_FINISHED:
		publish_tombstone(shard, applied->keys[i]);
		break;
	}
}

static void count(struct shard *shard, const struct applied *applied)
{
	if (!applied->recovering) {
		shard->s->stats.applied += applied->n;
		return;
	}
	shard->s->stats.replayed_journal += applied->n;
	shard->recovery.replayed_journal += applied->n;
}

static void take_answer(struct shard *shard, const struct applied *applied, enum mr_status status,
			const struct apply_answer *answers)
{
	shard->applying = false;
	if (status != MR_OK) {
		/* Another owner moved the offset, the data is not what was vouched for, or Redis refuses to take more. */
		shard_look_again(shard, status == MR_ECONFLICT ? 0 : RETRY_US, "apply was refused");
		return;
	}
	for (size_t i = 0; i < applied->n; i++)
		answer_record(shard, applied, i, &answers[i]);
	if (!applied->recovering)
		shard->stored_offset = applied->to;
	count(shard, applied);
}

static void on_applied(void *ctx, enum mr_status status, const struct apply_answer *answers, size_t n)
{
	struct applied *applied = ctx;
	struct shard *shard = applied->shard;

	assert(status != MR_OK || n == applied->n);
	if (shard->generation == applied->generation && shard->s->attached)
		take_answer(shard, applied, status, answers);
	applied_free(applied);
}

/* A checkpoint is about its partition. */
static bool belongs_here(const struct shard *shard, const struct journal_record *record)
{
	return record->kind == JOURNAL_CHECKPOINT || task_shard(record->task_key, shard->s->config.shards) == shard->id;
}

/* NULL where nothing of the record is to be applied. */
static const struct journal_record *decode(struct shard *shard, const struct bus_message *message)
{
	struct scheduler *s = shard->s;
	struct journal_record *record;
	struct mr_error err = {0};

	if (!bytes_present(message->value))
		return NULL;
	record = arena_alloc(&s->arena, sizeof(*record));
	if (wire_decode_journal(s->links.wire, message->value, &s->arena, record, &err) != MR_OK) {
		(void)publish_dead(s, message, err.message, NULL);
		return NULL;
	}
	if (!belongs_here(shard, record)) {
		(void)publish_dead(s, message, "the record's task belongs to another partition of the journal", NULL);
		return NULL;
	}
	if (record->kind == JOURNAL_CHECKPOINT)
		checkpoint_read(shard, record);
	return record;
}

static int64_t set_or(int64_t value, int64_t otherwise)
{
	return value == TASK_UNSET ? otherwise : value;
}

static struct apply_record to_apply(const struct journal_record *record, int64_t offset)
{
	return (struct apply_record){
		.kind = record->kind,
		.key = record->task_key,
		.run_id = record->run_id,
		.epoch = record->epoch,
		.attempt = record->attempt,
		.due_ms = has_timer(record->kind, record->due_at_ms) ? record->due_at_ms : -1,
		.offset = offset,
		.lost = record->lost,
		.cancel_requested = record->cancel_requested,
		.pause_requested = record->pause_requested,
		.terminate_requested = record->terminate_requested,
		.nonce = record->nonce,
		.worker = record->worker,
		.record_id = record->record_id,
		.started_at_ms = set_or(record->started_at_ms, 0),
		.close_at_ms = set_or(record->close_at_ms, -1),
		.heartbeat_timeout_ms = set_or(record->heartbeat_timeout_ms, 0),
		.heartbeat = record->heartbeat_details,
		.options = record->options,
		.request_ids = record->request_ids,
		.n_request_ids = record->n_request_ids,
		.control_offset = set_or(record->control_offset, -1),
	};
}

/* When the loop has to wake for what the record arms. */
static struct alarms alarms_of(const struct scheduler *s, const struct apply_record *record)
{
	struct alarms alarms = {.backoff_ms = record->due_ms, .timeout_ms = record->close_at_ms};
	int64_t beat_ms;

	if (record->kind != JOURNAL_STARTED || record->worker.len > 0 || record->heartbeat_timeout_ms <= 0)
		return alarms;
	beat_ms = s->links.redis->time_ms(s->links.store, s->now_us) + record->heartbeat_timeout_ms;
	if (alarms.timeout_ms < 0 || beat_ms < alarms.timeout_ms)
		alarms.timeout_ms = beat_ms;
	return alarms;
}

static struct applied *applied_new(struct shard *shard, int64_t to, const struct apply_record *records, const struct bytes *keys,
				   size_t n)
{
	struct applied *applied = mem_alloc(sizeof(*applied));

	applied->shard = shard;
	applied->generation = shard->generation;
	applied->recovering = shard->phase != PHASE_READY;
	applied->to = to;
	applied->n = n;
	applied->keys = mem_realloc_array(NULL, n + 1, sizeof(*applied->keys));
	applied->alarms = mem_realloc_array(NULL, n + 1, sizeof(*applied->alarms));
	for (size_t i = 0; i < n; i++) {
		applied->keys[i] = arena_copy(&applied->arena, keys[i]);
		applied->alarms[i] = alarms_of(shard->s, &records[i]);
	}
	return applied;
}

static void apply(struct shard *shard, int64_t to, const struct apply_record *records, const struct bytes *keys, size_t n)
{
	struct applied *applied = applied_new(shard, to, records, keys, n);
	enum mr_status status;

	shard->applying = true;
	status = shard->s->links.redis->apply(shard->s->links.store, shard->id, bytes_of(shard->nonce), applied->recovering,
					      shard->stored_offset, to, records, n, on_applied, applied);
	if (status == MR_OK)
		return;
	take_answer(shard, applied, status, NULL);
	applied_free(applied);
}

/* The log is shorter than what Redis says was read of it: it was deleted and made again. */
static bool is_repeat(const struct shard *shard, const struct bus_message *message)
{
	return shard->journal.position >= 0 && message->offset < shard->journal.position;
}

static size_t decode_batch(struct shard *shard, struct bus_message *const *messages, size_t n, struct apply_record *records,
			   struct bytes *keys)
{
	struct scheduler *s = shard->s;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct journal_record *record = is_repeat(shard, messages[i]) ? NULL : decode(shard, messages[i]);

		if (!is_repeat(shard, messages[i]))
			cursor_read(&shard->journal, messages[i]->offset + 1, s->now_us);
		if (!record)
			continue;
		records[kept] = to_apply(record, messages[i]->offset);
		keys[kept] = messages[i]->key;
		if (records[kept].due_ms >= 0)
			cache_put(s->cache, shard->id, messages[i]->offset, records[kept].due_ms, messages[i]->value);
		kept++;
	}
	return kept;
}

void intake_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct bus_message *messages[INTAKE_BATCH];
	struct apply_record records[INTAKE_BATCH];
	struct bytes keys[INTAKE_BATCH];
	int64_t before = shard->journal.position;
	size_t n, kept;

	if (shard->applying || shard->seek_wanted || s->bus_lost) {
		cursor_busy(&shard->journal, s->now_us);
		return;
	}
	n = bus_take(s->links.bus, s->journal_topic, shard->id, messages, INTAKE_BATCH);
	if (n > 0) {
		kept = decode_batch(shard, messages, n, records, keys);
		if (shard->journal.position != before)
			apply(shard, shard->journal.position, records, keys, kept);
		for (size_t i = 0; i < n; i++)
			bus_message_free(s->links.bus, messages[i]);
		arena_reset(&s->arena);
	}
	cursor_check(&shard->journal, s->now_us);
}
