/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEAD_READ_H
#define CLI_DEAD_READ_H

#include "cli/cli.h"
#include "cli/dead_letter.h"

/* Reads the topic of dead letters up to its end as it was at the beginning, and may send at the same time. */
struct dead_read {
	const struct program_common *common;
	struct bus *bus;
	char *topic;
	struct bus_partition *topics; /* of the prefix; `partition` is how many they have. Names belong to us */
	size_t n_topics;
	int64_t *ends; /* of each partition of `topic` */
	int partitions;
	/* What was sent; may be NULL where nothing is. */
	void (*delivered)(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset);
	void *ctx;
	struct bus_partition *asked; /* the question that is open */
	bool answered;
	enum mr_status answer;
};

/* A part of a partition: from an offset to one before which to stop. */
struct dead_span {
	int32_t partition;
	int64_t from, until;
};

typedef void dead_record_fn(void *ctx, const struct bus_message *message);

/* MR_EKAFKA; MR_ENOT_FOUND: there is no such topic. Call dead_read_deinit in any case. */
enum mr_status dead_read_init(struct dead_read *dead, const struct program_common *common, struct mr_error *err);
void dead_read_deinit(struct dead_read *dead);

/* How many partitions a topic of the prefix has; 0 where there is none. */
int dead_read_partitions(const struct dead_read *dead, struct bytes topic);
/* Calls `record` for each record of the spans, of which a partition has one at most. MR_EKAFKA: not all of it could be read. */
enum mr_status dead_read_spans(struct dead_read *dead, const struct dead_span *spans, size_t n, dead_record_fn *record, void *ctx,
			       struct mr_error *err);
/* The same for the whole topic. */
enum mr_status dead_read_all(struct dead_read *dead, dead_record_fn *record, void *ctx, struct mr_error *err);
/* Waits a moment for something to happen; calls delivered(). */
void dead_read_turn(struct dead_read *dead);

#endif
