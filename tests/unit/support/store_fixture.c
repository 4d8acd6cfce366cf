/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/store_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

#define WAIT_LIMIT_US 10000000

static void on_health(void *ctx, enum mr_status status, const char *message)
{
	struct fixture *fx = ctx;

	if (status == MR_OK)
		fx->health_ok++;
	else
		fx->health_lost++;
	snprintf(fx->health, sizeof(fx->health), "%s", message);
}

/* ---- polling ---- */

static void poll_once(struct fixture *fx, int ms)
{
	struct pollfd pollfd;
	int64_t now_us = clock_mono_us();

	store_poll(fx->store, 0, now_us);
	int64_t wait_us = store_deadline_us(fx->store) - now_us;
	int wait_ms = wait_us <= 0 ? 0 : wait_us > ms * 1000 ? ms : (int)((wait_us + 999) / 1000);

	pollfd = (struct pollfd){.fd = store_fd(fx->store), .events = store_events(fx->store)};
	poll(&pollfd, 1, wait_ms);
	store_poll(fx->store, pollfd.revents, clock_mono_us());
}

void fx_wait(struct fixture *fx)
{
	int64_t end_us = clock_mono_us() + WAIT_LIMIT_US;

	while (!fx->done) {
		poll_once(fx, 100);
		if (clock_mono_us() > end_us)
			fail_msg("no answer of the store (%s)", fx->health);
	}
}

void fx_poll(struct fixture *fx, int ms)
{
	int64_t end_us = clock_mono_us() + (int64_t)ms * 1000;

	while (clock_mono_us() < end_us)
		poll_once(fx, 5);
}

static void begin(struct fixture *fx, enum mr_status called)
{
	assert_int_equal(called, MR_OK);
	fx_wait(fx);
}

static void ended(struct fixture *fx, enum mr_status status)
{
	fx->status = status;
	fx->done = true;
}

void fx_on_done(void *ctx, enum mr_status status)
{
	ended(ctx, status);
}

enum mr_status fx_status(struct fixture *fx, enum mr_status called)
{
	begin(fx, called);
	fx->done = false;
	return fx->status;
}

/* ---- set-up ---- */

void fx_start(struct fixture *fx, const char *const *options, const struct store_config *config)
{
	struct store_config mine = config ? *config : (struct store_config){0};
	struct store_callbacks callbacks = {.ctx = fx, .health = on_health};
	struct mr_error err = {0};

	signal(SIGPIPE, SIG_IGN);
	*fx = (struct fixture){0};
	redis_server_start(&fx->server, options);
	if (!mine.url)
		mine.url = fx->server.url;
	mine.prefix = "t.";
	mine.shards = FX_SHARDS;
	if (store_new(&mine, &callbacks, &fx->store, &err) != MR_OK)
		fail_msg("%s", err.message);
}

void fx_stop(struct fixture *fx)
{
	store_free(fx->store);
	arena_deinit(&fx->arena);
	redis_server_stop(&fx->server);
}

int fx_setup(void **state)
{
	struct fixture *fx = mem_alloc(sizeof(*fx));

	fx_start(fx, NULL, NULL);
	fx_reset(fx);
	*state = fx;
	return 0;
}

int fx_teardown(void **state)
{
	fx_stop(*state);
	free(*state);
	return 0;
}

void fx_ready(struct fixture *fx, const char *nonce)
{
	assert_int_equal(fx_recover(fx, nonce), MR_OK);
	assert_int_equal(fx_vouch(fx, nonce), MR_OK);
	assert_true(fx_lease(fx, "w1", "").ready);
	assert_true(fx_lease(fx, "w2", "").ready);
}

void fx_reset(struct fixture *fx)
{
	free(REDIS(&fx->server, "FLUSHALL"));
	arena_reset(&fx->arena);
	fx_ready(fx, "n1");
}

/* ---- raw state ---- */

const char *fx_key(const char *kind)
{
	static char keys[4][512];
	static unsigned next;
	char *key = keys[next++ % 4];

	snprintf(key, sizeof(keys[0]), "t.{%d}%s", FX_SHARD, kind);
	return key;
}

static const char *task_key_of(const char *key)
{
	char kind[300];

	snprintf(kind, sizeof(kind), "t:%s", key);
	return fx_key(kind);
}

static void swap(char *text, char from, char to)
{
	for (; *text; text++)
		if (*text == from)
			*text = to;
}

static void swap_all(char *text, const char *from, const char *to)
{
	for (; *from; from++, to++)
		swap(text, *from, *to);
}

void fx_put(struct fixture *fx, const char *key, const char *record)
{
	if (!record) {
		free(REDIS(&fx->server, "DEL", task_key_of(key)));
		return;
	}
	CLEANUP_FREE char *text = mem_strdup(record);

	swap_all(text, "|^&=", "\t\n\36\37");
	free(REDIS(&fx->server, "SET", task_key_of(key), text));
}

char *fx_get(struct fixture *fx, const char *key)
{
	char *text = REDIS(&fx->server, "GET", task_key_of(key));

	swap_all(text, "\t\n\36\37", "|^&=");
	return text;
}

void fx_assert_state(struct fixture *fx, const char *key, const char *record)
{
	CLEANUP_FREE char *text = fx_get(fx, key);

	assert_string_equal(text, record ? record : "(nil)");
}

void fx_assert_redis(struct fixture *fx, const char *expected, const char *const *words)
{
	CLEANUP_FREE char *text = redis_server_command(&fx->server, words);

	assert_string_equal(text, expected);
}

/* ---- blocking calls ---- */

static void on_claim(void *ctx, enum mr_status status, const struct claim_answer *answers, size_t n)
{
	struct fixture *fx = ctx;
	struct claim_answer *copy = arena_alloc(&fx->arena, (n + 1) * sizeof(*copy));

	for (size_t i = 0; i < n; i++) {
		copy[i] = answers[i];
		copy[i].run_id = arena_copy(&fx->arena, answers[i].run_id);
		copy[i].publication.value = arena_copy(&fx->arena, answers[i].publication.value);
		copy[i].publication.reply_topic = arena_copy(&fx->arena, answers[i].publication.reply_topic);
		copy[i].publication.reply_key = arena_copy(&fx->arena, answers[i].publication.reply_key);
	}
	fx->answer = copy;
	fx->n = n;
	ended(fx, status);
}

const struct claim_answer *fx_claims(struct fixture *fx, struct bytes worker, const struct claim_request *requests, size_t n)
{
	assert_int_equal(fx_status(fx, store_claim(fx->store, worker, requests, n, on_claim, fx)), MR_OK);
	assert_int_equal(fx->n, n);
	return fx->answer;
}

struct claim_answer fx_claim(struct fixture *fx, const struct claim_request *request)
{
	return *fx_claims(fx, FX_WORKER, request, 1);
}

static void on_finish(void *ctx, enum mr_status status, const struct finish_answer *answers, size_t n)
{
	struct fixture *fx = ctx;
	struct finish_answer *copy = arena_alloc(&fx->arena, (n + 1) * sizeof(*copy));

	for (size_t i = 0; i < n; i++) {
		copy[i] = answers[i];
		copy[i].replies = arena_copy(&fx->arena, answers[i].replies);
	}
	fx->answer = copy;
	fx->n = n;
	ended(fx, status);
}

struct finish_answer fx_finish(struct fixture *fx, const struct finish_request *request)
{
	assert_int_equal(fx_status(fx, store_finish(fx->store, request, 1, on_finish, fx)), MR_OK);
	return *(struct finish_answer *)fx->answer;
}

void fx_release(struct fixture *fx, const struct claim_token *token)
{
	assert_int_equal(fx_status(fx, store_release(fx->store, token, 1, fx_on_done, fx)), MR_OK);
}

void fx_reassert(struct fixture *fx, const struct claim_token *token)
{
	assert_int_equal(fx_status(fx, store_reassert(fx->store, token, 1, fx_on_done, fx)), MR_OK);
}

static void on_apply(void *ctx, enum mr_status status, const struct apply_answer *answers, size_t n)
{
	struct fixture *fx = ctx;

	for (size_t i = 0; i < n && fx->answer; i++)
		((struct apply_answer *)fx->answer)[i] = answers[i];
	ended(fx, status);
}

enum mr_status fx_apply(struct fixture *fx, const char *nonce, bool recovering, int64_t from, int64_t to,
			const struct apply_record *records, size_t n, struct apply_answer *ret)
{
	fx->answer = ret;
	return fx_status(fx, store_apply(fx->store, FX_SHARD, bytes_of(nonce), recovering, from, to, records, n, on_apply, fx));
}

void fx_on_status(void *ctx, enum mr_status status, const struct shard_status *answer)
{
	struct fixture *fx = ctx;
	struct shard_status *copy = arena_alloc(&fx->arena, sizeof(*copy));

	if (answer) {
		struct lease *leases = arena_alloc(&fx->arena, (answer->n_leases + 1) * sizeof(*leases));

		*copy = *answer;
		copy->nonce = arena_copy(&fx->arena, answer->nonce);
		for (size_t i = 0; i < answer->n_leases; i++) {
			leases[i].worker = arena_copy(&fx->arena, answer->leases[i].worker);
			leases[i].counter = answer->leases[i].counter;
			leases[i].seen = arena_copy(&fx->arena, answer->leases[i].seen);
		}
		copy->leases = leases;
	}
	fx->answer = copy;
	ended(fx, status);
}

struct shard_status fx_look(struct fixture *fx, int shard)
{
	assert_int_equal(fx_status(fx, store_look(fx->store, shard, fx_on_status, fx)), MR_OK);
	return *(struct shard_status *)fx->answer;
}

enum mr_status fx_recover(struct fixture *fx, const char *nonce)
{
	return fx_status(fx, store_recover(fx->store, FX_SHARD, bytes_of(nonce), fx_on_status, fx));
}

enum mr_status fx_vouch(struct fixture *fx, const char *nonce)
{
	return fx_status(fx, store_vouch(fx->store, FX_SHARD, bytes_of(nonce), 10, 20, 30, fx_on_done, fx));
}

static void on_lease(void *ctx, enum mr_status status, const struct lease_answer *answers, size_t n)
{
	struct fixture *fx = ctx;
	struct lease_answer *copy = arena_alloc(&fx->arena, sizeof(*copy));

	if (n > 0) {
		*copy = answers[0];
		copy->recovery_nonce = arena_copy(&fx->arena, answers[0].recovery_nonce);
	}
	fx->answer = copy;
	ended(fx, status);
}

struct lease_answer fx_lease(struct fixture *fx, const char *worker, const char *seen)
{
	int shard = FX_SHARD;
	struct bytes nonce = bytes_of(seen);

	assert_int_equal(fx_status(fx, store_lease(fx->store, bytes_of(worker), &shard, &nonce, 1, on_lease, fx)), MR_OK);
	return *(struct lease_answer *)fx->answer;
}

struct claim_request fx_request(void)
{
	return (struct claim_request){
		.key = BYTES_LIT("k"),
		.shard = FX_SHARD,
		.run_id = BYTES_LIT("run"),
		.attempt = 1,
		.record_id = BYTES_LIT("rec"),
		.nonce = BYTES_LIT("n"),
		.started_at_ms = 5,
	};
}

struct claim_token fx_token(void)
{
	return (struct claim_token){
		.key = BYTES_LIT("k"),
		.shard = FX_SHARD,
		.run_id = BYTES_LIT("run"),
		.attempt = 1,
		.nonce = BYTES_LIT("n"),
		.worker = FX_WORKER,
		.record_id = BYTES_LIT("rec"),
		.started_at_ms = 5,
	};
}
