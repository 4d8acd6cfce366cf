/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "base/arena.h"
#include "base/buf.h"
#include "store/store.h"

/* The text of task records (store.h has the layout; scripts/_record.lua is the other side). */

/* Between the texts of a list in one field. */
#define RECORD_SEPARATOR '\36'

struct record {
	char state; /* R S B W M F; 0: no record */
	struct bytes run_id;
	int64_t epoch, attempt;
	struct bytes nonce, worker, record_id;
	int64_t started_at_ms, due_ms, closed_at_ms;
	int64_t journal_offset; /* -1: none, or not known */
	int64_t lost;
	bool journalled;
	bool cancel_requested, terminate_requested, pause_requested, reset_requested, parked;
	enum result_status status;
	struct bytes replies;
	struct bytes publication; /* F: as encoded; absent where only the head is there */
};

/* How many TAB-separated fields the line has; 0 where there are more than `max`. */
size_t record_split(struct bytes line, struct bytes *fields, size_t max);
bool record_number(struct bytes text, int64_t *ret);
/* False where `text` is no record (a foreign value). */
bool record_parse(struct bytes text, struct record *ret);

/* R as a claim writes it, and as finish expects to find it. */
void record_append_started(struct buf *out, const struct claim_token *token);
/* F, with the publication. */
void record_append_finished(struct buf *out, const struct claim_token *token, enum result_status status, int64_t closed_at_ms,
			    bool unconfirmed, const struct store_publication *publication);
/* A number; a TAB and a text; a TAB and a number. */
void record_append_number(struct buf *out, int64_t number);
void record_append_field(struct buf *out, struct bytes text);
void record_append_int(struct buf *out, int64_t number);
/* "topic<US>key", or nothing where there is no topic. */
void record_append_reply(struct buf *out, struct bytes topic, struct bytes key);
/* False where a text holds a control character, which no field of a record may. */
bool record_text_ok(struct bytes text);

/* Borrows from `text`; headers lie in the arena. False where it is cut short. */
bool publication_parse(struct bytes text, struct arena *arena, struct store_publication *ret);

#endif
