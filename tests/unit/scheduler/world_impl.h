/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_SCHEDULER_WORLD_IMPL_H
#define TEST_SCHEDULER_WORLD_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "scheduler/world.h"

#define WORLD_PREFIX "t."
#define LOG_MAX 512
#define LINES_MAX 512

struct fake_record {
	struct bytes key, value;
	struct headers headers;
	bool gone;
};

struct fake_log {
	const char *topic;
	struct fake_record records[LOG_MAX];
	int64_t end;
};

enum { LOG_JOURNAL, LOG_RESULTS, LOG_CONTROL, LOG_TASKS, LOGS };

/* A reader's place in a log; -1: not reading. */
struct fake_bus {
	struct bus bus;
	struct world *world;
	struct bus_callbacks callbacks;
	bool is_fetch;
	bool assigned;
	int64_t place[LOGS];
	bool left;
};

struct sent {
	struct bytes topic, key, value;
	int32_t partition;
	struct headers headers;
	void *tag;
	bool open;
	struct sent *next;
};

struct fake_call {
	void (*answer)(struct world *world, struct fake_call *call);
	void *done;
	void *ctx;
	size_t n;
	bool conflict;
	bool recovering;
	int64_t from, to;
	struct fake_call *next;
};

struct fake_lease {
	char worker[32], seen[32];
	int64_t counter;
	bool alive, there;
};

struct fake_outbox {
	const char *key, *value, *reply_topic, *replies;
	int64_t attempt, journal_offset;
	bool finished;
};

struct world {
	struct scheduler *scheduler;
	struct wire *wire;
	struct arena arena;
	int64_t now_us, deadline_us;
	struct fake_bus bus, fetch;
	struct fake_log logs[LOGS];
	struct sent *newest;
	enum mr_status kafka_refuses; /* the next record, at once */
	bool kafka_full, hold_ends, hold_answers, echo_journal;
	int64_t control_sought, control_offset;
	struct task_view view;
	const char *unseen;
	struct bus_partition ends[8];
	size_t n_ends;
	struct fake_call *head, *tail;
	enum shard_state marker;
	char nonce[32];
	int64_t journal_offset, results_tip;
	struct fake_lease leases[4];
	const char *conflict;
	enum apply_verdict verdict;
	struct fired due[8];
	size_t n_due;
	struct ahead ahead[8];
	size_t n_ahead;
	size_t looked_ahead;
	struct fake_outbox outbox;
	const struct found_task *orphan, *apply_end, *sweep_end; /* told once; NULL: none */
	const struct due_timer *timer;
	const char *orphans_next;
	enum finish_verdict finish;
	struct bytes finish_claim_nonce;
	struct bytes finish_end_nonce;
	uint64_t drawn;
	struct buf lines[LINES_MAX];
	size_t n_lines, n_notes; /* without and with what is silenced */
	const char *silenced;
};

void world_note(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fake_bus_init(struct fake_bus *bus, struct world *world, bool is_fetch);
extern const struct redis_calls fake_redis;

#endif
