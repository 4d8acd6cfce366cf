/* SPDX-License-Identifier: Apache-2.0 */
#include "support/redis_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define START_LIMIT_US 20000000
#define ARGS_MAX 32

#define FAIL(...)                                                                                                                \
	do {                                                                                                                     \
		fprintf(stderr, "redis-server: " __VA_ARGS__);                                                                   \
		fputc('\n', stderr);                                                                                             \
		abort();                                                                                                         \
	} while (0)

/* ---- a connection of our own: no client library stands between the test and the server ---- */

static int try_connect(const struct redis_server *server)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		FAIL("socket: %s", strerror(errno));
	strncpy(address.sun_path, server->socket, sizeof(address.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void read_line(FILE *stream, struct buf *line)
{
	buf_reset(line);
	for (int c; (c = fgetc(stream)) != '\n';) {
		if (c == EOF)
			FAIL("the connection ended in an answer");
		buf_append_char(line, (char)c);
	}
	line->len--;
	buf_cstr(line);
}

static void read_bulk(FILE *stream, long len, struct buf *out)
{
	for (long i = 0; i < len + 2; i++) {
		int c = fgetc(stream);

		if (c == EOF)
			FAIL("the connection ended in an answer");
		if (i < len)
			buf_append_char(out, (char)c);
	}
}

static void read_answer(FILE *stream, struct buf *out)
{
	struct buf line = {0};

	read_line(stream, &line);
	long count = strtol(line.data + 1, NULL, 10);

	switch (line.data[0]) {
	case '+':
	case ':':
		buf_append(out, line.data + 1, line.len - 1);
		break;
	case '-':
		buf_append(out, line.data, line.len);
		break;
	case '$':
		if (count < 0)
			buf_append_bytes(out, BYTES_LIT("(nil)"));
		else
			read_bulk(stream, count, out);
		break;
	case '*':
		for (long i = 0; i < count; i++) {
			read_answer(stream, out);
			buf_append_char(out, '\n');
		}
		break;
	default:
		FAIL("an answer that is not RESP: %s", line.data);
	}
	buf_deinit(&line);
}

char *redis_server_command(const struct redis_server *server, const char *const *words)
{
	size_t n = 0;
	struct buf out = {0};
	int fd = try_connect(server);

	while (words[n])
		n++;
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r+");

	if (!stream)
		FAIL("cannot connect to %s", server->socket);
	fprintf(stream, "*%zu\r\n", n);
	for (size_t i = 0; i < n; i++)
		fprintf(stream, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
	fflush(stream);
	read_answer(stream, &out);
	buf_cstr(&out);
	fclose(stream);
	return out.data;
}

/* ---- the process ---- */

static void run(const struct redis_server *server, const char *const *options)
{
	char *args[ARGS_MAX] = {
		"redis-server", "--port", "0",         "--unixsocket", (char *)server->socket, "--dir", (char *)server->dir,
		"--save",       "",       "--logfile", "log"};
	size_t n = 11;

	for (; options && *options; options++) {
		if (n + 1 >= ARGS_MAX)
			FAIL("too many options");
		args[n++] = (char *)*options;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(args[0], args);
	fprintf(stderr, "redis-server cannot be executed: %s\n", strerror(errno));
	_exit(127);
}

static bool answers(const struct redis_server *server)
{
	int fd = try_connect(server);

	if (fd < 0)
		return false;
	close(fd);
	char *pong = REDIS(server, "PING");
	bool ok = strcmp(pong, "PONG") == 0;

	free(pong);
	return ok;
}

void redis_server_restart(struct redis_server *server, const char *const *options)
{
	int64_t end_us = clock_mono_us() + START_LIMIT_US;

	unlink(server->socket);
	server->pid = fork();
	if (server->pid < 0)
		FAIL("fork: %s", strerror(errno));
	if (server->pid == 0)
		run(server, options);
	while (!answers(server)) {
		if (waitpid(server->pid, NULL, WNOHANG) != 0)
			FAIL("ended at its start (is redis-server installed?)");
		if (clock_mono_us() > end_us)
			FAIL("does not answer");
		poll(NULL, 0, 5);
	}
}

void redis_server_start(struct redis_server *server, const char *const *options)
{
	const char *tmp = getenv("TMPDIR");

	*server = (struct redis_server){0};
	snprintf(server->dir, sizeof(server->dir), "%.40s/mr-redis-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(server->dir))
		FAIL("%s: %s", server->dir, strerror(errno));
	snprintf(server->socket, sizeof(server->socket), "%s/socket", server->dir);
	snprintf(server->url, sizeof(server->url), "unix://%s", server->socket);
	redis_server_restart(server, options);
}

static void send_signal(const struct redis_server *server, int number)
{
	if (server->pid <= 0 || kill(server->pid, number) != 0)
		FAIL("cannot be signalled");
}

void redis_server_kill(struct redis_server *server)
{
	send_signal(server, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

void redis_server_freeze(struct redis_server *server)
{
	send_signal(server, SIGSTOP);
}

void redis_server_thaw(struct redis_server *server)
{
	send_signal(server, SIGCONT);
}

static void remove_folder(const char *path)
{
	DIR *dir = opendir(path);
	char file[512];

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(file, sizeof(file), "%.200s/%.255s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			remove_folder(file);
		else
			unlink(file);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

void redis_server_stop(struct redis_server *server)
{
	if (server->pid > 0)
		redis_server_kill(server);
	remove_folder(server->dir);
}

long long redis_server_cpu_us(const struct redis_server *server)
{
	char path[64];
	unsigned long long user = 0, system = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)server->pid);
	FILE *file = fopen(path, "re");

	if (!file)
		FAIL("%s: %s", path, strerror(errno));
	if (fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		FAIL("%s is not as expected", path);
	fclose(file);
	return (long long)((user + system) * 1000000 / (unsigned long long)sysconf(_SC_CLK_TCK));
}
