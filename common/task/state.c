/* SPDX-License-Identifier: Apache-2.0 */
#include "task/state.h"

#include <assert.h>

/*
 * One line an event, one column a state. Apply on NONE is the replay of a shard whose data was lost; a finish on NONE, WAITING
 * or SCHEDULED comes from the scheduler, or from a worker that applies it again during recovery. Apply on FINISHED: a late record
 * of a worker that is gone; its tombstones are written again.
 */
/* clang-format off */
/* To another state, or to another attempt in the same one. */
#define STRT {TRANSITION_MOVE, STATE_STARTED}
#define PARK {TRANSITION_MOVE, STATE_PARKED}
#define PEND {TRANSITION_MOVE, STATE_PENDING}
#define SCHD {TRANSITION_MOVE, STATE_SCHEDULED}
#define BACK {TRANSITION_MOVE, STATE_BACKING_OFF}
#define WTNG {TRANSITION_MOVE, STATE_WAITING}
#define FNSH {TRANSITION_MOVE, STATE_FINISHED}
#define MARK {TRANSITION_MOVE, STATE_MARKED}
#define GONE {TRANSITION_MOVE, STATE_NONE}
/* It stays. */
#define FLAG {TRANSITION_FLAG, STATE_NONE}
#define TELL {TRANSITION_TELL, STATE_NONE}
#define SAME {TRANSITION_REPEAT, STATE_NONE}
#define WAIT {TRANSITION_WAIT, STATE_NONE}
#define BUSY {TRANSITION_BUSY, STATE_NONE}
#define OLD {TRANSITION_STALE, STATE_NONE}
#define UNKN {TRANSITION_UNKNOWN, STATE_NONE}

#define EVENT(name, none, marked, waiting, scheduled, started, parked, pending, backing_off, finished)       \
	[EVENT_##name] = {[STATE_NONE] = none,           [STATE_MARKED] = marked,                            \
			  [STATE_WAITING] = waiting,     [STATE_SCHEDULED] = scheduled,                      \
			  [STATE_STARTED] = started,     [STATE_PARKED] = parked,                            \
			  [STATE_PENDING] = pending,     [STATE_BACKING_OFF] = backing_off,                  \
			  [STATE_FINISHED] = finished}

static const struct transition table[EVENTS][STATES] = {
	/*                     NONE  MARK. WAIT. SCHED STRTD PARKD PEND. BACK. FINISHED */
	EVENT(CLAIM,           STRT, STRT, OLD,  STRT, SAME, SAME, SAME, OLD,  SAME),
	EVENT(CLAIM_SAME,      STRT, STRT, OLD,  STRT, WAIT, BUSY, BUSY, OLD,  SAME),
	EVENT(CLAIM_LOST,      STRT, STRT, OLD,  STRT, STRT, BUSY, BUSY, OLD,  SAME),
	EVENT(CLAIM_COPY,      STRT, STRT, BUSY, BUSY, BUSY, BUSY, BUSY, BUSY, SAME),
	EVENT(CLAIM_NEXT,      UNKN, OLD,  OLD,  OLD,  OLD,  OLD,  OLD,  OLD,  SAME),
	EVENT(RELEASE,         UNKN, OLD,  OLD,  SAME, SCHD, OLD,  OLD,  OLD,  OLD),
	EVENT(FINISH,          FNSH, FNSH, FNSH, FNSH, FNSH, FNSH, FNSH, OLD,  SAME),
	EVENT(FINISH_OTHER,    FNSH, FNSH, FNSH, FNSH, OLD,  OLD,  OLD,  OLD,  OLD),
	EVENT(END,             FNSH, FNSH, FNSH, FNSH, FNSH, FNSH, FNSH, FNSH, OLD),
	EVENT(APPLY_STARTED,   PARK, PARK, PARK, PARK, PARK, SAME, SAME, OLD,  OLD),
	EVENT(APPLY_PENDING,   PEND, PEND, PEND, PEND, PEND, PEND, SAME, OLD,  OLD),
	EVENT(APPLY_BACKOFF,   BACK, BACK, BACK, BACK, BACK, BACK, BACK, SAME, OLD),
	EVENT(APPLY_WAITING,   WTNG, WTNG, SAME, WTNG, OLD,  OLD,  OLD,  WTNG, OLD),
	EVENT(APPLY_HEARTBEAT, FLAG, FLAG, FLAG, FLAG, FLAG, FLAG, FLAG, FLAG, OLD),
	EVENT(CANCEL,          MARK, FLAG, TELL, TELL, FLAG, FLAG, TELL, TELL, OLD),
	EVENT(TERMINATE,       MARK, FLAG, TELL, TELL, TELL, TELL, TELL, TELL, OLD),
	EVENT(PAUSE,           MARK, FLAG, FLAG, FLAG, FLAG, FLAG, FLAG, FLAG, OLD),
	EVENT(UNPAUSE,         MARK, FLAG, FLAG, FLAG, FLAG, FLAG, FLAG, FLAG, OLD),
	EVENT(RESET,           MARK, FLAG, WTNG, FLAG, FLAG, FLAG, FLAG, BACK, OLD),
	EVENT(UPDATE,          MARK, FLAG, FLAG, FLAG, FLAG, FLAG, FLAG, FLAG, OLD),
	EVENT(FIRE,            UNKN, OLD,  SCHD, OLD,  OLD,  OLD,  OLD,  SCHD, OLD),
	EVENT(DUE_START,       TELL, TELL, OLD,  TELL, WAIT, OLD,  OLD,  OLD,  OLD),
	EVENT(DUE_CLOSE,       TELL, TELL, TELL, TELL, WAIT, OLD,  TELL, TELL, OLD),
	EVENT(DUE_HEARTBEAT,   UNKN, OLD,  OLD,  OLD,  OLD,  OLD,  TELL, OLD,  OLD),
	EVENT(ORPHAN,          UNKN, OLD,  OLD,  OLD,  OLD,  TELL, OLD,  OLD,  OLD),
	EVENT(SWEEP,           UNKN, OLD,  OLD,  TELL, OLD,  OLD,  OLD,  OLD,  TELL),
	EVENT(PUBLISHED,       UNKN, OLD,  OLD,  FLAG, FLAG, FLAG, FLAG, OLD,  FLAG),
	EVENT(REASSERT,        STRT, STRT, STRT, STRT, SAME, SAME, SAME, OLD,  OLD),
	EVENT(RESTORE,         FNSH, FNSH, FNSH, FNSH, FNSH, FNSH, FNSH, FNSH, SAME),
	EVENT(EXPIRE,          UNKN, GONE, OLD,  OLD,  OLD,  OLD,  OLD,  OLD,  GONE),
};

static const char *const event_names[EVENTS] = {
#define NAME(name) [EVENT_##name] = #name
	NAME(CLAIM), NAME(CLAIM_SAME), NAME(CLAIM_LOST), NAME(CLAIM_COPY), NAME(CLAIM_NEXT), NAME(RELEASE), NAME(FINISH),
	NAME(FINISH_OTHER), NAME(END), NAME(APPLY_STARTED), NAME(APPLY_PENDING), NAME(APPLY_BACKOFF), NAME(APPLY_WAITING),
	NAME(APPLY_HEARTBEAT), NAME(CANCEL), NAME(TERMINATE), NAME(PAUSE), NAME(UNPAUSE), NAME(RESET), NAME(UPDATE), NAME(FIRE),
	NAME(DUE_START), NAME(DUE_CLOSE), NAME(DUE_HEARTBEAT), NAME(ORPHAN), NAME(SWEEP), NAME(PUBLISHED), NAME(REASSERT),
	NAME(RESTORE), NAME(EXPIRE),
#undef NAME
};
/* clang-format on */

static const char *const kind_names[] = {
	[TRANSITION_MOVE] = "MOVE", [TRANSITION_FLAG] = "FLAG", [TRANSITION_TELL] = "TELL",   [TRANSITION_REPEAT] = "REPEAT",
	[TRANSITION_WAIT] = "WAIT", [TRANSITION_BUSY] = "BUSY", [TRANSITION_STALE] = "STALE", [TRANSITION_UNKNOWN] = "UNKNOWN",
};

static const struct {
	const char *name;
	char letter;
	int rank; /* within one attempt, what comes later in its life wins; a pause (WAITING) may follow a backoff */
} states[STATES] = {
	[STATE_NONE] = {"NONE", 0, 0},
	[STATE_MARKED] = {"MARKED", 'M', 0},
	[STATE_BACKING_OFF] = {"BACKING_OFF", 'B', 1},
	[STATE_WAITING] = {"WAITING", 'W', 2},
	[STATE_SCHEDULED] = {"SCHEDULED", 'S', 3},
	[STATE_STARTED] = {"STARTED", 'R', 4},
	[STATE_PARKED] = {"PARKED", 'R', 4},
	[STATE_PENDING] = {"PENDING", 'R', 4},
	[STATE_FINISHED] = {"FINISHED", 'F', 5},
};

struct transition state_step(enum task_state state, enum task_event event)
{
	assert((size_t)state < STATES && (size_t)event < EVENTS);
	struct transition step = table[event][state];

	if (step.kind != TRANSITION_MOVE)
		step.next = state;
	return step;
}

const char *transition_kind_name(enum transition_kind kind)
{
	assert((size_t)kind < sizeof(kind_names) / sizeof(kind_names[0]));
	return kind_names[kind];
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
		*ret = STATE_PARKED;
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
