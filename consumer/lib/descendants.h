/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_DESCENDANTS_H
#define CONSUMER_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The children of a child subreaper: its own and the orphans that came to it. Orphans are killed one generation after the other:
 * each kill hands the next one over. Single-threaded processes only.
 */
struct pids {
	pid_t *items;
	size_t len, cap;
};

void pids_deinit(struct pids *pids);
void pids_add(struct pids *pids, pid_t pid);
void pids_remove(struct pids *pids, pid_t pid);
bool pids_have(const struct pids *pids, pid_t pid);

/* The children of this process that live or wait to be reaped. False (errno) where /proc does not tell. */
bool descendants_list(struct pids *ret);
/* SIGKILL to every child for which `keep` is false. Returns how many there were (zombies too). */
size_t descendants_kill(bool (*keep)(void *ctx, pid_t pid), void *ctx);
/* True where this process has a child, dead or alive. */
bool descendants_any(void);
/* Kills and reaps until no child but those in `keep` (NULL: none) is left, or `timeout_ms` passed (a process that cannot die);
 * false then. */
bool descendants_end(const struct pids *keep, int timeout_ms);

#endif
