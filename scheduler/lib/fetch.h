/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_FETCH_H
#define SCHEDULER_FETCH_H

#include "lib/core.h"

/*
 * Reads single records that are not in memory: of the journal, for attempts that are due or are ended, and task records that no
 * worker has. By a reader of its own, each partition in the order of offsets. A journal record that is not where Redis says
 * (compaction has moved the truth to a later copy) is looked for behind that place. What is wanted ahead of its time gives way to
 * all that is wanted now.
 */
struct fetch;

enum fetch_loss {
	FETCH_GONE,    /* there is no record at that place of a task topic any more, or (ahead) of the journal */
	FETCH_LATE,    /* it was not found in time, or Kafka does not answer */
	FETCH_DROPPED, /* nobody wants it any more: the shard is another's, or the scheduler ends */
};

/* What is wanted: kept by whoever wants it until found() or lost(), one of which is called once. */
struct fetch_want {
	struct shard *shard; /* whose task it is about */
	const char *topic;   /* NULL: the shard's journal */
	int32_t partition;   /* of `topic` */
	int64_t offset;
	bool ahead; /* journal only: at its place or nowhere, and after all that is wanted now */
	/* Journal only, not ahead: whether this record, or a later copy, will do. */
	bool (*accepts)(const struct fetch_want *want, const struct journal_record *record);
	/* Borrowed during the call; `record` is the decoded one of the journal, NULL for task records and those ahead. */
	void (*found)(struct fetch_want *want, const struct bus_message *message, const struct journal_record *record);
	void (*lost)(struct fetch_want *want, enum fetch_loss loss);
	/* The reader's own. */
	int64_t asked_us;
	bool passed; /* it was not at its offset: any later copy will do */
};

struct fetch *fetch_new(struct scheduler *s);
/* What was wanted is dropped. */
void fetch_free(struct fetch *fetch);
void fetch_add(struct fetch *fetch, struct fetch_want *want);
void fetch_drop_shard(struct fetch *fetch, int shard);
/* Without those ahead. */
size_t fetch_pending(const struct fetch *fetch);
void fetch_turn(struct fetch *fetch);
int64_t fetch_deadline_us(const struct fetch *fetch);

#endif
