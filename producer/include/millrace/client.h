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
 * Threads: a client belongs to one thread. Everything advances inside mr_client_poll, mr_client_wait, mr_client_flush and the
 * blocking calls (mr_execute, mr_await, mr_command and its short forms), and callbacks run there and in mr_client_free (librdkafka
 * has threads of its own, which call nobody back). A callback may call mr_submit, mr_await_async, mr_command_async and
 * mr_client_cancel_await, but none of the former. `struct mr_error *` may be NULL everywhere.
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
 * Whose result answers. The client gives every submission a run id of its own; the task's id policies say which runs count:
 *
 *   id_reuse RETURN_EXISTING (default)      any run's: the one that runs is joined, one that has ended is answered with its result
 *   others, id_conflict FAIL                its own run's only, or the refusal (failure type DuplicateTask) of this submission
 *   others, id_conflict USE_EXISTING        its own run's, or that of the run that it joined: one of which there was no result yet
 *                                           when the task was submitted (Temporal's USE_EXISTING, which returns the running run).
 *                                           Copies of results of runs that had ended before are passed over. Where the joined run
 *                                           ends before a worker sees the submission, the run of its own begins nevertheless: who
 *                                           must know which of both it was looks at result->run_id, or uses id_conflict FAIL
 */

/* What mr_client_cancel_await does (Temporal's ActivityCancellationType). */
enum mr_cancellation_type {
	MR_WAIT_CANCELLATION_COMPLETED, /* sends the cancel and awaits how the task really ends: it may still complete or fail */
	MR_TRY_CANCEL,                  /* sends the cancel and ends the await at once with MR_ECANCELED */
	MR_ABANDON,                     /* sends nothing and ends the await at once with MR_ECANCELED: the task goes on */
};

/*
 * Told once a submission. MR_OK: Kafka has it, it will run (`task_key` is its key). MR_EKAFKA: not known whether Kafka has it, or
 * will get it yet; submitting the same ids again is safe, because it runs once. MR_ENOT_FOUND: the queue's topic does not exist.
 * MR_ETOO_LARGE: the broker refused it. MR_ECANCELED: not sent, see mr_client_cancel_await. `err` is never NULL where the status is
 * not MR_OK.
 */
typedef void mr_submitted_fn(void *ctx, enum mr_status status, const char *task_key, const struct mr_error *err);
/*
 * Told once a task awaited: MR_OK and the result (now the callee's), or no result: MR_ETIMEOUT (the task may still run: await it
 * again), MR_ENOT_FOUND (existing_only: there is none), MR_ECANCELED (mr_client_cancel_await ended it), MR_ECLOSED (the client is
 * being freed), MR_EBAD_RECORD (what lies in `results` cannot be understood), or what mr_submitted_fn would be told where the
 * submission failed.
 */
typedef void mr_result_fn(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err);

struct mr_submit_options {
	size_t size;
	mr_submitted_fn *submitted; /* or NULL */
	mr_result_fn *done;         /* not NULL: also await the result */
	void *ctx;
	int64_t wait_ms; /* how long to await; 0 = for ever */
	enum mr_cancellation_type cancellation_type;
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
	enum mr_cancellation_type cancellation_type;
};
enum mr_status mr_await_async(struct mr_client *client, const struct mr_await_options *options, struct mr_error *err);

/* Blocking forms; other callbacks run meanwhile. wait_ms 0 = for ever. MR_OK means that there is a result, whatever its outcome;
 * other codes as of mr_submit and mr_result_fn. mr_await reads from the start. */
enum mr_status mr_execute(struct mr_client *client, const struct mr_task *task, int64_t wait_ms, struct mr_result **ret,
			  struct mr_error *err);
enum mr_status mr_await(struct mr_client *client, const char *task_key, int64_t wait_ms, struct mr_result **ret,
			struct mr_error *err);

/*
 * Cancels what this client awaits of the key, each await by its own cancellation_type. mr_result_fn is called later, inside
 * mr_client_poll and the like; with MR_WAIT_CANCELLATION_COMPLETED when the result comes. A submission that was not sent yet is not
 * sent (MR_ECANCELED to both callbacks, unless MR_ABANDON). The same again does nothing. The cancel names the run where only
 * this run's result counts, else it is for the run that there is. MR_ENOT_FOUND: nothing of this key is awaited. MR_EFULL: as of
 * mr_command_async; call again. A cancel that Kafka does not take is told by mr_client_flush. An mr_execute that blocks is cancelled
 * from a callback.
 */
enum mr_status mr_client_cancel_await(struct mr_client *client, const char *task_key, struct mr_error *err);
/* Until every submission and command is acknowledged or failed. MR_ETIMEOUT after wait_ms (0 = no limit); or the first failure since
 * the last flush of one that had no callback. */
enum mr_status mr_client_flush(struct mr_client *client, int64_t wait_ms, struct mr_error *err);

/* ---- Commands to a task, whoever submitted it ---- */

/*
 *	mr_cancel(client, "order-17/charge", NULL, "the customer changed her mind", &err);
 *
 * A command is a record on `control`; the scheduler, and for running attempts the workers, obey it. MR_OK means that Kafka has it,
 * so that it will not be lost, not that it has had its effect: the task may end first. A task that nobody has started yet obeys
 * when a worker sees it. What does not fit the task's state (unpause of what is not paused, anything for a task that has ended) does
 * nothing. Cancel comes before reset, and reset before pause, where several wait for a running attempt.
 */
enum mr_command_kind {
	MR_COMMAND_CANCEL,    /* not running: CANCELED at once; running: the attempt is told, and no other one follows */
	MR_COMMAND_TERMINATE, /* TERMINATED at once; a running attempt is killed */
	MR_COMMAND_PAUSE,     /* no new attempt; a running one is told and may still complete. schedule_to_close goes on */
	MR_COMMAND_UNPAUSE,   /* goes on, at once or when its backoff is over */
	MR_COMMAND_RESET,     /* back to attempt 1, without backoff; a running attempt is told, and its failure leads there */
	MR_COMMAND_UPDATE,    /* other timeouts and retries, from the next attempt on */
	MR_COMMAND_COMPLETE,  /* ends the task COMPLETED with `result` (asynchronous completion) */
	MR_COMMAND_FAIL,      /* the attempt has failed with `failure`: retried by the policy, or FAILED */
	MR_COMMAND_HEARTBEAT, /* the attempt lives and has come as far as `details` say */
};

/* MR_COMMAND_UPDATE: what is 0 or NULL stays as it is, MR_NONE takes it away (no timeout; the retry policy's default). Durations in
 * ms. */
#define MR_NONE (-1)
struct mr_changes {
	int64_t schedule_to_close_timeout_ms, schedule_to_start_timeout_ms, start_to_close_timeout_ms, heartbeat_timeout_ms;
	int64_t initial_interval_ms;
	double backoff_coefficient;
	int64_t maximum_interval_ms;
	int64_t maximum_attempts;
	const char *const *non_retryable_error_types; /* instead of the former ones; not NULL and none: without */
	size_t n_non_retryable_error_types;
	int priority; /* 1 to 5 */
};

/* What is zero or NULL is not set. Strings and payloads are copied by the call. */
struct mr_command {
	size_t size; /* sizeof(struct mr_command) */
	enum mr_command_kind kind;
	const char *task_key;   /* required */
	const char *run_id;     /* this run only; NULL: the one that there is, or comes */
	const char *request_id; /* 1 to 255 bytes: two commands of a task with the same one count once. NULL: a random one */
	const char *reason;     /* for people: the log, and the failure of a task that the scheduler ends */
	const char *token;      /* CANCEL, COMPLETE, FAIL, HEARTBEAT: the attempt with this mr_info()->token, a text; NULL: any */
	struct mr_payload result;         /* COMPLETE; application/json must be one JSON value */
	const struct mr_failure *failure; /* FAIL; required. timeout_type is ignored; at most 3 causes deep */
	struct mr_payload details;        /* HEARTBEAT, FAIL */
	const struct mr_changes *changes; /* UPDATE; required */
	enum mr_format format;
};

/*
 * Queues a command; returns at once. `done` (or NULL) is told like a submission: MR_OK when Kafka has it; MR_EKAFKA: not known
 * whether Kafka has it; the same command with the same request_id again is safe, because it counts once. MR_EINVAL: a field is wrong
 * (err->where names it). MR_ETOO_LARGE, MR_EFULL: as of mr_submit. No callback is called after an error. `options` may be NULL.
 * `ret_request_id` (or NULL) gets the request id, to be freed by free().
 */
struct mr_command_options {
	size_t size;
	mr_submitted_fn *done;
	void *ctx;
};
enum mr_status mr_command_async(struct mr_client *client, const struct mr_command *command,
				const struct mr_command_options *options, char **ret_request_id, struct mr_error *err);
/* Until Kafka has it. Codes as of mr_command_async and its callback. */
enum mr_status mr_command(struct mr_client *client, const struct mr_command *command, struct mr_error *err);

/* Short forms of mr_command, in JSON. `run_id` and `reason` may be NULL. */
enum mr_status mr_cancel(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			 struct mr_error *err);
enum mr_status mr_terminate(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			    struct mr_error *err);
enum mr_status mr_pause(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			struct mr_error *err);
enum mr_status mr_unpause(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			  struct mr_error *err);
enum mr_status mr_reset(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			struct mr_error *err);
enum mr_status mr_update_options(struct mr_client *client, const char *task_key, const char *run_id,
				 const struct mr_changes *changes, struct mr_error *err);
/* By key: whatever attempt of the run there is. By token: this attempt only, else nothing happens; the key is needed all the same. */
enum mr_status mr_complete_by_key(struct mr_client *client, const char *task_key, const char *run_id, struct mr_payload result,
				  struct mr_error *err);
enum mr_status mr_complete_by_token(struct mr_client *client, const char *task_key, const char *token, struct mr_payload result,
				    struct mr_error *err);
enum mr_status mr_fail_by_key(struct mr_client *client, const char *task_key, const char *run_id,
			      const struct mr_failure *failure, struct mr_error *err);
enum mr_status mr_fail_by_token(struct mr_client *client, const char *task_key, const char *token,
				const struct mr_failure *failure, struct mr_error *err);
enum mr_status mr_heartbeat_by_key(struct mr_client *client, const char *task_key, const char *run_id, struct mr_payload details,
				   struct mr_error *err);
enum mr_status mr_heartbeat_by_token(struct mr_client *client, const char *task_key, const char *token, struct mr_payload details,
				     struct mr_error *err);

/* ---- The client's loop ---- */

/* For a loop of one's own: poll(2) this fd for reading, and call mr_client_poll when it is readable and at least every 100 ms.
 * mr_client_wait does both once, and returns early where something happened. */
int mr_client_fd(struct mr_client *client);
void mr_client_poll(struct mr_client *client);
void mr_client_wait(struct mr_client *client, int64_t wait_ms);
/* Submissions and commands not acknowledged, and results awaited. */
size_t mr_client_unacknowledged(const struct mr_client *client);
size_t mr_client_awaited(const struct mr_client *client);
/* MR_OK, or MR_EKAFKA with the reason while Kafka cannot be reached: work goes on by itself when it can. */
enum mr_status mr_client_health(const struct mr_client *client, struct mr_error *err);

#endif
