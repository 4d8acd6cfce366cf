/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer/world_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct fake_executor *fake(struct executor *ex)
{
	return (struct fake_executor *)(void *)ex;
}

static struct fake_attempt *by_handle(struct fake_executor *e, uint64_t handle)
{
	for (size_t i = 0; i < 256; i++)
		if (e->attempts[i].used && e->attempts[i].handle == handle)
			return &e->attempts[i];
	return NULL;
}

static struct fake_attempt *by_key(struct world *world, const char *key)
{
	for (size_t i = 0; i < 256; i++)
		if (world->executor.attempts[i].used && strcmp(world->executor.attempts[i].key, key) == 0)
			return &world->executor.attempts[i];
	fail_msg("no attempt of %s is in the executor", key);
	return NULL;
}

static bool push(struct executor *ex, uint64_t handle, const struct attempt_info *info)
{
	struct fake_executor *e = fake(ex);

	if (e->room == 0)
		return false;
	assert_true(ledger_move(e->world->worker->config.ledger, handle, LEDGER_CLAIMING, LEDGER_NOBODY, LEDGER_QUEUED,
				LEDGER_NOBODY));
	for (size_t i = 0; i < 256; i++) {
		struct fake_attempt *attempt = &e->attempts[i];

		if (attempt->used)
			continue;
		*attempt = (struct fake_attempt){.handle = handle, .used = true, .tells_beat = true};
		snprintf(attempt->key, sizeof(attempt->key), "%.*s", BYTES_ARG(info->task_key));
		break;
	}
	e->room--;
	world_note(e->world, "push %.*s %lld", BYTES_ARG(info->task_key), (long long)info->attempt);
	return true;
}

static bool take_back(struct executor *ex, uint64_t handle)
{
	struct fake_executor *e = fake(ex);
	struct fake_attempt *attempt = by_handle(e, handle);

	if (!attempt || attempt->started)
		return false;
	assert_true(
		ledger_move(e->world->worker->config.ledger, handle, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_TAKEN, LEDGER_NOBODY));
	world_note(e->world, "take_back %s", attempt->key);
	attempt->used = false;
	e->room++;
	return true;
}

static void cancel(struct executor *ex, uint64_t handle, enum cancel_reason reason)
{
	static const char *const names[] = {"NONE", "REQUESTED", "TIMED_OUT", "WORKER_SHUTDOWN", "PAUSED", "RESET"};
	struct fake_attempt *attempt = by_handle(fake(ex), handle);

	assert_non_null(attempt);
	world_note(fake(ex)->world, "cancel %s %s", attempt->key, names[reason]);
}

static void kill_attempt(struct executor *ex, uint64_t handle)
{
	struct fake_attempt *attempt = by_handle(fake(ex), handle);

	assert_non_null(attempt);
	world_note(fake(ex)->world, "kill %s", attempt->key);
}

static bool beat(struct executor *ex, uint64_t handle, bool tell_next, struct executor_beat *ret)
{
	struct fake_attempt *attempt = by_handle(fake(ex), handle);

	if (!attempt)
		return false;
	attempt->tells_beat = attempt->tells_beat || tell_next;
	*ret = attempt->beat;
	return true;
}

static void poll_events(struct executor *ex, void (*event)(void *ctx, const struct executor_event *event), void *ctx)
{
	struct fake_executor *e = fake(ex);
	size_t n = e->n_events;

	e->n_events = 0;
	for (size_t i = 0; i < n; i++)
		event(ctx, &e->events[i]);
}

static size_t room(struct executor *ex)
{
	return fake(ex)->room;
}

static const struct executor_ops ops = {
	.room = room,
	.idle = room,
	.push = push,
	.take_back = take_back,
	.cancel = cancel,
	.kill = kill_attempt,
	.beat = beat,
	.poll = poll_events,
};

void fake_executor_init(struct world *world, size_t n)
{
	world->executor = (struct fake_executor){.executor = {&ops}, .world = world, .room = n};
}

static void started(struct world *world, struct fake_attempt *attempt)
{
	attempt->started = true;
	attempt->started_mono_us = world->now_us;
	assert_true(ledger_move(world->worker->config.ledger, attempt->handle, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_STARTED, 0));
}

void world_start(struct world *world, const char *key)
{
	struct fake_attempt *attempt = by_key(world, key);

	started(world, attempt);
	world->executor.events[world->executor.n_events++] =
		(struct executor_event){.kind = EXECUTOR_STARTED, .handle = attempt->handle, .started_mono_us = world->now_us};
}

void world_beat(struct world *world, const char *key, const char *details)
{
	struct fake_attempt *attempt = by_key(world, key);

	attempt->beat.count++;
	attempt->beat.at_mono_us = world->now_us;
	if (details)
		attempt->beat.details = (struct payload){.data = bytes_of(details), .content_type = BYTES_LIT("text/plain")};
	if (!attempt->tells_beat)
		return;
	attempt->tells_beat = false;
	world->executor.events[world->executor.n_events++] =
		(struct executor_event){.kind = EXECUTOR_HEARTBEAT, .handle = attempt->handle, .details = attempt->beat.details};
}

bool world_tells(const struct world *world)
{
	return world->executor.n_events > 0;
}

void world_end(struct world *world, const char *key, const struct outcome *outcome)
{
	struct fake_attempt *attempt = by_key(world, key);
	struct executor_event *e;

	if (!attempt->started)
		started(world, attempt);
	assert_true(ledger_move(world->worker->config.ledger, attempt->handle, LEDGER_STARTED, 0, LEDGER_ENDED, LEDGER_NOBODY));
	e = &world->executor.events[world->executor.n_events++];
	*e = (struct executor_event){
		.kind = EXECUTOR_ENDED,
		.handle = attempt->handle,
		.started_mono_us = attempt->started_mono_us,
		.ended_mono_us = world->now_us,
		.beat_mono_us = attempt->beat.at_mono_us,
		.outcome = *outcome,
	};
	e->outcome.heartbeat_details = attempt->beat.details;
	attempt->used = false;
	world->executor.room++;
}

void world_complete(struct world *world, const char *key, const char *json)
{
	struct outcome outcome = {.kind = OUTCOME_COMPLETED,
				  .result = {.data = bytes_of(json), .content_type = BYTES_LIT(PAYLOAD_JSON)}};

	failure_init(&outcome.failure);
	world_end(world, key, &outcome);
}

void world_fail(struct world *world, const char *key, const char *type, bool non_retryable)
{
	struct outcome outcome = {.kind = OUTCOME_FAILED};

	failure_init(&outcome.failure);
	outcome.failure.type = bytes_of(type);
	outcome.failure.message = BYTES_LIT("because");
	outcome.failure.non_retryable = non_retryable;
	world_end(world, key, &outcome);
}
