/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the services that an order needs (payment, stock, mail, carrier).
 *
 *	order-services SOCKET FOLDER [DOWN_MS]
 *
 * "VERB KEY\n" over the Unix socket -> "ok RECEIPT\n". A key's effect is a file FOLDER/VERB.KEY, created once: asking again gives
 * the same receipt. The services are "down" for DOWN_MS from the first question on; then they answer "error down".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

/* "new", "again" or NULL with errno. */
static const char *take_effect(const char *folder, const char *verb, const char *key)
{
	char path[1024];
	int n = snprintf(path, sizeof(path), "%s/%s.%s", folder, verb, key);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	for (char *c = path + strlen(folder) + 1; *c; c++)
		*c = *c == '/' ? ':' : *c;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? "again" : NULL;
	close(fd);
	return "new";
}

static void answer(FILE *stream, const char *folder, int64_t down_ms)
{
	static int64_t first_at_ms = -1;
	char line[600], verb[32], key[512];
	int fd = fileno(stream);
	const char *what;

	if (!fgets(line, sizeof(line), stream) || sscanf(line, "%31s %511s", verb, key) != 2)
		return;
	if (first_at_ms < 0)
		first_at_ms = now_ms();
	if (now_ms() - first_at_ms < down_ms) {
		dprintf(fd, "error down\n");
		return;
	}
	what = take_effect(folder, verb, key);
	if (what)
		dprintf(fd, "ok %s-%s\n", verb, key);
	else
		dprintf(fd, "error %s\n", strerror(errno));
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
		answer(stream, folder, down_ms);
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
