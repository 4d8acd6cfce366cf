/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 3 claim: is it mine to run? In batches; the ledger knows of each claim before it is sent, so that whatever Redis may
 * have granted can be given back by the supervisor when this process dies.
 */
#include <assert.h>

#include "base/log.h"
#include "lib/worker.h"

/* A task whose owner lives is asked for again after this, doubled each time. */
#define CLAIM_WAIT_FIRST_MS 20
#define CLAIM_WAIT_MAX_MS 500

void claim_queue(struct worker *worker, struct job *job)
{
	assert(job->state == JOB_FRESH);
	control_meet(worker, job);
	if (!job->queued_us)
		job->queued_us = worker->now_us;
	if (!line_is_urgent(job) && delay_applies(worker, job))
		delay_begin(worker, job);
	else
		line_push(&worker->fresh, job);
}

/* Only the rule that no attempt follows a lost one is asked here; how many there may be the script counts. */
static bool loss_may_retry(const struct job *job)
{
	for (size_t i = 0; i < job->policy.n_non_retryable_error_types; i++)
		if (bytes_is(job->policy.non_retryable_error_types[i], "WorkerLost"))
			return false;
	return true;
}

static struct claim_request request_of(const struct job *job)
{
	return (struct claim_request){
		.key = job->key,
		.shard = job->shard,
		.run_id = job->run_id,
		.epoch = job->epoch,
		.attempt = job->attempt,
		.record_id = job->record_id,
		.nonce = job->nonce,
		.max_attempts = job->policy.maximum_attempts,
		.reply_topic = job->task.reply_topic,
		.reply_key = bytes_present(job->task.reply_topic) ? job_reply_key(job) : BYTES_NONE,
		.reuse = job->task.id_reuse_policy,
		.conflict = job->task.id_conflict_policy,
		.first_loss_retries = loss_may_retry(job),
	};
}

static void not_ours(struct worker *worker, struct job *job)
{
	pace_started(worker, job);
	pace_left(worker, job);
	worker_job_unreserve(worker, job);
}

/* As if it had not been asked for. False where its partition has left meanwhile, and the job with it. */
static bool unasked(struct worker *worker, struct job *job, enum job_state state)
{
	not_ours(worker, job);
	if (!settle_is_ours(job)) {
		worker_job_free(worker, job);
		return false;
	}
	worker_job_state(job, state);
	return true;
}

/* Back to the front of the line. */
static void unclaim(struct worker *worker, struct job *job)
{
	if (unasked(worker, job, JOB_FRESH))
		line_push_front(&worker->fresh, job);
}

static void claim_again_later(struct worker *worker, struct job *job, int64_t delay_ms)
{
	if (unasked(worker, job, JOB_WAITING))
		worker_job_wake(worker, job, delay_ms);
}

static void settle_and_free(struct worker *worker, struct job *job)
{
	settle_job(worker, job);
	worker_job_free(worker, job);
}

/* What the claim says of the attempt; also into the ledger, from which the supervisor would give it back. */
static void adopt_answer(struct worker *worker, struct job *job, const struct claim_answer *answer)
{
	struct ledger_entry *entry;

	job->epoch = answer->epoch;
	job->attempt = answer->attempt;
	job->lost = answer->lost;
	job->journalled = answer->journalled;
	job->claimed_at_ms = answer->started_at_ms;
	if (bytes_present(answer->run_id) && !bytes_equal(answer->run_id, job->run_id)) {
		job->run_id = arena_copy(&job->arena, answer->run_id);
		worker_job_unreserve(worker, job);
		if (!worker_job_reserve(worker, job))
			assert(0 && "an entry was freed just now");
	}
	entry = ledger_get(worker->config.ledger, job->handle);
	assert(entry);
	entry->epoch = job->epoch;
	entry->attempt = job->attempt;
	entry->lost = job->lost;
	entry->journalled = job->journalled;
	entry->started_at_ms = job->claimed_at_ms;
}

static void granted(struct worker *worker, struct job *job, const struct claim_answer *answer)
{
	meters_granted(job, answer);
	adopt_answer(worker, job, answer);
	if (worker->draining || !settle_is_ours(job))
		execute_release(worker, job);
	else
		execute_begin(worker, job);
}

/* The attempt is ours to end, not to run: for the supervisor it is no longer something to give back. */
static void held_without_running(struct worker *worker, struct job *job, const struct claim_answer *answer)
{
	adopt_answer(worker, job, answer);
	pace_started(worker, job);
	pace_left(worker, job);
	if (!ledger_move(worker->config.ledger, job->handle, LEDGER_CLAIMING, LEDGER_NOBODY, LEDGER_ENDED, LEDGER_NOBODY))
		assert(0 && "nobody else moves an entry that is being claimed");
}

static void rejected(struct worker *worker, struct job *job, const struct claim_answer *answer)
{
	struct failure failure;

	failure_init(&failure);
	failure.type = BYTES_LIT("DuplicateTask");
	failure.message =
		answer->reject_running
			? BYTES_LIT("an activity with this key is running and id_conflict_policy is FAIL")
			: BYTES_LIT("an activity with this key has ended and id_reuse_policy does not allow another run");
	failure.non_retryable = true;
	result_reject(worker, job, &failure);
}

static void wait_for_owner(struct worker *worker, struct job *job)
{
	job->wait_ms = job->wait_ms ? job->wait_ms * 2 : CLAIM_WAIT_FIRST_MS;
	if (job->wait_ms > CLAIM_WAIT_MAX_MS)
		job->wait_ms = CLAIM_WAIT_MAX_MS;
	claim_again_later(worker, job, job->wait_ms);
}

static void answered(struct worker *worker, struct job *job, const struct claim_answer *answer)
{
	switch (answer->verdict) {
	case CLAIM_RUN:
		granted(worker, job, answer);
		return;
	case CLAIM_LOST:
		held_without_running(worker, job, answer);
		outcome_of_loss(worker, job);
		return;
	case CLAIM_CANCELED:
		held_without_running(worker, job, answer);
		job->terminated = job->terminated || answer->terminated;
		outcome_of_cancel(worker, job);
		return;
	case CLAIM_WAIT:
		wait_for_owner(worker, job);
		return;
	case CLAIM_NOT_READY:
	case CLAIM_BURIED:
		break;
	case CLAIM_BUSY:
	case CLAIM_STALE:
		not_ours(worker, job);
		settle_and_free(worker, job);
		return;
	case CLAIM_FINISHED:
		not_ours(worker, job);
		result_republish(worker, job, &answer->publication);
		return;
	case CLAIM_HOLD:
		not_ours(worker, job);
		journal_waiting(worker, job, answer->hold_until_ms);
		return;
	case CLAIM_REJECTED:
		not_ours(worker, job);
		rejected(worker, job, answer);
		return;
	}
	assert(0 && "a verdict that sends the job back");
}

/* To the front of the line again. */
static bool goes_back(struct worker *worker, struct job *job, enum claim_verdict verdict)
{
	if (verdict == CLAIM_BURIED)
		worker->end = WORKER_BURIED;
	else if (verdict == CLAIM_NOT_READY)
		lease_wanted(worker, job->shard);
	/* Nothing is written for it. */
	job->stays = job->stays && verdict != CLAIM_NOT_READY;
	return verdict == CLAIM_BURIED || verdict == CLAIM_NOT_READY;
}

static void claimed(void *ctx, enum mr_status status, const struct claim_answer *answers, size_t n)
{
	struct batch *batch = ctx;
	struct worker *worker = batch->worker;

	worker->claim_calls--;
	assert(status || n == batch->n);
	if (status)
		worker_batch_refused(worker, "claim");
	for (size_t i = 0; i < batch->n && !status; i++)
		meters_claimed(worker, answers[i].verdict);
	for (size_t i = 0; i < batch->n; i++)
		if (!status && !goes_back(worker, batch->jobs[i], answers[i].verdict)) {
			answered(worker, batch->jobs[i], &answers[i]);
			batch->jobs[i] = NULL;
		}
	/* From the back, so that those that go to the front of the line keep their order. */
	for (size_t i = batch->n; i-- > 0;)
		if (batch->jobs[i])
			unclaim(worker, batch->jobs[i]);
	worker_batch_free(batch);
}

/* The next job that may be claimed now, reserved in the ledger; NULL at the end. */
static struct job *next_to_claim(struct worker *worker, struct pace *pace)
{
	struct job *job;

	while ((job = line_head(&worker->fresh))) {
		if (!worker->shards[job->shard].ready) {
			job_list_remove(job);
			job_list_push(&worker->shards[job->shard].held, job);
			continue;
		}
		/* What will not run need not wait for its turn. */
		switch (line_is_urgent(job) ? PACE_GO : pace_admit(pace, job)) {
		case PACE_FULL:
			return NULL;
		case PACE_KIND_FULL:
			job_list_remove(job);
			pace_wait(job);
			continue;
		case PACE_GO:
			break;
		}
		return worker_job_reserve(worker, job) ? job : NULL;
	}
	return NULL;
}

static struct batch *collect(struct worker *worker, struct claim_request *requests)
{
	struct batch *batch = worker_batch_new(worker);
	struct pace pace = pace_begin(worker);
	struct job *job;

	while (batch->n < WORKER_BATCH_MAX && (job = next_to_claim(worker, &pace))) {
		worker_job_state(job, JOB_CLAIMING);
		job->stays = true;
		pace_claimed(worker, job);
		requests[batch->n] = request_of(job);
		batch->jobs[batch->n++] = job;
	}
	return batch;
}

void claim_hurry(struct worker *worker, struct job *job)
{
	if (job->state == JOB_WAITING) {
		timers_clear(&worker->timers, &job->timer);
		worker_job_state(job, JOB_FRESH);
	}
	job_list_remove(job);
	line_push(&worker->fresh, job);
}

void claim_send(struct worker *worker)
{
	struct claim_request requests[WORKER_BATCH_MAX];
	struct batch *batch;

	/* Results that Kafka does not take must not pile up without an end. */
	if (worker->jobs_bytes >= 2 * worker->config.max_jobs_bytes)
		return;
	if (!control_is_read(worker))
		return;
	if (worker->draining || !worker_batch_due(worker, line_len(&worker->fresh), worker->claim_calls))
		return;
	batch = collect(worker, requests);
	if (batch->n == 0) {
		worker_batch_free(batch);
		return;
	}
	worker->counters.claims += batch->n;
	worker->claim_calls++;
	if (worker->config.calls->claim(worker->store, worker->incarnation, requests, batch->n, claimed, batch) == MR_OK)
		return;
	worker->claim_calls--;
	worker_batch_refused(worker, "claim");
	for (size_t i = batch->n; i-- > 0;)
		unclaim(worker, batch->jobs[i]);
	worker_batch_free(batch);
}
