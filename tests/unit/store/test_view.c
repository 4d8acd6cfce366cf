/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "support/store_fixture.h"

/* What people are shown of a task. */

struct seen {
	struct fixture *fx;
	struct task_view view;
	char worker[16], run[16], value[16];
};

static void note(char out[16], struct bytes text)
{
	snprintf(out, 16, "%.*s", BYTES_ARG(text));
}

static void on_view(void *ctx, enum mr_status status, const struct task_view *view)
{
	struct seen *seen = ctx;

	if (view) {
		seen->view = *view;
		note(seen->run, view->run_id);
		note(seen->worker, view->worker);
		note(seen->value, view->publication.value);
	}
	fx_on_done(seen->fx, status);
}

static enum mr_status look_at(struct seen *seen, const char *record)
{
	fx_put(seen->fx, "k", record);
	return fx_status(seen->fx, store_view(seen->fx->store, BYTES_LIT("k"), FX_SHARD, on_view, seen));
}

static void every_state_is_shown(void **state)
{
	struct seen seen = {.fx = *state};

	assert_int_equal(look_at(&seen, NULL), MR_OK);
	assert_int_equal(seen.view.state, VIEW_NONE);
	assert_true(seen.view.shard_ready);

	assert_int_equal(look_at(&seen, "R|run|1|2|n|w1|rec|5|0|7|c|"), MR_OK);
	assert_int_equal(seen.view.state, VIEW_STARTED);
	assert_string_equal(seen.run, "run");
	assert_string_equal(seen.worker, "w1");
	assert_int_equal(seen.view.epoch, 1);
	assert_int_equal(seen.view.attempt, 2);
	assert_int_equal(seen.view.started_at_ms, 5);
	assert_int_equal(seen.view.journal_offset, 7);
	assert_true(seen.view.cancel_requested && !seen.view.pause_requested);

	assert_int_equal(look_at(&seen, "S|run|0|2||7|0|p|"), MR_OK);
	assert_int_equal(seen.view.state, VIEW_SCHEDULED);
	assert_true(seen.view.pause_requested && !seen.view.cancel_requested);

	assert_int_equal(look_at(&seen, "B|run|0|2|99|7|0||"), MR_OK);
	assert_int_equal(seen.view.state, VIEW_BACKING_OFF);
	assert_int_equal(seen.view.due_ms, 99);

	assert_int_equal(look_at(&seen, "W|run|0|1|98|7|0||"), MR_OK);
	assert_int_equal(seen.view.state, VIEW_WAITING);
	assert_int_equal(seen.view.due_ms, 98);

	assert_int_equal(look_at(&seen, "F|run|0|3|n|2|1000|0|^0value"), MR_OK);
	assert_int_equal(seen.view.state, VIEW_FINISHED);
	assert_int_equal(seen.view.status, RESULT_TIMED_OUT);
	assert_int_equal(seen.view.closed_at_ms, 1000);
	assert_string_equal(seen.value, "value");

	assert_int_equal(look_at(&seen, "not a record"), MR_EREDIS);
}

static void a_shard_that_is_not_ready_is_told(void **state)
{
	struct seen seen = {.fx = *state};

	free(REDIS(&seen.fx->server, "DEL", fx_key("m")));
	assert_int_equal(look_at(&seen, NULL), MR_OK);
	assert_false(seen.view.shard_ready);
	fx_recover(seen.fx, "n2");
	assert_int_equal(look_at(&seen, NULL), MR_OK);
	assert_false(seen.view.shard_ready);
}

static int reset(void **state)
{
	fx_reset(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_state_is_shown, reset),
		cmocka_unit_test_setup(a_shard_that_is_not_ready_is_told, reset),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
