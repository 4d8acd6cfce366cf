/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_SUPERVISOR_H
#define CONSUMER_SUPERVISOR_H

#include "http/http.h"
#include "lib/pool.h"
#include "metrics/metrics.h"

/*
 * The process the user starts. It keeps a worker alive: forks zygote and loop, waits, passes SIGTERM and SIGINT on to the loop (a
 * second one ends everything at once), and when the loop dies unasked: gives back in Redis what was claimed and not started
 * (store_release), declares the incarnation dead in its shards (store_bury), resets the pool and forks a new loop (with a pause
 * that grows while it keeps dying). When the supervisor itself is killed, the kernel ends zygote, executors and loop
 * (PR_SET_PDEATHSIG).
 *
 * It also serves --http, since it lives longest: what the loop counts lies in memory that they share.
 */
#define SUPERVISOR_AGAIN 75 /* exit status of a loop that asks for a new incarnation at once (EX_TEMPFAIL) */

struct supervisor_config {
	struct pool *pool;
	struct store_config store;
	/* Runs the loop in the child; its return value is the exit status. `incarnation` is unique per fork: it names the worker
	 * in leases and claims. */
	int (*loop)(void *ctx, struct pool *pool, const char *incarnation);
	void *ctx;
	struct metrics *metrics;
	struct http *http;    /* served here; NULL = none */
	const char *identity; /* stable part of the incarnation: host-pid-random */
	int shards; /* number of shards (0: not known before the loop; then told by the loop through supervisor_tell_shards) */
};

/* Returns the exit status of the program. */
int supervisor_run(const struct supervisor_config *config);
/* Loop: tells the supervisor (through the pool) how many shards there are. */
void supervisor_tell_shards(struct pool *pool, int shards);

#endif
