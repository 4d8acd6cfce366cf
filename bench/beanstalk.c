/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer: beanstalkd, pipelined as far as its protocol allows.
 *
 *	beanstalk put PORT JOBS BYTES
 *	beanstalk drain PORT JOBS WORKERS DEPTH      each worker has DEPTH jobs in flight; a job is reserved and deleted
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "meter.h"

#define PUT_DEPTH 500
#define DEPTH_MAX 1024
#define LINE_MAX_BYTES 256

struct conn {
	int fd;
	size_t begin, end, out_bytes;
	char in[1 << 16];
	char out[1 << 18];
};

static _Noreturn void die(const char *why)
{
	fprintf(stderr, "beanstalk: %s\n", why);
	exit(1);
}

static struct conn *conn_new(const char *port)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)meter_number("PORT", port, 1, 65535))};
	int on = 1;

	if (!conn)
		die("no memory");
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		die("cannot connect");
	return conn;
}

static void conn_free(struct conn *conn)
{
	close(conn->fd);
	free(conn);
}

__attribute__((format(printf, 2, 3))) static void conn_add(struct conn *conn, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = vsnprintf(conn->out + conn->out_bytes, sizeof(conn->out) - conn->out_bytes, format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= sizeof(conn->out) - conn->out_bytes)
		die("too much in flight");
	conn->out_bytes += (size_t)n;
}

static void conn_flush(struct conn *conn)
{
	for (size_t sent = 0; sent < conn->out_bytes;) {
		ssize_t n = write(conn->fd, conn->out + sent, conn->out_bytes - sent);

		if (n <= 0)
			die("cannot write");
		sent += (size_t)n;
	}
	conn->out_bytes = 0;
}

static void conn_fill(struct conn *conn)
{
	memmove(conn->in, conn->in + conn->begin, conn->end - conn->begin);
	conn->end -= conn->begin;
	conn->begin = 0;
	ssize_t n = read(conn->fd, conn->in + conn->end, sizeof(conn->in) - conn->end);
	if (n <= 0)
		die("the server closed the connection");
	conn->end += (size_t)n;
}

static void conn_line(struct conn *conn, char line[static LINE_MAX_BYTES])
{
	char *newline;

	while (!(newline = memchr(conn->in + conn->begin, '\n', conn->end - conn->begin)))
		conn_fill(conn);
	size_t bytes = (size_t)(newline - (conn->in + conn->begin));
	if (bytes >= LINE_MAX_BYTES)
		die("an answer is too long");
	memcpy(line, conn->in + conn->begin, bytes);
	line[bytes] = '\0';
	conn->begin += bytes + 1;
}

static void conn_skip(struct conn *conn, size_t bytes)
{
	while (conn->end - conn->begin < bytes)
		conn_fill(conn);
	conn->begin += bytes;
}

static void expect(struct conn *conn, const char *word)
{
	char line[LINE_MAX_BYTES];

	conn_line(conn, line);
	if (strncmp(line, word, strlen(word)) != 0)
		die(line);
}

static int put(const char *port, long long jobs, size_t bytes)
{
	struct conn *conn = conn_new(port);
	char body[512];

	memset(body, 'x', sizeof(body));
	struct meter meter = meter_start();
	for (long long done = 0; done < jobs;) {
		long long batch = jobs - done < PUT_DEPTH ? jobs - done : PUT_DEPTH;

		for (long long i = 0; i < batch; i++)
			conn_add(conn, "put 0 0 600 %zu\r\n%.*s\r\n", bytes, (int)bytes, body);
		conn_flush(conn);
		for (long long i = 0; i < batch; i++)
			expect(conn, "INSERTED");
		done += batch;
	}
	meter_report(&meter, jobs);
	conn_free(conn);
	return 0;
}

static unsigned long long take_job(struct conn *conn)
{
	char line[LINE_MAX_BYTES];
	unsigned long long id;
	size_t bytes;

	conn_line(conn, line);
	if (sscanf(line, "RESERVED %llu %zu", &id, &bytes) != 2)
		die(line);
	conn_skip(conn, bytes + 2);
	return id;
}

static _Noreturn void work(const char *port, long long jobs, long long depth)
{
	struct conn *conn = conn_new(port);
	long long asked = depth < jobs ? depth : jobs, held = asked;
	unsigned long long ids[DEPTH_MAX];

	for (long long i = 0; i < held; i++)
		conn_add(conn, "reserve\r\n");
	while (held > 0) {
		long long next = jobs - asked < held ? jobs - asked : held;

		conn_flush(conn);
		for (long long i = 0; i < held; i++)
			ids[i] = take_job(conn);
		for (long long i = 0; i < held; i++)
			conn_add(conn, "delete %llu\r\n", ids[i]);
		for (long long i = 0; i < next; i++)
			conn_add(conn, "reserve\r\n");
		conn_flush(conn);
		for (long long i = 0; i < held; i++)
			expect(conn, "DELETED");
		asked += next;
		held = next;
	}
	conn_free(conn);
	exit(0);
}

static int drain(const char *port, long long jobs, long long workers, long long depth)
{
	struct meter meter = meter_start();
	int status, failed = 0;

	for (long long i = 0; i < workers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("cannot fork");
		if (pid == 0)
			work(port, jobs / workers, depth);
	}
	while (wait(&status) > 0)
		failed += status != 0;
	if (failed)
		return 1;
	meter.begin_cpu_s -= meter_cpu_s(RUSAGE_CHILDREN);
	meter_report(&meter, jobs / workers * workers);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "put"))
		return put(argv[2], meter_number("JOBS", argv[3], 1, 100000000), (size_t)meter_number("BYTES", argv[4], 1, 512));
	if (argc == 6 && !strcmp(argv[1], "drain"))
		return drain(argv[2], meter_number("JOBS", argv[3], 1, 100000000), meter_number("WORKERS", argv[4], 1, 64),
			     meter_number("DEPTH", argv[5], 1, DEPTH_MAX));
	fprintf(stderr, "usage: beanstalk put PORT JOBS BYTES | beanstalk drain PORT JOBS WORKERS DEPTH\n");
	return 2;
}
