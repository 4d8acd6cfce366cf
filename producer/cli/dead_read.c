/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dead_read.h"

#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define POLL_MS 50
#define BATCH 256
/* Without a record for so long, the rest of a partition has none, if Kafka answers at all. */
#define IDLE_US (2 * 1000 * 1000)

/* ---- Questions to Kafka ---- */

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	struct dead_read *dead = ctx;

	if (dead->delivered)
		dead->delivered(dead->ctx, tag, status, partition, offset);
}

static void on_topics(void *ctx, const struct bus_partition *topics, size_t n, enum mr_status status)
{
	struct dead_read *dead = ctx;

	dead->answered = true;
	dead->answer = status;
	if (status != MR_OK)
		return;
	dead->topics = mem_alloc((n + 1) * sizeof(*dead->topics));
	for (size_t i = 0; i < n; i++)
		dead->topics[dead->n_topics++] = (struct bus_partition){mem_strdup(topics[i].topic), topics[i].partition, 0};
}

static void on_ends(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	struct dead_read *dead = ctx;

	dead->answered = true;
	dead->answer = status;
	for (size_t i = 0; i < n; i++) {
		dead->asked[i].offset = partitions[i].offset;
		if (partitions[i].offset < 0 && dead->answer == MR_OK)
			dead->answer = MR_EKAFKA;
	}
}

void dead_read_turn(struct dead_read *dead)
{
	struct pollfd fd = {.fd = bus_fd(dead->bus), .events = POLLIN};

	poll(&fd, 1, POLL_MS);
	bus_poll(dead->bus);
}

/* Until the question that was just asked is answered. */
static enum mr_status answer_of(struct dead_read *dead, enum mr_status asked, const char *what, struct mr_error *err)
{
	int64_t limit_us = clock_mono_us() + CLI_TIMEOUT_MS * 1000;

	if (asked != MR_OK)
		return mr_error_set(err, asked, dead->common->brokers, "%s: %s", what, mr_status_text(asked));
	while (!dead->answered && clock_mono_us() < limit_us)
		dead_read_turn(dead);
	if (dead->answered && dead->answer == MR_OK)
		return MR_OK;
	return mr_error_set(err, MR_EKAFKA, dead->common->brokers, "it did not tell %s", what);
}

static enum mr_status find_topics(struct dead_read *dead, struct mr_error *err)
{
	enum mr_status status;

	dead->answered = false;
	status = answer_of(dead, bus_query_topics(dead->bus, dead->common->prefix), "which topics there are", err);
	if (status != MR_OK)
		return status;
	dead->partitions = dead_read_partitions(dead, bytes_of(dead->topic));
	if (dead->partitions == 0)
		return mr_error_set(err, MR_ENOT_FOUND, dead->topic, "there is no such topic; millrace setup creates it");
	return MR_OK;
}

static enum mr_status ask_ends(struct dead_read *dead, struct mr_error *err)
{
	const size_t n = (size_t)dead->partitions;
	enum mr_status status;

	dead->asked = mem_alloc(n * sizeof(*dead->asked));
	for (size_t i = 0; i < n; i++)
		dead->asked[i] = (struct bus_partition){dead->topic, (int32_t)i, 0};
	dead->answered = false;
	status = answer_of(dead, bus_query_ends(dead->bus, dead->asked, n), "where the dead letters end", err);
	for (size_t i = 0; i < n && status == MR_OK && dead->ends; i++)
		dead->ends[i] = dead->asked[i].offset;
	free(dead->asked);
	dead->asked = NULL;
	return status;
}

static enum mr_status find_ends(struct dead_read *dead, struct mr_error *err)
{
	dead->ends = mem_alloc((size_t)dead->partitions * sizeof(*dead->ends));
	return ask_ends(dead, err);
}

enum mr_status dead_read_init(struct dead_read *dead, const struct program_common *common, struct mr_error *err)
{
	const struct bus_callbacks callbacks = {.ctx = dead, .delivered = on_delivered, .topics = on_topics, .ends = on_ends};
	struct bus_config config = program_bus_config(common, "millrace-dead");
	enum mr_status status;

	*dead = (struct dead_read){.common = common, .topic = program_topic(common->prefix, "dead")};
	status = bus_kafka_new(&config, &callbacks, &dead->bus, err);
	if (status == MR_OK)
		status = find_topics(dead, err);
	return status == MR_OK ? find_ends(dead, err) : status;
}

void dead_read_deinit(struct dead_read *dead)
{
	bus_free(dead->bus);
	for (size_t i = 0; i < dead->n_topics; i++)
		free((char *)(uintptr_t)dead->topics[i].topic);
	free(dead->topics);
	free(dead->ends);
	free(dead->topic);
}

int dead_read_partitions(const struct dead_read *dead, struct bytes topic)
{
	for (size_t i = 0; i < dead->n_topics; i++)
		if (bytes_is(topic, dead->topics[i].topic))
			return dead->topics[i].partition;
	return 0;
}

/* ---- Read ---- */

struct reading {
	struct dead_read *dead;
	dead_record_fn *record;
	void *ctx;
	struct bus_partition *next; /* of each span; offset = next to be read */
	int64_t *until;
	size_t n;
	int64_t progress_us;
};

static bool is_read(const struct reading *reading)
{
	for (size_t i = 0; i < reading->n; i++)
		if (reading->next[i].offset < reading->until[i])
			return false;
	return true;
}

static void on_message(struct reading *reading, const struct bus_message *message)
{
	size_t i = 0;

	while (i < reading->n && reading->next[i].partition != message->partition)
		i++;
	reading->progress_us = clock_mono_us();
	if (i == reading->n || message->offset < reading->next[i].offset)
		return;
	reading->next[i].offset = message->offset + 1;
	if (message->offset < reading->until[i])
		reading->record(reading->ctx, message);
}

static void take(struct reading *reading)
{
	struct bus_message *messages[BATCH];
	struct bus *bus = reading->dead->bus;
	size_t n = BATCH;

	while (n == BATCH) {
		n = bus_take_any(bus, messages, BATCH);
		for (size_t i = 0; i < n; i++) {
			on_message(reading, messages[i]);
			bus_message_free(bus, messages[i]);
		}
	}
}

static void add_span(struct reading *reading, const struct dead_span *span)
{
	if (span->from >= span->until)
		return;
	reading->next[reading->n] = (struct bus_partition){reading->dead->topic, span->partition, span->from};
	reading->until[reading->n++] = span->until;
}

static enum mr_status read_on(struct reading *reading, struct mr_error *err)
{
	struct dead_read *dead = reading->dead;
	enum mr_status status;

	if (reading->n == 0)
		return MR_OK;
	if ((status = bus_read(dead->bus, reading->next, reading->n)))
		return mr_error_set(err, status, dead->common->brokers, "%s", mr_status_text(status));
	/* The connections take their time. */
	reading->progress_us = clock_mono_us() + IDLE_US;
	while (!is_read(reading) && clock_mono_us() - reading->progress_us < IDLE_US) {
		dead_read_turn(dead);
		take(reading);
	}
	if ((status = bus_read(dead->bus, NULL, 0)))
		return mr_error_set(err, status, dead->common->brokers, "%s", mr_status_text(status));
	return is_read(reading) ? MR_OK : ask_ends(dead, err);
}

enum mr_status dead_read_spans(struct dead_read *dead, const struct dead_span *spans, size_t n, dead_record_fn *record, void *ctx,
			       struct mr_error *err)
{
	struct reading reading = {.dead = dead, .record = record, .ctx = ctx};
	enum mr_status status;

	reading.next = mem_alloc((n + 1) * sizeof(*reading.next));
	reading.until = mem_alloc((n + 1) * sizeof(*reading.until));
	for (size_t i = 0; i < n; i++)
		add_span(&reading, &spans[i]);
	status = read_on(&reading, err);
	free(reading.next);
	free(reading.until);
	return status;
}

enum mr_status dead_read_all(struct dead_read *dead, dead_record_fn *record, void *ctx, struct mr_error *err)
{
	const size_t n = (size_t)dead->partitions;
	CLEANUP_FREE struct dead_span *spans = mem_alloc(n * sizeof(*spans));

	for (size_t i = 0; i < n; i++)
		spans[i] = (struct dead_span){(int32_t)i, 0, dead->ends[i]};
	return dead_read_spans(dead, spans, n, record, ctx, err);
}
