/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What carries a task while no worker has it: a journal record, written first. Only when it is acknowledged the offset of
 * the task settles, and only the scheduler, which applies it, tells Redis.
 */
#include "lib/worker.h"

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

void journal_tombstone(struct worker *worker, struct job *job)
{
	struct delivery *delivery = deliver_prepare(job, 1);

	worker_job_state(job, JOB_CLEARING);
	delivery->topic = bytes_of(worker->topic_journal);
	delivery->partition = job->shard;
	delivery->key = job->key;
	deliver_send(worker, job);
}
