/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_POOL_IMPL_H
#define CONSUMER_POOL_IMPL_H

/* Between pool, zygote, executors and supervisor; nobody else includes this. */

#include "lib/descendants.h"
#include "lib/executor.h"
#include "lib/pool.h"
#include "lib/ring.h"

#define POOL_MAX_SLOTS 1024 /* owners from here on are threads */
#define POOL_MAX_CELLS 4096
#define POOL_INLINE_BYTES 4096
#define POOL_BEAT_BYTES 4096
/* Beside the payload itself: ids, counts, the words of a failure. */
#define POOL_MESSAGE_EXTRA_BYTES 8192

/*
 * One attempt's memory: what it is told and what it answers. Small messages lie in the cell; larger ones in its large area, whose
 * pages exist only while they are used (an area each, so that no payload needs a memfd of its own to be made, passed and closed).
 */
struct cell {
	uint64_t handle;              /* loop */
	_Atomic uint32_t cancel;      /* enum cancel_reason; loop */
	uint64_t in_bytes;            /* loop */
	uint64_t out_bytes;           /* executor */
	_Atomic uint32_t beats;       /* executor: how many; the last one lies in beat[beats & 1], 0 = none */
	uint32_t beat_bytes[2];       /* 0 = a beat without details */
	_Atomic int64_t beat_mono_us; /* executor: when that was */
	_Atomic uint32_t tells_beat;  /* the next beat is to be told to the loop; set by the loop, cleared by the executor */
	_Alignas(64) char in[POOL_INLINE_BYTES];
	char out[POOL_INLINE_BYTES];
	char beat[2][POOL_BEAT_BYTES];
};

enum slot_state { SLOT_EMPTY, SLOT_STARTING, SLOT_READY };

struct slot {
	_Alignas(64) _Atomic uint32_t wake; /* futex; counts wakes */
	_Atomic uint32_t state;             /* enum slot_state; zygote, executor */
	_Atomic uint64_t kill;              /* handle of the attempt to kill; loop */
	_Atomic bool cancel_signalled;      /* its cancel fd may be readable */
};

struct pool_shared {
	_Atomic int32_t shards;  /* of the worker, told by the loop */
	_Atomic uint32_t armed;  /* the loop wants to be woken */
	_Atomic uint32_t deaths; /* executors that died, all in all */
	/* A bit an executor: sleeps. A bit a cell: something to tell the loop. Bits survive the death of who set them. */
	_Atomic uint64_t sleeping[POOL_MAX_SLOTS / 64];
	_Atomic uint64_t started[POOL_MAX_CELLS / 64];
	_Atomic uint64_t ended[POOL_MAX_CELLS / 64];
	_Atomic uint64_t beat[POOL_MAX_CELLS / 64];
	struct slot slots[POOL_MAX_SLOTS];
};

struct pool {
	struct pool_config config;
	size_t n_cells;
	size_t in_bytes, out_bytes; /* of a cell's large area, in whole pages */
	char *memory;
	size_t memory_bytes;
	struct pool_shared *shared;
	struct ring *ring;
	struct ledger *ledger;
	struct cell *cells;
	char *large;
	int loop_fd;          /* eventfd: the loop has events */
	int zygote_fd;        /* eventfd: the zygote has a kill to do */
	int *cancel_fds;      /* eventfd an executor */
	pid_t zygote;         /* supervisor: 0 = none */
	struct pids *foreign; /* supervisor: children that were there before and are not ours */
};

static inline char *pool_in(const struct pool *pool, size_t cell, size_t bytes)
{
	return bytes <= POOL_INLINE_BYTES ? pool->cells[cell].in : pool->large + cell * (pool->in_bytes + pool->out_bytes);
}
static inline char *pool_out(const struct pool *pool, size_t cell, size_t bytes)
{
	return bytes <= POOL_INLINE_BYTES ? pool->cells[cell].out
					  : pool->large + cell * (pool->in_bytes + pool->out_bytes) + pool->in_bytes;
}
static inline void bit_set(_Atomic uint64_t *bits, size_t i)
{
	atomic_fetch_or(&bits[i / 64], UINT64_C(1) << (i % 64));
}
static inline bool bit_clear(_Atomic uint64_t *bits, size_t i)
{
	uint64_t bit = UINT64_C(1) << (i % 64);

	return (atomic_fetch_and(&bits[i / 64], ~bit) & bit) != 0;
}

/* Wakes the loop if it has asked for that since its last poll; `always` where the asking may have been lost with a process. */
void pool_notify_loop(struct pool *pool, bool always);
/* Wakes one sleeping executor; nothing where none sleeps. */
void pool_wake_one(struct pool *pool);
void pool_wake_all(struct pool *pool);
/* Tells the executor of a running attempt that its cell's cancel is set. */
void pool_signal_cancel(struct pool *pool, size_t slot);
size_t pool_ready(const struct pool *pool);
/* Marks what executor `slot` (all: -1) was running as CRASHED, for the loop to see. The executor and its descendants must be
 * gone. */
void pool_mark_crashed(struct pool *pool, int32_t slot, int wait_status);
/* True where this pool runs executor processes: process isolation, or exec activities beside threads. */
bool pool_has_processes(const struct pool *pool);

/* zygote.c: never returns. */
_Noreturn void zygote_main(struct pool *pool, pid_t parent, int report_fd);
/* executor_child.c: never returns. */
_Noreturn void executor_child_main(struct pool *pool, size_t slot, pid_t parent);

/* Supervisor: the zygote was reaped; ends what is left of its tree and starts another. */
enum mr_status pool_zygote_died(struct pool *pool, int wait_status, struct mr_error *err);
pid_t pool_zygote_pid(const struct pool *pool);
/* Supervisor: this child is not of the zygote's tree (the loop), until it was reaped. */
void pool_spare(struct pool *pool, pid_t pid);
void pool_spare_no_more(struct pool *pool, pid_t pid);

#endif
