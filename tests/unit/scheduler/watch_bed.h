/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_SCHEDULER_WATCH_BED_H
#define TEST_SCHEDULER_WATCH_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

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
extern struct kafka kafka;

int bed_setup(void **state); /* *state: the world, its shard ready */
int bed_teardown(void **state);
/* Time passes in steps of 10 ms, each settled. */
void bed_pass(int64_t ms);
struct record *bed_publish(int partition, const char *value);
void bed_with_header(struct record *record, const char *name, const char *value);
struct scheduler_stats bed_stats(void);
/* The ending that was begun is over. */
void bed_end(enum ending_end how);

#define TASK(id, fields) "{\"activity_type\":\"x\",\"activity_id\":\"" id "\"" fields "}"
#define START ",\"schedule_to_start_timeout_ms\":500"
#define CLOSE ",\"schedule_to_close_timeout_ms\":900"

#endif
