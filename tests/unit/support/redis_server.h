/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_REDIS_SERVER_H
#define SUPPORT_REDIS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

/* A redis-server of the test's own, on a Unix socket in a temporary folder; nothing of it is left behind. Every call ends the
 * test program (abort, with a message) where it fails: a missing redis-server is a failure. The server dies with the test
 * program. */
struct redis_server {
	pid_t pid; /* 0: not running */
	char dir[64];
	char socket[96];
	char url[128];
};

/* `options` are further arguments of redis-server, ended by NULL; may be NULL. */
void redis_server_start(struct redis_server *server, const char *const *options);
/* SIGKILL. The data folder stays, for redis_server_restart. */
void redis_server_kill(struct redis_server *server);
void redis_server_restart(struct redis_server *server, const char *const *options);
/* SIGSTOP, SIGCONT. */
void redis_server_freeze(struct redis_server *server);
void redis_server_thaw(struct redis_server *server);
/* Kills and removes everything. */
void redis_server_stop(struct redis_server *server);
/* One command by another connection; its answer as text: a string as it is, an integer in decimal, "(nil)", elements of a
 * list each with a newline behind it, an error with its '-' before it. Free it. */
char *redis_server_command(const struct redis_server *server, const char *const *words);
#define REDIS(server, ...) redis_server_command(server, (const char *const[]){__VA_ARGS__, NULL})
/* User and system CPU time of the server so far. */
long long redis_server_cpu_us(const struct redis_server *server);

#endif
