/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MILLRACE_CLIENT_H
#define MILLRACE_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "millrace/status.h"

/*
 * The client: submit activity tasks, await their results. It needs Kafka only.
 *
 *	struct mr_client *client;
 *	struct mr_result *result;
 *	struct mr_error err;
 *
 *	mr_client_new(&(struct mr_client_options){.size = sizeof(struct mr_client_options)}, &client, &err);
 *	mr_execute(client, &(struct mr_task){.size = sizeof(struct mr_task), .queue = "default", .activity_type = "charge_card",
 *		   .workflow_id = "order-17", .activity_id = "charge", .input = MR_JSON("{\"cents\":1999}"),
 *		   .start_to_close_timeout_ms = 10000}, 60000, &result, &err);
 *
 * A task is known by its key: `workflow_id/activity_id`, or `activity_id` alone. Submitting the same key again, from this process
 * or after a crash from another, does not run it again: it joins what runs, or gets the stored result. So a workflow is plain
 * code that starts from the top after a crash. A task that is submitted without an activity id gets a random one.
 *
 * Threads: a client belongs to one thread. Everything advances inside mr_client_poll, mr_client_wait, mr_client_flush, mr_execute
 * and mr_await, and callbacks run there and in mr_client_free (librdkafka has threads of its own, which call nobody back). A
 * callback may submit and await, but not call one of these six. `struct mr_error *` may be NULL everywhere.
 */
struct mr_client;

struct mr_client_options {
	size_t size;                   /* sizeof(struct mr_client_options); members that are zero have their defaults */
	const char *brokers;           /* NULL = MILLRACE_BROKERS, else 127.0.0.1:9092 */
	const char *prefix;            /* NULL = MILLRACE_PREFIX, else millrace. */
	const char *const *properties; /* "name=value" for librdkafka */
	size_t n_properties;
	int64_t max_input_bytes;   /* of one task's record: input as it is encoded, ids, headers; 0 = 1,000,000 */
	int64_t max_queue_bytes;   /* of unacknowledged submissions; 0 = 32 MiB */
	int64_t submit_timeout_ms; /* what Kafka has not acknowledged by then is told as MR_EKAFKA; 0 = 30,000 */
	int linger_ms;             /* how long a submission may wait for company; 0: not at all */
};

/* MR_EINVAL: a bad option (err->where names it). Does not wait for Kafka. */
enum mr_status mr_client_new(const struct mr_client_options *options, struct mr_client **ret, struct mr_error *err);
/* Waits up to 5 s for unacknowledged submissions (not where Kafka is away: then they are told MR_EKAFKA); drops what is awaited
 * (callbacks get MR_ECLOSED). NULL is allowed. */
void mr_client_free(struct mr_client *client);

/* ---- Tasks ---- */

struct mr_payload {
	const void *data; /* NULL: none */
	size_t bytes;
	const char *content_type; /* NULL: application/octet-stream */
};
#define MR_JSON(text) ((struct mr_payload){(text), sizeof(text) - 1, "application/json"})

struct mr_header {
	const char *name;
	const void *value;
	size_t bytes;
};

enum mr_format { MR_FORMAT_AVRO, MR_FORMAT_JSON }; /* of the record, and so of its result on the wire */
enum mr_id_reuse {
	MR_REUSE_RETURN_EXISTING,
	MR_REUSE_ALLOW_DUPLICATE,
	MR_REUSE_ALLOW_DUPLICATE_FAILED_ONLY,
	MR_REUSE_REJECT_DUPLICATE
};
enum mr_id_conflict { MR_CONFLICT_USE_EXISTING, MR_CONFLICT_FAIL };

/* What is zero or NULL is not set. Strings and payloads are copied by mr_submit. Durations in ms. Either
 * start_to_close_timeout_ms or schedule_to_close_timeout_ms is required (Temporal's rule for typed clients: an activity without
 * a bound can hang for ever). Input that is declared application/json must be one JSON value. */
struct mr_task {
	size_t size;               /* sizeof(struct mr_task) */
	const char *queue;         /* NULL = "default" */
	const char *activity_type; /* required */
	const char *workflow_id;
	const char *activity_id; /* required where there is a workflow_id */
	struct mr_payload input;
	int64_t schedule_to_close_timeout_ms, schedule_to_start_timeout_ms, start_to_close_timeout_ms, heartbeat_timeout_ms;
	int64_t initial_interval_ms; /* 0 = 1000 */
	double backoff_coefficient;  /* 0 = 2.0 */
	int64_t maximum_interval_ms; /* 0 = 100 x initial */
	int64_t maximum_attempts;    /* 0 = unlimited; 1 = at most once */
	const char *const *non_retryable_error_types;
	size_t n_non_retryable_error_types;
	int64_t start_delay_ms;
	int priority; /* 1 (first) to 5; 0 = 3 */
	const char *fairness_key;
	const char *reply_topic; /* gets a copy of the result */
	enum mr_id_reuse id_reuse;
	enum mr_id_conflict id_conflict;
	const struct mr_header *headers; /* travel to the activity and back with the result; not `millrace-...` */
	size_t n_headers;
	enum mr_format format;
};

/* ---- Results ---- */

enum mr_outcome { MR_COMPLETED, MR_FAILED, MR_TIMED_OUT, MR_CANCELED, MR_TERMINATED };

struct mr_failure {
	const char *type;
	const char *message;
	bool non_retryable;
	struct mr_payload details;
	const char *timeout_type;       /* "START_TO_CLOSE", ...; NULL: no timeout */
	const struct mr_failure *cause; /* or NULL */
};

/* Owned by whom it was given to; free it with mr_result_free. All pointers live as long. */
struct mr_result {
	const char *task_key, *workflow_id, *activity_id, *run_id, *activity_type, *queue, *worker,
		*result_id; /* ids that were not given: NULL */
	enum mr_outcome outcome;
	int64_t attempt;
	struct mr_payload result;
	const struct mr_failure *failure; /* NULL where completed */
	const char *retry_state;          /* NULL where completed */
	struct mr_payload last_heartbeat_details;
	int64_t scheduled_at_ms, started_at_ms, closed_at_ms; /* epoch ms; started_at_ms -1: never started */
	const struct mr_header *headers;
	size_t n_headers;
	const void *record; /* as it is in Kafka */
	size_t record_bytes;
};
void mr_result_free(struct mr_result *result); /* NULL is allowed */
/* The whole record as one line of JSON, whatever its format. It lives as long as the result. */
const char *mr_result_json(struct mr_result *result);
const char *mr_outcome_name(enum mr_outcome outcome); /* "COMPLETED" */

/* ---- Submit and await ---- */

/*
 * Told once a submission. MR_OK: Kafka has it, it will run (`task_key` is its key). MR_EKAFKA: not known whether Kafka has it, or
 * will get it yet; submitting the same ids again is safe, because it runs once. MR_ENOT_FOUND: the queue's topic does not exist.
 * MR_ETOO_LARGE: the broker refused it. `err` is never NULL where the status is not MR_OK.
 */
typedef void mr_submitted_fn(void *ctx, enum mr_status status, const char *task_key, const struct mr_error *err);
/*
 * Told once a task awaited: MR_OK and the result (now the callee's), or no result: MR_ETIMEOUT (the task may still run: await it
 * again), MR_ENOT_FOUND (existing_only: there is none), MR_ECLOSED (the client is being freed), MR_EBAD_RECORD (what lies in
 * `results` cannot be understood), or what mr_submitted_fn would be told where the submission failed.
 */
typedef void mr_result_fn(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err);

struct mr_submit_options {
	size_t size;
	mr_submitted_fn *submitted; /* or NULL */
	mr_result_fn *done;         /* not NULL: also await the result */
	void *ctx;
	int64_t wait_ms; /* how long to await; 0 = for ever */
};

/*
 * Queues a task; returns at once. MR_EINVAL: a field is wrong (err->where names it). MR_ETOO_LARGE: the record would be larger
 * than max_input_bytes (both sizes are told); nothing was sent. MR_EFULL: unacknowledged submissions reach max_queue_bytes; try
 * again after mr_client_wait. No callback is called after an error. `options` may be NULL. `ret_key` (or NULL) gets the task
 * key, to be freed by free().
 */
enum mr_status mr_submit(struct mr_client *client, const struct mr_task *task, const struct mr_submit_options *options,
			 char **ret_key, struct mr_error *err);

/* Awaits the result of a task by key, submitted by whomever. */
struct mr_await_options {
	size_t size;
	const char *task_key;
	const char *run_id; /* NULL: any run; of several in Kafka the last one */
	bool from_start;    /* results that are in Kafka already count: the key's partition is read from its beginning */
	bool existing_only; /* with from_start: MR_ENOT_FOUND where there is none by now */
	int64_t wait_ms;    /* 0 = for ever */
	mr_result_fn *done;
	void *ctx;
};
enum mr_status mr_await_async(struct mr_client *client, const struct mr_await_options *options, struct mr_error *err);

/* Blocking forms; other callbacks run meanwhile. wait_ms 0 = for ever. MR_OK means that there is a result, whatever its outcome;
 * other codes as of mr_submit and mr_result_fn. mr_await reads from the start. */
enum mr_status mr_execute(struct mr_client *client, const struct mr_task *task, int64_t wait_ms, struct mr_result **ret,
			  struct mr_error *err);
enum mr_status mr_await(struct mr_client *client, const char *task_key, int64_t wait_ms, struct mr_result **ret,
			struct mr_error *err);
/* Until every submission is acknowledged or failed. MR_ETIMEOUT after wait_ms (0 = no limit); or the first failure since the last
 * flush of a submission that had no callback. */
enum mr_status mr_client_flush(struct mr_client *client, int64_t wait_ms, struct mr_error *err);

/* For a loop of one's own: poll(2) this fd for reading, and call mr_client_poll when it is readable and at least every 100 ms.
 * mr_client_wait does both once, and returns early where something happened. */
int mr_client_fd(struct mr_client *client);
void mr_client_poll(struct mr_client *client);
void mr_client_wait(struct mr_client *client, int64_t wait_ms);
/* Submissions not acknowledged, and results awaited. */
size_t mr_client_unacknowledged(const struct mr_client *client);
size_t mr_client_awaited(const struct mr_client *client);
/* MR_OK, or MR_EKAFKA with the reason while Kafka cannot be reached: work goes on by itself when it can. */
enum mr_status mr_client_health(const struct mr_client *client, struct mr_error *err);

#endif
