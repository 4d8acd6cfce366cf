/* SPDX-License-Identifier: Apache-2.0 */
/* 7 await: reads those partitions of `results` for which somebody waits. */
#include "lib/reader.h"

#include <assert.h>

#include "base/mem.h"
#include "lib/client_impl.h"

#define ASK_AGAIN_US 100000
#define BATCH 64
#define ROUNDS_MAX 64

static struct reader_partition *partition_of(const struct reader *reader, struct bytes key)
{
	return reader->n > 0 ? &reader->partitions[task_shard(key, reader->n)] : NULL;
}

bool reader_is_reading(const struct reader *reader, struct bytes key)
{
	const struct reader_partition *partition = partition_of(reader, key);

	return partition && partition->state == READER_READING;
}

static void tail(struct mr_client *client, struct await *await, const struct reader_partition *partition)
{
	await->state = AWAIT_TAILING;
	await->partition = (int32_t)(partition - client->reader.partitions);
	await->from_offset = await->since_offset = partition->high;
	if (await->submission)
		submissions_placed(client);
}

static void place(struct mr_client *client, struct await *await)
{
	struct reader_partition *partition = partition_of(&client->reader, await->key);

	assert(await->state == AWAIT_PLACING);
	if (partition->state == READER_READING && !await->from_start) {
		tail(client, await, partition);
		return;
	}
	await_list_add(&partition->placing, await);
	if (partition->state == READER_IDLE || partition->state == READER_READING)
		partition->state = READER_WANTED;
}

void reader_place(struct mr_client *client, struct await *await)
{
	struct reader *reader = &client->reader;

	reader->idle_since_us = INT64_MAX;
	if (reader->n > 0)
		place(client, await);
	else
		await_list_add(&reader->unplaced, await);
}

static void learn_count(struct mr_client *client)
{
	struct reader *reader = &client->reader;
	struct await *await;
	int n = bus_partition_count(client->bus, client->results);

	if (n <= 0)
		return;
	reader->partitions = mem_alloc((size_t)n * sizeof(*reader->partitions));
	reader->n = n;
	while ((await = reader->unplaced.head)) {
		await_list_remove(await);
		place(client, await);
	}
}

static void ask(struct mr_client *client, int64_t now_us)
{
	struct reader *reader = &client->reader;
	CLEANUP_FREE struct bus_partition *asked = mem_alloc((size_t)reader->n * sizeof(*asked));
	size_t n = 0;

	for (int i = 0; i < reader->n; i++)
		if (reader->partitions[i].state == READER_WANTED)
			asked[n++] = (struct bus_partition){client->results, i, 0};
	if (n == 0)
		return;
	reader->ask_next_us = now_us + ASK_AGAIN_US;
	if (bus_query_ends(client->bus, asked, n) != MR_OK)
		return;
	reader->asking = true;
	for (size_t i = 0; i < n; i++)
		reader->partitions[asked[i].partition].state = READER_ASKED;
}

static void scan(struct await *await, struct reader_partition *partition, int64_t end)
{
	await->state = AWAIT_SCANNING;
	await->from_offset = 0;
	await->scan->end = end;
	await_list_add(&partition->scanning, await);
}

/* Now the end is known: all that wait for it find their place. */
static void ended(struct mr_client *client, struct reader_partition *partition, int64_t end)
{
	struct reader *reader = &client->reader;
	bool reads = partition->reads;
	bool rewind = false;
	struct await *await;

	if (end > partition->high || !reads)
		partition->high = end;
	while ((await = partition->placing.head)) {
		await_list_remove(await);
		await->partition = (int32_t)(partition - reader->partitions);
		rewind |= await->from_start;
		if (await->from_start)
			scan(await, partition, end);
		else
			tail(client, await, partition);
	}
	partition->state = READER_READING;
	partition->reads = true;
	if (rewind)
		partition->position = BUS_OFFSET_BEGINNING;
	else if (!reads)
		partition->position = end;
	reader->stale |= rewind || !reads;
}

/* What was read up to here ends the scans that went no further. */
static void end_scans(struct mr_client *client, struct reader_partition *partition, int64_t position)
{
	struct await *await = partition->scanning.head;

	while (await) {
		struct await *next = await->next;

		/* A callback ends no other await, and new ones are not scanning yet: `next` stays. */
		if (await->scan->end <= position)
			await_scanned(client, await);
		await = next;
	}
}

void reader_on_ends(struct mr_client *client, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	struct reader *reader = &client->reader;

	(void)status; /* each partition tells by itself */
	reader->asking = false;
	for (size_t i = 0; i < n; i++) {
		struct reader_partition *partition = &reader->partitions[partitions[i].partition];

		assert(partitions[i].partition < reader->n && partition->state == READER_ASKED);
		if (partitions[i].offset < 0) {
			partition->state = READER_WANTED;
			continue;
		}
		ended(client, partition, partitions[i].offset);
		end_scans(client, partition, 0);
	}
}

static void read_again(struct mr_client *client)
{
	struct reader *reader = &client->reader;
	CLEANUP_FREE struct bus_partition *set = mem_alloc((size_t)reader->n * sizeof(*set));
	size_t n = 0;

	for (int i = 0; i < reader->n; i++)
		if (reader->partitions[i].reads)
			set[n++] = (struct bus_partition){client->results, i, reader->partitions[i].position};
	if (bus_read(client->bus, set, n) == MR_OK)
		reader->stale = false;
}

static void rest(struct reader *reader)
{
	for (int i = 0; i < reader->n; i++) {
		struct reader_partition *partition = &reader->partitions[i];

		assert(!partition->placing.head && !partition->scanning.head);
		partition->reads = false;
		if (partition->state == READER_READING || partition->state == READER_WANTED)
			partition->state = READER_IDLE;
	}
	reader->stale = true;
	reader->idle_since_us = INT64_MAX;
}

static void tick_idle(struct mr_client *client, int64_t now_us)
{
	struct reader *reader = &client->reader;

	if (client->awaits.len > 0 || reader->asking)
		reader->idle_since_us = INT64_MAX;
	else if (reader->idle_since_us == INT64_MAX)
		reader->idle_since_us = now_us;
	else if (now_us - reader->idle_since_us >= READER_IDLE_US)
		rest(reader);
}

static bool reads_any(const struct reader *reader)
{
	for (int i = 0; i < reader->n; i++)
		if (reader->partitions[i].reads)
			return true;
	return false;
}

void reader_tick(struct mr_client *client, int64_t now_us)
{
	struct reader *reader = &client->reader;

	if (reader->unplaced.head)
		learn_count(client);
	if (reader->n == 0)
		return;
	if (!reader->asking && now_us >= reader->ask_next_us)
		ask(client, now_us);
	if (reads_any(reader))
		tick_idle(client, now_us);
	if (reader->stale)
		read_again(client);
}

static void on_message(struct mr_client *client, const struct bus_message *message)
{
	struct reader_partition *partition = &client->reader.partitions[message->partition];

	assert(message->partition < client->reader.n);
	partition->position = message->offset + 1;
	if (partition->position > partition->high)
		partition->high = partition->position;
	if (client->awaits.len > 0)
		awaits_on_message(client, message);
	if (partition->scanning.head)
		end_scans(client, partition, partition->position);
}

void reader_take(struct mr_client *client)
{
	struct bus_message *messages[BATCH];
	size_t n = BATCH;

	for (int round = 0; round < ROUNDS_MAX && n == BATCH; round++) {
		n = bus_take_any(client->bus, messages, BATCH);
		for (size_t i = 0; i < n; i++) {
			on_message(client, messages[i]);
			bus_message_free(client->bus, messages[i]);
		}
	}
}

void reader_deinit(struct reader *reader)
{
	free(reader->partitions);
}
