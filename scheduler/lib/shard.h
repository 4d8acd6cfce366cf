/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_SHARD_H
#define SCHEDULER_SHARD_H

#include "base/buf.h"
#include "base/map.h"
#include "lib/cursor.h"
#include "store/store.h"

/*
 * One shard: a partition of the journal and what Redis keeps of its tasks. Its owner walks this machine; every answer of Redis
 * that belongs to a former walk (another `generation`) is ignored.
 */
enum shard_phase {
	/* Another scheduler's, or nobody's. Next states: LOOKING. */
	PHASE_UNOWNED,
	/* Asks Redis whether its data may be used. Next states: READY, NONCE. */
	PHASE_LOOKING,
	/* Recovery 1: writes the nonce under which workers re-assert. Next states: BARRIER; READY (somebody else has vouched
	 * meanwhile). */
	PHASE_NONCE,
	/* Recovery 2: waits for the workers. Next states: ENDS. */
	PHASE_BARRIER,
	/* Recovery 3: asks where results and journal end now. Next states: RESULTS. */
	PHASE_ENDS,
	/* Recovery 4: replays results. Next states: JOURNAL. */
	PHASE_RESULTS,
	/* Recovery 4: replays the journal. Next states: VOUCH. */
	PHASE_JOURNAL,
	/* Recovery 5: vouches. Next states: READY. */
	PHASE_VOUCH,
	/* Applies, fires, sweeps. */
	PHASE_READY,
	/* From every state but UNOWNED: LOOKING (Redis' data changed, a conflict) and UNOWNED (revoked). */
};

#define SHARD_NONCE_BYTES 64

/* What a recovery remembers. */
struct recovery {
	char **known; /* workers that lived when the data was lost and have not shown the nonce since */
	size_t n_known;
	bool knows;          /* `known` is complete: this scheduler has watched for a full lease period */
	int64_t barrier_us;  /* since when Redis answers under the nonce */
	int64_t answered_us; /* the last such answer */
	int64_t warned_us;
	bool waiting;    /* the last answer showed a worker that has not re-asserted */
	int64_t told_us; /* the last line of progress */
	struct cursor results;
	int64_t results_first; /* where the replay began, -1: at the beginning */
	uint64_t replayed_results, replayed_journal;
	bool restoring; /* a call is under way */
	int64_t started_us;
};

struct commands;

struct shard {
	struct scheduler *s;
	int id;
	enum shard_phase phase;
	uint32_t generation;
	int64_t retry_us;   /* LOOKING: not before */
	bool looking;       /* a look is under way */
	int64_t look_us;    /* READY and recovery: when the next look is due */
	int64_t ready_us;   /* when Redis last said that the data is vouched for */
	int64_t listens_us; /* READY: since when journal and commands are read without a gap */
	char nonce[SHARD_NONCE_BYTES + 1];

	struct cursor journal;
	int64_t stored_offset; /* in Redis: `from` of the next apply */
	bool seek_wanted;      /* the reader must be set to journal.position */
	bool applying;

	struct commands *commands;
	int64_t control_position; /* commands before it are done; -1 before the first */
	int64_t control_stored;   /* the checkpoint in Redis */
	int64_t committed;        /* journal offset last committed to the group, for the display of lag only */
	int64_t control_committed;

	struct alarm {
		int64_t next_ms; /* -1: nothing waits */
		bool calling;
		int64_t not_before_us;
	} backoff, timeouts;

	/* What will be due in the backoff set is looked for before, from `next` on. */
	struct {
		struct ahead_place next;
		bool calling;
		int64_t not_before_us;
	} ahead;

	bool orphaning; /* a call is under way */
	int64_t orphans_us;
	struct buf orphans_after; /* where the walk goes on */

	int64_t outbox;                   /* entries at the last look */
	int64_t timers[STORE_TIMER_SETS]; /* the same of the timer sets */
	bool sweeping;
	int64_t sweep_us;

	bool tipping;
	bool expiring;
	int64_t expire_us;

	struct map jobs;    /* task key -> struct job: what is being published */
	struct map endings; /* task key -> struct end: what is being ended from outside (ending.h) */
	struct recovery recovery;
};

void shard_init(struct shard *shard, struct scheduler *s, int id);
void shard_deinit(struct shard *shard);
void shard_assigned(struct shard *shard);
void shard_revoked(struct shard *shard);
/* Starts the walk again, after `pause_us`. */
void shard_look_again(struct shard *shard, int64_t pause_us, const char *reason);
/* The machine alone changes the phase. */
void shard_change(struct shard *shard, enum shard_phase phase);
/* Redis vouches for its data, as `status` says (after a look, or a vouch of ours). */
void shard_become_ready(struct shard *shard, const struct shard_status *status);
/* Our vouching was accepted. */
void shard_vouched(struct shard *shard);
void shard_turn(struct shard *shard);
int64_t shard_deadline_us(const struct shard *shard);
/* Kafka was away, or this process stood still: what was read may not be the end any more. */
void shard_doubt(struct shard *shard);
const char *shard_phase_name(enum shard_phase phase);

static inline bool shard_owned(const struct shard *shard)
{
	return shard->phase != PHASE_UNOWNED;
}

/* The context of a call to Redis: what it was about, and which walk of the shard made it. */
struct shard_call {
	struct shard *shard;
	uint32_t generation;
};
struct shard_call *shard_call_new(struct shard *shard);
/* Frees the context; NULL where the walk is over and the answer must be ignored. */
struct shard *shard_call_end(void *ctx);
/* False where the call was not taken (too many wait for Redis): the context is freed, the caller tries again later. */
bool shard_called(struct shard_call *call, enum mr_status status);

#endif
