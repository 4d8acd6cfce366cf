/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include "base/arena.h"
#include "base/bytes.h"
#include "millrace/status.h"

/* The records of the contract as plain structures. All bytes are borrowed: they point into the record they were decoded from, or
 * into the arena that was given to the decoder. Optional instants and durations: TASK_UNSET where absent. */

#define TASK_UNSET INT64_MIN
#define TASK_ID_MAX_BYTES 255
#define TASK_KEY_MAX_BYTES (2 * 3 * TASK_ID_MAX_BYTES + 1)
/* A run id that nobody gave is "topic:partition:offset". */
#define TASK_RUN_MAX_BYTES (249 + 1 + 10 + 1 + 19)
/* Longest duration, 100 years, and latest instant, the end of the year 9999: sums stay exact in the doubles that Redis keeps as
 * scores. */
#define TASK_DURATION_MAX_MS INT64_C(3155760000000)
#define TASK_INSTANT_MAX_MS INT64_C(253402300799999)

struct payload {
	struct bytes data;         /* absent: no payload */
	struct bytes content_type; /* absent: application/octet-stream */
	struct bytes encoding;     /* codec hook; absent: none */
};

#define PAYLOAD_JSON "application/json"

struct header {
	struct bytes name;
	struct bytes value; /* may be absent */
};

struct headers {
	const struct header *items;
	size_t len;
};

enum task_format { TASK_AVRO, TASK_JSON };

enum id_reuse_policy { REUSE_RETURN_EXISTING, REUSE_ALLOW_DUPLICATE, REUSE_ALLOW_DUPLICATE_FAILED_ONLY, REUSE_REJECT_DUPLICATE };
enum id_conflict_policy { CONFLICT_USE_EXISTING, CONFLICT_FAIL };

/* As it was sent: TASK_UNSET / NAN-free zero where absent; retry_policy_effective() fills the defaults. */
struct retry_policy {
	int64_t initial_interval_ms; /* TASK_UNSET = 1000 */
	double backoff_coefficient;  /* 0 = 2.0 */
	int64_t maximum_interval_ms; /* TASK_UNSET = 100 x initial */
	int64_t maximum_attempts;    /* TASK_UNSET or 0 = unlimited */
	const struct bytes *non_retryable_error_types;
	size_t n_non_retryable_error_types;
};

struct task {
	enum task_format format; /* of the record; its result is encoded likewise */
	struct bytes activity_type;
	struct bytes workflow_id;
	struct bytes activity_id;
	struct bytes run_id;
	struct payload input;
	/* As sent, and a decoded 0 is TASK_UNSET (start_delay_ms too); the effective ones are made by task/deadlines.h. */
	int64_t schedule_to_close_timeout_ms;
	int64_t schedule_to_start_timeout_ms;
	int64_t start_to_close_timeout_ms;
	int64_t heartbeat_timeout_ms;
	struct retry_policy retry_policy;
	int64_t start_delay_ms;
	int priority; /* 1 (first) to 5; 3 where absent */
	struct bytes fairness_key;
	struct bytes reply_topic;
	enum id_reuse_policy id_reuse_policy;
	enum id_conflict_policy id_conflict_policy;
	int64_t scheduled_at_ms;
};

enum result_status { RESULT_COMPLETED, RESULT_FAILED, RESULT_TIMED_OUT, RESULT_CANCELED, RESULT_TERMINATED };
enum timeout_type {
	TIMEOUT_NONE,
	TIMEOUT_START_TO_CLOSE,
	TIMEOUT_HEARTBEAT,
	TIMEOUT_SCHEDULE_TO_START,
	TIMEOUT_SCHEDULE_TO_CLOSE
};
enum retry_state {
	RETRY_STATE_NONE,
	RETRY_STATE_IN_PROGRESS,
	RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED,
	RETRY_STATE_NON_RETRYABLE_FAILURE,
	RETRY_STATE_TIMEOUT,
	RETRY_STATE_CANCEL_REQUESTED,
};

/* Why an attempt did not complete. The chain of causes is at most FAILURE_MAX_DEPTH long (the Avro schemas are not recursive). */
#define FAILURE_MAX_DEPTH 3
struct failure {
	struct bytes type;
	struct bytes message;
	bool non_retryable;
	bool benign;                 /* expected: logged at debug, not counted as a failure */
	int64_t next_retry_delay_ms; /* TASK_UNSET = by policy */
	struct payload details;
	enum timeout_type timeout_type;
	const struct failure *cause; /* or NULL */
};

/* A failed attempt, as it is remembered between attempts (the last FAILURE_HISTORY of them, cut to 4 KiB together). */
#define FAILURE_HISTORY 5
#define FAILURE_KEEP_BYTES 4096
struct attempt_failure {
	int64_t attempt;
	int64_t started_at_ms;
	int64_t failed_at_ms;
	struct failure failure;
};

struct result {
	enum task_format format;
	struct bytes task_key;
	struct bytes workflow_id;
	struct bytes activity_id;
	struct bytes run_id;
	struct bytes activity_type;
	struct bytes queue;
	enum result_status status;
	int64_t attempt;
	struct payload result;
	const struct failure *failure; /* or NULL */
	enum retry_state retry_state;
	struct payload last_heartbeat_details;
	int64_t scheduled_at_ms;
	int64_t started_at_ms; /* TASK_UNSET: never started */
	int64_t closed_at_ms;
	struct bytes result_id;
	struct bytes worker;
};

/* What the journal says of a task between its attempts. Kinds of one key are ordered by (run, epoch, attempt, phase); the highest
 * is the truth. */
enum journal_kind {
	JOURNAL_WAITING,
	JOURNAL_STARTED,
	JOURNAL_BACKOFF,
	JOURNAL_HEARTBEAT,  /* key: task key and JOURNAL_HEARTBEAT_SUFFIX */
	JOURNAL_CHECKPOINT, /* key: JOURNAL_CHECKPOINT_KEY */
	JOURNAL_COMMAND,    /* what commands have changed so far; key: task key and JOURNAL_COMMAND_SUFFIX */
};
/* Task keys hold no control characters, so that these are nobody's. */
#define JOURNAL_HEARTBEAT_SUFFIX "\nh"
#define JOURNAL_COMMAND_SUFFIX "\nc"
#define JOURNAL_CHECKPOINT_KEY "\ncheckpoint"

struct journal_record {
	enum journal_kind kind;
	struct bytes task_key;
	struct bytes run_id;
	int64_t epoch;
	int64_t attempt;   /* BACKOFF: the attempt that comes next; STARTED: the one that runs */
	int64_t due_at_ms; /* by Redis' clock; BACKOFF, WAITING */
	bool cancel_requested;
	bool pause_requested;
	struct bytes record_id;       /* topic:partition:offset of the record that this follows */
	struct bytes topic;           /* task topic to dispatch to */
	struct bytes task;            /* value of the task record, unchanged */
	struct headers headers;       /* the user's, without reserved ones */
	struct bytes task_record_key; /* Kafka key of the task record */
	int64_t scheduled_at_ms;      /* first scheduled */
	int64_t lost;                 /* attempts lost in a row */
	const struct attempt_failure *failures;
	size_t n_failures;
	struct payload heartbeat_details;
	struct bytes worker;
	struct bytes nonce;
	int64_t started_at_ms;
	int64_t control_offset;       /* CHECKPOINT: commands before it have become effects; COMMAND: one behind its own */
	int64_t close_at_ms;          /* schedule-to-close; STARTED without a worker: the end of the attempt's time */
	int64_t heartbeat_timeout_ms; /* STARTED without a worker */
	bool terminate_requested;     /* COMMAND, as the two above; its epoch is the one that a reset asked for */
	struct bytes options;         /* COMMAND: JSON object */
	const struct bytes *request_ids;
	size_t n_request_ids;
};

enum control_command {
	CONTROL_CANCEL,
	CONTROL_TERMINATE,
	CONTROL_PAUSE,
	CONTROL_UNPAUSE,
	CONTROL_RESET,
	CONTROL_UPDATE,
	CONTROL_COMPLETE,
	CONTROL_FAIL,
	CONTROL_HEARTBEAT,
};

struct control {
	enum task_format format;
	enum control_command command;
	struct bytes task_key;
	struct bytes run_id;
	struct bytes request_id;
	struct bytes reason;
	struct payload result;
	const struct failure *failure;
	struct payload details;
	struct bytes token;
	struct payload options; /* JSON object: the options to change */
};

/* Everything unset. */
void task_init(struct task *task);
void failure_init(struct failure *failure);
void result_init(struct result *result);
void journal_record_init(struct journal_record *record);
void control_init(struct control *control);

/* Names of the enums as they appear on the wire ("COMPLETED"); the parsers return false for an unknown name. */
const char *result_status_name(enum result_status status);
bool result_status_parse(struct bytes name, enum result_status *ret);
const char *timeout_type_name(enum timeout_type type); /* "START_TO_CLOSE"; "" for NONE */
const char *retry_state_name(enum retry_state state);
const char *journal_kind_name(enum journal_kind kind);
const char *control_command_name(enum control_command command);
const char *id_reuse_policy_name(enum id_reuse_policy policy);
const char *id_conflict_policy_name(enum id_conflict_policy policy);

/* Limits of ids: 1-255 bytes, UTF-8, no control characters. `field` names it in the error. */
enum mr_status task_id_check(struct bytes id, const char *field, struct mr_error *err);
/* Ranges and combinations of all fields (types are the decoder's): ids, timeouts >= 0, retry policy (Temporal's rules), priority
 * 1-5, workflow_id without activity_id, reply_topic a legal Kafka topic name. The error's `where` is the field, its message one
 * sentence with what is accepted. */
enum mr_status task_validate(const struct task *task, struct mr_error *err);

/* The task key: `workflow_id/activity_id` or `activity_id`, with `%` and `/` inside an id percent-encoded; coordinates where
 * there is no id. The result lives in the arena. */
struct bytes task_key(const struct task *task, struct bytes record_id, struct arena *arena);
static inline int task_shard(struct bytes key, int n_shards)
{
	return (int)(bytes_murmur2(key) % (uint32_t)n_shards);
}

/* Reserved headers of a republished record. */
#define HEADER_PREFIX "millrace-"
#define HEADER_KEY "millrace-key"
#define HEADER_RUN "millrace-run"
#define HEADER_EPOCH "millrace-epoch"
#define HEADER_ATTEMPT "millrace-attempt"
#define HEADER_HOPS "millrace-hops"
#define HEADER_SCHEDULED_AT "millrace-scheduled-at"
#define HEADER_DISPATCHED_AT "millrace-dispatched-at"
#define HEADER_HISTORY "millrace-history" /* Avro `History`: the failures of former attempts */
/* The last heartbeat of a former attempt: its bytes, and their content type and encoding where it has them. */
#define HEADER_HEARTBEAT "millrace-heartbeat"
#define HEADER_HEARTBEAT_TYPE "millrace-heartbeat-type"
#define HEADER_HEARTBEAT_ENCODING "millrace-heartbeat-encoding"
#define HEADER_REQUEST_ID "millrace-request-id"     /* on a command from another partition: what stands for its request_id */
#define HEADER_COMMANDED_AT "millrace-commanded-at" /* with it: when it was given (ms), by Kafka's clock */
#define HEADER_OPTIONS "millrace-options"           /* JSON object: what commands have changed of the task (wire_options_apply) */
/* On a result: an answer to one publication only (BadTask, a rejected duplicate), never state. */
#define HEADER_NOT_STATE "millrace-not-state"
#define HEADER_REASON "millrace-reason" /* on a dead letter */
#define HEADER_TOPIC "millrace-topic"
#define HEADER_PARTITION "millrace-partition"
#define HEADER_OFFSET "millrace-offset"

/* What the reserved headers of a task record say. Absent headers leave: attempt 1, epoch 0, hops 0, TASK_UNSET, no bytes. */
struct dispatch {
	struct bytes key;
	struct bytes run_id;
	int64_t epoch;
	int64_t attempt;
	int64_t hops;
	int64_t scheduled_at_ms;
	int64_t dispatched_at_ms;
	struct bytes history;
	struct payload heartbeat;
	struct bytes options;
	bool republished; /* has millrace-attempt >= 2, or millrace-key */
};

/* False where a reserved header is malformed (the record is then a bad task); err names it. */
bool dispatch_parse(struct headers headers, struct dispatch *ret, struct mr_error *err);
bool header_is_reserved(struct bytes name);
/* When a command was given: by its record's timestamp, or the header of one that was passed on. */
int64_t command_at_ms(struct headers headers, int64_t timestamp_ms);

#endif
