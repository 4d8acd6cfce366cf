/* SPDX-License-Identifier: Apache-2.0 */
#include "store/link.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifdef MR_HAVE_HIREDIS_SSL
#include <hiredis/hiredis_ssl.h>
#endif

/* What redisBufferRead takes at most at a time. */
#define READ_BYTES (16 * 1024)
/* So many reads in a row, so that one connection cannot hold the loop. */
#define READS_MAX 64

enum mr_status link_check(const struct redis_url *url, struct mr_error *err)
{
#ifndef MR_HAVE_HIREDIS_SSL
	if (url->tls)
		return mr_error_set(err, MR_EINVAL, "redis",
				    "rediss:// needs hiredis 1.0 or newer, built with TLS; expected redis:// or unix://");
#else
	(void)url;
	(void)err;
#endif
	return MR_OK;
}

static enum mr_status failed(const struct link *link, const char *what, struct mr_error *err)
{
	const char *why = link->redis && link->redis->errstr[0] ? link->redis->errstr : "connection lost";

	return mr_error_set(err, MR_EREDIS, "redis", "%s: %s", what, why);
}

enum mr_status link_open(struct link *link, const struct redis_url *url, struct mr_error *err)
{
	assert(!link->redis);
	link->redis = url->path ? redisConnectUnixNonBlock(url->path) : redisConnectNonBlock(url->host, url->port);
	link->connecting = true;
	link->unsent = false;
	if (!link->redis)
		return mr_error_set(err, MR_ENOMEM, "redis", "no memory for a connection");
	if (link->redis->err)
		return failed(link, "cannot connect", err);
	return MR_OK;
}

void link_close(struct link *link)
{
	if (link->redis)
		redisFree(link->redis);
	link->redis = NULL;
#ifdef MR_HAVE_HIREDIS_SSL
	if (link->tls)
		redisFreeSSLContext(link->tls);
#endif
	link->tls = NULL;
	link->connecting = link->unsent = false;
}

int link_fd(const struct link *link)
{
	return link->redis ? link->redis->fd : -1;
}

#ifdef MR_HAVE_HIREDIS_SSL
static enum mr_status tls_begin(struct link *link, const struct redis_url *url, struct mr_error *err)
{
	redisSSLContextError error = REDIS_SSL_CTX_NONE;

	const char *file = getenv("SSL_CERT_FILE"); /* as OpenSSL's own tools have it */

	redisInitOpenSSL();
	link->tls = redisCreateSSLContext(file, file ? NULL : "/etc/ssl/certs", NULL, NULL, url->host, &error);
	if (!link->tls)
		return mr_error_set(err, MR_EREDIS, "redis", "TLS: %s", redisSSLContextGetError(error));
	if (redisInitiateSSLWithContext(link->redis, link->tls) != REDIS_OK)
		return failed(link, "TLS", err);
	return MR_OK;
}
#endif

enum mr_status link_establish(struct link *link, const struct redis_url *url, bool *ret_done, struct mr_error *err)
{
	struct pollfd pollfd = {.fd = link_fd(link), .events = POLLOUT};
	int error = 0;
	socklen_t len = sizeof(error);

	*ret_done = false;
	if (poll(&pollfd, 1, 0) <= 0)
		return MR_OK;
	if (getsockopt(pollfd.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error)
		return mr_error_set(err, MR_EREDIS, "redis", "cannot connect: %s", strerror(error));
	link->connecting = false;
	*ret_done = true;
#ifdef MR_HAVE_HIREDIS_SSL
	if (url->tls)
		return tls_begin(link, url, err);
#else
	(void)url;
#endif
	return MR_OK;
}

void link_append(struct link *link, struct bytes request)
{
	redisAppendFormattedCommand(link->redis, request.data, request.len);
	link->unsent = true;
}

enum mr_status link_flush(struct link *link, struct mr_error *err)
{
	int done = 0;

	if (!link->unsent)
		return MR_OK;
	if (redisBufferWrite(link->redis, &done) != REDIS_OK)
		return failed(link, "cannot write", err);
	link->unsent = !done;
	return MR_OK;
}

enum mr_status link_read(struct link *link, struct mr_error *err)
{
	for (int i = 0; i < READS_MAX; i++) {
		size_t before = link->redis->reader->len;

		if (redisBufferRead(link->redis) != REDIS_OK)
			return failed(link, "cannot read", err);
		if (link->redis->reader->len < before + READ_BYTES)
			break;
	}
	return MR_OK;
}

enum mr_status link_reply(struct link *link, redisReply **ret, struct mr_error *err)
{
	void *reply = NULL;

	if (redisGetReplyFromReader(link->redis, &reply) != REDIS_OK)
		return failed(link, "answer that is not understood", err);
	*ret = reply;
	return MR_OK;
}
