/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call of millrace/client.h against whatever MILLRACE_BROKERS and MILLRACE_PREFIX name. Prints a line for each thing seen;
 * the tests compare the lines.
 *
 *   client_calls blocking    execute, await, waits that run out, what is not there
 *   client_calls callbacks   many in flight in a loop of one's own, told by callbacks
 *   client_calls commands    each command by its short form, and what became of the task
 *   client_calls cancel      a caller who no longer wants to wait, by cancellation type
 *   client_calls runs        one key again and again under the id policies
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "millrace/client.h"

#define MANY 300
#define WAIT_MS 30000

static struct mr_task task_of(const char *activity_type, const char *activity_id, struct mr_payload input)
{
	return (struct mr_task){
		.size = sizeof(struct mr_task),
		.activity_type = activity_type,
		.activity_id = activity_id,
		.input = input,
		.start_to_close_timeout_ms = 10000,
		.maximum_attempts = 1,
	};
}

static void show(const char *what, enum mr_status status, struct mr_result *result)
{
	printf("%s: %s", what, mr_status_name(status));
	if (result) {
		printf(" %s %s %.*s", result->task_key, mr_outcome_name(result->outcome), (int)result->result.bytes,
		       result->result.data ? (const char *)result->result.data : "");
		for (const struct mr_failure *failure = result->failure; failure; failure = failure->cause)
			printf(" [%s: %s]", failure->type, failure->message);
		for (size_t i = 0; i < result->n_headers; i++)
			printf(" %s=%.*s", result->headers[i].name, (int)result->headers[i].bytes,
			       (const char *)result->headers[i].value);
	}
	printf("\n");
	mr_result_free(result);
}

static void execute(struct mr_client *client, const char *what, const struct mr_task *task, int64_t wait_ms)
{
	struct mr_result *result = NULL;
	enum mr_status status = mr_execute(client, task, wait_ms, &result, NULL);

	show(what, status, result);
}

static void await(struct mr_client *client, const char *what, const char *key, int64_t wait_ms)
{
	struct mr_result *result = NULL;
	enum mr_status status = mr_await(client, key, wait_ms, &result, NULL);

	show(what, status, result);
}

static void on_absent(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err)
{
	(void)err;
	show("existing only", status, result);
	*(bool *)ctx = true;
}

static void blocking(struct mr_client *client)
{
	struct mr_header header = {.name = "tenant", .value = "t1", .bytes = 2};
	struct mr_task greet = task_of("greet", "hello", MR_JSON("\"Ada\""));
	struct mr_task fail = task_of("fail", "no", MR_JSON("{\"type\":\"Refused\",\"message\":\"closed\"}"));
	struct mr_task slow = task_of("sleep_ms", "slow", MR_JSON("{\"ms\":1500}"));
	struct mr_task late = task_of("sleep_ms", "late", MR_JSON("{\"ms\":60000}"));
	bool told = false;
	struct mr_await_options absent = {.size = sizeof(absent),
					  .task_key = "nobody",
					  .from_start = true,
					  .existing_only = true,
					  .wait_ms = WAIT_MS,
					  .done = on_absent,
					  .ctx = &told};
	char *key = NULL;

	greet.headers = &header;
	greet.n_headers = 1;
	greet.workflow_id = "w/1";
	late.start_to_close_timeout_ms = 300;
	execute(client, "execute", &greet, WAIT_MS);
	greet.format = MR_FORMAT_JSON;
	execute(client, "again, as JSON", &greet, WAIT_MS);
	await(client, "await", "w%2F1/hello", WAIT_MS);
	execute(client, "failed", &fail, WAIT_MS);
	execute(client, "timed out", &late, WAIT_MS);
	execute(client, "wait over", &slow, 300);
	await(client, "awaited again", "slow", WAIT_MS);
	if (mr_await_async(client, &absent, NULL) == MR_OK)
		while (!told)
			mr_client_wait(client, 100);
	greet.activity_id = "later";
	printf("submit: %s", mr_status_name(mr_submit(client, &greet, NULL, &key, NULL)));
	printf(" %s %zu\n", key, mr_client_unacknowledged(client));
	printf("flush: %s", mr_status_name(mr_client_flush(client, WAIT_MS, NULL)));
	printf(" %zu\n", mr_client_unacknowledged(client));
	printf("health: %s\n", mr_status_name(mr_client_health(client, NULL)));
	free(key);
}

struct flight {
	char key[16];
	int submitted, done;
	bool good;
};

static void on_submitted(void *ctx, enum mr_status status, const char *task_key, const struct mr_error *err)
{
	struct flight *flight = ctx;

	(void)err;
	if (status == MR_OK && strcmp(task_key, flight->key) == 0)
		flight->submitted++;
}

static void on_done(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err)
{
	struct flight *flight = ctx;

	(void)err;
	flight->done++;
	flight->good = status == MR_OK && result->outcome == MR_COMPLETED && result->result.bytes == strlen(flight->key) &&
		       memcmp(result->result.data, flight->key, result->result.bytes) == 0;
	mr_result_free(result);
}

static void callbacks(struct mr_client *client)
{
	static struct flight flights[MANY];
	struct mr_error err;
	int submitted = 0, done = 0, good = 0;

	for (int i = 0; i < MANY; i++) {
		struct mr_submit_options options = {.size = sizeof(options),
						    .submitted = on_submitted,
						    .done = on_done,
						    .ctx = &flights[i],
						    .wait_ms = WAIT_MS};
		struct mr_task task;

		snprintf(flights[i].key, sizeof(flights[i].key), "many-%d", i);
		task = task_of("echo", flights[i].key, (struct mr_payload){flights[i].key, strlen(flights[i].key), "text/plain"});
		if (mr_submit(client, &task, &options, NULL, &err))
			printf("not submitted: %s %s\n", err.where, err.message);
	}
	printf("awaited: %zu\n", mr_client_awaited(client));
	while (mr_client_awaited(client) > 0) {
		struct pollfd fd = {.fd = mr_client_fd(client), .events = POLLIN};

		poll(&fd, 1, 100);
		mr_client_poll(client);
	}
	for (int i = 0; i < MANY; i++) {
		submitted += flights[i].submitted == 1;
		done += flights[i].done == 1;
		good += flights[i].good;
	}
	printf("submitted once: %d, done once: %d, with their own result: %d\n", submitted, done, good);
}

/* ---- Commands ---- */

static void submit(struct mr_client *client, const struct mr_task *task)
{
	if (mr_submit(client, task, NULL, NULL, NULL) || mr_client_flush(client, WAIT_MS, NULL))
		printf("not submitted: %s\n", task->activity_id);
}

/* A task that waits for an hour. */
static const char *delayed(struct mr_client *client, const char *id)
{
	struct mr_task task = task_of("echo", id, MR_JSON("1"));

	task.start_delay_ms = 3600000;
	submit(client, &task);
	return id;
}

static void said(const char *what, enum mr_status status)
{
	printf("%s: %s\n", what, mr_status_name(status));
}

static void commands(struct mr_client *client)
{
	const struct mr_failure failure = {.type = "Rejected", .message = "no", .non_retryable = true};
	const struct mr_changes changes = {.maximum_attempts = 3};
	struct mr_task pending = task_of("pending", "async", MR_JSON("1"));
	struct mr_error err;

	said("cancel", mr_cancel(client, delayed(client, "canceled"), NULL, "why not", &err));
	await(client, "it", "canceled", WAIT_MS);
	said("terminate", mr_terminate(client, delayed(client, "terminated"), NULL, NULL, &err));
	await(client, "it", "terminated", WAIT_MS);
	said("pause", mr_pause(client, delayed(client, "paused"), NULL, NULL, &err));
	said("update", mr_update_options(client, "paused", NULL, &changes, &err));
	said("unpause", mr_unpause(client, "paused", NULL, NULL, &err));
	said("reset", mr_reset(client, "paused", NULL, NULL, &err));
	said("of another run", mr_cancel(client, "paused", "no-such-run", NULL, &err));
	await(client, "it", "paused", 1000);
	submit(client, &pending);
	/* By key: whatever attempt there is, so it may be said until there is one. */
	said("heartbeat", mr_heartbeat_by_key(client, "async", NULL, MR_JSON("[1]"), &err));
	said("complete by another token", mr_complete_by_token(client, "async", "another", MR_JSON("0"), &err));
	for (enum mr_status status = MR_ETIMEOUT; status == MR_ETIMEOUT;) {
		struct mr_result *result = NULL;

		if (mr_complete_by_key(client, "async", NULL, MR_JSON("{\"by\":\"hand\"}"), &err))
			break;
		status = mr_await(client, "async", 300, &result, &err);
		if (status == MR_OK)
			show("it", status, result);
	}
	said("fail of what has ended", mr_fail_by_key(client, "async", NULL, &failure, &err));
	said("without a token", mr_fail_by_token(client, "async", NULL, &failure, &err));
	said("heartbeat by token", mr_heartbeat_by_token(client, "async", "t", MR_JSON("1"), &err));
}

/* ---- Cancel of what is awaited ---- */

static void on_end(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err)
{
	(void)err;
	show("told", status, result);
	*(bool *)ctx = true;
}

static void cancel_as(struct mr_client *client, const char *id, enum mr_cancellation_type type)
{
	struct mr_task task = task_of("sleep_ms", id, MR_JSON("{\"ms\":60000}"));
	bool told = false;
	struct mr_submit_options options = {
		.size = sizeof(options), .done = on_end, .ctx = &told, .wait_ms = WAIT_MS, .cancellation_type = type};

	task.start_to_close_timeout_ms = 90000;
	if (mr_submit(client, &task, &options, NULL, NULL) || mr_client_flush(client, WAIT_MS, NULL))
		return;
	said(id, mr_client_cancel_await(client, id, NULL));
	while (!told)
		mr_client_wait(client, 100);
	said("again", mr_client_cancel_await(client, id, NULL));
}

static void cancel(struct mr_client *client)
{
	cancel_as(client, "wait", MR_WAIT_CANCELLATION_COMPLETED);
	cancel_as(client, "try", MR_TRY_CANCEL);
	await(client, "and then", "try", WAIT_MS);
	cancel_as(client, "abandon", MR_ABANDON);
	await(client, "and then", "abandon", 1500);
	mr_terminate(client, "abandon", NULL, NULL, NULL);
}

/* ---- Runs ---- */

/* Prints whether the result is that of a run seen before: runs are numbered as they are seen. */
static void show_run(const char *what, enum mr_status status, struct mr_result *result)
{
	static char seen[16][64];
	static int n;
	int i = 0;

	printf("%s: %s", what, mr_status_name(status));
	if (result) {
		while (i < n && strcmp(seen[i], result->run_id) != 0)
			i++;
		if (i == n && n < 16)
			snprintf(seen[n++], sizeof(seen[0]), "%s", result->run_id);
		printf(" %s of run %d%s%s", mr_outcome_name(result->outcome), i + 1, result->failure ? ": " : "",
		       result->failure ? result->failure->type : "");
	}
	printf("\n");
	mr_result_free(result);
}

static void run_as(struct mr_client *client, const char *what, struct mr_task task, enum mr_id_reuse reuse,
		   enum mr_id_conflict conflict)
{
	struct mr_result *result = NULL;
	enum mr_status status;

	task.id_reuse = reuse;
	task.id_conflict = conflict;
	status = mr_execute(client, &task, WAIT_MS, &result, NULL);
	show_run(what, status, result);
}

static void on_first(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err)
{
	(void)err;
	show_run("the first", status, result);
	*(bool *)ctx = true;
}

static void runs(struct mr_client *client)
{
	struct mr_task echo = task_of("echo", "dup", MR_JSON("1"));
	struct mr_task fails = task_of("fail", "bad", MR_JSON("{\"type\":\"T\",\"message\":\"m\"}"));
	struct mr_task slow = task_of("sleep_ms", "slow-dup", MR_JSON("{\"ms\":1500}"));
	bool told = false;
	struct mr_submit_options first = {.size = sizeof(first), .done = on_first, .ctx = &told, .wait_ms = WAIT_MS};

	run_as(client, "new", echo, MR_REUSE_ALLOW_DUPLICATE, MR_CONFLICT_USE_EXISTING);
	run_as(client, "stored", echo, MR_REUSE_RETURN_EXISTING, MR_CONFLICT_USE_EXISTING);
	run_as(client, "anew", echo, MR_REUSE_ALLOW_DUPLICATE, MR_CONFLICT_USE_EXISTING);
	run_as(client, "anew, alone", echo, MR_REUSE_ALLOW_DUPLICATE, MR_CONFLICT_FAIL);
	run_as(client, "stored again", echo, MR_REUSE_RETURN_EXISTING, MR_CONFLICT_USE_EXISTING);
	run_as(client, "had completed", echo, MR_REUSE_ALLOW_DUPLICATE_FAILED_ONLY, MR_CONFLICT_USE_EXISTING);
	run_as(client, "failed", fails, MR_REUSE_ALLOW_DUPLICATE_FAILED_ONLY, MR_CONFLICT_USE_EXISTING);
	run_as(client, "after a failure", fails, MR_REUSE_ALLOW_DUPLICATE_FAILED_ONLY, MR_CONFLICT_USE_EXISTING);
	if (mr_submit(client, &slow, &first, NULL, NULL) || mr_client_flush(client, WAIT_MS, NULL))
		return;
	run_as(client, "joined", slow, MR_REUSE_ALLOW_DUPLICATE, MR_CONFLICT_USE_EXISTING);
	while (!told)
		mr_client_wait(client, 100);
	run_as(client, "after it", slow, MR_REUSE_ALLOW_DUPLICATE, MR_CONFLICT_USE_EXISTING);
}

int main(int argc, char **argv)
{
	struct mr_client_options options = {.size = sizeof(options)};
	struct mr_client *client;
	struct mr_error err;

	static const struct {
		const char *name;
		void (*run)(struct mr_client *client);
	} parts[] = {
		{"blocking", blocking}, {"callbacks", callbacks}, {"commands", commands}, {"cancel", cancel}, {"runs", runs}};

	if (argc != 2 || mr_client_new(&options, &client, &err))
		return 2;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strcmp(argv[1], parts[i].name) == 0)
			parts[i].run(client);
	mr_client_free(client);
	return 0;
}
