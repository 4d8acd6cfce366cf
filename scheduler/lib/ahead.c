/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "lib/core.h"
#include "lib/fetch.h"

/*
 * Looks ahead: Redis keeps only where in the journal a task lies that backs off or waits, and more of them wait than fit into
 * memory. What will be due soon and is not here is fetched before, so that it is as punctual as the others. All of this may fail:
 * then the record is fetched when it is due.
 */
#define HORIZON_MS 5000
/* So much is looked at in one go, where it is not close. */
#define STEP_MS 1000
#define AHEAD_BATCH 200
#define AHEAD_MAX 1000

struct ahead_want {
	struct fetch_want want; /* its first member, so that one pointer is the other */
	int64_t due_ms;
};

static void over(struct fetch_want *want)
{
	struct scheduler *s = want->shard->s;

	s->n_ahead--;
	free(want);
}

static void found(struct fetch_want *want, const struct bus_message *message, const struct journal_record *record)
{
	const struct ahead_want *ahead = (const void *)want;

	(void)record;
	cache_put(want->shard->s->cache, want->shard->id, want->offset, ahead->due_ms, message->value);
	over(want);
}

static void lost(struct fetch_want *want, enum fetch_loss loss)
{
	(void)loss;
	over(want);
}

static void want(struct shard *shard, const struct ahead *ahead)
{
	struct ahead_want *wanted = mem_alloc(sizeof(*wanted));

	wanted->want =
		(struct fetch_want){.shard = shard, .offset = ahead->journal_offset, .ahead = true, .found = found, .lost = lost};
	wanted->due_ms = ahead->due_ms;
	shard->s->n_ahead++;
	fetch_add(shard->s->fetch, &wanted->want);
}

static bool is_here(const struct shard *shard, const struct ahead *ahead)
{
	return bytes_present(cache_get(shard->s->cache, shard->id, ahead->journal_offset));
}

static void on_ahead(void *ctx, enum mr_status status, const struct ahead *ahead, size_t n, struct ahead_place next)
{
	struct shard *shard = shard_call_end(ctx);
	struct scheduler *s;

	if (!shard)
		return;
	s = shard->s;
	shard->ahead.calling = false;
	if (status == MR_ECONFLICT) {
		shard_look_again(shard, 0, "looking ahead was refused");
		return;
	}
	if (status != MR_OK) {
		shard->ahead.not_before_us = s->now_us + RETRY_US;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (is_here(shard, &ahead[i]))
			continue;
		if (s->n_ahead >= AHEAD_MAX || !cache_takes(s->cache, ahead[i].due_ms)) {
			shard->ahead.next = (struct ahead_place){.due_ms = ahead[i].due_ms};
			shard->ahead.not_before_us = s->now_us + RETRY_US;
			return;
		}
		want(shard, &ahead[i]);
	}
	shard->ahead.next = next;
}

/* What is due already is not ahead any more; and Redis' clock may have been set back. */
static struct ahead_place place(const struct shard *shard, int64_t now_ms)
{
	const struct ahead_place *next = &shard->ahead.next;

	if (next->due_ms <= now_ms || next->due_ms > now_ms + HORIZON_MS + STEP_MS)
		return (struct ahead_place){.due_ms = now_ms};
	return *next;
}

int64_t ahead_deadline_us(const struct shard *shard)
{
	const struct scheduler *s = shard->s;
	int64_t now_ms = s->links.redis->time_ms(s->links.store, s->now_us);
	int64_t first_ms = shard->backoff.next_ms, from_ms, due_us;

	if (shard->ahead.calling || first_ms < 0 || now_ms == 0 || s->n_ahead >= AHEAD_MAX || !shard->journal.caught_up)
		return INT64_MAX;
	/* A look takes in a step, but for the first one. */
	from_ms = place(shard, now_ms).due_ms + (shard->ahead.next.due_ms > now_ms ? STEP_MS : 0);
	if (first_ms > from_ms)
		from_ms = first_ms;
	due_us = s->now_us + (from_ms - HORIZON_MS <= now_ms ? 0 : from_ms - HORIZON_MS - now_ms) * 1000;
	return due_us > shard->ahead.not_before_us ? due_us : shard->ahead.not_before_us;
}

void ahead_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	int64_t now_ms = s->links.redis->time_ms(s->links.store, s->now_us);
	struct shard_call *call;

	if (ahead_deadline_us(shard) > s->now_us)
		return;
	call = shard_call_new(shard);
	shard->ahead.calling = shard_called(call, s->links.redis->ahead(s->links.store, shard->id, bytes_of(shard->nonce),
									place(shard, now_ms), now_ms + HORIZON_MS, AHEAD_BATCH,
									on_ahead, call));
	if (!shard->ahead.calling)
		shard->ahead.not_before_us = s->now_us + RETRY_US;
}
