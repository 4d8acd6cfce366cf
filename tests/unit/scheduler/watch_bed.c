/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/watch_bed.h"

#include "base/mem.h"

struct kafka kafka;

/* Kafka ---------------------------------------------------------------------------------------------------------------- */

static void answer_topics(void)
{
	const struct bus_partition topic = {.topic = TOPIC, .partition = PARTITIONS};

	kafka.ask_topics = false;
	kafka.callbacks.topics(kafka.callbacks.ctx, &topic, kafka.is_there, MR_OK);
}

static void answer_ends(void)
{
	struct bus_partition ends[PARTITIONS];

	kafka.ask_ends = false;
	for (int i = 0; i < PARTITIONS; i++)
		ends[i] = (struct bus_partition){.topic = TOPIC, .partition = i, .offset = kafka.queues[i].end};
	kafka.callbacks.ends(kafka.callbacks.ctx, ends, PARTITIONS, MR_OK);
}

static void answer_group(void)
{
	struct bus_partition offsets[PARTITIONS];

	kafka.ask_group = false;
	for (int i = 0; i < PARTITIONS; i++) {
		int64_t committed = kafka.queues[i].committed;

		offsets[i] = (struct bus_partition){
			.topic = TOPIC, .partition = i, .offset = committed > 0 ? committed : BUS_OFFSET_BEGINNING};
	}
	kafka.callbacks.group_offsets(kafka.callbacks.ctx, GROUP, offsets, PARTITIONS, MR_OK);
}

static void kafka_poll(struct bus *bus)
{
	(void)bus;
	if (kafka.ask_topics)
		answer_topics();
	if (kafka.ask_ends)
		answer_ends();
	if (kafka.ask_group)
		answer_group();
}

static enum mr_status query_topics(struct bus *bus, const char *begin)
{
	(void)bus;
	assert_string_equal(begin, "t.tasks.");
	kafka.ask_topics = true;
	return MR_OK;
}

static enum mr_status query_ends(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	(void)bus;
	(void)partitions;
	assert_int_equal(n, PARTITIONS);
	assert_false(kafka.ask_ends);
	kafka.ask_ends = true;
	kafka.n_questions++;
	return MR_OK;
}

static enum mr_status query_group(struct bus *bus, const char *group, const struct bus_partition *partitions, size_t n)
{
	(void)bus;
	(void)partitions;
	assert_string_equal(group, GROUP);
	assert_int_equal(n, PARTITIONS);
	assert_false(kafka.ask_group);
	kafka.ask_group = true;
	kafka.n_questions++;
	return MR_OK;
}

static enum mr_status kafka_read(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct buf text = {0};

	(void)bus;
	for (int i = 0; i < PARTITIONS; i++)
		kafka.queues[i].place = -1;
	for (size_t i = 0; i < n; i++) {
		kafka.queues[partitions[i].partition].place = partitions[i].offset;
		buf_printf(&text, " %d@%lld", (int)partitions[i].partition, (long long)partitions[i].offset);
	}
	world_note(kafka.world, "tasks%s", buf_cstr(&text));
	buf_deinit(&text);
	return MR_OK;
}

static struct bus_message *message_of(int partition, int64_t offset)
{
	const struct record *record = &kafka.queues[partition].records[offset];
	struct bus_message *message = mem_alloc(sizeof(*message));

	*message = (struct bus_message){.topic = TOPIC,
					.partition = partition,
					.offset = offset,
					.timestamp_ms = 1000,
					.key = bytes_of(record->key),
					.value = bytes_of(record->value),
					.headers = {record->headers, record->n_headers}};
	return message;
}

static size_t take_any(struct bus *bus, struct bus_message **ret, size_t max)
{
	size_t n = 0;

	(void)bus;
	for (int i = 0; i < PARTITIONS; i++) {
		struct queue *queue = &kafka.queues[i];

		while (queue->place >= 0 && queue->place < queue->end - queue->hollow && n < max)
			ret[n++] = message_of(i, queue->place++);
	}
	kafka.n_taken += n;
	return n;
}

static void message_free(struct bus *bus, struct bus_message *message)
{
	(void)bus;
	free(message);
}

static const struct bus_ops OPS = {
	.poll = kafka_poll,
	.take_any = take_any,
	.message_free = message_free,
	.read = kafka_read,
	.query_ends = query_ends,
	.query_topics = query_topics,
	.query_group = query_group,
};

/* Redis ---------------------------------------------------------------------------------------------------------------- */

static enum mr_status store_watch_fake(struct store *store, int shard, struct bytes nonce, const struct watch_request *requests,
				       size_t n, store_done_fn *done, void *ctx)
{
	struct buf text = {0};

	(void)store;
	assert_int_equal(shard, 0);
	assert_int_equal(nonce.len, 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(&text, " %.*s %c %lld", BYTES_ARG(requests[i].key),
			   requests[i].kind == TIMER_SCHEDULE_TO_START ? 's' : 'c', (long long)requests[i].due_ms);
	world_note(kafka.world, "watch%s", buf_cstr(&text));
	buf_deinit(&text);
	assert_true(kafka.n_done < 64);
	kafka.done[kafka.n_done] = done;
	kafka.done_ctx[kafka.n_done++] = ctx;
	return MR_OK;
}

static enum mr_status store_view_fake(struct store *store, struct bytes key, int shard, store_view_fn *done, void *ctx)
{
	(void)store;
	assert_int_equal(shard, 0);
	assert_null(kafka.viewed);
	world_note(kafka.world, "view %.*s", BYTES_ARG(key));
	kafka.viewed = done;
	kafka.view_ctx = ctx;
	return MR_OK;
}

/* The core's own is not called: see test_watch.cmake. */
void __wrap_ending_begin(struct shard *shard, const struct ending_request *request);
void __wrap_ending_begin(struct shard *shard, const struct ending_request *request)
{
	assert_int_equal(shard->id, 0);
	assert_true(request->cause == ENDING_CANCEL || request->cause == ENDING_TERMINATE);
	assert_int_equal(request->found.view.state, VIEW_MARKED);
	world_note(kafka.world, "end %.*s %s %.*s", BYTES_ARG(request->found.key),
		   request->cause == ENDING_CANCEL ? "cancel" : "terminate", BYTES_ARG(request->place));
	kafka.ending = *request;
}

void bed_end(enum ending_end how)
{
	assert_non_null(kafka.ending.done);
	kafka.ending.done(kafka.ending.ctx, &world_scheduler(kafka.world)->shards[0], how);
	kafka.ending.done = NULL;
}

static void answer_redis(void)
{
	size_t n = kafka.n_done;
	store_view_fn *viewed = kafka.viewed;

	kafka.viewed = NULL;
	if (viewed)
		viewed(kafka.view_ctx, MR_OK, &kafka.view);
	kafka.n_done = 0;
	for (size_t i = 0; i < n; i++)
		kafka.done[i](kafka.done_ctx[i], kafka.watch_status);
}

/* The script ----------------------------------------------------------------------------------------------------------- */

void bed_pass(int64_t ms)
{
	for (int64_t passed = 0; passed < ms; passed += 10) {
		kafka.world->now_us += 10000;
		world_settle(kafka.world);
		answer_redis();
	}
}

struct record *bed_publish(int partition, const char *value)
{
	struct queue *queue = &kafka.queues[partition];

	assert_true(queue->end < RECORDS_MAX);
	queue->records[queue->end] = (struct record){.value = value};
	return &queue->records[queue->end++];
}

void bed_with_header(struct record *record, const char *name, const char *value)
{
	record->headers[record->n_headers++] = (struct header){bytes_of(name), bytes_of(value)};
}

struct scheduler_stats bed_stats(void)
{
	struct scheduler_stats now;

	scheduler_get_stats(world_scheduler(kafka.world), &now);
	return now;
}

int bed_setup(void **state)
{
	struct world *world = world_new();
	struct scheduler *s = world_scheduler(world);

	kafka = (struct kafka){.bus = {&OPS}, .world = world, .callbacks = scheduler_watch_callbacks(s), .is_there = true};
	kafka.redis = *s->links.redis;
	kafka.redis.watch = store_watch_fake;
	kafka.redis.view = store_view_fake;
	for (int i = 0; i < PARTITIONS; i++)
		kafka.queues[i].place = -1;
	s->links.redis = &kafka.redis;
	s->links.watch = &kafka.bus;
	world_silence(world, "look tip tips expire commit ends seek fire due orphans");
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 0, 0);
	world_assign(world);
	world_settle(world);
	bed_pass(1000);
	world_forget(world);
	*state = world;
	return 0;
}

int bed_teardown(void **state)
{
	answer_redis();
	world_free(*state);
	return 0;
}
