/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_SETTLE_H
#define CONSUMER_SETTLE_H

#include "base/map.h"
#include "bus/bus.h"
#include "task/offsets.h"

/*
 * 8 settle: which offsets may be committed. A lane is one partition of a task topic; it lives on when the partition
 * leaves, because its tasks may still run here. Each assignment is an epoch: only jobs of the current one settle offsets.
 */
struct worker;
struct job;
struct lane;

/* One task queue: its consumer group and what is to be committed in it. */
struct feed {
	struct worker *worker;
	struct bus *bus;
	struct lane *dirty;
	bool commit_under_way;
	bool joined; /* its group has told it what it has, be it nothing */
	int64_t commit_sent_us;
	int64_t commit_at_us; /* 0 = nothing to commit */
};

/* A record read again whose task is still in our hands, or was settled by us meanwhile: no need to ask Redis. */
struct orphan {
	int64_t offset;
	struct job *job; /* NULL: it ended and its offset may be settled */
};

struct lane {
	char *name; /* "topic:partition", the key in the map */
	struct feed *feed;
	struct bytes topic; /* NUL-terminated */
	struct bytes queue;
	int32_t partition;
	bool assigned;
	bool leaving; /* while it is revoked */
	uint64_t epoch;
	struct offsets offsets;
	int64_t sent;      /* watermark of the last commit that was sent, -1 = none */
	int64_t committed; /* and of the last that succeeded */
	struct lane *next_dirty;
	bool dirty;
	struct orphan *orphans;
	size_t n_orphans;
};

#define SETTLE_COMMIT_US 100000

void settle_deinit(struct worker *worker);
struct lane *settle_lane(struct feed *feed, const char *topic, int32_t partition);
/* `offset` was read. False where it is a repeat: to be ignored. */
bool settle_take(struct lane *lane, int64_t offset);
/* True where the record's task was found in hand (its job settles this offset now) or had ended. */
bool settle_adopt(struct lane *lane, int64_t offset);
bool settle_is_ours(const struct job *job);
/* The job goes away: its record is claimed again when it comes back, unless it was settled. */
void settle_forget(struct job *job);
/* The job's fact is durable: its offset may be committed. */
void settle_job(struct worker *worker, struct job *job);
void settle_assigned(struct feed *feed, struct bus_partition *partitions, size_t n);
void settle_revoked(struct feed *feed, const struct bus_partition *partitions, size_t n, bool lost);
void settle_committed(struct feed *feed, const struct bus_partition *partitions, size_t n, enum mr_status status);
/* Commits what is due. */
void settle_commit(struct feed *feed);
/* When that is, INT64_MAX where there is nothing. */
int64_t settle_deadline_us(const struct feed *feed);

#endif
