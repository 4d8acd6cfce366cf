/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 6 result: marks the task finished and stores its result in one step in Redis, then publishes it; so a crash in between
 * loses nothing. What is published has the same bytes every time.
 */
#include <assert.h>

#include "base/log.h"
#include "lib/worker.h"
#include "task/result.h"

/* Our time is the least that Redis' clock may show; what was cut off at its deadline did not end before it. */
static int64_t closed_at_ms(const struct worker *worker, const struct job *job)
{
	int64_t now_ms = worker_time_ms(worker), deadline_ms;

	if (job->timed_out != TIMEOUT_SCHEDULE_TO_CLOSE)
		return now_ms;
	deadline_ms = deadline_close_ms(&job->timeouts, job->scheduled_at_ms, job->task.start_delay_ms);
	return now_ms > deadline_ms ? now_ms : deadline_ms;
}

void result_begin(const struct worker *worker, const struct job *job, struct result *result)
{
	result_of_task(&job->task, result);
	result->task_key = job->key;
	result->run_id = job->run_id;
	result->queue = job->lane->queue;
	result->attempt = job->attempt;
	result->scheduled_at_ms = job->scheduled_at_ms;
	result->closed_at_ms = closed_at_ms(worker, job);
	result->result_id = job->nonce;
	result->worker = worker->incarnation;
}

static void encode(struct worker *worker, const struct result *result)
{
	buf_reset(&worker->scratch);
	wire_encode_result(worker->config.wire, result, &worker->scratch);
}

static void replace_too_large(struct worker *worker, struct job *job, const struct result *result)
{
	size_t bytes = worker->scratch.len;
	struct result small = result_too_large(result, bytes, worker->config.max_result_bytes, &job->arena);

	log_warn("a result is too large", LOG_B("key", job->key), LOG_B("type", job->task.activity_type), LOG_I("bytes", bytes));
	job->status = small.status;
	encode(worker, &small);
}

static void set_output(struct worker *worker, struct job *job, const struct result *result)
{
	job->status = result->status;
	encode(worker, result);
	if ((int64_t)(worker->scratch.len + job->headers_bytes) > worker->config.max_result_bytes)
		replace_too_large(worker, job, result);
	job->closed_at_ms = result->closed_at_ms;
	job->out_value = arena_copy(&job->arena, buf_bytes(&worker->scratch));
	worker_job_weigh(worker, job, job->out_value.len);
	job->out_headers = job->user_headers;
}

void result_close(struct worker *worker, struct job *job, const struct result *result)
{
	set_output(worker, job, result);
	job->outbox = job->journalled;
	worker_job_state(job, JOB_FINISHING);
	if (!fence_holds_result(worker, job))
		job_list_push(&worker->finishing, job);
}

static size_t count_replies(struct bytes replies)
{
	struct bytes topic, key;
	size_t n = 0;

	while (replies.len && store_replies_next(&replies, &topic, &key))
		n++;
	return n;
}

static void fill(struct delivery *delivery, const struct job *job, struct bytes topic, int32_t partition, struct bytes key)
{
	delivery->topic = topic;
	delivery->partition = partition;
	delivery->optional = partition == BUS_BY_KEY;
	delivery->key = key;
	delivery->value = job->out_value;
	delivery->headers = job->out_headers;
}

/* The result and its copies: to the task's own reply topic, and to those that other publications of the task asked for. */
static void publish(struct worker *worker, struct job *job)
{
	bool reply = bytes_present(job->task.reply_topic);
	size_t n = (reply ? 2u : 1u) + count_replies(job->replies);
	struct delivery *delivery = deliver_prepare(job, n);
	struct bytes replies = job->replies, topic, key;

	worker_job_state(job, JOB_PUBLISHING);
	fill(delivery++, job, bytes_of(worker->topic_results), job->shard, job->key);
	if (reply)
		fill(delivery++, job, arena_copy(&job->arena, job->task.reply_topic), BUS_BY_KEY, job_reply_key(job));
	while (replies.len && store_replies_next(&replies, &topic, &key))
		fill(delivery++, job, arena_copy(&job->arena, topic), BUS_BY_KEY, arena_copy(&job->arena, key));
	assert(delivery == job->deliveries + n);
	deliver_send(worker, job);
}

void result_reject(struct worker *worker, struct job *job, const struct failure *failure)
{
	struct result result;
	struct header *items = arena_alloc(&job->arena, (job->user_headers.len + 1) * sizeof(items[0]));

	result_begin(worker, job, &result);
	result.status = RESULT_FAILED;
	result.retry_state = RETRY_STATE_NON_RETRYABLE_FAILURE;
	result.failure = failure;
	result.result_id = job->record_id;
	set_output(worker, job, &result);
	if (job->user_headers.len)
		memcpy(items, job->user_headers.items, job->user_headers.len * sizeof(items[0]));
	items[job->user_headers.len] = (struct header){BYTES_LIT(HEADER_NOT_STATE), BYTES_LIT("1")};
	job->out_headers = (struct headers){items, job->user_headers.len + 1};
	publish(worker, job);
}

void result_republish(struct worker *worker, struct job *job, const struct store_publication *publication)
{
	struct header *items = arena_alloc(&job->arena, (publication->headers.len + 1) * sizeof(items[0]));

	worker->counters.republished++;
	job->replayed = true;
	for (size_t i = 0; i < publication->headers.len; i++) {
		items[i].name = arena_copy(&job->arena, publication->headers.items[i].name);
		items[i].value = arena_copy(&job->arena, publication->headers.items[i].value);
	}
	job->out_headers = (struct headers){items, publication->headers.len};
	job->out_value = arena_copy(&job->arena, publication->value);
	worker_job_weigh(worker, job, job->out_value.len);
	publish(worker, job);
}

static struct finish_request request_of(const struct worker *worker, const struct job *job)
{
	struct finish_request request = {
		.token = job_token(job),
		.status = job->status,
		.outbox = job->outbox,
		.closed_at_ms = job->closed_at_ms,
		.publication = {.value = job->out_value, .headers = job->out_headers},
	};

	request.token.worker = worker->incarnation;
	if (bytes_present(job->task.reply_topic)) {
		request.publication.reply_topic = job->task.reply_topic;
		request.publication.reply_key = job_reply_key(job);
	}
	return request;
}

static void answered(struct worker *worker, struct job *job, const struct finish_answer *answer)
{
	worker_job_unreserve(worker, job);
	switch (answer->verdict) {
	case FINISH_OK:
		job->finished = true;
		if (answer->replies.len)
			job->replies = arena_copy(&job->arena, answer->replies);
		job->commanded = answer->commanded;
		job->outbox = job->outbox || answer->commanded;
		publish(worker, job);
		return;
	case FINISH_STALE:
		meters_stale(worker);
		log_warn("a result came too late: another attempt holds or has ended the task", LOG_B("key", job->key),
			 LOG_I("attempt", job->attempt));
		settle_job(worker, job);
		worker_job_free(worker, job);
		return;
	}
	assert(0 && "a verdict that is not in the list");
}

static void put_back(struct worker *worker, struct batch *batch)
{
	for (size_t i = batch->n; i-- > 0;)
		job_list_push_front(&worker->finishing, batch->jobs[i]);
}

static void finished(void *ctx, enum mr_status status, const struct finish_answer *answers, size_t n)
{
	struct batch *batch = ctx;
	struct worker *worker = batch->worker;

	worker->finish_calls--;
	if (status) {
		worker_batch_refused(worker, "finish");
		put_back(worker, batch);
	} else {
		assert(n == batch->n);
		for (size_t i = 0; i < n; i++)
			answered(worker, batch->jobs[i], &answers[i]);
	}
	worker_batch_free(batch);
}

void result_finish_send(struct worker *worker)
{
	struct finish_request requests[WORKER_BATCH_MAX];
	struct batch *batch;
	struct job *job;

	if (!worker_batch_due(worker, worker->finishing.len, worker->finish_calls))
		return;
	batch = worker_batch_new(worker);
	while (batch->n < WORKER_BATCH_MAX && (job = job_list_pop(&worker->finishing))) {
		requests[batch->n] = request_of(worker, job);
		batch->jobs[batch->n++] = job;
	}
	worker->finish_calls++;
	if (worker->config.calls->finish(worker->store, requests, batch->n, finished, batch) == MR_OK)
		return;
	worker->finish_calls--;
	worker_batch_refused(worker, "finish");
	put_back(worker, batch);
	worker_batch_free(batch);
}

static void cleared(void *ctx, enum mr_status status)
{
	struct batch *batch = ctx;
	struct worker *worker = batch->worker;

	/* What could not be cleared the scheduler's sweep of the outbox meets again. */
	(void)status;
	worker->clear_calls--;
	for (size_t i = 0; i < batch->n; i++)
		worker_job_free(worker, batch->jobs[i]);
	worker_batch_free(batch);
}

void result_clear_send(struct worker *worker)
{
	struct published_request requests[WORKER_BATCH_MAX];
	struct batch *batch;
	struct job *job;

	if (!worker_batch_due(worker, worker->clearing.len, worker->clear_calls))
		return;
	batch = worker_batch_new(worker);
	while (batch->n < WORKER_BATCH_MAX && (job = job_list_pop(&worker->clearing))) {
		requests[batch->n] = (struct published_request){
			.key = job->key,
			.shard = job->shard,
			.run_id = job->run_id,
			.epoch = job->epoch,
			.attempt = job->attempt,
			.finished = true,
		};
		batch->jobs[batch->n++] = job;
	}
	worker->clear_calls++;
	if (worker->config.calls->published(worker->store, requests, batch->n, cleared, batch) == MR_OK)
		return;
	worker->clear_calls--;
	worker_batch_refused(worker, "published");
	for (size_t i = batch->n; i-- > 0;)
		job_list_push_front(&worker->clearing, batch->jobs[i]);
	worker_batch_free(batch);
}

static void reapplied(void *ctx, enum mr_status status, const struct finish_answer *answers, size_t n)
{
	struct batch *batch = ctx;

	(void)answers;
	(void)n;
	lease_asserted(batch->worker, batch->shard, status);
	worker_batch_free(batch);
}

static bool reapply_batch(struct worker *worker, struct batch *batch, const struct finish_request *requests)
{
	if (batch->n == 0 || worker->config.calls->finish(worker->store, requests, batch->n, reapplied, batch)) {
		worker_batch_free(batch);
		return false;
	}
	return true;
}

bool result_reapply(struct worker *worker, int shard, size_t *ret_calls)
{
	struct finish_request requests[WORKER_BATCH_MAX];
	struct batch *batch = NULL;

	*ret_calls = 0;
	for (struct job *job = worker->all; job; job = job->all_next) {
		if (job->state != JOB_PUBLISHING || !job->finished || job->shard != shard)
			continue;
		if (!batch) {
			batch = worker_batch_new(worker);
			batch->shard = shard;
		}
		requests[batch->n++] = request_of(worker, job);
		if (batch->n < WORKER_BATCH_MAX)
			continue;
		if (!reapply_batch(worker, batch, requests))
			return false;
		(*ret_calls)++;
		batch = NULL;
	}
	if (batch && !reapply_batch(worker, batch, requests))
		return false;
	*ret_calls += batch ? 1 : 0;
	return true;
}
