/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEAD_LETTER_H
#define CLI_DEAD_LETTER_H

#include "bus/bus.h"

/*
 * A record of `dead`: a letter, which is a record that could not be understood, unchanged, with headers that say why and whence; or
 * the note of a replay: a tombstone beside its letter (same partition, same key), whose headers say which letter and what became
 * of it.
 */
#define DEAD_HEADER_REPLAYED "millrace-replayed"       /* PARTITION:OFFSET of the letter */
#define DEAD_HEADER_REPLAYED_AS "millrace-replayed-as" /* TOPIC:PARTITION:OFFSET of the record that was sent */

struct dead_place {
	int32_t partition;
	int64_t offset;
};

/* Borrows from the record. */
struct dead_letter {
	struct dead_place place;
	int64_t at_ms;
	struct bytes key, reason;
	struct bytes topic; /* where it came from; absent where the record does not say */
	int32_t partition;
	int64_t offset;
	size_t value_bytes;
	bool is_cut; /* too large for any topic: the letter has only the beginning of its value */
};

struct dead_note {
	struct dead_place letter;
	int64_t at_ms;
	struct bytes as;
};

/* "0:17"; false where it is none. */
bool dead_place_parse(const char *text, struct dead_place *ret);
int dead_place_compare(struct dead_place a, struct dead_place b);

/* True where the record is the note of a replay. */
bool dead_note_of(const struct bus_message *message, struct dead_note *ret);
void dead_letter_of(const struct bus_message *message, struct dead_letter *ret);

/* The headers to replay it with: all but those that made it a letter; with `as_new` none of the reserved ones, so that a task
 * begins anew at attempt 1. */
struct headers dead_replay_headers(struct headers headers, bool as_new, struct arena *arena);

#endif
