/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That this worker lives: a counter in each shard, raised each second by one call. The answers say which shards may be
 * used. After a loss of Redis' data the scheduler writes a recovery nonce (design.md 6): everything that runs here is
 * written back, results that Kafka has not acknowledged too, and only then the lease is renewed under that nonce.
 */
#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/worker.h"

#define LEASE_INTERVAL_US 1000000
/* While a shard is not ready. */
#define LEASE_UNREADY_US 100000
/* How long shards may be unready before it is worth a line, and how often it is repeated. */
#define LEASE_TELL_FIRST_US 1000000
#define LEASE_TELL_AGAIN_US 10000000

static size_t count_unready(const struct worker *worker)
{
	size_t n = 0;

	for (int i = 0; i < worker->config.shards; i++)
		n += worker->shards[i].ready ? 0 : 1;
	return n;
}

static void tell_unready(struct worker *worker)
{
	size_t n = count_unready(worker);

	if (n == 0) {
		if (worker->unready_since_us)
			log_info("all shards are ready");
		worker->unready_since_us = 0;
		return;
	}
	if (!worker->unready_since_us) {
		worker->unready_since_us = worker->now_us;
		worker->unready_told_us = worker->now_us - LEASE_TELL_AGAIN_US + LEASE_TELL_FIRST_US;
	}
	if (worker->now_us - worker->unready_told_us < LEASE_TELL_AGAIN_US)
		return;
	worker->unready_told_us = worker->now_us;
	log_warn("waiting for a scheduler to vouch for the data in Redis", LOG_I("shards", n),
		 LOG_I("of", worker->config.shards));
}

void lease_wanted(struct worker *worker, int shard)
{
	worker->shards[shard].ready = false;
	if (worker->lease_at_us > worker->now_us + LEASE_UNREADY_US / 2)
		worker->lease_at_us = worker->now_us + LEASE_UNREADY_US / 2;
}

void lease_asserted(struct worker *worker, int index, enum mr_status status)
{
	struct shard *shard = &worker->shards[index];

	assert(shard->assert_calls > 0);
	shard->assert_failed = shard->assert_failed || status != MR_OK;
	if (--shard->assert_calls > 0)
		return;
	shard->asserting = false;
	if (shard->assert_failed)
		return;
	memcpy(shard->seen_text, shard->asserting_text, sizeof(shard->seen_text));
	shard->seen = bytes_of(shard->seen_text);
	worker->lease_at_us = worker->now_us;
}

static void asserted(void *ctx, enum mr_status status)
{
	struct batch *batch = ctx;

	lease_asserted(batch->worker, batch->shard, status);
	worker_batch_free(batch);
}

static bool is_held(const struct job *job)
{
	switch (job->state) {
	case JOB_READY:
	case JOB_QUEUED:
	case JOB_RUNNING:
	case JOB_JOURNALLING:
		return job->handle != 0 && !job->superseded;
	case JOB_FINISHING: /* finish itself writes to an empty state */
		return job->doubt.holds_result;
	case JOB_FREE:
	case JOB_FRESH:
	case JOB_DELAYED:
	case JOB_CLAIMING:
	case JOB_WAITING:
	case JOB_RELEASING:
	case JOB_FORWARDING:
	case JOB_PUBLISHING:
	case JOB_CLEARING:
	case JOB_DEAD:
	case JOB_LINGERING:
		break;
	}
	return false;
}

static bool assert_batch(struct worker *worker, struct batch *batch, const struct claim_token *tokens)
{
	if (worker->config.calls->reassert(worker->store, tokens, batch->n, asserted, batch)) {
		worker_batch_free(batch);
		return false;
	}
	return true;
}

/* Writes back what this worker holds of the shard. */
static bool reassert(struct worker *worker, int shard, size_t *ret_calls)
{
	struct claim_token tokens[WORKER_BATCH_MAX];
	struct batch *batch = NULL;

	*ret_calls = 0;
	for (struct job *job = worker->all; job; job = job->all_next) {
		if (!is_held(job) || job->shard != shard)
			continue;
		if (!batch) {
			batch = worker_batch_new(worker);
			batch->shard = shard;
		}
		tokens[batch->n] = job_token(job);
		tokens[batch->n++].worker = worker->incarnation;
		if (batch->n < WORKER_BATCH_MAX)
			continue;
		if (!assert_batch(worker, batch, tokens))
			return false;
		(*ret_calls)++;
		batch = NULL;
	}
	if (batch && !assert_batch(worker, batch, tokens))
		return false;
	*ret_calls += batch ? 1 : 0;
	return true;
}

/* Calls are answered later than this returns, so the count may be set afterwards. */
static void begin_assert(struct worker *worker, int index, struct bytes nonce)
{
	struct shard *shard = &worker->shards[index];
	size_t claims, results;
	bool complete;

	if (shard->asserting || bytes_equal(shard->seen, nonce) || nonce.len >= sizeof(shard->asserting_text))
		return;
	memcpy(shard->asserting_text, nonce.data, nonce.len);
	shard->asserting_text[nonce.len] = '\0';
	shard->asserting = true;
	complete = reassert(worker, index, &claims);
	complete = result_reapply(worker, index, &results) && complete;
	shard->assert_failed = !complete;
	/* One for this function: where nothing is held there is nothing to wait for. */
	shard->assert_calls = claims + results + 1;
	if (claims + results)
		log_info("claims and results are written back to Redis", LOG_I("shard", index), LOG_I("calls", claims + results));
	lease_asserted(worker, index, MR_OK);
}

static void take_answer(struct worker *worker, const struct lease_answer *answer)
{
	struct shard *shard = &worker->shards[answer->shard];

	if (answer->buried) {
		if (worker->end == WORKER_RUNS)
			log_warn("this worker was declared dead and begins anew", LOG_I("shard", answer->shard));
		worker->end = WORKER_BURIED;
		return;
	}
	shard->ready = answer->ready;
	if (answer->ready)
		line_prepend(&worker->fresh, &shard->held);
	else if (answer->recovery_nonce.len)
		begin_assert(worker, answer->shard, answer->recovery_nonce);
}

static void leased(void *ctx, enum mr_status status, const struct lease_answer *answers, size_t n)
{
	struct worker *worker = ctx;

	worker->lease_under_way = false;
	worker->lease_at_us = worker->now_us + LEASE_INTERVAL_US;
	if (status)
		return;
	worker->lease_ok_us = worker->now_us;
	for (size_t i = 0; i < n; i++)
		take_answer(worker, &answers[i]);
	if (count_unready(worker) && worker->lease_at_us > worker->now_us + LEASE_UNREADY_US)
		worker->lease_at_us = worker->now_us + LEASE_UNREADY_US;
}

static void send(struct worker *worker)
{
	size_t n = (size_t)worker->config.shards;
	int *shards = arena_alloc(&worker->turn, n * sizeof(shards[0]));
	struct bytes *seen = arena_alloc(&worker->turn, n * sizeof(seen[0]));

	for (size_t i = 0; i < n; i++) {
		shards[i] = (int)i;
		seen[i] = bytes_present(worker->shards[i].seen) ? worker->shards[i].seen : BYTES_LIT("");
	}
	worker->lease_under_way = true;
	if (worker->config.calls->lease(worker->store, worker->incarnation, shards, seen, n, leased, worker)) {
		worker->lease_under_way = false;
		worker->lease_at_us = worker->now_us + LEASE_UNREADY_US;
	}
	arena_reset(&worker->turn);
}

void lease_tick(struct worker *worker)
{
	tell_unready(worker);
	if (!worker->lease_under_way && !worker->lease_ending && worker->now_us >= worker->lease_at_us)
		send(worker);
}

int64_t lease_deadline_us(const struct worker *worker)
{
	if (worker->lease_under_way || worker->lease_ending)
		return worker->now_us + LEASE_INTERVAL_US;
	return worker->lease_at_us;
}

static void lease_is_over(void *ctx, enum mr_status status)
{
	struct worker *worker = ctx;

	/* Without an answer the lease runs out by itself. */
	(void)status;
	worker->lease_ended = true;
}

void lease_end(struct worker *worker)
{
	size_t n = (size_t)worker->config.shards;
	int *shards;

	if (worker->lease_ending)
		return;
	worker->lease_ending = true;
	shards = arena_alloc(&worker->turn, n * sizeof(shards[0]));
	for (size_t i = 0; i < n; i++)
		shards[i] = (int)i;
	if (worker->config.calls->lease_end(worker->store, worker->incarnation, shards, n, lease_is_over, worker))
		worker->lease_ended = true;
	arena_reset(&worker->turn);
}
