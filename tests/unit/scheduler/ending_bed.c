/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scheduler/ending_bed.h"

enum ending_records ending_records;

bool __wrap_watch_is_waiting(struct scheduler *s, struct bytes place);
bool __wrap_watch_is_waiting(struct scheduler *s, struct bytes place)
{
	(void)s;
	(void)place;
	return ending_records == WAITING;
}

bool __wrap_watch_has_passed(struct scheduler *s, struct bytes place);
bool __wrap_watch_has_passed(struct scheduler *s, struct bytes place)
{
	(void)s;
	(void)place;
	return ending_records == PASSED;
}

int ending_setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	ending_records = NOT_KNOWN;
	bed->world = world_new();
	world_silence(bed->world, "orphans due sweep look tip tips expire commit ends fire fetch seek apply");
	world_marker(bed->world, SHARD_READY, "nonce");
	world_stored(bed->world, 0, 0);
	world_assign(bed->world);
	world_settle(bed->world);
	world_forget(bed->world);
	*state = bed;
	return 0;
}

int ending_teardown(void **state)
{
	struct bed *bed = *state;

	world_free(bed->world);
	arena_deinit(&bed->arena);
	free(bed);
	return 0;
}

/* Attempt 2 of task a, after an attempt that failed with Boom; its journal record carries `task`. */
void ending_started(struct bed *bed, const char *task)
{
	struct attempt_failure failure = {.attempt = 1, .started_at_ms = 1, .failed_at_ms = 2};
	struct journal_record record;

	journal_record_init(&record);
	failure_init(&failure.failure);
	failure.failure.type = BYTES_LIT("Boom");
	record.kind = JOURNAL_STARTED;
	record.task_key = record.task_record_key = BYTES_LIT("a");
	record.run_id = BYTES_LIT("run");
	record.attempt = 2;
	record.record_id = BYTES_LIT("t.tasks.default:0:7");
	record.topic = BYTES_LIT("t.tasks.default");
	record.task = bytes_of(task);
	record.headers = (struct headers){(const struct header[]){{BYTES_LIT("tenant"), BYTES_LIT("t1")}}, 1};
	record.scheduled_at_ms = 5;
	record.failures = &failure;
	record.n_failures = 1;
	record.worker = BYTES_LIT("w1");
	record.nonce = BYTES_LIT("n1");
	record.started_at_ms = 10;
	bed->found = (struct found_task){
		.key = BYTES_LIT("a"),
		.view = {.state = VIEW_STARTED,
			 .run_id = BYTES_LIT("run"),
			 .attempt = 2,
			 .nonce = BYTES_LIT("n1"),
			 .worker = BYTES_LIT("w1"),
			 .started_at_ms = 10,
			 .journal_offset = world_journal(bed->world, &record),
			 .parked = true,
			 .heartbeat = {.data = BYTES_LIT("\"half\""), .content_type = BYTES_LIT(PAYLOAD_JSON)}}};
	world_settle(bed->world);
	world_forget(bed->world);
}

void ending_pending(struct bed *bed, const char *task)
{
	ending_started(bed, task);
	bed->found.view.worker = BYTES_LIT("");
}

void ending_told(void *ctx, struct shard *shard, enum ending_end end)
{
	struct told *told = ctx;

	(void)shard;
	told->times++;
	told->end = end;
}

void ending_ask(struct bed *bed, struct ending_request request)
{
	request.found = bed->found;
	request.done = ending_told;
	request.ctx = &bed->told;
	ending_begin(&world_scheduler(bed->world)->shards[0], &request);
	world_settle(bed->world);
}

/* Once each turn, as the loop finds it. */
void ending_lost(struct bed *bed)
{
	world_orphan(bed->world, &bed->found, "");
	world_pass(bed->world, 500);
}

struct journal_record ending_written(struct bed *bed)
{
	struct journal_record record;

	assert_int_equal(
		wire_decode_journal(world_wire(bed->world), world_bytes(bed->world, "journal"), &bed->arena, &record, &bed->err),
		MR_OK);
	return record;
}

struct result ending_published(struct bed *bed)
{
	struct result result;

	assert_int_equal(
		wire_decode_result(world_wire(bed->world), world_bytes(bed->world, "results"), &bed->arena, &result, &bed->err),
		MR_OK);
	return result;
}
