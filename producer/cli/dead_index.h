/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEAD_INDEX_H
#define CLI_DEAD_INDEX_H

#include "cli/dead_read.h"

/* Which letters there are, the newest last, without their values. */

enum dead_state { DEAD_ANY, DEAD_WAITING, DEAD_REPLAYED };

struct dead_filter {
	const char *reason; /* a part of it; NULL: any */
	const char *topic;  /* where it came from, with or without the prefix; NULL: any */
	const char *prefix;
	const struct dead_place *places; /* these alone, where there are some */
	size_t n_places;
	enum dead_state state;
	bool no_journal; /* what came from the journal only where `topic` says so */
	size_t limit;
};

struct dead_entry {
	struct dead_letter letter; /* its bytes lie in `memory` */
	struct bytes replayed_as;  /* of the last replay; absent: never */
	int64_t replayed_at_ms;
	char *memory;
	/* Of this replay; the bytes are the sender's. */
	struct bytes task_key, sent_as;
	bool is_own_key; /* a task without ids: its place is its key */
};

struct dead_index {
	struct dead_filter filter;
	struct dead_entry *entries;
	size_t len, cap;
	size_t dropped; /* older letters that match too */
	struct {
		struct dead_note *items;
		size_t len, cap;
	} notes;
	struct arena arena; /* of the notes */
};

/* So many letters are remembered while notes of replays may follow. */
#define DEAD_LOOK_AT_MAX 100000

void dead_index_init(struct dead_index *index, const struct dead_filter *filter);
void dead_index_deinit(struct dead_index *index);
/* A record that was read, in the order of its partition. */
void dead_index_add(struct dead_index *index, const struct bus_message *message);
void dead_index_on_record(void *index, const struct bus_message *message); /* the same as a dead_record_fn */
/* After the last record: what was replayed is known now. */
void dead_index_finish(struct dead_index *index);
/* NULL where it has none such. */
struct dead_entry *dead_index_find(const struct dead_index *index, struct dead_place place);

/* Reads what the filter asks for: the whole topic, or from its places on. MR_EKAFKA; MR_ENOT_FOUND: a place is no letter. */
enum mr_status dead_index_read(struct dead_index *index, struct dead_read *dead, dead_record_fn *record, void *ctx,
			       struct mr_error *err);

#endif
