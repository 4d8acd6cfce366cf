/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "lib/context.h"
#include "lib/message.h"
#include "lib/pool_impl.h"

/* An executor process: pulls attempts from the ring, runs them one after the other, and answers in the attempt's cell. */

#define IDLE_WAIT_S 1
#define LEFTOVERS_TIMEOUT_MS 5000

struct child {
	struct pool *pool;
	size_t slot;
	pid_t parent;
	struct cell *cell; /* of the attempt that runs */
	pthread_mutex_t beat_lock;
	struct context_host host;
	struct context_limits limits;
	struct arena arena;
};

static void beat(void *ctx, const struct payload *details)
{
	struct child *c = ctx;
	uint32_t next;
	size_t bytes = bytes_present(details->data) ? message_payload_bytes(details) : 0;

	assert(bytes <= POOL_BEAT_BYTES);
	pthread_mutex_lock(&c->beat_lock);
	atomic_store(&c->cell->beat_mono_us, clock_mono_us());
	next = atomic_load_explicit(&c->cell->beats, memory_order_relaxed) + 1;
	if (bytes == 0 && c->cell->beat_bytes[(next - 1) & 1] > 0) {
		/* A beat without details leaves the former ones: they are carried over to the half that becomes current. */
		bytes = c->cell->beat_bytes[(next - 1) & 1];
		memcpy(c->cell->beat[next & 1], c->cell->beat[(next - 1) & 1], bytes);
	} else if (bytes > 0) {
		message_payload_write(details, c->cell->beat[next & 1]);
	}
	c->cell->beat_bytes[next & 1] = (uint32_t)bytes;
	atomic_store(&c->cell->beats, next);
	pthread_mutex_unlock(&c->beat_lock);
	/* The loop sets this before it looks at the count, so that it sees the beat or is told of it. */
	if (!atomic_load(&c->cell->tells_beat) || !atomic_exchange(&c->cell->tells_beat, 0))
		return;
	bit_set(c->pool->shared->beat, (size_t)(c->cell - c->pool->cells));
	pool_notify_loop(c->pool, false);
}

static enum cancel_reason cancel_reason(void *ctx)
{
	struct child *c = ctx;

	return (enum cancel_reason)atomic_load(&c->cell->cancel);
}

static void enter(struct child *c)
{
	prctl(PR_SET_NAME, "millrace-exec");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != c->parent)
		_exit(0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; i < c->pool->config.slots; i++)
		if (i != c->slot)
			close(c->pool->cancel_fds[i]);
	close(c->pool->zygote_fd);
}

/* Sleeps until something is queued; the bit is set before the last look at the ring, and the loop looks at it after its push
 * (pool_wake_one). */
static void sleep_until_woken(struct child *c)
{
	_Atomic uint32_t *word = &c->pool->shared->slots[c->slot].wake;
	struct timespec timeout = {.tv_sec = IDLE_WAIT_S};
	uint32_t value = atomic_load(word);

	bit_set(c->pool->shared->sleeping, c->slot);
	if (ring_empty(c->pool->ring))
		syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0);
	bit_clear(c->pool->shared->sleeping, c->slot);
	if (getppid() != c->parent)
		_exit(0);
}

static uint64_t next_handle(struct child *c)
{
	uint64_t handle;

	while (!ring_pop(c->pool->ring, &handle))
		sleep_until_woken(c);
	/* One wake leads to the next, so that the loop pays for one only, and no more executors run than there is work for. */
	if (!ring_empty(c->pool->ring))
		pool_wake_one(c->pool);
	return handle;
}

static void drain_cancel(struct child *c)
{
	uint64_t count;

	if (!atomic_exchange(&c->pool->shared->slots[c->slot].cancel_signalled, false))
		return;
	if (read(c->pool->cancel_fds[c->slot], &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
}

/* The outcome fits: context_bound cut it to less than the large area. */
static void answer(struct child *c, const struct outcome *outcome)
{
	size_t bytes = message_outcome_bytes(outcome);

	assert(bytes <= c->pool->out_bytes);
	message_outcome_write(outcome, pool_out(c->pool, (size_t)(c->cell - c->pool->cells), bytes));
	c->cell->out_bytes = bytes;
}

static void unreadable(struct outcome *ret)
{
	*ret = (struct outcome){.kind = OUTCOME_FAILED};
	failure_init(&ret->failure);
	ret->failure.type = BYTES_LIT("ActivityCrashed");
	ret->failure.message = BYTES_LIT("what the attempt was told was overwritten in memory before it began");
}

static void run(struct child *c, size_t cell_index)
{
	struct bytes in = {pool_in(c->pool, cell_index, c->cell->in_bytes), c->cell->in_bytes};
	struct attempt_info info;
	struct outcome outcome;

	arena_reset(&c->arena);
	if (message_info_read(in, &c->arena, &info))
		context_run(c->pool->config.registry, &info, clock_wall_ms(), &c->host, &c->limits, &c->arena, &outcome);
	else
		unreadable(&outcome);
	answer(c, &outcome);
}

/* The loop has asked for our death; the zygote is about to bring it. */
static _Noreturn void await_kill(void)
{
	for (;;)
		pause();
}

/* What an attempt that was told to stop has started ends with it, as with its kill. */
static void end_leftovers(const struct child *c)
{
	if (atomic_load(&c->cell->cancel) != CANCEL_NONE && !descendants_end(NULL, LEFTOVERS_TIMEOUT_MS))
		log_warn("a process that a stopped attempt had started cannot be ended");
}

static void execute(struct child *c, uint64_t handle)
{
	struct ledger *ledger = c->pool->ledger;
	struct ledger_entry *entry;
	size_t cell;

	drain_cancel(c);
	if (!ledger_move(ledger, handle, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_STARTED, (int32_t)c->slot))
		return; /* taken back, or queued twice after a death */
	entry = ledger_at(ledger, ledger_handle_index(handle));
	atomic_store(&entry->started_mono_us, clock_mono_us());
	cell = (size_t)entry->cell;
	assert(cell < c->pool->n_cells);
	c->cell = &c->pool->cells[cell];
	if (atomic_load(&c->cell->cancel) != CANCEL_NONE)
		pool_signal_cancel(c->pool, c->slot);
	bit_set(c->pool->shared->started, cell);
	pool_notify_loop(c->pool, false);

	run(c, cell);
	atomic_store(&entry->ended_mono_us, clock_mono_us());
	end_leftovers(c);
	if (!ledger_move(ledger, handle, LEDGER_STARTED, (int32_t)c->slot, LEDGER_ENDED, (int32_t)c->slot))
		await_kill();
	bit_set(c->pool->shared->ended, cell);
	pool_notify_loop(c->pool, false);
}

_Noreturn void executor_child_main(struct pool *pool, size_t slot, pid_t parent)
{
	struct child c = {
		.pool = pool,
		.slot = slot,
		.parent = parent,
		.beat_lock = PTHREAD_MUTEX_INITIALIZER,
		.host = {.beat = beat, .cancel_reason = cancel_reason, .cancel_fd = pool->cancel_fds[slot]},
		.limits = {.max_output_bytes = pool->config.max_output_bytes, .grace_ms = pool->config.grace_ms, .keeper = true},
	};

	c.host.ctx = &c;
	enter(&c);
	atomic_store(&pool->shared->slots[slot].state, SLOT_READY);
	pool_notify_loop(pool, true); /* the loop's idle count has changed */
	for (;;)
		execute(&c, next_handle(&c));
}
