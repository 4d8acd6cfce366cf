/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "scheduler/world_impl.h"

static struct fake_bus *fake(struct bus *bus)
{
	return (struct fake_bus *)(void *)bus;
}

static int log_of(const struct world *world, const char *topic)
{
	for (int i = 0; i < LOGS; i++) {
		if (strcmp(world->logs[i].topic, topic) == 0)
			return i;
	}
	fail_msg("no log %s", topic);
	return -1;
}

static const char *short_name(const char *topic)
{
	return strncmp(topic, WORLD_PREFIX, strlen(WORLD_PREFIX)) == 0 ? topic + strlen(WORLD_PREFIX) : topic;
}

static void bus_nothing(struct bus *bus)
{
	(void)bus;
}

static enum mr_status produce(struct bus *bus, const struct bus_record *record, void *tag)
{
	struct world *world = fake(bus)->world;
	struct sent *sent;
	struct header *items;

	assert_false(fake(bus)->is_fetch);
	if (world->kafka_full)
		return MR_EFULL;
	if (world->kafka_refuses != MR_OK) {
		enum mr_status status = world->kafka_refuses;

		world->kafka_refuses = MR_OK;
		return status;
	}
	sent = arena_alloc(&world->arena, sizeof(*sent));
	items = arena_alloc(&world->arena, (record->headers.len + 1) * sizeof(*items));
	for (size_t i = 0; i < record->headers.len; i++) {
		items[i].name = arena_copy(&world->arena, record->headers.items[i].name);
		items[i].value = arena_copy(&world->arena, record->headers.items[i].value);
	}
	*sent = (struct sent){.topic = arena_copy(&world->arena, bytes_of(record->topic)),
			      .key = arena_copy(&world->arena, record->key),
			      .value = arena_copy(&world->arena, record->value),
			      .partition = record->partition,
			      .headers = {items, record->headers.len},
			      .tag = tag,
			      .open = true,
			      .next = world->newest};
	world->newest = sent;
	if (bytes_present(record->value))
		world_note(world, "produce %s %.*s", short_name(record->topic), BYTES_ARG(record->key));
	else
		world_note(world, "tombstone %.*s", BYTES_ARG(record->key));
	return MR_OK;
}

static struct bus_message *message_new(struct world *world, int log, int64_t offset)
{
	const struct fake_record *record = &world->logs[log].records[offset];
	struct bus_message *message = mem_alloc(sizeof(*message));

	*message = (struct bus_message){.topic = world->logs[log].topic,
					.offset = offset,
					.timestamp_ms = 1,
					.key = record->key,
					.value = record->value,
					.headers = record->headers};
	return message;
}

static size_t take(struct bus *bus, const char *topic, int32_t partition, struct bus_message **ret, size_t max)
{
	struct fake_bus *b = fake(bus);
	int log = log_of(b->world, topic);
	size_t n = 0;

	assert_int_equal(partition, 0);
	while (b->place[log] >= 0 && n < max && b->place[log] < b->world->logs[log].end) {
		int64_t offset = b->place[log]++;

		if (!b->world->logs[log].records[offset].gone)
			ret[n++] = message_new(b->world, log, offset);
	}
	return n;
}

static void message_free(struct bus *bus, struct bus_message *message)
{
	(void)bus;
	free(message);
}

static void commit(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		world_note(fake(bus)->world, "commit %s %lld", short_name(partitions[i].topic), (long long)partitions[i].offset);
}

static enum mr_status seek(struct bus *bus, const char *topic, int32_t partition, int64_t offset)
{
	struct fake_bus *b = fake(bus);
	int log = log_of(b->world, topic);

	assert_int_equal(partition, 0);
	if (b->place[log] < 0)
		return MR_ENOT_FOUND;
	b->place[log] = offset < 0 ? 0 : offset;
	if (log == LOG_CONTROL) {
		b->world->control_sought = offset;
		return MR_OK;
	}
	world_note(b->world, "%s %s %lld", b->is_fetch ? "fetch-seek" : "seek", short_name(topic), (long long)offset);
	return MR_OK;
}

static enum mr_status read_set(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct fake_bus *b = fake(bus);
	struct buf text = {0};

	for (int i = 0; i < LOGS; i++) {
		if (b->is_fetch || i == LOG_RESULTS)
			b->place[i] = -1;
	}
	for (size_t i = 0; i < n; i++) {
		b->place[log_of(b->world, partitions[i].topic)] = partitions[i].offset < 0 ? 0 : partitions[i].offset;
		buf_printf(&text, " %s@%lld", short_name(partitions[i].topic), (long long)partitions[i].offset);
	}
	world_note(b->world, "%s%s", b->is_fetch ? "fetch" : "read", buf_cstr(&text));
	buf_deinit(&text);
	return MR_OK;
}

static enum mr_status query_ends(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct world *world = fake(bus)->world;
	struct buf text = {0};

	assert_int_equal(world->n_ends, 0);
	assert_in_range(n, 1, 8);
	for (size_t i = 0; i < n; i++) {
		world->ends[i] = partitions[i];
		buf_printf(&text, " %s", short_name(partitions[i].topic));
		/* As it is when asked: what comes later is not in the answer. */
		world->ends[i].offset = world->logs[log_of(world, partitions[i].topic)].end;
	}
	world->n_ends = n;
	world_note(world, "%s%s", n == 1 && log_of(world, partitions[0].topic) == LOG_RESULTS ? "tips" : "ends", buf_cstr(&text));
	buf_deinit(&text);
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

static int partition_count(struct bus *bus, const char *topic)
{
	(void)bus;
	(void)topic;
	return 4;
}

static const struct bus_ops OPS = {
	.poll = bus_nothing,
	.produce = produce,
	.take = take,
	.message_free = message_free,
	.commit = commit,
	.seek = seek,
	.read = read_set,
	.query_ends = query_ends,
	.leave = leave,
	.left = left,
	.partition_count = partition_count,
};

void fake_bus_init(struct fake_bus *bus, struct world *world, bool is_fetch)
{
	*bus = (struct fake_bus){.bus = {&OPS}, .world = world, .is_fetch = is_fetch};
	bus->callbacks = is_fetch ? scheduler_fetch_callbacks(world->scheduler) : scheduler_bus_callbacks(world->scheduler);
	for (int i = 0; i < LOGS; i++)
		bus->place[i] = -1;
}

void world_assign(struct world *world)
{
	struct bus_partition partitions[] = {{world->logs[LOG_JOURNAL].topic, 0, BUS_OFFSET_COMMITTED},
					     {world->logs[LOG_CONTROL].topic, 0, BUS_OFFSET_COMMITTED}};

	world->bus.callbacks.assigned(world->bus.callbacks.ctx, partitions, 2);
	world->bus.place[LOG_JOURNAL] = 0;
	world->bus.place[LOG_CONTROL] = 0;
}

void world_revoke(struct world *world)
{
	const struct bus_partition partitions[] = {{world->logs[LOG_JOURNAL].topic, 0, 0},
						   {world->logs[LOG_CONTROL].topic, 0, 0}};

	world->bus.callbacks.revoked(world->bus.callbacks.ctx, partitions, 2, false);
	world->bus.place[LOG_JOURNAL] = world->bus.place[LOG_CONTROL] = -1;
}

bool world_answer_ends(struct world *world)
{
	struct bus_partition partitions[8];
	size_t n = world->n_ends;

	if (n == 0)
		return false;
	memcpy(partitions, world->ends, sizeof(partitions));
	world->n_ends = 0;
	world->bus.callbacks.ends(world->bus.callbacks.ctx, partitions, n, MR_OK);
	return true;
}

void world_hold_ends(struct world *world, bool hold)
{
	world->hold_ends = hold;
}

/* The oldest first, as Kafka does. */
static struct sent *oldest_open(struct world *world)
{
	struct sent *found = NULL;

	for (struct sent *sent = world->newest; sent; sent = sent->next) {
		if (sent->open)
			found = sent;
	}
	return found;
}

/* The offset that an acknowledged record has in its log. */
static int64_t append_sent(struct world *world, const struct sent *sent)
{
	struct fake_log *log = &world->logs[LOG_JOURNAL];

	if (!world->echo_journal || strcmp(log->topic, sent->topic.data) != 0)
		return 0;
	assert_true(log->end < LOG_MAX);
	log->records[log->end] = (struct fake_record){.key = sent->key, .value = sent->value, .headers = sent->headers};
	return log->end++;
}

void world_echo_journal(struct world *world)
{
	world->echo_journal = true;
}

int64_t world_control_sought(const struct world *world)
{
	return world->control_sought;
}

size_t world_ack(struct world *world, enum mr_status status)
{
	struct sent *sent;
	size_t n = 0;

	while ((sent = oldest_open(world))) {
		sent->open = false;
		world->bus.callbacks.delivered(world->bus.callbacks.ctx, sent->tag, status, 0,
					       status == MR_OK ? append_sent(world, sent) : 0);
		n++;
		if (status != MR_OK)
			break;
	}
	return n;
}

void world_kafka_refuses(struct world *world, enum mr_status status)
{
	world->kafka_refuses = status;
}

void world_kafka_full(struct world *world, bool full)
{
	world->kafka_full = full;
}

static const struct sent *newest(const struct world *world, const char *topic)
{
	for (const struct sent *sent = world->newest; sent; sent = sent->next) {
		if (strcmp(short_name(sent->topic.data), topic) == 0)
			return sent;
	}
	fail_msg("nothing was written to %s", topic);
	return NULL;
}

const char *world_header(struct world *world, const char *topic, const char *name)
{
	struct headers headers = newest(world, topic)->headers;

	for (size_t i = 0; i < headers.len; i++) {
		if (bytes_is(headers.items[i].name, name))
			return headers.items[i].value.data;
	}
	return NULL;
}

struct bytes world_bytes(struct world *world, const char *topic)
{
	return newest(world, topic)->value;
}

const char *world_value(struct world *world, const char *topic)
{
	return newest(world, topic)->value.data;
}

int32_t world_partition(struct world *world, const char *topic)
{
	return newest(world, topic)->partition;
}
