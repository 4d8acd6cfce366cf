/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_SCHEDULER_H
#define SCHEDULER_SCHEDULER_H

#include "bus/bus.h"
#include "lib/redis_calls.h"
#include "metrics/metrics.h"
#include "wire/wire.h"

/*
 * The scheduler (design.md 6): keeps every clock. It owns the shards whose journal partitions Kafka's group gives it; for each
 * it recovers what Redis lost, applies the journal, fires what is due and publishes what others left in the outbox.
 *
 * One thread. The core is advanced by scheduler_turn(), which is given the time; it reads no clock, draws no random number and
 * never blocks.
 */
struct scheduler;

struct scheduler_config {
	const char *prefix;            /* of topics; copied */
	int shards;                    /* partitions of journal, control and results */
	int64_t lease_ms;              /* a worker without a sign of life for so long is dead */
	int64_t retention_ms;          /* how long finished tasks are remembered */
	int64_t purge_interval_ms;     /* between two purges of task topics */
	uint64_t (*random)(void *ctx); /* the seam for recovery nonces */
	/* Starts a purge of the task topics elsewhere; scheduler_purged() tells its end. NULL: none. */
	void (*purge)(void *ctx);
	void *ctx;
	struct metrics *metrics; /* where it counts and tells its health; NULL: nowhere. Outlives the scheduler */
};

/* What the core talks to, made by the caller with the callbacks below. Borrowed: they outlive the scheduler. */
struct scheduler_links {
	struct bus *bus;   /* group consumer over journal and control, producer, and reader of results during a recovery */
	struct bus *watch; /* without a group: reads task records that wait, see watch.h; NULL: nothing is watched */
	struct bus *fetch; /* without a group: reads journal records that are not in memory any more */
	struct store *store;
	const struct redis_calls *redis; /* what `store` is called through; NULL: the real calls */
	struct wire *wire;
};

struct scheduler_stats {
	int owned, ready;                   /* shards, now */
	uint64_t applied;                   /* journal records, applied while ready */
	uint64_t fired;                     /* attempts that came due */
	uint64_t dispatched;                /* attempts acknowledged by Kafka */
	uint64_t swept_attempts;            /* of them, left over in the outbox */
	uint64_t swept_results;             /* results published for others */
	uint64_t ends_retried, ends_closed; /* attempts that the scheduler ended itself: tried again, or the last of their task */
	uint64_t tombstones;
	uint64_t bad_records;    /* sent to the dead letter topic, or unreadable results */
	uint64_t commands;       /* control records read */
	uint64_t commands_stray; /* of them, for a task or attempt that is not there (any more) */
	uint64_t buried;         /* workers declared dead */
	uint64_t recoveries;     /* shards recovered */
	uint64_t replayed_results, replayed_journal;
	uint64_t expired; /* finished tasks forgotten */
	uint64_t cache_hits, cache_misses;
	size_t cache_bytes;
	uint64_t watch_read;  /* task records that waited, read by the deadline watch */
	uint64_t watch_armed; /* deadlines that it armed */
	size_t workers;       /* whose leases are watched, now */
};

enum mr_status scheduler_new(const struct scheduler_config *config, struct scheduler **ret, struct mr_error *err);
/* Callbacks of links that are freed from now on only tidy up. */
void scheduler_detach(struct scheduler *s);
/* NULL is allowed. After scheduler_detach() and the end of all links. */
void scheduler_free(struct scheduler *s);

/* Callbacks for the three buses and the store. */
struct bus_callbacks scheduler_bus_callbacks(struct scheduler *s);
struct bus_callbacks scheduler_fetch_callbacks(struct scheduler *s);
struct bus_callbacks scheduler_watch_callbacks(struct scheduler *s);
struct store_callbacks scheduler_store_callbacks(struct scheduler *s);
/* The topics of the group consumer: journal and control, NULL-terminated; they live as long as the scheduler. */
const char *const *scheduler_topics(const struct scheduler *s);
void scheduler_attach(struct scheduler *s, const struct scheduler_links *links);

/*
 * Does everything that can be done at `now_us` (monotonic): serves buses and store, advances the shards, fires what is due.
 * Returns the instant at which it must be called again at the latest; earlier when a file descriptor of bus or store is ready.
 */
int64_t scheduler_turn(struct scheduler *s, short store_revents, int64_t now_us);
/* The purge that the seam started is over. */
void scheduler_purged(struct scheduler *s);

/* Begins to end: leaves the group, fires nothing more. Done when scheduler_stopped(). */
void scheduler_stop(struct scheduler *s);
bool scheduler_stopped(const struct scheduler *s);

/* Every owned shard is ready, and this scheduler has been given its shards at least once. */
bool scheduler_ready(const struct scheduler *s);
void scheduler_get_stats(const struct scheduler *s, struct scheduler_stats *ret);

#endif
