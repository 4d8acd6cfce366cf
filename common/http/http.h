/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "millrace/status.h"

/*
 * A small HTTP server for pages that are made anew for each request (GET and HEAD). The only one that knows libmicrohttpd. What
 * clients send is bounded: connections (64, and 16 of one address), the bytes of a request, and how long a silent one stays (10 s);
 * nothing they do makes anybody wait.
 */
struct http;

struct http_reply {
	int status; /* 200 unless the page sets another one */
	const char *content_type;
	struct buf body;
};
/* Fills in the reply; false: there is no such page. Called in http_serve(), or in the server's own thread. */
typedef bool http_page_fn(void *ctx, const char *path, struct http_reply *reply);

struct http_config {
	const char *address; /* HOST:PORT, [IPv6]:PORT or :PORT (all addresses); port 0 = a free one */
	bool own_thread;     /* else whoever starts it waits for http_fd() and calls http_serve() */
	const char *pages;   /* what there is, for those who ask for something else */
	http_page_fn *page;
	void *ctx;
};

/*
 * Listens from now on. MR_EINVAL: the address cannot be understood, or is none of this machine; MR_ESYSTEM: the port is taken, or
 * the system refuses it. Without a thread of its own it may be followed by fork(): a child has no part in it, and closes what it
 * inherits (one such server a process).
 */
enum mr_status http_start(const struct http_config *config, struct http **ret, struct mr_error *err);
/* NULL is allowed. Connections are closed. */
void http_stop(struct http *http);
/* Readable when http_serve() has something to do. */
int http_fd(const struct http *http);
/* Does what can be done without waiting; to be called at least each second. */
void http_serve(struct http *http);
/* The address with the real port, as http://ADDR:PORT; lives as long as the server. */
const char *http_url(const struct http *http);

/* address.c: takes HOST:PORT apart. `host` is empty for all addresses; both are cut out of `text`, a copy that must live on. */
enum mr_status http_address_split(char *text, const char **ret_host, const char **ret_port, struct mr_error *err);
/* A listening socket, closed on exec. */
enum mr_status http_listen(const char *address, int *ret_fd, struct mr_error *err);

#endif
