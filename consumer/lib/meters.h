/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_METERS_H
#define CONSUMER_METERS_H

#include "base/map.h"
#include "metrics/metrics.h"
#include "store/store.h"
#include "task/outcome.h"

/*
 * What the worker tells of itself in /metrics, and whether it is ready. Counters are counted where things happen, into memory that
 * outlives the loop process; gauges are measured a few times a second.
 */

struct worker;
struct job;

/* Activity types that have series of their own, the registered ones first; all others are "_other". */
#define METERS_TYPES_MAX 100

enum attempt_fate {
	FATE_COMPLETED,
	FATE_FAILED,
	FATE_TIMED_OUT,
	FATE_CANCELED,
	FATE_TERMINATED,
	FATE_LOST,       /* of a worker that died */
	FATE_PENDING,    /* goes on without a worker */
	FATE_SUPERSEDED, /* another attempt, or an end from outside, came before its own */
	FATES,
};

/* Why a task record is a dead letter. */
enum dead_kind { DEAD_ENCODING, DEAD_UNKNOWN_FIELD, DEAD_FIELD, DEAD_SIZE, DEAD_KINDS };

/* Of one activity type in one task queue. */
struct type_meters {
	bool is_other; /* of several types, some of which may be registered */
	metric_cell *received, *to_start, *execution, *endtoend, *ended[FATES], *failed, *canceled, *retries, *heartbeats,
		*replays;
};

struct feed_meters {
	metric_cell *waiting, *oldest, *forwards, *unregistered;
	/* of the last measurement */
	int64_t n_waiting, oldest_at_ms;
};

#define METERS_CLAIMS 11
#define METERS_RESULTS 5

struct meters {
	struct metrics *metrics; /* NULL: nobody looks */
	struct map types;        /* name -> struct type_entry */
	struct type_entry *other;
	struct type_entry *last;   /* most tasks are of the type of the task before */
	struct feed_meters *feeds; /* one a task queue */
	metric_cell *claims[METERS_CLAIMS], *results[METERS_RESULTS], *dead[DEAD_KINDS];
	metric_cell *releases, *stale, *kafka_unavailable, *kafka_record, *kafka_other, *redis_unavailable, *redis_refused;
	metric_cell *slots_available, *slots_used, *in_hand, *in_hand_bytes, *shards_ready, *shards_waiting, *unacknowledged,
		*kafka_reachable, *redis_reachable;
	bool redis_lost;
	int64_t measured_us;
	uint32_t reasons; /* of the last measurement, see health.h */
};

void meters_init(struct worker *worker);
void meters_deinit(struct worker *worker);
/* Each turn of the loop, at its end. */
void meters_tick(struct worker *worker);

/* 2 intake */
void meters_received(struct worker *worker, struct job *job);
enum dead_kind meters_dead_kind(const struct mr_error *err);
void meters_dead_letter(struct worker *worker, enum dead_kind kind);
/* 3 claim */
/* Before the job adopts the answer: a later attempt than that of its record follows one that was lost. */
void meters_granted(const struct job *job, const struct claim_answer *answer);
void meters_claimed(struct worker *worker, enum claim_verdict verdict);
void meters_released(struct worker *worker, size_t n);
/* 4 execute */
void meters_started(struct worker *worker, const struct job *job);
void meters_heartbeat(const struct job *job);
/* 5 outcome */
void meters_ended(const struct job *job, const struct ending *ending, const struct verdict *verdict, int64_t ended_mono_us);
void meters_pending(const struct job *job, int64_t ended_mono_us);
void meters_superseded(const struct job *job, int64_t ended_mono_us);
/* 6 result: it came too late, or Kafka has it */
void meters_stale(struct worker *worker);
void meters_published(struct worker *worker, const struct job *job);
void meters_forwarded(struct worker *worker, const struct job *job);

/* What bus or store tell of their health; MR_OK: all is well again. */
void meters_kafka(struct worker *worker, enum mr_status status);
void meters_redis(struct worker *worker, enum mr_status status);
void meters_record_refused(struct worker *worker);
void meters_call_refused(struct worker *worker);

#endif
