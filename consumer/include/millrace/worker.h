/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MILLRACE_WORKER_H
#define MILLRACE_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "millrace/status.h"

/*
 * Activities: named pieces of work, written in C, and the worker that runs them.
 *
 *	static enum mr_attempt_end greet(struct mr_attempt *attempt, void *user)
 *	{
 *		const char *name;
 *		struct mr_error err;
 *
 *		(void)user;
 *		if (mr_input_string(attempt, "", &name, &err))
 *			return mr_fail_input(attempt, &err);
 *		return mr_complete_jsonf(attempt, "\"Hello, %s\"", name);
 *	}
 *
 *	MR_ACTIVITIES(registry)
 *	{
 *		return mr_register(registry, "greet", greet, NULL, NULL, NULL);
 *	}
 *
 * compiled as a shared object runs in the stock worker (millrace-worker --activity-lib greet.so); a program of its own calls
 * mr_register and mr_worker_run instead. An attempt runs in a process of its own by default: a crash, exit() or endless loop
 * costs that attempt only, and memory that is leaked or changed stays in that process. Attempts may run more than once for one
 * task: use mr_info()->task_key, which is the same for all attempts, as the idempotency key of every side effect.
 *
 * Threads: all functions that take an attempt are to be called from the thread that the activity was called in, except
 * mr_heartbeat, mr_is_cancelled, mr_cancel_reason, mr_cancel_fd and mr_log, which any thread may call until the activity returns.
 * Lifetimes: what the functions return is borrowed from the attempt and valid until the activity returns; what is passed to them
 * is copied.
 */

#define MR_UNSET INT64_MIN /* an instant or duration that is not there */

struct mr_registry;
struct mr_attempt;

/* ---- The end of an attempt ---- */

/* What an activity returns: what one of the functions below returned. The last of them that was called counts. */
enum mr_attempt_end {
	MR_ATTEMPT_COMPLETED, /* returned without one of the calls: completed without a result */
	MR_ATTEMPT_FAILED,    /* returned without one of the calls: failure `Failed`, retryable */
	MR_ATTEMPT_CANCELED,
	MR_ATTEMPT_PENDING,
};

typedef enum mr_attempt_end mr_activity_fn(struct mr_attempt *attempt, void *user);

struct mr_attempt_payload {
	const void *data; /* NULL: no payload. What the library returns has a NUL behind the last byte, not counted */
	size_t bytes;
	const char *content_type; /* NULL: application/octet-stream */
};

/* Why an attempt did not complete. Zero-initialise: absent members keep their defaults. */
struct mr_attempt_failure {
	const char *type;    /* compared with the task's non_retryable_error_types; NULL = "Failed" */
	const char *message; /* for people; NULL = "" */
	bool non_retryable;
	bool benign;                 /* expected: logged at debug level, not counted as a failure */
	int64_t next_retry_delay_ms; /* > 0: replaces the backoff, whatever the policy's maximum; 0 = by policy */
	struct mr_attempt_payload details;
	const struct mr_attempt_failure *cause; /* at most 3 deep together, the rest is dropped */
};

/* Completed with a result. content_type NULL: application/octet-stream. Larger than the worker's limit: the attempt fails with
 * `ResultTooLarge`. */
enum mr_attempt_end mr_complete(struct mr_attempt *attempt, const void *data, size_t bytes, const char *content_type);
/* Completed with a JSON value. Text that is no JSON value makes the attempt fail with `BadResult`, non-retryable. */
enum mr_attempt_end mr_complete_json(struct mr_attempt *attempt, const char *json);
/* The same from a format. Strings are put in as they are: use mr_json_escape for what may hold quotes or controls. */
enum mr_attempt_end mr_complete_jsonf(struct mr_attempt *attempt, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum mr_attempt_end mr_fail(struct mr_attempt *attempt, const struct mr_attempt_failure *failure);
/* Failure with a type and a formatted message, retryable. */
enum mr_attempt_end mr_failf(struct mr_attempt *attempt, const char *type, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Failure `BadInput`, non-retryable, which names the field (err->where). */
enum mr_attempt_end mr_fail_input(struct mr_attempt *attempt, const struct mr_error *err);
/* Stopped because of a cancel. Only while mr_is_cancelled(); otherwise failure `NotCancelRequested`. Where the cancel came from a
 * timeout, a shutdown, a pause or a reset, it is reported as the retryable failure that this is. */
enum mr_attempt_end mr_canceled(struct mr_attempt *attempt);
/* Asynchronous completion: the slot becomes free, someone else completes the attempt later with the token of mr_info(); its
 * timeouts go on. */
enum mr_attempt_end mr_pending(struct mr_attempt *attempt);

/* ---- Input ---- */

/* The input's bytes. Of an activity with an input schema: a bare Avro body that was checked against it (content_type
 * avro/binary), whether the task was sent as JSON or Avro. JSON input otherwise: exactly the bytes that were sent. */
const struct mr_attempt_payload *mr_input(struct mr_attempt *attempt);
/* The input as JSON text: JSON input, or Avro decoded by the input schema. NULL where it is neither. */
const char *mr_input_json(struct mr_attempt *attempt);
/*
 * One value of the decoded input: `path` = names and indexes with dots ("customer.name", "items.0.price"), "" = the input itself.
 * MR_ENOT_FOUND: not there (or null; *ret is left as it was, so that it may hold a default). MR_EBAD_RECORD: of another kind, or
 * the input is no JSON. err (NULL allowed) names the path: give it to mr_fail_input.
 */
enum mr_status mr_input_string(struct mr_attempt *attempt, const char *path, const char **ret, struct mr_error *err);
enum mr_status mr_input_int(struct mr_attempt *attempt, const char *path, int64_t *ret, struct mr_error *err);
enum mr_status mr_input_double(struct mr_attempt *attempt, const char *path, double *ret, struct mr_error *err);
enum mr_status mr_input_bool(struct mr_attempt *attempt, const char *path, bool *ret, struct mr_error *err);
/* How many items the array there has. */
enum mr_status mr_input_count(struct mr_attempt *attempt, const char *path, size_t *ret, struct mr_error *err);
/* `text` as the inside of a JSON string literal, borrowed from the attempt. */
const char *mr_json_escape(struct mr_attempt *attempt, const char *text);

/* ---- What an attempt knows of itself ---- */

struct mr_attempt_header {
	const char *name;
	const void *value; /* NULL: absent */
	size_t bytes;
};

struct mr_attempt_retry {
	int64_t initial_interval_ms;
	double backoff_coefficient;
	int64_t maximum_interval_ms;
	int64_t maximum_attempts; /* 0 = unlimited */
	const char *const *non_retryable_error_types;
	size_t n_non_retryable_error_types;
};

struct mr_attempt_info {
	const char *task_key;    /* idempotency key: the same for all attempts */
	const char *workflow_id; /* NULL: none */
	const char *activity_id; /* NULL: none */
	const char *run_id;
	const char *activity_type;
	const char *queue;
	const char *worker;
	const void *token; /* for asynchronous completion */
	size_t token_bytes;
	int64_t epoch;
	int64_t attempt;                 /* 1 = the first */
	int64_t scheduled_at_ms;         /* first scheduled */
	int64_t attempt_scheduled_at_ms; /* this attempt */
	int64_t started_at_ms;           /* this attempt, by the wall clock of this machine */
	int64_t deadline_at_ms;          /* when this attempt is cut off; MR_UNSET: never */
	int64_t schedule_to_close_timeout_ms, schedule_to_start_timeout_ms, start_to_close_timeout_ms,
		heartbeat_timeout_ms;            /* MR_UNSET: none */
	struct mr_attempt_retry retry;           /* with defaults filled in */
	int priority;                            /* 1 (first) to 5 */
	const struct mr_attempt_header *headers; /* the user's headers of the task record */
	size_t n_headers;
	struct mr_attempt_payload heartbeat_details; /* of the last heartbeat of a former attempt */
};

const struct mr_attempt_info *mr_info(struct mr_attempt *attempt);

/* ---- While it runs ---- */

#define MR_HEARTBEAT_MAX_BYTES 4000 /* data and content type together */

/* Says that the attempt lives and how far it is; cheap: call it as often as you like, the worker sends on the latest. `data` may
 * be NULL. The last details are given to the next attempt. MR_ETOO_LARGE: more than MR_HEARTBEAT_MAX_BYTES (the beat counts, the
 * former details stay). */
enum mr_status mr_heartbeat(struct mr_attempt *attempt, const void *data, size_t bytes, const char *content_type);

enum mr_cancel_reason {
	MR_CANCEL_NONE,
	MR_CANCEL_REQUESTED,
	MR_CANCEL_TIMED_OUT,
	MR_CANCEL_WORKER_SHUTDOWN,
	MR_CANCEL_PAUSED,
	MR_CANCEL_RESET,
};

/* A cancelled attempt should end soon: after the grace period its process is killed, with all that it has started. A pause and a
 * reset only ask it to end; it may go on and complete. */
bool mr_is_cancelled(struct mr_attempt *attempt);
enum mr_cancel_reason mr_cancel_reason(struct mr_attempt *attempt);
/* For poll(2): readable once the attempt is cancelled. Do not read from it or close it; it may be readable for no reason, so
 * check mr_is_cancelled. */
int mr_cancel_fd(struct mr_attempt *attempt);

enum mr_log_level { MR_LOG_DEBUG, MR_LOG_INFO, MR_LOG_WARN, MR_LOG_ERROR };
/* A line in the worker's log with task key, type, attempt, queue and workflow id. */
void mr_log(struct mr_attempt *attempt, enum mr_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- Registration ---- */

/* NULL, or zero-initialised with size set: a member that is zero has its default. Strings are copied. */
struct mr_activity_options {
	size_t size;
	/* Avro schemas (JSON text). Input is checked, JSON input is converted; a mismatch fails with `BadInput`, non-retryable.
	 * The result is checked, JSON too (it stays JSON; an Avro body becomes JSON where the task came as JSON); a mismatch fails
	 * with `BadResult`, non-retryable. */
	const char *input_schema;
	const char *output_schema;
	int max_concurrent; /* attempts of this type at once in one worker; 0 = slots */
	/* Used where a task does not set its own; 0 = the worker's default, or none. */
	int64_t start_to_close_timeout_ms, heartbeat_timeout_ms;
};

enum mr_status mr_registry_new(struct mr_registry **ret, struct mr_error *err);
void mr_registry_free(struct mr_registry *registry); /* NULL is allowed */

/*
 * Registers `fn` under a name: 1 to 255 bytes of UTF-8 without control characters, exactly as tasks name it. `user` is passed on.
 * MR_EINVAL: malformed name, bad option or schema (err->where names which). MR_EEXISTS: the name is taken. After a failure the
 * registry refuses to start with the same error, so that return values need not be checked one by one.
 */
enum mr_status mr_register(struct mr_registry *registry, const char *name, mr_activity_fn *fn, void *user,
			   const struct mr_activity_options *options, struct mr_error *err);
/* The activity for all types that are not registered; at most one. */
enum mr_status mr_register_catch_all(struct mr_registry *registry, mr_activity_fn *fn, void *user,
				     const struct mr_activity_options *options, struct mr_error *err);
/* An executable as an activity: `program` (with a slash, or looked up in PATH now) and arguments, `argv` ends with NULL and
 * begins with the program. No shell takes part. MR_ENOT_FOUND, MR_EINVAL: no executable file of that name. */
enum mr_status mr_register_exec(struct mr_registry *registry, const char *name, const char *const *argv,
				const struct mr_activity_options *options, struct mr_error *err);
/* The same from one text, as flags and configuration files have it: NAME=PROGRAM [ARGUMENT...], arguments separated by white
 * space; "..." keeps it. */
enum mr_status mr_register_exec_text(struct mr_registry *registry, const char *text, struct mr_error *err);
/* At most so many attempts of this type at once in one worker, from 1 to 1024, whatever its options say: for whoever runs the worker.
 * The type may be registered before or after, by a shared object too; where it is not at the start, the worker refuses to start. */
enum mr_status mr_register_limit(struct mr_registry *registry, const char *type, int max_concurrent, struct mr_error *err);
/* The same from one text: TYPE=N. */
enum mr_status mr_register_limit_text(struct mr_registry *registry, const char *text, struct mr_error *err);
/* A shared object with activities (MR_ACTIVITIES). It is looked at when the worker starts. MR_ENOT_FOUND: no such file. */
enum mr_status mr_register_library(struct mr_registry *registry, const char *path, struct mr_error *err);

/* ---- Shared objects ---- */

#define MR_ABI_VERSION 1

/* Called once when the library is loaded; not MR_OK refuses to start. */
__attribute__((visibility("default"))) enum mr_status mr_activities(struct mr_registry *registry);

#define MR_ACTIVITIES(registry)                                                                                                  \
	__attribute__((visibility("default"))) extern const unsigned mr_abi_version;                                             \
	const unsigned mr_abi_version = MR_ABI_VERSION;                                                                          \
	enum mr_status mr_activities(struct mr_registry *registry)

/* ---- The worker ---- */

enum mr_isolation { MR_ISOLATION_PROCESS, MR_ISOLATION_THREAD };

struct mr_worker_options {
	size_t size;
	const char *brokers;       /* NULL = MILLRACE_BROKERS, else 127.0.0.1:9092 */
	const char *redis;         /* NULL = MILLRACE_REDIS, else redis://127.0.0.1:6379/0 */
	const char *prefix;        /* NULL = MILLRACE_PREFIX, else millrace. */
	const char *const *queues; /* at least one */
	size_t n_queues;
	const char *const *properties; /* property=value for librdkafka */
	size_t n_properties;
	int slots; /* attempts at once; 0 = 16 */
	enum mr_isolation isolation;
	int64_t start_to_close_ms;   /* where neither task nor activity has one; 0 = 10 minutes */
	int64_t grace_ms;            /* between the cancel of an attempt and its kill, and for a drain; 0 = 30 s */
	int64_t max_in_flight_bytes; /* of tasks read and not ended; 0 = 16 MiB */
	int64_t max_input_bytes;     /* of one task; 0 = 1 MiB */
	int64_t max_result_bytes;    /* of one result; 0 = 1 MiB */
	const char *http;            /* ADDR:PORT, [IPv6]:PORT or :PORT for /metrics, /healthz, /readyz; NULL = none */
	bool no_setup;               /* do not create topics */
	int64_t park_after_ms; /* an attempt that runs for so long is journalled, so that nothing queues behind it; 0 = 1 s */
};

/*
 * Runs a worker until SIGTERM or SIGINT (it drains; a second one ends it at once). Call it from main before any thread exists: it
 * forks. The result is the exit status for main: 0 after a drain; 2 with `err` filled in where the options or the registry are
 * refused (nothing to run included); 1 with `err` where the port of `http` is taken.
 */
int mr_worker_run(const struct mr_worker_options *options, struct mr_registry *registry, struct mr_error *err);

#endif
