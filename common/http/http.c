/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define CONNECTIONS_MAX 64u
#define CONNECTIONS_OF_ONE_MAX 16u
#define SILENT_S 10u
#define SERVE_RUNS_MAX 64
#define REQUEST_BYTES ((size_t)16 * 1024)

struct http {
	struct http_config config;
	struct MHD_Daemon *daemon;
	int listen_fd;
	int epoll_fd; /* without a thread of its own */
	int clients[CONNECTIONS_MAX];
	size_t n_clients;
	char url[64 + NI_MAXHOST];
};

/* ---- requests ---- */

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct http_reply *reply)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(reply->body.len, reply->body.data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	buf_deinit(&reply->body);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (reply->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, (unsigned)reply->status, response);
	MHD_destroy_response(response);
	return result;
}

static bool is_readable(const char *method)
{
	return !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
}

/* Called once when the headers are there, and again when the body is; a body is not read. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *data, size_t *data_bytes, void **seen)
{
	struct http *http = ctx;
	struct http_reply reply = {.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};

	(void)version;
	(void)data;
	if (!is_readable(method)) {
		reply.status = MHD_HTTP_METHOD_NOT_ALLOWED;
		buf_printf(&reply.body, "only GET and HEAD are answered here\n");
		return send_reply(connection, &reply);
	}
	if (!*seen) {
		*seen = http;
		return MHD_YES;
	}
	*data_bytes = 0;
	if (!http->config.page(http->config.ctx, url, &reply)) {
		reply.status = MHD_HTTP_NOT_FOUND;
		buf_reset(&reply.body);
		buf_printf(&reply.body, "there are %s\n", http->config.pages);
	}
	return send_reply(connection, &reply);
}

/* ---- fork ---- */

static struct http *forked; /* the server that children of this process inherit */

/* The connections would live as long as the child holds them, and the port would stay taken. */
static void close_in_child(void)
{
	if (!forked)
		return;
	for (size_t i = 0; i < forked->n_clients; i++)
		close(forked->clients[i]);
	close(forked->epoll_fd);
	close(forked->listen_fd);
	forked = NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_ctx,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http *http = ctx;
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

	(void)socket_ctx;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		assert(http->n_clients < CONNECTIONS_MAX);
		http->clients[http->n_clients++] = fd;
		return;
	}
	for (size_t i = 0; i < http->n_clients; i++)
		if (http->clients[i] == fd) {
			http->clients[i] = http->clients[--http->n_clients];
			return;
		}
}

static enum mr_status share_with_fork(struct http *http, struct mr_error *err)
{
	static bool registered;

	assert(!forked);
	if (!registered && pthread_atfork(NULL, NULL, close_in_child))
		return mr_error_set(err, MR_ENOMEM, "http", "pthread_atfork");
	registered = true;
	forked = http;
	return MR_OK;
}

/* ---- the server ---- */

static void set_url(struct http *http)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
	bool is_v6;

	if (!getsockname(http->listen_fd, (struct sockaddr *)&address, &len))
		getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	is_v6 = strchr(host, ':') != NULL;
	snprintf(http->url, sizeof(http->url), "http://%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

static struct MHD_Daemon *start_daemon(struct http *http)
{
	unsigned flags = MHD_USE_EPOLL | (http->config.own_thread ? MHD_USE_INTERNAL_POLLING_THREAD : 0);

	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, http->listen_fd,
				MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
				CONNECTIONS_OF_ONE_MAX, MHD_OPTION_CONNECTION_TIMEOUT, SILENT_S,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
				http, MHD_OPTION_END);
}

static enum mr_status open_daemon(struct http *http, struct mr_error *err)
{
	enum mr_status status = http_listen(http->config.address, &http->listen_fd, err);

	if (status)
		return status;
	set_url(http);
	http->daemon = start_daemon(http);
	if (!http->daemon)
		return mr_error_set(err, MR_ESYSTEM, "http", "the server does not start: %s", strerror(errno));
	if (http->config.own_thread)
		return MR_OK;
	http->epoll_fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	return share_with_fork(http, err);
}

enum mr_status http_start(const struct http_config *config, struct http **ret, struct mr_error *err)
{
	struct http *http = mem_alloc(sizeof(*http));
	enum mr_status status;

	http->config = *config;
	http->listen_fd = http->epoll_fd = -1;
	status = open_daemon(http, err);
	if (status)
		http_stop(http);
	else
		*ret = http;
	return status;
}

void http_stop(struct http *http)
{
	if (!http)
		return;
	if (http->daemon)
		MHD_stop_daemon(http->daemon); /* closes the listening socket too */
	else if (http->listen_fd >= 0)
		close(http->listen_fd);
	if (forked == http)
		forked = NULL;
	free(http);
}

int http_fd(const struct http *http)
{
	return http->epoll_fd;
}

void http_serve(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	/* One run is one step of each connection, and what is left to do is no news for the epoll. */
	for (size_t i = 0; i < SERVE_RUNS_MAX; i++) {
		MHD_run(http->daemon);
		if (MHD_get_timeout(http->daemon, &timeout_ms) != MHD_YES || timeout_ms > 0)
			return;
	}
}

const char *http_url(const struct http *http)
{
	return http->url;
}
