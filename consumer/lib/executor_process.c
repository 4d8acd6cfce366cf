/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/message.h"
#include "lib/pool_impl.h"

/* Executor processes as the loop sees them. */

struct flight {
	uint64_t handle;   /* 0: the cell is free */
	uint64_t position; /* in the ring */
	bool started_told;
	uint32_t beats_told;
};

struct executor_process {
	struct executor base;
	struct pool *pool;
	struct flight *flights; /* a cell each */
	uint32_t *free_cells;   /* a stack */
	size_t n_free;
	uint32_t deaths_seen;
	struct arena arena;
	struct arena beat_arena; /* details that process_beat has given out */
};

static struct executor_process *self_of(struct executor *ex)
{
	return (struct executor_process *)ex;
}

static void process_free(struct executor *ex)
{
	struct executor_process *self = self_of(ex);

	arena_deinit(&self->arena);
	arena_deinit(&self->beat_arena);
	free(self->flights);
	free(self->free_cells);
	free(self);
}

static int process_fd(struct executor *ex)
{
	return self_of(ex)->pool->loop_fd;
}

static size_t process_room(struct executor *ex)
{
	struct executor_process *self = self_of(ex);
	size_t ring_room = self->pool->ring->mask + 1 - ring_len(self->pool->ring);

	return self->n_free < ring_room ? self->n_free : ring_room;
}

static size_t process_idle(struct executor *ex)
{
	struct executor_process *self = self_of(ex);
	size_t in_flight = self->pool->n_cells - self->n_free;
	size_t ready = pool_ready(self->pool);

	return ready > in_flight ? ready - in_flight : 0;
}

static bool write_info(struct pool *pool, size_t cell, const struct attempt_info *info)
{
	size_t bytes = message_info_bytes(info);

	if (bytes > pool->in_bytes)
		return false;
	message_info_write(info, pool_in(pool, cell, bytes));
	pool->cells[cell].in_bytes = bytes;
	return true;
}

static void prepare_cell(struct cell *cell, uint64_t handle)
{
	cell->handle = handle;
	cell->out_bytes = 0;
	cell->beat_bytes[0] = cell->beat_bytes[1] = 0;
	atomic_store(&cell->cancel, CANCEL_NONE);
	atomic_store(&cell->beats, 0);
	atomic_store(&cell->beat_mono_us, 0);
	atomic_store(&cell->tells_beat, 1);
}

/* One wake is enough where the ring was empty: an executor that takes something and sees more wakes the next. */
static void enqueue(struct executor_process *self, size_t cell)
{
	bool pushed = ring_push(self->pool->ring, self->flights[cell].handle, &self->flights[cell].position);

	assert(pushed);
	if (ring_head(self->pool->ring) >= self->flights[cell].position)
		pool_wake_one(self->pool);
}

/* Attempts that were taken back leave their places in the ring; those at its head are given up here. */
static void trim_ring(struct executor_process *self)
{
	struct ledger *ledger = self->pool->ledger;
	struct ledger_entry *entry;
	uint64_t handle;

	while (ring_peek(self->pool->ring, &handle)) {
		entry = ledger_get(ledger, handle);
		if (entry && ledger_state(entry) == LEDGER_QUEUED)
			return;
		if (!ring_pop(self->pool->ring, &handle))
			return;
		/* An executor may have been faster, so that this is another one, which waits: it goes to the back. */
		entry = ledger_get(ledger, handle);
		if (entry && ledger_state(entry) == LEDGER_QUEUED)
			enqueue(self, (size_t)entry->cell);
	}
}

static bool process_push(struct executor *ex, uint64_t handle, const struct attempt_info *info)
{
	struct executor_process *self = self_of(ex);
	struct ledger_entry *entry = ledger_get(self->pool->ledger, handle);
	uint32_t cell;
	bool moved;

	assert(entry);
	if (process_room(ex) == 0)
		return false;
	cell = self->free_cells[self->n_free - 1];
	prepare_cell(&self->pool->cells[cell], handle);
	if (!write_info(self->pool, cell, info))
		return false;
	self->n_free--;
	self->flights[cell] = (struct flight){.handle = handle};
	entry->cell = (int32_t)cell;
	moved = ledger_move(self->pool->ledger, handle, LEDGER_CLAIMING, LEDGER_NOBODY, LEDGER_QUEUED, LEDGER_NOBODY);
	assert(moved);
	enqueue(self, cell);
	return true;
}

static void give_back_memory(struct pool *pool, size_t cell)
{
	size_t area = pool->in_bytes + pool->out_bytes;

	if (pool->cells[cell].in_bytes > POOL_INLINE_BYTES || pool->cells[cell].out_bytes > POOL_INLINE_BYTES)
		madvise(pool->large + cell * area, area,
			MADV_REMOVE); /* a refusal: the pages are used again by the next large payload */
}

static void release_cell(struct executor_process *self, size_t cell)
{
	give_back_memory(self->pool, cell);
	self->flights[cell].handle = 0;
	self->free_cells[self->n_free++] = (uint32_t)cell;
	/* Told late, these bits would be about the next attempt here; what they say is checked against its state all the same. */
	bit_clear(self->pool->shared->started, cell);
	bit_clear(self->pool->shared->beat, cell);
}

/* The cell of an attempt that was pushed and is not done with; -1 where there is none. */
static ssize_t cell_of(struct executor_process *self, uint64_t handle)
{
	struct ledger_entry *entry = ledger_get(self->pool->ledger, handle);

	if (!entry || entry->cell < 0 || self->flights[entry->cell].handle != handle)
		return -1;
	return entry->cell;
}

static bool process_take_back(struct executor *ex, uint64_t handle)
{
	struct executor_process *self = self_of(ex);
	ssize_t cell = cell_of(self, handle);

	if (cell < 0 || !ledger_move(self->pool->ledger, handle, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_TAKEN, LEDGER_NOBODY))
		return false;
	release_cell(self, (size_t)cell);
	trim_ring(self);
	return true;
}

static void process_cancel(struct executor *ex, uint64_t handle, enum cancel_reason reason)
{
	struct executor_process *self = self_of(ex);
	ssize_t cell = cell_of(self, handle);
	uint64_t word;

	if (cell < 0)
		return;
	atomic_store(&self->pool->cells[cell].cancel, (uint32_t)reason);
	/* Set before the look at the state: an executor that starts it just now sees the flag itself. */
	word = atomic_load(&ledger_get(self->pool->ledger, handle)->word);
	if (ledger_word_state(word) == LEDGER_STARTED)
		pool_signal_cancel(self->pool, (size_t)ledger_word_owner(word));
}

static void process_kill(struct executor *ex, uint64_t handle)
{
	struct executor_process *self = self_of(ex);
	ssize_t cell = cell_of(self, handle);
	uint64_t one = 1;
	int32_t owner;
	ssize_t n;

	if (cell < 0)
		return;
	owner = ledger_word_owner(atomic_load(&ledger_get(self->pool->ledger, handle)->word));
	if (owner < 0 || !ledger_move(self->pool->ledger, handle, LEDGER_STARTED, owner, LEDGER_KILLED, owner))
		return;
	atomic_store(&self->pool->shared->slots[owner].kill, handle);
	n = write(self->pool->zygote_fd, &one, sizeof(one));
	assert(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

/* ---- events ---- */

typedef void event_fn(void *ctx, const struct executor_event *event);

static struct bytes describe_death(struct arena *arena, int wait_status)
{
	int sig;

	if (wait_status == -1)
		return BYTES_LIT("killed");
	if (WIFEXITED(wait_status))
		return arena_printf(arena, "the activity ended its process with exit status %d", WEXITSTATUS(wait_status));
	sig = WTERMSIG(wait_status);
	return arena_printf(arena, "SIG%s (%s)", sigabbrev_np(sig) ? sigabbrev_np(sig) : "?", strsignal(sig));
}

static void crashed(struct bytes message, struct outcome *ret)
{
	*ret = (struct outcome){.kind = OUTCOME_FAILED};
	failure_init(&ret->failure);
	ret->failure.type = BYTES_LIT("ActivityCrashed");
	ret->failure.message = message;
}

static bool read_outcome(struct executor_process *self, size_t cell, struct outcome *ret)
{
	size_t bytes = self->pool->cells[cell].out_bytes;

	return bytes <= self->pool->out_bytes &&
	       message_outcome_read((struct bytes){pool_out(self->pool, cell, bytes), bytes}, &self->arena, ret);
}

/* The latest details. The writer fills the other half and then counts up, so the half is whole if the count has not changed
 * meanwhile. */
static void read_beat(struct executor_process *self, size_t cell, struct arena *arena, uint32_t *ret_count, struct payload *ret)
{
	const struct cell *c = &self->pool->cells[cell];
	uint32_t count, bytes;
	struct bytes copy;

	do {
		count = atomic_load(&c->beats);
		bytes = c->beat_bytes[count & 1];
		copy = bytes > 0 && bytes <= POOL_BEAT_BYTES ? arena_copy(arena, (struct bytes){c->beat[count & 1], bytes})
							     : BYTES_NONE;
		atomic_thread_fence(memory_order_acquire);
	} while (count != atomic_load(&c->beats));
	*ret_count = count;
	if (count == 0 || !bytes_present(copy) || !message_payload_read(copy, ret))
		*ret = (struct payload){.data = BYTES_NONE};
}

static bool process_beat(struct executor *ex, uint64_t handle, bool tell_next, struct executor_beat *ret)
{
	struct executor_process *self = self_of(ex);
	ssize_t cell = cell_of(self, handle);

	if (cell < 0)
		return false;
	if (tell_next)
		atomic_store(&self->pool->cells[cell].tells_beat, 1);
	arena_reset(&self->beat_arena);
	read_beat(self, (size_t)cell, &self->beat_arena, &ret->count, &ret->details);
	ret->at_mono_us = atomic_load(&self->pool->cells[cell].beat_mono_us);
	if (tell_next)
		self->flights[cell].beats_told = ret->count;
	return true;
}

static void fill_ended(struct executor_process *self, size_t cell, const struct ledger_entry *entry, struct executor_event *ret)
{
	uint32_t count;

	*ret = (struct executor_event){
		.kind = EXECUTOR_ENDED,
		.handle = self->flights[cell].handle,
		.started_mono_us = atomic_load(&entry->started_mono_us),
		.ended_mono_us = atomic_load(&entry->ended_mono_us),
		.beat_mono_us = atomic_load(&self->pool->cells[cell].beat_mono_us),
	};
	if (ret->started_mono_us == 0 || ret->started_mono_us > ret->ended_mono_us)
		ret->started_mono_us = ret->ended_mono_us;
	if (ledger_state(entry) == LEDGER_CRASHED)
		crashed(describe_death(&self->arena, atomic_load(&entry->wait_status)), &ret->outcome);
	else if (!read_outcome(self, cell, &ret->outcome))
		crashed(BYTES_LIT("what the attempt answered was overwritten in memory"), &ret->outcome);
	read_beat(self, cell, &self->arena, &count, &ret->outcome.heartbeat_details);
}

/* The entry of what lies in a cell if it is in one of two states; NULL otherwise (the bit was about an attempt before). */
static struct ledger_entry *entry_in(struct executor_process *self, size_t cell, enum ledger_state a, enum ledger_state b)
{
	struct ledger_entry *entry = self->flights[cell].handle ? ledger_get(self->pool->ledger, self->flights[cell].handle)
								: NULL;

	return entry && (ledger_state(entry) == a || ledger_state(entry) == b) ? entry : NULL;
}

static void tell_ended(struct executor_process *self, size_t cell, event_fn *event, void *ctx)
{
	const struct ledger_entry *entry = entry_in(self, cell, LEDGER_ENDED, LEDGER_CRASHED);
	struct executor_event e;

	if (!entry)
		return;
	fill_ended(self, cell, entry, &e);
	/* The callback may push, but the outcome lies in this cell until it returns. */
	event(ctx, &e);
	release_cell(self, cell);
	arena_reset(&self->arena);
}

static void tell_started(struct executor_process *self, size_t cell, event_fn *event, void *ctx)
{
	const struct ledger_entry *entry = entry_in(self, cell, LEDGER_STARTED, LEDGER_KILLED);
	struct executor_event e;

	if (!entry || self->flights[cell].started_told)
		return;
	self->flights[cell].started_told = true;
	e = (struct executor_event){
		.kind = EXECUTOR_STARTED,
		.handle = self->flights[cell].handle,
		.started_mono_us = atomic_load(&entry->started_mono_us),
	};
	event(ctx, &e);
}

static void tell_beat(struct executor_process *self, size_t cell, event_fn *event, void *ctx)
{
	struct executor_event e = {.kind = EXECUTOR_HEARTBEAT, .handle = self->flights[cell].handle};
	uint32_t count;

	if (!entry_in(self, cell, LEDGER_STARTED, LEDGER_KILLED))
		return;
	read_beat(self, cell, &self->arena, &count, &e.details);
	if (count != self->flights[cell].beats_told) {
		/* It may have started and beaten since the starts were told. */
		tell_started(self, cell, event, ctx);
		self->flights[cell].beats_told = count;
		event(ctx, &e);
	}
	arena_reset(&self->arena);
}

typedef void tell_fn(struct executor_process *self, size_t cell, event_fn *event, void *ctx);

static bool scan(struct executor_process *self, _Atomic uint64_t *bits, tell_fn *tell, event_fn *event, void *ctx)
{
	bool any = false;

	for (size_t word = 0; word * 64 < self->pool->n_cells; word++) {
		uint64_t set = atomic_load_explicit(&bits[word], memory_order_relaxed) ? atomic_exchange(&bits[word], 0) : 0;

		any |= set != 0;
		for (; set; set &= set - 1) {
			size_t cell = word * 64 + (size_t)__builtin_ctzll(set);

			if (cell < self->pool->n_cells)
				tell(self, cell, event, ctx);
		}
	}
	return any;
}

/* What a dead executor had taken from the ring and not started would wait for ever; queued twice it starts once. And it may have
 * died between the end of an attempt and its bit. */
static void recover_lost(struct executor_process *self)
{
	uint32_t deaths = atomic_load(&self->pool->shared->deaths);

	if (deaths == self->deaths_seen)
		return;
	self->deaths_seen = deaths;
	for (size_t cell = 0; cell < self->pool->n_cells; cell++) {
		struct ledger_entry *entry = entry_in(self, cell, LEDGER_QUEUED, LEDGER_QUEUED);

		if (entry && self->flights[cell].position < ring_head(self->pool->ring) &&
		    ring_len(self->pool->ring) <= self->pool->ring->mask)
			enqueue(self, cell);
		if (entry_in(self, cell, LEDGER_ENDED, LEDGER_CRASHED))
			bit_set(self->pool->shared->ended, cell);
	}
	if (!ring_empty(self->pool->ring))
		pool_wake_all(self->pool);
}

static bool tell_all(struct executor_process *self, event_fn *event, void *ctx)
{
	struct pool_shared *shared = self->pool->shared;
	bool any;

	any = scan(self, shared->started, tell_started, event, ctx);
	any |= scan(self, shared->beat, tell_beat, event, ctx);
	any |= scan(self, shared->ended, tell_ended, event, ctx);
	return any;
}

static void process_poll(struct executor *ex, event_fn *event, void *ctx)
{
	struct executor_process *self = self_of(ex);
	uint64_t count;

	/* Always: who disarmed may write only after the loop has armed again, and an fd left readable would keep the loop awake. */
	if (read(self->pool->loop_fd, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
	recover_lost(self);
	tell_all(self, event, ctx);
	atomic_store(&self->pool->shared->armed, 1);
	tell_all(self, event, ctx);
}

static const struct executor_ops process_ops = {
	.free = process_free,
	.fd = process_fd,
	.room = process_room,
	.idle = process_idle,
	.push = process_push,
	.take_back = process_take_back,
	.cancel = process_cancel,
	.kill = process_kill,
	.beat = process_beat,
	.poll = process_poll,
};

enum mr_status executor_process_new(struct pool *pool, struct executor **ret, struct mr_error *err)
{
	struct executor_process *self = mem_alloc(sizeof(*self));

	(void)err;
	self->base.ops = &process_ops;
	self->pool = pool;
	self->flights = mem_alloc(pool->n_cells * sizeof(struct flight));
	self->free_cells = mem_alloc(pool->n_cells * sizeof(uint32_t));
	self->n_free = pool->n_cells;
	for (size_t i = 0; i < pool->n_cells; i++)
		self->free_cells[i] = (uint32_t)(pool->n_cells - 1 - i);
	self->deaths_seen = atomic_load(&pool->shared->deaths);
	atomic_store(&pool->shared->armed, 1);
	*ret = &self->base;
	return MR_OK;
}
