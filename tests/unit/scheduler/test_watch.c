/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/ending.h"
#include "lib/watch.h"
#include "scheduler/world_impl.h"

/*
 * The deadline watch between a fake of Kafka's task topics and the world's Redis. Kafka answers each question in the next turn.
 * The trace of the world has besides: tasks TOPIC@OFFSET... (the set that is read now) · watch K KIND DUE... · view K ·
 * end K CAUSE PLACE
 */
#define PARTITIONS 2
#define RECORDS_MAX 600
#define TOPIC "t.tasks.default"
#define GROUP "t.workers.default"

struct record {
	const char *key, *value;
	struct header headers[2];
	size_t n_headers;
};

struct queue {
	struct record records[RECORDS_MAX];
	int64_t end, committed;
	int64_t place;  /* of the reader; -1: not read */
	int64_t hollow; /* offsets before the end that carry no record */
};

struct kafka {
	struct bus bus; /* first: the core gives it back */
	struct world *world;
	struct bus_callbacks callbacks;
	struct queue queues[PARTITIONS];
	bool is_there, ask_topics, ask_ends, ask_group;
	size_t n_questions, n_taken;
	struct redis_calls redis;
	enum mr_status watch_status;
	store_done_fn *done[64];
	void *done_ctx[64];
	size_t n_done;
	struct task_view view;
	store_view_fn *viewed;
	void *view_ctx;
	struct ending_request ending;
};

/* One test at a time: the fake of Redis finds the fake of Kafka here. */
static struct kafka kafka;

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

static void end(enum ending_end how)
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

static void pass(int64_t ms)
{
	for (int64_t passed = 0; passed < ms; passed += 10) {
		kafka.world->now_us += 10000;
		world_settle(kafka.world);
		answer_redis();
	}
}

static struct record *publish(int partition, const char *value)
{
	struct queue *queue = &kafka.queues[partition];

	assert_true(queue->end < RECORDS_MAX);
	queue->records[queue->end] = (struct record){.value = value};
	return &queue->records[queue->end++];
}

static void with_header(struct record *record, const char *name, const char *value)
{
	record->headers[record->n_headers++] = (struct header){bytes_of(name), bytes_of(value)};
}

static struct scheduler_stats stats(void)
{
	struct scheduler_stats now;

	scheduler_get_stats(world_scheduler(kafka.world), &now);
	return now;
}

static int setup(void **state)
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
	pass(1000);
	world_forget(world);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	answer_redis();
	world_free(*state);
	return 0;
}

#define TASK(id, fields) "{\"activity_type\":\"x\",\"activity_id\":\"" id "\"" fields "}"
#define START ",\"schedule_to_start_timeout_ms\":500"
#define CLOSE ",\"schedule_to_close_timeout_ms\":900"

static void a_record_that_waits_is_armed_once(void **state)
{
	publish(1, TASK("a", START));
	pass(5000);
	world_expect(*state, "tasks 1@0", "watch a s 1500", "tasks", NULL);
	publish(1, TASK("b", CLOSE));
	pass(5000);
	world_expect(*state, "tasks 1@1", "watch b c 1900", "tasks", NULL);
	assert_int_equal(stats().watch_read, 2);
}

static void a_queue_that_drains_is_not_read(void **state)
{
	for (int i = 0; i < 500; i++) {
		publish(0, TASK("a", START));
		pass(10);
		/* The workers are 100 ms behind. */
		kafka.queues[0].committed = kafka.queues[0].end > 10 ? kafka.queues[0].end - 10 : 0;
	}
	world_expect(*state, NULL);
	assert_int_equal(stats().watch_read, 0);
}

static void what_is_committed_meanwhile_is_passed_over(void **state)
{
	for (int i = 0; i < 100; i++)
		publish(0, TASK("a", ""));
	kafka.queues[0].committed = 90;
	pass(3000);
	world_expect(*state, "tasks 0@90", "tasks", NULL);
	assert_int_equal(stats().watch_read, 10);
}

static void a_record_that_has_not_waited_is_not_read(void **state)
{
	publish(0, TASK("a", START));
	pass(100);
	world_expect(*state, NULL);
	pass(900);
	assert_true(world_did(*state, "watch a s 1500"));
}

static void an_idle_system_asks_twice_a_second_and_reads_nothing(void **state)
{
	publish(0, TASK("a", START));
	pass(20000);
	kafka.queues[0].committed = 1;
	pass(2000);
	world_forget(*state);
	kafka.n_questions = 0;
	pass(10000);
	assert_in_range(kafka.n_questions, 10, 20);
	world_expect(*state, NULL);
}

static void deadlines_count_from_where_they_should(void **state)
{
	struct record *record;

	publish(0, TASK("both", START CLOSE));
	/* schedule-to-start is as long as schedule-to-close where nothing is said: one timer is enough. */
	publish(0, TASK("close", CLOSE));
	publish(0, TASK("delay", START CLOSE ",\"start_delay_ms\":10000"));
	publish(0, TASK("told", CLOSE ",\"scheduled_at_ms\":5000"));
	record = publish(0, TASK("second", START CLOSE));
	with_header(record, HEADER_ATTEMPT, "2");
	with_header(record, HEADER_DISPATCHED_AT, "7000");
	record = publish(0, TASK("third", ",\"schedule_to_start_timeout_ms\":9,\"start_to_close_timeout_ms\":5"));
	with_header(record, HEADER_ATTEMPT, "3");
	with_header(record, HEADER_DISPATCHED_AT, "7000");
	record = publish(0, TASK("longer", CLOSE));
	with_header(record, HEADER_OPTIONS, "{\"schedule_to_close_timeout_ms\":2000}");
	record = publish(0, TASK("set", ""));
	with_header(record, HEADER_OPTIONS, "{\"schedule_to_close_timeout_ms\":2000}");
	record = publish(0, TASK("unfit", CLOSE));
	with_header(record, HEADER_OPTIONS, "{\"schedule_to_close_timeout_ms\":-1}");
	publish(0, TASK("none", ",\"start_to_close_timeout_ms\":5"));
	publish(0, TASK("escaped", ",\"\\u0073chedule_to_start_timeout_ms\":500"));
	publish(0, "{\"activity_type\":\"schedule_to_");
	publish(0, NULL);
	pass(2000);
	world_expect(
		*state, "tasks 0@0",
		"watch both s 1500 both c 1900 close c 1900 delay s 11500 delay c 11900 told s 1900 told c 5900 third s 7009 "
		"longer c 3000 set c 3000 unfit c 1900 escaped s 1500",
		"tasks", NULL);
}

static void records_come_in_batches(void **state)
{
	for (int i = 0; i < 599; i++)
		publish(0, TASK("a", ""));
	publish(0, TASK("last", START));
	pass(2000);
	world_expect(*state, "tasks 0@0", "watch last s 1500", "tasks", NULL);
	assert_int_equal(stats().watch_read, 600);
}

static void what_could_not_be_armed_is_read_again_after_a_while(void **state)
{
	publish(0, TASK("a", START));
	kafka.watch_status = MR_ECONFLICT;
	pass(2000);
	world_expect(*state, "tasks 0@0", "watch a s 1500", "tasks", NULL);
	kafka.watch_status = MR_OK;
	pass(5000);
	world_expect(*state, "tasks 0@0", "watch a s 1500", "tasks", NULL);
}

static void after_a_loss_of_redis_what_is_not_committed_is_read_again(void **state)
{
	struct world *world = *state;

	publish(0, TASK("a", START));
	publish(0, TASK("b", START));
	pass(2000);
	world_forget(world);
	kafka.queues[0].committed = 1;
	world_marker(world, SHARD_UNKNOWN, "");
	world_silence(world, "look tip tips expire commit ends seek fire due orphans recover read replay");
	pass(8000);
	assert_true(world_did(world, "tasks 0@1"));
	assert_true(world_did(world, "watch b s 1500"));
	assert_false(world_did(world, "watch a s 1500 b s 1500"));
}

static void nothing_is_read_while_a_shard_recovers(void **state)
{
	struct world *world = *state;

	world_marker(world, SHARD_UNKNOWN, "");
	pass(1500);
	world_forget(world);
	world_silence(world, "look tip tips expire commit ends seek fire due orphans recover");
	publish(0, TASK("a", START));
	pass(1000);
	world_expect(world, NULL);
}

static void who_owns_no_shard_asks_and_reads_nothing(void **state)
{
	struct world *world = *state;

	publish(0, TASK("a", START));
	world_revoke(world);
	pass(1000);
	kafka.n_questions = 0;
	pass(3000);
	assert_int_equal(kafka.n_questions, 0);
	world_expect(world, NULL);
}

static void last_offsets_without_a_record_are_not_waited_for_without_an_end(void **state)
{
	publish(0, TASK("a", START));
	publish(0, NULL);
	kafka.queues[0].hollow = 1;
	pass(10000);
	world_expect(*state, "tasks 0@0", "watch a s 1500", "tasks", NULL);
	kafka.queues[0].hollow = 0;
	publish(0, TASK("b", START));
	pass(2000);
	world_expect(*state, "tasks 0@1", "watch b s 1500", "tasks", NULL);
}

static void a_record_waits_until_its_group_has_committed_it(void **state)
{
	struct scheduler *s = world_scheduler(*state);

	publish(0, TASK("a", START));
	pass(2000);
	assert_true(watch_is_waiting(s, BYTES_LIT(TOPIC ":0:0")));
	assert_false(watch_has_passed(s, BYTES_LIT(TOPIC ":0:0")));
	kafka.queues[0].committed = 1;
	pass(2000);
	assert_false(watch_is_waiting(s, BYTES_LIT(TOPIC ":0:0")));
	assert_true(watch_has_passed(s, BYTES_LIT(TOPIC ":0:0")));
}

static void what_is_not_known_of_a_record_is_asked_for(void **state)
{
	struct scheduler *s = world_scheduler(*state);

	pass(5000);
	publish(1, TASK("a", START));
	/* The committed offset was asked for long ago. */
	assert_false(watch_is_waiting(s, BYTES_LIT(TOPIC ":1:0")));
	assert_false(watch_has_passed(s, BYTES_LIT(TOPIC ":1:0")));
	pass(50);
	assert_true(watch_is_waiting(s, BYTES_LIT(TOPIC ":1:0")));
}

static void places_that_are_none_are_neither_waiting_nor_known(void **state)
{
	struct scheduler *s = world_scheduler(*state);
	const char *const places[] = {"",         ":",         "0:0",        TOPIC,
				      TOPIC ":0", TOPIC ":0:", TOPIC ":7:0", TOPIC ":0:99999999999999999999"};

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		assert_false(watch_is_waiting(s, bytes_of(places[i])));
	assert_true(watch_has_passed(s, BYTES_LIT("t.tasks.deleted:0:0")));
}

static void a_queue_may_be_deleted_and_made_again(void **state)
{
	struct world *world = *state;

	publish(0, TASK("a", START));
	pass(2000);
	kafka.is_there = false;
	pass(4000);
	assert_true(watch_has_passed(world_scheduler(world), BYTES_LIT(TOPIC ":0:0")));
	kafka.queues[0].end = 0;
	kafka.is_there = true;
	publish(0, TASK("b", START));
	world_forget(world);
	pass(5000);
	world_expect(world, "tasks 0@0", "watch b s 1500", "tasks", NULL);
}

static void look_for(const char *key)
{
	struct scheduler *s = world_scheduler(kafka.world);

	watch_look_for(s, &s->shards[0], bytes_of(key));
}

static void marked(const char *run, bool terminate)
{
	kafka.view = (struct task_view){.state = VIEW_MARKED,
					.run_id = bytes_of(run),
					.cancel_requested = true,
					.terminate_requested = terminate,
					.shard_ready = true};
}

static void a_canceled_task_is_found_among_those_that_wait(void **state)
{
	publish(0, TASK("a", ""));
	publish(1, TASK("b", ""));
	publish(1, TASK("c", ""));
	pass(2000);
	world_forget(*state);
	marked("", false);
	look_for("c");
	look_for("c");
	pass(100);
	world_expect(*state, "tasks 0@0 1@0", "tasks", "view c", "end c cancel " TOPIC ":1:1", NULL);
	end(ENDING_DONE);
	pass(5000);
	world_expect(*state, NULL);
}

static void a_terminated_task_is_ended_as_such_and_tried_again_where_that_fails(void **state)
{
	publish(0, TASK("a", ""));
	marked("", true);
	look_for("a");
	pass(100);
	end(ENDING_AGAIN);
	world_forget(*state);
	pass(200);
	world_expect(*state, "view a", "end a terminate " TOPIC ":0:0", NULL);
	end(ENDING_STALE);
}

static void a_task_that_comes_later_is_found_for_a_minute(void **state)
{
	marked("", false);
	look_for("a");
	pass(30000);
	publish(1, TASK("a", ""));
	pass(2000);
	assert_true(world_did(*state, "end a cancel " TOPIC ":1:0"));
	end(ENDING_DONE);
	look_for("b");
	pass(61000);
	world_forget(*state);
	publish(1, TASK("b", ""));
	pass(2000);
	world_expect(*state, "tasks 1@1", "tasks", NULL);
}

static void a_command_that_is_not_applied_yet_is_waited_for(void **state)
{
	publish(0, TASK("a", ""));
	kafka.view = (struct task_view){.state = VIEW_NONE};
	look_for("a");
	pass(250);
	assert_true(world_did(*state, "view a"));
	marked("", false);
	pass(150);
	assert_true(world_did(*state, "end a cancel " TOPIC ":0:0"));
	end(ENDING_DONE);
}

static void a_command_for_another_run_does_not_end_this_one(void **state)
{
	publish(0, TASK("a", ",\"run_id\":\"one\""));
	publish(0, TASK("a", ",\"run_id\":\"two\""));
	marked("two", false);
	look_for("a");
	pass(1000);
	world_expect(*state, "tasks 0@0", "tasks", "view a", "tasks 0@0", "tasks", "view a", "end a cancel " TOPIC ":0:1", NULL);
	end(ENDING_DONE);
}

static void a_task_that_a_worker_has_taken_meanwhile_is_left_to_it(void **state)
{
	publish(0, TASK("a", ""));
	kafka.view = (struct task_view){.state = VIEW_STARTED};
	look_for("a");
	pass(1000);
	world_expect(*state, "tasks 0@0", "tasks", "view a", NULL);
}

int main(void)
{
#define t(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		t(a_record_that_waits_is_armed_once),
		t(a_queue_that_drains_is_not_read),
		t(what_is_committed_meanwhile_is_passed_over),
		t(a_record_that_has_not_waited_is_not_read),
		t(an_idle_system_asks_twice_a_second_and_reads_nothing),
		t(deadlines_count_from_where_they_should),
		t(records_come_in_batches),
		t(what_could_not_be_armed_is_read_again_after_a_while),
		t(after_a_loss_of_redis_what_is_not_committed_is_read_again),
		t(nothing_is_read_while_a_shard_recovers),
		t(who_owns_no_shard_asks_and_reads_nothing),
		t(last_offsets_without_a_record_are_not_waited_for_without_an_end),
		t(a_record_waits_until_its_group_has_committed_it),
		t(what_is_not_known_of_a_record_is_asked_for),
		t(places_that_are_none_are_neither_waiting_nor_known),
		t(a_queue_may_be_deleted_and_made_again),
		t(a_canceled_task_is_found_among_those_that_wait),
		t(a_terminated_task_is_ended_as_such_and_tried_again_where_that_fails),
		t(a_task_that_comes_later_is_found_for_a_minute),
		t(a_command_that_is_not_applied_yet_is_waited_for),
		t(a_command_for_another_run_does_not_end_this_one),
		t(a_task_that_a_worker_has_taken_meanwhile_is_left_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
