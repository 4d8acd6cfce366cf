/* SPDX-License-Identifier: Apache-2.0 */
/* 8 settle: commits the lowest contiguous offset of each partition, and hands over what it holds when it leaves. */
#include "lib/settle.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/worker.h"

/* How long a commit that failed waits. */
#define SETTLE_RETRY_US 500000
/* How long the records of what runs may take when its partition leaves: with the commit (BUS_COMMIT_NOW_MS) half a second. */
#define SETTLE_FLUSH_MS 100
/* A commit whose answer got lost in a rebalance does not hold up the next ones for longer. */
#define SETTLE_ANSWER_US 5000000

static void lane_free(struct lane *lane)
{
	offsets_deinit(&lane->offsets);
	free(lane->orphans);
	free((char *)lane->topic.data);
	free(lane->name);
	free(lane);
}

void settle_deinit(struct worker *worker)
{
	size_t it = 0;

	for (struct map_slot *slot; (slot = map_next(&worker->lanes, &it));)
		lane_free(slot->value);
	map_deinit(&worker->lanes);
}

struct lane *settle_lane(struct feed *feed, const char *topic, int32_t partition)
{
	struct worker *worker = feed->worker;
	CLEANUP_FREE char *name = NULL;
	struct buf text = {0};
	size_t prefix_len = strlen(worker->topic_tasks_prefix);
	struct lane *lane;

	buf_printf(&text, "%s:%d", topic, (int)partition);
	buf_cstr(&text);
	name = text.data;
	lane = map_get(&worker->lanes, bytes_of(name));
	if (lane)
		return lane;
	lane = mem_alloc(sizeof(*lane));
	lane->feed = feed;
	lane->topic = bytes_of(mem_strdup(topic));
	lane->queue = lane->topic;
	if (strncmp(topic, worker->topic_tasks_prefix, prefix_len) == 0)
		lane->queue = (struct bytes){lane->topic.data + prefix_len, lane->topic.len - prefix_len};
	lane->partition = partition;
	lane->sent = lane->committed = -1;
	offsets_init(&lane->offsets);
	lane->name = name;
	name = NULL;
	map_put(&worker->lanes, bytes_of(lane->name), lane);
	return lane;
}

bool settle_take(struct lane *lane, int64_t offset)
{
	return offsets_take(&lane->offsets, offset);
}

bool settle_is_ours(const struct job *job)
{
	return job->lane && job->lane->assigned && job->lane->epoch == job->lane_epoch;
}

static void mark_dirty(struct lane *lane)
{
	struct feed *feed = lane->feed;

	if (!lane->dirty) {
		lane->dirty = true;
		lane->next_dirty = feed->dirty;
		feed->dirty = lane;
	}
	if (!feed->commit_at_us)
		feed->commit_at_us = feed->worker->now_us + SETTLE_COMMIT_US;
}

static struct orphan *orphan_find(struct lane *lane, int64_t offset)
{
	for (size_t i = 0; i < lane->n_orphans; i++)
		if (lane->orphans[i].offset == offset)
			return &lane->orphans[i];
	return NULL;
}

static void orphan_remove(struct lane *lane, struct orphan *orphan)
{
	*orphan = lane->orphans[--lane->n_orphans];
}

void settle_forget(struct job *job)
{
	struct orphan *orphan = job->lane && job->lane->n_orphans ? orphan_find(job->lane, job->offset) : NULL;

	if (orphan && orphan->job == job)
		orphan_remove(job->lane, orphan);
}

void settle_job(struct worker *worker, struct job *job)
{
	struct orphan *orphan;

	if (job->lane_epoch == 0)
		return; /* it was parked */
	worker->counters.settled++;
	if (settle_is_ours(job)) {
		offsets_settle(&job->lane->offsets, job->offset);
		mark_dirty(job->lane);
	} else if ((orphan = orphan_find(job->lane, job->offset)) && orphan->job == job) {
		orphan->job = NULL;
	}
	job->lane_epoch = 0;
}

bool settle_adopt(struct lane *lane, int64_t offset)
{
	struct orphan *orphan = lane->n_orphans ? orphan_find(lane, offset) : NULL;
	struct job *job;

	if (!orphan)
		return false;
	job = orphan->job;
	orphan_remove(lane, orphan);
	if (job) {
		job->lane_epoch = lane->epoch;
	} else {
		offsets_settle(&lane->offsets, offset);
		mark_dirty(lane);
	}
	return true;
}

/* Whether the task goes on here without the partition, so that its record need not be claimed again when it comes back. */
static bool goes_on(const struct job *job)
{
	switch (job->state) {
	case JOB_CLAIMING:
	case JOB_RUNNING:
	case JOB_JOURNALLING:
	case JOB_FORWARDING:
	case JOB_FINISHING:
	case JOB_PUBLISHING:
		return job->lane_epoch != 0;
	case JOB_FREE:
	case JOB_FRESH:
	case JOB_DELAYED:
	case JOB_WAITING:
	case JOB_READY:
	case JOB_QUEUED:
	case JOB_RELEASING:
	case JOB_CLEARING:
	case JOB_DEAD:
	case JOB_LINGERING:
		break;
	}
	return false;
}

static void collect_orphans(struct worker *worker, struct lane *lane)
{
	lane->n_orphans = 0;
	for (struct job *job = worker->all; job; job = job->all_next) {
		if (job->lane != lane || !goes_on(job))
			continue;
		lane->orphans = mem_realloc_array(lane->orphans, lane->n_orphans + 1, sizeof(lane->orphans[0]));
		lane->orphans[lane->n_orphans++] = (struct orphan){.offset = job->offset, .job = job};
	}
}

void settle_assigned(struct feed *feed, struct bus_partition *partitions, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct lane *lane = settle_lane(feed, partitions[i].topic, partitions[i].partition);

		offsets_deinit(&lane->offsets);
		offsets_init(&lane->offsets);
		lane->assigned = true;
		lane->epoch++;
		lane->sent = lane->committed = -1;
		collect_orphans(feed->worker, lane);
	}
	log_info("partitions assigned", LOG_I("partitions", n));
}

/* What has not started goes back: in Kafka it is uncommitted, in Redis it is released. */
static void leave_job(struct worker *worker, struct job *job)
{
	switch (job->state) {
	case JOB_FRESH:
	case JOB_WAITING:
		worker_job_free(worker, job);
		return;
	case JOB_READY:
		execute_release(worker, job);
		return;
	case JOB_QUEUED:
		execute_take_back(worker, job);
		return;
	case JOB_FREE:
	case JOB_DELAYED:
	case JOB_CLAIMING:
	case JOB_RUNNING:
	case JOB_RELEASING:
	case JOB_JOURNALLING:
	case JOB_FORWARDING:
	case JOB_FINISHING:
	case JOB_PUBLISHING:
	case JOB_CLEARING:
	case JOB_DEAD:
	case JOB_LINGERING:
		return;
	}
}

static void commit_leaving(struct feed *feed, const struct bus_partition *partitions, size_t n)
{
	struct bus_partition *leaving = mem_alloc((n ? n : 1) * sizeof(leaving[0]));
	size_t n_leaving = 0;
	enum mr_status status;

	for (size_t i = 0; i < n; i++) {
		struct lane *lane = settle_lane(feed, partitions[i].topic, partitions[i].partition);
		int64_t watermark = offsets_watermark(&lane->offsets);

		if (lane->assigned && watermark >= 0 && watermark != lane->committed)
			leaving[n_leaving++] = (struct bus_partition){lane->topic.data, lane->partition, watermark};
	}
	status = n_leaving ? bus_commit_now(feed->bus, leaving, n_leaving) : MR_OK;
	if (status)
		log_warn("offsets of leaving partitions are not committed; their settled tasks will be read again",
			 LOG_S("status", mr_status_name(status)));
	free(leaving);
}

static struct lane *lane_at(struct feed *feed, const struct bus_partition *partition)
{
	return settle_lane(feed, partition->topic, partition->partition);
}

/* What runs goes on running here, carried by the journal; what is acknowledged in time is committed with the rest. */
static void park_leaving(struct worker *worker)
{
	for (struct job *job = worker->running.head; job; job = job->next)
		if (job->lane->leaving)
			park_begin(worker, job);
	bus_flush(worker->bus, SETTLE_FLUSH_MS);
}

void settle_revoked(struct feed *feed, const struct bus_partition *partitions, size_t n, bool lost)
{
	struct worker *worker = feed->worker;
	struct job *next;

	for (size_t i = 0; i < n; i++)
		lane_at(feed, &partitions[i])->leaving = true;
	park_leaving(worker);
	if (!lost)
		commit_leaving(feed, partitions, n);
	for (size_t i = 0; i < n; i++) {
		struct lane *lane = lane_at(feed, &partitions[i]);

		lane->leaving = lane->assigned = false;
		lane->epoch++;
		lane->n_orphans = 0;
	}
	for (struct job *job = worker->all; job; job = next) {
		next = job->all_next;
		if (!job->lane->assigned)
			leave_job(worker, job);
	}
	log_info("partitions revoked", LOG_I("partitions", n), LOG_I("in_hand", worker->n_jobs));
}

void settle_committed(struct feed *feed, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	feed->commit_under_way = false;
	if (status)
		log_warn("commit failed, it will be repeated", LOG_S("status", mr_status_name(status)));
	for (size_t i = 0; i < n; i++) {
		struct lane *lane = settle_lane(feed, partitions[i].topic, partitions[i].partition);

		if (!lane->assigned)
			continue;
		if (!status) {
			lane->committed = partitions[i].offset;
		} else {
			lane->sent = -1;
			mark_dirty(lane);
			feed->commit_at_us = feed->worker->now_us + SETTLE_RETRY_US;
		}
	}
}

/* Takes the dirty lanes whose watermark has moved; how many there are. */
static size_t take_dirty(struct feed *feed, struct bus_partition *out, size_t max)
{
	size_t n = 0;

	while (feed->dirty && n < max) {
		struct lane *lane = feed->dirty;
		int64_t watermark = offsets_watermark(&lane->offsets);

		feed->dirty = lane->next_dirty;
		lane->dirty = false;
		if (!lane->assigned || watermark < 0 || watermark == lane->sent)
			continue;
		lane->sent = watermark;
		out[n++] = (struct bus_partition){lane->topic.data, lane->partition, watermark};
	}
	return n;
}

int64_t settle_deadline_us(const struct feed *feed)
{
	int64_t answer_us = feed->commit_sent_us + SETTLE_ANSWER_US;

	if (!feed->commit_at_us)
		return INT64_MAX;
	return feed->commit_under_way && answer_us > feed->commit_at_us ? answer_us : feed->commit_at_us;
}

void settle_commit(struct feed *feed)
{
	struct bus_partition partitions[256];
	int64_t now_us = feed->worker->now_us;
	size_t n;

	if (now_us < settle_deadline_us(feed))
		return;
	n = take_dirty(feed, partitions, sizeof(partitions) / sizeof(partitions[0]));
	feed->commit_at_us = feed->dirty ? now_us + SETTLE_COMMIT_US : 0;
	if (n == 0)
		return;
	feed->commit_under_way = true;
	feed->commit_sent_us = now_us;
	bus_commit(feed->bus, partitions, n);
}
