/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METRICS_HEALTH_H
#define METRICS_HEALTH_H

#include <stdatomic.h>

#include "base/buf.h"

/* Whether a program is alive and ready, told by its loop and read by whoever answers /healthz and /readyz. Lies in shared memory. */

/* XX(id, text): why it is not ready. The text completes "not ready: ". */
#define HEALTH_MAP(XX)                                                                                                           \
	XX(STARTING, "it starts, and waits for Kafka and Redis")                                                                 \
	XX(LOOP_DIED, "the worker's loop died and is being started again")                                                       \
	XX(KAFKA, "Kafka cannot be reached")                                                                                     \
	XX(REDIS, "Redis does not answer")                                                                                       \
	XX(UNASSIGNED, "its consumer group has not assigned partitions yet")                                                     \
	XX(UNVOUCHED, "no scheduler has vouched for all data in Redis yet")                                                      \
	XX(RECOVERING, "shards are not ready")                                                                                   \
	XX(ENDING, "it ends")

enum health_reason {
#define XX(id, text) HEALTH_##id,
	HEALTH_MAP(XX)
#undef XX
};

/* A loop that has not turned for so long is stuck; it turns at least each 100 ms. */
#define HEALTH_STUCK_US (10 * 1000 * 1000)

struct health {
	_Atomic int64_t turned_mono_us; /* clock_mono_us of the last turn; 0 = it has not begun to turn */
	_Atomic uint32_t reasons;       /* bits 1 << enum health_reason; 0 = ready */
	_Atomic int32_t pid;            /* of the process with the loop; 0 = none */
};

#define HEALTH_BIT(id) (1u << HEALTH_##id)

/* The loop turns, and is not ready for these reasons (0: it is ready). */
static inline void health_turned(struct health *health, int64_t mono_us, uint32_t reasons)
{
	atomic_store_explicit(&health->turned_mono_us, mono_us, memory_order_relaxed);
	atomic_store_explicit(&health->reasons, reasons, memory_order_relaxed);
}

/* The loop does not turn: it has not begun yet, or is gone. Nobody waits for it to turn. */
void health_still(struct health *health, enum health_reason reason);

/* Both append one line that says why not, or "ok" / "ready". */
bool health_is_alive(const struct health *health, int64_t now_mono_us, struct buf *line);
bool health_is_ready(const struct health *health, int64_t now_mono_us, struct buf *line);

#endif
