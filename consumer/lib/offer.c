/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workers of a task queue tell each other through Redis: who has free slots and nothing that waits for them, and in which
 * partitions a task would reach it. An idle worker renews its offer each second; a worker that is full and holds tasks that have
 * waited takes as many of the others' slots as it has of these (forward.c). One that is busy without a backlog says nothing at all.
 */
#include <assert.h>

#include "lib/worker.h"

#define OFFER_CHANGE_US 250000 /* not more often, but for an offer that is void */
#define OFFER_RENEW_US 1000000
#define OFFER_LOOK_US 100000 /* how often the line is looked through */

/* How many more attempts would start at once. */
static int64_t free_slots(const struct worker *worker)
{
	size_t busy = worker->running.len + worker->ahead + line_len(&worker->fresh);

	if (worker->draining || worker->unready_since_us || worker->jobs_bytes >= worker->config.max_jobs_bytes)
		return 0;
	return busy < worker->config.slots ? (int64_t)(worker->config.slots - busy) : 0;
}

static void append_partition(struct buf *out, const struct lane *lane)
{
	if (out->len)
		buf_append_char(out, ',');
	buf_printf(out, "%d", (int)lane->partition);
}

/* Into the scratch. */
static struct bytes partitions_of(struct worker *worker, const struct feed *feed)
{
	size_t it = 0;

	buf_reset(&worker->scratch);
	for (struct map_slot *slot; (slot = map_next(&worker->lanes, &it));) {
		const struct lane *lane = slot->value;

		if (lane->feed == feed && lane->assigned)
			append_partition(&worker->scratch, lane);
	}
	return buf_bytes(&worker->scratch);
}

static struct bytes queue_of(const struct worker *worker, const struct feed *feed)
{
	size_t it = 0;

	for (struct map_slot *slot; (slot = map_next(&worker->lanes, &it));) {
		const struct lane *lane = slot->value;

		if (lane->feed == feed)
			return lane->queue;
	}
	return BYTES_NONE;
}

static void answered(void *ctx, enum mr_status status, const struct offer *others, size_t n)
{
	struct feed *feed = ctx;
	struct worker *worker = feed->worker;
	struct exchange *exchange = &worker->exchanges[feed - worker->feeds];

	exchange->under_way = false;
	if (status == MR_OK && n > 0 && worker->end == WORKER_RUNS && forward_wanted(worker, feed) > 0)
		forward_to(worker, feed, others, n);
}

static void tell(struct worker *worker, struct feed *feed, int64_t free)
{
	struct exchange *exchange = &worker->exchanges[feed - worker->feeds];
	struct bytes queue = queue_of(worker, feed);
	struct offer ours = {.worker = worker->incarnation, .partitions = partitions_of(worker, feed)};

	exchange->told_us = worker->now_us;
	exchange->told_free = free;
	/* Never anything assigned: nobody could send it a task. */
	if (!bytes_present(queue))
		return;
	ours.free = ours.partitions.len ? free : 0;
	/* One that does not come through runs out by itself. */
	exchange->under_way = worker->config.calls->offer(worker->store, queue, &ours, forward_wanted(worker, feed), answered,
							  feed) == MR_OK;
}

static bool asks(struct worker *worker, const struct feed *feed)
{
	struct exchange *exchange = &worker->exchanges[feed - worker->feeds];

	if (worker->now_us - exchange->looked_us < OFFER_LOOK_US)
		return false;
	exchange->looked_us = worker->now_us;
	return forward_wanted(worker, feed) > 0;
}

static bool is_due(struct worker *worker, const struct feed *feed, int64_t free)
{
	const struct exchange *exchange = &worker->exchanges[feed - worker->feeds];
	int64_t since_us = worker->now_us - exchange->told_us;

	if (exchange->under_way)
		return false;
	if (free == 0 && exchange->told_free > 0)
		return true;
	if (since_us < OFFER_CHANGE_US)
		return false;
	if (free > 0 && (free != exchange->told_free || since_us >= OFFER_RENEW_US))
		return true;
	return asks(worker, feed);
}

void offer_tick(struct worker *worker)
{
	int64_t free = free_slots(worker);

	if (worker->lease_ending)
		return;
	for (size_t i = 0; i < worker->n_feeds; i++)
		if (is_due(worker, &worker->feeds[i], free))
			tell(worker, &worker->feeds[i], free);
}

int64_t offer_deadline_us(const struct worker *worker)
{
	int64_t free = free_slots(worker), at_us = INT64_MAX;
	bool waiting = line_head(&worker->fresh) != NULL;

	for (size_t i = 0; i < worker->n_feeds && (free || waiting); i++) {
		const struct exchange *exchange = &worker->exchanges[i];
		bool changed = waiting || free != exchange->told_free;
		int64_t next_us = exchange->told_us + (changed ? OFFER_CHANGE_US : OFFER_RENEW_US);

		if (next_us < exchange->looked_us + OFFER_LOOK_US)
			next_us = exchange->looked_us + OFFER_LOOK_US;
		if (!exchange->under_way && next_us < at_us)
			at_us = next_us;
	}
	return at_us;
}
