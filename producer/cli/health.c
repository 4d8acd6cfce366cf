/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "program/program.h"

/* millrace health: asks a worker or scheduler whether it is ready, as a container's health check does. */

#define QUESTION "GET /readyz HTTP/1.0\r\n\r\n"
#define ANSWER_BYTES 4096

struct health_options {
	const char *http;
	int64_t timeout_ms;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Whom to ask"},
	{.kind = CONF_STRING,
	 .name = "http",
	 .env = "MILLRACE_HTTP",
	 .arg = "ADDR:PORT",
	 .offset = offsetof(struct health_options, http),
	 .help = "What the worker or scheduler was given as --http. Without an address, or with 0.0.0.0 or [::], this machine."},
	{.kind = CONF_DURATION,
	 .name = "timeout",
	 .arg = "D",
	 .min = 1,
	 .max = 60000,
	 .def = "2s",
	 .offset = offsetof(struct health_options, timeout_ms),
	 .help = "How long to wait for each step: connection, question, answer."},
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace health",
	.usage = "",
	.purpose = "Asks a worker or scheduler that runs with --http whether it is ready (/readyz), and prints what it says.",
	.epilog = "Exit: 0 ready, 1 not ready or nobody answers, 2 usage.\n",
	.options = OPTIONS,
};

/* "HOST:PORT", ":PORT" or "[HOST]:PORT"; the caller frees *ret_host. False where it is none of these. */
static bool split(const char *address, char **ret_host, const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;

	if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1) || !colon[1])
		return false;
	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	*ret_host = len ? mem_strndup(address, len) : mem_strdup("127.0.0.1");
	*ret_port = colon + 1;
	return true;
}

static int connect_to(const char *host, const char *port, const struct health_options *options, struct mr_error *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct timeval limit = {
		.tv_sec = (time_t)(options->timeout_ms / 1000),
		.tv_usec = (suseconds_t)(options->timeout_ms % 1000 * 1000),
	};
	struct addrinfo *found = NULL;
	int rc = getaddrinfo(host, port, &hints, &found), fd;

	if (rc) {
		mr_error_set(err, MR_EINVAL, "--http", "%s: %s", host, gai_strerror(rc));
		return -1;
	}
	fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) || connect(fd, found->ai_addr, found->ai_addrlen)) {
		mr_error_set(err, MR_ESYSTEM, options->http, "nobody answers: %s",
			     errno == EINPROGRESS ? "no connection in time" : strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

/* The whole answer as a text. */
static enum mr_status ask(int fd, char *answer, size_t bytes, struct mr_error *err)
{
	size_t len = 0;
	ssize_t n = send(fd, QUESTION, strlen(QUESTION), MSG_NOSIGNAL);

	while (n > 0 && len + 1 < bytes) {
		n = recv(fd, answer + len, bytes - len - 1, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	answer[len] = '\0';
	if (n < 0)
		return mr_error_set(err, MR_ESYSTEM, "/readyz", "no answer: %s",
				    errno == EAGAIN ? "it did not come in time" : strerror(errno));
	return MR_OK;
}

/* Prints the first line of a good answer's text; that of another one is the error. */
static enum mr_status tell(const char *address, const char *answer, struct mr_error *err)
{
	const char *text = strstr(answer, "\r\n\r\n");
	int code;

	if (!text || sscanf(answer, "HTTP/%*d.%*d %d", &code) != 1)
		return mr_error_set(err, MR_ESYSTEM, address, "what answers does not speak HTTP");
	text += 4;
	if (code != 200)
		return mr_error_set(err, MR_ESYSTEM, address, "%.*s (HTTP status %d)", (int)strcspn(text, "\r\n"), text, code);
	printf("%.*s\n", (int)strcspn(text, "\r\n"), text);
	return MR_OK;
}

static enum mr_status check(const struct health_options *options, struct mr_error *err)
{
	char answer[ANSWER_BYTES], *host;
	const char *port;
	enum mr_status status;
	int fd;

	if (!options->http)
		return mr_error_set(err, MR_EINVAL, "--http", "it is required, or MILLRACE_HTTP: the address to ask");
	if (!split(options->http, &host, &port))
		return mr_error_set(err, MR_EINVAL, "--http", "%s: wanted is ADDR:PORT, such as 127.0.0.1:9464", options->http);
	fd = connect_to(host, port, options, err);
	free(host);
	if (fd < 0)
		return err->code;
	status = ask(fd, answer, sizeof(answer), err);
	close(fd);
	return status ? status : tell(options->http, answer, err);
}

int command_health(int argc, char **argv)
{
	struct health_options options;
	struct mr_error err = {0};
	int exit_code = -1;

	if (conf_parse(&CONF, argc, argv, &options, NULL, &exit_code, &err))
		return program_fail(CONF.name, &err);
	if (exit_code >= 0)
		return exit_code;
	exit_code = check(&options, &err) ? program_fail(CONF.name, &err) : PROGRAM_OK;
	conf_deinit(&CONF, &options);
	return exit_code;
}
