/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEAD_SEND_H
#define CLI_DEAD_SEND_H

#include "cli/dead_index.h"
#include "wire/wire.h"

/* Sends letters again to where they came from, and notes it beside each as soon as Kafka has acknowledged it. */
struct dead_send {
	/* To be set. */
	struct dead_read *dead;
	struct dead_index *index;
	const struct bytes *value; /* instead of the letter's own, or NULL */
	bool as_new;               /* without the headers of former attempts */
	/* Ours. */
	struct wire *wire;
	struct arena arena, scratch;
	struct dead_entry **acked; /* to be noted */
	size_t n_acked;
	size_t open; /* records without an answer */
	size_t sent, noted, doubtful;
	int64_t progress_us;
	struct mr_error err, doubt; /* the first of each */
};

/* Why it cannot be sent; MR_OK where it can. */
enum mr_status dead_send_check(const struct dead_send *send, const struct dead_entry *entry, struct mr_error *err);

/* Sends all of the index, which is put in the order of places; entry->sent_as says what was acknowledged. On an error what was sent
 * before stands. send->doubtful letters cannot be understood by this program either; the first of them is in send->doubt. Call
 * dead_send_deinit in any case. */
enum mr_status dead_send_all(struct dead_send *send, struct mr_error *err);
void dead_send_deinit(struct dead_send *send);

#endif
