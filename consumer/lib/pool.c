/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "lib/pool_impl.h"

#define PAGE_BYTES 4096u
#define DEFAULT_PAYLOAD_BYTES (1 << 20)
#define LOAD_TIMEOUT_MS 30000
#define END_TIMEOUT_MS 10000
#define RING_SLACK 4 /* attempts that were taken back stay in the ring until they are at its head */

static size_t in_pages(size_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static size_t power_of_two(size_t at_least)
{
	size_t n = 64;

	while (n < at_least)
		n *= 2;
	return n;
}

static enum mr_status check_config(struct pool_config *config, struct mr_error *err)
{
	if (config->slots < 1 || config->slots > POOL_MAX_SLOTS)
		return mr_error_set(err, MR_EINVAL, "slots", "is %zu; 1 to %d is accepted", config->slots, POOL_MAX_SLOTS);
	if (config->slots + config->depth > POOL_MAX_CELLS)
		return mr_error_set(err, MR_EINVAL, "depth", "is %zu; up to %zu is accepted", config->depth,
				    POOL_MAX_CELLS - config->slots);
	if (config->max_input_bytes < 0 || config->max_output_bytes < 0 || config->max_input_bytes > INT_MAX ||
	    config->max_output_bytes > INT_MAX)
		return mr_error_set(err, MR_EINVAL, "max bytes", "0 to %d is accepted", INT_MAX);
	if (config->max_input_bytes == 0)
		config->max_input_bytes = DEFAULT_PAYLOAD_BYTES;
	if (config->max_output_bytes == 0)
		config->max_output_bytes = DEFAULT_PAYLOAD_BYTES;
	if (config->entries == 0)
		config->entries = 1024 + 4 * (config->slots + config->depth);
	return MR_OK;
}

struct layout {
	size_t ring, ledger, cells, large, total;
	size_t ring_capacity;
};

static struct layout plan(const struct pool *pool)
{
	struct layout layout;

	layout.ring_capacity = power_of_two(RING_SLACK * pool->n_cells);
	layout.ring = in_pages(sizeof(struct pool_shared));
	layout.ledger = layout.ring + in_pages(ring_bytes(layout.ring_capacity));
	layout.cells = layout.ledger + in_pages(ledger_bytes(pool->config.entries));
	layout.large = layout.cells + in_pages(pool->n_cells * sizeof(struct cell));
	layout.total = layout.large + pool->n_cells * (pool->in_bytes + pool->out_bytes);
	return layout;
}

static enum mr_status map_memory(struct pool *pool, struct mr_error *err)
{
	struct layout layout = plan(pool);
	int fd = memfd_create("millrace-pool", MFD_CLOEXEC);
	void *memory = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)layout.total) == 0)
		memory = mmap(NULL, layout.total, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		mr_error_set(err, MR_ESYSTEM, "memfd", "%zu bytes of shared memory: %s", layout.total, strerror(errno));
		if (fd >= 0)
			close(fd);
		return MR_ESYSTEM;
	}
	close(fd);
	madvise(memory, layout.total, MADV_DONTDUMP); /* advice: a refusal makes core files larger, nothing else */
	pool->memory = memory;
	pool->memory_bytes = layout.total;
	pool->shared = memory;
	pool->ring = ring_init(pool->memory + layout.ring, layout.ring_capacity);
	pool->ledger = ledger_init(pool->memory + layout.ledger, pool->config.entries);
	pool->cells = (struct cell *)(void *)(pool->memory + layout.cells);
	pool->large = pool->memory + layout.large;
	return MR_OK;
}

static int new_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static enum mr_status open_fds(struct pool *pool, struct mr_error *err)
{
	bool ok;

	pool->loop_fd = new_eventfd();
	pool->zygote_fd = new_eventfd();
	ok = pool->loop_fd >= 0 && pool->zygote_fd >= 0;
	for (size_t i = 0; i < pool->config.slots; i++) {
		pool->cancel_fds[i] = ok ? new_eventfd() : -1;
		ok = ok && pool->cancel_fds[i] >= 0;
	}
	return ok ? MR_OK : mr_error_set(err, MR_ESYSTEM, "eventfd", "%s", strerror(errno));
}

enum mr_status pool_new(const struct pool_config *config, struct pool **ret, struct mr_error *err)
{
	struct pool *pool = mem_alloc(sizeof(*pool));
	enum mr_status status;

	pool->config = *config;
	pool->loop_fd = pool->zygote_fd = -1;
	status = check_config(&pool->config, err);
	if (status) {
		free(pool);
		return status;
	}
	pool->n_cells = config->slots + config->depth;
	pool->in_bytes = in_pages((size_t)pool->config.max_input_bytes + POOL_MESSAGE_EXTRA_BYTES);
	pool->out_bytes = in_pages((size_t)pool->config.max_output_bytes + POOL_MESSAGE_EXTRA_BYTES);
	pool->cancel_fds = mem_alloc(config->slots * sizeof(int));
	pool->foreign = mem_alloc(sizeof(*pool->foreign));
	memset(pool->cancel_fds, 0xff, config->slots * sizeof(int));
	status = map_memory(pool, err);
	if (!status)
		status = open_fds(pool, err);
	if (status) {
		pool_free(pool);
		return status;
	}
	*ret = pool;
	return MR_OK;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	if (pool->memory)
		munmap(pool->memory, pool->memory_bytes);
	for (size_t i = 0; i < pool->config.slots; i++)
		if (pool->cancel_fds[i] >= 0)
			close(pool->cancel_fds[i]);
	if (pool->loop_fd >= 0)
		close(pool->loop_fd);
	if (pool->zygote_fd >= 0)
		close(pool->zygote_fd);
	pids_deinit(pool->foreign);
	free(pool->foreign);
	free(pool->cancel_fds);
	free(pool);
}

struct ledger *pool_ledger(struct pool *pool)
{
	return pool->ledger;
}

const struct pool_config *pool_config(const struct pool *pool)
{
	return &pool->config;
}

pid_t pool_zygote_pid(const struct pool *pool)
{
	return pool->zygote;
}

void pool_spare(struct pool *pool, pid_t pid)
{
	pids_add(pool->foreign, pid);
}

void pool_spare_no_more(struct pool *pool, pid_t pid)
{
	pids_remove(pool->foreign, pid);
}

static bool has_exec(const struct mr_registry *registry)
{
	for (size_t i = 0; i < registry_count(registry); i++)
		if (registry_at(registry, i)->kind == ACTIVITY_EXEC || registry_at(registry, i)->is_remote_exec)
			return true;
	return false;
}

bool pool_has_processes(const struct pool *pool)
{
	return !pool->config.threads || has_exec(pool->config.registry);
}

/* ---- waking ---- */

static void signal_fd(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	assert(n == (ssize_t)sizeof(one) || errno == EAGAIN); /* EAGAIN: it is readable as can be */
}

void pool_notify_loop(struct pool *pool, bool always)
{
	if (atomic_exchange(&pool->shared->armed, 0) || always)
		signal_fd(pool->loop_fd);
}

static void futex_wake(_Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void pool_wake_one(struct pool *pool)
{
	for (size_t word = 0; word * 64 < pool->config.slots; word++) {
		uint64_t bits = atomic_load(&pool->shared->sleeping[word]);

		while (bits) {
			size_t slot = word * 64 + (size_t)__builtin_ctzll(bits);

			if (bit_clear(pool->shared->sleeping, slot)) {
				futex_wake(&pool->shared->slots[slot].wake);
				return;
			}
			bits &= bits - 1;
		}
	}
}

void pool_wake_all(struct pool *pool)
{
	for (size_t slot = 0; slot < pool->config.slots; slot++)
		if (bit_clear(pool->shared->sleeping, slot))
			futex_wake(&pool->shared->slots[slot].wake);
}

void pool_signal_cancel(struct pool *pool, size_t slot)
{
	atomic_store(&pool->shared->slots[slot].cancel_signalled, true);
	signal_fd(pool->cancel_fds[slot]);
}

size_t pool_ready(const struct pool *pool)
{
	size_t n = 0;

	for (size_t slot = 0; slot < pool->config.slots; slot++)
		n += atomic_load_explicit(&pool->shared->slots[slot].state, memory_order_relaxed) == SLOT_READY;
	return n;
}

/* ---- death ---- */

static void mark_entry(struct pool *pool, size_t i, int32_t slot, int wait_status)
{
	struct ledger_entry *entry = ledger_at(pool->ledger, i);
	uint64_t word = atomic_load(&entry->word);
	int32_t owner = ledger_word_owner(word);

	if (owner >= POOL_MAX_SLOTS || (slot >= 0 && owner != slot))
		return;
	while (ledger_word_state(word) == LEDGER_STARTED || ledger_word_state(word) == LEDGER_KILLED) {
		bool killed = ledger_word_state(word) == LEDGER_KILLED;

		atomic_store(&entry->wait_status, killed ? -1 : wait_status);
		atomic_store(&entry->ended_mono_us, clock_mono_us());
		if (!atomic_compare_exchange_strong(&entry->word, &word,
						    ledger_word(ledger_word_generation(word), owner, LEDGER_CRASHED)))
			continue;
		if (entry->cell >= 0 && (size_t)entry->cell < pool->n_cells)
			bit_set(pool->shared->ended, (size_t)entry->cell);
		return;
	}
}

void pool_mark_crashed(struct pool *pool, int32_t slot, int wait_status)
{
	for (size_t i = 0; i < ledger_size(pool->ledger); i++)
		mark_entry(pool, i, slot, wait_status);
	for (size_t s = 0; s < pool->config.slots; s++) {
		if (slot >= 0 && s != (size_t)slot)
			continue;
		atomic_store(&pool->shared->slots[s].state, SLOT_EMPTY);
		bit_clear(pool->shared->sleeping, s);
	}
	atomic_fetch_add(&pool->shared->deaths, 1);
	pool_notify_loop(pool, true);
}

/* ---- the zygote, as the supervisor sees it ---- */

static enum mr_status fork_zygote(struct pool *pool, int *ret_fd, struct mr_error *err)
{
	pid_t parent = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return mr_error_set(err, MR_ESYSTEM, "pipe", "%s", strerror(errno));
	fflush(NULL); /* what is buffered would come out twice */
	pool->zygote = fork();
	if (pool->zygote < 0) {
		pool->zygote = 0;
		close(fds[0]);
		close(fds[1]);
		return mr_error_set(err, MR_ESYSTEM, "fork", "%s", strerror(errno));
	}
	if (pool->zygote == 0) {
		close(fds[0]);
		zygote_main(pool, parent, fds[1]);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return MR_OK;
}

/* Everything below the supervisor that is not spared: the zygote's tree comes here when the zygote is gone. */
static void end_tree(struct pool *pool, int *ret_wait_status)
{
	if (pool->zygote > 0) {
		kill(pool->zygote, SIGKILL);
		while (waitpid(pool->zygote, ret_wait_status, 0) < 0 && errno == EINTR)
			;
	}
	pool->zygote = 0;
	if (!descendants_end(pool->foreign, END_TIMEOUT_MS))
		log_error("descendants of activities do not die", LOG_I("waited_ms", END_TIMEOUT_MS));
}

static enum mr_status explain(const struct pool *pool, int wait_status, struct mr_error *err)
{
	const char *where = registry_libraries_name(pool->config.registry);

	if (WIFSIGNALED(wait_status))
		return mr_error_set(err, MR_EINVAL, where, "the process that loads the activities died of SIG%s (%s)",
				    sigabbrev_np(WTERMSIG(wait_status)), strsignal(WTERMSIG(wait_status)));
	return mr_error_set(err, MR_EINVAL, where, "the process that loads the activities ended with exit status %d",
			    WEXITSTATUS(wait_status));
}

static enum mr_status start_zygote(struct pool *pool, struct mr_error *err)
{
	enum mr_status status;
	int fd = -1, wait_status = 0;

	status = fork_zygote(pool, &fd, err);
	if (status)
		return status;
	status = registry_read_report(pool->config.registry, fd, LOAD_TIMEOUT_MS, err);
	close(fd);
	if (status)
		end_tree(pool, &wait_status);
	return status == MR_ECLOSED ? explain(pool, wait_status, err) : status;
}

static enum mr_status start_processes(struct pool *pool, struct mr_error *err)
{
	/* What the processes below leave behind comes to us, and only that is ours to kill. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return mr_error_set(err, MR_ESYSTEM, "prctl", "PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
	descendants_list(pool->foreign);
	return start_zygote(pool, err);
}

enum mr_status pool_start(struct pool *pool, struct mr_error *err)
{
	enum mr_status status = registry_check(pool->config.registry, err);

	if (!status && pool->config.threads)
		status = registry_try_libraries(pool->config.registry, err);
	if (!status && pool_has_processes(pool))
		status = start_processes(pool, err);
	return status ? status : registry_check_limits(pool->config.registry, err);
}

enum mr_status pool_zygote_died(struct pool *pool, int wait_status, struct mr_error *err)
{
	pool->zygote = 0;
	end_tree(pool, NULL);
	pool_mark_crashed(pool, -1, wait_status);
	return start_zygote(pool, err);
}

static void clear_shared(struct pool *pool)
{
	size_t large = pool->n_cells * (pool->in_bytes + pool->out_bytes);

	ring_reset(pool->ring);
	ledger_reset(pool->ledger);
	memset(pool->shared->sleeping, 0, sizeof(pool->shared->sleeping));
	memset(pool->shared->started, 0, sizeof(pool->shared->started));
	memset(pool->shared->ended, 0, sizeof(pool->shared->ended));
	memset(pool->shared->beat, 0, sizeof(pool->shared->beat));
	memset(pool->shared->slots, 0, sizeof(pool->shared->slots));
	madvise(pool->large, large, MADV_REMOVE); /* a refusal costs memory only until the areas are used again */
}

void pool_stop(struct pool *pool)
{
	if (!pool->zygote)
		return;
	end_tree(pool, NULL);
}

enum mr_status pool_reset(struct pool *pool, struct mr_error *err)
{
	bool running = pool->zygote != 0;

	pool_stop(pool);
	clear_shared(pool);
	return running || pool_has_processes(pool) ? start_zygote(pool, err) : MR_OK;
}
