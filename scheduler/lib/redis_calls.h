/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_REDIS_CALLS_H
#define SCHEDULER_REDIS_CALLS_H

#include "store/store.h"

/* The calls to Redis that the core makes, chosen at start: the real ones, or those of a simulation. Each is as in store.h. */
struct redis_calls {
	__typeof__(store_poll) *poll;
	__typeof__(store_deadline_us) *deadline_us;
	__typeof__(store_time_ms) *time_ms;
	__typeof__(store_look) *look;
	__typeof__(store_recover) *recover;
	__typeof__(store_restore) *restore;
	__typeof__(store_vouch) *vouch;
	__typeof__(store_tip) *tip;
	__typeof__(store_apply) *apply;
	__typeof__(store_fire) *fire;
	__typeof__(store_ahead) *ahead;
	__typeof__(store_sweep) *sweep;
	__typeof__(store_published) *published;
	__typeof__(store_finish) *finish;
	__typeof__(store_bury) *bury;
	__typeof__(store_expire) *expire;
	__typeof__(store_orphans) *orphans;
	__typeof__(store_due) *due;
	__typeof__(store_watch) *watch;
	__typeof__(store_unwatch) *unwatch;
	__typeof__(store_view) *view;
};

extern const struct redis_calls redis_calls_real;

#endif
