/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_STATE_H
#define TASK_STATE_H

#include "task/task.h"

/*
 * The states of a task as Redis keeps them, and every step between them: one table. The scripts in common/store/scripts do the
 * same steps in Redis; the tests hold both against each other.
 *
 * The table says what an event does to a state once its fence is checked; the fence itself (run, epoch, attempt, nonce) is
 * state_fence().
 */
enum task_state {
	/* Nothing is known. Next states: STARTED (claim), WAITING, BACKING_OFF or STARTED (replay of the journal), FINISHED (replay
	 * of results, a finish that is applied again, a schedule timeout). */
	STATE_NONE,
	/* Start delay, pause or a limit holds it back; the journal carries it. Next states: SCHEDULED, BACKING_OFF, FINISHED. */
	STATE_WAITING,
	/* An attempt lies in its task topic and nobody has it. Next states: STARTED, WAITING, FINISHED. */
	STATE_SCHEDULED,
	/* A worker holds an attempt. Next states: STARTED (lost: the next attempt), SCHEDULED (released), BACKING_OFF, WAITING,
	 * FINISHED. */
	STATE_STARTED,
	/* Between attempts; the journal carries it until its backoff is due. Next states: SCHEDULED, WAITING, FINISHED. */
	STATE_BACKING_OFF,
	/* Terminal: the result is stored. Next states: NONE (retention ended). */
	STATE_FINISHED,
};
#define STATES (STATE_FINISHED + 1)

enum task_event {
	EVENT_CLAIM,         /* claim: a record that may start the attempt that is due */
	EVENT_CLAIM_AGAIN,   /* claim: another record of the task, or the same one while its owner lives */
	EVENT_CLAIM_LOST,    /* claim: the same record; the lease of the owner is gone */
	EVENT_RELEASE,       /* release: given back before it started */
	EVENT_FINISH,        /* finish: by the token that holds the attempt */
	EVENT_APPLY_STARTED, /* apply: the attempt is parked */
	EVENT_APPLY_BACKOFF, /* apply: the attempt failed, the next one waits */
	EVENT_APPLY_WAITING, /* apply: held back */
	EVENT_FIRE,          /* fire: backoff or start delay is due */
	EVENT_TIME_OUT,      /* fire: a schedule timeout is due, or the owner of a parked attempt is gone for good */
	EVENT_CANCEL,        /* command: cancel */
	EVENT_REASSERT,      /* reassert: a running worker writes its claim back after a loss of Redis */
	EVENT_RESTORE,       /* restore: a result read from the log */
	EVENT_PUBLISHED,     /* published: the publication of this state is acknowledged */
	EVENT_EXPIRE,        /* expire: retention ended */
};
#define EVENTS (EVENT_EXPIRE + 1)

enum transition_kind {
	TRANSITION_MOVE,    /* to `next` */
	TRANSITION_FLAG,    /* stays, notes the wish (cancel_requested) or the news (parked, published) */
	TRANSITION_REPEAT,  /* stays: done already, answer as the first time */
	TRANSITION_WAIT,    /* stays: not now, ask again */
	TRANSITION_BUSY,    /* stays: another publication is in hand, its result will come */
	TRANSITION_STALE,   /* stays: the state is further than the event */
	TRANSITION_UNKNOWN, /* stays: refers to what is not there */
};

struct transition {
	enum transition_kind kind;
	enum task_state next; /* the state itself unless MOVE */
};

struct transition state_step(enum task_state state, enum task_event event);
const char *task_state_name(enum task_state state);
const char *task_event_name(enum task_event event);
/* The first byte of the record in Redis (store.h): R S B W F; 0 for NONE. */
char task_state_letter(enum task_state state);
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
/* The state that a journal record speaks of; false for kinds that speak of none (HEARTBEAT, CHECKPOINT). */
bool state_of_journal(enum journal_kind kind, enum task_state *ret);

#endif
