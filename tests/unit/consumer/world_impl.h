/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_CONSUMER_WORLD_IMPL_H
#define TEST_CONSUMER_WORLD_IMPL_H

#include "consumer/world.h"

#define WORLD_SHARDS 4
#define WORLD_TOPIC "t.tasks.q"
#define WORLD_CONTROL "t.control"

struct fake_message {
	struct bus_message message;
	struct arena arena;
	struct fake_message *next;
};

struct fake_record {
	struct arena arena;
	struct bus_record record;
	void *tag;
	bool open;
	struct fake_record *next;
};

struct fake_bus {
	struct bus bus;
	struct world *world;
	struct bus_callbacks callbacks;
	struct fake_message *head, *tail;
	struct fake_message *commands;
	int64_t next_command;
	size_t asked_ends; /* and not answered */
	bool reads_commands, slow_ends;
	struct fake_record *newest;
	size_t outstanding;
	bool acks_in_flush;
	int64_t next_offset[8];
	bool left;
};

struct fake_call {
	struct fake_call *next;
	enum { CALL_CLAIM, CALL_FINISH, CALL_DONE, CALL_LEASE, CALL_VIEW, CALL_OFFER } kind;
	size_t n;
	int64_t wanted; /* CALL_OFFER */
	void *done;
	void *ctx;
	struct bytes keys[WORKER_BATCH_MAX];
	struct claim_answer claims[WORKER_BATCH_MAX];
	struct arena arena;
};

struct fake_store {
	struct world *world;
	struct fake_call *head, *tail;
	struct claim_answer claim;
	enum finish_verdict finish;
	const char *replies;
	bool commanded;
	bool ready, buried, refusing;
	const char *recovery_nonce;
	struct task_view view;
	const struct offer *offers;
	size_t n_offers;
	bool tells_offers;
};

struct fake_attempt {
	uint64_t handle;
	char key[256];
	bool used, started, tells_beat;
	struct executor_beat beat;
	int64_t started_mono_us;
};

struct fake_executor {
	struct executor executor;
	struct world *world;
	struct fake_attempt attempts[256];
	size_t room;
	struct executor_event events[256];
	size_t n_events;
};

struct world {
	struct worker *worker;
	struct wire *wire;
	struct mr_registry *registry;
	void *ledger_memory;
	int64_t now_us;
	struct buf trace;
	struct buf value;
	struct fake_bus bus;
	struct fake_store store;
	struct fake_executor executor;
};

void world_note(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fake_bus_init(struct world *world);
void fake_bus_deinit(struct world *world);
extern const struct store_calls fake_store_calls;
void fake_store_deinit(struct world *world);
void fake_executor_init(struct world *world, size_t room);

#endif
