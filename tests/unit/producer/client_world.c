/* SPDX-License-Identifier: Apache-2.0 */
#include "producer/client_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct world_message {
	struct bus_message message;
	struct arena arena;
	struct world_message *next;
};

struct world_sent {
	void *tag;
	bool open;
	struct arena arena;
	struct bytes value;
	struct headers headers;
	struct world_sent *next;
};

static struct world *world_of(struct bus *bus)
{
	return (struct world *)(void *)bus;
}

static void note(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct world *world, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(&world->notes, format, args);
	va_end(args);
	buf_append_char(&world->notes, '\n');
}

void world_assert_notes(struct world *world, const char *text, const char *file, int line)
{
	if (strcmp(buf_cstr(&world->notes), text)) {
		print_error("expected:\n%sgot:\n%s", text, buf_cstr(&world->notes));
		_fail(file, line);
	}
	buf_reset(&world->notes);
}

int world_shard(const char *key)
{
	return task_shard(bytes_of(key), WORLD_SHARDS);
}

/* ---- The bus ---- */

static void bus_world_free(struct bus *bus)
{
	struct world *world = world_of(bus);

	assert_int_equal(world->held, 0);
	for (struct world_sent *sent = world->first_sent; sent; sent = sent->next)
		if (sent->open) {
			sent->open = false;
			world->callbacks.delivered(world->callbacks.ctx, sent->tag, MR_EKAFKA, -1, -1);
		}
}

static int bus_world_fd(struct bus *bus)
{
	(void)bus;
	return -1;
}

static void bus_world_poll(struct bus *bus)
{
	(void)bus;
}

static struct headers copy_headers(struct arena *arena, struct headers from)
{
	struct header *items = arena_alloc(arena, (from.len + 1) * sizeof(*items));

	for (size_t i = 0; i < from.len; i++) {
		items[i].name = arena_copy(arena, from.items[i].name);
		items[i].value = arena_copy(arena, from.items[i].value);
	}
	return (struct headers){items, from.len};
}

static enum mr_status bus_world_produce(struct bus *bus, const struct bus_record *record, void *tag)
{
	struct world *world = world_of(bus);
	struct world_sent *sent;

	if (world->produce_status != MR_OK) {
		note(world, "produce refused");
		return world->produce_status;
	}
	assert_int_equal(record->partition, BUS_BY_KEY);
	sent = mem_alloc(sizeof(*sent));
	sent->tag = tag;
	sent->open = true;
	sent->value = arena_copy(&sent->arena, record->value);
	sent->headers = copy_headers(&sent->arena, record->headers);
	*(world->last_sent ? &world->last_sent->next : &world->first_sent) = sent;
	world->last_sent = sent;
	note(world, "produce %s %.*s", record->topic, BYTES_ARG(record->key));
	return MR_OK;
}

static size_t bus_world_take_any(struct bus *bus, struct bus_message **ret, size_t max)
{
	struct world *world = world_of(bus);
	size_t n = 0;

	while (n < max && world->head) {
		ret[n++] = &world->head->message;
		world->head = world->head->next;
	}
	if (!world->head)
		world->tail = NULL;
	world->held += n;
	return n;
}

static void bus_world_message_free(struct bus *bus, struct bus_message *message)
{
	struct world_message *m = message->impl;

	world_of(bus)->held--;
	arena_deinit(&m->arena);
	free(m);
}

static enum mr_status bus_world_read(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct world *world = world_of(bus);
	struct buf text = {0};

	assert_int_equal(world->held, 0);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(partitions[i].topic, "millrace.results");
		buf_printf(&text, " %d@%lld", (int)partitions[i].partition, (long long)partitions[i].offset);
	}
	note(world, "read%s", buf_cstr(&text));
	buf_deinit(&text);
	return MR_OK;
}

static enum mr_status bus_world_query_ends(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct world *world = world_of(bus);

	assert_int_equal(world->n_asked, 0);
	assert_in_range(n, 1, WORLD_SHARDS);
	for (size_t i = 0; i < n; i++)
		note(world, "end of %d?", (int)partitions[i].partition);
	memcpy(world->asked, partitions, n * sizeof(*partitions));
	world->n_asked = n;
	return MR_OK;
}

static int bus_world_partition_count(struct bus *bus, const char *topic)
{
	(void)topic;
	return world_of(bus)->partitions;
}

static const struct bus_ops OPS = {
	.free = bus_world_free,
	.fd = bus_world_fd,
	.poll = bus_world_poll,
	.produce = bus_world_produce,
	.take_any = bus_world_take_any,
	.message_free = bus_world_message_free,
	.read = bus_world_read,
	.query_ends = bus_world_query_ends,
	.partition_count = bus_world_partition_count,
};

/* ---- The seams ---- */

static enum mr_status seam_bus(void *ctx, const struct bus_config *config, const struct bus_callbacks *callbacks,
			       struct bus **ret, struct mr_error *err)
{
	struct world *world = ctx;

	(void)config, (void)err;
	world->callbacks = *callbacks;
	*ret = &world->bus;
	return MR_OK;
}

static int64_t seam_now(void *ctx)
{
	return ((struct world *)ctx)->now_us;
}

static uint64_t seam_random(void *ctx)
{
	(void)ctx;
	return 0x0123456789abcdef;
}

struct world *world_new(void)
{
	struct world *world = mem_alloc(sizeof(*world));
	const struct client_seams seams = {seam_bus, seam_now, seam_random, world};
	struct mr_client_options options = {.size = sizeof(options), .brokers = "kafka:9092", .prefix = "millrace."};

	world->bus.ops = &OPS;
	world->now_us = WORLD_SECOND_US;
	world->partitions = WORLD_SHARDS;
	assert_int_equal(client_new(&options, &seams, &world->client, NULL), MR_OK);
	return world;
}

void world_free(struct world *world)
{
	mr_client_free(world->client);
	while (world->first_sent) {
		struct world_sent *sent = world->first_sent;

		world->first_sent = sent->next;
		arena_deinit(&sent->arena);
		free(sent);
	}
	while (world->head) {
		struct world_message *m = world->head;

		world->head = m->next;
		arena_deinit(&m->arena);
		free(m);
	}
	buf_deinit(&world->notes);
	mr_result_free(world->result);
	free(world);
}

void world_pass(struct world *world, int64_t us)
{
	world->now_us += us;
	mr_client_poll(world->client);
}

/* ---- What the client is asked ---- */

static void on_submitted(void *ctx, enum mr_status status, const char *key, const struct mr_error *err)
{
	struct world *world = ctx;

	assert_int_equal(status == MR_OK, err == NULL);
	if (err)
		world->err = *err;
	note(world, "submitted %s %s", key, mr_status_name(status));
}

static void on_done(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err)
{
	struct world *world = ctx;

	assert_int_equal(status == MR_OK, err == NULL);
	assert_int_equal(status == MR_OK, result != NULL);
	if (err)
		world->err = *err;
	if (result) {
		note(world, "done %s %s of %s", result->task_key, mr_outcome_name(result->outcome), result->run_id);
		mr_result_free(world->result);
		world->result = result;
	} else {
		note(world, "done %s", mr_status_name(status));
	}
	if (world->on_done)
		world->on_done(world);
}

struct mr_task world_task(const char *key)
{
	return (struct mr_task){.size = sizeof(struct mr_task),
				.activity_type = "greet",
				.activity_id = key,
				.start_to_close_timeout_ms = 1000,
				.format = MR_FORMAT_JSON};
}

enum mr_status world_submit_task(struct world *world, const struct mr_task *task, bool await, int64_t wait_ms)
{
	struct mr_submit_options options = {.size = sizeof(options),
					    .submitted = on_submitted,
					    .done = await ? on_done : NULL,
					    .ctx = world,
					    .wait_ms = wait_ms,
					    .cancellation_type = world->cancellation};

	return mr_submit(world->client, task, &options, NULL, &world->err);
}

enum mr_status world_submit(struct world *world, const char *key, bool await, int64_t wait_ms)
{
	struct mr_task task = world_task(key);

	return world_submit_task(world, &task, await, wait_ms);
}

enum mr_status world_await(struct world *world, const char *key, bool from_start, bool existing_only, int64_t wait_ms)
{
	struct mr_await_options options = {.size = sizeof(options),
					   .task_key = key,
					   .from_start = from_start,
					   .existing_only = existing_only,
					   .wait_ms = wait_ms,
					   .done = on_done,
					   .ctx = world,
					   .cancellation_type = world->cancellation};

	return mr_await_async(world->client, &options, &world->err);
}

enum mr_status world_command(struct world *world, const struct mr_command *command)
{
	struct mr_command_options options = {.size = sizeof(options), .done = on_submitted, .ctx = world};

	return mr_command_async(world->client, command, &options, NULL, &world->err);
}

/* ---- What Kafka does ---- */

void world_answer_ends(struct world *world, int64_t end)
{
	size_t n = world->n_asked;

	assert_in_range(n, 1, WORLD_SHARDS);
	for (size_t i = 0; i < n; i++)
		world->asked[i].offset = end;
	world->n_asked = 0;
	world->callbacks.ends(world->callbacks.ctx, world->asked, n, end < 0 ? MR_EKAFKA : MR_OK);
}

void world_deliver(struct world *world, enum mr_status status, int32_t partition, int64_t offset)
{
	for (struct world_sent *sent = world->first_sent; sent; sent = sent->next) {
		if (!sent->open)
			continue;
		sent->open = false;
		world->callbacks.delivered(world->callbacks.ctx, sent->tag, status, partition, offset);
		return;
	}
	fail_msg("nothing is under way");
}

struct bytes world_sent_value(const struct world *world)
{
	assert_non_null(world->last_sent);
	return world->last_sent->value;
}

struct headers world_sent_headers(const struct world *world)
{
	assert_non_null(world->last_sent);
	return world->last_sent->headers;
}

const char *world_sent_run(struct world *world, struct arena *arena)
{
	struct task task;
	bool has_key;

	assert_int_equal(wire_decode_task(world->client->wire, world_sent_value(world), arena, &task, &has_key, NULL), MR_OK);
	return arena_copy(arena, task.run_id).data;
}

struct control world_sent_command(struct world *world, struct arena *arena)
{
	struct control control;

	assert_int_equal(wire_decode_control(world->client->wire, world_sent_value(world), arena, &control, &world->err), MR_OK);
	return control;
}

static struct world_message *message_new(struct world *world, const char *key, int64_t offset, const char *value)
{
	struct world_message *m = mem_alloc(sizeof(*m));

	m->message = (struct bus_message){
		.topic = "millrace.results",
		.partition = world_shard(key),
		.offset = offset,
		.key = arena_copy(&m->arena, bytes_of(key)),
		.value = arena_copy(&m->arena, bytes_of(value)),
		.impl = m,
	};
	*(world->tail ? &world->tail->next : &world->head) = m;
	world->tail = m;
	return m;
}

static struct world_message *result_new(struct world *world, const char *key, int64_t offset, const char *run, const char *status)
{
	struct buf text = {0};
	struct world_message *m;

	buf_printf(&text,
		   "{\"task_key\":\"%s\",\"run_id\":\"%s\",\"activity_type\":\"greet\",\"queue\":\"default\",\"status\":\"%s\","
		   "\"attempt\":1,\"closed_at_ms\":7,\"result_id\":\"id-%s\",\"scheduled_at_ms\":5%s}",
		   key, run, status, run, strcmp(status, "COMPLETED") ? ",\"failure\":{\"type\":\"T\",\"message\":\"m\"}" : "");
	m = message_new(world, key, offset, buf_cstr(&text));
	buf_deinit(&text);
	return m;
}

void world_result(struct world *world, const char *key, int64_t offset, const char *run, const char *status)
{
	if (status)
		result_new(world, key, offset, run, status);
	else
		message_new(world, key, offset, "{\"no\":\"result\"}");
	mr_client_poll(world->client);
}

void world_answer(struct world *world, const char *key, int64_t offset, const char *run)
{
	static const struct header headers[] = {{BYTES_LIT(HEADER_NOT_STATE), BYTES_LIT("1")}};

	result_new(world, key, offset, run, "FAILED")->message.headers = (struct headers){headers, 1};
	mr_client_poll(world->client);
}
