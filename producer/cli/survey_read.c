/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/survey_read.h"

#include <assert.h>
#include <poll.h>

#include "base/clock.h"
#include "base/mem.h"
#include "wire/wire.h"

#define POLL_MS 50
#define BATCH 256
/* The last offsets before an end may carry no record, so that one waits for them in vain. */
#define IDLE_US (2 * 1000 * 1000)

struct queue {
	char *name, *topic;
	int partitions;
};

struct reading {
	const struct program_common *common;
	const struct survey_filter *filter;
	struct survey_finds *finds;
	struct arena *arena;
	struct bus *bus;
	struct wire *wire;
	struct arena scratch;  /* of one record */
	char *tasks, *journal; /* what task topics begin with; the journal's name */
	struct queue *queues;
	size_t n_queues;
	int journal_partitions;
	struct bus_partition *from; /* offset = next to be read */
	int64_t *ends;              /* of each */
	size_t n;
	size_t last; /* of `from`, that a record came from: the next one mostly does too */
	enum mr_status answer;
	bool answered; /* what was asked last */
	int64_t progress_us;
};

/* ---- Finds ---- */

static struct survey_find *find_of(struct survey_finds *finds, struct bytes key)
{
	uintptr_t place = (uintptr_t)map_get(&finds->by_key, key);

	return place ? &finds->items[place - 1] : NULL;
}

static struct survey_find *find_add(struct reading *reading, struct bytes key, struct bytes type, struct bytes queue)
{
	struct survey_finds *finds = reading->finds;
	struct survey_find *find = find_of(finds, key);

	if (find)
		return find;
	if (finds->len >= reading->filter->limit) {
		finds->cut = true;
		return NULL;
	}
	if (finds->len == finds->cap) {
		finds->cap = finds->cap ? finds->cap * 2 : 64;
		finds->items = mem_realloc_array(finds->items, finds->cap, sizeof(*finds->items));
	}
	find = &finds->items[finds->len++];
	*find = (struct survey_find){.key = arena_copy(reading->arena, key),
				     .type = arena_copy(reading->arena, type),
				     .queue = arena_copy(reading->arena, queue)};
	map_put(&finds->by_key, find->key, (void *)(uintptr_t)finds->len);
	return find;
}

static bool matches(const struct reading *reading, struct bytes type, struct bytes queue)
{
	const struct survey_filter *filter = reading->filter;

	return (!filter->type || bytes_is(type, filter->type)) && (!filter->queue || bytes_is(queue, filter->queue));
}

static struct bytes queue_of(const struct reading *reading, struct bytes topic)
{
	size_t len = strlen(reading->tasks);

	if (topic.len <= len || memcmp(topic.data, reading->tasks, len) != 0)
		return BYTES_NONE;
	return (struct bytes){topic.data + len, topic.len - len};
}

/* ---- Records ---- */

static enum view_state state_of(enum journal_kind kind)
{
	switch (kind) {
	case JOURNAL_STARTED:
		return VIEW_STARTED;
	case JOURNAL_BACKOFF:
		return VIEW_BACKING_OFF;
	case JOURNAL_WAITING:
		return VIEW_WAITING;
	case JOURNAL_HEARTBEAT:
	case JOURNAL_CHECKPOINT:
	case JOURNAL_COMMAND:
		break;
	}
	return VIEW_NONE;
}

static void on_journal_record(struct reading *reading, const struct bus_message *message)
{
	struct survey_find *find;
	struct journal_record record;
	struct task task;
	bool has_key;

	if (wire_decode_journal(reading->wire, message->value, &reading->scratch, &record, NULL) != MR_OK ||
	    state_of(record.kind) == VIEW_NONE)
		return;
	if (wire_decode_task(reading->wire, record.task, &reading->scratch, &task, &has_key, NULL) != MR_OK ||
	    !matches(reading, task.activity_type, queue_of(reading, record.topic)))
		return;
	find = find_add(reading, record.task_key, task.activity_type, queue_of(reading, record.topic));
	if (!find)
		return;
	find->state = state_of(record.kind);
	find->in_journal = true;
	find->gone = false;
}

static void on_journal(struct reading *reading, const struct bus_message *message)
{
	struct survey_find *find;

	if (!bytes_present(message->key))
		return;
	if (bytes_present(message->value)) {
		on_journal_record(reading, message);
		return;
	}
	find = find_of(reading->finds, message->key);
	if (find && find->in_journal)
		find->gone = true;
}

static void on_task(struct reading *reading, const struct bus_message *message)
{
	struct bytes queue = queue_of(reading, bytes_of(message->topic)), place;
	struct dispatch dispatch;
	struct survey_find *find;
	struct task task;
	bool has_key;

	if (!bytes_present(message->value) ||
	    wire_decode_task(reading->wire, message->value, &reading->scratch, &task, &has_key, NULL) != MR_OK ||
	    !dispatch_parse(message->headers, &dispatch, NULL) || !matches(reading, task.activity_type, queue))
		return;
	place = arena_printf(&reading->scratch, "%s:%d:%lld", message->topic, (int)message->partition,
			     (long long)message->offset);
	find = find_add(reading, bytes_present(dispatch.key) ? dispatch.key : task_key(&task, place, &reading->scratch),
			task.activity_type, queue);
	if (!find || (find->in_journal && !find->gone))
		return;
	find->state = VIEW_SCHEDULED;
	find->gone = false;
}

static struct bus_partition *partition_of(struct reading *reading, const struct bus_message *message)
{
	for (size_t tried = 0; tried < reading->n; tried++) {
		struct bus_partition *from = &reading->from[reading->last];

		if (from->partition == message->partition && !strcmp(from->topic, message->topic))
			return from;
		reading->last = (reading->last + 1) % reading->n;
	}
	assert(!"a record of a partition that is not read");
	return NULL;
}

static void on_message(struct reading *reading, const struct bus_message *message)
{
	struct bus_partition *partition = partition_of(reading, message);

	reading->progress_us = clock_mono_us();
	if (message->offset >= reading->ends[partition - reading->from])
		return;
	partition->offset = message->offset + 1;
	arena_reset(&reading->scratch);
	if (!strcmp(message->topic, reading->journal))
		on_journal(reading, message);
	else
		on_task(reading, message);
}

/* ---- Questions to Kafka ---- */

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	(void)ctx, (void)tag, (void)status, (void)partition, (void)offset;
}

static void add_queue(struct reading *reading, const struct bus_partition *topic)
{
	struct bytes name = queue_of(reading, bytes_of(topic->topic));

	if (name.len == 0 || (reading->filter->queue && !bytes_is(name, reading->filter->queue)))
		return;
	reading->queues = mem_realloc_array(reading->queues, reading->n_queues + 1, sizeof(*reading->queues));
	reading->queues[reading->n_queues++] = (struct queue){mem_strndup(name.data, name.len), mem_strdup(topic->topic),
							      topic->partition};
}

static void on_topics(void *ctx, const struct bus_partition *topics, size_t n, enum mr_status status)
{
	struct reading *reading = ctx;

	reading->answered = true;
	reading->answer = status;
	for (size_t i = 0; i < n && status == MR_OK; i++) {
		if (!strcmp(topics[i].topic, reading->journal))
			reading->journal_partitions = topics[i].partition;
		else
			add_queue(reading, &topics[i]);
	}
}

static void on_group_offsets(void *ctx, const char *group, const struct bus_partition *partitions, size_t n,
			     enum mr_status status)
{
	struct reading *reading = ctx;

	(void)group;
	reading->answered = true;
	reading->answer = status;
	for (size_t i = 0; i < n && status == MR_OK; i++)
		for (size_t j = 0; j < reading->n; j++)
			if (reading->from[j].partition == partitions[i].partition &&
			    !strcmp(reading->from[j].topic, partitions[i].topic) && partitions[i].offset >= 0)
				reading->from[j].offset = partitions[i].offset;
}

static void on_ends(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	struct reading *reading = ctx;

	reading->answered = true;
	reading->answer = status;
	assert(n == reading->n);
	for (size_t i = 0; i < n; i++) {
		reading->ends[i] = partitions[i].offset;
		if (partitions[i].offset < 0 && reading->answer == MR_OK)
			reading->answer = MR_EKAFKA;
	}
}

static void turn(struct reading *reading)
{
	struct pollfd fd = {.fd = bus_fd(reading->bus), .events = POLLIN};

	poll(&fd, 1, POLL_MS);
	bus_poll(reading->bus);
}

/* Until the question that was just asked is answered. */
static enum mr_status answer_of(struct reading *reading, enum mr_status asked, const char *what, struct mr_error *err)
{
	int64_t limit_us = clock_mono_us() + CLI_TIMEOUT_MS * 1000;

	if (asked != MR_OK)
		return mr_error_set(err, asked, reading->common->brokers, "%s: %s", what, mr_status_text(asked));
	while (!reading->answered && clock_mono_us() < limit_us)
		turn(reading);
	if (reading->answered && reading->answer == MR_OK)
		return MR_OK;
	return mr_error_set(err, MR_EKAFKA, reading->common->brokers, "it did not tell %s", what);
}

static enum mr_status find_topics(struct reading *reading, struct mr_error *err)
{
	enum mr_status status;

	reading->answered = false;
	status = answer_of(reading, bus_query_topics(reading->bus, reading->common->prefix), "which topics there are", err);
	if (status != MR_OK)
		return status;
	if (reading->journal_partitions == 0)
		return mr_error_set(err, MR_ENOT_FOUND, reading->common->prefix,
				    "there are no topics of this prefix; millrace setup creates them");
	if (reading->filter->queue && reading->n_queues == 0)
		return mr_error_set(err, MR_ENOT_FOUND, reading->filter->queue,
				    "there is no such queue; millrace setup -q "
				    "QUEUE creates one");
	return MR_OK;
}

static void add_partitions(struct reading *reading, const char *topic, int partitions)
{
	size_t n = reading->n + (size_t)partitions;

	reading->from = mem_realloc_array(reading->from, n, sizeof(*reading->from));
	for (int i = 0; i < partitions; i++)
		reading->from[reading->n++] = (struct bus_partition){topic, i, BUS_OFFSET_BEGINNING};
}

static enum mr_status find_settled(struct reading *reading, const struct queue *queue, struct mr_error *err)
{
	CLEANUP_FREE char *group = topics_worker_group(reading->common->prefix, queue->name);
	size_t first = reading->n;

	add_partitions(reading, queue->topic, queue->partitions);
	reading->answered = false;
	return answer_of(reading, bus_query_group(reading->bus, group, &reading->from[first], reading->n - first),
			 "what is settled of its queues", err);
}

static enum mr_status find_ends(struct reading *reading, struct mr_error *err)
{
	reading->ends = mem_alloc(reading->n * sizeof(*reading->ends));
	reading->answered = false;
	return answer_of(reading, bus_query_ends(reading->bus, reading->from, reading->n), "where its topics end", err);
}

/* ---- Read ---- */

static bool is_read(const struct reading *reading)
{
	for (size_t i = 0; i < reading->n; i++)
		if (reading->from[i].offset < reading->ends[i])
			return false;
	return true;
}

/* What has nothing new needs no reading. */
static void skip_read(struct reading *reading)
{
	size_t n = 0;

	for (size_t i = 0; i < reading->n; i++) {
		if (reading->ends[i] == 0 || reading->from[i].offset >= reading->ends[i])
			continue;
		reading->from[n] = reading->from[i];
		reading->ends[n++] = reading->ends[i];
	}
	reading->n = n;
}

static void take(struct reading *reading)
{
	struct bus_message *messages[BATCH];
	size_t n = BATCH;

	while (n == BATCH && !reading->finds->cut) {
		n = bus_take_any(reading->bus, messages, BATCH);
		for (size_t i = 0; i < n; i++) {
			on_message(reading, messages[i]);
			bus_message_free(reading->bus, messages[i]);
		}
	}
}

static enum mr_status read_all(struct reading *reading, struct mr_error *err)
{
	enum mr_status status;

	skip_read(reading);
	if (reading->n == 0)
		return MR_OK;
	if ((status = bus_read(reading->bus, reading->from, reading->n)))
		return mr_error_set(err, status, reading->common->brokers, "%s", mr_status_text(status));
	/* The connections take their time. */
	reading->progress_us = clock_mono_us() + IDLE_US;
	while (!is_read(reading) && !reading->finds->cut && clock_mono_us() - reading->progress_us < IDLE_US) {
		turn(reading);
		take(reading);
	}
	if (is_read(reading) || reading->finds->cut)
		return MR_OK;
	/* Who is asked and answers has nothing more to give; else it may have, and a part is not the whole. */
	reading->answered = false;
	return answer_of(reading, bus_query_ends(reading->bus, reading->from, reading->n), "the rest of its topics", err);
}

static enum mr_status run(struct reading *reading, struct mr_error *err)
{
	const struct bus_callbacks callbacks = {.ctx = reading,
						.delivered = on_delivered,
						.topics = on_topics,
						.group_offsets = on_group_offsets,
						.ends = on_ends};
	struct bus_config config = program_bus_config(reading->common, "millrace-list");
	enum mr_status status = wire_new(&reading->wire, err);

	if (status != MR_OK || (status = bus_kafka_new(&config, &callbacks, &reading->bus, err)) ||
	    (status = find_topics(reading, err)))
		return status;
	add_partitions(reading, reading->journal, reading->journal_partitions);
	for (size_t i = 0; i < reading->n_queues && status == MR_OK; i++)
		status = find_settled(reading, &reading->queues[i], err);
	if (status == MR_OK)
		status = find_ends(reading, err);
	return status == MR_OK ? read_all(reading, err) : status;
}

enum mr_status survey_read(struct survey_finds *finds, const struct program_common *common, const struct survey_filter *filter,
			   struct arena *arena, struct mr_error *err)
{
	struct reading reading = {.common = common, .filter = filter, .finds = finds, .arena = arena};
	enum mr_status status;

	reading.tasks = topics_task_topic(common->prefix, "");
	reading.journal = program_topic(common->prefix, "journal");
	status = run(&reading, err);
	bus_free(reading.bus);
	wire_free(reading.wire);
	for (size_t i = 0; i < reading.n_queues; i++) {
		free(reading.queues[i].name);
		free(reading.queues[i].topic);
	}
	free(reading.queues);
	free(reading.from);
	free(reading.ends);
	free(reading.tasks);
	free(reading.journal);
	arena_deinit(&reading.scratch);
	return status;
}

void survey_finds_deinit(struct survey_finds *finds)
{
	map_deinit(&finds->by_key);
	free(finds->items);
}
