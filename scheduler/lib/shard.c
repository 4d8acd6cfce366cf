/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/core.h"
#include "lib/fetch.h"
#include "lib/leases.h"
#include "lib/watch.h"

const char *shard_phase_name(enum shard_phase phase)
{
	switch (phase) {
	case PHASE_UNOWNED:
		return "unowned";
	case PHASE_LOOKING:
		return "looking";
	case PHASE_NONCE:
		return "nonce";
	case PHASE_BARRIER:
		return "barrier";
	case PHASE_ENDS:
		return "ends";
	case PHASE_RESULTS:
		return "results";
	case PHASE_JOURNAL:
		return "journal";
	case PHASE_VOUCH:
		return "vouch";
	case PHASE_READY:
		return "ready";
	}
	abort();
}

static bool phase_may_follow(enum shard_phase from, enum shard_phase to)
{
	switch (to) {
	case PHASE_UNOWNED:
		return from != PHASE_UNOWNED;
	case PHASE_LOOKING:
		return true;
	case PHASE_NONCE:
		return from == PHASE_LOOKING;
	case PHASE_BARRIER:
		return from == PHASE_NONCE;
	case PHASE_ENDS:
		return from == PHASE_BARRIER;
	case PHASE_RESULTS:
		return from == PHASE_ENDS;
	case PHASE_JOURNAL:
		return from == PHASE_RESULTS;
	case PHASE_VOUCH:
		return from == PHASE_JOURNAL;
	case PHASE_READY:
		return from == PHASE_LOOKING || from == PHASE_NONCE || from == PHASE_VOUCH;
	}
	abort();
}

void shard_change(struct shard *shard, enum shard_phase phase)
{
	assert(phase_may_follow(shard->phase, phase));
	log_debug("shard", LOG_I("shard", shard->id), LOG_S("from", shard_phase_name(shard->phase)),
		  LOG_S("to", shard_phase_name(phase)));
	shard->phase = phase;
}

struct shard_call *shard_call_new(struct shard *shard)
{
	struct shard_call *call = mem_alloc(sizeof(*call));

	*call = (struct shard_call){.shard = shard, .generation = shard->generation};
	return call;
}

struct shard *shard_call_end(void *ctx)
{
	struct shard_call *call = ctx;
	struct shard *shard = call->shard->generation == call->generation && call->shard->s->attached ? call->shard : NULL;

	free(call);
	return shard;
}

bool shard_called(struct shard_call *call, enum mr_status status)
{
	if (status == MR_OK)
		return true;
	log_warn("a call to Redis was not taken", LOG_I("shard", call->shard->id), LOG_S("reason", mr_status_text(status)));
	free(call);
	return false;
}

void shard_init(struct shard *shard, struct scheduler *s, int id)
{
	*shard = (struct shard){.s = s, .id = id, .control_position = -1};
	timers_reset(shard);
	recovery_init(&shard->recovery);
	commands_init(shard);
}

void shard_deinit(struct shard *shard)
{
	commands_deinit(shard);
	recovery_deinit(&shard->recovery);
	map_deinit(&shard->jobs);
	map_deinit(&shard->endings);
	buf_deinit(&shard->orphans_after);
}

/* Forgets everything that a walk has learned. Jobs stay: they are fenced, and end by themselves. */
static void shard_reset(struct shard *shard)
{
	bool was_reading = shard->phase == PHASE_RESULTS;

	shard->generation++;
	shard->looking = shard->applying = shard->orphaning = shard->sweeping = shard->expiring = shard->tipping = false;
	shard->seek_wanted = false;
	timers_reset(shard);
	memset(&shard->ahead, 0, sizeof(shard->ahead));
	buf_reset(&shard->orphans_after);
	shard->orphans_us = shard->s->now_us;
	shard->outbox = 0;
	memset(shard->timers, 0, sizeof(shard->timers));
	shard->nonce[0] = '\0';
	recovery_deinit(&shard->recovery);
	recovery_init(&shard->recovery);
	cursor_start(&shard->journal, -1, shard->s->now_us);
	if (was_reading)
		shard->s->replay.set_again = true;
}

void shard_assigned(struct shard *shard)
{
	if (shard->phase != PHASE_UNOWNED)
		return;
	shard_reset(shard);
	shard->retry_us = shard->s->now_us;
	shard->control_position = -1;
	shard->committed = shard->control_committed = -1;
	shard_change(shard, PHASE_LOOKING);
}

void shard_revoked(struct shard *shard)
{
	if (shard->phase == PHASE_UNOWNED)
		return;
	shard_reset(shard);
	shard_change(shard, PHASE_UNOWNED);
	cache_drop_shard(shard->s->cache, shard->id);
	fetch_drop_shard(shard->s->fetch, shard->id);
	leases_forget_shard(shard->s->leases, shard->id);
}

void shard_look_again(struct shard *shard, int64_t pause_us, const char *reason)
{
	assert(shard->phase != PHASE_UNOWNED);
	log_debug("shard looks again", LOG_I("shard", shard->id), LOG_S("phase", shard_phase_name(shard->phase)),
		  LOG_S("reason", reason));
	shard_reset(shard);
	shard->retry_us = shard->s->now_us + pause_us;
	shard_change(shard, PHASE_LOOKING);
}

static void take_nonce(struct shard *shard, struct bytes nonce)
{
	assert(nonce.len <= SHARD_NONCE_BYTES);
	memcpy(shard->nonce, nonce.data, nonce.len);
	shard->nonce[nonce.len] = '\0';
}

void shard_become_ready(struct shard *shard, const struct shard_status *status)
{
	struct scheduler *s = shard->s;

	if (status->nonce.len == 0 || status->nonce.len > SHARD_NONCE_BYTES) {
		shard_look_again(shard, RETRY_US, "the marker has no usable nonce");
		return;
	}
	take_nonce(shard, status->nonce);
	shard->stored_offset = status->journal_offset;
	shard->control_stored = status->control_offset;
	cursor_start(&shard->journal, status->journal_offset, s->now_us);
	shard->seek_wanted = true;
	timers_note(shard, status->next_due_ms);
	shard->outbox = status->outbox;
	shard->look_us = s->now_us + LOOK_INTERVAL_US;
	shard->sweep_us = shard->expire_us = s->now_us + LOOK_INTERVAL_US;
	shard->ready_us = shard->listens_us = s->now_us;
	shard_change(shard, PHASE_READY);
	log_info("shard ready", LOG_I("shard", shard->id), LOG_I("journal_offset", status->journal_offset));
}

void shard_vouched(struct shard *shard)
{
	struct scheduler *s = shard->s;
	const struct recovery *recovery = &shard->recovery;

	/* Reading goes on where the replay ended. The next look tells what waits, and nothing fires before what was written during
	 * the replay is read. */
	if (shard->journal.position < shard->stored_offset)
		shard->journal.position = shard->stored_offset;
	shard->look_us = shard->sweep_us = shard->ready_us = shard->listens_us = s->now_us;
	shard->expire_us = s->now_us + LOOK_INTERVAL_US;
	cursor_forget_end(&shard->journal, s->now_us);
	shard_change(shard, PHASE_READY);
	watch_recovered(shard);
	log_info("shard recovered", LOG_I("shard", shard->id), LOG_I("results", recovery->replayed_results),
		 LOG_I("journal_records", recovery->replayed_journal), LOG_I("journal_offset", shard->stored_offset),
		 LOG_I("ms", (s->now_us - recovery->started_us) / 1000));
}

/* The data that was vouched for is gone, or was replaced by other data. */
static bool still_ready(const struct shard *shard, const struct shard_status *status)
{
	return status->state == SHARD_READY && bytes_is(status->nonce, shard->nonce);
}

static void looked_while_ready(struct shard *shard, const struct shard_status *status)
{
	struct scheduler *s = shard->s;

	if (!still_ready(shard, status)) {
		log_warn("the data of Redis is not what was vouched for", LOG_I("shard", shard->id));
		shard_look_again(shard, 0, "the marker changed");
		return;
	}
	shard->ready_us = s->now_us;
	shard->outbox = status->outbox;
	memcpy(shard->timers, status->timers, sizeof(shard->timers));
	timers_note(shard, status->next_due_ms);
	leases_observe(s->leases, shard->id, status->leases, status->n_leases, true, s->now_us);
}

static void looked_at_first(struct shard *shard, const struct shard_status *status)
{
	if (status->state == SHARD_READY) {
		shard_become_ready(shard, status);
		return;
	}
	recovery_begin(shard, status);
}

static void on_look(void *ctx, enum mr_status status, const struct shard_status *answer)
{
	struct shard *shard = shard_call_end(ctx);

	if (!shard)
		return;
	shard->looking = false;
	if (status != MR_OK) {
		shard_look_again(shard, RETRY_US, mr_status_text(status));
		return;
	}
	switch (shard->phase) {
	case PHASE_UNOWNED:
		abort();
	case PHASE_LOOKING:
		looked_at_first(shard, answer);
		return;
	case PHASE_READY:
		looked_while_ready(shard, answer);
		return;
	case PHASE_NONCE:
		return;
	case PHASE_BARRIER:
	case PHASE_ENDS:
	case PHASE_RESULTS:
	case PHASE_JOURNAL:
	case PHASE_VOUCH:
		recovery_looked(shard, answer);
		return;
	}
}

static int64_t look_due_us(const struct shard *shard)
{
	if (shard->looking || shard->phase == PHASE_UNOWNED || shard->phase == PHASE_NONCE)
		return INT64_MAX;
	return shard->phase == PHASE_LOOKING ? shard->retry_us : shard->look_us;
}

static bool owns_all(const struct scheduler *s)
{
	for (int i = 0; i < s->config.shards; i++) {
		if (!shard_owned(&s->shards[i]))
			return false;
	}
	return true;
}

/* Other schedulers arm deadlines in our shards, too (watch_arm.c), and it is a look that tells of them. */
static int64_t look_interval_us(const struct shard *shard)
{
	if (shard->phase == PHASE_BARRIER)
		return RETRY_US;
	return owns_all(shard->s) ? LOOK_INTERVAL_US : LOOK_SHARED_US;
}

static void look(struct shard *shard)
{
	struct shard_call *call;

	if (look_due_us(shard) > shard->s->now_us)
		return;
	shard->look_us = shard->s->now_us + look_interval_us(shard);
	shard->retry_us = shard->s->now_us + RETRY_US;
	call = shard_call_new(shard);
	shard->looking = shard_called(call, shard->s->links.redis->look(shard->s->links.store, shard->id, on_look, call));
}

void shard_doubt(struct shard *shard)
{
	if (shard->phase != PHASE_READY)
		return;
	cursor_forget_end(&shard->journal, shard->s->now_us);
	shard->listens_us = shard->s->now_us;
}

/* The reader of the group is set to where this shard goes on; a reader that is not running yet is tried again. */
static void seek(struct shard *shard)
{
	struct scheduler *s = shard->s;
	int64_t offset = shard->journal.position < 0 ? BUS_OFFSET_BEGINNING : shard->journal.position;

	if (!shard->seek_wanted)
		return;
	if (bus_seek(s->links.bus, s->journal_topic, shard->id, offset) == MR_OK)
		shard->seek_wanted = false;
}

static void ready_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;

	intake_turn(shard);
	if (shard->phase != PHASE_READY || s->stopping)
		return;
	if (cursor_wants_end(&shard->journal, s->now_us))
		ends_want(s, TOPIC_JOURNAL, shard->id);
	timers_turn(shard);
	ahead_turn(shard);
	orphans_turn(shard);
	outbox_turn(shard);
}

static void step(struct shard *shard)
{
	look(shard);
	seek(shard);
	if (shard->phase == PHASE_READY)
		ready_turn(shard);
	else
		recovery_turn(shard);
}

void shard_turn(struct shard *shard)
{
	enum shard_phase before;

	if (shard->phase == PHASE_UNOWNED)
		return;
	do {
		before = shard->phase;
		step(shard);
	} while (shard->phase != before);
	control_turn(shard);
}

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t shard_deadline_us(const struct shard *shard)
{
	int64_t now_us = shard->s->now_us;
	int64_t deadline_us = look_due_us(shard);

	if (shard->phase == PHASE_UNOWNED)
		return INT64_MAX;
	if (shard->seek_wanted)
		deadline_us = min64(deadline_us, now_us + RETRY_US / 10);
	if (shard->phase != PHASE_READY)
		return min64(deadline_us, recovery_deadline_us(shard));
	deadline_us = min64(deadline_us, cursor_deadline_us(&shard->journal, now_us));
	deadline_us = min64(deadline_us, timers_deadline_us(shard));
	deadline_us = min64(deadline_us, ahead_deadline_us(shard));
	deadline_us = min64(deadline_us, orphans_deadline_us(shard));
	deadline_us = min64(deadline_us, control_deadline_us(shard));
	return min64(deadline_us, outbox_deadline_us(shard));
}
