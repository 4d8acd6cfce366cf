/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_MONITOR_H
#define HTTP_MONITOR_H

#include "base/conf.h"
#include "http/http.h"
#include "metrics/metrics.h"

/* What --http serves: /metrics, /healthz (it lives) and /readyz (it does its work); the last two answer 200 or 503 and one line. */

/* A row for the table of a program: MONITOR_OPTION(struct options, http). */
#define MONITOR_OPTION(type, member)                                                                                             \
	{                                                                                                                        \
		.kind = CONF_STRING, .name = "http", .env = "MILLRACE_HTTP", .arg = "ADDR:PORT",                                 \
		.offset = offsetof(type, member),                                                                                \
		.help = "Serves /metrics (for Prometheus), /healthz and /readyz there. :9090 = all addresses, [::1]:9090 = "     \
			"IPv6, port "                                                                                            \
			"0 = a free one, which the log names."                                                                   \
	}

/* As http_start, and says in the log where it is. The metrics must outlive it. */
enum mr_status monitor_start(const char *address, bool own_thread, struct metrics *metrics, struct http **ret,
			     struct mr_error *err);

#endif
