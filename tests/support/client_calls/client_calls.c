/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call of millrace/client.h against whatever MILLRACE_BROKERS and MILLRACE_PREFIX name. Prints a line for each thing seen;
 * the tests compare the lines.
 *
 *   client_calls blocking    execute, await, waits that run out, what is not there
 *   client_calls callbacks   many in flight in a loop of one's own, told by callbacks
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

int main(int argc, char **argv)
{
	struct mr_client_options options = {.size = sizeof(options)};
	struct mr_client *client;
	struct mr_error err;

	if (argc != 2 || mr_client_new(&options, &client, &err))
		return 2;
	if (strcmp(argv[1], "callbacks") == 0)
		callbacks(client);
	else
		blocking(client);
	mr_client_free(client);
	return 0;
}
