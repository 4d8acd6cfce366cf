/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer/executor_rules.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "consumer/attempt_rig.h"
#include "lib/pool_impl.h"

/* ---- activities ---- */

static enum mr_attempt_end echo(struct mr_attempt *attempt, void *user)
{
	const struct mr_attempt_payload *input = mr_input(attempt);

	(void)user;
	return mr_complete(attempt, input->data, input->bytes, input->content_type);
}

static enum mr_attempt_end refuse(struct mr_attempt *attempt, void *user)
{
	struct mr_attempt_failure root = {.type = "Root", .message = "deep"};
	struct mr_attempt_failure cause = {.type = "Cause", .message = "why", .cause = &root};

	(void)user;
	return mr_fail(attempt, &(struct mr_attempt_failure){
					.type = "Declined",
					.message = "card expired",
					.non_retryable = true,
					.benign = true,
					.next_retry_delay_ms = 1234,
					.details = {.data = "[1]", .bytes = 3, .content_type = "application/json"},
					.cause = &cause,
				});
}

static enum mr_attempt_end introspect(struct mr_attempt *attempt, void *user)
{
	const struct mr_attempt_info *i = mr_info(attempt);

	(void)user;
	return mr_complete_jsonf(
		attempt,
		"\"%s %s %s %s %s %s %s %.*s | %d %d | %d %d | %d %d %d %d | %d %.1f %d %d %s | %d | %s=%.*s | %.*s | %d\"",
		i->task_key, i->workflow_id, i->activity_id, i->run_id, i->activity_type, i->queue, i->worker,
		(int)i->token_bytes, (const char *)i->token, (int)i->epoch, (int)i->attempt, (int)i->scheduled_at_ms,
		(int)i->attempt_scheduled_at_ms, (int)i->schedule_to_close_timeout_ms,
		i->schedule_to_start_timeout_ms == MR_UNSET, (int)i->start_to_close_timeout_ms, (int)i->heartbeat_timeout_ms,
		(int)i->retry.initial_interval_ms, i->retry.backoff_coefficient, (int)i->retry.maximum_interval_ms,
		(int)i->retry.maximum_attempts, i->retry.non_retryable_error_types[0], i->priority, i->headers[0].name,
		(int)i->headers[0].bytes, (const char *)i->headers[0].value, (int)i->heartbeat_details.bytes,
		(const char *)i->heartbeat_details.data, (int)(i->deadline_at_ms - i->started_at_ms));
}

/* Counts in memory that executors and test share. */
static enum mr_attempt_end count(struct mr_attempt *attempt, void *user)
{
	_Atomic int *counts = user;
	int64_t i = -1;

	if (mr_input_int(attempt, "", &i, NULL))
		return mr_failf(attempt, "Test", "no number");
	atomic_fetch_add(&counts[i], 1);
	return mr_complete(attempt, NULL, 0, NULL);
}

static enum mr_attempt_end wait_for_cancel(struct mr_attempt *attempt, void *user)
{
	struct pollfd fd = {.fd = mr_cancel_fd(attempt), .events = POLLIN};

	(void)user;
	while (!mr_is_cancelled(attempt))
		poll(&fd, 1, RIG_TIMEOUT_MS);
	if (!(fd.revents & POLLIN) && poll(&fd, 1, 1000) != 1)
		return mr_failf(attempt, "Test", "the cancel fd is not readable");
	return mr_canceled(attempt);
}

static enum mr_attempt_end nap(struct mr_attempt *attempt, void *user)
{
	int64_t ms = 0;

	(void)user;
	mr_input_int(attempt, "ms", &ms, NULL);
	poll(NULL, 0, (int)ms);
	return mr_complete(attempt, NULL, 0, NULL);
}

static enum mr_attempt_end big(struct mr_attempt *attempt, void *user)
{
	int64_t bytes = 0;
	char *data;
	enum mr_attempt_end end;

	(void)user;
	mr_input_int(attempt, "", &bytes, NULL);
	data = mem_alloc((size_t)bytes);
	memset(data, 'x', (size_t)bytes);
	end = mr_complete(attempt, data, (size_t)bytes, "text/plain");
	free(data);
	return end;
}

static enum mr_attempt_end beats(struct mr_attempt *attempt, void *user)
{
	char text[32];

	(void)user;
	for (int i = 1; i <= 100; i++) {
		snprintf(text, sizeof(text), "%d", i);
		mr_heartbeat(attempt, text, strlen(text), "application/json");
	}
	mr_heartbeat(attempt, NULL, 0, NULL);
	if (mr_heartbeat(attempt, text, MR_HEARTBEAT_MAX_BYTES + 1, NULL) != MR_ETOO_LARGE)
		return mr_failf(attempt, "Test", "a heartbeat that is too large was taken");
	return mr_failf(attempt, "AfterBeats", "%s", "with a last detail");
}

static enum mr_attempt_end beats_and_waits(struct mr_attempt *attempt, void *user)
{
	struct pollfd fd = {.fd = mr_cancel_fd(attempt), .events = POLLIN};

	(void)user;
	mr_heartbeat(attempt, "1", 1, NULL);
	mr_heartbeat(attempt, "2", 1, NULL);
	while (!mr_is_cancelled(attempt))
		poll(&fd, 1, 1000);
	mr_heartbeat(attempt, "3", 1, NULL);
	while (mr_cancel_reason(attempt) != MR_CANCEL_WORKER_SHUTDOWN)
		poll(NULL, 0, 1);
	return mr_complete(attempt, NULL, 0, NULL);
}

static void begin(struct rig *rig)
{
	rig_init(rig);
	rig->config.threads = rules_with_threads;
	mr_register(rig->registry, "echo", echo, NULL, NULL, NULL);
	mr_register(rig->registry, "refuse", refuse, NULL, NULL, NULL);
	mr_register(rig->registry, "introspect", introspect, NULL, NULL, NULL);
	mr_register(rig->registry, "wait_for_cancel", wait_for_cancel, NULL, NULL, NULL);
	mr_register(rig->registry, "nap", nap, NULL, NULL, NULL);
	mr_register(rig->registry, "big", big, NULL, NULL, NULL);
	mr_register(rig->registry, "beats", beats, NULL, NULL, NULL);
	mr_register(rig->registry, "beats_and_waits", beats_and_waits, NULL, NULL, NULL);
}

/* ---- rules ---- */

void an_attempt_gets_its_input_and_its_result_comes_back(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	a = rig_run(&rig, "echo", "{\"a\": 1}");
	assert_int_equal(a->kind, OUTCOME_COMPLETED);
	assert_string_equal(a->result, "{\"a\": 1}");
	assert_string_equal(a->content_type, "application/json");
	a = rig_run(&rig, "echo", NULL);
	assert_int_equal(a->kind, OUTCOME_COMPLETED);
	rig_deinit(&rig);
}

void a_failure_comes_back_with_all_its_parts(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	a = rig_run(&rig, "refuse", "1");
	assert_int_equal(a->kind, OUTCOME_FAILED);
	assert_string_equal(a->failure_type, "Declined");
	assert_string_equal(a->message, "card expired");
	assert_true(a->non_retryable);
	assert_true(a->benign);
	assert_int_equal(a->next_retry_delay_ms, 1234);
	assert_string_equal(a->details, "[1]");
	assert_string_equal(a->cause_type, "Cause");
	rig_deinit(&rig);
}

void an_activity_knows_all_about_its_attempt(void **state)
{
	struct bytes types[] = {BYTES_LIT("Fatal")};
	struct header headers[] = {{BYTES_LIT("tenant"), BYTES_LIT("acme")}};
	struct attempt_info info;
	struct rig rig;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	rig_info(&info, "introspect", "1", 1);
	info.epoch = 2;
	info.attempt = 3;
	info.schedule_to_close_timeout_ms = 90000;
	info.heartbeat_timeout_ms = 5000;
	info.priority = 4;
	info.retry_policy = (struct retry_policy){1000, 2.0, 100000, 7, types, 1};
	info.headers = (struct headers){headers, 1};
	info.heartbeat_details.data = BYTES_LIT("half");
	assert_string_equal(
		rig_wait(&rig, rig_push_info(&rig, &info))->result,
		"\"flow/step flow step run-1 introspect default worker-1 token | 2 3 | 1000 2000 | 90000 1 60000 5000 | "
		"1000 2.0 100000 7 Fatal | 4 | tenant=acme | half | 60000\"");
	rig_deinit(&rig);
}

void an_unknown_type_fails_with_not_found_and_the_list(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	a = rig_run(&rig, "nothing", "1");
	assert_string_equal(a->failure_type, "NotFound");
	assert_false(a->non_retryable);
	assert_non_null(strstr(a->message, "beats, beats_and_waits, big, echo"));
	rig_deinit(&rig);
}

void a_catch_all_gets_what_is_not_registered(void **state)
{
	struct rig rig;

	(void)state;
	begin(&rig);
	assert_int_equal(mr_register_catch_all(rig.registry, echo, NULL, NULL, NULL), MR_OK);
	rig_start(&rig);
	assert_string_equal(rig_run(&rig, "nothing", "\"x\"")->result, "\"x\"");
	rig_deinit(&rig);
}

#define MANY 10000

static void push_many(struct rig *rig, size_t n)
{
	char input[32];

	for (size_t i = 0; i < n; i++) {
		while (executor_room(rig->executor) == 0)
			rig_poll(rig, 1000);
		snprintf(input, sizeof(input), "%zu", i);
		rig_push(rig, "count", input);
	}
	for (size_t i = 0; i < n; i++)
		if (!rig->attempts[i].ended)
			rig_wait(rig, i);
}

static _Atomic int *shared_counts(void)
{
	void *memory = mmap(NULL, MANY * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

void ten_thousand_attempts_run_exactly_once_each(void **state)
{
	_Atomic int *counts = shared_counts();
	struct rig rig;

	(void)state;
	begin(&rig);
	rig.config.slots = 4;
	mr_register(rig.registry, "count", count, (void *)counts, NULL, NULL);
	rig_start(&rig);
	push_many(&rig, MANY);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(atomic_load(&counts[i]), 1);
		assert_int_equal(rig.attempts[i].kind, OUTCOME_COMPLETED);
	}
	rig_deinit(&rig);
	munmap((void *)counts, MANY * sizeof(int));
}

void what_waits_is_taken_back_and_never_runs(void **state)
{
	_Atomic int *counts = shared_counts();
	struct rig rig;
	size_t busy[2], waiting;

	(void)state;
	begin(&rig);
	mr_register(rig.registry, "count", count, (void *)counts, NULL, NULL);
	rig_start(&rig);
	busy[0] = rig_push(&rig, "wait_for_cancel", "1");
	busy[1] = rig_push(&rig, "wait_for_cancel", "1");
	rig_wait_started(&rig, busy[0]);
	rig_wait_started(&rig, busy[1]);
	waiting = rig_push(&rig, "count", "7");
	assert_true(executor_take_back(rig.executor, rig.attempts[waiting].handle));
	assert_false(executor_take_back(rig.executor, rig.attempts[waiting].handle));
	assert_int_equal(ledger_state(ledger_get(pool_ledger(rig.pool), rig.attempts[waiting].handle)), LEDGER_TAKEN);
	ledger_free_entry(pool_ledger(rig.pool), rig.attempts[waiting].handle);
	assert_false(executor_take_back(rig.executor, rig.attempts[busy[0]].handle));
	executor_cancel(rig.executor, rig.attempts[busy[0]].handle, CANCEL_REQUESTED);
	executor_cancel(rig.executor, rig.attempts[busy[1]].handle, CANCEL_REQUESTED);
	rig_wait(&rig, busy[0]);
	rig_wait(&rig, busy[1]);
	rig_run(&rig, "count", "8");
	assert_int_equal(atomic_load(&counts[7]), 0);
	assert_int_equal(atomic_load(&counts[8]), 1);
	rig_deinit(&rig);
	munmap((void *)counts, MANY * sizeof(int));
}

void take_back_against_start_is_never_both(void **state)
{
	_Atomic int *counts = shared_counts();
	size_t taken = 0, n = 2000;
	struct rig rig;
	char input[32];

	(void)state;
	begin(&rig);
	mr_register(rig.registry, "count", count, (void *)counts, NULL, NULL);
	rig_start(&rig);
	for (size_t i = 0; i < n; i++) {
		snprintf(input, sizeof(input), "%zu", i);
		while (executor_room(rig.executor) == 0)
			rig_poll(&rig, 1000);
		rig_push(&rig, "count", input);
		if (i % 3 == 0)
			rig_poll(&rig, 0);
		if (executor_take_back(rig.executor, rig.attempts[i].handle)) {
			ledger_free_entry(pool_ledger(rig.pool), rig.attempts[i].handle);
			rig.attempts[i].ended = -1;
			taken++;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (rig.attempts[i].ended < 0) {
			assert_int_equal(atomic_load(&counts[i]), 0);
			continue;
		}
		rig_wait(&rig, i);
		assert_int_equal(atomic_load(&counts[i]), 1);
	}
	assert_true(taken > 0);
	rig_deinit(&rig);
	munmap((void *)counts, MANY * sizeof(int));
}

void large_inputs_and_outputs_go_through(void **state)
{
	size_t bytes = (1 << 20) - 2;
	struct attempt_info info;
	const struct rig_attempt *a;
	struct rig rig;
	char *input;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	input = mem_alloc(bytes + 1);
	memset(input, 'y', bytes);
	for (int i = 0; i < 8; i++) {
		rig_info(&info, "echo", input, bytes);
		a = rig_wait(&rig, rig_push_info(&rig, &info));
		assert_int_equal(a->kind, OUTCOME_COMPLETED);
		assert_int_equal(a->result_bytes, bytes);
		assert_memory_equal(a->result, input, bytes);
	}
	rig_deinit(&rig);
	free(input);
}

void a_result_above_the_limit_fails_the_attempt(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	begin(&rig);
	rig.config.max_output_bytes = 65536;
	rig_start(&rig);
	assert_int_equal(rig_run(&rig, "big", "65536")->result_bytes, 65536);
	a = rig_run(&rig, "big", "65537");
	assert_string_equal(a->failure_type, "ResultTooLarge");
	assert_true(a->non_retryable);
	assert_non_null(strstr(a->message, "65537"));
	assert_non_null(strstr(a->message, "65536"));
	rig_deinit(&rig);
}

void the_latest_heartbeat_is_told_and_kept(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	a = rig_run(&rig, "beats", "1");
	assert_string_equal(a->failure_type, "AfterBeats");
	assert_string_equal(a->last_details, "100");
	rig_deinit(&rig);
}

static void await_beats(struct rig *rig, size_t i, uint32_t count, bool tell_next, struct executor_beat *ret)
{
	*ret = (struct executor_beat){.count = 0};
	while (ret->count < count)
		assert_true(executor_beat(rig->executor, rig->attempts[i].handle, tell_next, ret));
}

void of_many_heartbeats_only_those_that_were_asked_for_are_told(void **state)
{
	struct executor_beat beat;
	struct rig rig;
	uint64_t handle;
	int64_t before_us;
	size_t i;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	rig.first_beats_only = true;
	before_us = clock_mono_us();
	i = rig_push(&rig, "beats_and_waits", "1");
	handle = rig.attempts[i].handle;
	while (rig.attempts[i].beats < 1)
		rig_poll(&rig, 1000);
	await_beats(&rig, i, 2, false, &beat);
	assert_memory_equal(beat.details.data.data, "2", 1);
	assert_in_range(beat.at_mono_us, before_us, clock_mono_us());
	executor_cancel(rig.executor, handle, CANCEL_PAUSED);
	await_beats(&rig, i, 3, true, &beat);
	rig_poll(&rig, 0);
	assert_int_equal(rig.attempts[i].beats, 1);
	executor_cancel(rig.executor, handle, CANCEL_WORKER_SHUTDOWN);
	assert_int_equal(rig_wait(&rig, i)->kind, OUTCOME_COMPLETED);
	assert_int_equal(rig.attempts[i].beats, 1);
	assert_in_range(rig.attempts[i].beat_mono_us, beat.at_mono_us, beat.at_mono_us);
	assert_false(executor_beat(rig.executor, handle, false, &beat));
	rig_deinit(&rig);
}

void a_beat_after_a_quiet_time_is_told_where_that_was_asked_for(void **state)
{
	struct executor_beat beat;
	struct rig rig;
	size_t i;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	rig.first_beats_only = true;
	i = rig_push(&rig, "beats_and_waits", "1");
	await_beats(&rig, i, 2, false, &beat);
	assert_true(executor_beat(rig.executor, rig.attempts[i].handle, true, &beat));
	executor_cancel(rig.executor, rig.attempts[i].handle, CANCEL_PAUSED);
	while (!rig.attempts[i].beat_details || strcmp(rig.attempts[i].beat_details, "3") != 0)
		rig_poll(&rig, 1000);
	executor_cancel(rig.executor, rig.attempts[i].handle, CANCEL_WORKER_SHUTDOWN);
	assert_int_equal(rig_wait(&rig, i)->kind, OUTCOME_COMPLETED);
	rig_deinit(&rig);
}

void cancel_reaches_a_running_attempt_by_flag_and_fd(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;
	size_t i;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	for (int round = 0; round < 3; round++) {
		i = rig_push(&rig, "wait_for_cancel", "1");
		rig_wait_started(&rig, i);
		executor_cancel(rig.executor, rig.attempts[i].handle, CANCEL_REQUESTED);
		assert_int_equal(rig_wait(&rig, i)->kind, OUTCOME_CANCELED);
	}
	i = rig_push(&rig, "wait_for_cancel", "1");
	rig_wait_started(&rig, i);
	executor_cancel(rig.executor, rig.attempts[i].handle, CANCEL_WORKER_SHUTDOWN);
	a = rig_wait(&rig, i);
	assert_int_equal(a->kind, OUTCOME_FAILED);
	assert_string_equal(a->failure_type, "WorkerShutdown");
	assert_false(a->non_retryable);
	rig_deinit(&rig);
}

void cancel_before_the_start_is_seen_at_the_start(void **state)
{
	struct rig rig;
	size_t first, second;

	(void)state;
	begin(&rig);
	rig.config.slots = 1;
	rig_start(&rig);
	first = rig_push(&rig, "wait_for_cancel", "1");
	rig_wait_started(&rig, first);
	second = rig_push(&rig, "wait_for_cancel", "1");
	executor_cancel(rig.executor, rig.attempts[second].handle, CANCEL_REQUESTED);
	executor_cancel(rig.executor, rig.attempts[first].handle, CANCEL_REQUESTED);
	assert_int_equal(rig_wait(&rig, first)->kind, OUTCOME_CANCELED);
	assert_int_equal(rig_wait(&rig, second)->kind, OUTCOME_CANCELED);
	rig_deinit(&rig);
}

void kill_ends_an_attempt_and_its_slot_is_free_again(void **state)
{
	const struct rig_attempt *a;
	struct rig rig;
	size_t i;

	(void)state;
	begin(&rig);
	rig.config.slots = 1;
	rig_start(&rig);
	for (int round = 0; round < 3; round++) {
		i = rig_push(&rig, "nap", "{\"ms\":700}");
		rig_wait_started(&rig, i);
		executor_kill(rig.executor, rig.attempts[i].handle);
		a = rig_wait(&rig, i);
		assert_string_equal(a->failure_type, "ActivityCrashed");
		assert_string_equal(a->message, "killed");
		assert_true(a->ended_mono_us - a->started_mono_us < 600000);
		assert_string_equal(rig_run(&rig, "echo", "1")->result, "1");
	}
	rig_deinit(&rig);
}

void room_and_idle_count_what_is_in_work(void **state)
{
	struct rig rig;
	size_t i;

	(void)state;
	begin(&rig);
	rig.config.slots = 2;
	rig.config.depth = 1;
	rig_start(&rig);
	rig_run(&rig, "echo", "1");
	while (executor_idle(rig.executor) < 2)
		rig_poll(&rig, 10);
	assert_int_equal(executor_room(rig.executor), 3);
	i = rig_push(&rig, "wait_for_cancel", "1");
	assert_int_equal(executor_room(rig.executor), 2);
	assert_int_equal(executor_idle(rig.executor), 1);
	rig_push(&rig, "wait_for_cancel", "1");
	rig_push(&rig, "wait_for_cancel", "1");
	assert_int_equal(executor_room(rig.executor), 0);
	assert_int_equal(executor_idle(rig.executor), 0);
	for (size_t k = i; k < i + 3; k++)
		executor_cancel(rig.executor, rig.attempts[k].handle, CANCEL_REQUESTED);
	for (size_t k = i; k < i + 3; k++)
		rig_wait(&rig, k);
	assert_int_equal(executor_room(rig.executor), 3);
	rig_deinit(&rig);
}

void start_and_end_are_told_with_their_times(void **state)
{
	int64_t before_us, after_us;
	const struct rig_attempt *a;
	struct rig rig;
	size_t i;

	(void)state;
	begin(&rig);
	rig_start(&rig);
	before_us = clock_mono_us();
	a = rig_run(&rig, "nap", "{\"ms\":30}");
	after_us = clock_mono_us();
	assert_true(before_us <= a->started_mono_us);
	assert_true(a->started_mono_us + 30000 <= a->ended_mono_us);
	assert_true(a->ended_mono_us <= after_us);
	i = rig_push(&rig, "wait_for_cancel", "1");
	rig_wait_started(&rig, i);
	executor_cancel(rig.executor, rig.attempts[i].handle, CANCEL_REQUESTED);
	assert_int_equal(rig_wait(&rig, i)->started, 1);
	rig_deinit(&rig);
}

/* An executor disarms, the loop polls and arms again, and only then the executor writes. */
void a_wakeup_written_late_does_not_keep_the_loop_awake(void **state)
{
	struct rig rig;
	struct pollfd fd = {.events = POLLIN};

	(void)state;
	begin(&rig);
	rig_start(&rig);
	rig_poll(&rig, 0);
	pool_notify_loop(rig.pool, true);
	atomic_store(&rig.pool->shared->armed, 1);
	fd.fd = executor_fd(rig.executor);
	assert_int_equal(poll(&fd, 1, 1000), 1);
	rig_poll(&rig, 0);
	assert_int_equal(poll(&fd, 1, 0), 0);
	rig_deinit(&rig);
}

void exec_activities_run_in_either_isolation(void **state)
{
	struct rig rig;

	(void)state;
	begin(&rig);
	mr_register_exec_text(rig.registry, "cat=cat", NULL);
	rig_start(&rig);
	assert_string_equal(rig_run(&rig, "cat", "{\"b\":2}")->result, "{\"b\":2}");
	assert_string_equal(rig_run(&rig, "echo", "3")->result, "3");
	rig_deinit(&rig);
}
