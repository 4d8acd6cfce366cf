/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_LEASES_H
#define SCHEDULER_LEASES_H

#include "base/map.h"
#include "store/store.h"

/*
 * Watches the workers. A lease is a counter that its worker raises; a worker is dead when none of its counters, in any shard
 * that is looked at here, has changed for a full lease period during which Redis answered. Only time that was seen counts: an
 * outage of Redis or a standstill of this process begins the period anew.
 */
struct leases;

struct leases_config {
	int shards;
	int64_t lease_us;
	/* Declares a worker dead. */
	void (*bury)(void *ctx, const char *worker);
	void *ctx;
};

struct leases *leases_new(const struct leases_config *config);
void leases_free(struct leases *leases);
/* What a look at a shard showed. `settled`: the shard's data is vouched for, so that a lease that is not there was given back. */
void leases_observe(struct leases *leases, int shard, const struct lease *seen, size_t n, bool settled, int64_t now_us);
/* A shard that is ours no more: its counters are not looked at. */
void leases_forget_shard(struct leases *leases, int shard);
/* A worker that somebody else declares dead. */
void leases_forget(struct leases *leases, const char *name);
/* Redis does not answer. */
void leases_outage(struct leases *leases);
/* Buries who is due. */
void leases_turn(struct leases *leases, int64_t now_us);
/* True where Redis has answered without a gap for a full lease period, so that what was not heard of was not told. */
bool leases_hears(const struct leases *leases, int64_t now_us);
/* True where this was watched without a gap for a full lease period until `until_us`, so that every worker is known. */
bool leases_knows(const struct leases *leases, int shard, int64_t until_us);
/* Calls back for every worker that used the shard and showed life within a lease period before `until_us`. */
void leases_living(const struct leases *leases, int shard, int64_t until_us, void (*each)(void *ctx, const char *worker),
		   void *ctx);
size_t leases_count(const struct leases *leases);

#endif
