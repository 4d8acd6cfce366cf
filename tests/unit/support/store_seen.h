/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_STORE_SEEN_H
#define SUPPORT_STORE_SEEN_H

#include "support/store_fixture.h"

/* Blocking calls of the store that find tasks: what they tell, as texts to compare. */

/* The view of a task of FX_SHARD; its texts live in fx->arena. */
struct task_view fx_view(struct fixture *fx, const char *key);

struct seen_tasks {
	char keys[512]; /* "a b c" */
	char next[300];
	char worker[32]; /* of the last one */
	size_t n;
};
/* Parked attempts of dead workers, under the fixture's nonce. */
struct seen_tasks fx_orphans(struct fixture *fx, const char *after, int limit);
enum mr_status fx_orphans_status(struct fixture *fx, const char *nonce);

struct seen_timers {
	/* One "kind key run epoch attempt place;" each: kind s, c or h. */
	char timers[1024];
	size_t n;
	int64_t next_due_ms;
	enum view_state state; /* of the last one's task */
	int64_t due_ms;        /* of the last one */
};
struct seen_timers fx_due(struct fixture *fx, int limit);
enum mr_status fx_due_status(struct fixture *fx, const char *nonce);
/* Arms or forgets a timer of task "k", run "run". */
enum mr_status fx_watch(struct fixture *fx, const char *nonce, enum timer_kind kind, int64_t epoch, int64_t attempt,
			const char *place, int64_t due_ms);
enum mr_status fx_unwatch(struct fixture *fx, const char *nonce, enum timer_kind kind, int64_t epoch, int64_t attempt,
			  const char *place);

#endif
