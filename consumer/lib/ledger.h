/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_LEDGER_H
#define CONSUMER_LEDGER_H

#include <stdatomic.h>

#include "store/store.h"

/*
 * The attempts that this worker has in hand, in memory shared by supervisor, loop and executors. It outlives the loop: when the
 * loop dies, the supervisor reads here what had been claimed and not started (and gives it back) and what was running (and lets
 * it count as lost).
 *
 * An entry is written before the claim is sent, so there is no claim of ours that the ledger does not know.
 *   FREE -> CLAIMING (loop, before the claim is sent) -> QUEUED (loop, claim granted, handed to the executor) -> STARTED
 * (executor, by compare-and-swap)
 *   -> ENDED (executor; CRASHED where that died) -> FREE (loop, once finish is answered).  QUEUED -> TAKEN (loop, by
 * compare-and-swap, taken back) -> FREE. CLAIMING -> FREE (not ours to run). State, owner and generation are one word, so that a
 * compare-and-swap is about exactly this attempt on exactly this executor, however late it comes.
 */
enum ledger_state {
	LEDGER_FREE,
	LEDGER_CLAIMING,
	LEDGER_QUEUED,
	LEDGER_TAKEN,
	LEDGER_STARTED,
	LEDGER_KILLED,  /* from STARTED (loop): its executor is to be killed and may not end it any more */
	LEDGER_CRASHED, /* from STARTED or KILLED (zygote, supervisor): its executor is gone, with all descendants */
	LEDGER_ENDED,
};

/* Key (two ids, percent-encoded: 1531), run and record id (coordinates: up to 280 each), nonce. */
#define LEDGER_TEXT_BYTES 2560

#define LEDGER_NOBODY (-1)

struct ledger_entry {
	_Atomic uint64_t word; /* generation << 32 | owner + 1 << 8 | state */
	int32_t cell;          /* QUEUED and later: its payload area (pool), else -1 */
	int32_t shard;
	int64_t epoch, attempt;
	int64_t lost;
	int64_t started_at_ms;           /* as in the claim's record */
	_Atomic int64_t started_mono_us; /* written by the executor right after STARTED; 0 before */
	_Atomic int64_t ended_mono_us;
	_Atomic int32_t wait_status; /* CRASHED: of the executor process */
	uint16_t key_len, run_len, nonce_len, record_len;
	bool journalled;
	char text[LEDGER_TEXT_BYTES];
};

static inline uint64_t ledger_word(uint32_t generation, int32_t owner, enum ledger_state state)
{
	return (uint64_t)generation << 32 | (uint64_t)(uint32_t)(owner + 1) << 8 | (uint64_t)state;
}
static inline enum ledger_state ledger_word_state(uint64_t word)
{
	return (enum ledger_state)(word & 0xff);
}
static inline int32_t ledger_word_owner(uint64_t word)
{
	return (int32_t)(word >> 8 & 0xffffff) - 1;
}
static inline uint32_t ledger_word_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}
static inline enum ledger_state ledger_state(const struct ledger_entry *entry)
{
	return ledger_word_state(atomic_load(&entry->word));
}
/* Handle = generation << 32 | index. */
static inline size_t ledger_handle_index(uint64_t handle)
{
	return (size_t)(handle & 0xffffffff);
}
static inline uint32_t ledger_handle_generation(uint64_t handle)
{
	return (uint32_t)(handle >> 32);
}

struct ledger; /* in shared memory */

size_t ledger_bytes(size_t entries);
/* `memory` is zeroed. */
struct ledger *ledger_init(void *memory, size_t entries);
/* A free entry turned CLAIMING with the token's fields, and its handle (never 0). False where all are in use. Loop only. */
bool ledger_reserve(struct ledger *ledger, const struct claim_token *token, uint64_t *ret_handle);
/* NULL where the handle is not current. */
struct ledger_entry *ledger_get(struct ledger *ledger, uint64_t handle);
/* The entry must be CLAIMING, TAKEN, ENDED or CRASHED. */
void ledger_free_entry(struct ledger *ledger, uint64_t handle);
/* Moves exactly this attempt from one state (and owner) to another; false where it is in another one. */
bool ledger_move(struct ledger *ledger, uint64_t handle, enum ledger_state from, int32_t from_owner, enum ledger_state to,
		 int32_t to_owner);
uint64_t ledger_handle_at(const struct ledger *ledger, size_t i);
/* After the loop died and the ledger was read: all entries are free, generations go on. Nobody else may use it meanwhile. */
void ledger_reset(struct ledger *ledger);
size_t ledger_free_count(const struct ledger *ledger);
/* The token as written, borrowed from the entry; `worker` is the caller's to fill. */
struct claim_token ledger_token(const struct ledger_entry *entry);
/* Iteration for supervisor and recovery: entry i of n. */
size_t ledger_size(const struct ledger *ledger);
struct ledger_entry *ledger_at(struct ledger *ledger, size_t i);

#endif
