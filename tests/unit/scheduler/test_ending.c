/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/core.h"
#include "lib/ending.h"
#include "scheduler/world.h"

/* Attempts and tasks that are ended by the scheduler. Kafka and Redis answer when the test lets them. */

#define TASK "{\"activity_type\":\"x\"}"
#define TASK_KEPT "{\"activity_type\":\"x\",\"activity_id\":\"a\",\"workflow_id\":\"w\",\"reply_topic\":\"t.replies\"}"
#define TASK_LAST "{\"activity_type\":\"x\",\"heartbeat_timeout_ms\":700,\"retry_policy\":{\"maximum_attempts\":2}}"
#define TASK_FRAIL "{\"activity_type\":\"x\",\"retry_policy\":{\"non_retryable_error_types\":[\"WorkerLost\"]}}"
#define TASK_TIMED "{\"activity_type\":\"x\",\"schedule_to_close_timeout_ms\":2000000,\"start_to_close_timeout_ms\":500}"

/* How the last ending ended. */
struct told {
	size_t times;
	enum ending_end end;
};

struct bed {
	struct world *world;
	struct found_task found;
	struct due_timer timer;
	struct told told;
	struct arena arena;
	struct mr_error err;
};

/* What the watch knows of every record; the core's own is not asked. */
static enum { NOT_KNOWN, WAITING, PASSED } records;

bool __wrap_watch_is_waiting(struct scheduler *s, struct bytes place);
bool __wrap_watch_is_waiting(struct scheduler *s, struct bytes place)
{
	(void)s;
	(void)place;
	return records == WAITING;
}

bool __wrap_watch_has_passed(struct scheduler *s, struct bytes place);
bool __wrap_watch_has_passed(struct scheduler *s, struct bytes place)
{
	(void)s;
	(void)place;
	return records == PASSED;
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	records = NOT_KNOWN;
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

static int teardown(void **state)
{
	struct bed *bed = *state;

	world_free(bed->world);
	arena_deinit(&bed->arena);
	free(bed);
	return 0;
}

/* Attempt 2 of task a, after an attempt that failed with Boom; its journal record carries `task`. */
static void started(struct bed *bed, const char *task)
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

static void on_end(void *ctx, struct shard *shard, enum ending_end end)
{
	struct told *told = ctx;

	(void)shard;
	told->times++;
	told->end = end;
}

static void begin(struct bed *bed, struct ending_request request)
{
	request.found = bed->found;
	request.done = on_end;
	request.ctx = &bed->told;
	ending_begin(&world_scheduler(bed->world)->shards[0], &request);
	world_settle(bed->world);
}

/* Once each turn, as the loop finds it. */
static void lost(struct bed *bed)
{
	world_orphan(bed->world, &bed->found, "");
	world_pass(bed->world, 500);
}

static struct journal_record written(struct bed *bed)
{
	struct journal_record record;

	assert_int_equal(
		wire_decode_journal(world_wire(bed->world), world_bytes(bed->world, "journal"), &bed->arena, &record, &bed->err),
		MR_OK);
	return record;
}

static struct result published(struct bed *bed)
{
	struct result result;

	assert_int_equal(
		wire_decode_result(world_wire(bed->world), world_bytes(bed->world, "results"), &bed->arena, &result, &bed->err),
		MR_OK);
	return result;
}

/* Lost workers ------------------------------------------------------------------------------------------------------------ */

static void after_a_first_loss_the_next_attempt_is_due_at_once(void **state)
{
	struct bed *bed = *state;
	struct journal_record record;

	started(bed, TASK);
	lost(bed);
	world_expect(bed->world, "produce journal a", NULL);
	record = written(bed);
	assert_int_equal(record.kind, JOURNAL_BACKOFF);
	assert_int_equal(record.attempt, 3);
	assert_int_equal(record.lost, 1);
	assert_true(record.due_at_ms <= world_now_ms(bed->world) && record.due_at_ms > world_now_ms(bed->world) - 500);
	assert_true(bytes_is(record.task, TASK) && bytes_is(record.topic, "t.tasks.default") &&
		    bytes_is(record.task_record_key, "a"));
	assert_int_equal(record.scheduled_at_ms, 5);
	assert_int_equal(record.headers.len, 1);
	assert_true(bytes_is(record.heartbeat_details.data, "\"half\""));
	assert_int_equal(record.n_failures, 2);
	assert_true(bytes_is(record.failures[1].failure.type, "WorkerLost"));
	assert_int_equal(record.failures[1].attempt, 2);
	assert_int_equal(record.failures[1].started_at_ms, 10);
}

static void after_further_losses_the_policy_says_when(void **state)
{
	struct bed *bed = *state;
	struct journal_record record;
	int64_t before_ms;

	started(bed, TASK);
	bed->found.view.lost = 1;
	before_ms = world_now_ms(bed->world);
	lost(bed);
	record = written(bed);
	assert_int_equal(record.lost, 2);
	assert_in_range(record.due_at_ms, before_ms + 2000, before_ms + 2500);
}

static void a_retry_that_is_refused_at_once_has_its_record_read_again(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	world_kafka_refuses(bed->world, MR_ETOO_LARGE);
	lost(bed);
	assert_true(world_did(bed->world, "finish a FAILED"));
	assert_true(bytes_is(published(bed).failure->type, "TooLarge"));
}

static void a_loss_that_may_not_be_retried_fails_the_task(void **state)
{
	struct bed *bed = *state;
	struct result result;

	started(bed, TASK_FRAIL);
	lost(bed);
	world_expect(bed->world, "finish a FAILED", "produce results a", NULL);
	assert_true(bytes_is(world_finish_claim_nonce(bed->world), "n1"));
	assert_string_equal(world_header(bed->world, "results", "tenant"), "t1");
	result = published(bed);
	assert_int_equal(result.format, TASK_JSON);
	assert_true(bytes_is(result.failure->type, "WorkerLost"));
	assert_int_equal(result.retry_state, RETRY_STATE_NON_RETRYABLE_FAILURE);
	assert_true(bytes_equal(result.result_id, world_finish_end_nonce(bed->world)) && result.result_id.len == 32);
	assert_true(bytes_is(result.worker, "w1") && bytes_is(result.queue, "default"));
	assert_true(bytes_is(result.last_heartbeat_details.data, "\"half\""));
	assert_int_equal(result.started_at_ms, 10);
	world_ack(bed->world, MR_OK);
	world_settle(bed->world);
	world_expect(bed->world, "tombstone a", "tombstone a\nh", "tombstone a\nc", "published a", NULL);
}

static void a_lost_attempt_that_was_to_be_canceled_is_canceled(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	bed->found.view.cancel_requested = true;
	lost(bed);
	world_expect(bed->world, "finish a CANCELED", "produce results a", NULL);
}

static void a_long_walk_over_parked_attempts_goes_on_where_it_was(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	world_silence(bed->world, "due sweep look tip tips expire commit ends fire fetch seek apply");
	world_orphan(bed->world, &bed->found, "w5\tb");
	world_pass(bed->world, 500);
	world_expect(bed->world, "orphans", "orphans w5\tb", "produce journal a", NULL);
}

static void a_burial_looks_for_parked_attempts_at_once(void **state)
{
	struct bed *bed = *state;
	struct scheduler *s = world_scheduler(bed->world);

	world_silence(bed->world, "due sweep look tip tips expire commit ends fire fetch seek apply");
	world_pass(bed->world, 500);
	world_turn(bed->world, 10);
	world_settle(bed->world);
	world_forget(bed->world);
	scheduler_bury(s, "w1");
	world_turn(bed->world, 1);
	world_expect(bed->world, "bury w1", "orphans", NULL);
}

/* Timers ------------------------------------------------------------------------------------------------------------------ */

static void due(struct bed *bed, enum timer_kind kind, const char *place)
{
	bed->timer = (struct due_timer){.kind = kind,
					.due_ms = world_now_ms(bed->world),
					.place = bytes_of(place),
					.run_id = BYTES_LIT("run"),
					.attempt = 2,
					.found = bed->found};
	world_timer(bed->world, &bed->timer);
	timers_note_timeout(&world_scheduler(bed->world)->shards[0], world_now_ms(bed->world));
	world_settle(bed->world);
}

/* Redis answers for a lease period. */
static void hear(struct bed *bed)
{
	for (int ms = 0; ms < 4000; ms += 500)
		world_pass(bed->world, 500);
	world_forget(bed->world);
}

static void pending(struct bed *bed, const char *task)
{
	started(bed, task);
	bed->found.view.worker = BYTES_LIT("");
}

static void without_a_heartbeat_it_ends_with_the_last_one_and_the_last_failure(void **state)
{
	struct bed *bed = *state;
	struct result result;

	pending(bed, TASK_LAST);
	hear(bed);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, "finish a TIMED_OUT", "produce results a", NULL);
	result = published(bed);
	assert_int_equal(result.failure->timeout_type, TIMEOUT_HEARTBEAT);
	assert_true(bytes_is(result.failure->message, "the attempt gave no heartbeat for 700 ms"));
	assert_true(bytes_is(result.failure->cause->type, "Boom"));
	assert_int_equal(result.retry_state, RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED);
	assert_true(bytes_is(result.last_heartbeat_details.data, "\"half\""));
}

static void silence_while_redis_was_away_is_none(void **state)
{
	struct bed *bed = *state;

	pending(bed, TASK_LAST);
	hear(bed);
	world_turn(bed->world, 5000);
	world_forget(bed->world);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, NULL);
}

static void silence_while_kafka_was_away_is_none(void **state)
{
	struct bed *bed = *state;
	struct bus_callbacks callbacks = scheduler_bus_callbacks(world_scheduler(bed->world));

	pending(bed, TASK_LAST);
	hear(bed);
	callbacks.health(callbacks.ctx, MR_EKAFKA, "gone");
	hear(bed);
	callbacks.health(callbacks.ctx, MR_OK, "back");
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, NULL);
	hear(bed);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, "finish a TIMED_OUT", "produce results a", NULL);
}

static void silence_before_the_shard_was_ours_is_none(void **state)
{
	struct bed *bed = *state;

	pending(bed, TASK_LAST);
	hear(bed);
	world_revoke(bed->world);
	world_assign(bed->world);
	world_settle(bed->world);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, NULL);
	hear(bed);
	due(bed, TIMER_HEARTBEAT, "");
	world_expect(bed->world, "finish a TIMED_OUT", "produce results a", NULL);
}

static void the_end_of_a_pending_attempts_time_is_its_start_to_close(void **state)
{
	struct bed *bed = *state;
	struct journal_record record;

	pending(bed, TASK_TIMED);
	due(bed, TIMER_CLOSE, "");
	record = written(bed);
	assert_int_equal(record.attempt, 3);
	assert_int_equal(record.lost, 0);
	assert_int_equal(record.failures[1].failure.timeout_type, TIMEOUT_START_TO_CLOSE);
	assert_int_equal(record.close_at_ms, 5 + 2000000);
	assert_in_range(record.due_at_ms, world_now_ms(bed->world) + 2000, world_now_ms(bed->world) + 2100);
}

static void the_end_of_all_its_time_closes_a_pending_attempt(void **state)
{
	struct bed *bed = *state;

	pending(bed, "{\"activity_type\":\"x\",\"schedule_to_close_timeout_ms\":1000}");
	due(bed, TIMER_CLOSE, "");
	world_expect(bed->world, "finish a TIMED_OUT", "produce results a", NULL);
	assert_int_equal(published(bed).failure->timeout_type, TIMEOUT_SCHEDULE_TO_CLOSE);
	assert_int_equal(published(bed).retry_state, RETRY_STATE_TIMEOUT);
}

static void scheduled(struct bed *bed, const char *run)
{
	bed->found = (struct found_task){
		.key = BYTES_LIT("w/a"),
		.view = {.state = VIEW_SCHEDULED, .run_id = bytes_of(run), .attempt = 1, .journal_offset = -1}};
}

static void a_task_record_that_waited_too_long_is_ended_by_its_place(void **state)
{
	static const struct header headers[] = {{{"tenant", 6}, {"t1", 2}}};
	struct bed *bed = *state;
	struct result result;

	scheduled(bed, "t.tasks.default:0:1");
	world_task(bed->world, TASK, NULL, 0);
	world_task(bed->world, TASK_KEPT, headers, 1);
	due(bed, TIMER_SCHEDULE_TO_START, "t.tasks.default:0:1");
	world_expect(bed->world, NULL);
	records = WAITING;
	due(bed, TIMER_SCHEDULE_TO_START, "t.tasks.default:0:1");
	world_expect(bed->world, "finish w/a TIMED_OUT", "produce results w/a", "produce replies w", NULL);
	assert_string_equal(world_header(bed->world, "results", "tenant"), "t1");
	result = published(bed);
	assert_int_equal(result.failure->timeout_type, TIMEOUT_SCHEDULE_TO_START);
	assert_true(bytes_is(result.workflow_id, "w") && bytes_is(result.activity_id, "a") && bytes_is(result.queue, "default"));
	assert_int_equal(result.scheduled_at_ms, 1);
	assert_int_equal(result.started_at_ms, TASK_UNSET);
	assert_int_equal(result.attempt, 1);
	assert_false(bytes_present(result.worker));
	assert_int_equal(world_finish_claim_nonce(bed->world).len, 32);
}

static void the_time_of_a_record_that_was_taken_and_held_back_is_forgotten(void **state)
{
	struct bed *bed = *state;

	scheduled(bed, "t.tasks.default:0:0");
	world_task(bed->world, TASK_KEPT, NULL, 0);
	records = PASSED;
	due(bed, TIMER_SCHEDULE_TO_START, "t.tasks.default:0:0");
	assert_true(world_did(bed->world, "unwatch w/a 1000000"));
}

static void a_task_whose_time_was_made_longer_is_not_ended_at_the_former_time(void **state)
{
	struct bed *bed = *state;

	scheduled(bed, "t.tasks.default:0:0");
	world_task(bed->world, TASK_KEPT, NULL, 0);
	bed->found.view.options = BYTES_LIT("{\"schedule_to_close_timeout_ms\":86400000}");
	due(bed, TIMER_CLOSE, "t.tasks.default:0:0");
	world_expect(bed->world, NULL);
}

static void a_record_of_another_task_ends_nothing(void **state)
{
	struct bed *bed = *state;

	scheduled(bed, "another run");
	records = WAITING;
	world_task(bed->world, TASK_KEPT, NULL, 0);
	due(bed, TIMER_SCHEDULE_TO_START, "t.tasks.default:0:0");
	world_expect(bed->world, NULL);
}

static void a_record_that_is_gone_ends_nothing(void **state)
{
	struct bed *bed = *state;

	scheduled(bed, "t.tasks.default:0:0");
	world_task(bed->world, TASK_KEPT, NULL, 0);
	world_task(bed->world, TASK_KEPT, NULL, 0);
	world_compact(bed->world, "tasks.default", 0);
	begin(bed, (struct ending_request){.cause = ENDING_CANCEL, .place = BYTES_LIT("t.tasks.default:0:0")});
	world_expect(bed->world, NULL);
	assert_int_equal(bed->told.end, ENDING_STALE);
}

static void a_timer_without_a_task_is_forgotten(void **state)
{
	struct bed *bed = *state;

	bed->found = (struct found_task){.key = BYTES_LIT("a"), .view = {.state = VIEW_NONE, .journal_offset = -1}};
	due(bed, TIMER_CLOSE, "");
	assert_true(world_did(bed->world, "unwatch a 1000000"));
}

static void a_task_that_nobody_knows_is_not_ended_while_its_record_may_be_settled(void **state)
{
	struct bed *bed = *state;

	bed->found = (struct found_task){.key = BYTES_LIT("w/a"), .view = {.state = VIEW_NONE, .journal_offset = -1}};
	world_task(bed->world, TASK_KEPT, NULL, 0);
	due(bed, TIMER_CLOSE, "t.tasks.default:0:0");
	world_expect(bed->world, NULL);
}

/* Commands ---------------------------------------------------------------------------------------------------------------- */

static void what_a_command_wants_ended_is_ended_when_it_is_applied(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	bed->found.view.state = VIEW_BACKING_OFF;
	bed->found.view.cancel_requested = true;
	world_apply_ends(bed->world, &bed->found);
	world_backoff(bed->world, "a", 2, 60000);
	world_settle(bed->world);
	world_expect(bed->world, "finish a CANCELED", "produce results a", NULL);
	assert_int_equal(published(bed).retry_state, RETRY_STATE_CANCEL_REQUESTED);
	assert_int_equal(published(bed).started_at_ms, 1);
}

static void what_was_not_ended_then_is_found_by_the_sweep(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	bed->found.view.cancel_requested = bed->found.view.terminate_requested = true;
	world_sweep_ends(bed->world, &bed->found);
	world_pass(bed->world, 2500);
	world_expect(bed->world, "finish a TERMINATED", "produce results a", NULL);
	assert_true(bytes_is(published(bed).failure->type, "Terminated"));
}

static void a_completion_is_done_when_kafka_has_the_result(void **state)
{
	struct bed *bed = *state;

	pending(bed, TASK);
	begin(bed, (struct ending_request){.cause = ENDING_COMPLETE,
					   .result = {.data = BYTES_LIT("42"), .content_type = BYTES_LIT(PAYLOAD_JSON)}});
	world_expect(bed->world, "finish a COMPLETED", "produce results a", NULL);
	assert_int_equal(bed->told.times, 0);
	world_ack(bed->world, MR_OK);
	assert_int_equal(bed->told.times, 1);
	assert_int_equal(bed->told.end, ENDING_DONE);
	assert_true(bytes_is(published(bed).result.data, "42"));
	assert_null(published(bed).failure);
}

static void a_failure_told_by_others_goes_by_the_policy(void **state)
{
	struct bed *bed = *state;
	struct failure failure;

	failure_init(&failure);
	failure.type = BYTES_LIT("Oops");
	pending(bed, TASK);
	begin(bed, (struct ending_request){.cause = ENDING_FAIL,
					   .failure = &failure,
					   .heartbeat = {.data = BYTES_LIT("7"), .content_type = BYTES_LIT(PAYLOAD_JSON)}});
	world_expect(bed->world, "produce journal a", NULL);
	assert_true(bytes_is(written(bed).failures[1].failure.type, "Oops"));
	assert_true(bytes_is(written(bed).heartbeat_details.data, "7"));
	assert_int_equal(bed->told.times, 0);
	world_ack(bed->world, MR_OK);
	assert_int_equal(bed->told.end, ENDING_DONE);
}

static void options_that_a_command_has_changed_decide(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	bed->found.view.options = BYTES_LIT("{\"retry_policy\":{\"maximum_attempts\":2}}");
	lost(bed);
	world_expect(bed->world, "finish a FAILED", "produce results a", NULL);
}

static void a_reset_goes_before_the_policy(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK_FRAIL);
	bed->found.view.reset_requested = true;
	lost(bed);
	world_expect(bed->world, "produce journal a", NULL);
}

/* What goes wrong --------------------------------------------------------------------------------------------------------- */

static void one_task_is_ended_once_at_a_time(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	lost(bed);
	begin(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	world_expect(bed->world, "produce journal a", NULL);
	world_ack(bed->world, MR_OK);
	begin(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	world_expect(bed->world, "finish a TERMINATED", "produce results a", NULL);
}

static void a_task_that_has_moved_on_is_left_alone(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	world_finish_answers(bed->world, FINISH_STALE);
	begin(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	world_expect(bed->world, "finish a TERMINATED", NULL);
	assert_int_equal(bed->told.end, ENDING_STALE);
	bed->found.view.state = VIEW_FINISHED;
	begin(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	world_expect(bed->world, NULL);
	assert_int_equal(bed->told.times, 2);
	assert_int_equal(bed->told.end, ENDING_STALE);
}

static void ends_are_counted(void **state)
{
	struct bed *bed = *state;
	struct scheduler_stats stats;

	started(bed, TASK);
	lost(bed);
	world_ack(bed->world, MR_OK);
	begin(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	scheduler_get_stats(world_scheduler(bed->world), &stats);
	assert_int_equal(stats.ends_retried, 1);
	assert_int_equal(stats.ends_closed, 1);
}

static void what_kafka_refused_is_to_be_tried_again(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	begin(bed, (struct ending_request){.cause = ENDING_LOST});
	world_ack(bed->world, MR_EKAFKA);
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	world_kafka_full(bed->world, true);
	begin(bed, (struct ending_request){.cause = ENDING_LOST});
	assert_int_equal(bed->told.times, 2);
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	begin(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	assert_int_equal(bed->told.times, 3);
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	world_kafka_full(bed->world, false);
	world_forget(bed->world);
	begin(bed, (struct ending_request){.cause = ENDING_TERMINATE});
	world_expect(bed->world, "finish a TERMINATED", "produce results a", NULL);
}

static void a_next_attempt_that_no_record_can_carry_fails_the_task(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	begin(bed, (struct ending_request){.cause = ENDING_LOST});
	world_forget(bed->world);
	world_ack(bed->world, MR_ETOO_LARGE);
	world_settle(bed->world);
	world_expect(bed->world, "finish a FAILED", "produce results a", NULL);
	assert_true(bytes_is(published(bed).failure->type, "TooLarge"));
}

static void what_is_read_when_the_shard_is_anothers_ends_nothing(void **state)
{
	struct bed *bed = *state;

	started(bed, TASK);
	world_hold_answers(bed->world, true);
	begin(bed, (struct ending_request){.cause = ENDING_LOST});
	world_forget(bed->world);
	bed->found.key = BYTES_LIT("b");
	bed->found.view.journal_offset = 0;
	ending_begin(&world_scheduler(bed->world)->shards[0],
		     &(struct ending_request){.found = bed->found, .cause = ENDING_LOST, .done = on_end, .ctx = &bed->told});
	world_revoke(bed->world);
	assert_int_equal(bed->told.end, ENDING_AGAIN);
	world_settle(bed->world);
	world_expect(bed->world, NULL);
}

static void tombstones_are_written_again_for_the_key_that_was_read(void **state)
{
	struct bed *bed = *state;
	struct journal_record record;
	struct buf out = {0};

	journal_record_init(&record);
	record.kind = JOURNAL_HEARTBEAT;
	record.task_key = BYTES_LIT("a");
	record.run_id = BYTES_LIT("run");
	record.attempt = 1;
	record.worker = BYTES_LIT("w1");
	record.nonce = BYTES_LIT("n1");
	record.heartbeat_details = (struct payload){.data = BYTES_LIT("1"), .content_type = BYTES_LIT(PAYLOAD_JSON)};
	world_apply_answers(bed->world, APPLY_FINISHED);
	wire_encode_journal(world_wire(bed->world), &record, &out);
	world_journal_bytes(bed->world, "a" JOURNAL_HEARTBEAT_SUFFIX, buf_bytes(&out));
	buf_deinit(&out);
	world_settle(bed->world);
	world_expect(bed->world, "tombstone a\nh", NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(after_a_first_loss_the_next_attempt_is_due_at_once),
		TEST(after_further_losses_the_policy_says_when),
		TEST(a_retry_that_is_refused_at_once_has_its_record_read_again),
		TEST(a_loss_that_may_not_be_retried_fails_the_task),
		TEST(a_lost_attempt_that_was_to_be_canceled_is_canceled),
		TEST(a_long_walk_over_parked_attempts_goes_on_where_it_was),
		TEST(a_burial_looks_for_parked_attempts_at_once),
		TEST(without_a_heartbeat_it_ends_with_the_last_one_and_the_last_failure),
		TEST(silence_while_redis_was_away_is_none),
		TEST(silence_while_kafka_was_away_is_none),
		TEST(silence_before_the_shard_was_ours_is_none),
		TEST(the_end_of_a_pending_attempts_time_is_its_start_to_close),
		TEST(the_end_of_all_its_time_closes_a_pending_attempt),
		TEST(a_task_record_that_waited_too_long_is_ended_by_its_place),
		TEST(the_time_of_a_record_that_was_taken_and_held_back_is_forgotten),
		TEST(a_task_whose_time_was_made_longer_is_not_ended_at_the_former_time),
		TEST(a_record_of_another_task_ends_nothing),
		TEST(a_record_that_is_gone_ends_nothing),
		TEST(a_timer_without_a_task_is_forgotten),
		TEST(a_task_that_nobody_knows_is_not_ended_while_its_record_may_be_settled),
		TEST(what_a_command_wants_ended_is_ended_when_it_is_applied),
		TEST(what_was_not_ended_then_is_found_by_the_sweep),
		TEST(a_completion_is_done_when_kafka_has_the_result),
		TEST(a_failure_told_by_others_goes_by_the_policy),
		TEST(options_that_a_command_has_changed_decide),
		TEST(a_reset_goes_before_the_policy),
		TEST(one_task_is_ended_once_at_a_time),
		TEST(a_task_that_has_moved_on_is_left_alone),
		TEST(ends_are_counted),
		TEST(what_kafka_refused_is_to_be_tried_again),
		TEST(a_next_attempt_that_no_record_can_carry_fails_the_task),
		TEST(what_is_read_when_the_shard_is_anothers_ends_nothing),
		TEST(tombstones_are_written_again_for_the_key_that_was_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
