/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_PURGE_H
#define SCHEDULER_PURGE_H

#include "bus/topics.h"

/*
 * The purge of task topics, whose calls to Kafka block, on a thread of its own for each run. Its end is told by a file
 * descriptor.
 */
struct purge;

/* `spec` is borrowed and must outlive the purge. */
enum mr_status purge_new(const struct topics_spec *spec, struct purge **ret, struct mr_error *err);
/* Waits for the thread (bounded by the timeout of the specification). NULL is allowed. */
void purge_free(struct purge *purge);
/* Starts a run, unless one is under way. */
void purge_start(struct purge *purge);
/* Readable when a run has ended. */
int purge_fd(const struct purge *purge);
/* True where a run has ended since the last call; its report has been logged. */
bool purge_ended(struct purge *purge);

#endif
