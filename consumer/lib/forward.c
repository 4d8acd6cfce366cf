/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No worker is idle while tasks wait: those that have waited here while all slots are busy, and that nobody has claimed, are
 * published again in a partition of a worker that has a free slot. The record is the same but for its reserved headers, and whoever
 * meets both of them runs one: the claim decides. Its offset settles when the new record is acknowledged.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "lib/worker.h"

#define FORWARD_WAITED_US 100000
#define FORWARD_HOPS_MAX 3
/* One of a type that is at its limit here may be at its limit there too: it moves once, and then waits for its turn. */
#define FORWARD_HOPS_LIMITED 1
/* What the default of a broker's largest record leaves for headers. */
#define FORWARD_RECORD_BYTES ((size_t)1000 * 1000)
/* How many jobs are looked at in one turn. */
#define FORWARD_LOOK_MAX 512
#define FORWARD_HEADERS 7
#define FORWARD_PARTITIONS_MAX 64

static bool slots_are_busy(const struct worker *worker)
{
	return worker->running.len + worker->ahead >= worker->config.slots;
}

static bool may_go(const struct worker *worker, const struct feed *feed, const struct job *job, int64_t hops_max)
{
	return job->lane->feed == feed && job->dispatch.hops < hops_max && !job->stays && !line_is_urgent(job) &&
	       worker->now_us - job->queued_us >= FORWARD_WAITED_US && settle_is_ours(job) &&
	       job->value.len + job->headers_bytes < FORWARD_RECORD_BYTES;
}

/* The first of the line that may go. */
static struct job *first_of(const struct worker *worker, const struct feed *feed, const struct line *line, int64_t hops_max)
{
	int looked = 0;

	for (size_t i = 1; i <= LINE_PRIORITIES; i++)
		for (struct job *job = line->levels[i].head; job && looked < FORWARD_LOOK_MAX; job = job->next, looked++)
			if (may_go(worker, feed, job, hops_max))
				return job;
	return NULL;
}

static int64_t count_of(const struct worker *worker, const struct feed *feed, const struct line *line, int64_t hops_max)
{
	int64_t n = 0;
	int looked = 0;

	for (size_t i = 1; i <= LINE_PRIORITIES; i++)
		for (struct job *job = line->levels[i].head; job && looked < FORWARD_LOOK_MAX; job = job->next, looked++)
			n += may_go(worker, feed, job, hops_max);
	return n;
}

int64_t forward_wanted(struct worker *worker, const struct feed *feed)
{
	size_t it = 0, limit;
	int64_t n = 0;

	if (worker->draining || worker->unready_since_us)
		return 0;
	if (slots_are_busy(worker))
		n = count_of(worker, feed, &worker->fresh, FORWARD_HOPS_MAX);
	for (const struct line *line; (line = pace_waiting(worker, &it, &limit));) {
		int64_t waiting = count_of(worker, feed, line, FORWARD_HOPS_LIMITED);

		n += waiting < (int64_t)limit ? waiting : (int64_t)limit;
	}
	return n;
}

/* ---- the record ---- */

static bool is_replaced(struct bytes name)
{
	return bytes_is(name, HEADER_KEY) || bytes_is(name, HEADER_RUN) || bytes_is(name, HEADER_EPOCH) ||
	       bytes_is(name, HEADER_ATTEMPT) || bytes_is(name, HEADER_HOPS) || bytes_is(name, HEADER_SCHEDULED_AT) ||
	       bytes_is(name, HEADER_DISPATCHED_AT);
}

static struct header number(struct job *job, struct bytes name, int64_t value)
{
	return (struct header){name, arena_printf(&job->arena, "%lld", (long long)value)};
}

/* The user's headers, what is told of former attempts, and the place of the task in its way. */
static struct headers headers_of(struct job *job)
{
	struct header *items = arena_alloc(&job->arena, (job->headers.len + FORWARD_HEADERS) * sizeof(items[0]));
	size_t n = 0;

	for (size_t i = 0; i < job->headers.len; i++)
		if (!is_replaced(job->headers.items[i].name))
			items[n++] = job->headers.items[i];
	items[n++] = (struct header){BYTES_LIT(HEADER_KEY), job->key};
	items[n++] = (struct header){BYTES_LIT(HEADER_RUN), job->run_id};
	items[n++] = number(job, BYTES_LIT(HEADER_EPOCH), job->epoch);
	items[n++] = number(job, BYTES_LIT(HEADER_ATTEMPT), job->attempt);
	items[n++] = number(job, BYTES_LIT(HEADER_HOPS), job->dispatch.hops + 1);
	if (job->scheduled_at_ms >= 0)
		items[n++] = number(job, BYTES_LIT(HEADER_SCHEDULED_AT), job->scheduled_at_ms);
	if (job->dispatched_at_ms >= 0)
		items[n++] = number(job, BYTES_LIT(HEADER_DISPATCHED_AT), job->dispatched_at_ms);
	return (struct headers){items, n};
}

static void send(struct worker *worker, struct job *job, int32_t partition)
{
	struct delivery *delivery;

	worker_job_state(job, JOB_FORWARDING);
	pace_next(worker, job->kind);
	delivery = deliver_prepare(job, 1);
	delivery->topic = job->lane->topic;
	delivery->partition = partition;
	delivery->key = job->record_key;
	delivery->value = job->value;
	delivery->headers = headers_of(job);
	deliver_send(worker, job);
}

void forward_delivered(struct worker *worker, struct job *job)
{
	worker->counters.forwarded++;
	meters_forwarded(worker, job);
	log_debug("a task that waited was forwarded", LOG_B("key", job->key), LOG_I("attempt", job->attempt),
		  LOG_I("hops", job->dispatch.hops + 1), LOG_I("partition", job->deliveries[0].partition));
	settle_job(worker, job);
	worker_job_free(worker, job);
}

void forward_refused(struct worker *worker, struct job *job, enum mr_status status)
{
	log_debug("a task that waited could not be forwarded", LOG_B("key", job->key), LOG_S("status", mr_status_name(status)));
	if (worker->draining || !settle_is_ours(job)) {
		worker_job_free(worker, job);
		return;
	}
	job->stays = true;
	worker_job_state(job, JOB_FRESH);
	claim_queue(worker, job);
}

/* ---- to whom ---- */

struct receiver {
	int64_t free;
	int32_t partitions[FORWARD_PARTITIONS_MAX];
	size_t n, next;
};

static bool is_own(const struct worker *worker, const struct feed *feed, int32_t partition)
{
	size_t it = 0;

	for (struct map_slot *slot; (slot = map_next(&worker->lanes, &it));) {
		const struct lane *lane = slot->value;

		if (lane->feed == feed && lane->partition == partition && lane->assigned)
			return true;
	}
	return false;
}

/* False at the end, or where it is not understood. */
static bool next_partition(struct bytes *text, int32_t *ret)
{
	int64_t value = 0;
	size_t i = 0;

	while (i < text->len && i < 9 && text->data[i] >= '0' && text->data[i] <= '9')
		value = value * 10 + (text->data[i++] - '0');
	if (i == 0)
		return false;
	*ret = (int32_t)value;
	if (i < text->len && text->data[i] == ',')
		i++;
	text->data += i;
	text->len -= i;
	return true;
}

/* Partitions that have come to us since the offer was made are left out. */
static struct receiver receiver_of(const struct worker *worker, const struct feed *feed, const struct offer *offer)
{
	struct receiver receiver = {.free = offer->free};
	struct bytes text = offer->partitions;
	int32_t partition;

	while (receiver.n < FORWARD_PARTITIONS_MAX && next_partition(&text, &partition))
		if (!is_own(worker, feed, partition))
			receiver.partitions[receiver.n++] = partition;
	if (receiver.n == 0)
		receiver.free = 0;
	return receiver;
}

static void send_one(struct worker *worker, struct job *job, struct receiver *receiver)
{
	receiver->free--;
	send(worker, job, receiver->partitions[receiver->next++ % receiver->n]);
}

/* As many of a type as a worker like this one runs at once. */
static void send_limited(struct worker *worker, const struct feed *feed, struct receiver *receiver)
{
	size_t it = 0, limit;

	for (const struct line *line; receiver->free > 0 && (line = pace_waiting(worker, &it, &limit));)
		for (struct job *job; receiver->free > 0 && limit > 0; limit--) {
			job = first_of(worker, feed, line, FORWARD_HOPS_LIMITED);
			if (!job)
				break;
			send_one(worker, job, receiver);
		}
}

void forward_to(struct worker *worker, const struct feed *feed, const struct offer *offers, size_t n)
{
	size_t begin = (size_t)bytes_hash(worker->incarnation) + worker->offers_seen++;
	struct job *job;

	for (size_t i = 0; i < n; i++) {
		struct receiver receiver = receiver_of(worker, feed, &offers[(begin + i) % n]);

		while (receiver.free > 0 && slots_are_busy(worker) &&
		       (job = first_of(worker, feed, &worker->fresh, FORWARD_HOPS_MAX)))
			send_one(worker, job, &receiver);
		send_limited(worker, feed, &receiver);
	}
}
