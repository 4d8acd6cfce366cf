/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_REDIS_URL_H
#define STORE_REDIS_URL_H

#include <stdbool.h>

#include "millrace/status.h"

/* redis://[[user]:password@]host[:port][/db], rediss:// the same over TLS, unix:///path[?db=N]; user and password
 * percent-encoded. */
struct redis_url {
	bool tls;
	char *path; /* of a unix socket, else NULL */
	char *host;
	int port;
	char *user;     /* or NULL */
	char *password; /* or NULL */
	int db;
};

/* The errors never repeat the password. */
enum mr_status redis_url_parse(const char *text, struct redis_url *ret, struct mr_error *err);
void redis_url_deinit(struct redis_url *url);

#endif
