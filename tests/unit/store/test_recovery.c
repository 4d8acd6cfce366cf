/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "support/store_fixture.h"

/* Losses of Redis, and the steps of recovery (design.md 6). */

static const char *const with_aof[] = {"--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes", NULL};

static enum mr_status tip(struct fixture *fx, const char *nonce, int64_t results_tip)
{
	return fx_status(fx, store_tip(fx->store, FX_SHARD, bytes_of(nonce), results_tip, fx_on_done, fx));
}

static enum mr_status restore(struct fixture *fx, const char *nonce, const char *run, int64_t closed_at_ms, const char *value)
{
	struct restore_request request = {.key = BYTES_LIT("k"),
					  .run_id = bytes_of(run),
					  .attempt = 3,
					  .closed_at_ms = closed_at_ms,
					  .publication = {.value = bytes_of(value)}};

	return fx_status(fx, store_restore(fx->store, FX_SHARD, bytes_of(nonce), &request, 1, fx_on_done, fx));
}

static void a_shard_without_a_marker_is_unknown(void **state)
{
	struct fixture *fx = *state;
	struct shard_status status;

	free(REDIS(&fx->server, "FLUSHALL"));
	status = fx_look(fx, FX_SHARD);
	assert_int_equal(status.state, SHARD_UNKNOWN);
	assert_int_equal(status.journal_offset, -1);
	assert_int_equal(status.results_tip, -1);
	assert_int_equal(status.control_offset, -1);
	assert_int_equal(status.next_due_ms, -1);
	assert_int_equal(status.n_leases, 0);
}

static void recovery_goes_from_unknown_to_recovering_to_ready(void **state)
{
	struct fixture *fx = *state;
	struct shard_status status;

	free(REDIS(&fx->server, "FLUSHALL"));
	assert_int_equal(fx_vouch(fx, "a"), MR_ECONFLICT);
	assert_int_equal(fx_recover(fx, "a"), MR_OK);
	status = *(struct shard_status *)fx->answer;
	assert_int_equal(status.state, SHARD_RECOVERING);
	assert_true(bytes_is(status.nonce, "a"));
	assert_int_equal(fx_vouch(fx, "b"), MR_ECONFLICT);
	assert_int_equal(fx_vouch(fx, "a"), MR_OK);
	assert_int_equal(fx_vouch(fx, "a"), MR_OK); /* a repetition */
	status = fx_look(fx, FX_SHARD);
	assert_int_equal(status.state, SHARD_READY);
	assert_int_equal(status.journal_offset, 10);
	assert_int_equal(status.results_tip, 20);
	assert_int_equal(status.control_offset, 30);
}

static void a_repeated_vouching_leaves_the_positions(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(fx_apply(fx, "n1", false, 10, 15, NULL, 0, NULL), MR_OK);
	assert_int_equal(fx_vouch(fx, "n1"), MR_OK);
	assert_int_equal(fx_look(fx, FX_SHARD).journal_offset, 15);
}

static void a_ready_shard_is_not_recovered(void **state)
{
	struct fixture *fx = *state;
	struct shard_status *status;

	assert_int_equal(fx_recover(fx, "other"), MR_OK);
	status = fx->answer;
	assert_int_equal(status->state, SHARD_READY);
	assert_true(bytes_is(status->nonce, "n1"));
}

static void a_new_owner_takes_a_recovery_over(void **state)
{
	struct fixture *fx = *state;

	free(REDIS(&fx->server, "FLUSHALL"));
	fx_recover(fx, "a");
	fx_recover(fx, "b");
	assert_int_equal(fx_vouch(fx, "a"), MR_ECONFLICT);
	assert_int_equal(restore(fx, "a", "run", 9, "v"), MR_ECONFLICT);
	assert_int_equal(restore(fx, "b", "run", 9, "v"), MR_OK);
	assert_int_equal(fx_vouch(fx, "b"), MR_OK);
}

static void a_restart_with_its_data_needs_recovery_and_tells_the_positions(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = fx_request();
	struct shard_status status;

	assert_int_equal(fx_claim(fx, &request).verdict, CLAIM_RUN);
	redis_server_kill(&fx->server);
	redis_server_restart(&fx->server, with_aof);
	assert_int_equal(fx_claim(fx, &request).verdict, CLAIM_NOT_READY);
	fx_assert_state(fx, "k", "R|run|0|1|n|w1|rec|5|0|||");
	assert_int_equal(fx_look(fx, FX_SHARD).state, SHARD_UNKNOWN);
	assert_int_equal(fx_recover(fx, "n2"), MR_OK);
	status = *(struct shard_status *)fx->answer;
	assert_int_equal(status.state, SHARD_RECOVERING);
	assert_int_equal(status.journal_offset, 10);
	assert_int_equal(status.results_tip, 20);
}

/* The same process and run_id, another history: a failover that came back, or a replica that copied another master. */
static void another_history_in_the_same_process_needs_recovery(void **state)
{
	struct fixture *fx = *state;
	struct claim_request request = fx_request();

	free(REDIS(&fx->server, "DEBUG", "CHANGE-REPL-ID"));
	assert_int_equal(fx_claim(fx, &request).verdict, CLAIM_NOT_READY);
	assert_int_equal(fx_look(fx, FX_SHARD).state, SHARD_UNKNOWN);
	assert_int_equal(fx_apply(fx, "n1", false, 10, 11, NULL, 0, NULL), MR_ECONFLICT);
	assert_int_equal(tip(fx, "n1", 25), MR_ECONFLICT);
	assert_int_equal(fx_vouch(fx, "n1"), MR_ECONFLICT);
}

static void the_tip_of_results_moves_only_when_ready(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(tip(fx, "n1", 25), MR_OK);
	assert_int_equal(fx_look(fx, FX_SHARD).results_tip, 25);
	assert_int_equal(tip(fx, "other", 99), MR_ECONFLICT);
	assert_int_equal(fx_look(fx, FX_SHARD).results_tip, 25);
}

/* ---- restore ---- */

struct restore_row {
	const char *rule, *before, *after;
};

/* A result of run "run", attempt 3, closed at 1000. */
static const struct restore_row restore_rows[] = {
	{"without state", NULL, "F|run|0|3||0|1000|0|^0log"},
	{"of what runs", "R|run|0|4|n|w1|rec|5|0|||a=b", "F|run|0|3||0|1000|0|a=b^0log"},
	{"of what is scheduled", "S|run|0|4||7|0||", "F|run|0|3||0|1000|0|^0log"},
	{"of what backs off", "B|run|0|4|99|7|0||", "F|run|0|3||0|1000|0|^0log"},
	{"of what waits", "W|run|0|4|99|7|0||", "F|run|0|3||0|1000|0|^0log"},
	{"of another run than what runs", "R|other|0|1|n|w1|rec|5|0|||", "R|other|0|1|n|w1|rec|5|0|||"},
	{"of another run than what backs off", "B|other|0|1|99|7|0||", "B|other|0|1|99|7|0||"},
	{"the first of a run wins", "F|run|0|1||0|2000|0|^0first", "F|run|0|1||0|2000|0|^0first"},
	{"the same result stays as it is", "F|run|0|3|n|0|2000|1|^0log", "F|run|0|3|n|0|2000|1|^0log"},
	{"the log wins over another result", "F|run|0|1|n|0|2000|1|a=b^0other", "F|run|0|3||0|1000|0|a=b^0log"},
	{"of a run that closed before", "F|other|0|1|n|0|2000|0|^0other", "F|other|0|1|n|0|2000|0|^0other"},
	{"of a run that closed later", "F|other|0|1|n|0|500|0|^0other", "F|run|0|3||0|1000|0|^0log"},
	{"a result that is not published yet stays", "F|other|0|1|n|0|500|1|^0other", "F|other|0|1|n|0|500|1|^0other"},
};

static void results_from_the_log_end_their_own_runs(void **state)
{
	struct fixture *fx = *state;

	free(REDIS(&fx->server, "DEL", fx_key("m")));
	fx_recover(fx, "n1");
	for (size_t i = 0; i < sizeof(restore_rows) / sizeof(restore_rows[0]); i++) {
		const struct restore_row *row = &restore_rows[i];

		fx_put(fx, "k", row->before);
		free(REDIS(&fx->server, "ZADD", fx_key("b"), "99", "k"));
		for (int round = 0; round < 2; round++) {
			assert_int_equal(restore(fx, "n1", "run", 1000, "log"), MR_OK);
			CLEANUP_FREE char *text = fx_get(fx, "k");

			if (strcmp(text, row->after) != 0)
				fail_msg("%s: %s", row->rule, text);
		}
		if (row->before && row->after[0] == 'F' && row->before[0] != 'F')
			FX_ASSERT_REDIS(fx, "(nil)", "ZSCORE", fx_key("b"), "k");
	}
}

static void restore_needs_the_recovery_nonce(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(restore(fx, "n1", "run", 1000, "log"), MR_ECONFLICT); /* ready */
	fx_assert_state(fx, "k", NULL);
}

/* ---- leases ---- */

static void a_lease_is_a_counter_with_the_nonce_seen(void **state)
{
	struct fixture *fx = *state;
	struct shard_status status;

	free(REDIS(&fx->server, "FLUSHALL"));
	assert_false(fx_lease(fx, "w", "").ready);
	fx_recover(fx, "a");
	assert_true(bytes_is(fx_lease(fx, "w", "").recovery_nonce, "a"));
	status = fx_look(fx, FX_SHARD);
	assert_int_equal(status.n_leases, 1);
	assert_true(bytes_is(status.leases[0].worker, "w"));
	assert_int_equal(status.leases[0].counter, 2);
	assert_true(bytes_is(status.leases[0].seen, ""));
	fx_lease(fx, "w", "a");
	status = fx_look(fx, FX_SHARD);
	assert_int_equal(status.leases[0].counter, 3);
	assert_true(bytes_is(status.leases[0].seen, "a"));
	fx_vouch(fx, "a");
	assert_true(fx_lease(fx, "w", "a").ready);
}

static void the_dead_stay_dead(void **state)
{
	struct fixture *fx = *state;
	int shard = FX_SHARD;

	assert_int_equal(fx_status(fx, store_bury(fx->store, FX_WORKER, &shard, 1, fx_on_done, fx)), MR_OK);
	assert_int_equal(fx_look(fx, FX_SHARD).n_leases, 1);
	assert_true(fx_lease(fx, "w1", "").buried);
	assert_int_equal(fx_look(fx, FX_SHARD).n_leases, 1);
	free(REDIS(&fx->server, "HSET", fx_key("d"), "long ago", "1000"));
	assert_int_equal(fx_status(fx, store_bury(fx->store, FX_WORKER, &shard, 1, fx_on_done, fx)), MR_OK);
	FX_ASSERT_REDIS(fx, "w1\n", "HKEYS", fx_key("d"));
}

static void who_leaves_has_no_lease(void **state)
{
	struct fixture *fx = *state;
	int shard = FX_SHARD;

	assert_int_equal(fx_status(fx, store_lease_end(fx->store, FX_WORKER, &shard, 1, fx_on_done, fx)), MR_OK);
	assert_int_equal(fx_look(fx, FX_SHARD).n_leases, 1);
	assert_false(fx_lease(fx, "w1", "").buried);
}

/* ---- the whole way ---- */

static void what_ran_and_what_finished_survive_a_wipe(void **state)
{
	struct fixture *fx = *state;
	struct claim_request running = fx_request(), finished = fx_request(), parked = fx_request();
	struct claim_token token = fx_token();
	struct apply_record journal = {.kind = JOURNAL_STARTED,
				       .key = BYTES_LIT("parked"),
				       .run_id = BYTES_LIT("run"),
				       .attempt = 1,
				       .offset = 4,
				       .nonce = BYTES_LIT("p"),
				       .worker = BYTES_LIT("w2"),
				       .record_id = BYTES_LIT("prec"),
				       .started_at_ms = 5};
	struct restore_request result = {.key = BYTES_LIT("done"),
					 .run_id = BYTES_LIT("run"),
					 .attempt = 1,
					 .closed_at_ms = 9,
					 .publication = {.value = BYTES_LIT("v")}};
	struct apply_answer answer;

	finished.key = BYTES_LIT("done");
	parked.key = BYTES_LIT("parked");
	parked.record_id = BYTES_LIT("prec");
	assert_int_equal(fx_claim(fx, &running).verdict, CLAIM_RUN);
	free(REDIS(&fx->server, "FLUSHALL"));
	fx_recover(fx, "n2");
	fx_reassert(fx, &token);
	fx_lease(fx, "w1", "n2");
	fx_lease(fx, "w2", "n2");
	assert_int_equal(fx_claim(fx, &running).verdict, CLAIM_NOT_READY);
	assert_int_equal(fx_status(fx, store_restore(fx->store, FX_SHARD, BYTES_LIT("n2"), &result, 1, fx_on_done, fx)), MR_OK);
	assert_int_equal(fx_apply(fx, "n2", true, 0, 5, &journal, 1, &answer), MR_OK);
	fx_vouch(fx, "n2");

	running.nonce = finished.nonce = parked.nonce = BYTES_LIT("later");
	assert_int_equal(fx_claim(fx, &running).verdict, CLAIM_WAIT);
	assert_int_equal(fx_claim(fx, &finished).verdict, CLAIM_FINISHED);
	assert_int_equal(fx_claim(fx, &parked).verdict, CLAIM_BUSY); /* the journal has it */
	fx_assert_state(fx, "parked", "R|run|0|1|p|w2|prec|5|0|4|k|");
	FX_ASSERT_REDIS(fx, "1", "ZCARD", fx_key("k"));
}

static int setup(void **state)
{
	struct fixture *fx = mem_alloc(sizeof(*fx));

	fx_start(fx, with_aof, NULL);
	*state = fx;
	return 0;
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_shard_without_a_marker_is_unknown, reset),
		cmocka_unit_test_setup(recovery_goes_from_unknown_to_recovering_to_ready, reset),
		cmocka_unit_test_setup(a_repeated_vouching_leaves_the_positions, reset),
		cmocka_unit_test_setup(a_ready_shard_is_not_recovered, reset),
		cmocka_unit_test_setup(a_new_owner_takes_a_recovery_over, reset),
		cmocka_unit_test_setup(a_restart_with_its_data_needs_recovery_and_tells_the_positions, reset),
		cmocka_unit_test_setup(another_history_in_the_same_process_needs_recovery, reset),
		cmocka_unit_test_setup(the_tip_of_results_moves_only_when_ready, reset),
		cmocka_unit_test_setup(results_from_the_log_end_their_own_runs, reset),
		cmocka_unit_test_setup(restore_needs_the_recovery_nonce, reset),
		cmocka_unit_test_setup(a_lease_is_a_counter_with_the_nonce_seen, reset),
		cmocka_unit_test_setup(the_dead_stay_dead, reset),
		cmocka_unit_test_setup(who_leaves_has_no_lease, reset),
		cmocka_unit_test_setup(what_ran_and_what_finished_survive_a_wipe, reset),
	};

	return cmocka_run_group_tests(tests, setup, fx_teardown);
}
