/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a job that must be in Kafka before it may go on: sent again, with growing pauses, until they are
 * acknowledged. */
#include <assert.h>

#include "base/log.h"
#include "lib/worker.h"

#define DELIVER_FULL_MS 20
#define DELIVER_RETRY_FIRST_MS 100
#define DELIVER_RETRY_MAX_MS 5000

struct delivery *deliver_prepare(struct job *job, size_t n)
{
	assert(job->open_deliveries == 0);
	job->deliveries = job->inline_deliveries;
	if (n > JOB_DELIVERIES)
		job->deliveries = arena_alloc(&job->arena, n * sizeof(job->deliveries[0]));
	job->n_deliveries = job->open_deliveries = n;
	job->backoff_ms = 0;
	for (size_t i = 0; i < n; i++)
		job->deliveries[i] = (struct delivery){.job = job, .partition = BUS_BY_KEY};
	return job->deliveries;
}

static void complete(struct worker *worker, struct job *job)
{
	timers_clear(&worker->timers, &job->timer);
	switch (job->state) {
	case JOB_JOURNALLING:
		settle_job(worker, job);
		worker_job_free(worker, job);
		return;
	case JOB_PUBLISHING:
		meters_published(worker, job);
		settle_job(worker, job);
		if (job->outbox)
			journal_tombstone(worker, job);
		else
			worker_job_free(worker, job);
		return;
	case JOB_CLEARING:
		job_list_push(&worker->clearing, job);
		return;
	case JOB_FORWARDING:
		forward_delivered(worker, job);
		return;
	case JOB_DEAD:
		dead_delivered(worker, job);
		return;
	case JOB_FREE:
	case JOB_FRESH:
	case JOB_DELAYED:
	case JOB_CLAIMING:
	case JOB_WAITING:
	case JOB_READY:
	case JOB_QUEUED:
	case JOB_RUNNING:
	case JOB_RELEASING:
	case JOB_FINISHING:
	case JOB_LINGERING:
		break;
	}
	assert(0 && "a delivery in a state that has none");
}

static void wake_later(struct worker *worker, struct job *job, int64_t delay_ms)
{
	/* An earlier wake-up stands: it sends whatever is unsent by then. */
	if (job->timer.place == 0)
		worker_job_wake(worker, job, delay_ms);
}

static void give_up(struct delivery *delivery, enum mr_status status)
{
	log_warn("a copy of the result cannot be written to the task's reply topic", LOG_B("key", delivery->job->key),
		 LOG_B("reply_topic", delivery->topic), LOG_S("status", mr_status_name(status)));
	delivery->state = DELIVERY_DONE;
	delivery->job->open_deliveries--;
}

/* Not written. Its size alone can never be cured by waiting, nor the name of a topic that the task chose. */
static void refused(struct worker *worker, struct delivery *delivery, enum mr_status status)
{
	struct job *job = delivery->job;

	delivery->state = DELIVERY_UNSENT;
	if (status != MR_EFULL)
		meters_record_refused(worker);
	if (status == MR_EFULL) {
		wake_later(worker, job, DELIVER_FULL_MS);
		return;
	}
	if (delivery->optional && (status == MR_ETOO_LARGE || status == MR_ENOT_FOUND || status == MR_EINVAL)) {
		give_up(delivery, status);
		return;
	}
	job->backoff_ms = job->backoff_ms ? job->backoff_ms * 2 : DELIVER_RETRY_FIRST_MS;
	if (job->backoff_ms > DELIVER_RETRY_MAX_MS)
		job->backoff_ms = DELIVER_RETRY_MAX_MS;
	log_warn("a record was not acknowledged, it is sent again", LOG_B("key", job->key), LOG_B("topic", delivery->topic),
		 LOG_I("bytes", delivery->value.len), LOG_S("status", mr_status_name(status)), LOG_I("in_ms", job->backoff_ms));
	wake_later(worker, job, job->backoff_ms);
}

/* True where the job went another way, because sending the same again would never do, or need not: it is not ours to touch any
 * more. */
static bool goes_another_way(struct worker *worker, struct job *job, enum mr_status status)
{
	bool is_attempt = job->state == JOB_JOURNALLING && job->handle;
	bool is_letter = job->state == JOB_DEAD && (job->headers.len > 0 || job->value.len > DEAD_KEEP_BYTES);

	if (job->state == JOB_FORWARDING) {
		job->open_deliveries = 0;
		forward_refused(worker, job, status);
		return true;
	}
	if (status != MR_ETOO_LARGE || !(is_attempt || is_letter))
		return false;
	job->open_deliveries = 0;
	if (is_attempt)
		journal_refused(worker, job);
	else
		dead_too_large(worker, job);
	return true;
}

/* False where the job went another way. */
static bool send_one(struct worker *worker, struct delivery *delivery)
{
	struct bus_record record = {
		.topic = delivery->topic.data,
		.partition = delivery->partition,
		.key = delivery->key,
		.value = delivery->value,
		.headers = delivery->headers,
	};
	enum mr_status status = bus_produce(worker->bus, &record, delivery);

	if (status == MR_OK) {
		delivery->state = DELIVERY_SENT;
	} else if (goes_another_way(worker, delivery->job, status)) {
		return false;
	} else {
		refused(worker, delivery, status);
	}
	return true;
}

void deliver_send(struct worker *worker, struct job *job)
{
	/* Two records on their way may change places, and the end of an attempt must not be followed by its start. */
	if (job->state == JOB_JOURNALLING && park_is_sending(job))
		return;
	for (size_t i = 0; i < job->n_deliveries; i++)
		if (job->deliveries[i].state == DELIVERY_UNSENT && !send_one(worker, &job->deliveries[i]))
			return;
	if (job->open_deliveries == 0)
		complete(worker, job);
}

static void step_reported(struct worker *worker, struct delivery *delivery, enum mr_status status)
{
	struct job *job = delivery->job;

	assert(delivery->state == DELIVERY_SENT && job->open_deliveries > 0);
	if (status == MR_OK) {
		delivery->state = DELIVERY_DONE;
		job->open_deliveries--;
	} else if (goes_another_way(worker, job, status)) {
		return;
	} else {
		refused(worker, delivery, status);
	}
	if (job->open_deliveries == 0)
		complete(worker, job);
}

void deliver_report(struct worker *worker, struct delivery *delivery, enum mr_status status)
{
	/* The bus is being closed. */
	if (worker->end != WORKER_RUNS)
		return;
	switch (delivery->kind) {
	case DELIVERY_OF_STEP:
		step_reported(worker, delivery, status);
		return;
	case DELIVERY_OF_PARK:
		park_reported(worker, delivery->job, status);
		return;
	case DELIVERY_OF_BEAT:
		heartbeat_reported(worker, delivery->job, status);
		return;
	}
}
