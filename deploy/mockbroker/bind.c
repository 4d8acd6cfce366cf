/* SPDX-License-Identifier: Apache-2.0 */
#include "bind.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int forced_port;
static atomic_int used;

int bind_probe(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1, err = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 || syscall(SYS_bind, fd, &in, sizeof(in)) < 0)
		err = errno;
	close(fd);
	return err;
}

void bind_force_port(uint16_t port)
{
	atomic_store(&forced_port, port);
}

int bind_port_was_used(void)
{
	return atomic_load(&used);
}

static int asks_for_any_port(const struct sockaddr *address, socklen_t len)
{
	const struct sockaddr_in *in = (const void *)address;

	return len >= sizeof(*in) && address->sa_family == AF_INET && in->sin_port == 0 &&
	       in->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
}

int bind(int fd, const struct sockaddr *address, socklen_t len)
{
	int port = asks_for_any_port(address, len) ? atomic_exchange(&forced_port, 0) : 0;
	struct sockaddr_in in;
	int on = 1;

	if (!port)
		return (int)syscall(SYS_bind, fd, address, len);
	/* Connections of a broker that ran here a moment ago may still be closing. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -1;
	in = *(const struct sockaddr_in *)(const void *)address;
	in.sin_port = htons((uint16_t)port);
	if (syscall(SYS_bind, fd, &in, sizeof(in)) < 0)
		return -1;
	atomic_store(&used, 1);
	return 0;
}
