/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_FOUND_H
#define STORE_FOUND_H

#include "store/call.h"
#include "store/record.h"

/* A task as scripts tell it (scripts/_beside.lua, append_found): its record, its heartbeat, what commands have changed. */

/* Elements of a reply that are one task. */
#define FOUND_ELEMENTS 3

/* From elements at, at + 1 and at + 2 of the reply. Borrows from it; headers lie in the store's arena. False where one is no text
 * of ours. */
bool found_view(struct store *store, const redisReply *reply, size_t at, struct task_view *ret);

#endif
