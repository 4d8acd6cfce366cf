/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/loop.h"

#include <poll.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "program/program.h"

/* The bus wants to be served at least so often. */
#define LOOP_WAIT_MAX_US 100000

enum { FD_STORE, FD_EXECUTOR, FD_SIGNAL, FD_BUS };

static struct timespec wait_until(const struct loop *loop, int64_t now_us)
{
	int64_t at_us = worker_deadline_us(loop->worker), wait_us;

	if (store_deadline_us(loop->store) < at_us)
		at_us = store_deadline_us(loop->store);
	wait_us = at_us <= now_us ? 0 : at_us - now_us;
	if (wait_us > LOOP_WAIT_MAX_US)
		wait_us = LOOP_WAIT_MAX_US;
	return (struct timespec){.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
}

static void wait_for_events(struct loop *loop, struct pollfd *fds, int64_t now_us)
{
	struct timespec timeout = wait_until(loop, now_us);
	size_t n = FD_BUS + loop->n_buses;

	fds[FD_STORE] = (struct pollfd){.fd = store_fd(loop->store), .events = store_events(loop->store)};
	fds[FD_EXECUTOR] = (struct pollfd){.fd = executor_fd(loop->executor), .events = POLLIN};
	fds[FD_SIGNAL] = (struct pollfd){.fd = loop->signal_fd, .events = POLLIN};
	for (size_t i = 0; i < loop->n_buses; i++)
		fds[FD_BUS + i] = (struct pollfd){.fd = bus_fd(loop->buses[i]), .events = POLLIN};
	if (ppoll(fds, n, &timeout, NULL) < 0)
		for (size_t i = 0; i < n; i++)
			fds[i].revents = 0;
}

static void one_turn(struct loop *loop, struct pollfd *fds)
{
	int64_t now_us = clock_mono_us();

	wait_for_events(loop, fds, now_us);
	now_us = clock_mono_us();
	worker_clock(loop->worker, now_us);
	store_poll(loop->store, fds[FD_STORE].revents, now_us);
	if (fds[FD_SIGNAL].revents && program_signal_read(loop->signal_fd))
		worker_drain(loop->worker, now_us);
	worker_tick(loop->worker, now_us);
	/* What the tick queued goes out now, not after the next wait. */
	store_poll(loop->store, 0, now_us);
}

enum worker_end loop_run(struct loop *loop)
{
	struct pollfd *fds = mem_alloc((FD_BUS + loop->n_buses) * sizeof(fds[0]));

	worker_tick(loop->worker, clock_mono_us());
	while (worker_ended(loop->worker) == WORKER_RUNS)
		one_turn(loop, fds);
	free(fds);
	return worker_ended(loop->worker);
}
