/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the client library submits; also what fills the queues of the bench.
 *
 *	submit BROKERS PREFIX TASKS avro|json TYPE [INPUT_BYTES [ATTEMPTS [RETRY_MS [PER_S]]]]
 *
 * Tasks `task-00000017` of activity type TYPE with INPUT_BYTES (140) of input. A type that is given as TYPE={"ms":5} has that as
 * its input. ATTEMPTS and RETRY_MS: maximum attempts and initial interval (0: the defaults). PER_S: paced (0: as fast as it goes).
 */
#include <string.h>

#include "base/mem.h"
#include "meter.h"
#include "millrace/client.h"

struct work {
	struct mr_client *client;
	struct mr_task task;
	long long n, per_s, failed;
	char *type, *input;
};

static _Noreturn void die(const struct mr_error *err)
{
	fprintf(stderr, "submit: %s: %s\n", err->where, err->message);
	exit(1);
}

static void on_submitted(void *ctx, enum mr_status status, const char *task_key, const struct mr_error *err)
{
	struct work *work = ctx;

	if (status != MR_OK && work->failed++ == 0)
		fprintf(stderr, "submit: %s: %s\n", task_key, err->message);
}

static void submit_one(struct work *work, long long number)
{
	struct mr_submit_options options = {.size = sizeof(options), .submitted = on_submitted, .ctx = work};
	struct mr_error err;
	enum mr_status status;
	char id[32];

	snprintf(id, sizeof(id), "task-%08lld", number);
	work->task.activity_id = id;
	while ((status = mr_submit(work->client, &work->task, &options, NULL, &err)) == MR_EFULL)
		mr_client_wait(work->client, 10);
	if (status != MR_OK)
		die(&err);
}

static void wait_until_due(struct work *work, int64_t due_us)
{
	int64_t left_us;

	while ((left_us = due_us - clock_mono_us()) > 0)
		mr_client_wait(work->client, left_us / 1000 + 1);
}

static void submit_all(struct work *work)
{
	struct mr_error err;
	struct meter meter = meter_start();

	for (long long i = 0; i < work->n; i++) {
		if (work->per_s)
			wait_until_due(work, meter.begin_us + i * 1000000 / work->per_s);
		submit_one(work, i);
		if (i % 256 == 0)
			mr_client_poll(work->client);
	}
	if (mr_client_flush(work->client, 60000, &err) != MR_OK)
		die(&err);
	meter_report(&meter, work->n);
}

/* TYPE or TYPE=INPUT; without an input, so many bytes as a JSON string. */
static void choose_input(struct work *work, const char *type, size_t bytes)
{
	char *equals;

	work->type = mem_strdup(type);
	equals = strchr(work->type, '=');
	if (equals) {
		*equals = '\0';
		work->input = mem_strdup(equals + 1);
	} else {
		work->input = mem_alloc(bytes + 1);
		memset(work->input, 'x', bytes);
		work->input[0] = work->input[bytes - 1] = '"';
	}
	work->task.activity_type = work->type;
	work->task.input = (struct mr_payload){work->input, strlen(work->input), "application/json"};
}

static long long argument(int argc, char **argv, int index, const char *what, long long fallback)
{
	return argc > index ? meter_number(what, argv[index], 0, 1000000000) : fallback;
}

int main(int argc, char **argv)
{
	struct work work = {0};
	struct mr_error err;

	if (argc < 6 || argc > 10 || (strcmp(argv[4], "avro") && strcmp(argv[4], "json"))) {
		fprintf(stderr,
			"usage: submit BROKERS PREFIX TASKS avro|json TYPE [INPUT_BYTES [ATTEMPTS [RETRY_MS [PER_S]]]]\n");
		return 2;
	}
	work.n = meter_number("TASKS", argv[3], 1, 100000000);
	work.task = (struct mr_task){.size = sizeof(work.task), .start_to_close_timeout_ms = 3600000};
	work.task.format = strcmp(argv[4], "json") ? MR_FORMAT_AVRO : MR_FORMAT_JSON;
	choose_input(&work, argv[5], (size_t)(argc > 6 ? meter_number("INPUT_BYTES", argv[6], 2, 900000) : 140));
	work.task.maximum_attempts = argument(argc, argv, 7, "ATTEMPTS", 0);
	work.task.initial_interval_ms = argument(argc, argv, 8, "RETRY_MS", 0);
	work.per_s = argument(argc, argv, 9, "PER_S", 0);

	struct mr_client_options options = {
		.size = sizeof(options), .brokers = argv[1], .prefix = argv[2], .linger_ms = work.per_s ? 0 : 5};
	if (mr_client_new(&options, &work.client, &err) != MR_OK)
		die(&err);
	submit_all(&work);
	mr_client_free(work.client);
	free(work.type);
	free(work.input);
	return work.failed ? 1 : 0;
}
