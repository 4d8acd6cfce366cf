/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "support/store_fixture.h"

static void check_state(struct fixture *fx, const char *rule, const char *expected)
{
	CLEANUP_FREE char *state = fx_get(fx, "k");

	if (strcmp(state, expected ? expected : "(nil)") != 0)
		fail_msg("%s: state %s, expected %s", rule, state, expected ? expected : "none");
}

static void assert_score(struct fixture *fx, const char *kind, const char *score)
{
	FX_ASSERT_REDIS(fx, score, "ZSCORE", fx_key(kind), "k");
}

struct apply_row {
	const char *rule;
	const char *before;
	enum journal_kind kind;
	int64_t epoch, attempt;
	enum apply_verdict verdict;
	const char *after; /* NULL: as before */
	const char *flags; /* of the record */
	int64_t offset;    /* 0: 50 */
	bool cleared;      /* the outbox entry must be gone; a timer must be there where a record waits */
	bool kept;         /* a task that waits has no timer */
};

/* A record of run "run", due 1000, offset 50, lost 1, nonce n, worker w1, record "rec", started at 5. */
static const struct apply_row rows[] = {
	{"a backoff without state", NULL, JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_DONE, .after = "B|run|0|2|1000|50|1||",
	 .cleared = true},
	{"a start without state restores the claim", NULL, JOURNAL_STARTED, 0, 1, .verdict = APPLY_DONE,
	 .after = "R|run|0|1|n|w1|rec|5|1|50|k|", .cleared = true},
	{"a wait without state", NULL, JOURNAL_WAITING, 0, 1, .verdict = APPLY_DONE, .after = "W|run|0|1|1000|50|1||",
	 .cleared = true},
	{"a cancel comes along and ends what waits", NULL, JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_END,
	 .after = "B|run|0|2|1000|50|1|c|", .flags = "c", .kept = true},
	{"a pause comes along and holds what waits", NULL, JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_DONE,
	 .after = "B|run|0|2|1000|50|1|p|", .flags = "p", .kept = true},

	{"a backoff after its attempt", "R|run|0|1|x|w2|rec|5|0|||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_DONE,
	 .after = "B|run|0|2|1000|50|1||", .cleared = true},
	{"a backoff keeps replies and what was told", "R|run|0|1|x|w2|rec|5|0||lp|a=b", JOURNAL_BACKOFF, 0, 2,
	 .verdict = APPLY_DONE, .after = "B|run|0|2|1000|50|1|p|a=b", .kept = true},
	{"a backoff of what is canceled ends it", "R|run|0|1|x|w2|rec|5|0||lc|a=b", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_END,
	 .after = "B|run|0|2|1000|50|1|c|a=b", .kept = true},
	{"a backoff of the attempt that runs", "R|run|0|2|x|w2|rec|5|0|40||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_STALE},
	{"a late backoff is remembered for its tombstone", "R|run|0|2|x|w2|rec|5|0|||", JOURNAL_BACKOFF, 0, 2,
	 .verdict = APPLY_STALE, .after = "R|run|0|2|x|w2|rec|5|0|50||"},
	{"a backoff of an older attempt", "R|run|0|3|x|w2|rec|5|0|40||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_STALE},
	{"a backoff of an older epoch", "R|run|1|1|x|w2|rec|5|0|40||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_STALE},
	{"a backoff of a later epoch", "R|run|0|3|x|w2|rec|5|0|40||", JOURNAL_BACKOFF, 1, 1, .verdict = APPLY_DONE,
	 .after = "B|run|1|1|1000|50|1||", .cleared = true},
	{"a backoff of another run", "R|other|0|1|x|w2|rec|5|0|||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_STALE},
	{"its own start", "R|run|0|1|n|w1|rec|5|0|||", JOURNAL_STARTED, 0, 1, .verdict = APPLY_DONE,
	 .after = "R|run|0|1|n|w1|rec|5|0|50|k|"},
	{"its own start when the offset is not known", "R|run|0|1|n|w1|rec|5|0|j||", JOURNAL_STARTED, 0, 1, .verdict = APPLY_DONE,
	 .after = "R|run|0|1|n|w1|rec|5|0|50|k|"},
	{"the start of an owner that lost the attempt", "R|run|0|1|x|w2|rec|5|0|||", JOURNAL_STARTED, 0, 1,
	 .verdict = APPLY_STALE, .after = "R|run|0|1|x|w2|rec|5|0|50||"},
	{"the start of a lost attempt", "R|run|0|2|x|w2|rec|5|1|||", JOURNAL_STARTED, 0, 1, .verdict = APPLY_STALE,
	 .after = "R|run|0|2|x|w2|rec|5|1|50||"},
	{"a later start than Redis knows", "R|run|0|1|x|w2|rec|5|0|||a=b", JOURNAL_STARTED, 0, 2, .verdict = APPLY_DONE,
	 .after = "R|run|0|2|n|w1|rec|5|1|50|k|a=b", .cleared = true},
	{"a wait of the attempt that runs", "R|run|0|1|x|w2|rec|5|0|40||", JOURNAL_WAITING, 0, 1, .verdict = APPLY_STALE},
	{"a wait of the next attempt", "R|run|0|1|x|w2|rec|5|0|40||", JOURNAL_WAITING, 0, 2, .verdict = APPLY_DONE,
	 .after = "W|run|0|2|1000|50|1||", .cleared = true},

	{"a backoff of the scheduled attempt", "S|run|0|2||40|0||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_STALE},
	{"a late start of an attempt before a released one", "S|run|0|2|rec||1||", JOURNAL_STARTED, 0, 1, .verdict = APPLY_STALE,
	 .after = "S|run|0|2|rec|50|1||"},
	{"a backoff after the scheduled attempt", "S|run|0|2||40|0||", JOURNAL_BACKOFF, 0, 3, .verdict = APPLY_DONE,
	 .after = "B|run|0|3|1000|50|1||", .cleared = true},
	{"a start of the scheduled attempt", "S|run|0|2||40|0||a=b", JOURNAL_STARTED, 0, 2, .verdict = APPLY_DONE,
	 .after = "R|run|0|2|n|w1|rec|5|1|50|k|a=b", .cleared = true},
	{"a start of an attempt before the scheduled one", "S|run|0|2||40|0||", JOURNAL_STARTED, 0, 1, .verdict = APPLY_STALE},
	{"a wait of the scheduled attempt gives it back", "S|run|0|2||40|0||", JOURNAL_WAITING, 0, 2, .verdict = APPLY_DONE,
	 .after = "W|run|0|2|1000|50|1||", .cleared = true},
	{"a wait of a released attempt gives it back", "S|run|0|1|rec||0||", JOURNAL_WAITING, 0, 1, .verdict = APPLY_DONE,
	 .after = "W|run|0|1|1000|50|1||", .cleared = true},
	{"the wait that was dispatched", "S|run|0|2||50|0||", JOURNAL_WAITING, 0, 2, .verdict = APPLY_STALE},

	{"the same backoff again", "B|run|0|2|1000|50|1||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_DONE},
	{"the backoff written anew", "B|run|0|2|900|40|0||a=b", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_DONE,
	 .after = "B|run|0|2|1000|50|1||a=b", .cleared = true},
	{"an older copy of the backoff", "B|run|0|2|900|60|0||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_STALE},
	{"the next backoff", "B|run|0|2|900|40|0||", JOURNAL_BACKOFF, 0, 3, .verdict = APPLY_DONE,
	 .after = "B|run|0|3|1000|50|1||", .cleared = true},
	{"the backoff before", "B|run|0|3|900|40|0||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_STALE},
	{"a start of the attempt that backs off", "B|run|0|2|900|40|0||", JOURNAL_STARTED, 0, 2, .verdict = APPLY_DONE,
	 .after = "R|run|0|2|n|w1|rec|5|1|50|k|", .cleared = true},
	{"a start of the attempt before the backoff", "B|run|0|2|900|40|0||", JOURNAL_STARTED, 0, 1, .verdict = APPLY_STALE},
	{"a wait in place of a backoff", "B|run|0|2|900|40|0||", JOURNAL_WAITING, 0, 2, .verdict = APPLY_DONE,
	 .after = "W|run|0|2|1000|50|1||", .cleared = true},
	{"a backoff of another run", "B|other|0|2|900|40|0||", JOURNAL_BACKOFF, 0, 3, .verdict = APPLY_STALE},
	{"the same wait again", "W|run|0|1|1000|50|1||", JOURNAL_WAITING, 0, 1, .verdict = APPLY_DONE},
	{"a backoff after a wait", "W|run|0|1|900|40|0||", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_DONE,
	 .after = "B|run|0|2|1000|50|1||", .cleared = true},

	{"finished and confirmed", "F|run|0|1|x|0|9|0|^0v", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_FINISHED},
	{"a start when finished and confirmed", "F|run|0|1|x|0|9|0|^0v", JOURNAL_STARTED, 0, 1, .verdict = APPLY_FINISHED},
	{"finished in another run", "F|other|0|1|x|0|9|0|^0v", JOURNAL_BACKOFF, 0, 2, .verdict = APPLY_STALE},
};

static struct apply_record record_of(const struct apply_row *row)
{
	return (struct apply_record){
		.kind = row->kind,
		.key = BYTES_LIT("k"),
		.run_id = BYTES_LIT("run"),
		.epoch = row->epoch,
		.attempt = row->attempt,
		.due_ms = 1000,
		.offset = row->offset ? row->offset : 50,
		.lost = 1,
		.control_offset = -1,
		.cancel_requested = row->flags && strchr(row->flags, 'c'),
		.pause_requested = row->flags && strchr(row->flags, 'p'),
		.nonce = BYTES_LIT("n"),
		.worker = BYTES_LIT("w1"),
		.record_id = BYTES_LIT("rec"),
		.started_at_ms = 5,
	};
}

static void check_row(struct fixture *fx, const struct apply_row *row)
{
	struct apply_record record = record_of(row);
	struct apply_answer answer;
	const char *after = row->after ? row->after : row->before;

	fx_put(fx, "k", row->before);
	free(REDIS(&fx->server, "DEL", fx_key("b")));
	free(REDIS(&fx->server, "ZADD", fx_key("o"), "5", "k"));
	for (int round = 0; round < 2; round++) {
		assert_int_equal(fx_apply(fx, "n1", false, 10, 10, &record, 1, &answer), MR_OK);
		/* What went back to an older state is applied once; all else is answered alike. */
		if (answer.verdict != row->verdict)
			fail_msg("%s: verdict %d in round %d", row->rule, (int)answer.verdict, round);
		check_state(fx, row->rule, after);
	}
	if (row->kept) {
		assert_score(fx, "b", "(nil)");
		return;
	}
	if (row->cleared) {
		assert_score(fx, "o", "(nil)");
		assert_score(fx, "b", after[0] == 'R' ? "(nil)" : "1000");
	} else {
		assert_score(fx, "o", "5");
		assert_score(fx, "b", "(nil)");
	}
}

static void the_highest_attempt_and_phase_of_a_run_wins(void **state)
{
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(fx, &rows[i]);
}

static void an_unconfirmed_result_comes_back_to_the_outbox(void **state)
{
	struct fixture *fx = *state;
	struct apply_row row = {.kind = JOURNAL_STARTED, .attempt = 1};
	struct apply_record record = record_of(&row);
	struct apply_answer answer;

	fx_put(fx, "k", "F|run|0|1|x|0|9|1|^0v");
	assert_int_equal(fx_apply(fx, "n1", false, 10, 11, &record, 1, &answer), MR_OK);
	assert_int_equal(answer.verdict, APPLY_STALE);
	FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("o"));
	free(REDIS(&fx->server, "ZADD", fx_key("o"), "5", "k"));
	assert_int_equal(fx_apply(fx, "n1", false, 11, 12, &record, 1, &answer), MR_OK);
	assert_score(fx, "o", "5"); /* since when it waits is kept */
}

static void a_wait_until_told_has_no_timer(void **state)
{
	struct fixture *fx = *state;
	struct apply_row row = {.kind = JOURNAL_WAITING, .attempt = 2, .flags = "p"};
	struct apply_record record = record_of(&row);
	struct apply_answer answer;

	record.due_ms = TASK_UNSET;
	free(REDIS(&fx->server, "ZADD", fx_key("b"), "900", "k"));
	fx_put(fx, "k", "B|run|0|2|900|40|0||");
	assert_int_equal(fx_apply(fx, "n1", false, 10, 11, &record, 1, &answer), MR_OK);
	fx_assert_state(fx, "k", "W|run|0|2|-1|50|1|p|");
	assert_score(fx, "b", "(nil)");
}

/* ---- positions ---- */

static void the_offset_moves_with_the_batch_and_only_from_where_it_was(void **state)
{
	struct fixture *fx = *state;
	struct apply_row row = {.kind = JOURNAL_BACKOFF, .attempt = 2};
	struct apply_record record = record_of(&row);
	struct apply_answer answer;

	assert_int_equal(fx_apply(fx, "n1", false, 9, 12, &record, 1, &answer), MR_ECONFLICT);
	fx_assert_state(fx, "k", NULL);
	assert_int_equal(fx_apply(fx, "n1", false, 10, 12, &record, 1, &answer), MR_OK);
	assert_int_equal(fx_look(fx, FX_SHARD).journal_offset, 12);
	assert_int_equal(fx_apply(fx, "n1", false, 10, 12, &record, 1, &answer), MR_OK); /* a repetition */
	assert_int_equal(fx_apply(fx, "n1", false, 12, 20, NULL, 0, NULL), MR_OK);
	assert_int_equal(fx_look(fx, FX_SHARD).journal_offset, 20);
	assert_int_equal(fx_apply(fx, "n1", false, 10, 12, &record, 1, &answer), MR_ECONFLICT);
}

static void without_an_offset_the_batch_begins_at_none(void **state)
{
	struct fixture *fx = *state;

	free(REDIS(&fx->server, "DEL", fx_key("p")));
	assert_int_equal(fx_apply(fx, "n1", false, 0, 5, NULL, 0, NULL), MR_ECONFLICT);
	assert_int_equal(fx_apply(fx, "n1", false, -1, 5, NULL, 0, NULL), MR_OK);
	assert_int_equal(fx_look(fx, FX_SHARD).journal_offset, 5);
}

static void the_marker_fences_the_journal(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(fx_apply(fx, "other", false, 10, 11, NULL, 0, NULL), MR_ECONFLICT);
	assert_int_equal(fx_apply(fx, "n1", true, 10, 11, NULL, 0, NULL), MR_ECONFLICT);
	free(REDIS(&fx->server, "DEL", fx_key("m")));
	assert_int_equal(fx_apply(fx, "n1", false, 10, 11, NULL, 0, NULL), MR_ECONFLICT);
	fx_recover(fx, "n2");
	assert_int_equal(fx_apply(fx, "n2", false, 10, 11, NULL, 0, NULL), MR_ECONFLICT);
	assert_int_equal(fx_apply(fx, "n2", true, 0, 99, NULL, 0, NULL), MR_OK);
	assert_int_equal(fx_look(fx, FX_SHARD).journal_offset, 10); /* positions move with the vouching only */
}

static void a_record_that_is_none_of_ours_is_stale_and_the_rest_is_applied(void **state)
{
	struct fixture *fx = *state;
	struct apply_row row = {.kind = JOURNAL_BACKOFF, .attempt = 2};
	struct apply_record records[5];
	struct apply_answer answers[5];

	for (size_t i = 0; i < 5; i++)
		records[i] = record_of(&row);
	records[0].key = BYTES_LIT("a\tb");
	records[1].run_id = BYTES_LIT("a\nb");
	records[2].attempt = 0;
	records[4].kind = JOURNAL_CHECKPOINT;
	assert_int_equal(fx_apply(fx, "n1", false, 10, 15, records, 5, answers), MR_OK);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(answers[i].verdict, i == 3 ? APPLY_DONE : APPLY_STALE);
	fx_assert_state(fx, "k", "B|run|0|2|1000|50|1||");
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_highest_attempt_and_phase_of_a_run_wins, reset),
		cmocka_unit_test_setup(an_unconfirmed_result_comes_back_to_the_outbox, reset),
		cmocka_unit_test_setup(a_wait_until_told_has_no_timer, reset),
		cmocka_unit_test_setup(the_offset_moves_with_the_batch_and_only_from_where_it_was, reset),
		cmocka_unit_test_setup(without_an_offset_the_batch_begins_at_none, reset),
		cmocka_unit_test_setup(the_marker_fences_the_journal, reset),
		cmocka_unit_test_setup(a_record_that_is_none_of_ours_is_stale_and_the_rest_is_applied, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
