/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_SCHEDULER_ENDING_BED_H
#define TEST_SCHEDULER_ENDING_BED_H

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
extern enum ending_records { NOT_KNOWN, WAITING, PASSED } ending_records;

int ending_setup(void **state);
int ending_teardown(void **state);
/* Attempt 2 of task a, after an attempt that failed with Boom; its journal record carries `task`. */
void ending_started(struct bed *bed, const char *task);
/* The same, waiting for its completion from outside. */
void ending_pending(struct bed *bed, const char *task);
/* The `done` of an ending, to whose `told` it is told. */
void ending_told(void *ctx, struct shard *shard, enum ending_end end);
/* Begins to end what was found, and settles. */
void ending_ask(struct bed *bed, struct ending_request request);
/* The worker of what was found is lost; half a second passes. */
void ending_lost(struct bed *bed);
/* The last record of the journal, and of results. */
struct journal_record ending_written(struct bed *bed);
struct result ending_published(struct bed *bed);

#endif
