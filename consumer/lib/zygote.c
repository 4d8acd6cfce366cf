/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "lib/pool_impl.h"

/*
 * The parent of the executors: single-threaded, so that it can fork at any time, with the activity libraries loaded and without a
 * connection to anything. It starts executors, kills those that the loop names, and replaces the dead once all their descendants
 * are gone: these are handed over to it as child subreaper, and a child of the zygote that is no executor is such an orphan.
 */

#define IDLE_WAIT_MS 1000
#define REAP_WAIT_MS 1
#define EARLY_DEATH_WAIT_US 100000 /* before an executor that died without having been ready is replaced */

struct zygote_slot {
	pid_t pid; /* 0: none */
	bool dead; /* reaped; its descendants may live */
	int wait_status;
	int64_t not_before_us; /* when the next executor may be started */
};

struct zygote {
	struct pool *pool;
	struct zygote_slot *slots;
	size_t n_slots;
	size_t n_dead;
	int signal_fd;
};

/* A group of its own: Ctrl-C in a terminal is the loop's affair. */
static void enter(pid_t parent)
{
	setpgid(0, 0);
	prctl(PR_SET_NAME, "millrace-zygote");
	setvbuf(stdout, NULL, _IOLBF, 0); /* executors are ended without a flush */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		log_error("the zygote cannot become a subreaper: descendants of killed activities may survive",
			  LOG_S("error", strerror(errno)));
}

/* Nothing on stdin; and whatever was closed when we were started is open, so that no pipe of an exec activity gets a number
 * below 3. */
static void open_standard_fds(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd < 3)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0) {
		dup2(fd, 0);
		close(fd);
	}
}

static void do_nothing(int sig)
{
	(void)sig;
}

/* A service manager sends SIGTERM to all processes of the worker: the drain is the loop's affair, and a running attempt goes on.
 * A handler, not SIG_IGN: programs that an activity starts do not inherit it. */
static void reset_signals(void)
{
	struct sigaction nothing = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};
	sigset_t none;

	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &nothing, NULL);
	sigaction(SIGINT, &nothing, NULL);
	sigaction(SIGHUP, &nothing, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void load(struct pool *pool, int report_fd)
{
	struct mr_error error = {.code = MR_OK};
	enum mr_status status = registry_load_libraries(pool->config.registry, &error);

	registry_report(pool->config.registry, status, &error, report_fd);
	close(report_fd);
	if (status)
		_exit(1);
}

static void open_signals(struct zygote *z)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	z->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (z->signal_fd < 0) {
		log_error("signalfd", LOG_S("error", strerror(errno)));
		_exit(1);
	}
}

static void start_executor(struct zygote *z, size_t slot)
{
	pid_t self = getpid(), pid;

	assert(z->slots[slot].pid == 0);
	atomic_store(&z->pool->shared->slots[slot].state, SLOT_STARTING);
	pid = fork();
	if (pid == 0) {
		close(z->signal_fd);
		free(z->slots);
		reset_signals();
		executor_child_main(z->pool, slot, self);
	}
	if (pid < 0) {
		log_error("an executor cannot be started", LOG_S("error", strerror(errno)));
		atomic_store(&z->pool->shared->slots[slot].state, SLOT_EMPTY);
		z->slots[slot].not_before_us = clock_mono_us() + EARLY_DEATH_WAIT_US;
		return;
	}
	z->slots[slot] = (struct zygote_slot){.pid = pid};
}

static void fill(struct zygote *z)
{
	int64_t now_us = clock_mono_us();

	for (size_t slot = 0; slot < z->n_slots; slot++)
		if (z->slots[slot].pid == 0 && z->slots[slot].not_before_us <= now_us)
			start_executor(z, slot);
}

static bool is_executor(void *ctx, pid_t pid)
{
	struct zygote *z = ctx;

	for (size_t slot = 0; slot < z->n_slots; slot++)
		if (z->slots[slot].pid == pid && !z->slots[slot].dead)
			return true;
	return false;
}

static void note_death(struct zygote *z, pid_t pid, int wait_status)
{
	for (size_t slot = 0; slot < z->n_slots; slot++) {
		if (z->slots[slot].pid != pid || z->slots[slot].dead)
			continue;
		z->slots[slot].dead = true;
		z->slots[slot].wait_status = wait_status;
		z->n_dead++;
		return;
	}
}

static void reap(struct zygote *z)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		note_death(z, pid, wait_status);
}

static void finish_dead(struct zygote *z)
{
	for (size_t slot = 0; slot < z->n_slots; slot++) {
		struct zygote_slot *s = &z->slots[slot];
		bool was_ready = atomic_load(&z->pool->shared->slots[slot].state) == SLOT_READY;

		if (!s->dead)
			continue;
		pool_mark_crashed(z->pool, (int32_t)slot, s->wait_status);
		*s = (struct zygote_slot){.not_before_us = was_ready ? 0 : clock_mono_us() + EARLY_DEATH_WAIT_US};
	}
	z->n_dead = 0;
}

/* A slot is free again only when no descendant of its executor is left. */
static void bury(struct zygote *z)
{
	reap(z);
	if (z->n_dead == 0)
		return;
	if (descendants_kill(is_executor, z) > 0) {
		reap(z);
		if (descendants_kill(is_executor, z) > 0)
			return; /* the next round: they die, or hand on their own children */
	}
	finish_dead(z);
}

/* Kills an executor if it still runs the attempt that the loop wants to end: with the state KILLED it cannot end it and go on to
 * another. */
static void kill_named(struct zygote *z)
{
	for (size_t slot = 0; slot < z->n_slots; slot++) {
		uint64_t handle = atomic_exchange(&z->pool->shared->slots[slot].kill, 0);
		struct ledger_entry *entry = handle ? ledger_get(z->pool->ledger, handle) : NULL;

		if (!entry || z->slots[slot].pid == 0 || z->slots[slot].dead)
			continue;
		if (atomic_load(&entry->word) == ledger_word(ledger_handle_generation(handle), (int32_t)slot, LEDGER_KILLED))
			kill(z->slots[slot].pid, SIGKILL);
	}
}

static void read_signals(struct zygote *z)
{
	struct signalfd_siginfo info;

	/* What they say is looked up: children by waitpid, the parent's death (SIGTERM, among others) by getppid. */
	while (read(z->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
}

static int wait_ms(const struct zygote *z)
{
	if (z->n_dead > 0)
		return REAP_WAIT_MS;
	for (size_t slot = 0; slot < z->n_slots; slot++)
		if (z->slots[slot].pid == 0)
			return EARLY_DEATH_WAIT_US / 1000 / 4;
	return IDLE_WAIT_MS;
}

static void run(struct zygote *z, pid_t parent)
{
	struct pollfd fds[] = {{.fd = z->signal_fd, .events = POLLIN}, {.fd = z->pool->zygote_fd, .events = POLLIN}};
	uint64_t count;

	while (getppid() == parent) {
		fill(z);
		poll(fds, 2, wait_ms(z));
		read_signals(z);
		if (read(z->pool->zygote_fd, &count, sizeof(count)) > 0)
			kill_named(z);
		bury(z);
	}
}

_Noreturn void zygote_main(struct pool *pool, pid_t parent, int report_fd)
{
	struct zygote z = {.pool = pool, .n_slots = pool->config.slots, .signal_fd = -1};

	enter(parent);
	open_standard_fds();
	reset_signals();
	load(pool, report_fd);
	z.slots = mem_alloc(z.n_slots * sizeof(*z.slots));
	open_signals(&z);
	run(&z, parent);
	descendants_end(NULL, IDLE_WAIT_MS);
	_exit(0);
}
