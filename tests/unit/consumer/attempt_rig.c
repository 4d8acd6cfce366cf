/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer/attempt_rig.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

void rig_init(struct rig *rig)
{
	*rig = (struct rig){.config = {.slots = 2, .depth = 64, .grace_ms = 200}};
	assert_int_equal(mr_registry_new(&rig->registry, NULL), MR_OK);
	rig->config.registry = rig->registry;
}

void rig_start(struct rig *rig)
{
	struct mr_error err = {.message = ""};

	if (pool_new(&rig->config, &rig->pool, &err) || pool_start(rig->pool, &err) ||
	    executor_new(rig->pool, &rig->executor, &err))
		fail_msg("the pool does not start: %s: %s", err.where, err.message);
}

static void attempt_deinit(struct rig_attempt *a)
{
	free(a->result);
	free(a->content_type);
	free(a->failure_type);
	free(a->message);
	free(a->details);
	free(a->cause_type);
	free(a->beat_details);
	free(a->last_details);
}

void rig_forget(struct rig *rig, size_t keep)
{
	while (rig->n_attempts > keep)
		attempt_deinit(&rig->attempts[--rig->n_attempts]);
}

void rig_deinit(struct rig *rig)
{
	executor_free(rig->executor);
	if (rig->pool)
		pool_stop(rig->pool);
	pool_free(rig->pool);
	mr_registry_free(rig->registry);
	rig_forget(rig, 0);
	free(rig->attempts);
}

void rig_info(struct attempt_info *ret, const char *type, const char *input, size_t bytes)
{
	*ret = (struct attempt_info){
		.task_key = BYTES_LIT("flow/step"),
		.workflow_id = BYTES_LIT("flow"),
		.activity_id = BYTES_LIT("step"),
		.run_id = BYTES_LIT("run-1"),
		.activity_type = bytes_of(type),
		.queue = BYTES_LIT("default"),
		.worker = BYTES_LIT("worker-1"),
		.token = BYTES_LIT("token"),
		.attempt = 1,
		.scheduled_at_ms = 1000,
		.attempt_scheduled_at_ms = 2000,
		.schedule_to_close_timeout_ms = TASK_UNSET,
		.schedule_to_start_timeout_ms = TASK_UNSET,
		.start_to_close_timeout_ms = 60000,
		.heartbeat_timeout_ms = TASK_UNSET,
		.budget_ms = 60000,
		.priority = 3,
	};
	if (input)
		ret->input = (struct payload){.data = {input, bytes}, .content_type = BYTES_LIT(PAYLOAD_JSON)};
}

size_t rig_push_info(struct rig *rig, const struct attempt_info *info)
{
	struct claim_token token = {
		.key = info->task_key, .run_id = info->run_id, .nonce = BYTES_LIT("n"), .record_id = BYTES_LIT("t:0:0")};
	struct rig_attempt *a;

	rig->attempts = mem_realloc_array(rig->attempts, rig->n_attempts + 1, sizeof(*rig->attempts));
	a = &rig->attempts[rig->n_attempts];
	*a = (struct rig_attempt){.handle = 0};
	assert_true(ledger_reserve(pool_ledger(rig->pool), &token, &a->handle));
	assert_true(executor_push(rig->executor, a->handle, info));
	return rig->n_attempts++;
}

size_t rig_push(struct rig *rig, const char *type, const char *input)
{
	struct attempt_info info;

	rig_info(&info, type, input, input ? strlen(input) : 0);
	return rig_push_info(rig, &info);
}

static char *copy(struct bytes b)
{
	return b.data ? mem_strndup(b.data, b.len) : NULL;
}

static void keep_outcome(struct rig_attempt *a, const struct executor_event *event)
{
	const struct outcome *o = &event->outcome;

	a->kind = o->kind;
	a->result = copy(o->result.data);
	a->result_bytes = o->result.data.len;
	a->content_type = copy(o->result.content_type);
	a->failure_type = copy(o->failure.type);
	a->message = copy(o->failure.message);
	a->details = copy(o->failure.details.data);
	a->cause_type = o->failure.cause ? copy(o->failure.cause->type) : NULL;
	a->last_details = copy(o->heartbeat_details.data);
	a->non_retryable = o->failure.non_retryable;
	a->benign = o->failure.benign;
	a->next_retry_delay_ms = o->failure.next_retry_delay_ms;
	a->started_mono_us = event->started_mono_us;
	a->ended_mono_us = event->ended_mono_us;
	a->beat_mono_us = event->beat_mono_us;
}

static struct rig_attempt *by_handle(struct rig *rig, uint64_t handle)
{
	for (size_t i = rig->n_attempts; i-- > 0;)
		if (rig->attempts[i].handle == handle)
			return &rig->attempts[i];
	fail_msg("an event for handle %llx, which was never pushed", (unsigned long long)handle);
	return NULL;
}

/* What came since, too; and the next one is told again. */
static void keep_beat(struct rig *rig, struct rig_attempt *a)
{
	struct executor_beat beat;

	assert_true(executor_beat(rig->executor, a->handle, !rig->first_beats_only, &beat));
	free(a->beat_details);
	a->beat_details = copy(beat.details.data);
}

static void on_event(void *ctx, const struct executor_event *event)
{
	struct rig *rig = ctx;
	struct rig_attempt *a = by_handle(rig, event->handle);

	switch (event->kind) {
	case EXECUTOR_STARTED:
		assert_int_equal(a->ended, 0);
		a->started++;
		return;
	case EXECUTOR_HEARTBEAT:
		a->beats++;
		keep_beat(rig, a);
		return;
	case EXECUTOR_ENDED:
		a->ended++;
		assert_int_equal(a->ended, 1);
		keep_outcome(a, event);
		if (!rig->keep_entries)
			ledger_free_entry(pool_ledger(rig->pool), event->handle);
		return;
	}
}

void rig_poll(struct rig *rig, int timeout_ms)
{
	struct pollfd fd = {.fd = executor_fd(rig->executor), .events = POLLIN};

	poll(&fd, 1, timeout_ms);
	executor_poll(rig->executor, on_event, rig);
}

static int64_t deadline_us(void)
{
	return clock_mono_us() + RIG_TIMEOUT_MS * 1000LL;
}

const struct rig_attempt *rig_wait(struct rig *rig, size_t i)
{
	int64_t until_us = deadline_us();

	while (!rig->attempts[i].ended) {
		if (clock_mono_us() > until_us)
			fail_msg("attempt %zu does not end", i);
		rig_poll(rig, 1000);
	}
	return &rig->attempts[i];
}

void rig_wait_started(struct rig *rig, size_t i)
{
	int64_t until_us = deadline_us();

	while (!rig->attempts[i].started) {
		if (clock_mono_us() > until_us || rig->attempts[i].ended)
			fail_msg("attempt %zu does not start", i);
		rig_poll(rig, 1000);
	}
}

const struct rig_attempt *rig_run(struct rig *rig, const char *type, const char *input)
{
	return rig_wait(rig, rig_push(rig, type, input));
}

bool rig_eventually(bool (*condition)(void *ctx), void *ctx)
{
	int64_t until_us = deadline_us();

	while (!condition(ctx)) {
		if (clock_mono_us() > until_us)
			return false;
		poll(NULL, 0, 2);
	}
	return true;
}

bool rig_process_is_gone(void *pid_as_pointer)
{
	return kill((pid_t)(intptr_t)pid_as_pointer, 0) < 0 && errno == ESRCH;
}
