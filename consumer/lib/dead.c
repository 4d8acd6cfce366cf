/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that cannot be understood: unchanged to the dead letters with headers that say why and whence, and, where the
 * task key is readable and Redis knows nothing of that task, a FAILED result for whoever waits. It answers that record
 * only and never becomes state.
 */
#include <assert.h>

#include "base/log.h"
#include "lib/registry.h"
#include "lib/worker.h"

#define DEAD_RETRY_MS 200
#define DEAD_TELL_US 1000000

static struct bytes reason_of(struct job *job, const struct mr_error *err)
{
	if (err->where[0] && !strstr(err->message, err->where))
		return arena_printf(&job->arena, "%s: %s", err->where, err->message);
	return arena_copy(&job->arena, bytes_of(err->message));
}

static struct headers dead_headers(struct job *job, struct bytes reason)
{
	size_t n = job->headers.len;
	struct header *items = arena_alloc(&job->arena, (n + 4) * sizeof(items[0]));

	if (n)
		memcpy(items, job->headers.items, n * sizeof(items[0]));
	items[n++] = (struct header){BYTES_LIT(HEADER_REASON), reason};
	items[n++] = (struct header){BYTES_LIT(HEADER_TOPIC), job->lane->topic};
	items[n++] = (struct header){BYTES_LIT(HEADER_PARTITION), arena_printf(&job->arena, "%d", (int)job->lane->partition)};
	items[n++] = (struct header){BYTES_LIT(HEADER_OFFSET), arena_printf(&job->arena, "%lld", (long long)job->offset)};
	return (struct headers){items, n};
}

static void deliver_dead(struct worker *worker, struct job *job, struct headers headers)
{
	struct delivery *delivery = deliver_prepare(job, 1);

	delivery->topic = bytes_of(worker->topic_dead);
	delivery->partition = BUS_BY_KEY;
	delivery->key = job->record_key;
	delivery->value = job->value;
	delivery->headers = headers;
	deliver_send(worker, job);
}

static void answer(struct worker *worker, struct job *job)
{
	struct failure failure;

	failure_init(&failure);
	failure.type = BYTES_LIT("BadTask");
	failure.message = job->out_value;
	failure.non_retryable = true;
	job->run_id = job->record_id;
	job->attempt = 1;
	job->scheduled_at_ms = TASK_UNSET;
	job->task.format = job->value.len && job->value.data[0] != '\xc3' ? TASK_JSON : TASK_AVRO;
	result_reject(worker, job, &failure);
}

static void viewed(void *ctx, enum mr_status status, const struct task_view *view)
{
	struct batch *batch = ctx;
	struct worker *worker = batch->worker;
	struct job *job = batch->jobs[0];

	worker_batch_free(batch);
	if (status || !view->shard_ready)
		worker_job_wake(worker, job, DEAD_RETRY_MS);
	else if (view->state == VIEW_NONE)
		answer(worker, job);
	else {
		settle_job(worker, job);
		worker_job_free(worker, job);
	}
}

/* The letter is written: now the caller, if there may be one. */
static void look(struct worker *worker, struct job *job)
{
	struct batch *batch = worker_batch_new(worker);

	batch->jobs[0] = job;
	batch->n = 1;
	if (worker->config.calls->view(worker->store, job->key, job->shard, viewed, batch) == MR_OK)
		return;
	worker_batch_free(batch);
	worker_job_wake(worker, job, DEAD_RETRY_MS);
}

/* Whoever writes bad records must not fill the log: one line a second. */
static void tell(struct worker *worker, const struct job *job, struct bytes reason)
{
	if (worker->bad_told_us && worker->now_us - worker->bad_told_us < DEAD_TELL_US) {
		worker->bad_untold++;
		return;
	}
	log_warn("a record cannot be understood and goes to the dead letters", LOG_B("record", job->record_id),
		 LOG_B("reason", reason), LOG_I("more_before", worker->bad_untold));
	worker->bad_told_us = worker->now_us;
	worker->bad_untold = 0;
}

void dead_begin(struct worker *worker, struct job *job, const struct mr_error *err, bool has_key)
{
	struct bytes reason = reason_of(job, err);

	worker->counters.bad++;
	job->dead_kind = (int)meters_dead_kind(err);
	tell(worker, job, reason);
	worker_job_state(job, JOB_DEAD);
	job->readable_key = has_key && bytes_present(job->task.activity_id);
	job->out_value = reason;
	deliver_dead(worker, job, dead_headers(job, reason));
}

void dead_too_large(struct worker *worker, struct job *job)
{
	struct bytes reason = arena_printf(
		&job->arena, "%.*s (of its %zu bytes, too many for any topic, the first are kept; its headers are not)",
		BYTES_ARG(job->out_value), job->value.len);

	job->headers = (struct headers){NULL, 0};
	if (job->value.len > DEAD_KEEP_BYTES)
		job->value.len = DEAD_KEEP_BYTES;
	deliver_dead(worker, job, dead_headers(job, reason));
}

void dead_woken(struct worker *worker, struct job *job)
{
	if (job->open_deliveries)
		deliver_send(worker, job);
	else
		look(worker, job);
}

void dead_delivered(struct worker *worker, struct job *job)
{
	meters_dead_letter(worker, (enum dead_kind)job->dead_kind);
	if (job->readable_key) {
		look(worker, job);
		return;
	}
	settle_job(worker, job);
	worker_job_free(worker, job);
}
