/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_AWAITS_H
#define LIB_AWAITS_H

#include "base/map.h"
#include "bus/bus.h"
#include "millrace/client.h"

/*
 * What is awaited: results by task key. The reader places an await in its partition, from where on results count:
 *
 *   PLACING --the log's end is known--> TAILING --a result--> told
 *                                       SCANNING --up to that end--> told, or TAILING
 */

#define AWAIT_RUNS_MAX 16

struct submission;
struct result_box;

enum await_state { AWAIT_PLACING, AWAIT_SCANNING, AWAIT_TAILING };

/* from_start: what was seen so far. Of several runs the last counts, and of a run its first result. */
struct await_scan {
	int64_t end; /* of the log, when it began */
	struct result_box *found;
	uint64_t runs[AWAIT_RUNS_MAX]; /* hashes of the run ids seen last */
	size_t n_runs;
};

/* Runs that had ended when the task was submitted: hashes of their ids. */
struct await_runs {
	uint64_t *hashes;
	size_t len, cap;
};

struct await {
	enum await_state state;
	bool from_start, existing_only;
	int32_t partition;       /* TAILING, SCANNING */
	int64_t from_offset;     /* TAILING, SCANNING: older records do not count */
	struct await_scan *scan; /* from_start */
	struct await *same_key;  /* next of the chain in the map */
	struct await_list *list; /* of the reader, or NULL */
	struct await *prev, *next;
	struct submission *submission; /* not acknowledged yet, or NULL */
	int64_t deadline_us;           /* INT64_MAX: none */
	size_t timer;                  /* place in the heap */
	mr_result_fn *done;
	void *ctx;
	enum mr_cancellation_type cancellation;
	bool canceled;            /* is ended by the next tick */
	bool cancel_sent;         /* with MR_WAIT_CANCELLATION_COMPLETED, once */
	bool joins;               /* its own run, or one that had not ended at since_offset */
	bool ended_known;         /* joins: `ended` is complete */
	int64_t since_offset;     /* joins: end of the partition before the task was sent */
	struct await_runs ended;  /* joins */
	struct bytes run_id;      /* only this run; absent: any */
	struct bytes own_run;     /* of the submission: answers to this publication alone count for it */
	int32_t record_partition; /* where Kafka has the submission */
	int64_t record_offset;    /* -1: not known */
	struct bytes key;
};

struct await_list {
	struct await *head, *tail;
};

struct awaits {
	struct map by_key;   /* chains */
	struct await **heap; /* by deadline */
	size_t len, cap;
};

void await_list_add(struct await_list *list, struct await *await);
void await_list_remove(struct await *await);

struct await_request {
	struct bytes key, run_id, own_run;
	bool from_start, existing_only, joins;
	enum mr_cancellation_type cancellation;
	int64_t deadline_us;
	mr_result_fn *done;
	void *ctx;
};
/* Takes its place among the awaits of its key; the reader does not know it yet. */
struct await *await_new(struct mr_client *client, const struct await_request *request);
/* Ends it: tells, and frees. `box` is handed over; NULL where the status is not MR_OK. */
void await_end(struct mr_client *client, struct await *await, enum mr_status status, struct result_box *box,
	       const struct mr_error *err);
/* Is ended by the next tick, with MR_ECANCELED. */
void await_cancel(struct mr_client *client, struct await *await);
/* The scan has come to its end. */
void await_scanned(struct mr_client *client, struct await *await);
/* A record of `results`. */
void awaits_on_message(struct mr_client *client, const struct bus_message *message);
/* Ends those whose time is over. */
void awaits_tick(struct mr_client *client, int64_t now_us);
/* INT64_MAX where there is none. */
int64_t awaits_deadline_us(const struct awaits *awaits);
/* Ends all with MR_ECLOSED. */
void awaits_close(struct mr_client *client);
void awaits_deinit(struct awaits *awaits);

#endif
