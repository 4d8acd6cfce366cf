/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/http.h"

#define ACCEPTED "accepted are HOST:PORT, [IPv6]:PORT and :PORT, with a port from 0 to 65535"
#define BACKLOG 64

static bool is_port(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= 5 && strspn(text, "0123456789") == len && strtol(text, NULL, 10) <= 65535;
}

static enum mr_status refuse(const char *text, struct mr_error *err)
{
	return mr_error_set(err, MR_EINVAL, "http", "\"%s\" is no address to listen on; " ACCEPTED, text);
}

enum mr_status http_address_split(char *text, const char **ret_host, const char **ret_port, struct mr_error *err)
{
	char *colon = strrchr(text, ':'), *host = text;
	bool bracketed = text[0] == '[';

	if (!colon || !is_port(colon + 1) || (bracketed && (colon[-1] != ']' || colon == text + 2)))
		return refuse(text, err);
	if (!bracketed && memchr(text, ':', (size_t)(colon - text)))
		return mr_error_set(err, MR_EINVAL, "http", "\"%s\": an IPv6 address stands in brackets, as in [::1]:9090", text);
	if (bracketed) {
		host++;
		colon[-1] = '\0';
	}
	*colon = '\0';
	*ret_host = host;
	*ret_port = colon + 1;
	return MR_OK;
}

static int listen_on(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, off = 0, failed;

	if (fd < 0)
		return -1;
	/* IPv4 too, where it is for all addresses. */
	if (info->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) && !bind(fd, info->ai_addr, info->ai_addrlen) &&
	    !listen(fd, BACKLOG))
		return fd;
	failed = errno;
	close(fd);
	errno = failed;
	return -1;
}

static bool is_missing_family(int error)
{
	return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

/* All addresses: by IPv6, which hears IPv4 too, and where the machine has none by IPv4. */
static int listen_on_all(const struct addrinfo *list)
{
	static const int families[] = {AF_INET6, AF_INET};
	int fd = -1;

	for (size_t i = 0; i < 2 && fd < 0; i++) {
		errno = EAFNOSUPPORT;
		for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next)
			if (info->ai_family == families[i])
				fd = listen_on(info);
		if (fd < 0 && !is_missing_family(errno))
			break;
	}
	return fd;
}

enum mr_status http_listen(const char *address, int *ret_fd, struct mr_error *err)
{
	CLEANUP_FREE char *text = mem_strdup(address);
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	const char *host = "", *port = "";
	enum mr_status status = http_address_split(text, &host, &port, err);
	int failed;

	if (status)
		return status;
	failed = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
	if (failed)
		return mr_error_set(err, MR_EINVAL, "http", "\"%s\": the host is not known (%s); " ACCEPTED, address,
				    gai_strerror(failed));
	*ret_fd = host[0] ? listen_on(list) : listen_on_all(list);
	failed = errno;
	freeaddrinfo(list);
	if (*ret_fd >= 0)
		return MR_OK;
	return mr_error_set(err, failed == EADDRNOTAVAIL ? MR_EINVAL : MR_ESYSTEM, "http", "%s cannot be listened on: %s",
			    address, strerror(failed));
}
