/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer/world_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"

#define WORLD_START_US INT64_C(1000000000)
#define WORLD_LEDGER 64

static enum mr_attempt_end nothing(struct mr_attempt *attempt, void *user)
{
	(void)attempt;
	(void)user;
	return MR_ATTEMPT_COMPLETED;
}

static void make_registry(struct world *world, size_t limit)
{
	struct mr_activity_options limited = {.size = sizeof(limited), .max_concurrent = (int)limit};

	assert_int_equal(mr_registry_new(&world->registry, NULL), MR_OK);
	assert_int_equal(mr_register(world->registry, "a", nothing, NULL, NULL, NULL), MR_OK);
	assert_int_equal(mr_register(world->registry, "limited", nothing, NULL, &limited, NULL), MR_OK);
}

struct world *world_new(const struct world_options *options)
{
	static const struct world_options none;
	const struct world_options *o = options ? options : &none;
	struct world *world = mem_alloc(sizeof(*world));
	struct worker_config config = {
		.incarnation = "w1",
		.prefix = "t.",
		.queues = 1,
		.shards = WORLD_SHARDS,
		.slots = o->slots ? o->slots : 2,
		.depth = 8,
		.max_jobs = o->max_jobs ? o->max_jobs : 100,
		.max_jobs_bytes = o->max_jobs_bytes ? o->max_jobs_bytes : 1 << 24,
		.max_input_bytes = 3000,
		.max_result_bytes = 2000,
		.start_to_close_ms = 10000,
		.grace_ms = o->grace_ms ? o->grace_ms : 30000,
		.kill_after_ms = 500,
		.park_after_ms = o->park_after_ms ? o->park_after_ms : 3600000,
		.nonce_seed = 1,
		.calls = &fake_store_calls,
	};
	struct bus *bus = &world->bus.bus;

	log_setup("test", LOG_ERROR, LOG_TEXT);
	world->now_us = WORLD_START_US;
	make_registry(world, o->limit);
	assert_int_equal(wire_new(&world->wire, NULL), MR_OK);
	world->ledger_memory = mem_alloc(ledger_bytes(WORLD_LEDGER));
	world->store =
		(struct fake_store){.world = world, .claim = {.verdict = CLAIM_RUN}, .ready = true, .view.shard_ready = true};
	fake_executor_init(world, config.slots + config.depth);
	config.registry = world->registry;
	config.wire = world->wire;
	config.ledger = ledger_init(world->ledger_memory, WORLD_LEDGER);
	config.executor = &world->executor.executor;
	world->worker = worker_new(&config);
	fake_bus_init(world);
	worker_start(world->worker, &bus, (struct store *)(void *)&world->store, world->now_us);
	return world;
}

void world_free(struct world *world)
{
	fake_bus_deinit(world);
	fake_store_deinit(world);
	worker_free(world->worker);
	wire_free(world->wire);
	mr_registry_free(world->registry);
	free(world->ledger_memory);
	buf_deinit(&world->trace);
	buf_deinit(&world->value);
	free(world);
}

struct worker *world_worker(struct world *world)
{
	return world->worker;
}

void world_note(struct world *world, const char *format, ...)
{
	va_list args;

	if (world->trace.len)
		buf_append_char(&world->trace, '\n');
	va_start(args, format);
	buf_vprintf(&world->trace, format, args);
	va_end(args);
}

int64_t world_now_ms(const struct world *world)
{
	return world->now_us / 1000;
}

void world_pass(struct world *world, int64_t advance_ms)
{
	world->now_us += advance_ms * 1000;
}

void world_tick(struct world *world, int64_t advance_ms)
{
	world->now_us += advance_ms * 1000;
	worker_tick(world->worker, world->now_us);
}

void world_settle(struct world *world)
{
	int quiet = 0;

	for (int i = 0; i < 100 && quiet < 2; i++) {
		size_t before = world->trace.len;

		world_tick(world, 0);
		if (world_answer(world) + world_ack(world, MR_OK) == 0 && world->trace.len == before)
			quiet++;
		else
			quiet = 0;
	}
	if (quiet == 2)
		return;
	fail_msg("the worker does not come to rest");
}

void world_expect(struct world *world, ...)
{
	struct buf wanted = {0};
	const char *line;
	va_list args;

	va_start(args, world);
	while ((line = va_arg(args, const char *)))
		buf_printf(&wanted, "%s%s", wanted.len ? "\n" : "", line);
	va_end(args);
	assert_string_equal(buf_cstr(&world->trace), buf_cstr(&wanted));
	buf_deinit(&wanted);
	buf_reset(&world->trace);
}

void world_forget(struct world *world)
{
	buf_reset(&world->trace);
}
