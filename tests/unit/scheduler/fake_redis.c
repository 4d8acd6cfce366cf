/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "scheduler/world_impl.h"

static struct world *world_of(const struct store *store)
{
	return (struct world *)(uintptr_t)store;
}

static struct fake_call *call_new(struct store *store, const char *name, void *done, void *ctx,
				  void (*answer)(struct world *world, struct fake_call *call))
{
	struct world *world = world_of(store);
	struct fake_call *call = mem_alloc(sizeof(*call));

	call->answer = answer;
	call->done = done;
	call->ctx = ctx;
	if (world->conflict && strcmp(world->conflict, name) == 0) {
		call->conflict = true;
		world->conflict = NULL;
	}
	*(world->tail ? &world->tail->next : &world->head) = call;
	world->tail = call;
	return call;
}

static enum mr_status status_of(const struct fake_call *call)
{
	return call->conflict ? MR_ECONFLICT : MR_OK;
}

static void nothing(struct store *store, short revents, int64_t now_us)
{
	(void)store;
	(void)revents;
	(void)now_us;
}

static int64_t deadline_us(const struct store *store)
{
	(void)store;
	return INT64_MAX;
}

static int64_t time_ms(const struct store *store, int64_t now_us)
{
	(void)store;
	return now_us / 1000;
}

static int64_t next_due_ms(const struct world *world)
{
	int64_t due_ms = world->n_due ? world->due[0].due_ms : -1;

	return world->n_ahead && (due_ms < 0 || world->ahead[0].due_ms < due_ms) ? world->ahead[0].due_ms : due_ms;
}

static void answer_status(struct world *world, struct fake_call *call)
{
	struct lease leases[4];
	struct shard_status status = {.state = world->marker,
				      .journal_offset = world->journal_offset,
				      .results_tip = world->results_tip,
				      .control_offset = world->control_offset,
				      .now_ms = world->now_us / 1000,
				      .next_due_ms = next_due_ms(world),
				      .outbox = world->outbox.key != NULL || world->sweep_end,
				      .nonce = bytes_of(world->nonce),
				      .leases = leases};

	for (size_t i = 0; i < 4; i++) {
		struct fake_lease *lease = &world->leases[i];

		if (!lease->there)
			continue;
		lease->counter += lease->alive;
		leases[status.n_leases++] = (struct lease){
			.worker = bytes_of(lease->worker), .counter = lease->counter, .seen = bytes_of(lease->seen)};
	}
	((store_status_fn *)call->done)(call->ctx, MR_OK, &status);
}

static enum mr_status look(struct store *store, int shard, store_status_fn *done, void *ctx)
{
	assert_int_equal(shard, 0);
	world_note(world_of(store), "look");
	call_new(store, "look", (void *)done, ctx, answer_status);
	return MR_OK;
}

static enum mr_status recover(struct store *store, int shard, struct bytes nonce, store_status_fn *done, void *ctx)
{
	struct world *world = world_of(store);

	assert_int_equal(shard, 0);
	world_note(world, "recover");
	call_new(store, "recover", (void *)done, ctx, answer_status);
	if (world->marker == SHARD_READY)
		return MR_OK;
	world->marker = SHARD_RECOVERING;
	assert_in_range(nonce.len, 1, sizeof(world->nonce) - 1);
	memcpy(world->nonce, nonce.data, nonce.len);
	world->nonce[nonce.len] = '\0';
	return MR_OK;
}

static void answer_done(struct world *world, struct fake_call *call)
{
	(void)world;
	((store_done_fn *)call->done)(call->ctx, status_of(call));
}

static enum mr_status restore(struct store *store, int shard, struct bytes nonce, const struct restore_request *requests,
			      size_t n, store_done_fn *done, void *ctx)
{
	struct world *world = world_of(store);
	struct buf text = {0};

	(void)shard;
	assert_true(bytes_is(nonce, world->nonce));
	assert_in_range(n, 1, STORE_BATCH_MAX);
	for (size_t i = 0; i < n; i++)
		buf_printf(&text, " %.*s", BYTES_ARG(requests[i].key));
	world_note(world, "restore%s", buf_cstr(&text));
	buf_deinit(&text);
	call_new(store, "restore", (void *)done, ctx, answer_done);
	return MR_OK;
}

static void answer_vouch(struct world *world, struct fake_call *call)
{
	if (!call->conflict) {
		world->marker = SHARD_READY;
		world->journal_offset = call->to;
	}
	answer_done(world, call);
}

static enum mr_status vouch(struct store *store, int shard, struct bytes nonce, int64_t journal_offset, int64_t results_tip,
			    int64_t control_offset, store_done_fn *done, void *ctx)
{
	(void)shard;
	assert_true(bytes_is(nonce, world_of(store)->nonce));
	world_of(store)->control_offset = control_offset;
	world_note(world_of(store), "vouch %lld %lld", (long long)journal_offset, (long long)results_tip);
	call_new(store, "vouch", (void *)done, ctx, answer_vouch)->to = journal_offset;
	return MR_OK;
}

static enum mr_status tip(struct store *store, int shard, struct bytes nonce, int64_t results_tip, store_done_fn *done, void *ctx)
{
	(void)shard;
	(void)nonce;
	world_note(world_of(store), "tip %lld", (long long)results_tip);
	call_new(store, "tip", (void *)done, ctx, answer_done);
	return MR_OK;
}

static void answer_apply(struct world *world, struct fake_call *call)
{
	struct apply_answer answers[LOG_MAX];

	for (size_t i = 0; i < call->n; i++)
		answers[i] = (struct apply_answer){.verdict = world->verdict, .found = world->apply_end};
	if (!call->conflict && !call->recovering) {
		assert_int_equal(world->journal_offset, call->from);
		world->journal_offset = call->to;
	}
	((store_apply_fn *)call->done)(call->ctx, status_of(call), answers, call->conflict ? 0 : call->n);
}

static enum mr_status apply(struct store *store, int shard, struct bytes nonce, bool recovering, int64_t from, int64_t to,
			    const struct apply_record *records, size_t n, store_apply_fn *done, void *ctx)
{
	struct buf text = {0};
	struct fake_call *call;

	(void)shard;
	assert_true(bytes_is(nonce, world_of(store)->nonce));
	for (size_t i = 0; i < n; i++)
		buf_printf(&text, " %.*s", BYTES_ARG(records[i].key));
	if (recovering)
		world_note(world_of(store), "replay%s", buf_cstr(&text));
	else
		world_note(world_of(store), "apply %lld>%lld%s", (long long)from, (long long)to, buf_cstr(&text));
	buf_deinit(&text);
	call = call_new(store, "apply", (void *)done, ctx, answer_apply);
	call->recovering = recovering;
	call->from = from;
	call->to = to;
	call->n = n;
	return MR_OK;
}

static void answer_fire(struct world *world, struct fake_call *call)
{
	int64_t now_ms = world->now_us / 1000;
	struct fired fired[8];
	size_t n = 0;

	while (!call->conflict && n < world->n_due && world->due[n].due_ms <= now_ms) {
		fired[n] = world->due[n];
		n++;
	}
	world->n_due -= n;
	memmove(world->due, world->due + n, world->n_due * sizeof(world->due[0]));
	((store_fire_fn *)call->done)(call->ctx, status_of(call), fired, n, next_due_ms(world), now_ms);
}

static enum mr_status fire(struct store *store, int shard, struct bytes nonce, int limit, store_fire_fn *done, void *ctx)
{
	(void)shard;
	assert_true(bytes_is(nonce, world_of(store)->nonce));
	assert_int_equal(limit, 200);
	world_note(world_of(store), "fire");
	call_new(store, "fire", (void *)done, ctx, answer_fire);
	return MR_OK;
}

static void answer_ahead(struct world *world, struct fake_call *call)
{
	struct ahead told[8];
	size_t n = 0;

	for (size_t i = 0; i < world->n_ahead && !call->conflict; i++) {
		if (world->ahead[i].due_ms >= call->from && world->ahead[i].due_ms <= call->to)
			told[n++] = world->ahead[i];
	}
	((store_ahead_fn *)call->done)(call->ctx, status_of(call), told, n, (struct ahead_place){.due_ms = call->to + 1});
}

static enum mr_status ahead(struct store *store, int shard, struct bytes nonce, struct ahead_place from, int64_t until_ms,
			    int limit, store_ahead_fn *done, void *ctx)
{
	struct fake_call *call = call_new(store, "ahead", (void *)done, ctx, answer_ahead);

	(void)shard;
	assert_true(bytes_is(nonce, world_of(store)->nonce));
	assert_int_equal(limit, 200);
	assert_true(until_ms >= from.due_ms);
	call->from = from.due_ms;
	call->to = until_ms;
	world_of(store)->looked_ahead++;
	return MR_OK;
}

static void answer_sweep(struct world *world, struct fake_call *call)
{
	const struct fake_outbox *outbox = &world->outbox;
	struct swept swept = {0};
	size_t n = 0;

	if (outbox->key && !call->conflict) {
		n = 1;
		swept.key = bytes_of(outbox->key);
		swept.finished = outbox->finished;
		swept.dispatch = (struct fired){.key = swept.key,
						.run_id = BYTES_LIT("run"),
						.attempt = outbox->attempt,
						.journal_offset = outbox->journal_offset,
						.replies = bytes_of(outbox->replies ? outbox->replies : "")};
		swept.publication.value = bytes_of(outbox->value);
		swept.publication.reply_topic = bytes_of(outbox->reply_topic);
		swept.publication.reply_key = BYTES_LIT("reply-key");
	}
	if (world->sweep_end && !call->conflict) {
		n = 1;
		swept = (struct swept){.key = world->sweep_end->key, .end = world->sweep_end};
		world->sweep_end = NULL;
	}
	((store_sweep_fn *)call->done)(call->ctx, status_of(call), &swept, n);
}

static enum mr_status sweep(struct store *store, int shard, struct bytes nonce, int64_t older_ms, int limit, store_sweep_fn *done,
			    void *ctx)
{
	(void)shard;
	(void)nonce;
	(void)limit;
	assert_int_equal(older_ms, 2000);
	world_note(world_of(store), "sweep");
	call_new(store, "sweep", (void *)done, ctx, answer_sweep);
	return MR_OK;
}

static enum mr_status published(struct store *store, const struct published_request *requests, size_t n, store_done_fn *done,
				void *ctx)
{
	struct world *world = world_of(store);
	struct buf text = {0};

	assert_in_range(n, 1, STORE_BATCH_MAX);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, " %.*s", BYTES_ARG(requests[i].key));
		if (world->outbox.key && bytes_is(requests[i].key, world->outbox.key))
			world->outbox.key = NULL;
	}
	world_note(world, "published%s", buf_cstr(&text));
	buf_deinit(&text);
	call_new(store, "published", (void *)done, ctx, answer_done);
	return MR_OK;
}

static void answer_finish(struct world *world, struct fake_call *call)
{
	struct finish_answer answer = {.verdict = world->finish, .replies = BYTES_LIT("")};

	((store_finish_fn *)call->done)(call->ctx, status_of(call), &answer, 1);
}

static enum mr_status finish(struct store *store, const struct finish_request *requests, size_t n, store_finish_fn *done,
			     void *ctx)
{
	assert_int_equal(n, 1);
	assert_true(requests[0].outbox);
	world_of(store)->finish_claim_nonce = arena_copy(&world_of(store)->arena, requests[0].token.nonce);
	world_of(store)->finish_end_nonce = arena_copy(&world_of(store)->arena, requests[0].end_nonce);
	world_note(world_of(store), "finish %.*s %s", BYTES_ARG(requests[0].token.key), result_status_name(requests[0].status));
	call_new(store, "finish", (void *)done, ctx, answer_finish);
	return MR_OK;
}

static enum mr_status bury(struct store *store, struct bytes worker, const int *shards, size_t n, store_done_fn *done, void *ctx)
{
	struct world *world = world_of(store);

	assert_int_equal(n, 1);
	assert_int_equal(shards[0], 0);
	world_note(world, "bury %.*s", BYTES_ARG(worker));
	for (size_t i = 0; i < 4; i++) {
		if (bytes_is(worker, world->leases[i].worker))
			world->leases[i].there = false;
	}
	call_new(store, "bury", (void *)done, ctx, answer_done);
	return MR_OK;
}

static void answer_expire(struct world *world, struct fake_call *call)
{
	struct bytes unseen = bytes_of(world->unseen);

	world->unseen = NULL;
	((store_expire_fn *)call->done)(call->ctx, status_of(call), 0, false, &unseen, bytes_present(unseen));
}

static enum mr_status expire(struct store *store, int shard, struct bytes nonce, int64_t retention_ms, int limit,
			     store_expire_fn *done, void *ctx)
{
	(void)shard;
	(void)nonce;
	(void)retention_ms;
	(void)limit;
	world_note(world_of(store), "expire");
	call_new(store, "expire", (void *)done, ctx, answer_expire);
	return MR_OK;
}

static void answer_orphans(struct world *world, struct fake_call *call)
{
	const struct found_task *found = call->conflict ? NULL : world->orphan;
	const char *next = world->orphans_next;

	world->orphan = NULL;
	world->orphans_next = "";
	((store_orphans_fn *)call->done)(call->ctx, status_of(call), found, found != NULL, bytes_of(next));
}

static enum mr_status orphans(struct store *store, int shard, struct bytes nonce, struct bytes after, int limit,
			      store_orphans_fn *done, void *ctx)
{
	(void)shard;
	(void)nonce;
	(void)limit;
	world_note(world_of(store), "orphans%s%.*s", after.len ? " " : "", BYTES_ARG(after));
	call_new(store, "orphans", (void *)done, ctx, answer_orphans);
	return MR_OK;
}

static void answer_due(struct world *world, struct fake_call *call)
{
	const struct due_timer *timer = call->conflict ? NULL : world->timer;

	world->timer = NULL;
	((store_due_fn *)call->done)(call->ctx, status_of(call), timer, timer != NULL, -1);
}

static enum mr_status due(struct store *store, int shard, struct bytes nonce, int limit, store_due_fn *done, void *ctx)
{
	(void)shard;
	(void)nonce;
	(void)limit;
	world_note(world_of(store), "due");
	call_new(store, "due", (void *)done, ctx, answer_due);
	return MR_OK;
}

static void note_watches(struct store *store, const char *what, const struct watch_request *requests, size_t n)
{
	assert_in_range(n, 1, STORE_BATCH_MAX);
	for (size_t i = 0; i < n; i++)
		world_note(world_of(store), "%s %.*s %lld", what, BYTES_ARG(requests[i].key), (long long)requests[i].due_ms);
}

static enum mr_status watch(struct store *store, int shard, struct bytes nonce, const struct watch_request *requests, size_t n,
			    store_done_fn *done, void *ctx)
{
	(void)shard;
	(void)nonce;
	note_watches(store, "watch", requests, n);
	call_new(store, "watch", (void *)done, ctx, answer_done);
	return MR_OK;
}

static enum mr_status unwatch(struct store *store, int shard, struct bytes nonce, const struct watch_request *requests, size_t n,
			      store_done_fn *done, void *ctx)
{
	(void)shard;
	(void)nonce;
	note_watches(store, "unwatch", requests, n);
	call_new(store, "unwatch", (void *)done, ctx, answer_done);
	return MR_OK;
}

static void answer_view(struct world *world, struct fake_call *call)
{
	((store_view_fn *)call->done)(call->ctx, MR_OK, &world->view);
}

static enum mr_status view(struct store *store, struct bytes key, int shard, store_view_fn *done, void *ctx)
{
	(void)shard;
	world_note(world_of(store), "view %.*s", BYTES_ARG(key));
	call_new(store, "view", (void *)done, ctx, answer_view);
	return MR_OK;
}

const struct redis_calls fake_redis = {
	.poll = nothing,
	.deadline_us = deadline_us,
	.time_ms = time_ms,
	.look = look,
	.recover = recover,
	.restore = restore,
	.vouch = vouch,
	.tip = tip,
	.apply = apply,
	.fire = fire,
	.ahead = ahead,
	.sweep = sweep,
	.published = published,
	.finish = finish,
	.bury = bury,
	.expire = expire,
	.orphans = orphans,
	.due = due,
	.watch = watch,
	.unwatch = unwatch,
	.view = view,
};

bool world_answer(struct world *world)
{
	struct fake_call *call = world->head;

	if (!call)
		return false;
	world->head = call->next;
	if (!world->head)
		world->tail = NULL;
	call->answer(world, call);
	free(call);
	return true;
}
