/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_POOL_H
#define CONSUMER_POOL_H

#include "lib/ledger.h"
#include "lib/registry.h"

/*
 * What supervisor, zygote, executors and loop share, made by the supervisor before it forks anything: one memfd mapping with the
 * ledger, the ring of queued attempts and the payload areas (sparse: memory is used where it is touched, large areas are given
 * back), and the eventfds.
 *
 *   supervisor ─┬─ zygote (single-threaded; loads the activity libraries; subreaper) ─┬─ executor 0..slots-1
 *               └─ loop   (Kafka, Redis, timers; restarted when it dies)               └─ ...
 */
struct pool;

struct pool_config {
	struct mr_registry *registry; /* gets the activities of its shared objects by pool_start */
	size_t slots;                 /* executors */
	size_t depth;                 /* attempts that may wait in the ring beyond the free executors */
	size_t entries;               /* of the ledger: attempts in hand from claim to finish; 0 = 1024 + 4 * (slots + depth) */
	int64_t max_input_bytes;      /* of an attempt's input, headers and ids together */
	int64_t max_output_bytes;     /* of a result, failure or details */
	bool threads;                 /* thread isolation: ledger only, no zygote */
	int64_t grace_ms;             /* exec activities: from SIGTERM to SIGKILL */
};

enum mr_status pool_new(const struct pool_config *config, struct pool **ret, struct mr_error *err);
void pool_free(struct pool *pool);
struct ledger *pool_ledger(struct pool *pool);
const struct pool_config *pool_config(const struct pool *pool);

/* Supervisor: starts the zygote (which starts the executors); called before any thread exists. Fails with the reason where a
 * library cannot be loaded. */
enum mr_status pool_start(struct pool *pool, struct mr_error *err);
/* Supervisor, after the loop died: ends all attempts that run (process trees included), clears ring and executors for the next
 * loop. Call after the ledger was read. */
enum mr_status pool_reset(struct pool *pool, struct mr_error *err);
void pool_stop(struct pool *pool);

#endif
