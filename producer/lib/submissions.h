/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_SUBMISSIONS_H
#define LIB_SUBMISSIONS_H

#include "bus/bus.h"
#include "millrace/client.h"

/*
 * Tasks, and commands to tasks, on their way to Kafka.
 *
 *   HELD (until the reader stands, so that no result can be missed) --sent--> SENT --acknowledged or failed--> told
 *   HELD, SENT --submit_timeout_ms--> told; what was sent stays LATE until the bus lets go of it
 */
struct await;

enum submission_state { SUBMISSION_HELD, SUBMISSION_SENT, SUBMISSION_LATE };

/* A record that waits to be sent: its copy. */
struct held_record {
	struct arena arena;
	struct bus_record record;
};

struct submission {
	enum submission_state state;
	struct submission *prev, *next;
	struct held_record *held; /* HELD */
	struct await *await;      /* or NULL */
	int64_t deadline_us;
	mr_submitted_fn *submitted;
	void *ctx;
	bool is_command;
	char key[];
};

/* In the order of their deadlines. */
struct submission_list {
	struct submission *head, *tail;
	size_t len;
};

struct submissions {
	struct submission_list held, sent;
	size_t held_bytes;
	size_t late;
	bool may_send; /* one of `held` has become ready, or the bus was full */
};

struct submission *submission_new(struct bytes key, mr_submitted_fn *submitted, void *ctx);
/* Takes a new one over, and copies the record; where the status is not MR_OK, it stays the caller's. MR_EFULL: the bound is
 * reached. */
enum mr_status submissions_send(struct mr_client *client, struct submission *submission, const struct bus_record *record);
enum mr_status submissions_hold(struct mr_client *client, struct submission *submission, const struct bus_record *record);
/* MR_EFULL in words. */
enum mr_status submissions_full(const struct mr_client *client, struct mr_error *err);
/* Ends one that is HELD: it was canceled and is not sent. Not inside a callback. */
void submissions_drop(struct mr_client *client, struct submission *submission);
/* An await of this submission has been placed: it may be sent. */
void submissions_placed(struct mr_client *client);
/* The bus tells what became of a record. */
void submissions_on_delivered(struct mr_client *client, struct submission *submission, enum mr_status status, int32_t partition,
			      int64_t offset);
void submissions_tick(struct mr_client *client, int64_t now_us);
int64_t submissions_deadline_us(const struct submissions *submissions);
/* Fails what was not sent. */
void submissions_close(struct mr_client *client);

#endif
