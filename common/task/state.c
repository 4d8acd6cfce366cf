/* SPDX-License-Identifier: Apache-2.0 */
#include "task/state.h"

#include <assert.h>

/* clang-format off */
#define MOVE(state) {TRANSITION_MOVE, STATE_##state}
#define FLAG {TRANSITION_FLAG, STATE_NONE}
#define REPEAT {TRANSITION_REPEAT, STATE_NONE}
#define WAIT {TRANSITION_WAIT, STATE_NONE}
#define BUSY {TRANSITION_BUSY, STATE_NONE}
#define STALE {TRANSITION_STALE, STATE_NONE}
#define UNKNOWN {TRANSITION_UNKNOWN, STATE_NONE}

/*
 * A claim of a finished task is answered with the stored result (REPEAT). Apply on NONE is the replay of a shard whose data was
 * lost. A finish on NONE comes from a worker that re-applies it during recovery. Apply on FINISHED: a late record of a worker that is
 * gone; the tombstone is written again.
 */
static const struct transition table[STATES][EVENTS] = {
	[STATE_NONE] = {
		[EVENT_CLAIM] = MOVE(STARTED),
		[EVENT_CLAIM_AGAIN] = UNKNOWN,
		[EVENT_CLAIM_LOST] = UNKNOWN,
		[EVENT_RELEASE] = UNKNOWN,
		[EVENT_FINISH] = MOVE(FINISHED),
		[EVENT_APPLY_STARTED] = MOVE(STARTED),
		[EVENT_APPLY_BACKOFF] = MOVE(BACKING_OFF),
		[EVENT_APPLY_WAITING] = MOVE(WAITING),
		[EVENT_FIRE] = UNKNOWN,
		[EVENT_TIME_OUT] = MOVE(FINISHED),
		[EVENT_CANCEL] = FLAG,
		[EVENT_REASSERT] = MOVE(STARTED),
		[EVENT_RESTORE] = MOVE(FINISHED),
		[EVENT_PUBLISHED] = UNKNOWN,
		[EVENT_EXPIRE] = REPEAT,
	},
	[STATE_WAITING] = {
		[EVENT_CLAIM] = BUSY,
		[EVENT_CLAIM_AGAIN] = BUSY,
		[EVENT_CLAIM_LOST] = BUSY,
		[EVENT_RELEASE] = STALE,
		[EVENT_FINISH] = STALE,
		[EVENT_APPLY_STARTED] = STALE,
		[EVENT_APPLY_BACKOFF] = MOVE(BACKING_OFF),
		[EVENT_APPLY_WAITING] = REPEAT,
		[EVENT_FIRE] = MOVE(SCHEDULED),
		[EVENT_TIME_OUT] = MOVE(FINISHED),
		[EVENT_CANCEL] = MOVE(FINISHED),
		[EVENT_REASSERT] = STALE,
		[EVENT_RESTORE] = MOVE(FINISHED),
		[EVENT_PUBLISHED] = STALE,
		[EVENT_EXPIRE] = STALE,
	},
	[STATE_SCHEDULED] = {
		[EVENT_CLAIM] = MOVE(STARTED),
		[EVENT_CLAIM_AGAIN] = BUSY,
		[EVENT_CLAIM_LOST] = MOVE(STARTED),
		[EVENT_RELEASE] = REPEAT,
		[EVENT_FINISH] = STALE,
		[EVENT_APPLY_STARTED] = STALE,
		[EVENT_APPLY_BACKOFF] = STALE,
		[EVENT_APPLY_WAITING] = MOVE(WAITING),
		[EVENT_FIRE] = REPEAT,
		[EVENT_TIME_OUT] = MOVE(FINISHED),
		[EVENT_CANCEL] = MOVE(FINISHED),
		[EVENT_REASSERT] = MOVE(STARTED),
		[EVENT_RESTORE] = MOVE(FINISHED),
		[EVENT_PUBLISHED] = FLAG,
		[EVENT_EXPIRE] = STALE,
	},
	[STATE_STARTED] = {
		[EVENT_CLAIM] = REPEAT,
		[EVENT_CLAIM_AGAIN] = WAIT,
		[EVENT_CLAIM_LOST] = MOVE(STARTED),
		[EVENT_RELEASE] = MOVE(SCHEDULED),
		[EVENT_FINISH] = MOVE(FINISHED),
		[EVENT_APPLY_STARTED] = FLAG,
		[EVENT_APPLY_BACKOFF] = MOVE(BACKING_OFF),
		[EVENT_APPLY_WAITING] = MOVE(WAITING),
		[EVENT_FIRE] = STALE,
		[EVENT_TIME_OUT] = MOVE(FINISHED),
		[EVENT_CANCEL] = FLAG,
		[EVENT_REASSERT] = REPEAT,
		[EVENT_RESTORE] = MOVE(FINISHED),
		[EVENT_PUBLISHED] = STALE,
		[EVENT_EXPIRE] = STALE,
	},
	[STATE_BACKING_OFF] = {
		[EVENT_CLAIM] = STALE,
		[EVENT_CLAIM_AGAIN] = BUSY,
		[EVENT_CLAIM_LOST] = STALE,
		[EVENT_RELEASE] = STALE,
		[EVENT_FINISH] = STALE,
		[EVENT_APPLY_STARTED] = STALE,
		[EVENT_APPLY_BACKOFF] = REPEAT,
		[EVENT_APPLY_WAITING] = MOVE(WAITING),
		[EVENT_FIRE] = MOVE(SCHEDULED),
		[EVENT_TIME_OUT] = MOVE(FINISHED),
		[EVENT_CANCEL] = MOVE(FINISHED),
		[EVENT_REASSERT] = STALE,
		[EVENT_RESTORE] = MOVE(FINISHED),
		[EVENT_PUBLISHED] = STALE,
		[EVENT_EXPIRE] = STALE,
	},
	[STATE_FINISHED] = {
		[EVENT_CLAIM] = REPEAT,
		[EVENT_CLAIM_AGAIN] = REPEAT,
		[EVENT_CLAIM_LOST] = REPEAT,
		[EVENT_RELEASE] = STALE,
		[EVENT_FINISH] = REPEAT,
		[EVENT_APPLY_STARTED] = STALE,
		[EVENT_APPLY_BACKOFF] = STALE,
		[EVENT_APPLY_WAITING] = STALE,
		[EVENT_FIRE] = STALE,
		[EVENT_TIME_OUT] = STALE,
		[EVENT_CANCEL] = STALE,
		[EVENT_REASSERT] = STALE,
		[EVENT_RESTORE] = REPEAT,
		[EVENT_PUBLISHED] = FLAG,
		[EVENT_EXPIRE] = MOVE(NONE),
	},
};
/* clang-format on */

static const struct {
	const char *name;
	char letter;
	int rank; /* within one attempt, what comes later in its life wins; a pause (WAITING) may follow a backoff */
} states[STATES] = {
	[STATE_NONE] = {"NONE", 0, 0},         [STATE_BACKING_OFF] = {"BACKING_OFF", 'B', 1},
	[STATE_WAITING] = {"WAITING", 'W', 2}, [STATE_SCHEDULED] = {"SCHEDULED", 'S', 3},
	[STATE_STARTED] = {"STARTED", 'R', 4}, [STATE_FINISHED] = {"FINISHED", 'F', 5},
};

static const char *const event_names[EVENTS] = {
	[EVENT_CLAIM] = "CLAIM",
	[EVENT_CLAIM_AGAIN] = "CLAIM_AGAIN",
	[EVENT_CLAIM_LOST] = "CLAIM_LOST",
	[EVENT_RELEASE] = "RELEASE",
	[EVENT_FINISH] = "FINISH",
	[EVENT_APPLY_STARTED] = "APPLY_STARTED",
	[EVENT_APPLY_BACKOFF] = "APPLY_BACKOFF",
	[EVENT_APPLY_WAITING] = "APPLY_WAITING",
	[EVENT_FIRE] = "FIRE",
	[EVENT_TIME_OUT] = "TIME_OUT",
	[EVENT_CANCEL] = "CANCEL",
	[EVENT_REASSERT] = "REASSERT",
	[EVENT_RESTORE] = "RESTORE",
	[EVENT_PUBLISHED] = "PUBLISHED",
	[EVENT_EXPIRE] = "EXPIRE",
};

struct transition state_step(enum task_state state, enum task_event event)
{
	assert((size_t)state < STATES && (size_t)event < EVENTS);
	struct transition step = table[state][event];

	if (step.kind != TRANSITION_MOVE)
		step.next = state;
	return step;
}

const char *task_state_name(enum task_state state)
{
	assert((size_t)state < STATES);
	return states[state].name;
}

const char *task_event_name(enum task_event event)
{
	assert((size_t)event < EVENTS);
	return event_names[event];
}

char task_state_letter(enum task_state state)
{
	assert((size_t)state < STATES);
	return states[state].letter;
}

bool task_state_parse(char letter, enum task_state *ret)
{
	for (int i = STATE_NONE + 1; i < STATES; i++) {
		if (states[i].letter == letter) {
			*ret = (enum task_state)i;
			return true;
		}
	}
	return false;
}

static int compare(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

int state_fence(const struct fence *a, const struct fence *b)
{
	assert((size_t)a->phase < STATES && (size_t)b->phase < STATES);
	/* Terminal wins over all, whatever attempt it was. */
	if ((a->phase == STATE_FINISHED) != (b->phase == STATE_FINISHED) && a->epoch == b->epoch)
		return a->phase == STATE_FINISHED ? 1 : -1;
	if (a->epoch != b->epoch)
		return compare(a->epoch, b->epoch);
	if (a->attempt != b->attempt)
		return compare(a->attempt, b->attempt);
	return compare(states[a->phase].rank, states[b->phase].rank);
}

bool state_of_journal(enum journal_kind kind, enum task_state *ret)
{
	switch (kind) {
	case JOURNAL_WAITING:
		*ret = STATE_WAITING;
		return true;
	case JOURNAL_STARTED:
		*ret = STATE_STARTED;
		return true;
	case JOURNAL_BACKOFF:
		*ret = STATE_BACKING_OFF;
		return true;
	case JOURNAL_HEARTBEAT:
	case JOURNAL_CHECKPOINT:
	case JOURNAL_COMMAND:
		return false;
	}
	return false;
}
