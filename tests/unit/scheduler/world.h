/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_SCHEDULER_WORLD_H
#define TEST_SCHEDULER_WORLD_H

#include "lib/scheduler.h"

/*
 * A scheduler's core with one shard, between fakes of Kafka and Redis, with a clock that the test turns. Everything it does to
 * them is a line of the trace:
 *   look · recover · restore K... · apply FROM>TO K... · replay K... · vouch JOURNAL RESULTS · tip N · fire · sweep ·
 * published K... · finish K
 *   bury W · expire
 *   seek TOPIC OFFSET · read TOPIC@OFFSET... · fetch TOPIC@OFFSET... · ends TOPIC... · produce TOPIC K · tombstone K · commit
 * TOPIC N Redis answers when the test lets it (world_answer), Kafka acknowledges and tells ends when the test lets it.
 */
struct world;

#define LEASE_MS 3000

struct world *world_new(void);
/* With so many shards, of which only the first is ever assigned. */
struct world *world_new_of(int shards);
void world_free(struct world *world);
struct scheduler *world_scheduler(struct world *world);

/* Time passes, then a turn of the loop. Looks and ticks of upkeep that are in the way of a test are left out of the trace
 * (world_quiet). */
void world_turn(struct world *world, int64_t advance_ms);
/* Turns, Redis' answers, ends and acknowledgements until nothing happens any more, without time passing. */
void world_settle(struct world *world);
/* Turns of 100 ms, each settled. */
void world_pass(struct world *world, int64_t ms);
int64_t world_now_ms(const struct world *world);
/* The instant at which the loop would wake by itself, from now. */
int64_t world_wakes_in_ms(struct world *world);

/* Kafka */
void world_assign(struct world *world);
void world_revoke(struct world *world);
/* A journal record: its offset. due_in_ms < 0: STARTED. */
int64_t world_backoff(struct world *world, const char *key, int64_t attempt, int64_t due_in_ms);
int64_t world_checkpoint(struct world *world, int64_t control_offset);
int64_t world_journal_bytes(struct world *world, const char *key, struct bytes value);
int64_t world_journal(struct world *world, const struct journal_record *record);
/* A record of the queue `default`; the headers are borrowed. */
int64_t world_task(struct world *world, const char *json, const struct header *headers, size_t n);
int64_t world_journal_raw(struct world *world, const char *key, const char *value);
int64_t world_result(struct world *world, const char *key);
int64_t world_result_not_state(struct world *world, const char *key);
int64_t world_control(struct world *world, const char *json);
/* Records before `offset` are gone from the log. */
void world_compact(struct world *world, const char *topic, int64_t offset);
bool world_answer_ends(struct world *world);
void world_hold_ends(struct world *world, bool hold);
size_t world_ack(struct world *world, enum mr_status status);
/* The next record is refused at once. */
void world_kafka_refuses(struct world *world, enum mr_status status);
void world_kafka_full(struct world *world, bool full);
/* From now on what is written to the journal can be read there once it is acknowledged. */
void world_echo_journal(struct world *world);
/* Where control was last told to go on; INT64_MIN: nowhere yet. (It is not in the trace.) */
int64_t world_control_sought(const struct world *world);
int32_t world_partition(struct world *world, const char *topic);
struct wire *world_wire(struct world *world);
/* Header of the last record written to a topic, or NULL. */
const char *world_header(struct world *world, const char *topic, const char *name);
const char *world_value(struct world *world, const char *topic);
struct bytes world_bytes(struct world *world, const char *topic);

/* Redis, what it knows */
void world_marker(struct world *world, enum shard_state state, const char *nonce);
const char *world_marker_nonce(const struct world *world);
void world_stored(struct world *world, int64_t journal_offset, int64_t results_tip);
/* The position of commands: what a look tells, and what vouching stored. */
void world_stored_control(struct world *world, int64_t control_offset);
int64_t world_vouched_control(const struct world *world);
/* What a view of any task answers from now on; the bytes are borrowed. */
void world_view(struct world *world, const struct task_view *view);
/* A worker's lease: raised at each look while `alive`. */
void world_lease(struct world *world, const char *worker, const char *seen, bool alive);
void world_lease_gone(struct world *world, const char *worker);
void world_conflict(struct world *world, const char *call);
void world_apply_answers(struct world *world, enum apply_verdict verdict);
/* The next expiry forgets what commands said of this task. */
void world_unseen_expires(struct world *world, const char *key);
/* The next fire gives this. */
void world_due(struct world *world, const char *key, int64_t attempt, int64_t journal_offset);
/* What looking ahead tells, in the order of due times (it is not in the trace), and how often it was asked for. */
void world_ahead(struct world *world, int64_t journal_offset, int64_t due_in_ms);
size_t world_looked_ahead(const struct world *world);
void world_due_options(struct world *world, const char *key, int64_t attempt, int64_t journal_offset, const char *options);
void world_outbox_attempt(struct world *world, const char *key, int64_t attempt, int64_t journal_offset);
void world_outbox_result(struct world *world, const char *key, const char *value, const char *reply_topic, const char *replies);
/* What Redis finds once; borrowed until then. */
void world_orphan(struct world *world, const struct found_task *found, const char *next);
void world_timer(struct world *world, const struct due_timer *timer);
void world_sweep_ends(struct world *world, const struct found_task *found);
/* From now on, every record that is applied. */
void world_apply_ends(struct world *world, const struct found_task *found);
void world_finish_answers(struct world *world, enum finish_verdict verdict);
/* Of the last finish. */
struct bytes world_finish_claim_nonce(const struct world *world);
struct bytes world_finish_end_nonce(const struct world *world);
bool world_answer(struct world *world);
void world_hold_answers(struct world *world, bool hold);
void world_redis_lost(struct world *world);
void world_redis_back(struct world *world);

/* The trace since the last look at it is exactly these lines (ends with NULL), but for lines whose first word was silenced. */
void world_expect(struct world *world, ...) __attribute__((sentinel));
void world_silence(struct world *world, const char *words);
void world_forget(struct world *world);
bool world_did(struct world *world, const char *line);

#endif
