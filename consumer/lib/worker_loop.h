/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_WORKER_LOOP_H
#define CONSUMER_WORKER_LOOP_H

#include "lib/pool.h"
#include "millrace/worker.h"
#include "program/program.h"

/* What the loop process does: connects everything, runs the core until it ends, and takes everything down in order. */
struct worker_setup {
	struct program_common common;
	const struct mr_worker_options *options; /* defaults filled in */
	struct mr_registry *registry;
	struct metrics *metrics;
	const char *identity; /* of the program, the same for all its incarnations */
	int wait_ms;          /* for Kafka and Redis at the start; < 0: for ever */
};

/* For supervisor_config.loop; ctx is a struct worker_setup. */
int worker_loop(void *ctx, struct pool *pool, const char *incarnation);

#endif
