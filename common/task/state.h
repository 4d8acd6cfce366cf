/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_STATE_H
#define TASK_STATE_H

#include "task/task.h"

/*
 * The states of a task as Redis keeps them, and every step between them: one table. The scripts in common/store/scripts do the
 * same steps in Redis, one script a transition; tests/unit/store/test_states.c walks every pair of both.
 *
 * The table says what an event does to a state once its fence is checked; the fence itself (run, epoch, attempt, nonce) is
 * state_fence(). What commands have asked for (cancel, terminate, pause, reset, options) are flags of a state: they make a claim
 * answer HOLD or CANCELED, keep a task that waits from firing, and end it.
 */
enum task_state {
	/* Nothing is known. Next states: STARTED (claim), MARKED (command), WAITING, BACKING_OFF, PARKED or PENDING (replay of the
	 * journal), FINISHED (replay of results, a finish that is applied again, a schedule timeout). */
	STATE_NONE,
	/* Only commands are known. Next states: STARTED, WAITING (its first claim was held), FINISHED, NONE (no task came). */
	STATE_MARKED,
	/* Start delay, pause, changed options or a limit hold it back; the journal carries it. Next states: SCHEDULED, BACKING_OFF,
	 * FINISHED. */
	STATE_WAITING,
	/* An attempt lies in its task topic and nobody has it. Next states: STARTED, WAITING, FINISHED. */
	STATE_SCHEDULED,
	/* A worker holds an attempt. Next states: PARKED, PENDING, STARTED (lost: the next attempt), SCHEDULED or NONE (released),
	 * BACKING_OFF, WAITING, FINISHED. */
	STATE_STARTED,
	/* A worker runs an attempt that the journal carries. Next states: PENDING, BACKING_OFF, WAITING, FINISHED. */
	STATE_PARKED,
	/* Nobody runs the attempt: its end will be told from outside (asynchronous completion), or its timers end it. Next states:
	 * BACKING_OFF, FINISHED. */
	STATE_PENDING,
	/* Between attempts; the journal carries it until its backoff is due. Next states: SCHEDULED, WAITING, FINISHED. */
	STATE_BACKING_OFF,
	/* Terminal: the result is stored. Next states: NONE (retention ended), STARTED (another run, where the policy allows it). */
	STATE_FINISHED,
};
#define STATES (STATE_FINISHED + 1)

enum task_event {
	EVENT_CLAIM,           /* claim: a record that may start the attempt that is due; or again by the same nonce */
	EVENT_CLAIM_SAME,      /* claim: the very record that is known, by another nonce; its owner lives */
	EVENT_CLAIM_LOST,      /* claim: the same; the lease of its owner is gone */
	EVENT_CLAIM_COPY,      /* claim: another publication of the task, a run of its own */
	EVENT_CLAIM_NEXT,      /* claim: a record of an attempt that was not dispatched */
	EVENT_RELEASE,         /* release: given back before it started */
	EVENT_FINISH,          /* finish: by the token that holds the attempt */
	EVENT_FINISH_OTHER,    /* finish: the same attempt by another nonce */
	EVENT_END,             /* finish: by the scheduler, for what it found: cancel, timeout, loss, asynchronous completion */
	EVENT_APPLY_STARTED,   /* apply: the attempt is parked */
	EVENT_APPLY_PENDING,   /* apply: the attempt goes on without a worker */
	EVENT_APPLY_BACKOFF,   /* apply: the attempt failed, the next one waits */
	EVENT_APPLY_WAITING,   /* apply: the attempt is held back */
	EVENT_APPLY_HEARTBEAT, /* apply: the last details of the attempt; of a former one that there is such a record */
	EVENT_CANCEL,          /* apply: what commands ask for */
	EVENT_TERMINATE,
	EVENT_PAUSE,
	EVENT_UNPAUSE,
	EVENT_RESET,
	EVENT_UPDATE,
	EVENT_FIRE,          /* fire: backoff or start delay is due */
	EVENT_DUE_START,     /* due: schedule-to-start is over */
	EVENT_DUE_CLOSE,     /* due: schedule-to-close, or the time of an attempt without a worker, is over */
	EVENT_DUE_HEARTBEAT, /* due: no heartbeat of an attempt without a worker in time */
	EVENT_ORPHAN,        /* orphans: the lease of the worker that parked it is gone */
	EVENT_SWEEP,         /* sweep: in the outbox for too long */
	EVENT_PUBLISHED,     /* published: the publication of this state is acknowledged */
	EVENT_REASSERT,      /* reassert: a running worker writes its claim back after a loss of Redis */
	EVENT_RESTORE,       /* restore: a result read from the log */
	EVENT_EXPIRE,        /* expire: retention ended */
};
#define EVENTS (EVENT_EXPIRE + 1)

enum transition_kind {
	TRANSITION_MOVE,    /* to `next`; to itself: another attempt */
	TRANSITION_FLAG,    /* stays, notes the wish (cancel_requested) or the news (heartbeat, published) */
	TRANSITION_TELL,    /* stays: the scheduler is told, who ends or publishes it */
	TRANSITION_REPEAT,  /* stays: done already, answered as the first time */
	TRANSITION_WAIT,    /* stays: not now, ask again */
	TRANSITION_BUSY,    /* stays: another publication is in hand, its result will come */
	TRANSITION_STALE,   /* stays: the state is further than the event, or not one that it is for */
	TRANSITION_UNKNOWN, /* stays: refers to what is not there */
};

struct transition {
	enum transition_kind kind;
	enum task_state next; /* the state itself unless MOVE */
};

struct transition state_step(enum task_state state, enum task_event event);
const char *task_state_name(enum task_state state);
const char *task_event_name(enum task_event event);
const char *transition_kind_name(enum transition_kind kind);
/* The first byte of the record in Redis (store.h): R S B W M F; 0 for NONE. PARKED and PENDING are R with a flag, and without an
 * owner. */
char task_state_letter(enum task_state state);
/* STARTED for R. */
bool task_state_parse(char letter, enum task_state *ret);

/* Where a fact stands in the life of one run. Facts of one run are ordered by (epoch, attempt, phase), the highest is the truth. */
struct fence {
	int64_t epoch;
	int64_t attempt;
	enum task_state phase;
};

/* < 0: a is older than b, 0: the same fact, > 0: newer. Facts of different runs are not comparable: the caller looks at run_id
 * first. */
int state_fence(const struct fence *a, const struct fence *b);
/* The state that a journal record speaks of; false for kinds that speak of none (HEARTBEAT, CHECKPOINT, COMMAND). */
bool state_of_journal(enum journal_kind kind, enum task_state *ret);

#endif
