/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_ENDING_IMPL_H
#define SCHEDULER_ENDING_IMPL_H

#include "lib/ending.h"
#include "lib/fetch.h"
#include "task/deadlines.h"
#include "task/outcome.h"

/* Between the files of an ending; nobody else includes this. */

/*
 * One ending under way. It acts while its record is at hand, and keeps of it only what its own result needs:
 *   the record is fetched -> BACKOFF is sent -> acknowledged: DONE
 *                         -> finish -> the result is sent -> acknowledged: DONE
 */
struct end {
	struct shard *shard;
	uint32_t generation; /* the walk of the shard that found the task as it is in `request` */
	struct arena arena;
	struct ending_request request; /* in the arena */
	struct fetch_want want;
	struct delivery delivery; /* of the BACKOFF record */
	struct swept finished;    /* what is published; in the arena */
};

/* What the task's record says of it. */
struct carried {
	struct journal_record record; /* a task record as the journal would carry it */
	struct task task;             /* with the options that commands have changed */
	struct timeouts timeouts;
	int64_t close_deadline_ms; /* schedule-to-close, TASK_UNSET = none */
};

/* topic:partition:offset */
bool place_parse(struct bytes place, struct bytes *ret_topic, int32_t *ret_partition, int64_t *ret_offset);

/* Of a record of the journal. `ret` borrows from it. */
void carried_by_journal(struct end *end, const struct journal_record *record, struct carried *ret);
/* Of a record of a task topic. False where it is another task's. */
bool carried_by_task(struct end *end, const struct bus_message *message, struct carried *ret);

/* What the end means for the task; `failures` get those that no record has told of. */
struct verdict end_decide(struct end *end, struct carried *carried, int64_t now_ms);

/* Writes the BACKOFF record; `end` hears of it through its delivery. */
enum mr_status end_retry(struct end *end, const struct carried *carried, const struct verdict *verdict, int64_t now_ms);
/* Stores the result, publishes it, ends `end`. */
void end_close(struct end *end, const struct carried *carried, const struct verdict *verdict, int64_t now_ms);

/* The last details of a heartbeat that anybody told. */
struct payload end_heartbeat(const struct end *end, const struct carried *carried);
/* Tells whoever asked, and frees. */
void end_over(struct end *end, enum ending_end how);

#endif
