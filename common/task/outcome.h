/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_OUTCOME_H
#define TASK_OUTCOME_H

#include "task/retry.h"

enum outcome_kind { OUTCOME_COMPLETED, OUTCOME_FAILED, OUTCOME_CANCELED, OUTCOME_PENDING };

/* How an attempt ended. A crash, a kill or an unknown type is an OUTCOME_FAILED with type ActivityCrashed, NotFound, ... */
struct outcome {
	enum outcome_kind kind;
	struct payload result;
	struct failure failure;
	struct payload heartbeat_details; /* the last details given, absent if none */
};

/* What the end of an attempt means for its task: pure. */
struct ending {
	const struct outcome *outcome; /* as the executor, or whoever ends it from outside, tells it */
	int64_t attempt;
	const struct retry_policy *policy; /* effective */
	enum timeout_type timed_out;       /* it used up this one; TIMEOUT_NONE */
	int64_t budget_ms;                 /* of that */
	bool never_started;                /* its time was over before */
	bool shut_down;                    /* it was told that the worker ends, or killed for it */
	bool lost;                         /* its worker is gone: the outcome says nothing */
	bool first_loss;                   /* and no attempt before it was lost: the next one follows at once */
	bool terminate_requested;          /* it ends whatever it was doing */
	bool cancel_requested;
	bool reset_requested;
	int64_t ended_at_ms;                /* Redis' clock */
	int64_t close_deadline_ms;          /* TASK_UNSET = none */
	const struct failure *last_failure; /* of a former attempt, or NULL */
};

struct verdict {
	bool retry;
	int64_t delay_ms;          /* where retry */
	enum result_status status; /* where not */
	enum retry_state retry_state;
	bool failed; /* `failure` is set */
	struct failure failure;
};

/* New failures come from the arena; others are borrowed. */
struct verdict outcome_decide(const struct ending *ending, struct arena *arena);

#endif
