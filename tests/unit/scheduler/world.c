/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/world_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"

#define START_MS 1000000

static uint64_t draw(void *ctx)
{
	struct world *world = ctx;

	return ++world->drawn;
}

struct world *world_new(void)
{
	return world_new_of(1);
}

struct world *world_new_of(int shards)
{
	struct world *world = mem_alloc(sizeof(*world));
	struct scheduler_config config = {.prefix = WORLD_PREFIX,
					  .shards = shards,
					  .lease_ms = LEASE_MS,
					  .retention_ms = 3600000,
					  .purge_interval_ms = 60000,
					  .random = draw,
					  .ctx = world};

	log_setup("test", LOG_ERROR, LOG_TEXT);
	world->logs[LOG_JOURNAL].topic = WORLD_PREFIX "journal";
	world->logs[LOG_RESULTS].topic = WORLD_PREFIX "results";
	world->logs[LOG_CONTROL].topic = WORLD_PREFIX "control";
	world->logs[LOG_TASKS].topic = WORLD_PREFIX "tasks.default";
	world->orphans_next = "";
	world->now_us = START_MS * 1000;
	world->marker = SHARD_UNKNOWN;
	world->journal_offset = world->results_tip = world->control_offset = -1;
	world->control_sought = INT64_MIN;
	world->view = (struct task_view){.state = VIEW_NONE, .journal_offset = -1, .shard_ready = true};
	world->verdict = APPLY_DONE;
	world->silenced = "";
	assert_int_equal(wire_new(&world->wire, NULL), MR_OK);
	assert_int_equal(scheduler_new(&config, &world->scheduler, NULL), MR_OK);
	fake_bus_init(&world->bus, world, false);
	fake_bus_init(&world->fetch, world, true);
	scheduler_attach(world->scheduler, &(struct scheduler_links){.bus = &world->bus.bus,
								     .fetch = &world->fetch.bus,
								     .store = (struct store *)(void *)world,
								     .redis = &fake_redis,
								     .wire = world->wire});
	return world;
}

void world_free(struct world *world)
{
	scheduler_detach(world->scheduler);
	world_ack(world, MR_OK);
	while (world_answer(world))
		continue;
	scheduler_free(world->scheduler);
	wire_free(world->wire);
	arena_deinit(&world->arena);
	for (size_t i = 0; i < LINES_MAX; i++)
		buf_deinit(&world->lines[i]);
	free(world);
}

struct scheduler *world_scheduler(struct world *world)
{
	return world->scheduler;
}

void world_turn(struct world *world, int64_t advance_ms)
{
	world->now_us += advance_ms * 1000;
	world->deadline_us = scheduler_turn(world->scheduler, 0, world->now_us);
}

static bool happens(struct world *world)
{
	bool any = false;

	while (!world->hold_answers && world_answer(world))
		any = true;
	if (!world->hold_ends && world_answer_ends(world))
		any = true;
	return any;
}

void world_settle(struct world *world)
{
	for (int i = 0; i < 100; i++) {
		size_t notes = world->n_notes;

		world_turn(world, 0);
		if (!happens(world) && notes == world->n_notes)
			return;
	}
	fail_msg("it does not come to rest");
}

void world_pass(struct world *world, int64_t ms)
{
	for (int64_t passed = 0; passed < ms; passed += 100) {
		world->now_us += 100000;
		world_settle(world);
	}
}

int64_t world_now_ms(const struct world *world)
{
	return world->now_us / 1000;
}

int64_t world_wakes_in_ms(struct world *world)
{
	return (world->deadline_us - world->now_us) / 1000;
}

/* Kafka's logs */

static int64_t append(struct world *world, int log, const char *key, struct bytes value)
{
	struct fake_log *l = &world->logs[log];

	assert_true(l->end < LOG_MAX);
	l->records[l->end] = (struct fake_record){.key = arena_copy(&world->arena, bytes_of(key)),
						  .value = arena_copy(&world->arena, value)};
	return l->end++;
}

static int64_t append_journal(struct world *world, const struct journal_record *record)
{
	struct buf out = {0};
	int64_t offset;

	wire_encode_journal(world->wire, record, &out);
	offset = append(world, LOG_JOURNAL, record->task_key.data, buf_bytes(&out));
	buf_deinit(&out);
	return offset;
}

int64_t world_backoff(struct world *world, const char *key, int64_t attempt, int64_t due_in_ms)
{
	static const struct header headers[] = {{{"tenant", 6}, {"t1", 2}}};
	struct attempt_failure failure = {.attempt = attempt - 1, .started_at_ms = 1, .failed_at_ms = 2};
	struct journal_record record;

	journal_record_init(&record);
	failure_init(&failure.failure);
	failure.failure.type = BYTES_LIT("Boom");
	record.kind = due_in_ms < 0 ? JOURNAL_STARTED : JOURNAL_BACKOFF;
	record.task_key = bytes_of(key);
	record.run_id = BYTES_LIT("run");
	record.attempt = attempt;
	record.due_at_ms = due_in_ms < 0 ? TASK_UNSET : world_now_ms(world) + due_in_ms;
	record.record_id = BYTES_LIT("t.tasks.default:0:7");
	record.topic = BYTES_LIT("t.tasks.default");
	record.task = BYTES_LIT("{\"activity_type\":\"x\"}");
	record.headers = (struct headers){headers, 1};
	record.task_record_key = bytes_of(key);
	record.scheduled_at_ms = 5;
	record.failures = &failure;
	record.n_failures = 1;
	record.heartbeat_details = (struct payload){
		.data = BYTES_LIT("half"), .content_type = BYTES_LIT("text/plain"), .encoding = BYTES_LIT("gzip")};
	return append_journal(world, &record);
}

int64_t world_checkpoint(struct world *world, int64_t control_offset)
{
	struct journal_record record;

	journal_record_init(&record);
	record.kind = JOURNAL_CHECKPOINT;
	record.task_key = BYTES_LIT("checkpoint");
	record.control_offset = control_offset;
	return append_journal(world, &record);
}

int64_t world_journal_bytes(struct world *world, const char *key, struct bytes value)
{
	return append(world, LOG_JOURNAL, key, value);
}

int64_t world_journal(struct world *world, const struct journal_record *record)
{
	return append_journal(world, record);
}

int64_t world_task(struct world *world, const char *json, const struct header *headers, size_t n)
{
	int64_t offset = append(world, LOG_TASKS, "k", bytes_of(json));

	world->logs[LOG_TASKS].records[offset].headers = (struct headers){headers, n};
	return offset;
}

int64_t world_journal_raw(struct world *world, const char *key, const char *value)
{
	return append(world, LOG_JOURNAL, key, value ? bytes_of(value) : BYTES_NONE);
}

int64_t world_result(struct world *world, const char *key)
{
	struct result result;
	struct buf out = {0};
	int64_t offset;

	result_init(&result);
	result.format = TASK_JSON;
	result.task_key = result.activity_id = bytes_of(key);
	result.run_id = BYTES_LIT("run");
	result.activity_type = BYTES_LIT("x");
	result.queue = BYTES_LIT("default");
	result.status = RESULT_COMPLETED;
	result.attempt = 1;
	result.scheduled_at_ms = result.started_at_ms = 5;
	result.closed_at_ms = world_now_ms(world);
	result.result_id = BYTES_LIT("id");
	result.worker = BYTES_LIT("w");
	wire_encode_result(world->wire, &result, &out);
	offset = append(world, LOG_RESULTS, key, buf_bytes(&out));
	buf_deinit(&out);
	return offset;
}

int64_t world_result_not_state(struct world *world, const char *key)
{
	static const struct header headers[] = {{{HEADER_NOT_STATE, sizeof(HEADER_NOT_STATE) - 1}, {"1", 1}}};
	int64_t offset = world_result(world, key);

	world->logs[LOG_RESULTS].records[offset].headers = (struct headers){headers, 1};
	return offset;
}

int64_t world_control(struct world *world, const char *json)
{
	return append(world, LOG_CONTROL, "k", bytes_of(json));
}

void world_compact(struct world *world, const char *topic, int64_t offset)
{
	for (int i = 0; i < LOGS; i++) {
		if (strcmp(world->logs[i].topic + strlen(WORLD_PREFIX), topic) == 0)
			world->logs[i].records[offset].gone = true;
	}
}

/* What Redis knows */

void world_marker(struct world *world, enum shard_state state, const char *nonce)
{
	world->marker = state;
	assert_true(strlen(nonce) < sizeof(world->nonce));
	strcpy(world->nonce, nonce);
}

const char *world_marker_nonce(const struct world *world)
{
	return world->nonce;
}

void world_stored(struct world *world, int64_t journal_offset, int64_t results_tip)
{
	world->journal_offset = journal_offset;
	world->results_tip = results_tip;
}

void world_stored_control(struct world *world, int64_t control_offset)
{
	world->control_offset = control_offset;
}

int64_t world_vouched_control(const struct world *world)
{
	return world->control_offset;
}

void world_view(struct world *world, const struct task_view *view)
{
	world->view = *view;
}

static struct fake_lease *lease_of(struct world *world, const char *worker)
{
	for (size_t i = 0; i < 4; i++) {
		struct fake_lease *lease = &world->leases[i];

		if (!lease->worker[0] || strcmp(lease->worker, worker) == 0)
			return lease;
	}
	fail_msg("too many workers");
	return NULL;
}

void world_lease(struct world *world, const char *worker, const char *seen, bool alive)
{
	struct fake_lease *lease = lease_of(world, worker);

	assert_true(strlen(worker) < sizeof(lease->worker) && strlen(seen) < sizeof(lease->seen));
	strcpy(lease->worker, worker);
	strcpy(lease->seen, seen);
	lease->alive = alive;
	lease->there = true;
}

void world_lease_gone(struct world *world, const char *worker)
{
	lease_of(world, worker)->there = false;
}

void world_conflict(struct world *world, const char *call)
{
	world->conflict = call;
}

void world_apply_answers(struct world *world, enum apply_verdict verdict)
{
	world->verdict = verdict;
}

void world_unseen_expires(struct world *world, const char *key)
{
	world->unseen = key;
}

void world_due(struct world *world, const char *key, int64_t attempt, int64_t journal_offset)
{
	assert_true(world->n_due < 8);
	world->due[world->n_due++] = (struct fired){.key = bytes_of(key),
						    .run_id = BYTES_LIT("run"),
						    .attempt = attempt,
						    .due_ms = world_now_ms(world),
						    .journal_offset = journal_offset,
						    .replies = BYTES_LIT("")};
}

void world_ahead(struct world *world, int64_t journal_offset, int64_t due_in_ms)
{
	assert_true(world->n_ahead < 8);
	world->ahead[world->n_ahead++] = (struct ahead){.journal_offset = journal_offset,
							.due_ms = world_now_ms(world) + due_in_ms};
}

size_t world_looked_ahead(const struct world *world)
{
	return world->looked_ahead;
}

void world_due_options(struct world *world, const char *key, int64_t attempt, int64_t journal_offset, const char *options)
{
	world_due(world, key, attempt, journal_offset);
	world->due[world->n_due - 1].options = bytes_of(options);
}

void world_outbox_attempt(struct world *world, const char *key, int64_t attempt, int64_t journal_offset)
{
	world->outbox = (struct fake_outbox){.key = key, .attempt = attempt, .journal_offset = journal_offset};
}

void world_outbox_result(struct world *world, const char *key, const char *value, const char *reply_topic, const char *replies)
{
	world->outbox = (struct fake_outbox){
		.key = key, .attempt = 1, .finished = true, .value = value, .reply_topic = reply_topic, .replies = replies};
}

void world_orphan(struct world *world, const struct found_task *found, const char *next)
{
	world->orphan = found;
	world->orphans_next = next;
}

void world_timer(struct world *world, const struct due_timer *timer)
{
	world->timer = timer;
}

void world_apply_ends(struct world *world, const struct found_task *found)
{
	world->verdict = APPLY_END;
	world->apply_end = found;
}

void world_sweep_ends(struct world *world, const struct found_task *found)
{
	world->sweep_end = found;
}

void world_finish_answers(struct world *world, enum finish_verdict verdict)
{
	world->finish = verdict;
}

struct bytes world_finish_claim_nonce(const struct world *world)
{
	return world->finish_claim_nonce;
}

struct bytes world_finish_end_nonce(const struct world *world)
{
	return world->finish_end_nonce;
}

struct wire *world_wire(struct world *world)
{
	return world->wire;
}

void world_hold_answers(struct world *world, bool hold)
{
	world->hold_answers = hold;
}

void world_redis_lost(struct world *world)
{
	struct store_callbacks callbacks = scheduler_store_callbacks(world->scheduler);

	world->hold_answers = true;
	callbacks.health(callbacks.ctx, MR_EREDIS, "gone");
}

void world_redis_back(struct world *world)
{
	struct store_callbacks callbacks = scheduler_store_callbacks(world->scheduler);

	world->hold_answers = false;
	callbacks.health(callbacks.ctx, MR_OK, "back");
}

/* The trace */

static bool is_silenced(const struct world *world, const char *line)
{
	size_t len = strcspn(line, " ");

	for (const char *word = world->silenced; *word; word += strcspn(word, " "), word += *word == ' ') {
		if (strcspn(word, " ") == len && strncmp(word, line, len) == 0)
			return true;
	}
	return false;
}

void world_note(struct world *world, const char *format, ...)
{
	struct buf *line = &world->lines[world->n_lines];
	va_list args;

	assert_true(world->n_lines < LINES_MAX);
	buf_reset(line);
	va_start(args, format);
	buf_vprintf(line, format, args);
	va_end(args);
	world->n_notes++;
	if (!is_silenced(world, buf_cstr(line)))
		world->n_lines++;
}

void world_expect(struct world *world, ...)
{
	struct buf expected = {0}, got = {0};
	const char *line;
	va_list args;

	va_start(args, world);
	while ((line = va_arg(args, const char *)))
		buf_printf(&expected, "%s\n", line);
	va_end(args);
	for (size_t i = 0; i < world->n_lines; i++)
		buf_printf(&got, "%s\n", buf_cstr(&world->lines[i]));
	assert_string_equal(buf_cstr(&got), buf_cstr(&expected));
	buf_deinit(&expected);
	buf_deinit(&got);
	world->n_lines = 0;
}

void world_silence(struct world *world, const char *words)
{
	world->silenced = words;
}

void world_forget(struct world *world)
{
	world->n_lines = 0;
}

bool world_did(struct world *world, const char *line)
{
	for (size_t i = 0; i < world->n_lines; i++) {
		if (strcmp(buf_cstr(&world->lines[i]), line) == 0)
			return true;
	}
	return false;
}
