/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client on a real broker: MILLRACE_TEST_BROKERS names it, tests/run sets it; without it these tests are skipped. The test
 * plays the worker too: it reads the task topic and writes each result twice, as a worker that crashed in between would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bus/topics.h"
#include "millrace/client.h"
#include "wire/wire.h"

#define PARTITIONS 2
#define SHARDS 4
#define IN_FLIGHT 2000
#define LIMIT_US (30 * INT64_C(1000000))

struct bench {
	char prefix[32];
	char tasks[64], results[64];
	struct bus *bus;
	struct wire *wire;
	struct mr_client *client;
	size_t served, answered, wrong;
	bool silent; /* the worker is away */
};

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	(void)ctx, (void)tag, (void)partition, (void)offset;
	assert_int_equal(status, MR_OK);
}

static int setup(void **state)
{
	static struct bench bench;
	static const char *const queues[] = {"q"};
	struct bus_config config = {.brokers = getenv("MILLRACE_TEST_BROKERS"), .client_id = "test"};
	struct topics_spec spec = {.brokers = config.brokers,
				   .prefix = bench.prefix,
				   .queues = queues,
				   .n_queues = 1,
				   .partitions = PARTITIONS,
				   .shards = SHARDS,
				   .timeout_ms = 20000};
	struct bus_callbacks callbacks = {.delivered = on_delivered};
	struct topics_info info = {0};
	struct mr_error err = {0};

	bench = (struct bench){.silent = false};
	*state = &bench;
	if (!config.brokers)
		return 0;
	snprintf(bench.prefix, sizeof(bench.prefix), "c%08x.", (unsigned)random_u64());
	snprintf(bench.tasks, sizeof(bench.tasks), "%stasks.q", bench.prefix);
	snprintf(bench.results, sizeof(bench.results), "%sresults", bench.prefix);
	if (topics_setup(&spec, &info, &err) || bus_kafka_new(&config, &callbacks, &bench.bus, &err) ||
	    wire_new(&bench.wire, &err) ||
	    mr_client_new(&(struct mr_client_options){.size = sizeof(struct mr_client_options),
						      .brokers = config.brokers,
						      .prefix = bench.prefix},
			  &bench.client, &err)) {
		print_error("%s: %s\n", err.where, err.message);
		return -1;
	}
	free(info.report);
	struct bus_partition from[PARTITIONS];
	for (int i = 0; i < PARTITIONS; i++)
		from[i] = (struct bus_partition){bench.tasks, i, BUS_OFFSET_BEGINNING};
	return bus_read(bench.bus, from, PARTITIONS) == MR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	mr_client_free(bench->client);
	bus_free(bench->bus);
	wire_free(bench->wire);
	return 0;
}

static struct bench *bench_of(void **state)
{
	struct bench *bench = *state;

	if (!bench->bus)
		skip();
	return bench;
}

/* ---- The worker ---- */

static void publish(struct bench *bench, const struct task *task, struct arena *arena)
{
	struct bytes key = task_key(task, BYTES_NONE, arena);
	struct bus_record record = {.topic = bench->results, .partition = task_shard(key, SHARDS), .key = key};
	struct buf value = {0};
	struct result result;

	result_init(&result);
	result.format = task->format;
	result.task_key = key;
	result.activity_id = task->activity_id;
	result.run_id = task->run_id;
	result.activity_type = task->activity_type;
	result.queue = BYTES_LIT("q");
	result.attempt = 1;
	result.result = task->input;
	result.scheduled_at_ms = result.started_at_ms = result.closed_at_ms = 1;
	result.result_id = task->run_id;
	wire_encode_result(bench->wire, &result, &value);
	record.value = buf_bytes(&value);
	for (int copy = 0; copy < 2; copy++)
		assert_int_equal(bus_produce(bench->bus, &record, NULL), MR_OK);
	buf_deinit(&value);
}

static void serve(struct bench *bench)
{
	struct bus_message *messages[64];
	size_t n;

	bus_poll(bench->bus);
	n = bench->silent ? 0 : bus_take_any(bench->bus, messages, 64);
	for (size_t i = 0; i < n; i++) {
		struct arena arena = {0};
		struct task task;
		bool has_key;

		assert_int_equal(wire_decode_task(bench->wire, messages[i]->value, &arena, &task, &has_key, NULL), MR_OK);
		publish(bench, &task, &arena);
		bench->served++;
		arena_deinit(&arena);
		bus_message_free(bench->bus, messages[i]);
	}
}

/* ---- The caller ---- */

static void on_done(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err)
{
	struct bench *bench = ctx;

	if (status != MR_OK)
		print_error("%s\n", err->message);
	assert_int_equal(status, MR_OK);
	bench->answered++;
	/* The worker echoes the input, and that is the id. */
	if (result->outcome != MR_COMPLETED || result->result.bytes != strlen(result->activity_id) ||
	    memcmp(result->result.data, result->activity_id, result->result.bytes))
		bench->wrong++;
	mr_result_free(result);
}

static void submit(struct bench *bench, int i, mr_result_fn *done)
{
	char id[32];
	struct mr_task task = {.size = sizeof(task),
			       .queue = "q",
			       .activity_type = "echo",
			       .activity_id = id,
			       .start_to_close_timeout_ms = 1000,
			       .format = i % 2 ? MR_FORMAT_JSON : MR_FORMAT_AVRO};
	struct mr_submit_options options = {.size = sizeof(options), .done = done, .ctx = bench};

	snprintf(id, sizeof(id), "id-%d", i);
	task.input = (struct mr_payload){id, strlen(id), "text/plain"};
	assert_int_equal(mr_submit(bench->client, &task, &options, NULL, NULL), MR_OK);
}

#define until(bench, condition)                                                                                                  \
	do {                                                                                                                     \
		int64_t limit_us_ = clock_mono_us() + LIMIT_US;                                                                  \
		while (!(condition)) {                                                                                           \
			assert_true(clock_mono_us() < limit_us_);                                                                \
			mr_client_wait((bench)->client, 1);                                                                      \
			serve(bench);                                                                                            \
		}                                                                                                                \
	} while (0)

static void thousands_in_flight_get_their_own_result_once(void **state)
{
	struct bench *bench = bench_of(state);

	for (int i = 0; i < IN_FLIGHT; i++)
		submit(bench, i, on_done);
	assert_int_equal(mr_client_awaited(bench->client), IN_FLIGHT);
	until(bench, bench->answered == IN_FLIGHT && bench->served == IN_FLIGHT && bus_outstanding(bench->bus) == 0);
	/* The copies are in the log now, too: one more result shows that they were read and dropped. */
	submit(bench, IN_FLIGHT, on_done);
	until(bench, bench->answered > IN_FLIGHT);
	assert_int_equal(bench->answered, IN_FLIGHT + 1);
	assert_int_equal(bench->wrong, 0);
	assert_int_equal(mr_client_awaited(bench->client), 0);
}

static void a_result_that_came_before_anyone_asked_is_found_from_the_start(void **state)
{
	struct bench *bench = bench_of(state);
	struct mr_result *result;
	struct mr_error err;

	submit(bench, 7, NULL);
	until(bench, bench->served == 1 && bus_outstanding(bench->bus) == 0);
	assert_int_equal(mr_await(bench->client, "id-7", 20000, &result, &err), MR_OK);
	assert_string_equal(result->activity_id, "id-7");
	mr_result_free(result);
}

static void an_await_that_runs_out_can_be_repeated(void **state)
{
	struct bench *bench = bench_of(state);
	struct mr_result *result;
	struct mr_error err;

	bench->silent = true;
	submit(bench, 8, NULL);
	assert_int_equal(mr_client_flush(bench->client, 20000, &err), MR_OK);
	assert_int_equal(mr_await(bench->client, "id-8", 300, &result, &err), MR_ETIMEOUT);
	bench->silent = false;
	until(bench, bench->served == 1 && bus_outstanding(bench->bus) == 0);
	assert_int_equal(mr_await(bench->client, "id-8", 20000, &result, &err), MR_OK);
	mr_result_free(result);
}

static void a_loop_of_ones_own_is_driven_by_the_descriptor(void **state)
{
	struct bench *bench = bench_of(state);
	int64_t limit_us = clock_mono_us() + LIMIT_US;

	submit(bench, 9, on_done);
	while (bench->answered == 0) {
		struct pollfd fds[2] = {{.fd = mr_client_fd(bench->client), .events = POLLIN},
					{.fd = bus_fd(bench->bus), .events = POLLIN}};

		assert_true(clock_mono_us() < limit_us);
		poll(fds, 2, 100);
		mr_client_poll(bench->client);
		serve(bench);
	}
	assert_int_equal(bench->wrong, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(thousands_in_flight_get_their_own_result_once),
		TEST(a_result_that_came_before_anyone_asked_is_found_from_the_start),
		TEST(an_await_that_runs_out_can_be_repeated),
		TEST(a_loop_of_ones_own_is_driven_by_the_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
