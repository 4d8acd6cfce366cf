/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_WATCH_IMPL_H
#define SCHEDULER_WATCH_IMPL_H

/* Between the files of the watch. */

#include "lib/age.h"
#include "lib/watch.h"

/* Partitions that are read at once: each may hold a fetched block. */
#define WATCH_READ_MAX 16
#define WATCH_BATCH 256

struct watch_partition {
	bool watched;        /* ours */
	bool reading;        /* in the set that is read now */
	int64_t committed;   /* by the workers' group; -1: not known */
	int64_t end;         /* as last told; -1: not known */
	int64_t aged;        /* the end before that: what lies before it has waited */
	int64_t limit;       /* where to read to */
	int64_t limit_next;  /* the same, once the question for committed offsets is answered */
	int64_t position;    /* next record to look at */
	int64_t progress_us; /* when something was read last */
	int64_t barren;      /* nothing comes before this end: not a reason to read, until then */
	int64_t barren_until_us;
	struct age age;
};

struct watch_topic {
	char *name, *group;
	struct watch_partition *partitions;
	int n;
	bool asking;          /* for committed offsets */
	bool wanted;          /* they are to be asked for at once */
	bool seen;            /* in the last answer */
	int64_t asked_us;     /* when the question under way was asked */
	int64_t committed_us; /* when that was that is answered; 0: never */
	metric_cell *backlog, *oldest;
};

struct watch {
	struct scheduler *s;
	struct map topics; /* name -> struct watch_topic */
	char *tasks;       /* what their names begin with */
	bool topics_asking, topics_known;
	int64_t topics_us; /* when to ask again */
	bool ends_asking;
	int64_t ends_us;
	int64_t ends_told_us; /* when the question was asked that was answered last */
	int64_t ends_asked_us;
	int64_t moved_us;       /* when an end moved last */
	int64_t sweep_until_us; /* until then partitions of others are read too */
	int64_t eager_until_us; /* until then records need not have waited */
	bool reading;           /* the set is not empty */
	bool changed;           /* another set is to be read */
	size_t n_calls;         /* to Redis, under way */
	int64_t retry_us;       /* something was not armed: all is read again then; 0: nothing */
	struct map searches;    /* task key -> struct search */
	bool search_wanted;     /* one has come since all was read from the committed offsets */
	int64_t search_us;      /* when that was begun */
};

/* A task record, as far as it concerns the watch. Borrowed. */
struct watched {
	struct bytes key, run_id, place;
	int64_t epoch, attempt;
	int64_t start_at_ms, close_at_ms; /* deadlines; TASK_UNSET: none */
	int shard;
};

/* watch.c */
struct watch_topic *watch_topic_of(const struct watch *watch, const char *name);
/* All that is not committed is looked at again. */
void watch_rewind(struct watch *watch);

/* watch_ask.c: topics, ends and committed offsets */
void watch_topic_free(struct watch_topic *topic);
void watch_ask_turn(struct watch *watch);
int64_t watch_ask_deadline_us(const struct watch *watch);

/* watch_read.c */
void watch_read_turn(struct watch *watch);
void watch_read_end(struct watch *watch);
/* All that was to be read since `since_us` has been read. */
bool watch_read_is_through(const struct watch *watch, int64_t since_us);
int64_t watch_read_deadline_us(const struct watch *watch);

/* watch_record.c */
/* False where the record has nothing for the watch: no deadline, and `anyway` is false, or it cannot be understood. */
bool watch_understand(struct watch *watch, const struct bus_message *message, bool anyway, struct watched *ret);

/* watch_arm.c */
void watch_arm(struct watch *watch, const struct watched *records, size_t n);

/* watch_search.c */
void watch_search_seen(struct watch *watch, const struct watched *record);
void watch_search_turn(struct watch *watch);
int64_t watch_search_deadline_us(const struct watch *watch);
void watch_search_free(struct watch *watch);

static inline int64_t watch_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

#endif
