/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_LINK_H
#define STORE_LINK_H

#include <hiredis/hiredis.h>

#include "base/bytes.h"
#include "store/redis_url.h"

/* One non-blocking connection to Redis: bytes out, replies in. No retries, no knowledge of calls. */
struct link {
	redisContext *redis;
	bool connecting;
	bool unsent; /* hiredis holds bytes that the socket did not take */
	void *tls;
};

/* MR_EINVAL where the URL asks for TLS and hiredis has none. */
enum mr_status link_check(const struct redis_url *url, struct mr_error *err);
/* Begins to connect. A host name is looked up by the system's resolver, at once. */
enum mr_status link_open(struct link *link, const struct redis_url *url, struct mr_error *err);
void link_close(struct link *link);
static inline bool link_is_open(const struct link *link)
{
	return link->redis != NULL;
}
int link_fd(const struct link *link);
/* After link_open: MR_OK and *ret_done once connected. */
enum mr_status link_establish(struct link *link, const struct redis_url *url, bool *ret_done, struct mr_error *err);
void link_append(struct link *link, struct bytes request);
/* Writes what the socket takes. */
enum mr_status link_flush(struct link *link, struct mr_error *err);
/* Reads what is there. */
enum mr_status link_read(struct link *link, struct mr_error *err);
/* The next whole reply that was read, or *ret = NULL; the caller frees it. */
enum mr_status link_reply(struct link *link, redisReply **ret, struct mr_error *err);

#endif
