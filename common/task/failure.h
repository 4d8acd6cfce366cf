/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_FAILURE_H
#define TASK_FAILURE_H

#include "task/task.h"

/* What is remembered of a failure between attempts. The final failure of a task is never cut. */

/* `failure` in at most `max_bytes` of text and payload (its chain of causes included): messages are cut at the end of a UTF-8
 * character, details that do not fit are left out, causes beyond FAILURE_MAX_DEPTH or without room too. Borrows from `failure`,
 * new links come from the arena; returns `failure` itself where nothing had to go. */
const struct failure *failure_cut(const struct failure *failure, size_t max_bytes, struct arena *arena);

/* Bytes of text and payload in the chain. */
size_t failure_bytes(const struct failure *failure);

/* `former` and then `added`: at most FAILURE_HISTORY of them and FAILURE_KEEP_BYTES together; the oldest go first, and what is
 * left is cut. */
void attempt_failures_add(const struct attempt_failure *former, size_t n_former, const struct attempt_failure *added,
			  struct arena *arena, const struct attempt_failure **ret, size_t *ret_n);

/* The last of them that is no timeout, or NULL. */
const struct failure *attempt_failures_last_real(const struct attempt_failure *failures, size_t n);

/* What is said of an attempt whose worker is gone. */
struct failure failure_of_lost_worker(void);
/* A first loss is followed by the next attempt at once, by the claim, so that no record has told of it: adds the attempts from
 * `first` up to before `attempt` to `former` as lost, at most FAILURE_HISTORY of them. */
void attempt_failures_add_lost(int64_t first, int64_t attempt, int64_t at_ms, struct arena *arena,
			       const struct attempt_failure **failures, size_t *n);

#endif
