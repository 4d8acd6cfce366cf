/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer/world_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

static struct fake_store *fake(const struct store *store)
{
	return (struct fake_store *)(uintptr_t)store;
}

static struct fake_call *call_new(struct store *store, size_t n, void *ctx)
{
	struct fake_store *s = fake(store);
	struct fake_call *call = mem_alloc(sizeof(*call));

	assert_in_range(n, 1, STORE_BATCH_MAX);
	call->n = n;
	call->ctx = ctx;
	if (s->tail)
		s->tail->next = call;
	else
		s->head = call;
	s->tail = call;
	return call;
}

static enum mr_status claim(struct store *store, struct bytes worker, const struct claim_request *requests, size_t n,
			    store_claim_fn *done, void *ctx)
{
	struct fake_call *call = call_new(store, n, ctx);

	assert_true(bytes_is(worker, "w1"));
	call->kind = CALL_CLAIM;
	call->done = (void *)done;
	for (size_t i = 0; i < n; i++) {
		world_note(fake(store)->world, "claim %.*s %lld", BYTES_ARG(requests[i].key), (long long)requests[i].attempt);
		call->claims[i].epoch = requests[i].epoch;
		call->claims[i].attempt = requests[i].attempt;
		call->claims[i].run_id = arena_copy(&call->arena, requests[i].run_id);
		call->claims[i].started_at_ms = 77;
	}
	return MR_OK;
}

static enum mr_status finish(struct store *store, const struct finish_request *requests, size_t n, store_finish_fn *done,
			     void *ctx)
{
	struct fake_call *call = call_new(store, n, ctx);

	call->kind = CALL_FINISH;
	call->done = (void *)done;
	for (size_t i = 0; i < n; i++) {
		assert_true(bytes_is(requests[i].token.worker, "w1"));
		assert_int_equal(requests[i].token.nonce.len, 16);
		world_note(fake(store)->world, "finish %.*s %s%s", BYTES_ARG(requests[i].token.key),
			   result_status_name(requests[i].status), requests[i].outbox ? " outbox" : "");
	}
	return MR_OK;
}

static enum mr_status done_call(struct store *store, size_t n, store_done_fn *done, void *ctx)
{
	struct fake_call *call = call_new(store, n, ctx);

	call->kind = CALL_DONE;
	call->done = (void *)done;
	return MR_OK;
}

static void note_tokens(struct store *store, const char *what, const struct claim_token *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++)
		world_note(fake(store)->world, "%s %.*s", what, BYTES_ARG(tokens[i].key));
}

static enum mr_status release(struct store *store, const struct claim_token *tokens, size_t n, store_done_fn *done, void *ctx)
{
	note_tokens(store, "release", tokens, n);
	return done_call(store, n, done, ctx);
}

static enum mr_status reassert(struct store *store, const struct claim_token *tokens, size_t n, store_done_fn *done, void *ctx)
{
	note_tokens(store, "reassert", tokens, n);
	return done_call(store, n, done, ctx);
}

static enum mr_status published(struct store *store, const struct published_request *requests, size_t n, store_done_fn *done,
				void *ctx)
{
	for (size_t i = 0; i < n; i++)
		world_note(fake(store)->world, "published %.*s", BYTES_ARG(requests[i].key));
	return done_call(store, n, done, ctx);
}

static enum mr_status view(struct store *store, struct bytes key, int shard, store_view_fn *done, void *ctx)
{
	struct fake_call *call = call_new(store, 1, ctx);

	(void)shard;
	world_note(fake(store)->world, "view %.*s", BYTES_ARG(key));
	call->kind = CALL_VIEW;
	call->done = (void *)done;
	return MR_OK;
}

static enum mr_status lease(struct store *store, struct bytes worker, const int *shards, const struct bytes *seen, size_t n,
			    store_lease_fn *done, void *ctx)
{
	struct fake_call *call = call_new(store, n, ctx);

	(void)worker;
	assert_int_equal(n, WORLD_SHARDS);
	assert_int_equal(shards[WORLD_SHARDS - 1], WORLD_SHARDS - 1);
	if (seen[0].len)
		world_note(fake(store)->world, "lease seen=%.*s", BYTES_ARG(seen[0]));
	call->kind = CALL_LEASE;
	call->done = (void *)done;
	return MR_OK;
}

static enum mr_status lease_end_call(struct store *store, struct bytes worker, const int *shards, size_t n, store_done_fn *done,
				     void *ctx)
{
	(void)worker;
	(void)shards;
	world_note(fake(store)->world, "lease_end");
	return done_call(store, n, done, ctx);
}

static void answer_offers(struct fake_store *s, struct fake_call *call)
{
	struct offer taken[8];
	size_t n = 0;

	assert_in_range(s->n_offers, 0, 8);
	for (size_t i = 0; i < s->n_offers && call->wanted > 0; i++) {
		taken[n] = s->offers[i];
		if (taken[n].free > call->wanted)
			taken[n].free = call->wanted;
		call->wanted -= taken[n++].free;
	}
	((store_offer_fn *)call->done)(call->ctx, MR_OK, taken, n);
}

static enum mr_status offer(struct store *store, struct bytes queue, const struct offer *ours, int64_t wanted,
			    store_offer_fn *done, void *ctx)
{
	struct fake_call *call = call_new(store, 1, ctx);

	if (fake(store)->tells_offers)
		world_note(fake(store)->world, "offer %.*s %lld %.*s", BYTES_ARG(queue), (long long)ours->free,
			   BYTES_ARG(ours->partitions));
	call->kind = CALL_OFFER;
	call->wanted = wanted;
	call->done = (void *)done;
	return MR_OK;
}

static int64_t time_ms(const struct store *store, int64_t now_mono_us)
{
	(void)store;
	return now_mono_us / 1000;
}

static int64_t time_upper_ms(const struct store *store, int64_t now_mono_us)
{
	(void)store;
	return now_mono_us / 1000 + 1;
}

const struct store_calls fake_store_calls = {
	.claim = claim,
	.finish = finish,
	.release = release,
	.published = published,
	.view = view,
	.lease = lease,
	.lease_end = lease_end_call,
	.reassert = reassert,
	.offer = offer,
	.time_ms = time_ms,
	.time_upper_ms = time_upper_ms,
};

static void answer_claims(struct fake_store *s, struct fake_call *call)
{
	for (size_t i = 0; i < call->n; i++) {
		struct claim_answer answer = s->claim;

		answer.epoch = call->claims[i].epoch;
		answer.attempt = call->claims[i].attempt + s->claim.attempt;
		answer.run_id = call->claims[i].run_id;
		answer.started_at_ms = call->claims[i].started_at_ms;
		call->claims[i] = answer;
	}
	((store_claim_fn *)call->done)(call->ctx, MR_OK, call->claims, call->n);
}

static void answer_finishes(struct fake_store *s, struct fake_call *call)
{
	struct finish_answer answers[WORKER_BATCH_MAX];

	for (size_t i = 0; i < call->n; i++)
		answers[i] =
			(struct finish_answer){.verdict = s->finish, .replies = bytes_of(s->replies), .commanded = s->commanded};
	((store_finish_fn *)call->done)(call->ctx, MR_OK, answers, call->n);
}

static void answer_lease(struct fake_store *s, struct fake_call *call)
{
	struct lease_answer answers[WORLD_SHARDS];

	for (int i = 0; i < WORLD_SHARDS; i++)
		answers[i] = (struct lease_answer){
			.shard = i,
			.ready = s->ready,
			.buried = s->buried,
			.recovery_nonce = bytes_of(s->recovery_nonce ? s->recovery_nonce : ""),
		};
	((store_lease_fn *)call->done)(call->ctx, MR_OK, answers, WORLD_SHARDS);
}

static void answer(struct fake_store *s, struct fake_call *call)
{
	switch (call->kind) {
	case CALL_CLAIM:
		answer_claims(s, call);
		return;
	case CALL_FINISH:
		answer_finishes(s, call);
		return;
	case CALL_DONE:
		((store_done_fn *)call->done)(call->ctx, MR_OK);
		return;
	case CALL_LEASE:
		answer_lease(s, call);
		return;
	case CALL_VIEW:
		((store_view_fn *)call->done)(call->ctx, MR_OK, &s->view);
		return;
	case CALL_OFFER:
		answer_offers(s, call);
		return;
	}
}

static void refuse(struct fake_call *call)
{
	switch (call->kind) {
	case CALL_CLAIM:
		((store_claim_fn *)call->done)(call->ctx, MR_EREDIS, NULL, 0);
		return;
	case CALL_FINISH:
		((store_finish_fn *)call->done)(call->ctx, MR_EREDIS, NULL, 0);
		return;
	case CALL_DONE:
		((store_done_fn *)call->done)(call->ctx, MR_EREDIS);
		return;
	case CALL_LEASE:
		((store_lease_fn *)call->done)(call->ctx, MR_EREDIS, NULL, 0);
		return;
	case CALL_VIEW:
		((store_view_fn *)call->done)(call->ctx, MR_EREDIS, NULL);
		return;
	case CALL_OFFER:
		((store_offer_fn *)call->done)(call->ctx, MR_EREDIS, NULL, 0);
		return;
	}
}

static size_t end_calls(struct world *world, bool refused)
{
	struct fake_store *s = &world->store;
	struct fake_call *call = s->head;
	size_t n = 0;

	s->head = s->tail = NULL;
	while (call) {
		struct fake_call *next = call->next;

		n += call->kind != CALL_LEASE && call->kind != CALL_OFFER;
		if (refused)
			refuse(call);
		else
			answer(s, call);
		arena_deinit(&call->arena);
		free(call);
		call = next;
	}
	return n;
}

size_t world_answer(struct world *world)
{
	return end_calls(world, false);
}

void world_refuse(struct world *world)
{
	end_calls(world, true);
}

void fake_store_deinit(struct world *world)
{
	end_calls(world, true);
}

void world_claims_get(struct world *world, enum claim_verdict verdict)
{
	world->store.claim = (struct claim_answer){.verdict = verdict};
}

struct claim_answer *world_claim_answer(struct world *world)
{
	return &world->store.claim;
}

void world_finishes_get(struct world *world, enum finish_verdict verdict, const char *replies)
{
	world->store.finish = verdict;
	world->store.replies = replies;
}

void world_finishes_find_commands(struct world *world)
{
	world->store.commanded = true;
}

void world_shards_ready(struct world *world, bool ready, const char *recovery_nonce)
{
	world->store.ready = ready;
	world->store.recovery_nonce = recovery_nonce;
}

void world_bury(struct world *world)
{
	world->store.buried = true;
}

void world_view_gets(struct world *world, enum view_state state)
{
	world->store.view = (struct task_view){.state = state, .shard_ready = true};
}

struct task_view *world_view(struct world *world)
{
	return &world->store.view;
}

void world_offers_get(struct world *world, const struct offer *offers, size_t n)
{
	world->store.tells_offers = true;
	world->store.offers = offers;
	world->store.n_offers = n;
}
