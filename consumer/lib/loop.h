/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_LOOP_H
#define CONSUMER_LOOP_H

#include "lib/worker.h"

/* The edge of the core: waits for its events, reads the clock and signals. One thread. */
struct loop {
	struct worker *worker;
	struct bus *const *buses;
	size_t n_buses;
	struct store *store;
	struct executor *executor;
	int signal_fd; /* SIGTERM and SIGINT drain; further ones are the supervisor's */
};

/* Until the worker has ended: why. */
enum worker_end loop_run(struct loop *loop);

#endif
