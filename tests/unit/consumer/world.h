/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_CONSUMER_WORLD_H
#define TEST_CONSUMER_WORLD_H

#include "lib/worker.h"

/*
 * A worker's core between fakes of Kafka, Redis and executors, with a clock that the test turns. Everything it does to
 * them is a line of the trace:
 *   claim K N · finish K STATUS · release K · published K · lease · lease seen=NONCE · reassert K · lease_end · view K
 *   push K N · take_back K · cancel K REASON · kill K
 *   produce TOPIC K · tombstone K · commit P:OFFSET · commit_now P:OFFSET · leave
 * Redis answers when the test lets it (world_answer), Kafka acknowledges when the test lets it (world_ack).
 */
struct world;

struct world_options {
	size_t slots;    /* 0 = 2 */
	size_t max_jobs; /* 0 = 100 */
	int64_t max_jobs_bytes;
	int64_t grace_ms;
	int64_t park_after_ms; /* 0 = an hour */
	size_t limit;          /* of type "limited" */
};

struct world *world_new(const struct world_options *options);
void world_free(struct world *world);
struct worker *world_worker(struct world *world);

/* Kafka */
void world_assign(struct world *world, int32_t partition);
void world_revoke(struct world *world, int32_t partition);
/* Kafka acknowledges at once what a revoke waits for; else not in time. */
void world_acks_in_revoke(struct world *world);
/* A record at the next offset of the partition; its offset. */
int64_t world_record(struct world *world, int32_t partition, const char *json);
/* The same with reserved headers: "attempt=2 run=r1". */
int64_t world_record_again(struct world *world, int32_t partition, int64_t offset, const char *json);
int64_t world_record_attempt(struct world *world, int32_t partition, const char *json, const char *key, const char *run,
			     int attempt);
int64_t world_record_hops(struct world *world, int32_t partition, const char *json, const char *key, const char *run, int attempt,
			  int hops);
/* One more header for the record that was written last; the value is copied. */
void world_record_header(struct world *world, const char *name, struct bytes value);
/* A command, written at this time by Kafka's clock (task records are written at 1000000). */
void world_command(struct world *world, const char *json, int64_t at_ms);
/* One that was given earlier, in another partition. */
void world_command_passed_on(struct world *world, const char *json, int64_t at_ms, int64_t commanded_at_ms);
/* Kafka became unreachable (MR_EKAFKA) or reachable again (MR_OK). */
void world_kafka_is(struct world *world, enum mr_status status);
/* Kafka does not tell the ends of topics any more. */
void world_slow_ends(struct world *world);
/* Ends all sends that are under way; how many there were. */
size_t world_ack(struct world *world, enum mr_status status);
/* The value of the last record written to a topic ("results"), NUL-terminated; fails where there is none. Header or NULL. */
const char *world_value(struct world *world, const char *topic);
int32_t world_partition(struct world *world, const char *topic);
const char *world_header(struct world *world, const char *topic, const char *name);
struct bytes world_value_bytes(struct world *world, const char *topic);

/* Redis. What it answers from now on. */
void world_claims_get(struct world *world, enum claim_verdict verdict);
struct claim_answer *world_claim_answer(struct world *world);
void world_finishes_get(struct world *world, enum finish_verdict verdict, const char *replies);
/* Finishes find that the journal has commands of the task. */
void world_finishes_find_commands(struct world *world);
void world_shards_ready(struct world *world, bool ready, const char *recovery_nonce);
void world_bury(struct world *world);
void world_view_gets(struct world *world, enum view_state state);
/* The same, for what else it tells; borrowed. */
struct task_view *world_view(struct world *world);
/* What other workers offer, borrowed; offers of ours are in the trace from now on: "offer QUEUE FREE PARTITIONS". */
void world_offers_get(struct world *world, const struct offer *offers, size_t n);
/* Answers all calls that are under way; how many there were. */
size_t world_answer(struct world *world);
/* Calls are refused for good. */
void world_refuse(struct world *world);

/* Executors */
void world_start(struct world *world, const char *key);
/* Details are kept by pointer; NULL: a beat without. */
void world_beat(struct world *world, const char *key, const char *details);
/* Whether the executor has something to tell. */
bool world_tells(const struct world *world);
void world_complete(struct world *world, const char *key, const char *json);
void world_fail(struct world *world, const char *key, const char *type, bool non_retryable);
void world_end(struct world *world, const char *key, const struct outcome *outcome);

/* Time passes, and the worker is told nothing. */
void world_pass(struct world *world, int64_t advance_ms);
/* Time passes, then a tick. */
void world_tick(struct world *world, int64_t advance_ms);
/* Ticks, answers and acknowledgements until nothing happens any more. */
void world_settle(struct world *world);
int64_t world_now_ms(const struct world *world);

/* The trace since the last look is exactly these lines (space separated list ends with NULL). Lines "lease" are left out
 * unless asked for. */
void world_expect(struct world *world, ...) __attribute__((sentinel));
void world_forget(struct world *world);

#endif
