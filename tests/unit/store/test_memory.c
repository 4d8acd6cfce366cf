/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "support/store_fixture.h"

/* What a task costs in Redis, in bytes of used_memory: keys and ids as long as real ones, results of 140 B. */

#define TASKS 20000
#define BATCH 500

static struct claim_request requests[BATCH];
static struct finish_request finishes[BATCH];
static struct apply_record records[BATCH];
static struct apply_answer answers[BATCH];
static char keys[BATCH][48], runs[BATCH][48], places[BATCH][48], nonces[BATCH][20];
static char value[141];

static long long used_memory(struct fixture *fx)
{
	char *info = REDIS(&fx->server, "INFO", "memory");
	long long used = strtoll(strstr(info, "used_memory:") + 12, NULL, 10);

	free(info);
	return used;
}

static void name_batch(size_t from)
{
	for (size_t i = 0; i < BATCH; i++) {
		size_t id = from + i;

		snprintf(keys[i], sizeof(keys[i]), "order-%09zu/charge-card", id);
		snprintf(runs[i], sizeof(runs[i]), "0192f1c8-7c7e-7000-8000-%012zx", id);
		snprintf(places[i], sizeof(places[i]), "millrace.tasks.default:%zu:%zu", id % 32, id / 32);
		snprintf(nonces[i], sizeof(nonces[i]), "%016zx", id * 2654435761u);
	}
}

static void claim_batch(struct fixture *fx, size_t from)
{
	name_batch(from);
	for (size_t i = 0; i < BATCH; i++) {
		requests[i] = fx_request();
		requests[i].key = bytes_of(keys[i]);
		requests[i].run_id = bytes_of(runs[i]);
		requests[i].record_id = bytes_of(places[i]);
		requests[i].nonce = bytes_of(nonces[i]);
		requests[i].started_at_ms = 1800000000000;
	}
	assert_int_equal(fx_claims(fx, FX_WORKER, requests, BATCH)[0].verdict, CLAIM_RUN);
	arena_reset(&fx->arena);
}

static void on_finish(void *ctx, enum mr_status status, const struct finish_answer *verdicts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(verdicts[i].verdict, FINISH_OK);
	fx_on_done(ctx, status);
}

static void finish_batch(struct fixture *fx, size_t from)
{
	name_batch(from);
	for (size_t i = 0; i < BATCH; i++) {
		finishes[i] = (struct finish_request){
			.token = fx_token(), .closed_at_ms = 1800000000000, .publication = {.value = bytes_of(value)}};
		finishes[i].token.key = bytes_of(keys[i]);
		finishes[i].token.run_id = bytes_of(runs[i]);
		finishes[i].token.record_id = bytes_of(places[i]);
		finishes[i].token.nonce = bytes_of(nonces[i]);
		finishes[i].token.started_at_ms = 1800000000000;
	}
	assert_int_equal(fx_status(fx, store_finish(fx->store, finishes, BATCH, on_finish, fx)), MR_OK);
}

static void back_off_batch(struct fixture *fx, size_t from)
{
	name_batch(from);
	for (size_t i = 0; i < BATCH; i++)
		records[i] = (struct apply_record){.kind = JOURNAL_BACKOFF,
						   .key = bytes_of(keys[i]),
						   .run_id = bytes_of(runs[i]),
						   .attempt = 2,
						   .due_ms = 1800000000000 + (int64_t)(from + i),
						   .offset = (int64_t)(from + i)};
	int64_t stored = fx_look(fx, FX_SHARD).journal_offset;

	assert_int_equal(fx_apply(fx, "n1", false, stored, stored + BATCH, records, BATCH, answers), MR_OK);
	arena_reset(&fx->arena);
}

static long long measure(struct fixture *fx, const char *what, void (*step)(struct fixture *fx, size_t from), long long before)
{
	for (size_t from = 0; from < TASKS; from += BATCH)
		step(fx, from);
	long long bytes = (used_memory(fx) - before) / TASKS;

	print_message("bytes a task that %s: %lld\n", what, bytes);
	return bytes;
}

static void a_task_costs_little(void **state)
{
	struct fixture *fx = *state;
	long long before = used_memory(fx);

	memset(value, 'v', sizeof(value) - 1);
	assert_true(measure(fx, "runs", claim_batch, before) <= 400);
	assert_true(measure(fx, "backs off", back_off_batch, before) <= 400);
	fx_reset(fx);
	before = used_memory(fx);
	measure(fx, "runs", claim_batch, before);
	assert_true(measure(fx, "has finished", finish_batch, before) <= 450);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_costs_little),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
