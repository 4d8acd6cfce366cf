/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_CONN_H
#define STORE_CONN_H

#include "store/store_impl.h"

/* The ways of calls over the connection: conn.c advances them (store_poll, store_deadline_us). */

void call_list_append(struct call_list *list, struct call *call);
struct call *call_list_take(struct call_list *list);
/* Fails every call and closes. */
void conn_free(struct store *store);

#endif
