/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How late the scheduler's timers are.
 *
 *	timers BROKERS PREFIX fire N SPREAD_MS [BEHIND]
 *	timers BROKERS PREFIX wait N
 *
 * Writes N BACKOFF records to the journal, as a worker does whose attempt has failed. `fire`: due at even distances within
 * SPREAD_MS, a while from now; the dispatched attempts are read from the queue `default`, and each is as late as the broker's
 * clock says that it was appended. BEHIND more of the kind of `wait` follow, so that the scheduler has the others in memory no
 * more. `wait`: due in an hour or more; it ends when all are written.
 */
#include <poll.h>
#include <string.h>

#include "base/mem.h"
#include "bus/bus.h"
#include "meter.h"
#include "wire/wire.h"

#define LEAD_MS 3000
/* All records of a burst are in Redis by then. */
#define LEAD_EACH_1000_MS 150
#define HOUR_MS 3600000LL
#define LIMIT_US (120 * 1000000LL)
#define BATCH 256
#define QUEUE_BYTES (64 << 20)

struct timers {
	struct bus *bus;
	struct wire *wire;
	struct buf value;
	char *journal, *tasks;
	int shards, partitions;
	long long n, unacked, failed;
	long long *late_ms;
	long long read, early;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "timers: %s\n", what);
	exit(1);
}

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	struct timers *t = ctx;

	(void)tag;
	(void)partition;
	(void)offset;
	t->unacked--;
	t->failed += status != MR_OK;
}

static void step(struct timers *t, int timeout_ms)
{
	struct pollfd fd = {.fd = bus_fd(t->bus), .events = POLLIN};

	poll(&fd, 1, timeout_ms);
	bus_poll(t->bus);
}

static int count_partitions(struct timers *t, const char *topic)
{
	int64_t limit_us = clock_mono_us() + LIMIT_US;
	int count;

	while ((count = bus_partition_count(t->bus, topic)) == 0) {
		if (clock_mono_us() > limit_us)
			die("a topic is missing");
		step(t, 20);
	}
	return count;
}

static void open_all(struct timers *t, const char *brokers, const char *prefix)
{
	struct bus_config config = {
		.brokers = brokers, .client_id = "bench-timers", .linger_ms = 5, .queue_max_bytes = QUEUE_BYTES};
	struct bus_callbacks callbacks = {.ctx = t, .delivered = on_delivered};
	struct mr_error err;
	char name[256];

	if (bus_kafka_new(&config, &callbacks, &t->bus, &err) != MR_OK || wire_new(&t->wire, &err) != MR_OK)
		die(err.message);
	snprintf(name, sizeof(name), "%sjournal", prefix);
	t->journal = mem_strdup(name);
	snprintf(name, sizeof(name), "%stasks.default", prefix);
	t->tasks = mem_strdup(name);
	t->shards = count_partitions(t, t->journal);
	t->partitions = count_partitions(t, t->tasks);
}

static void close_all(struct timers *t)
{
	bus_read(t->bus, NULL, 0);
	bus_free(t->bus);
	wire_free(t->wire);
	buf_deinit(&t->value);
	free(t->journal);
	free(t->tasks);
	free(t->late_ms);
}

static void encode(struct timers *t, struct bytes key, int64_t due_ms)
{
	struct journal_record record;

	journal_record_init(&record);
	record.kind = JOURNAL_BACKOFF;
	record.task_key = key;
	record.run_id = BYTES_LIT("5d41402a-bc4b-4a76-b971-9d911017c592");
	record.attempt = 2;
	record.due_at_ms = due_ms;
	record.record_id = BYTES_LIT("millrace.tasks.default:0:1000000");
	record.topic = bytes_of(t->tasks);
	record.task =
		BYTES_LIT("{\"activity_type\":\"noop\",\"input\":{\"order\":\"4711\",\"amount\":1250,\"currency\":\"EUR\"}}");
	record.task_record_key = key;
	record.scheduled_at_ms = due_ms;
	buf_reset(&t->value);
	wire_encode_journal(t->wire, &record, &t->value);
}

/* The key begins with the instant at which it is due. */
static void write_one(struct timers *t, long long number, int64_t due_ms)
{
	char text[64];
	struct bus_record record = {.topic = t->journal, .key = {text, 0}};
	enum mr_status status;

	record.key.len = (size_t)snprintf(text, sizeof(text), "%lld-task-%08lld", (long long)due_ms, number);
	encode(t, record.key, due_ms);
	record.value = buf_bytes(&t->value);
	record.partition = task_shard(record.key, t->shards);
	t->unacked++;
	while ((status = bus_produce(t->bus, &record, NULL)) == MR_EFULL)
		step(t, 10);
	if (status != MR_OK)
		die("a record was not taken");
}

static void await_written(struct timers *t)
{
	int64_t limit_us = clock_mono_us() + LIMIT_US;

	while (t->unacked > 0 && clock_mono_us() < limit_us)
		step(t, 20);
	if (t->unacked > 0 || t->failed > 0)
		die("some records were not written");
}

static void read_from_now_on(struct timers *t)
{
	struct bus_partition *set = mem_alloc((size_t)t->partitions * sizeof(*set));

	for (int i = 0; i < t->partitions; i++)
		set[i] = (struct bus_partition){.topic = t->tasks, .partition = i, .offset = BUS_OFFSET_END};
	if (bus_read(t->bus, set, (size_t)t->partitions) != MR_OK)
		die("the queue cannot be read");
	free(set);
}

static void take(struct timers *t, const struct bus_message *message)
{
	char text[32] = "";
	long long late_ms;

	memcpy(text, message->key.data, message->key.len < sizeof(text) ? message->key.len : sizeof(text) - 1);
	late_ms = message->timestamp_ms - strtoll(text, NULL, 10);
	t->early += late_ms < 0;
	if (t->read < t->n)
		t->late_ms[t->read] = late_ms;
	t->read++;
}

static void await_fired(struct timers *t)
{
	int64_t limit_us = clock_mono_us() + LIMIT_US;
	struct bus_message *messages[BATCH];

	while (t->read < t->n && clock_mono_us() < limit_us) {
		size_t n = bus_take_any(t->bus, messages, BATCH);

		for (size_t i = 0; i < n; i++) {
			take(t, messages[i]);
			bus_message_free(t->bus, messages[i]);
		}
		if (n == 0)
			step(t, 20);
	}
	if (t->read < t->n)
		die("some timers did not fire");
}

static int by_size(const void *left, const void *right)
{
	long long a = *(const long long *)left, b = *(const long long *)right;

	return (a > b) - (a < b);
}

static void write_waiting(struct timers *t, long long n)
{
	int64_t first_ms = clock_wall_ms() + HOUR_MS;

	for (long long i = 0; i < n; i++)
		write_one(t, i, first_ms + i);
}

static void fire(struct timers *t, long long spread_ms, long long behind)
{
	int64_t first_ms = clock_wall_ms() + LEAD_MS + (t->n + behind) * LEAD_EACH_1000_MS / 1000;

	t->late_ms = mem_alloc((size_t)t->n * sizeof(*t->late_ms));
	read_from_now_on(t);
	for (long long i = 0; i < t->n; i++)
		write_one(t, i, first_ms + i * spread_ms / t->n);
	write_waiting(t, behind);
	await_written(t);
	if (clock_wall_ms() >= first_ms)
		die("the timers were due before they were written");
	await_fired(t);
	qsort(t->late_ms, (size_t)t->n, sizeof(*t->late_ms), by_size);
	printf("{\"n\":%lld,\"early\":%lld,\"p50\":%lld,\"p99\":%lld,\"max\":%lld}\n", t->n, t->early, t->late_ms[t->n / 2],
	       t->late_ms[t->n * 99 / 100], t->late_ms[t->n - 1]);
}

static void wait(struct timers *t)
{
	struct meter meter = meter_start();
	write_waiting(t, t->n);
	await_written(t);
	meter_report(&meter, t->n);
}

int main(int argc, char **argv)
{
	bool fires = (argc == 6 || argc == 7) && strcmp(argv[3], "fire") == 0;
	struct timers t = {0};

	if (!fires && !(argc == 5 && strcmp(argv[3], "wait") == 0)) {
		fprintf(stderr, "usage: timers BROKERS PREFIX fire N SPREAD_MS [BEHIND] | timers BROKERS PREFIX wait N\n");
		return 2;
	}
	t.n = meter_number("N", argv[4], 1, 10000000);
	open_all(&t, argv[1], argv[2]);
	if (fires)
		fire(&t, meter_number("SPREAD_MS", argv[5], 1, 600000),
		     argc == 7 ? meter_number("BEHIND", argv[6], 0, 10000000) : 0);
	else
		wait(&t);
	close_all(&t);
	return 0;
}
