/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/store_fixture.h"
#include "support/store_seen.h"

/* What commands do to a task, as the journal tells it: flags, resets, options. */

/* An instant of today in a record becomes "now". */
static void mask_now(char *text)
{
	for (char *at = text; *at; at++) {
		size_t len = strspn(at, "0123456789");

		if (len == 13) {
			memcpy(at, "now", 3);
			memmove(at + 3, at + 13, strlen(at + 13) + 1);
		}
		at += len > 0 && len != 13 ? len - 1 : 0;
	}
}

static void check_state(struct fixture *fx, const char *rule, const char *expected)
{
	CLEANUP_FREE char *state = fx_get(fx, "k");

	mask_now(state);
	if (strcmp(state, expected ? expected : "(nil)") != 0)
		fail_msg("%s: state %s, expected %s", rule, state, expected ? expected : "none");
}

static void check_score(struct fixture *fx, const char *rule, const char *expected)
{
	CLEANUP_FREE char *score = REDIS(&fx->server, "ZSCORE", fx_key("b"), "k");

	mask_now(score);
	if (strcmp(score, expected ? expected : "(nil)") != 0)
		fail_msg("%s: due %s, expected %s", rule, score, expected ? expected : "none");
}

struct command {
	const char *run, *flags, *options, *ids;
	int64_t epoch;
};

static struct apply_record record_of(const struct command *command)
{
	const char *flags = command->flags ? command->flags : "";
	static struct bytes ids[2];

	ids[0] = bytes_of(command->ids ? command->ids : "r1");
	return (struct apply_record){
		.kind = JOURNAL_COMMAND,
		.key = BYTES_LIT("k"),
		.run_id = bytes_of(command->run ? command->run : "run"),
		.epoch = command->epoch,
		.offset = 90,
		.cancel_requested = strchr(flags, 'c') != NULL,
		.terminate_requested = strchr(flags, 't') != NULL,
		.pause_requested = strchr(flags, 'p') != NULL,
		.options = command->options ? bytes_of(command->options) : BYTES_NONE,
		.request_ids = ids,
		.n_request_ids = 1,
		.control_offset = 7,
	};
}

static enum apply_verdict apply(struct fixture *fx, const struct apply_record *record)
{
	struct apply_answer answer;

	assert_int_equal(fx_apply(fx, "n1", false, 10, 10, record, 1, &answer), MR_OK);
	return answer.verdict;
}

static enum apply_verdict command(struct fixture *fx, struct command command)
{
	struct apply_record record = record_of(&command);

	return apply(fx, &record);
}

/* "run epoch flags options" of P{s}c:k before, with '|' for TAB. */
static void put_commands(struct fixture *fx, const char *text)
{
	if (!text) {
		free(REDIS(&fx->server, "DEL", fx_key("c:k")));
		return;
	}
	CLEANUP_FREE char *copy = mem_strdup(text);

	for (char *at = copy; *at; at++)
		if (*at == '|')
			*at = '\t';
	free(REDIS(&fx->server, "SET", fx_key("c:k"), copy));
}

/* A due time that is never reached, and one long ago. */
#define LATER "253402300799999"
#define LONG_AGO "1000"

struct command_row {
	const char *rule;
	const char *before;
	const char *known; /* P{s}c:k before */
	struct command command;
	enum apply_verdict verdict;
	const char *after; /* NULL: as before */
	const char *due;   /* score in the backoff set afterwards; a task that waits begins with one */
	bool outbox;
};

static const struct command_row rows[] = {
	/* ---- nobody has seen the task ---- */
	{"a cancel leaves a marker", NULL, NULL, {.flags = "c"}, APPLY_DONE, "M|run|0|1|now|j|0|ce|", NULL, false},
	{"a cancel of whatever run comes", NULL, NULL, {.run = "", .flags = "c"}, APPLY_DONE, "M||0|1|now|j|0|ce|", NULL, false},
	{"options leave a marker", NULL, NULL, {.options = "{}"}, APPLY_DONE, "M|run|0|1|now|j|0|ue|", NULL, false},
	{"a reset leaves a marker", NULL, NULL, {.epoch = 1}, APPLY_DONE, "M|run|0|1|now|j|0|ue|", NULL, false},
	{"an unpause of what is marked",
	 "M|run|0|1|9|j|0|pe|a=b",
	 "run|0|p||",
	 {0},
	 APPLY_DONE,
	 "M|run|0|1|9|j|0|e|a=b",
	 NULL,
	 false},
	{"a command to another run of what is marked",
	 "M|other|0|1|9|j|0|ce|",
	 "other|0|c||",
	 {.flags = "p"},
	 APPLY_DONE,
	 "M|run|0|1|9|j|0|pe|",
	 NULL,
	 false},

	/* ---- it waits ---- */
	{"a cancel ends what backs off",
	 "B|run|0|2|" LATER "|7|1||",
	 NULL,
	 {.flags = "c"},
	 APPLY_END,
	 "B|run|0|2|" LATER "|7|1|ce|",
	 NULL,
	 true},
	{"a terminate ends what waits",
	 "W|run|0|1|" LATER "|7|0||",
	 NULL,
	 {.flags = "t"},
	 APPLY_END,
	 "W|run|0|1|" LATER "|7|0|te|",
	 NULL,
	 true},
	{"a cancel wins over a reset",
	 "B|run|0|2|" LATER "|7|1||",
	 NULL,
	 {.flags = "c", .epoch = 1},
	 APPLY_END,
	 "B|run|1|1|now|7|0|ce|",
	 NULL,
	 true},
	{"a pause takes it from the timers",
	 "B|run|0|2|" LATER "|7|1||a=b",
	 NULL,
	 {.flags = "p"},
	 APPLY_DONE,
	 "B|run|0|2|" LATER "|7|1|pe|a=b",
	 NULL,
	 false},
	{"an unpause keeps the due time",
	 "B|run|0|2|" LATER "|7|1|pe|",
	 "run|0|p||",
	 {0},
	 APPLY_DONE,
	 "B|run|0|2|" LATER "|7|1|e|",
	 LATER,
	 false},
	{"an unpause of what was due meanwhile",
	 "B|run|0|2|" LONG_AGO "|7|1|pe|",
	 "run|0|p||",
	 {0},
	 APPLY_DONE,
	 "B|run|0|2|now|7|1|e|",
	 "now",
	 false},
	{"an unpause of what waits until told",
	 "W|run|0|1|-1|7|0|pe|",
	 "run|0|p||",
	 {0},
	 APPLY_DONE,
	 "W|run|0|1|now|7|0|e|",
	 "now",
	 false},
	{"a reset begins anew at once",
	 "B|run|0|4|" LATER "|7|1||",
	 NULL,
	 {.epoch = 1},
	 APPLY_DONE,
	 "B|run|1|1|now|7|0|e|",
	 "now",
	 false},
	{"a reset of what is paused",
	 "W|run|0|4|" LATER "|7|1|pe|",
	 "run|0|p||",
	 {.flags = "p", .epoch = 1},
	 APPLY_DONE,
	 "W|run|1|1|now|7|0|pe|",
	 NULL,
	 false},
	{"a reset that was done", "B|run|1|2|" LATER "|7|1|e|", "run|1|||", {.epoch = 1}, APPLY_DONE, NULL, LATER, false},
	{"options come with the dispatch",
	 "B|run|0|2|" LATER "|7|1||",
	 NULL,
	 {.options = "{}"},
	 APPLY_DONE,
	 "B|run|0|2|" LATER "|7|1|e|",
	 LATER,
	 false},
	{"a command to another run",
	 "B|other|0|2|" LATER "|7|1||",
	 NULL,
	 {.flags = "c"},
	 APPLY_DONE,
	 "B|other|0|2|" LATER "|7|1|e|",
	 LATER,
	 false},
	{"a command to whatever run is there",
	 "B|other|0|2|" LATER "|7|1||",
	 NULL,
	 {.run = "", .flags = "c"},
	 APPLY_END,
	 "B|other|0|2|" LATER "|7|1|ce|",
	 NULL,
	 true},

	/* ---- an attempt lies in its topic ---- */
	{"a cancel ends what is scheduled",
	 "S|run|0|2||7|0||",
	 NULL,
	 {.flags = "c"},
	 APPLY_END,
	 "S|run|0|2||7|0|ce|",
	 NULL,
	 true},
	{"a pause is told to the claim", "S|run|0|2||7|0||", NULL, {.flags = "p"}, APPLY_DONE, "S|run|0|2||7|0|pe|", NULL, false},
	{"an unpause lets it run", "S|run|0|2||7|0|pe|", "run|0|p||", {0}, APPLY_DONE, "S|run|0|2||7|0|e|", NULL, false},
	{"a reset is told to the claim", "S|run|0|2||7|0||", NULL, {.epoch = 1}, APPLY_DONE, "S|run|0|2||7|0|ue|", NULL, false},
	{"options are told to the claim",
	 "S|run|0|2||7|0||",
	 NULL,
	 {.options = "{}"},
	 APPLY_DONE,
	 "S|run|0|2||7|0|ue|",
	 NULL,
	 false},
	{"options that the dispatch had", "S|run|0|2||7|0|e|", "run|0||r0|{}", {.options = "{}"}, APPLY_DONE, NULL, NULL, false},
	{"a pause after options that the dispatch had not",
	 "S|run|0|2||7|0|ue|",
	 "run|0||r0|{}",
	 {.flags = "p", .options = "{}"},
	 APPLY_DONE,
	 "S|run|0|2||7|0|pue|",
	 NULL,
	 false},

	/* ---- it runs: its worker hears of it by itself ---- */
	{"a cancel of what runs",
	 "R|run|0|1|n|w1|rec|5|0|||",
	 NULL,
	 {.flags = "c"},
	 APPLY_DONE,
	 "R|run|0|1|n|w1|rec|5|0||ce|",
	 NULL,
	 false},
	{"a pause of what is parked",
	 "R|run|0|1|n|w1|rec|5|0|7|k|",
	 NULL,
	 {.flags = "p"},
	 APPLY_DONE,
	 "R|run|0|1|n|w1|rec|5|0|7|pek|",
	 NULL,
	 false},
	{"a reset of what runs",
	 "R|run|0|3|n|w1|rec|5|0|||",
	 NULL,
	 {.epoch = 1},
	 APPLY_DONE,
	 "R|run|0|3|n|w1|rec|5|0||re|",
	 NULL,
	 false},
	{"a reset that what runs came from",
	 "R|run|1|1|n|w1|rec|5|0|7|e|",
	 "run|1|||",
	 {.epoch = 1},
	 APPLY_DONE,
	 NULL,
	 NULL,
	 false},
	{"a terminate ends what runs",
	 "R|run|0|1|n|w1|rec|5|0|||a=b",
	 NULL,
	 {.flags = "t"},
	 APPLY_END,
	 "R|run|0|1|n|w1|rec|5|0||te|a=b",
	 NULL,
	 true},
	{"a cancel ends what waits for its completion",
	 "R|run|0|1|n||rec|5|0|60|k|",
	 NULL,
	 {.flags = "c"},
	 APPLY_END,
	 "R|run|0|1|n||rec|5|0|60|cek|",
	 NULL,
	 true},
	{"what was lost stays lost",
	 "R|run|0|1|n|w1|rec|5|0||l|",
	 NULL,
	 {.flags = "p"},
	 APPLY_DONE,
	 "R|run|0|1|n|w1|rec|5|0||pel|",
	 NULL,
	 false},
	{"a command to another run than runs",
	 "R|other|0|1|n|w1|rec|5|0|||",
	 NULL,
	 {.flags = "t"},
	 APPLY_DONE,
	 "R|other|0|1|n|w1|rec|5|0||e|",
	 NULL,
	 false},

	/* ---- it is finished ---- */
	{"a command to what is finished", "F|run|0|1|n|0|9|0|^0v", NULL, {.flags = "c"}, APPLY_FINISHED, NULL, NULL, false},
	{"a command to what is not published yet",
	 "F|run|0|1|n|0|9|1|^0v",
	 NULL,
	 {.flags = "c"},
	 APPLY_FINISHED,
	 NULL,
	 NULL,
	 true},
	{"a command to whatever run, which is finished",
	 "F|run|0|1|n|0|9|0|^0v",
	 NULL,
	 {.run = "", .flags = "c"},
	 APPLY_FINISHED,
	 NULL,
	 NULL,
	 false},
	{"a command to a later run than is known",
	 "F|other|0|1|n|0|9|0|^0v",
	 NULL,
	 {.flags = "c"},
	 APPLY_STALE,
	 NULL,
	 NULL,
	 false},
};

static void check_row(struct fixture *fx, const struct command_row *row)
{
	const char *before = row->before ? row->before : "", *after = row->after ? row->after : row->before;

	fx_put(fx, "k", row->before);
	put_commands(fx, row->known);
	free(REDIS(&fx->server, "DEL", fx_key("b"), fx_key("o"), fx_key("x")));
	if ((before[0] == 'B' || before[0] == 'W') && !strchr(strrchr(before, '|') - 3, 'p'))
		free(REDIS(&fx->server, "ZADD", fx_key("b"), LATER, "k"));
	for (int round = 0; round < 2; round++) {
		if (command(fx, row->command) != row->verdict)
			fail_msg("%s: verdict in round %d", row->rule, round);
		check_state(fx, row->rule, after);
		check_score(fx, row->rule, row->due);
		FX_ASSERT_REDIS(fx, row->outbox ? "1" : "0", "ZCARD", fx_key("o"));
	}
}

static void commands_change_what_they_are_for_and_once(void **state)
{
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(fx, &rows[i]);
}

/* ---- what is told of them ---- */

static void the_end_that_is_asked_for_comes_with_the_task(void **state)
{
	struct fixture *fx = *state;
	struct task_view view;

	fx_put(fx, "k", "B|run|0|2|" LATER "|7|1||a=b");
	assert_int_equal(command(fx, (struct command){.flags = "cp", .options = "{\"a\":\t1}", .epoch = 3, .ids = "r1"}),
			 APPLY_END);
	view = fx_view(fx, "k");
	assert_true(view.cancel_requested && view.pause_requested && !view.terminate_requested);
	assert_true(bytes_is(view.options, "{\"a\":\t1}"));
	assert_true(bytes_is(view.request_ids, "r1"));
	assert_int_equal(view.reset_epoch, 3);
}

struct end_call {
	struct fixture *fx;
	char key[16];
	enum view_state state;
	bool terminate;
	size_t n;
};

static void on_applied(void *ctx, enum mr_status status, const struct apply_answer *answers, size_t n)
{
	struct end_call *call = ctx;

	for (size_t i = 0; i < n; i++) {
		if (answers[i].verdict != APPLY_END)
			continue;
		call->n++;
		snprintf(call->key, sizeof(call->key), "%.*s", BYTES_ARG(answers[i].found->key));
		call->state = answers[i].found->view.state;
		call->terminate = answers[i].found->view.terminate_requested;
	}
	fx_on_done(call->fx, status);
}

static void what_is_to_be_ended_is_told_among_others(void **state)
{
	struct fixture *fx = *state;
	struct end_call call = {.fx = fx};
	struct apply_record records[3];

	fx_put(fx, "k", "B|run|0|2|" LATER "|7|1||");
	fx_put(fx, "z", "R|run|0|1|n|w1|rec|5|0|||");
	for (size_t i = 0; i < 3; i++)
		records[i] = record_of(&(struct command){.flags = i == 2 ? "t" : "p"});
	records[1].attempt = -1;
	records[1].epoch = -1; /* none of ours */
	records[2].key = BYTES_LIT("z");
	assert_int_equal(fx_status(fx, store_apply(fx->store, FX_SHARD, FX_NONCE, false, 10, 13, records, 3, on_applied, &call)),
			 MR_OK);
	assert_int_equal(call.n, 1);
	assert_string_equal(call.key, "z");
	assert_int_equal(call.state, VIEW_STARTED);
	assert_true(call.terminate);
}

/* ---- the way on ---- */

static void a_marker_holds_the_first_claim_and_the_wait_becomes_the_first_attempt_of_its_epoch(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = fx_request();
	struct claim_answer answer;
	struct apply_record waiting = {.kind = JOURNAL_WAITING,
				       .key = BYTES_LIT("k"),
				       .run_id = BYTES_LIT("run"),
				       .attempt = 1,
				       .due_ms = -1,
				       .offset = 91,
				       .control_offset = -1};

	assert_int_equal(command(fx, (struct command){.run = "", .flags = "p", .epoch = 2, .options = "{}"}), APPLY_DONE);
	answer = fx_claim(fx, &request);
	assert_int_equal(answer.verdict, CLAIM_HOLD);
	assert_int_equal(answer.hold_until_ms, 0);
	assert_true(bytes_is(answer.run_id, "run"));
	assert_int_equal(apply(fx, &waiting), APPLY_DONE);
	check_state(fx, "waits", "W|run|2|1|now|91|0|pe|");
	check_score(fx, "waits", NULL);
	assert_int_equal(command(fx, (struct command){.epoch = 2, .options = "{}"}), APPLY_DONE);
	check_state(fx, "goes on", "W|run|2|1|now|91|0|e|");
	check_score(fx, "goes on", "now");
}

static void what_has_changed_holds_the_claim_until_now(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = fx_request();
	int64_t hold_until_ms;

	fx_put(fx, "k", "S|run|0|1|rec||0||");
	assert_int_equal(command(fx, (struct command){.options = "{}"}), APPLY_DONE);
	hold_until_ms = fx_claim(fx, &request).hold_until_ms;
	assert_in_range(hold_until_ms, 1, fx_look(fx, FX_SHARD).now_ms);
}

/* A wait that was written when the pause was over already does not wait for another word. */
static void a_pause_that_ended_meanwhile_holds_nothing(void **state)
{
	struct fixture *fx = *state;
	struct apply_record waiting = {.kind = JOURNAL_WAITING,
				       .key = BYTES_LIT("k"),
				       .run_id = BYTES_LIT("run"),
				       .attempt = 2,
				       .due_ms = -1,
				       .offset = 91,
				       .pause_requested = true,
				       .control_offset = -1};

	fx_put(fx, "k", "S|run|0|2||7|0||");
	command(fx, (struct command){.flags = "p"});
	command(fx, (struct command){0});
	assert_int_equal(apply(fx, &waiting), APPLY_DONE);
	check_state(fx, "goes on", "W|run|0|2|now|91|0|e|");
	check_score(fx, "goes on", "now");
}

static void a_backoff_after_a_reset_is_the_first_attempt_of_its_epoch(void **state)
{
	struct fixture *fx = *state;
	struct apply_record backoff = {.kind = JOURNAL_BACKOFF,
				       .key = BYTES_LIT("k"),
				       .run_id = BYTES_LIT("run"),
				       .attempt = 4,
				       .due_ms = INT64_C(253402300799999),
				       .offset = 91,
				       .lost = 2,
				       .control_offset = -1};

	fx_put(fx, "k", "R|run|0|3|n|w1|rec|5|0|||");
	command(fx, (struct command){.epoch = 1});
	assert_int_equal(apply(fx, &backoff), APPLY_DONE);
	check_state(fx, "anew", "B|run|1|1|now|91|0|e|");
	check_score(fx, "anew", "now");
	assert_int_equal(apply(fx, &backoff), APPLY_STALE); /* again: the state is further */
	check_state(fx, "anew", "B|run|1|1|now|91|0|e|");
}

static void what_commands_said_of_a_run_is_forgotten_with_it(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = fx_request();
	struct finish_request finish = {.token = fx_token(), .status = RESULT_CANCELED, .closed_at_ms = 1000};

	finish.publication.value = BYTES_LIT("v");
	command(fx, (struct command){.run = "", .flags = "c"});
	assert_int_equal(fx_claim(fx, &request).verdict, CLAIM_CANCELED);
	assert_int_equal(fx_finish(fx, &finish).verdict, FINISH_OK);
	FX_ASSERT_REDIS(fx, "0", "EXISTS", fx_key("c:k"));
	check_state(fx, "its result wants its tombstones", "F|run|0|1|n|3|1000|1|^0v");
}

static void a_close_timer_goes_along_with_a_reset(void **state)
{
	struct fixture *fx = *state;

	fx_put(fx, "k", "B|run|0|2|" LATER "|7|1||");
	free(REDIS(&fx->server, "ZADD", fx_key("T"), "5", "c\tk\trun\t0\t2\t"));
	command(fx, (struct command){.epoch = 1});
	FX_ASSERT_REDIS(fx, "5", "ZSCORE", fx_key("T"), "c\tk\trun\t1\t1\t");
	FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("T"));
}

/* ---- positions, and a loss of Redis ---- */

static void a_checkpoint_moves_the_control_position_and_never_back(void **state)
{
	struct fixture *fx = *state;
	struct apply_record record = {.kind = JOURNAL_CHECKPOINT, .key = BYTES_LIT(JOURNAL_CHECKPOINT_KEY), .control_offset = 40};

	assert_int_equal(fx_look(fx, FX_SHARD).control_offset, 30);
	assert_int_equal(apply(fx, &record), APPLY_DONE);
	assert_int_equal(fx_look(fx, FX_SHARD).control_offset, 40);
	record.control_offset = 35;
	assert_int_equal(apply(fx, &record), APPLY_DONE);
	assert_int_equal(fx_look(fx, FX_SHARD).control_offset, 40);
	/* A command's own offset moves nothing. */
	command(fx, (struct command){.flags = "c"});
	assert_int_equal(fx_look(fx, FX_SHARD).control_offset, 40);
}

static void replay(struct fixture *fx, const struct apply_record *record)
{
	struct apply_answer answer;

	assert_int_equal(fx_apply(fx, "n2", true, 10, 10, record, 1, &answer), MR_OK);
}

static void commands_survive_a_wipe_in_any_order_of_the_log(void **state)
{
	struct fixture *fx = *state;
	struct apply_record backoff = {.kind = JOURNAL_BACKOFF,
				       .key = BYTES_LIT("k"),
				       .run_id = BYTES_LIT("run"),
				       .attempt = 2,
				       .due_ms = INT64_C(253402300799999),
				       .offset = 9,
				       .control_offset = -1};
	struct apply_record paused = record_of(&(struct command){.flags = "p", .epoch = 1});
	struct apply_record checkpoint = {.kind = JOURNAL_CHECKPOINT, .control_offset = 99};

	for (int first = 0; first < 2; first++) {
		free(REDIS(&fx->server, "FLUSHALL"));
		fx_recover(fx, "n2");
		replay(fx, first ? &paused : &backoff);
		replay(fx, first ? &backoff : &paused);
		replay(fx, &checkpoint);
		check_state(fx, first ? "the command first" : "the backoff first", "B|run|1|1|now|9|0|pe|");
		check_score(fx, "paused", NULL);
		fx_vouch(fx, "n2");
		assert_int_equal(fx_look(fx, FX_SHARD).control_offset, 99);
	}
}

/* The result of an earlier run is there already when the journal is replayed. */
static void a_later_run_and_its_commands_survive_a_wipe(void **state)
{
	struct fixture *fx = *state;
	struct apply_record backoff = {.kind = JOURNAL_BACKOFF,
				       .key = BYTES_LIT("k"),
				       .run_id = BYTES_LIT("run"),
				       .attempt = 2,
				       .due_ms = INT64_C(253402300799999),
				       .offset = 9,
				       .control_offset = -1};
	struct apply_record paused = record_of(&(struct command){.flags = "p"});

	free(REDIS(&fx->server, "FLUSHALL"));
	fx_recover(fx, "n2");
	fx_put(fx, "k", "F|old|0|1||0|9|0|^0v");
	replay(fx, &paused);
	replay(fx, &backoff);
	check_state(fx, "the later run", "B|run|0|2|" LATER "|9|0|pe|");
	FX_ASSERT_REDIS(fx, "-1", "TTL", fx_key("c:k"));
	FX_ASSERT_REDIS(fx, "1", "EXISTS", fx_key("u:k\told"));
}

/* ---- markers end with their retention ---- */

static void on_expired(void *ctx, enum mr_status status, int64_t removed, bool more, const struct bytes *unseen, size_t n_unseen)
{
	assert_false(more);
	assert_int_equal(removed, 1);
	assert_int_equal(n_unseen, 1);
	assert_true(bytes_is(unseen[0], "k"));
	fx_on_done(ctx, status);
}

static void a_marker_that_no_task_follows_is_forgotten_in_time(void **state)
{
	struct fixture *fx = *state;

	command(fx, (struct command){.flags = "c"});
	fx_put(fx, "k", "M|run|0|1|1000|j|0|ce|");
	free(REDIS(&fx->server, "DEL", fx_key("x")));
	free(REDIS(&fx->server, "ZADD", fx_key("x"), "0", "0"));
	free(REDIS(&fx->server, "RPUSH", fx_key("x:0"), "k"));
	assert_int_equal(fx_status(fx, store_expire(fx->store, FX_SHARD, FX_NONCE, 1000, 10, on_expired, fx)), MR_OK);
	fx_assert_state(fx, "k", NULL);
	FX_ASSERT_REDIS(fx, "0", "EXISTS", fx_key("c:k"));
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(commands_change_what_they_are_for_and_once, reset),
		cmocka_unit_test_setup(the_end_that_is_asked_for_comes_with_the_task, reset),
		cmocka_unit_test_setup(what_is_to_be_ended_is_told_among_others, reset),
		cmocka_unit_test_setup(a_marker_holds_the_first_claim_and_the_wait_becomes_the_first_attempt_of_its_epoch, reset),
		cmocka_unit_test_setup(what_has_changed_holds_the_claim_until_now, reset),
		cmocka_unit_test_setup(a_pause_that_ended_meanwhile_holds_nothing, reset),
		cmocka_unit_test_setup(a_backoff_after_a_reset_is_the_first_attempt_of_its_epoch, reset),
		cmocka_unit_test_setup(what_commands_said_of_a_run_is_forgotten_with_it, reset),
		cmocka_unit_test_setup(a_close_timer_goes_along_with_a_reset, reset),
		cmocka_unit_test_setup(a_checkpoint_moves_the_control_position_and_never_back, reset),
		cmocka_unit_test_setup(commands_survive_a_wipe_in_any_order_of_the_log, reset),
		cmocka_unit_test_setup(a_later_run_and_its_commands_survive_a_wipe, reset),
		cmocka_unit_test_setup(a_marker_that_no_task_follows_is_forgotten_in_time, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
