/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_WATCH_H
#define SCHEDULER_WATCH_H

#include "lib/core.h"

/*
 * The deadline watch (design.md 6): looks at the task records that nobody has taken yet, so that schedule-to-start and
 * schedule-to-close end a task, and a cancel reaches it, although no worker is alive.
 *
 * The scheduler that owns shard s watches the partitions p of all task topics with p mod shards = s: each has one watcher. It
 * knows where the workers' groups have committed, and reads behind that only what has been there for a while: records that are
 * settled at once are not read twice. What has a schedule timeout is armed in Redis by store_watch, in the shard of its key,
 * whoever owns that.
 */
struct watch;

struct watch *watch_new(struct scheduler *s);
/* NULL is allowed. */
void watch_free(struct watch *watch);
struct bus_callbacks watch_bus_callbacks(struct scheduler *s);
void watch_turn(struct watch *watch);
int64_t watch_deadline_us(const struct watch *watch);
/* Tells the metrics how much waits, as far as it is known. */
void watch_measure(struct watch *watch);
/* Timers of this shard were lost with Redis' data: all that is not committed is read again. */
void watch_recovered(struct shard *shard);

/*
 * Does the record at topic:partition:offset still wait for a worker: its group has not committed it? To be asked before a task
 * without state is ended by a timer. False also where that is not known right now: then it is asked for, and the timer, which
 * comes again after 2 s, finds the answer.
 */
bool watch_is_waiting(struct scheduler *s, struct bytes place);
/* True where the record is known to be settled or deleted, so that a timer for it has no object any more. */
bool watch_has_passed(struct scheduler *s, struct bytes place);

/*
 * A CANCEL or TERMINATE has met a task without state: looks for its record among those that are not committed in all queues,
 * now and for a minute, and where it is found has the task ended by ending_begin, with the record's place. What commands say of
 * the task is asked of Redis then, so that the flag may be applied later than this call. The same again changes nothing.
 */
void watch_look_for(struct scheduler *s, struct shard *shard, struct bytes key);

#endif
