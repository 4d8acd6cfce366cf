/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_LEDGER_H
#define CONSUMER_LEDGER_H

#include <stdatomic.h>

#include "store/store.h"

/*
 * The attempts that this worker has in hand, in memory shared by supervisor, loop and executors. It outlives the loop: when the loop dies, the supervisor
 * reads here what had been claimed and not started (and gives it back) and what was running (and lets it count as lost).
 *
 * An entry is written before the claim is sent, so there is no claim of ours that the ledger does not know.
 *   FREE -> CLAIMING (loop, before the claim is sent) -> QUEUED (loop, claim granted, handed to the executor) -> STARTED (executor, by compare-and-swap)
 *   -> ENDED (executor) -> FREE (loop, once finish is answered).  QUEUED -> TAKEN (loop, by compare-and-swap, taken back) -> FREE.  CLAIMING -> FREE (not ours to run).
 */
enum ledger_state { LEDGER_FREE, LEDGER_CLAIMING, LEDGER_QUEUED, LEDGER_TAKEN, LEDGER_STARTED, LEDGER_ENDED };

#define LEDGER_TEXT_BYTES 2048 /* key, run, nonce, record id; longer ones (percent-encoded ids) are refused as bad tasks before */

struct ledger_entry {
	_Atomic uint32_t state;
	uint32_t generation;             /* the upper half of the handle */
	int32_t shard;
	int32_t executor;                /* index of the executor process that runs it, -1 */
	int64_t epoch, attempt;
	int64_t lost;
	int64_t started_at_ms;           /* as in the claim's record */
	_Atomic int64_t started_mono_us; /* written by the executor before STARTED */
	_Atomic int64_t ended_mono_us;
	uint16_t key_len, run_len, nonce_len, record_len;
	bool journalled;
	char text[LEDGER_TEXT_BYTES];
};

struct ledger; /* in shared memory */

size_t ledger_bytes(size_t entries);
struct ledger *ledger_init(void *memory, size_t entries);
/* A free entry turned CLAIMING with the token's fields, and its handle (never 0). False where all are in use. Loop only. */
bool ledger_reserve(struct ledger *ledger, const struct claim_token *token, uint64_t *ret_handle);
/* NULL where the handle is not current. */
struct ledger_entry *ledger_get(struct ledger *ledger, uint64_t handle);
void ledger_free_entry(struct ledger *ledger, uint64_t handle);
size_t ledger_free_count(const struct ledger *ledger);
/* The token as written, borrowed from the entry; `worker` is the caller's to fill. */
struct claim_token ledger_token(const struct ledger_entry *entry);
/* Iteration for supervisor and recovery: entry i of n. */
size_t ledger_size(const struct ledger *ledger);
struct ledger_entry *ledger_at(struct ledger *ledger, size_t i);

#endif
