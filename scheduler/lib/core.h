/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_CORE_H
#define SCHEDULER_CORE_H

/* Between the files of the scheduler; nobody else includes this. */

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "lib/cache.h"
#include "lib/meters.h"
#include "lib/scheduler.h"
#include "lib/shard.h"

#define LOOK_INTERVAL_US (1000 * 1000)
/* Where there are other schedulers. */
#define LOOK_SHARED_US (250 * 1000)
#define RETRY_US (100 * 1000)
/* A turn that comes so late found this process stopped, or the machine overloaded: nobody may be blamed for that time. */
#define STALL_US (1500 * 1000)
#define INTAKE_BATCH 256
#define FIRE_BATCH 200
/* Publications under way and records to be fetched, above which nothing more is fired or swept. */
#define JOBS_MAX 2000
#define FETCHES_MAX 500

struct job;
struct fetch;
struct leases;
struct watch;

/* First member of what a record is sent with as its tag: who hears that Kafka has it (at `offset` of its partition) or will not. */
struct delivery {
	void (*done)(struct delivery *delivery, enum mr_status status, int64_t offset);
};

enum topic_kind { TOPIC_JOURNAL, TOPIC_RESULTS, TOPIC_KINDS };

/* Questions for end offsets. One is under way at a time, so that an answer is never older than the question of the one who
 * gets it. */
struct ends {
	bool *wanted[TOPIC_KINDS]; /* by shard */
	bool *asked[TOPIC_KINDS];  /* in the question under way */
	struct bus_partition *partitions;
	bool under_way;
	int64_t not_before_us;
};

/* Reads results of the shards that recover. */
struct replay {
	bool *reading; /* by shard: in the set that is read now */
	size_t n_reading;
	bool set_again; /* the set must be made anew */
};

/* Tasks whose record is acknowledged, to be cleared from the outbox in one call. */
struct clears {
	struct job **jobs;
	size_t len, cap;
};

struct scheduler {
	struct scheduler_config config;
	struct scheduler_links links;
	bool attached;
	char *prefix, *journal_topic, *control_topic, *results_topic, *dead_topic;
	const char *topics[3];
	int64_t now_us;
	int64_t turned_us; /* the turn before */
	struct shard *shards;
	struct arena arena; /* of one batch */
	struct buf scratch;
	struct cache *cache;
	struct fetch *fetch;
	struct leases *leases;
	struct watch *watch;
	struct ends ends;
	struct replay replay;
	struct clears clears;
	struct job *blocked; /* not sent yet: Kafka's queue is full */
	size_t n_jobs;
	size_t n_ahead; /* records that are fetched ahead */
	int64_t tip_us;
	int64_t purge_us;
	bool purging;
	int64_t commit_us;
	int64_t overdue_us; /* when the cache is looked through */
	bool bus_lost, redis_lost;
	bool ever_assigned;
	bool stopping;
	struct scheduler_stats stats;
	struct meters meters;
};

/* scheduler.c */
void scheduler_bury(struct scheduler *s, const char *worker);

/* ends.c */
void ends_init(struct ends *ends, int shards);
void ends_deinit(struct ends *ends);
void ends_want(struct scheduler *s, enum topic_kind kind, int shard);
void ends_turn(struct scheduler *s);
int64_t ends_deadline_us(const struct scheduler *s);
/* A told end reaches the reader; one of a log that was made anew sends it to the beginning. */
void ends_take(struct shard *shard, struct cursor *cursor, int64_t end, const char *topic);
void ends_answer(struct scheduler *s, const struct bus_partition *partitions, size_t n, enum mr_status status);

/* intake.c: the journal, in replay and in normal life */
void intake_turn(struct shard *shard);

/* commands.c, control.c */
void commands_init(struct shard *shard);
void commands_deinit(struct shard *shard);
/* What is under way is forgotten; answers that come later only tidy up. */
void commands_detach(struct shard *shard);
void control_turn(struct shard *shard);
int64_t control_deadline_us(const struct shard *shard);

/* checkpoint.c: where reading of commands goes on */
void checkpoint_read(struct shard *shard, const struct journal_record *record);

/* recovery.c */
void recovery_init(struct recovery *recovery);
void recovery_deinit(struct recovery *recovery);
/* What the look found missing or begun by somebody. */
void recovery_begin(struct shard *shard, const struct shard_status *status);
void recovery_looked(struct shard *shard, const struct shard_status *status);
void recovery_buried(struct shard *shard, const char *worker);
void recovery_ended(struct shard *shard, enum topic_kind kind, int64_t end);
void recovery_turn(struct shard *shard);
int64_t recovery_deadline_us(const struct shard *shard);

/* replay.c: results */
void replay_init(struct replay *replay, int shards);
void replay_deinit(struct replay *replay);
void replay_set(struct scheduler *s);
void replay_turn(struct shard *shard);

/* timers.c */
void timers_reset(struct shard *shard);
/* Something will be due: in the backoff set, among heartbeats and timeouts, or in some of them. -1: nothing. */
void timers_note_backoff(struct shard *shard, int64_t due_ms);
void timers_note_timeout(struct shard *shard, int64_t due_ms);
void timers_note(struct shard *shard, int64_t due_ms);
/* Schedule timeouts of records that wait for no worker any more; at most STORE_BATCH_MAX. */
void timers_forget(struct shard *shard, const struct watch_request *requests, size_t n);
void timers_turn(struct shard *shard);
int64_t timers_deadline_us(const struct shard *shard);

/* ahead.c: records of what will be due, fetched before */
void ahead_turn(struct shard *shard);
int64_t ahead_deadline_us(const struct shard *shard);

/* orphans.c: parked attempts whose worker is gone */
void orphans_soon(struct shard *shard);
void orphans_turn(struct shard *shard);
int64_t orphans_deadline_us(const struct shard *shard);

/* outbox.c */
void outbox_turn(struct shard *shard);
int64_t outbox_deadline_us(const struct shard *shard);

/* upkeep.c: tip, expiry, purge, commits for the display of lag */
void upkeep_turn(struct scheduler *s);
int64_t upkeep_deadline_us(const struct scheduler *s);
void upkeep_tip(struct shard *shard, int64_t end);

/* publish.c: records that are nobody's job */
void publish_tombstone(struct shard *shard, struct bytes key);
/* `delivery`: who hears of it where this is MR_OK; NULL: nobody, and what is not taken is lost. */
enum mr_status publish_dead(struct scheduler *s, const struct bus_message *message, const char *reason,
			    struct delivery *delivery);

#endif
