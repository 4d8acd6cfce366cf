/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/core.h"
#include "lib/leases.h"

/*
 * The five steps that make Redis' data usable after it was lost, restored or replaced (design.md 6). Their order is what makes
 * them right: ends that were asked for before the workers had re-asserted would miss what they published meanwhile.
 */

/* A living worker answers the nonce within this time; one that is younger than the last look, and so not known, has it to show
 * itself. */
#define KNOWN_WAIT_US (500 * 1000)
/* Redis did not answer for so long: the workers may not have been able to re-assert either. */
#define GAP_US (1000 * 1000)
#define TELL_US (5 * 1000 * 1000)

void recovery_init(struct recovery *recovery)
{
	*recovery = (struct recovery){.results_first = -1};
}

void recovery_deinit(struct recovery *recovery)
{
	for (size_t i = 0; i < recovery->n_known; i++)
		free(recovery->known[i]);
	free(recovery->known);
}

static void remember(void *ctx, const char *worker)
{
	struct recovery *recovery = ctx;

	recovery->known = mem_realloc_array(recovery->known, recovery->n_known + 1, sizeof(*recovery->known));
	recovery->known[recovery->n_known++] = mem_strdup(worker);
}

/* 1 nonce --------------------------------------------------------------------------------------------------------- */

static void on_nonce(void *ctx, enum mr_status status, const struct shard_status *answer)
{
	struct shard *shard = shard_call_end(ctx);

	if (!shard)
		return;
	assert(shard->phase == PHASE_NONCE);
	if (status != MR_OK) {
		shard_look_again(shard, RETRY_US, mr_status_text(status));
		return;
	}
	if (answer->state == SHARD_READY) {
		shard_become_ready(shard, answer);
		return;
	}
	if (answer->state != SHARD_RECOVERING || !bytes_is(answer->nonce, shard->nonce)) {
		shard_look_again(shard, RETRY_US, "the recovery nonce is another");
		return;
	}
	shard->stored_offset = answer->journal_offset;
	shard->control_stored = answer->control_offset;
	shard->recovery.results_first = answer->results_tip;
	shard->recovery.barrier_us = shard->recovery.answered_us = shard->s->now_us;
	shard->recovery.waiting = true;
	shard->look_us = shard->s->now_us + RETRY_US;
	shard_change(shard, PHASE_BARRIER);
}

void recovery_begin(struct shard *shard, const struct shard_status *status)
{
	struct scheduler *s = shard->s;
	struct recovery *recovery = &shard->recovery;
	struct shard_call *call;
	const char *reason = status->state == SHARD_RECOVERING ? "a recovery was not finished"
							       : "Redis has no data that was vouched for";

	assert(shard->phase == PHASE_LOOKING);
	recovery->started_us = s->now_us;
	recovery->knows = shard->ready_us > 0 && leases_knows(s->leases, shard->id, shard->ready_us);
	if (recovery->knows)
		leases_living(s->leases, shard->id, shard->ready_us, remember, recovery);
	snprintf(shard->nonce, sizeof(shard->nonce), "%016llx", (unsigned long long)s->config.random(s->config.ctx));
	s->stats.recoveries++;
	log_info("shard recovering", LOG_I("shard", shard->id), LOG_S("reason", reason), LOG_S("nonce", shard->nonce),
		 LOG_I("known_workers", recovery->knows ? (int64_t)recovery->n_known : -1));
	shard_change(shard, PHASE_NONCE);
	call = shard_call_new(shard);
	if (!shard_called(call, s->links.redis->recover(s->links.store, shard->id, bytes_of(shard->nonce), on_nonce, call)))
		shard_look_again(shard, RETRY_US, "no room for a call");
}

/* 2 barrier ------------------------------------------------------------------------------------------------------- */

static void tick_off(struct recovery *recovery, struct bytes worker)
{
	for (size_t i = 0; i < recovery->n_known; i++) {
		if (!bytes_is(worker, recovery->known[i]))
			continue;
		free(recovery->known[i]);
		recovery->known[i] = recovery->known[--recovery->n_known];
		return;
	}
}

void recovery_buried(struct shard *shard, const char *worker)
{
	tick_off(&shard->recovery, bytes_of(worker));
}

static void barrier_observe(struct shard *shard, const struct shard_status *status)
{
	struct recovery *recovery = &shard->recovery;
	int64_t now_us = shard->s->now_us;

	if (now_us - recovery->answered_us > GAP_US)
		recovery->barrier_us = now_us;
	recovery->answered_us = now_us;
	recovery->waiting = false;
	for (size_t i = 0; i < status->n_leases; i++) {
		const struct lease *lease = &status->leases[i];

		/* Leases from before the loss, in a snapshot, say nothing until they move: the watch buries them if they do
		 * not. */
		if (bytes_is(lease->seen, shard->nonce))
			tick_off(recovery, lease->worker);
		else
			recovery->waiting = true;
	}
}

/* Known workers that did not come back within a full lease period are dead, and must stay so. */
static void bury_missing(struct shard *shard)
{
	struct recovery *recovery = &shard->recovery;

	while (recovery->n_known > 0) {
		char *worker = recovery->known[--recovery->n_known];

		scheduler_bury(shard->s, worker);
		free(worker);
	}
}

static void warn_waiting(struct shard *shard)
{
	struct recovery *recovery = &shard->recovery;
	int64_t now_us = shard->s->now_us;

	if (now_us - recovery->told_us < TELL_US || now_us - recovery->barrier_us < TELL_US)
		return;
	recovery->told_us = now_us;
	log_warn("shard waits for workers to re-assert what they run", LOG_I("shard", shard->id));
}

static void barrier_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct recovery *recovery = &shard->recovery;
	/* Time counts up to the last answer of Redis only. */
	int64_t waited_us = recovery->answered_us - recovery->barrier_us;
	bool full = waited_us >= s->config.lease_ms * 1000;

	if (recovery->waiting) {
		warn_waiting(shard);
		return;
	}
	if (!full && !(recovery->knows && recovery->n_known == 0 && waited_us >= KNOWN_WAIT_US))
		return;
	bury_missing(shard);
	cursor_start(&recovery->results, recovery->results_first, s->now_us);
	cursor_start(&shard->journal, shard->stored_offset, s->now_us);
	shard_change(shard, PHASE_ENDS);
	ends_want(s, TOPIC_RESULTS, shard->id);
	ends_want(s, TOPIC_JOURNAL, shard->id);
}

/* 3 ends ---------------------------------------------------------------------------------------------------------- */

static void ends_known(struct shard *shard)
{
	struct recovery *recovery = &shard->recovery;

	if (recovery->results.end < 0 || shard->journal.end < 0)
		return;
	recovery->told_us = shard->s->now_us;
	cursor_busy(&recovery->results, shard->s->now_us);
	shard_change(shard, PHASE_RESULTS);
	replay_set(shard->s);
}

void recovery_ended(struct shard *shard, enum topic_kind kind, int64_t end)
{
	struct scheduler *s = shard->s;

	switch (shard->phase) {
	case PHASE_ENDS:
	case PHASE_RESULTS:
	case PHASE_JOURNAL:
		if (kind == TOPIC_RESULTS)
			ends_take(shard, &shard->recovery.results, end, s->results_topic);
		else
			ends_take(shard, &shard->journal, end, s->journal_topic);
		break;
	case PHASE_UNOWNED:
	case PHASE_LOOKING:
	case PHASE_NONCE:
	case PHASE_BARRIER:
	case PHASE_VOUCH:
	case PHASE_READY:
		/* Asked by a walk that is over. */
		return;
	}
	if (shard->phase == PHASE_ENDS)
		ends_known(shard);
}

/* 4 replay -------------------------------------------------------------------------------------------------------- */

static void tell(struct shard *shard, const char *what, const struct cursor *cursor, uint64_t replayed)
{
	struct recovery *recovery = &shard->recovery;

	if (shard->s->now_us - recovery->told_us < TELL_US)
		return;
	recovery->told_us = shard->s->now_us;
	log_info("shard replaying", LOG_I("shard", shard->id), LOG_S("topic", what), LOG_I("position", cursor->position),
		 LOG_I("end", cursor->end), LOG_I("records", replayed));
}

static void results_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct recovery *recovery = &shard->recovery;

	replay_turn(shard);
	if (shard->phase != PHASE_RESULTS)
		return;
	if (cursor_wants_end(&recovery->results, s->now_us))
		ends_want(s, TOPIC_RESULTS, shard->id);
	tell(shard, "results", &recovery->results, recovery->replayed_results);
	if (recovery->restoring || !cursor_check(&recovery->results, s->now_us))
		return;
	shard->seek_wanted = true;
	shard->journal.caught_up = false;
	cursor_busy(&shard->journal, s->now_us);
	shard_change(shard, PHASE_JOURNAL);
	replay_set(s);
}

static void vouch(struct shard *shard);

static void journal_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;

	/* A partition without anything to read needs no reader. */
	if (!shard->journal.caught_up)
		intake_turn(shard);
	if (shard->phase != PHASE_JOURNAL)
		return;
	if (cursor_wants_end(&shard->journal, s->now_us))
		ends_want(s, TOPIC_JOURNAL, shard->id);
	tell(shard, "journal", &shard->journal, shard->recovery.replayed_journal);
	if (!shard->applying && cursor_check(&shard->journal, s->now_us))
		vouch(shard);
}

/* 5 vouch --------------------------------------------------------------------------------------------------------- */

static void on_vouched(void *ctx, enum mr_status status)
{
	struct shard *shard = shard_call_end(ctx);

	if (!shard)
		return;
	assert(shard->phase == PHASE_VOUCH);
	if (status != MR_OK) {
		shard_look_again(shard, status == MR_ECONFLICT ? 0 : RETRY_US, "vouching was refused");
		return;
	}
	shard_vouched(shard);
}

/* Where reading goes on; a journal that was empty is at its end, and not at a beginning that may have moved. */
static int64_t journal_offset(const struct shard *shard)
{
	return shard->journal.position > shard->journal.end ? shard->journal.position : shard->journal.end;
}

static void vouch(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct recovery *recovery = &shard->recovery;
	struct shard_call *call;
	int64_t control_offset = shard->control_stored >= 0 ? shard->control_stored : 0;

	shard->stored_offset = journal_offset(shard);
	shard_change(shard, PHASE_VOUCH);
	call = shard_call_new(shard);
	if (!shard_called(call, s->links.redis->vouch(s->links.store, shard->id, bytes_of(shard->nonce), shard->stored_offset,
						      recovery->results.end, control_offset, on_vouched, call)))
		shard_look_again(shard, RETRY_US, "no room for a call");
}

void recovery_looked(struct shard *shard, const struct shard_status *status)
{
	struct scheduler *s = shard->s;

	if (status->state != SHARD_RECOVERING || !bytes_is(status->nonce, shard->nonce)) {
		/* An answer may overtake that of our own vouch only by being older; a marker that is ours and ready is ours. */
		if (shard->phase != PHASE_VOUCH || status->state != SHARD_READY || !bytes_is(status->nonce, shard->nonce))
			shard_look_again(shard, 0, "the recovery is not ours any more");
		return;
	}
	leases_observe(s->leases, shard->id, status->leases, status->n_leases, false, s->now_us);
	if (shard->phase == PHASE_BARRIER)
		barrier_observe(shard, status);
}

void recovery_turn(struct shard *shard)
{
	switch (shard->phase) {
	case PHASE_UNOWNED:
	case PHASE_READY:
		abort();
	case PHASE_LOOKING:
	case PHASE_NONCE:
	case PHASE_ENDS:
	case PHASE_VOUCH:
		return;
	case PHASE_BARRIER:
		barrier_turn(shard);
		return;
	case PHASE_RESULTS:
		results_turn(shard);
		return;
	case PHASE_JOURNAL:
		journal_turn(shard);
		return;
	}
}

int64_t recovery_deadline_us(const struct shard *shard)
{
	int64_t now_us = shard->s->now_us;

	switch (shard->phase) {
	case PHASE_RESULTS:
		return cursor_deadline_us(&shard->recovery.results, now_us);
	case PHASE_JOURNAL:
		return cursor_deadline_us(&shard->journal, now_us);
	case PHASE_UNOWNED:
	case PHASE_LOOKING:
	case PHASE_NONCE:
	case PHASE_BARRIER:
	case PHASE_ENDS:
	case PHASE_VOUCH:
	case PHASE_READY:
		return INT64_MAX;
	}
	abort();
}
