/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What carries a task while no worker has it: a journal record, written first. Only when it is acknowledged the offset of
 * the task settles, and only the scheduler, which applies it, tells Redis.
 */
#include "lib/worker.h"

/* What is later than any instant that a record can hold never comes. */
static int64_t instant(int64_t at_ms)
{
	return at_ms > TASK_INSTANT_MAX_MS ? TASK_UNSET : at_ms;
}

static void record_begin(const struct worker *worker, const struct job *job, struct journal_record *record)
{
	journal_record_init(record);
	record->task_key = job->key;
	record->run_id = job->run_id;
	record->epoch = job->epoch;
	record->attempt = job->attempt;
	record->record_id = job->record_id;
	record->topic = job->lane->topic;
	record->task = job->value;
	record->headers = job->user_headers;
	record->task_record_key = job->record_key;
	record->scheduled_at_ms = job->scheduled_at_ms;
	record->close_at_ms = instant(deadline_close_ms(&job->timeouts, job->scheduled_at_ms, job->task.start_delay_ms));
	record->lost = job->lost;
	record->worker = worker->incarnation;
	record->nonce = job->nonce;
}

static void send(struct worker *worker, struct job *job, const struct journal_record *record)
{
	struct delivery *delivery = deliver_prepare(job, 1);

	buf_reset(&worker->scratch);
	wire_encode_journal(worker->config.wire, record, &worker->scratch);
	worker_job_state(job, JOB_JOURNALLING);
	delivery->topic = bytes_of(worker->topic_journal);
	delivery->partition = job->shard;
	delivery->key = job->key;
	delivery->value = arena_copy(&job->arena, buf_bytes(&worker->scratch));
	worker_job_weigh(worker, job, delivery->value.len);
	deliver_send(worker, job);
}

void journal_backoff(struct worker *worker, struct job *job, const struct attempt_failure *failures, size_t n_failures,
		     int64_t due_at_ms, const struct payload *heartbeat_details)
{
	struct journal_record record;

	record_begin(worker, job, &record);
	record.kind = JOURNAL_BACKOFF;
	record.attempt = job->attempt + 1;
	record.due_at_ms = due_at_ms;
	record.failures = failures;
	record.n_failures = n_failures;
	record.heartbeat_details = *heartbeat_details;
	record.lost = bytes_is(failures[n_failures - 1].failure.type, "WorkerLost") ? job->lost : 0;
	send(worker, job, &record);
}

void journal_waiting(struct worker *worker, struct job *job, int64_t due_at_ms)
{
	struct journal_record record;

	record_begin(worker, job, &record);
	record.kind = JOURNAL_WAITING;
	record.due_at_ms = due_at_ms > 0 ? due_at_ms : TASK_UNSET;
	/* What former attempts left for this one. */
	outcome_history(worker, job, &job->arena, &record.failures, &record.n_failures);
	record.heartbeat_details = job->dispatch.heartbeat;
	send(worker, job, &record);
}

/* At once, from memory that is used again. */
static enum mr_status send_now(struct worker *worker, const struct job *job, struct bytes key,
			       const struct journal_record *record, struct delivery *tag)
{
	struct bus_record out = {.topic = worker->topic_journal, .partition = job->shard, .key = key};

	buf_reset(&worker->scratch);
	wire_encode_journal(worker->config.wire, record, &worker->scratch);
	out.value = buf_bytes(&worker->scratch);
	return bus_produce(worker->bus, &out, tag);
}

/* What this attempt has said last of itself, else what a former one has. */
static struct payload heartbeat_so_far(const struct worker *worker, const struct job *job)
{
	struct executor_beat beat;

	if (executor_beat(worker->config.executor, job->handle, false, &beat) && bytes_present(beat.details.data))
		return beat.details;
	return job->dispatch.heartbeat;
}

/* What former attempts left lives in the arena. */
static void started_begin(struct worker *worker, const struct job *job, struct arena *arena, struct journal_record *record)
{
	record_begin(worker, job, record);
	record->kind = JOURNAL_STARTED;
	record->started_at_ms = job->claimed_at_ms;
	outcome_history(worker, job, arena, &record->failures, &record->n_failures);
}

enum mr_status journal_started(struct worker *worker, struct job *job, struct delivery *tag)
{
	struct arena arena = {0};
	struct journal_record record;
	enum mr_status status;

	started_begin(worker, job, &arena, &record);
	record.heartbeat_details = heartbeat_so_far(worker, job);
	status = send_now(worker, job, job->key, &record, tag);
	arena_deinit(&arena);
	return status;
}

static struct bytes heartbeat_key(struct job *job, struct arena *arena)
{
	return arena_printf(arena, "%.*s" JOURNAL_HEARTBEAT_SUFFIX, BYTES_ARG(job->key));
}

enum mr_status journal_heartbeat(struct worker *worker, struct job *job, const struct payload *details, struct delivery *tag)
{
	struct arena arena = {0};
	struct journal_record record;
	enum mr_status status;

	journal_record_init(&record);
	record.kind = JOURNAL_HEARTBEAT;
	record.task_key = job->key;
	record.run_id = job->run_id;
	record.epoch = job->epoch;
	record.attempt = job->attempt;
	record.worker = worker->incarnation;
	record.nonce = job->nonce;
	record.heartbeat_details = *details;
	status = send_now(worker, job, heartbeat_key(job, &arena), &record, tag);
	arena_deinit(&arena);
	return status;
}

void journal_pending(struct worker *worker, struct job *job, const struct payload *details, int64_t close_at_ms)
{
	struct journal_record record;

	started_begin(worker, job, &job->arena, &record);
	record.heartbeat_details = *details;
	record.worker = BYTES_NONE;
	record.close_at_ms = instant(close_at_ms);
	record.heartbeat_timeout_ms = job->timeouts.heartbeat_ms;
	send(worker, job, &record);
}

void journal_refused(struct worker *worker, struct job *job)
{
	struct failure failure;
	struct result result;

	failure_init(&failure);
	failure.type = BYTES_LIT("TooLarge");
	failure.message = arena_printf(
		&job->arena, "the record of %zu bytes that would carry the task to its next attempt is refused for its size",
		job->deliveries[0].value.len);
	failure.non_retryable = true;
	result_begin(worker, job, &result);
	result.status = RESULT_FAILED;
	result.started_at_ms = job->claimed_at_ms;
	result.retry_state = RETRY_STATE_NON_RETRYABLE_FAILURE;
	result.failure = &failure;
	result_close(worker, job, &result);
}

/* Also where the command that ended it was heard here before the scheduler's record of it was applied. */
static bool has_command(const struct job *job)
{
	return job->commanded || job->cancel_requested || job->paused || job->reset || job->terminated;
}

void journal_tombstone(struct worker *worker, struct job *job)
{
	struct bytes keys[3] = {job->key};
	size_t n = 1;

	if (heartbeat_was_journalled(job) || job->commanded)
		keys[n++] = heartbeat_key(job, &job->arena);
	if (has_command(job))
		keys[n++] = arena_printf(&job->arena, "%.*s" JOURNAL_COMMAND_SUFFIX, BYTES_ARG(job->key));
	struct delivery *delivery = deliver_prepare(job, n);

	worker_job_state(job, JOB_CLEARING);
	for (size_t i = 0; i < n; i++) {
		delivery[i].topic = bytes_of(worker->topic_journal);
		delivery[i].partition = job->shard;
		delivery[i].key = keys[i];
	}
	deliver_send(worker, job);
}
