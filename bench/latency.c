/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the submission to the result at the client, paced by due time: a submission that is late counts from when it was due.
 *
 *	latency BROKERS PREFIX PER_S SECONDS WARM_UP_S
 *
 * One client submits activities `noop` of 140 B and awaits each result by callback, as a workflow in C does. Milliseconds.
 */
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "meter.h"
#include "millrace/client.h"

#define INPUT_BYTES 140
#define AWAIT_LAST_MS 30000

struct latency;

struct sent {
	struct latency *run;
	int64_t due_us;
	bool counts; /* sent after the warm-up */
};

struct latency {
	struct mr_client *client;
	long long per_s, n_warm_up, n;
	struct sent *sent;
	int64_t *took_us;
	long long done;
	char input[INPUT_BYTES + 1];
};

static _Noreturn void die(const struct mr_error *err)
{
	fprintf(stderr, "latency: %s: %s\n", err->where, err->message);
	exit(1);
}

static void on_done(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err)
{
	struct sent *sent = ctx;

	if (status != MR_OK)
		die(err);
	if (result->outcome != MR_COMPLETED) {
		fprintf(stderr, "latency: %s ended %s\n", result->task_key, mr_outcome_name(result->outcome));
		exit(1);
	}
	if (sent->counts)
		sent->run->took_us[sent->run->done++] = clock_mono_us() - sent->due_us;
	mr_result_free(result);
}

static void wait_until(struct latency *run, int64_t due_us)
{
	struct pollfd fd = {.fd = mr_client_fd(run->client), .events = POLLIN};
	int64_t left_us;

	while ((left_us = due_us - clock_mono_us()) > 0) {
		if (left_us > 50000)
			left_us = 50000;
		ppoll(&fd, 1, &(struct timespec){.tv_nsec = left_us * 1000}, NULL);
		mr_client_poll(run->client);
	}
}

static void submit_one(struct latency *run, struct sent *sent, long long number)
{
	struct mr_submit_options options = {.size = sizeof(options), .done = on_done, .ctx = sent, .wait_ms = AWAIT_LAST_MS};
	struct mr_task task = {.size = sizeof(task), .activity_type = "noop", .start_to_close_timeout_ms = 60000};
	struct mr_error err;
	char id[32];

	snprintf(id, sizeof(id), "latency-%08lld", number);
	task.activity_id = id;
	task.input = (struct mr_payload){run->input, INPUT_BYTES, "application/json"};
	if (mr_submit(run->client, &task, &options, NULL, &err) != MR_OK)
		die(&err);
}

/* The first task alone: the client reads `results` and the worker has its partitions when it is back. */
static void await_all(struct latency *run)
{
	while (mr_client_awaited(run->client) > 0)
		mr_client_wait(run->client, 50);
}

static void run_all(struct latency *run)
{
	long long total = run->n_warm_up + run->n;
	int64_t begin_us;

	run->sent[0] = (struct sent){run, clock_mono_us(), false};
	submit_one(run, &run->sent[0], total);
	await_all(run);
	begin_us = clock_mono_us();
	for (long long i = 0; i < total; i++) {
		struct sent *sent = &run->sent[i];

		*sent = (struct sent){run, begin_us + i * 1000000 / run->per_s, i >= run->n_warm_up};
		wait_until(run, sent->due_us);
		submit_one(run, sent, i);
		mr_client_poll(run->client);
	}
	await_all(run);
}

int main(int argc, char **argv)
{
	struct latency run = {0};
	struct mr_error err;

	if (argc != 6) {
		fprintf(stderr, "usage: latency BROKERS PREFIX PER_S SECONDS WARM_UP_S\n");
		return 2;
	}
	struct mr_client_options options = {.size = sizeof(options), .brokers = argv[1], .prefix = argv[2]};
	run.per_s = meter_number("PER_S", argv[3], 1, 100000);
	run.n = run.per_s * meter_number("SECONDS", argv[4], 1, 600);
	run.n_warm_up = run.per_s * meter_number("WARM_UP_S", argv[5], 0, 600);
	run.sent = mem_alloc((size_t)(run.n + run.n_warm_up) * sizeof(*run.sent));
	run.took_us = mem_alloc((size_t)run.n * sizeof(*run.took_us));
	memset(run.input, 'x', INPUT_BYTES);
	run.input[0] = run.input[INPUT_BYTES - 1] = '"';

	if (mr_client_new(&options, &run.client, &err) != MR_OK)
		die(&err);
	run_all(&run);
	meter_report_spread(run.took_us, run.n);
	mr_client_free(run.client);
	free(run.sent);
	free(run.took_us);
	return 0;
}
