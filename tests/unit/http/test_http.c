/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/http.h"

/* ---- addresses ---- */

static void an_address_is_taken_apart(void **state)
{
	static const struct {
		const char *text, *host, *port;
	} rows[] = {
		{"127.0.0.1:9090", "127.0.0.1", "9090"},
		{":9090", "", "9090"},
		{"[::1]:0", "::1", "0"},
		{"[::]:65535", "::", "65535"},
		{"localhost:1", "localhost", "1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CLEANUP_FREE char *text = mem_strdup(rows[i].text);
		const char *host, *port;

		assert_int_equal(http_address_split(text, &host, &port, NULL), MR_OK);
		assert_string_equal(host, rows[i].host);
		assert_string_equal(port, rows[i].port);
	}
}

static void an_address_that_cannot_be_understood_is_refused_with_what_is_accepted(void **state)
{
	static const char *const texts[] = {"",       "9090",  "127.0.0.1", "127.0.0.1:", "h:65536", "h:-1",
					    "h:http", "[::1]", "[]:1",      "[::1:1",     "[:1",     "h:000001"};
	struct mr_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CLEANUP_FREE char *text = mem_strdup(texts[i]);
		const char *host, *port;

		err = (struct mr_error){0};
		if (http_address_split(text, &host, &port, &err) != MR_EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_string_equal(err.where, "http");
		assert_non_null(strstr(err.message, "HOST:PORT, [IPv6]:PORT and :PORT"));
	}
}

static void an_ipv6_address_without_brackets_is_refused(void **state)
{
	char text[] = "::1:9090";
	const char *host, *port;
	struct mr_error err;

	(void)state;
	assert_int_equal(http_address_split(text, &host, &port, &err), MR_EINVAL);
	assert_non_null(strstr(err.message, "in brackets"));
}

/* ---- the server ---- */

struct site {
	struct http *http;
	int port;
	int asked;
};

static bool page(void *ctx, const char *path, struct http_reply *reply)
{
	struct site *site = ctx;

	site->asked++;
	if (strcmp(path, "/page"))
		return false;
	buf_printf(&reply->body, "hello\n");
	return true;
}

static enum mr_status start(struct site *site, const char *address, bool own_thread, struct mr_error *err)
{
	struct http_config config = {.address = address, .own_thread = own_thread, .pages = "/page", .page = page, .ctx = site};
	enum mr_status status = http_start(&config, &site->http, err);

	if (status == MR_OK)
		site->port = atoi(strrchr(http_url(site->http), ':') + 1);
	return status;
}

static struct site new_site(struct site *site)
{
	*site = (struct site){.http = NULL};
	assert_int_equal(start(site, "127.0.0.1:0", false, NULL), MR_OK);
	assert_true(site->port > 0);
	return *site;
}

static int dial(const struct site *site)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)site->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Serves until `fd` has something to read, and returns it; serving never waits. */
static ssize_t read_served(struct site *site, int fd, char *text, size_t size)
{
	int64_t limit_us = clock_mono_us() + 5000000;
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = http_fd(site->http), .events = POLLIN}};
	ssize_t len;

	while (clock_mono_us() < limit_us) {
		poll(fds, 2, 100);
		if (fds[1].revents)
			http_serve(site->http);
		if (!fds[0].revents)
			continue;
		len = recv(fd, text, size - 1, 0);
		text[len > 0 ? len : 0] = '\0';
		return len;
	}
	fail_msg("no answer");
	return 0;
}

static void ask(struct site *site, int fd, const char *request, const char *wanted)
{
	char text[4096];

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	assert_true(read_served(site, fd, text, sizeof(text)) > 0);
	if (!strstr(text, wanted))
		fail_msg("%s -> %s", request, text);
}

static void a_page_is_served_on_a_connection_that_stays(void **state)
{
	struct site site;
	int fd;

	(void)state;
	new_site(&site);
	fd = dial(&site);
	ask(&site, fd, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nhello\n");
	ask(&site, fd, "HEAD /page HTTP/1.1\r\nHost: x\r\n\r\n", "Content-Length: 6\r\n");
	ask(&site, fd, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n", "there are /page\n");
	assert_int_equal(site.asked, 3);
	close(fd);
	http_stop(site.http);
}

static void other_methods_are_refused_and_their_bodies_not_read(void **state)
{
	struct site site;
	int fd;

	(void)state;
	new_site(&site);
	fd = dial(&site);
	ask(&site, fd, "POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc", "405 ");
	assert_int_equal(site.asked, 0);
	close(fd);
	http_stop(site.http);
}

static void garbage_and_silence_do_not_keep_others_waiting(void **state)
{
	struct site site;
	int silent, slow, garbage, good;
	char text[4096];

	(void)state;
	new_site(&site);
	silent = dial(&site);
	slow = dial(&site);
	assert_int_equal(send(slow, "GET /pa", 7, 0), 7);
	garbage = dial(&site);
	assert_int_equal(send(garbage, "\x16\x03\x01\x02\xff\0\0\r\n\r\n", 11, 0), 11);
	assert_true(read_served(&site, garbage, text, sizeof(text)) >= 0); /* refused or closed */
	good = dial(&site);
	ask(&site, good, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n", "hello\n");
	ask(&site, slow, "ge HTTP/1.1\r\nHost: x\r\n\r\n", "hello\n");
	close(silent);
	close(slow);
	close(garbage);
	close(good);
	http_stop(site.http);
}

static void a_request_without_an_end_is_cut_off(void **state)
{
	static char header[64 * 1024];
	struct site site;
	int fd;
	char text[4096];

	(void)state;
	new_site(&site);
	fd = dial(&site);
	memset(header, 'a', sizeof(header));
	memcpy(header, "GET /page HTTP/1.1\r\nX: ", 23);
	assert_true(send(fd, header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
	if (read_served(&site, fd, text, sizeof(text)) > 0)
		assert_memory_equal(text, "HTTP/1.1 4", 10);
	close(fd);
	http_stop(site.http);
}

static void a_taken_port_is_an_error_that_names_it(void **state)
{
	struct site first, second = {.http = NULL};
	struct mr_error err = {0};
	char address[32];

	(void)state;
	new_site(&first);
	snprintf(address, sizeof(address), "127.0.0.1:%d", first.port);
	assert_int_equal(start(&second, address, false, &err), MR_ESYSTEM);
	assert_non_null(strstr(err.message, address));
	assert_non_null(strstr(err.message, "in use"));
	http_stop(first.http);
	assert_int_equal(start(&second, address, false, NULL), MR_OK); /* at once: nothing lingers */
	http_stop(second.http);
}

static void an_address_of_another_machine_is_refused(void **state)
{
	struct site site = {.http = NULL};
	struct mr_error err = {0};

	(void)state;
	assert_int_equal(start(&site, "203.0.113.7:9090", false, &err), MR_EINVAL);
	assert_non_null(strstr(err.message, "203.0.113.7:9090"));
}

static void all_addresses_are_heard_without_a_host(void **state)
{
	struct site site = {.http = NULL};
	int fd;

	(void)state;
	assert_int_equal(start(&site, ":0", false, NULL), MR_OK);
	fd = dial(&site);
	ask(&site, fd, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n", "hello\n");
	close(fd);
	http_stop(site.http);
}

/* A connection that a child held would look open to its client after the server has closed it. */
static void a_child_has_no_part_in_the_server(void **state)
{
	struct site site;
	char text[64], address[32];
	int fd, begun[2], hold[2];
	pid_t child;

	(void)state;
	new_site(&site);
	fd = dial(&site);
	ask(&site, fd, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n", "hello\n");
	assert_int_equal(pipe(begun) | pipe(hold), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(hold[1]);
		_exit(write(begun[1], "", 1) == 1 && read(hold[0], text, 1) == 0 ? 0 : 1);
	}
	assert_int_equal(read(begun[0], text, 1), 1);
	http_stop(site.http);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%d", site.port);
	assert_int_equal(start(&site, address, false, NULL), MR_OK);
	http_stop(site.http);
	close(fd);
	close(begun[0]);
	close(begun[1]);
	close(hold[0]);
	close(hold[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_server_with_a_thread_of_its_own_needs_nobody(void **state)
{
	struct site site = {.http = NULL};
	char text[4096];
	int fd;

	(void)state;
	assert_int_equal(start(&site, "127.0.0.1:0", true, NULL), MR_OK);
	fd = dial(&site);
	assert_true(send(fd, "GET /page HTTP/1.0\r\n\r\n", 22, 0) == 22);
	assert_true(recv(fd, text, sizeof(text), 0) > 0);
	close(fd);
	http_stop(site.http);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_taken_apart),
		cmocka_unit_test(an_address_that_cannot_be_understood_is_refused_with_what_is_accepted),
		cmocka_unit_test(an_ipv6_address_without_brackets_is_refused),
		cmocka_unit_test(a_page_is_served_on_a_connection_that_stays),
		cmocka_unit_test(other_methods_are_refused_and_their_bodies_not_read),
		cmocka_unit_test(garbage_and_silence_do_not_keep_others_waiting),
		cmocka_unit_test(a_request_without_an_end_is_cut_off),
		cmocka_unit_test(a_taken_port_is_an_error_that_names_it),
		cmocka_unit_test(an_address_of_another_machine_is_refused),
		cmocka_unit_test(all_addresses_are_heard_without_a_host),
		cmocka_unit_test(a_child_has_no_part_in_the_server),
		cmocka_unit_test(a_server_with_a_thread_of_its_own_needs_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
