/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Purpose: stands in for the services that an order needs (payment, stock, mail, carrier).
 *
 *	order-services SOCKET FOLDER [DOWN_MS]
 *
 * "VERB KEY\n" over the Unix socket -> "ok RECEIPT\n". A key's effect is a file FOLDER/VERB.KEY: its first line is the effect,
 * and each further question for it adds a line "asked again" and gets the same receipt. So whatever was done twice can be seen.
 * The services are "down" for DOWN_MS from the first question on; then they answer "error down". Each question is told on stdout:
 *
 *	    services at 1.01 s: charge order-17/charge_card: down (1.01 s after the question before)
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 64))
		return -1;
	return fd;
}

/* Notes the effect, or that it was asked for again; false with errno. */
static bool take_effect(const char *folder, const char *verb, const char *key, bool *ret_again)
{
	char path[1024];
	int n = snprintf(path, sizeof(path), "%s/%s.%s", folder, verb, key);
	struct stat st = {0};
	bool ok;
	int fd;

	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	for (char *c = path + strlen(folder) + 1; *c; c++)
		*c = *c == '/' ? ':' : *c;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0;
	*ret_again = st.st_size > 0;
	ok = ok && dprintf(fd, "%s\n", *ret_again ? "asked again" : verb) > 0;
	close(fd);
	return ok;
}

/* The answer, and what is told of it on stdout. */
static const char *decide(const char *folder, const char *verb, const char *key, bool down, char *answer, size_t bytes)
{
	bool again;

	if (down) {
		snprintf(answer, bytes, "error down");
		return "down";
	}
	if (!take_effect(folder, verb, key, &again)) {
		snprintf(answer, bytes, "error %s", strerror(errno));
		return "failed";
	}
	snprintf(answer, bytes, "ok %s-%s", verb, key);
	return again ? "done before, the same receipt" : "done";
}

static void answer_one(FILE *stream, const char *folder, int64_t down_ms)
{
	static int64_t first_ms = -1, last_ms;
	char line[600], verb[32], key[512], answer[600];
	int64_t at_ms;
	const char *what;

	if (!fgets(line, sizeof(line), stream) || sscanf(line, "%31s %511s", verb, key) != 2)
		return;
	at_ms = now_ms();
	if (first_ms < 0)
		first_ms = last_ms = at_ms;
	what = decide(folder, verb, key, at_ms - first_ms < down_ms, answer, sizeof(answer));
	dprintf(fileno(stream), "%s\n", answer);
	printf("    services at %.2f s: %s %s: %s (%.2f s after the question before)\n", (double)(at_ms - first_ms) / 1000, verb,
	       key, what, (double)(at_ms - last_ms) / 1000);
	fflush(stdout);
	last_ms = at_ms;
}

static void serve(int listener, const char *folder, int64_t down_ms)
{
	struct timeval limit = {.tv_sec = 1};

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");

		if (!stream) {
			perror("order-services: accept");
			exit(1);
		}
		/* One caller at a time: a silent one must not hold up the others. */
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		answer_one(stream, folder, down_ms);
		fclose(stream);
	}
}

int main(int argc, char **argv)
{
	int listener;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: order-services SOCKET FOLDER [DOWN_MS]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (mkdir(argv[2], 0700) && errno != EEXIST) {
		perror(argv[2]);
		return 1;
	}
	listener = listen_at(argv[1]);
	if (listener < 0) {
		perror(argv[1]);
		return 1;
	}
	serve(listener, argv[2], argc > 3 ? strtoll(argv[3], NULL, 10) : 0);
}
