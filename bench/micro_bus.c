/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bus costs: one loop thread produces N records into a task topic, then another bus reads them as a group member,
 * produces one record for each into `results` and commits what is acknowledged. A Kafka broker must run.
 *
 *     micro_bus 127.0.0.1:9092 [records] [bytes] [partitions]
 */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bus/topics.h"

#define BATCH 512
#define IN_FLIGHT_MAX 20000
#define PARTITIONS_MAX 256

struct pipe {
	struct bus *bus;
	const char *input;
	long long delivered;
	long long failed;
	int64_t settled[PARTITIONS_MAX]; /* lowest contiguous: acknowledgements of one partition's copies come in order here */
	bool assigned;
};

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	struct pipe *pipe = ctx;
	struct bus_message *message = tag;

	(void)partition;
	(void)offset;
	if (status == MR_OK)
		pipe->delivered++;
	else
		pipe->failed++;
	if (!message)
		return;
	assert(message->partition < PARTITIONS_MAX);
	if (message->offset + 1 > pipe->settled[message->partition])
		pipe->settled[message->partition] = message->offset + 1;
	bus_message_free(pipe->bus, message);
}

static void on_assigned(void *ctx, struct bus_partition *partitions, size_t n)
{
	struct pipe *pipe = ctx;

	(void)partitions;
	pipe->assigned = n > 0;
}

static void wait_for(struct bus *bus)
{
	struct pollfd fd = {.fd = bus_fd(bus), .events = POLLIN};

	poll(&fd, 1, 100);
	bus_poll(bus);
}

static double cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void report(const char *what, long long n, int64_t begin_us, double cpu)
{
	double s = (double)(clock_mono_us() - begin_us) / 1e6;

	printf("%-20s %9lld records %8.2f s %9.0f/s %6.2f us CPU each\n", what, n, s, (double)n / s,
	       (cpu_s() - cpu) / (double)n * 1e6);
}

static void fill(struct pipe *pipe, long long n, struct bytes value)
{
	int64_t begin_us = clock_mono_us();
	double cpu = cpu_s();
	char key[32];

	for (long long i = 0; i < n;) {
		struct bus_record record = {.topic = pipe->input, .partition = BUS_BY_KEY, .value = value};
		record.key = (struct bytes){key, (size_t)snprintf(key, sizeof(key), "task-%lld", i)};
		if (bus_produce(pipe->bus, &record, NULL) == MR_OK)
			i++;
		else
			wait_for(pipe->bus);
		if (i % 1000 == 0)
			bus_poll(pipe->bus);
	}
	while (bus_outstanding(pipe->bus) > 0)
		wait_for(pipe->bus);
	report("produce", pipe->delivered, begin_us, cpu);
}

static void commit(struct pipe *pipe, int n_partitions)
{
	struct bus_partition partitions[PARTITIONS_MAX];

	for (int i = 0; i < n_partitions; i++)
		partitions[i] = (struct bus_partition){pipe->input, i, pipe->settled[i]};
	bus_commit(pipe->bus, partitions, (size_t)n_partitions);
}

static void forward(struct pipe *pipe, const char *output, struct bus_message **messages, size_t n)
{
	for (size_t i = 0; i < n;) {
		struct bus_record record = {
			.topic = output, .partition = BUS_BY_KEY, .key = messages[i]->key, .value = messages[i]->value};
		if (bus_produce(pipe->bus, &record, messages[i]) == MR_OK)
			i++;
		else
			bus_poll(pipe->bus);
	}
}

static void drain(struct pipe *pipe, const char *output, long long n, int n_partitions)
{
	struct bus_message *messages[BATCH];
	int64_t begin_us = 0, commit_us = 0;
	double cpu = 0;

	while (pipe->delivered < n) {
		size_t room = IN_FLIGHT_MAX - bus_outstanding(pipe->bus);
		size_t got = bus_take_any(pipe->bus, messages, room < BATCH ? room : BATCH);
		if (got == 0) {
			wait_for(pipe->bus);
			continue;
		}
		if (!begin_us) {
			begin_us = clock_mono_us();
			cpu = cpu_s();
		}
		forward(pipe, output, messages, got);
		bus_poll(pipe->bus);
		if (clock_mono_us() - commit_us > 50000) {
			commit(pipe, n_partitions);
			commit_us = clock_mono_us();
		}
	}
	report("consume and produce", pipe->delivered, begin_us, cpu);
}

static struct bus *open_bus(struct pipe *pipe, const struct bus_config *config)
{
	struct bus_callbacks callbacks = {.ctx = pipe, .delivered = on_delivered, .assigned = on_assigned};
	struct mr_error err = {0};

	if (bus_kafka_new(config, &callbacks, &pipe->bus, &err) != MR_OK) {
		fprintf(stderr, "%s: %s\n", err.where, err.message);
		exit(2);
	}
	return pipe->bus;
}

int main(int argc, char **argv)
{
	long long n = argc > 2 ? atoll(argv[2]) : 500000;
	size_t size = argc > 3 ? (size_t)atoll(argv[3]) : 140;
	int partitions = argc > 4 ? atoi(argv[4]) : 4;
	char prefix[64];
	const char *queue = "micro";
	struct topics_spec spec = {
		.prefix = prefix, .queues = &queue, .n_queues = 1, .partitions = partitions, .shards = partitions};
	struct topics_info info = {0};
	struct mr_error err = {0};
	struct pipe pipe = {0};

	if (argc < 2 || partitions < 1 || partitions > PARTITIONS_MAX || n < 1) {
		fprintf(stderr, "usage: %s BROKERS [records] [bytes] [partitions]\n", argv[0]);
		return 2;
	}
	spec.brokers = argv[1];
	snprintf(prefix, sizeof(prefix), "bench%llx.", (unsigned long long)random_u64());
	if (topics_setup(&spec, &info, &err) != MR_OK) {
		fprintf(stderr, "%s: %s\n", err.where, err.message);
		return 1;
	}
	free(info.report);

	CLEANUP_FREE char *topic = topics_task_topic(prefix, queue);
	CLEANUP_FREE char *group = topics_worker_group(prefix, queue);
	CLEANUP_FREE char *value = mem_alloc(size + 1);
	char output[80];
	snprintf(output, sizeof(output), "%sresults", prefix);
	memset(value, 'x', size);

	struct bus_config config = {.brokers = argv[1], .client_id = "micro_bus", .linger_ms = 5};
	pipe.input = topic;
	open_bus(&pipe, &config);
	fill(&pipe, n, (struct bytes){value, size});
	bus_free(pipe.bus);

	config.group = group;
	config.topics = (const char *const[]){topic};
	config.n_topics = 1;
	pipe.delivered = 0;
	open_bus(&pipe, &config);
	drain(&pipe, output, n, partitions);
	bus_leave(pipe.bus);
	while (!bus_left(pipe.bus))
		wait_for(pipe.bus);
	bus_free(pipe.bus);
	return pipe.failed ? 1 : 0;
}
