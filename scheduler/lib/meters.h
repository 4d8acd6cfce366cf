/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_METERS_H
#define SCHEDULER_METERS_H

#include "metrics/metrics.h"
#include "store/store.h"

/* What the scheduler tells of itself in /metrics, and whether it is ready. Most of it is copied from its state a few times a second. */

struct scheduler;
struct bus_message;

#define METERS_COPIES_MAX 24
#define METERS_PHASES 9
#define METERS_TIMERS 4

struct meters {
	struct metrics *metrics; /* NULL: nobody looks */
	int64_t copy_us;
	metric_cell *copies[METERS_COPIES_MAX];
	metric_cell *phases[METERS_PHASES];
	metric_cell *pending[STORE_TIMER_SETS];
	metric_cell *lateness[METERS_TIMERS]; /* enum timer_kind, then backoff */
	metric_cell *outbox, *jobs, *workers, *unacknowledged, *kafka_reachable, *redis_reachable;
	metric_cell *kafka_unavailable, *kafka_record, *kafka_other, *redis_unavailable;
	metric_cell *dead_control, *dead_journal;
};

void meters_init(struct scheduler *s, struct metrics *metrics);
/* Each turn, at its end. */
void meters_turn(struct scheduler *s);
/* Redis fired timers of the backoff set at now_ms. */
void meters_backoff_fired(struct scheduler *s, const struct fired *fired, size_t n, int64_t now_ms);
void meters_timer_due(struct scheduler *s, const struct due_timer *due);
void meters_kafka_trouble(struct scheduler *s, enum mr_status status);
void meters_record_refused(struct scheduler *s);
void meters_redis_trouble(struct scheduler *s);
void meters_dead_letter(struct scheduler *s, const struct bus_message *message);

#endif
