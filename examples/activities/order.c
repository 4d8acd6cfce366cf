/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of an order. Each asks order-services over a Unix socket (MILLRACE_EXAMPLE_SOCKET): "VERB KEY\n" ->
 * "ok RECEIPT\n".
 * The task key is the idempotency key, the same for all attempts: an attempt whose answer was lost changes nothing twice.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "example.h"

static int connect_services(void)
{
	const char *path = getenv("MILLRACE_EXAMPLE_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	path = path ? path : "/tmp/millrace-order-services.sock";
	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* One question, one line of answer. */
static bool ask(const char *verb, const char *key, char *answer, int bytes)
{
	int fd = connect_services();
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r+");
	bool ok;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	ok = fprintf(stream, "%s %s\n", verb, key) > 0 && !fflush(stream) && fgets(answer, bytes, stream);
	fclose(stream);
	if (ok)
		answer[strcspn(answer, "\n")] = 0;
	return ok;
}

enum mr_attempt_end example_order_step(struct mr_attempt *attempt, void *user)
{
	const char *verb = user;
	const char *down = strcmp(verb, "charge") ? "OrderServiceDown" : "PaymentServiceDown";
	char answer[512];

	if (!ask(verb, mr_info(attempt)->task_key, answer, sizeof(answer)))
		return mr_failf(attempt, down, "no answer to '%s': %s", verb, strerror(errno));
	if (strncmp(answer, "ok ", 3))
		return mr_failf(attempt, down, "'%s' was answered with '%s'", verb, answer);
	return mr_complete_jsonf(attempt, "{\"receipt\":\"%s\"}", mr_json_escape(attempt, answer + 3));
}
