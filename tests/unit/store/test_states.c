/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/record.h"
#include "support/store_fixture.h"
#include "support/store_seen.h"
#include "task/state.h"

/* Every event in every state, the illegal ones included: what the scripts do is what the table of task/state.c says. */

/* ---- a task in each state ---- */

#define AGES_AGO_MS 1000

static const char *const records[STATES] = {
	[STATE_MARKED] = "M|run|0|1|1000|j|0|e|",        [STATE_WAITING] = "W|run|0|1|1000|50|0||",
	[STATE_SCHEDULED] = "S|run|0|1|rec|7|0||",       [STATE_STARTED] = "R|run|0|1|n|w1|rec|5|0|7||",
	[STATE_PARKED] = "R|run|0|1|n|w1|rec|5|0|50|k|", [STATE_PENDING] = "R|run|0|1|n||rec|5|0|60|k|",
	[STATE_BACKING_OFF] = "B|run|0|2|1000|50|0||",   [STATE_FINISHED] = "F|run|0|1|n|0|1000|0|^0v",
};

/* How an event wants the task to be, where it matters: its owner without a lease, its result not yet published. */
struct variant {
	bool owner_is_dead, unpublished;
};

static void put_state(struct fixture *fx, enum task_state state, struct variant variant)
{
	const char *owner = variant.owner_is_dead ? "w9" : "w1";
	CLEANUP_FREE char *record = records[state] ? mem_strdup(records[state]) : NULL;
	char *at = record && variant.owner_is_dead ? strstr(record, "|w1|") : NULL;
	char member[16];

	if (at)
		at[2] = '9';
	at = record && variant.unpublished ? strstr(record, "|0|^") : NULL;
	if (at)
		at[1] = '1';
	fx_put(fx, "k", record);
	if (state == STATE_WAITING || state == STATE_BACKING_OFF)
		free(REDIS(&fx->server, "ZADD", fx_key("b"), "1000", "k"));
	snprintf(member, sizeof(member), "%s\tk", owner);
	if (state == STATE_PARKED)
		free(REDIS(&fx->server, "ZADD", fx_key("k"), "0", member));
}

static enum task_state state_of(struct fixture *fx)
{
	CLEANUP_FREE char *text = REDIS(&fx->server, "GET", fx_key("t:k"));
	struct record record;
	enum task_state state = STATE_NONE;

	if (strcmp(text, "(nil)") == 0)
		return STATE_NONE;
	assert_true(record_parse(bytes_of(text), &record));
	assert_true(task_state_parse(record.state, &state));
	if (record.parked)
		return record.worker.len ? STATE_PARKED : STATE_PENDING;
	return state;
}

/* What may be noted of a task without a change of its state. */
static char *notes(struct fixture *fx, bool outbox)
{
	CLEANUP_FREE char *record = fx_get(fx, "k"), *beat = REDIS(&fx->server, "GET", fx_key("y:k")),
			  *commands = REDIS(&fx->server, "GET", fx_key("c:k")),
			  *score = REDIS(&fx->server, "ZSCORE", fx_key("o"), "k");
	struct buf text = {0};

	buf_printf(&text, "%s / %s / %s / %s", record, beat, commands, outbox ? score : "");
	char *copy = mem_strdup(buf_cstr(&text));

	buf_deinit(&text);
	return copy;
}

/* ---- events ---- */

enum seen { SEEN_NOTHING, SEEN_DONE, SEEN_TOLD, SEEN_WAIT, SEEN_BUSY, SEEN_STALE };

static enum seen seen_of_claim(struct fixture *fx, const struct claim_request *request)
{
	switch (fx_claim(fx, request).verdict) {
	case CLAIM_RUN:
	case CLAIM_LOST:
	case CLAIM_FINISHED:
	case CLAIM_CANCELED:
		return SEEN_DONE;
	case CLAIM_WAIT:
	case CLAIM_HOLD:
		return SEEN_WAIT;
	case CLAIM_BUSY:
	case CLAIM_REJECTED:
		return SEEN_BUSY;
	case CLAIM_STALE:
		return SEEN_STALE;
	case CLAIM_NOT_READY:
	case CLAIM_BURIED:
		break;
	}
	fail_msg("the shard is not ready");
	return SEEN_NOTHING;
}

static enum seen claim(struct fixture *fx, enum task_state state)
{
	struct claim_request request = fx_request();

	(void)state;
	return seen_of_claim(fx, &request);
}

static enum seen claim_same(struct fixture *fx, enum task_state state)
{
	struct claim_request request = fx_request();

	(void)state;
	request.nonce = BYTES_LIT("other");
	return seen_of_claim(fx, &request);
}

static enum seen claim_copy(struct fixture *fx, enum task_state state)
{
	struct claim_request request = fx_request();

	(void)state;
	request.run_id = BYTES_LIT("copy");
	request.record_id = BYTES_LIT("copy");
	request.nonce = BYTES_LIT("other");
	return seen_of_claim(fx, &request);
}

static enum seen claim_next(struct fixture *fx, enum task_state state)
{
	struct claim_request request = fx_request();

	(void)state;
	request.attempt = 2;
	request.record_id = BYTES_LIT("next");
	request.nonce = BYTES_LIT("other");
	return seen_of_claim(fx, &request);
}

static enum seen release(struct fixture *fx, enum task_state state)
{
	struct claim_token token = fx_token();

	(void)state;
	fx_release(fx, &token);
	return SEEN_NOTHING;
}

static enum seen finish_by(struct fixture *fx, int64_t attempt, const char *nonce)
{
	struct finish_request request = {
		.token = fx_token(), .outbox = true, .closed_at_ms = AGES_AGO_MS, .publication = {.value = BYTES_LIT("v")}};

	request.token.attempt = attempt;
	request.token.nonce = bytes_of(nonce);
	return fx_finish(fx, &request).verdict == FINISH_OK ? SEEN_DONE : SEEN_STALE;
}

static enum seen finish(struct fixture *fx, enum task_state state)
{
	(void)state;
	return finish_by(fx, 1, "n");
}

static enum seen finish_other(struct fixture *fx, enum task_state state)
{
	(void)state;
	return finish_by(fx, 1, "other");
}

/* As the scheduler does for what a view has told; what nobody holds gets a nonce of its own. */
static enum seen end(struct fixture *fx, enum task_state state)
{
	struct task_view view = fx_view(fx, "k");
	const char *nonce = view.state == VIEW_STARTED ? "n" : "scheduler";

	return finish_by(fx, state == STATE_NONE ? 1 : view.attempt, nonce);
}

static struct apply_record journal(enum journal_kind kind)
{
	return (struct apply_record){
		.kind = kind,
		.key = BYTES_LIT("k"),
		.run_id = BYTES_LIT("run"),
		.attempt = 1,
		.due_ms = AGES_AGO_MS,
		.offset = 50,
		.nonce = BYTES_LIT("n"),
		.worker = FX_WORKER,
		.record_id = BYTES_LIT("rec"),
		.started_at_ms = 5,
		.control_offset = -1,
	};
}

static enum seen apply(struct fixture *fx, const struct apply_record *record)
{
	struct apply_answer answer;

	assert_int_equal(fx_apply(fx, "n1", false, 10, 10, record, 1, &answer), MR_OK);
	switch (answer.verdict) {
	case APPLY_DONE:
		return SEEN_DONE;
	case APPLY_END:
		return SEEN_TOLD;
	case APPLY_STALE:
	case APPLY_FINISHED:
		break;
	}
	return SEEN_STALE;
}

static enum seen apply_started(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_STARTED);

	(void)state;
	return apply(fx, &record);
}

static enum seen apply_pending(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_STARTED);

	(void)state;
	record.worker = BYTES_LIT("");
	record.offset = 60;
	return apply(fx, &record);
}

static enum seen apply_backoff(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_BACKOFF);

	(void)state;
	record.attempt = 2;
	return apply(fx, &record);
}

static enum seen apply_waiting(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_WAITING);

	if (state == STATE_BACKING_OFF) {
		record.attempt = 2;
		record.offset = 60;
	}
	return apply(fx, &record);
}

static enum seen apply_heartbeat(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_HEARTBEAT);

	(void)state;
	record.heartbeat.data = BYTES_LIT("half");
	return apply(fx, &record);
}

static enum seen cancel(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_COMMAND);

	(void)state;
	record.cancel_requested = true;
	return apply(fx, &record);
}

static enum seen terminate(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_COMMAND);

	(void)state;
	record.terminate_requested = true;
	return apply(fx, &record);
}

static enum seen pause_task(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_COMMAND);

	(void)state;
	record.pause_requested = true;
	return apply(fx, &record);
}

static enum seen unpause(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_COMMAND);

	(void)state;
	return apply(fx, &record);
}

static enum seen reset_task(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_COMMAND);

	(void)state;
	record.epoch = 1;
	return apply(fx, &record);
}

static enum seen update(struct fixture *fx, enum task_state state)
{
	struct apply_record record = journal(JOURNAL_COMMAND);

	(void)state;
	record.options = BYTES_LIT("{}");
	return apply(fx, &record);
}

struct count {
	struct fixture *fx;
	size_t n;
};

static void on_fire(void *ctx, enum mr_status status, const struct fired *fired, size_t n, int64_t next_due_ms, int64_t now_ms)
{
	struct count *count = ctx;

	(void)fired;
	(void)next_due_ms;
	(void)now_ms;
	count->n = n;
	fx_on_done(count->fx, status);
}

static enum seen fire(struct fixture *fx, enum task_state state)
{
	struct count count = {.fx = fx};

	(void)state;
	free(REDIS(&fx->server, "ZADD", fx_key("b"), "1000", "k"));
	assert_int_equal(fx_status(fx, store_fire(fx->store, FX_SHARD, FX_NONCE, 10, on_fire, &count)), MR_OK);
	FX_ASSERT_REDIS(fx, "0", "ZCARD", fx_key("b"));
	return count.n ? SEEN_DONE : SEEN_STALE;
}

static enum seen seen_of_timers(struct fixture *fx)
{
	struct seen_timers seen = fx_due(fx, 10);

	return seen.n ? SEEN_TOLD : seen.next_due_ms >= 0 ? SEEN_WAIT : SEEN_STALE;
}

static enum seen due_start(struct fixture *fx, enum task_state state)
{
	int64_t attempt = state == STATE_BACKING_OFF ? 2 : 1;

	assert_int_equal(fx_watch(fx, "n1", TIMER_SCHEDULE_TO_START, 0, attempt, "t:0:5", AGES_AGO_MS), MR_OK);
	return seen_of_timers(fx);
}

static enum seen due_close(struct fixture *fx, enum task_state state)
{
	int64_t attempt = state == STATE_BACKING_OFF ? 2 : 1;

	assert_int_equal(fx_watch(fx, "n1", TIMER_CLOSE, 0, attempt, "", AGES_AGO_MS), MR_OK);
	return seen_of_timers(fx);
}

static enum seen due_heartbeat(struct fixture *fx, enum task_state state)
{
	(void)state;
	free(REDIS(&fx->server, "ZADD", fx_key("h"), "1000", "k"));
	free(REDIS(&fx->server, "SET", fx_key("y:k"), "run\t0\t1\t1000\t10\t\t"));
	return seen_of_timers(fx);
}

static enum seen orphan(struct fixture *fx, enum task_state state)
{
	(void)state;
	free(REDIS(&fx->server, "ZADD", fx_key("k"), "0", "w9\tk"));
	return fx_orphans(fx, "", 10).n ? SEEN_TOLD : SEEN_STALE;
}

static void on_sweep(void *ctx, enum mr_status status, const struct swept *swept, size_t n)
{
	struct count *count = ctx;

	(void)swept;
	count->n = n;
	fx_on_done(count->fx, status);
}

static enum seen sweep(struct fixture *fx, enum task_state state)
{
	struct count count = {.fx = fx};

	(void)state;
	free(REDIS(&fx->server, "ZADD", fx_key("o"), "1000", "k"));
	assert_int_equal(fx_status(fx, store_sweep(fx->store, FX_SHARD, FX_NONCE, 2000, 10, on_sweep, &count)), MR_OK);
	return count.n ? SEEN_TOLD : SEEN_STALE;
}

static enum seen published(struct fixture *fx, enum task_state state)
{
	struct published_request request = {BYTES_LIT("k"), FX_SHARD, BYTES_LIT("run"), 0, 1, state == STATE_FINISHED};

	assert_int_equal(fx_status(fx, store_published(fx->store, &request, 1, fx_on_done, fx)), MR_OK);
	return SEEN_NOTHING;
}

static enum seen reassert(struct fixture *fx, enum task_state state)
{
	struct claim_token token = fx_token();

	(void)state;
	fx_reassert(fx, &token);
	return SEEN_NOTHING;
}

static enum seen restore(struct fixture *fx, enum task_state state)
{
	struct restore_request request = {.key = BYTES_LIT("k"),
					  .run_id = BYTES_LIT("run"),
					  .attempt = 1,
					  .closed_at_ms = AGES_AGO_MS,
					  .publication = {.value = BYTES_LIT("v")}};

	(void)state;
	free(REDIS(&fx->server, "DEL", fx_key("m")));
	assert_int_equal(fx_recover(fx, "n2"), MR_OK);
	assert_int_equal(fx_status(fx, store_restore(fx->store, FX_SHARD, BYTES_LIT("n2"), &request, 1, fx_on_done, fx)), MR_OK);
	return SEEN_NOTHING;
}

static void on_expire(void *ctx, enum mr_status status, int64_t removed, bool more, const struct bytes *unseen, size_t n_unseen)
{
	struct count *count = ctx;

	(void)more;
	(void)unseen;
	(void)n_unseen;
	count->n = (size_t)removed;
	fx_on_done(count->fx, status);
}

static enum seen expire(struct fixture *fx, enum task_state state)
{
	struct count count = {.fx = fx};

	(void)state;
	free(REDIS(&fx->server, "ZADD", fx_key("x"), "0", "0"));
	free(REDIS(&fx->server, "RPUSH", fx_key("x:0"), "k"));
	assert_int_equal(fx_status(fx, store_expire(fx->store, FX_SHARD, FX_NONCE, 1000, 10, on_expire, &count)), MR_OK);
	return count.n ? SEEN_DONE : SEEN_STALE;
}

static const struct {
	enum seen (*run)(struct fixture *fx, enum task_state state);
	struct variant variant;
	bool outbox; /* has an entry there before */
} events[EVENTS] = {
	[EVENT_CLAIM] = {claim, {0}, false},
	[EVENT_CLAIM_SAME] = {claim_same, {0}, false},
	[EVENT_CLAIM_LOST] = {claim_same, {.owner_is_dead = true}, false},
	[EVENT_CLAIM_COPY] = {claim_copy, {0}, false},
	[EVENT_CLAIM_NEXT] = {claim_next, {0}, false},
	[EVENT_RELEASE] = {release, {0}, false},
	[EVENT_FINISH] = {finish, {0}, false},
	[EVENT_FINISH_OTHER] = {finish_other, {0}, false},
	[EVENT_END] = {end, {0}, false},
	[EVENT_APPLY_STARTED] = {apply_started, {0}, false},
	[EVENT_APPLY_PENDING] = {apply_pending, {0}, false},
	[EVENT_APPLY_BACKOFF] = {apply_backoff, {0}, false},
	[EVENT_APPLY_WAITING] = {apply_waiting, {0}, false},
	[EVENT_APPLY_HEARTBEAT] = {apply_heartbeat, {0}, false},
	[EVENT_CANCEL] = {cancel, {0}, false},
	[EVENT_TERMINATE] = {terminate, {0}, false},
	[EVENT_PAUSE] = {pause_task, {0}, false},
	[EVENT_UNPAUSE] = {unpause, {0}, false},
	[EVENT_RESET] = {reset_task, {0}, false},
	[EVENT_UPDATE] = {update, {0}, false},
	[EVENT_FIRE] = {fire, {0}, false},
	[EVENT_DUE_START] = {due_start, {0}, false},
	[EVENT_DUE_CLOSE] = {due_close, {0}, false},
	[EVENT_DUE_HEARTBEAT] = {due_heartbeat, {0}, false},
	[EVENT_ORPHAN] = {orphan, {.owner_is_dead = true}, false},
	[EVENT_SWEEP] = {sweep, {.unpublished = true}, false},
	[EVENT_PUBLISHED] = {published, {.unpublished = true}, true},
	[EVENT_REASSERT] = {reassert, {0}, false},
	[EVENT_RESTORE] = {restore, {0}, false},
	[EVENT_EXPIRE] = {expire, {0}, false},
};

/* ---- the walk ---- */

static bool fits(enum transition_kind kind, enum seen seen)
{
	switch (kind) {
	case TRANSITION_MOVE:
	case TRANSITION_FLAG:
	case TRANSITION_REPEAT:
		return seen == SEEN_DONE || seen == SEEN_NOTHING;
	case TRANSITION_TELL:
		return seen == SEEN_TOLD;
	case TRANSITION_WAIT:
		return seen == SEEN_WAIT;
	case TRANSITION_BUSY:
		return seen == SEEN_BUSY;
	case TRANSITION_STALE:
	case TRANSITION_UNKNOWN:
		return seen == SEEN_STALE || seen == SEEN_NOTHING;
	}
	return false;
}

static bool changes(enum transition_kind kind)
{
	return kind == TRANSITION_MOVE || kind == TRANSITION_FLAG;
}

static void check_pair(struct fixture *fx, enum task_state state, enum task_event event)
{
	struct transition step = state_step(state, event);

	put_state(fx, state, events[event].variant);
	if (events[event].outbox)
		free(REDIS(&fx->server, "ZADD", fx_key("o"), "5", "k"));
	CLEANUP_FREE char *before = fx_get(fx, "k"), *noted_before = notes(fx, events[event].outbox);
	enum seen seen = events[event].run(fx, state);
	enum task_state after = state_of(fx);
	CLEANUP_FREE char *text = fx_get(fx, "k"), *noted = notes(fx, events[event].outbox);

	if (!fits(step.kind, seen))
		fail_msg("%s in %s: answer %d is not %s", task_event_name(event), task_state_name(state), (int)seen,
			 transition_kind_name(step.kind));
	if (after != step.next)
		fail_msg("%s in %s: %s, expected %s (%s)", task_event_name(event), task_state_name(state), task_state_name(after),
			 task_state_name(step.next), text);
	if (changes(step.kind) && strcmp(noted, noted_before) == 0)
		fail_msg("%s in %s: nothing changed (%s)", task_event_name(event), task_state_name(state), text);
	if (!changes(step.kind) && step.kind != TRANSITION_TELL && strcmp(text, before) != 0)
		fail_msg("%s in %s: %s became %s", task_event_name(event), task_state_name(state), before, text);
}

static void the_scripts_do_what_the_table_says(void **state)
{
	struct fixture *fx = *state;

	for (int s = 0; s < STATES; s++) {
		for (int e = 0; e < EVENTS; e++) {
			fx_reset(fx);
			assert_non_null(events[e].run);
			check_pair(fx, (enum task_state)s, (enum task_event)e);
		}
	}
}

/* ---- what is beside the record stays in step with it ---- */

#define WALKS 40
#define STEPS 100

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

static bool there(struct fixture *fx, const char *command, const char *kind, const char *member)
{
	CLEANUP_FREE char *text = REDIS(&fx->server, command, fx_key(kind), member);

	return strcmp(text, "(nil)") != 0;
}

static bool exists(struct fixture *fx, const char *kind)
{
	CLEANUP_FREE char *text = REDIS(&fx->server, "EXISTS", fx_key(kind));

	return strcmp(text, "1") == 0;
}

/* Empty where all is in step, else what is not. */
static const char *out_of_step(struct fixture *fx)
{
	CLEANUP_FREE char *text = REDIS(&fx->server, "GET", fx_key("t:k")), *ttl = REDIS(&fx->server, "TTL", fx_key("y:k"));
	struct record r = {0};

	if (strcmp(text, "(nil)") != 0)
		assert_true(record_parse(bytes_of(text), &r));
	bool ends = r.cancel_requested || r.terminate_requested, waits = r.state == 'B' || r.state == 'W';
	bool pending = r.state == 'R' && r.parked && r.worker.len == 0, parked = r.state == 'R' && r.parked && !pending;

	if (there(fx, "ZSCORE", "b", "k") != (waits && !ends && !r.pause_requested))
		return "the backoff set";
	if (there(fx, "ZSCORE", "k", "w1\tk") != parked)
		return "the parked set";
	if (there(fx, "ZSCORE", "h", "k") && !pending)
		return "the heartbeat set";
	if ((r.state == 0 || r.state == 'F') && (exists(fx, "c:k") || strcmp(ttl, "-1") == 0))
		return "what is left of a task that ended";
	if (r.state == 'M' && !exists(fx, "c:k"))
		return "the commands of a marker";
	/* Who has claimed what a marker ends ends it. */
	bool by_scheduler = waits || r.state == 'S' || pending || (parked && r.terminate_requested);

	if (by_scheduler && ends && !there(fx, "ZSCORE", "o", "k"))
		return "what is to be ended";
	return "";
}

/* Events whose set-up here is no state that the scripts make. */
static bool is_natural(enum task_event event)
{
	return event != EVENT_RESTORE && event != EVENT_DUE_HEARTBEAT;
}

static void whatever_happens_the_sets_are_in_step(void **state)
{
	struct fixture *fx = *state;

	for (uint32_t walk = 1; walk <= WALKS; walk++) {
		uint32_t seed = walk;
		struct buf way = {0};

		fx_reset(fx);
		for (int i = 0; i < STEPS; i++) {
			enum task_event event = (enum task_event)(next_random(&seed) % EVENTS);

			if (!is_natural(event))
				continue;
			buf_printf(&way, " %s", task_event_name(event));
			events[event].run(fx, state_of(fx));
			const char *what = out_of_step(fx);
			CLEANUP_FREE char *record = fx_get(fx, "k");

			if (*what)
				fail_msg("walk %u: %s with %s after%s", (unsigned)walk, what, record, buf_cstr(&way));
		}
		buf_deinit(&way);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_scripts_do_what_the_table_says),
		cmocka_unit_test(whatever_happens_the_sets_are_in_step),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
