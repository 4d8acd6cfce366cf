/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer/world_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

static struct fake_bus *fake(struct bus *bus)
{
	return (struct fake_bus *)(void *)bus;
}

static void poll_bus(struct bus *bus)
{
	struct fake_bus *b = fake(bus);
	struct bus_partition ends[WORLD_SHARDS];

	if (!b->asked_ends || b->slow_ends)
		return;
	b->asked_ends = 0;
	for (int i = 0; i < WORLD_SHARDS; i++)
		ends[i] = (struct bus_partition){WORLD_CONTROL, i, b->next_command};
	b->callbacks.ends(b->callbacks.ctx, ends, WORLD_SHARDS, MR_OK);
}

static enum mr_status query_ends(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	assert_int_equal(n, WORLD_SHARDS);
	assert_string_equal(partitions[0].topic, WORLD_CONTROL);
	fake(bus)->asked_ends++;
	return MR_OK;
}

static enum mr_status read_partitions(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	assert_int_equal(n, WORLD_SHARDS);
	assert_int_equal(partitions[0].offset, fake(bus)->next_command);
	fake(bus)->reads_commands = true;
	return MR_OK;
}

static struct headers copy_headers(struct arena *arena, struct headers headers)
{
	struct header *items = arena_alloc(arena, (headers.len + 1) * sizeof(items[0]));

	for (size_t i = 0; i < headers.len; i++) {
		items[i].name = arena_copy(arena, headers.items[i].name);
		items[i].value = arena_copy(arena, headers.items[i].value);
	}
	return (struct headers){items, headers.len};
}

/* A line of the trace for the key KEY\nh is "... KEY/h". */
static void note_record(struct world *world, const struct bus_record *record)
{
	const char *what = bytes_present(record->value) ? "produce" : "tombstone";
	const char *feed = record->key.len ? memchr(record->key.data, '\n', record->key.len) : NULL;

	if (feed)
		world_note(world, "%s %s %.*s/%c", what, record->topic, (int)(feed - record->key.data), record->key.data,
			   feed[1]);
	else
		world_note(world, "%s %s %.*s", what, record->topic, BYTES_ARG(record->key));
}

static enum mr_status produce(struct bus *bus, const struct bus_record *record, void *tag)
{
	struct fake_bus *b = fake(bus);
	struct fake_record *copy = mem_alloc(sizeof(*copy));

	copy->record.topic = arena_copy(&copy->arena, bytes_of(record->topic)).data;
	copy->record.partition = record->partition;
	copy->record.key = arena_copy(&copy->arena, record->key);
	copy->record.value = arena_copy(&copy->arena, record->value);
	copy->record.headers = copy_headers(&copy->arena, record->headers);
	copy->tag = tag;
	copy->open = true;
	copy->next = b->newest;
	b->newest = copy;
	b->outstanding++;
	note_record(b->world, record);
	return MR_OK;
}

static void flush(struct bus *bus, int timeout_ms)
{
	struct fake_bus *b = fake(bus);

	assert_true(timeout_ms > 0);
	if (b->acks_in_flush)
		world_ack(b->world, MR_OK);
}

static size_t outstanding(struct bus *bus)
{
	return fake(bus)->outstanding;
}

static size_t take_commands(struct fake_bus *b, struct bus_message **ret, size_t max)
{
	size_t n = 0;

	while (n < max && b->reads_commands && b->commands) {
		ret[n++] = &b->commands->message;
		b->commands = b->commands->next;
	}
	return n;
}

static size_t take_of(struct bus *bus, const char *topic, int32_t partition, struct bus_message **ret, size_t max)
{
	assert_string_equal(topic, WORLD_CONTROL);
	return partition == 0 ? take_commands(fake(bus), ret, max) : 0;
}

static size_t take_any(struct bus *bus, struct bus_message **ret, size_t max)
{
	struct fake_bus *b = fake(bus);
	size_t n = take_commands(b, ret, max);

	while (n < max && b->head) {
		ret[n++] = &b->head->message;
		b->head = b->head->next;
		if (!b->head)
			b->tail = NULL;
	}
	return n;
}

static void message_free(struct bus *bus, struct bus_message *message)
{
	struct fake_message *m = message->impl;

	(void)bus;
	arena_deinit(&m->arena);
	free(m);
}

static void commit(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct fake_bus *b = fake(bus);

	for (size_t i = 0; i < n; i++)
		world_note(b->world, "commit %d:%lld", (int)partitions[i].partition, (long long)partitions[i].offset);
	b->callbacks.committed(b->callbacks.ctx, partitions, n, MR_OK);
}

static enum mr_status commit_now(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		world_note(fake(bus)->world, "commit_now %d:%lld", (int)partitions[i].partition, (long long)partitions[i].offset);
	return MR_OK;
}

static void leave(struct bus *bus)
{
	world_note(fake(bus)->world, "leave");
	fake(bus)->left = true;
}

static bool left(struct bus *bus)
{
	return fake(bus)->left;
}

static const struct bus_ops ops = {
	.poll = poll_bus,
	.produce = produce,
	.outstanding = outstanding,
	.flush = flush,
	.take = take_of,
	.take_any = take_any,
	.message_free = message_free,
	.query_ends = query_ends,
	.read = read_partitions,
	.commit = commit,
	.commit_now = commit_now,
	.leave = leave,
	.left = left,
};

void fake_bus_init(struct world *world)
{
	world->bus = (struct fake_bus){.bus = {&ops}, .world = world};
	world->bus.callbacks = worker_bus_callbacks(world->worker, 0);
}

void fake_bus_deinit(struct world *world)
{
	struct bus_message *message;

	world->bus.reads_commands = true;
	while (take_any(&world->bus.bus, &message, 1))
		message_free(&world->bus.bus, message);
	while (world->bus.newest) {
		struct fake_record *record = world->bus.newest;

		world->bus.newest = record->next;
		arena_deinit(&record->arena);
		free(record);
	}
}

void world_acks_in_revoke(struct world *world)
{
	world->bus.acks_in_flush = true;
}

void world_assign(struct world *world, int32_t partition)
{
	struct bus_partition p = {WORLD_TOPIC, partition, BUS_OFFSET_COMMITTED};

	world->bus.callbacks.assigned(world->bus.callbacks.ctx, &p, 1);
}

void world_revoke(struct world *world, int32_t partition)
{
	struct bus_partition p = {WORLD_TOPIC, partition, 0};

	world->bus.callbacks.revoked(world->bus.callbacks.ctx, &p, 1, false);
}

static struct fake_message *message_new(int32_t partition, int64_t offset, const char *json)
{
	struct fake_message *m = mem_alloc(sizeof(*m));

	m->message.topic = WORLD_TOPIC;
	m->message.partition = partition;
	m->message.offset = offset;
	m->message.timestamp_ms = 1000000;
	m->message.value = arena_copy(&m->arena, bytes_of(json));
	m->message.key = BYTES_LIT("record key");
	m->message.impl = m;
	return m;
}

static void add(struct world *world, struct fake_message *m)
{
	if (world->bus.tail)
		world->bus.tail->next = m;
	else
		world->bus.head = m;
	world->bus.tail = m;
}

int64_t world_record(struct world *world, int32_t partition, const char *json)
{
	int64_t offset = world->bus.next_offset[partition]++;

	add(world, message_new(partition, offset, json));
	return offset;
}

static struct fake_message *add_command(struct world *world, const char *json, int64_t at_ms)
{
	struct fake_message *m = message_new(0, world->bus.next_command++, json);
	struct fake_message **end = &world->bus.commands;

	m->message.topic = WORLD_CONTROL;
	m->message.timestamp_ms = at_ms;
	while (*end)
		end = &(*end)->next;
	*end = m;
	return m;
}

void world_command(struct world *world, const char *json, int64_t at_ms)
{
	add_command(world, json, at_ms);
}

void world_command_passed_on(struct world *world, const char *json, int64_t at_ms, int64_t commanded_at_ms)
{
	struct fake_message *m = add_command(world, json, at_ms);
	struct header *item = arena_alloc(&m->arena, sizeof(*item));

	*item = (struct header){BYTES_LIT(HEADER_COMMANDED_AT), arena_printf(&m->arena, "%lld", (long long)commanded_at_ms)};
	m->message.headers = (struct headers){item, 1};
}

void world_slow_ends(struct world *world)
{
	world->bus.slow_ends = true;
}

int64_t world_record_again(struct world *world, int32_t partition, int64_t offset, const char *json)
{
	add(world, message_new(partition, offset, json));
	return offset;
}

int64_t world_record_attempt(struct world *world, int32_t partition, const char *json, const char *key, const char *run,
			     int attempt)
{
	return world_record_hops(world, partition, json, key, run, attempt, 0);
}

int64_t world_record_hops(struct world *world, int32_t partition, const char *json, const char *key, const char *run, int attempt,
			  int hops)
{
	int64_t offset = world->bus.next_offset[partition]++;
	struct fake_message *m = message_new(partition, offset, json);
	struct header *items = arena_alloc(&m->arena, 4 * sizeof(items[0]));

	items[0] = (struct header){BYTES_LIT(HEADER_KEY), bytes_of(key)};
	items[1] = (struct header){BYTES_LIT(HEADER_RUN), bytes_of(run)};
	items[2] = (struct header){BYTES_LIT(HEADER_ATTEMPT), arena_printf(&m->arena, "%d", attempt)};
	items[3] = (struct header){BYTES_LIT(HEADER_HOPS), arena_printf(&m->arena, "%d", hops)};
	m->message.headers = (struct headers){items, 4};
	add(world, m);
	return offset;
}

void world_record_header(struct world *world, const char *name, struct bytes value)
{
	struct fake_message *m = world->bus.tail;
	struct headers *headers = &m->message.headers;
	struct header *items = arena_alloc(&m->arena, (headers->len + 1) * sizeof(items[0]));

	if (headers->len)
		memcpy(items, headers->items, headers->len * sizeof(items[0]));
	items[headers->len] = (struct header){bytes_of(name), arena_copy(&m->arena, value)};
	*headers = (struct headers){items, headers->len + 1};
}

/* The oldest first, as Kafka does. */
static struct fake_record *oldest_open(struct fake_bus *b)
{
	struct fake_record *found = NULL;

	for (struct fake_record *record = b->newest; record; record = record->next)
		if (record->open)
			found = record;
	return found;
}

size_t world_ack(struct world *world, enum mr_status status)
{
	struct fake_bus *b = &world->bus;
	struct fake_record *record;
	size_t n = b->outstanding;

	for (size_t i = 0; i < n && (record = oldest_open(b)); i++) {
		record->open = false;
		b->outstanding--;
		b->callbacks.delivered(b->callbacks.ctx, record->tag, status, 0, 0);
	}
	return n;
}

static const struct fake_record *newest(const struct world *world, const char *topic)
{
	for (const struct fake_record *record = world->bus.newest; record; record = record->next)
		if (strcmp(record->record.topic, topic) == 0)
			return record;
	fail_msg("nothing was written to %s", topic);
	return NULL;
}

struct bytes world_value_bytes(struct world *world, const char *topic)
{
	return newest(world, topic)->record.value;
}

const char *world_value(struct world *world, const char *topic)
{
	return world_value_bytes(world, topic).data;
}

int32_t world_partition(struct world *world, const char *topic)
{
	return newest(world, topic)->record.partition;
}

const char *world_header(struct world *world, const char *topic, const char *name)
{
	struct headers headers = newest(world, topic)->record.headers;

	for (size_t i = 0; i < headers.len; i++)
		if (bytes_is(headers.items[i].name, name))
			return headers.items[i].value.data;
	return NULL;
}

void world_kafka_is(struct world *world, enum mr_status status)
{
	world->bus.callbacks.health(world->bus.callbacks.ctx, status, "as the test says");
}
