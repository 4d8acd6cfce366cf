/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_STORE_CALLS_H
#define CONSUMER_STORE_CALLS_H

#include "store/store.h"

/* The calls to Redis that the core makes, chosen at start: the real ones, or those of a simulation. Each is as in store.h. */
struct store_calls {
	__typeof__(store_claim) *claim;
	__typeof__(store_finish) *finish;
	__typeof__(store_release) *release;
	__typeof__(store_published) *published;
	__typeof__(store_view) *view;
	__typeof__(store_lease) *lease;
	__typeof__(store_lease_end) *lease_end;
	__typeof__(store_reassert) *reassert;
	__typeof__(store_offer) *offer;
	__typeof__(store_time_ms) *time_ms;
	__typeof__(store_time_upper_ms) *time_upper_ms;
};

extern const struct store_calls store_calls_redis;

#endif
