/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_READER_H
#define LIB_READER_H

#include "bus/bus.h"
#include "lib/awaits.h"

/*
 * Reads `results` without a group: those partitions in which something is awaited, from their end as it was before the task was
 * sent. A partition is added when it is first needed and stays until nothing has been awaited for READER_IDLE_US.
 *
 *   IDLE --an await--> WANTED --asked for its end--> ASKED --answer--> READING --idle--> IDLE
 *                                                    ASKED --no answer--> WANTED
 *   READING --an await from the start--> WANTED (it goes on being read meanwhile)
 */
#define READER_IDLE_US 10000000

enum reader_state { READER_IDLE, READER_WANTED, READER_ASKED, READER_READING };

struct reader_partition {
	enum reader_state state;
	bool reads;       /* is in the set that is read */
	bool rewind;      /* is to be read from the beginning */
	int64_t position; /* next offset to be read; negative: BUS_OFFSET_BEGINNING */
	int64_t high;     /* all that was here before has an offset below */
	struct await_list placing, scanning;
};

struct reader {
	struct reader_partition *partitions;
	int n;                      /* 0: not known yet */
	struct await_list unplaced; /* until n is known */
	bool asking;                /* for ends */
	bool stale;                 /* the set that is read must be told again */
	int64_t ask_next_us;
	int64_t idle_since_us; /* nothing is awaited; INT64_MAX: something is */
};

/* Whether an await of this key would be placed at once. */
bool reader_is_reading(const struct reader *reader, struct bytes key);
/* Finds the place of a new await: at once, or later inside reader_tick. */
void reader_place(struct mr_client *client, struct await *await);
/* Forwards what waits for Kafka. */
void reader_tick(struct mr_client *client, int64_t now_us);
/* The bus' answer to the question for ends. */
void reader_on_ends(struct mr_client *client, const struct bus_partition *partitions, size_t n, enum mr_status status);
/* Takes what has come. */
void reader_take(struct mr_client *client);
void reader_deinit(struct reader *reader);

#endif
