/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/supervisor.h"

#include <assert.h>
#include <errno.h>
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

#define LOOK_AGAIN_MS 1000 /* signals wake it; this is for one that was lost */
#define REDIS_TIMEOUT_MS 2000
#define ZYGOTE_RETRY_MS 1000
#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 5000
#define LONG_LIFE_MS 10000 /* a loop that lived so long dies for a new reason */
#define INCARNATION_BYTES 256

struct supervisor {
	const struct supervisor_config *config;
	int signal_fd;
	sigset_t mask_before;
	pid_t loop;
	char incarnation[INCARNATION_BYTES];
	int count;
	int64_t started_mono_ms;
	int64_t pause_ms;
	int stop_signal; /* the first SIGTERM or SIGINT; 0 = none */
	bool over;
	int exit_status;
};

void supervisor_tell_shards(struct pool *pool, int shards)
{
	atomic_store(&pool->shared->shards, shards);
}

static struct health *health_of(const struct supervisor *s)
{
	return metrics_health(s->config->metrics);
}

/* Until a signal comes or the time is over. */
static void wait_for_signal(struct supervisor *s, int64_t wait_ms)
{
	int64_t now_ms = clock_mono_us() / 1000, until_ms = now_ms + wait_ms;
	struct pollfd fds[2] = {
		{.fd = s->signal_fd, .events = POLLIN},
		{.fd = s->config->http ? http_fd(s->config->http) : -1, .events = POLLIN},
	};

	while (now_ms < until_ms && !fds[0].revents) {
		int64_t left_ms = until_ms - now_ms;

		if (poll(fds, 2, (int)(left_ms < LOOK_AGAIN_MS ? left_ms : LOOK_AGAIN_MS)) < 0)
			return;
		if (s->config->http)
			http_serve(s->config->http);
		now_ms = clock_mono_us() / 1000;
	}
}

/* ---- the loop process ---- */

static _Noreturn void loop_child(struct supervisor *s, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	close(s->signal_fd);
	sigprocmask(SIG_SETMASK, &s->mask_before, NULL);
	exit(s->config->loop(s->config->ctx, s->config->pool, s->incarnation));
}

static bool start_loop(struct supervisor *s)
{
	pid_t self = getpid();

	snprintf(s->incarnation, sizeof(s->incarnation), "%s.%d", s->config->identity, ++s->count);
	health_still(health_of(s), HEALTH_STARTING);
	s->started_mono_ms = clock_mono_us() / 1000;
	fflush(NULL); /* what is buffered would come out twice */
	s->loop = fork();
	if (s->loop == 0)
		loop_child(s, self);
	if (s->loop < 0) {
		log_error("the worker's loop cannot be started", LOG_S("error", strerror(errno)));
		s->loop = 0;
		return false;
	}
	atomic_store(&health_of(s)->pid, s->loop);
	pool_spare(s->config->pool, s->loop);
	return true;
}

/* ---- after its death ---- */

struct leftovers {
	struct arena arena;
	struct claim_token *tokens; /* claimed (or about to be) and not started */
	size_t n_tokens;
	size_t n_running;
};

static struct claim_token copy_token(struct arena *arena, const struct ledger_entry *entry, const char *worker)
{
	struct claim_token token = ledger_token(entry);

	token.key = arena_copy(arena, token.key);
	token.run_id = arena_copy(arena, token.run_id);
	token.nonce = arena_copy(arena, token.nonce);
	token.record_id = arena_copy(arena, token.record_id);
	token.worker = bytes_of(worker);
	return token;
}

/* Nothing that is queued can start any more once it is TAKEN. */
static void take_all(struct supervisor *s, struct leftovers *left)
{
	struct ledger *ledger = pool_ledger(s->config->pool);
	size_t n = ledger_size(ledger);

	left->tokens = arena_alloc(&left->arena, n * sizeof(*left->tokens));
	for (size_t i = 0; i < n; i++) {
		struct ledger_entry *entry = ledger_at(ledger, i);
		enum ledger_state state;

		ledger_move(ledger, ledger_handle_at(ledger, i), LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_TAKEN, LEDGER_NOBODY);
		state = ledger_state(entry);
		if (state == LEDGER_CLAIMING || state == LEDGER_TAKEN)
			left->tokens[left->n_tokens++] = copy_token(&left->arena, entry, s->incarnation);
		else if (state != LEDGER_FREE)
			left->n_running++;
	}
}

static void note_status(void *ctx, enum mr_status status)
{
	enum mr_status *first = ctx;

	if (status && !*first)
		*first = status;
}

#define RELEASE_BATCH 512

static enum mr_status release(struct store *store, const struct leftovers *left, enum mr_status *seen)
{
	for (size_t i = 0; i < left->n_tokens; i += RELEASE_BATCH) {
		size_t n = left->n_tokens - i < RELEASE_BATCH ? left->n_tokens - i : RELEASE_BATCH;
		enum mr_status status = store_release(store, left->tokens + i, n, note_status, seen);

		if (status)
			return status;
	}
	return MR_OK;
}

static enum mr_status bury(struct supervisor *s, struct store *store, int shards, enum mr_status *seen)
{
	CLEANUP_FREE int *all = mem_alloc((size_t)shards * sizeof(int));

	for (int i = 0; i < shards; i++)
		all[i] = i;
	return store_bury(store, bytes_of(s->incarnation), all, (size_t)shards, note_status, seen);
}

/* Given back before the burial, so that nobody takes them for lost; and after it once more, because a claim of the dead loop may
 * have been on its way. */
static enum mr_status settle_in_redis(struct supervisor *s, const struct leftovers *left, int shards, struct mr_error *err)
{
	struct store_config config = s->config->store;
	enum mr_status seen = MR_OK, status;
	struct store *store;

	config.shards = shards;
	status = store_new(&config, NULL, &store, err);
	if (status)
		return status;
	status = release(store, left, &seen);
	if (!status)
		status = bury(s, store, shards, &seen);
	if (!status)
		status = release(store, left, &seen);
	if (!status)
		status = store_wait(store, REDIS_TIMEOUT_MS, err);
	store_free(store);
	return status ? status : seen;
}

static void settle(struct supervisor *s)
{
	int shards = s->config->shards ? s->config->shards : atomic_load(&s->config->pool->shared->shards);
	struct leftovers left = {.n_tokens = 0};
	struct mr_error err = {.message = "no answer in time"};

	take_all(s, &left);
	pool_stop(s->config->pool); /* what runs must have ended before another worker may be told that it is lost */
	if (shards > 0 && settle_in_redis(s, &left, shards, &err))
		log_warn("Redis was not told of the death of the loop; the scheduler will find out by its lease",
			 LOG_S("error", err.message));
	log_info("claims of the dead loop settled", LOG_S("worker", s->incarnation), LOG_I("given_back", left.n_tokens),
		 LOG_I("lost", left.n_running));
	arena_deinit(&left.arena);
}

/* ---- processes ---- */

static void finish(struct supervisor *s, int exit_status)
{
	s->over = true;
	s->exit_status = exit_status;
}

static void wait_before_next(struct supervisor *s, bool at_once)
{
	bool lived_long = clock_mono_us() / 1000 - s->started_mono_ms > LONG_LIFE_MS;

	if (at_once || lived_long) {
		s->pause_ms = 0;
		return;
	}
	s->pause_ms = s->pause_ms ? (s->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : s->pause_ms * 2) : PAUSE_FIRST_MS;
	wait_for_signal(s, s->pause_ms);
}

static void restart(struct supervisor *s, bool at_once)
{
	struct mr_error err;

	metrics_forget_gauges(s->config->metrics);
	health_still(health_of(s), at_once ? HEALTH_STARTING : HEALTH_LOOP_DIED);
	metric_add(metrics_plain(s->config->metrics, at_once ? METRIC_LEASE_LOSSES : METRIC_LOOP_DEATHS), 1);
	settle(s);
	while (pool_reset(s->config->pool, &err)) {
		log_error("the processes that run activities cannot be started", LOG_S("where", err.where),
			  LOG_S("error", err.message));
		poll(NULL, 0, ZYGOTE_RETRY_MS);
	}
	wait_before_next(s, at_once);
	if (!start_loop(s))
		finish(s, 1);
}

static void log_death(const struct supervisor *s, int wait_status)
{
	if (WIFSIGNALED(wait_status))
		log_error("the worker's loop died", LOG_S("worker", s->incarnation),
			  LOG_S("signal", strsignal(WTERMSIG(wait_status))));
	else
		log_warn("the worker's loop begins a new incarnation", LOG_S("worker", s->incarnation));
}

static void loop_ended(struct supervisor *s, int wait_status)
{
	bool again = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == SUPERVISOR_AGAIN;

	pool_spare_no_more(s->config->pool, s->loop);
	s->loop = 0;
	if (WIFEXITED(wait_status) && !again) {
		finish(s, WEXITSTATUS(wait_status));
		return;
	}
	log_death(s, wait_status);
	if (s->stop_signal) {
		settle(s);
		finish(s, 128 + s->stop_signal);
		return;
	}
	restart(s, again);
}

static void zygote_ended(struct supervisor *s, int wait_status)
{
	struct mr_error err;

	log_error("the parent of the executors died; what it ran has crashed", LOG_I("wait_status", wait_status));
	while (pool_zygote_died(s->config->pool, wait_status, &err)) {
		log_error("the processes that run activities cannot be started", LOG_S("where", err.where),
			  LOG_S("error", err.message));
		poll(NULL, 0, ZYGOTE_RETRY_MS);
	}
}

/* Children of the program from before are reaped by the program, not here: each of ours is asked for by its number. */
static void reap(struct supervisor *s)
{
	pid_t zygote = pool_zygote_pid(s->config->pool);
	int wait_status;

	if (zygote > 0 && waitpid(zygote, &wait_status, WNOHANG) == zygote)
		zygote_ended(s, wait_status);
	if (s->loop > 0 && waitpid(s->loop, &wait_status, WNOHANG) == s->loop)
		loop_ended(s, wait_status);
}

static void end_at_once(struct supervisor *s)
{
	if (s->loop > 0) {
		kill(s->loop, SIGKILL);
		while (waitpid(s->loop, NULL, 0) < 0 && errno == EINTR)
			;
		pool_spare_no_more(s->config->pool, s->loop);
		s->loop = 0;
		settle(s);
	}
	finish(s, 128 + s->stop_signal);
}

static void take_signal(struct supervisor *s, int sig)
{
	if (sig == SIGCHLD)
		return;
	if (s->stop_signal) {
		log_warn("second signal: everything ends now");
		end_at_once(s);
		return;
	}
	s->stop_signal = sig;
	if (s->loop > 0)
		kill(s->loop, SIGTERM);
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (!s->over && read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		take_signal(s, (int)info.ssi_signo);
}

static bool open_signals(struct supervisor *s)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &signals, &s->mask_before);
	s->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd >= 0;
}

int supervisor_run(const struct supervisor_config *config)
{
	struct supervisor s = {.config = config, .signal_fd = -1};

	if (!open_signals(&s)) {
		log_error("signalfd", LOG_S("error", strerror(errno)));
		return 1;
	}
	if (!start_loop(&s))
		finish(&s, 1);
	while (!s.over) {
		reap(&s);
		if (!s.over)
			wait_for_signal(&s, LOOK_AGAIN_MS);
		read_signals(&s);
	}
	close(s.signal_fd);
	pool_stop(config->pool);
	sigprocmask(SIG_SETMASK, &s.mask_before, NULL);
	return s.exit_status;
}
