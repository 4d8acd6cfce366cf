/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "lib/effects.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct arena arena;

static int teardown(void **state)
{
	(void)state;
	arena_deinit(&arena);
	return 0;
}

static struct control some_control(enum control_command command)
{
	struct control control;

	control_init(&control);
	control.command = command;
	control.task_key = BYTES_LIT("k");
	if (command == CONTROL_UPDATE)
		control.options.data = BYTES_LIT("{\"priority\":1}");
	return control;
}

/* The effect as a line: what it is, and of a command the flags, the epoch and the options that are then in force. */
static const char *line_of(const struct effect *effect)
{
	switch (effect->kind) {
	case EFFECT_NONE:
		return "none";
	case EFFECT_COMMAND:
		return arena_printf(&arena, "command %s%s%s%lld%.*s", effect->cancel_requested ? "c" : "",
				    effect->terminate_requested ? "t" : "", effect->pause_requested ? "p" : "",
				    (long long)effect->epoch, BYTES_ARG(effect->options))
			.data;
	case EFFECT_HEARTBEAT:
		return "heartbeat";
	case EFFECT_END:
		break;
	}
	return effect->cause == ENDING_COMPLETE ? "complete" : effect->cause == ENDING_FAIL ? "fail" : "cancel";
}

static const char *effect_line(const struct task_view *view, const struct control *control)
{
	struct effect effect = effect_of(view, control, BYTES_LIT("new"), &arena);

	assert_true((effect.kind == EFFECT_NONE) == (effect.reason != NULL));
	return line_of(&effect);
}

/* How a task stands: state, attempt, and the flags c t p r; w: a worker has it. */
static struct task_view view_of(enum view_state state, int64_t attempt, const char *flags)
{
	return (struct task_view){.state = state,
				  .run_id = state == VIEW_NONE ? BYTES_NONE : BYTES_LIT("run"),
				  .epoch = 2,
				  .attempt = attempt,
				  .nonce = BYTES_LIT("nonce"),
				  .worker = bytes_of(strchr(flags, 'w') ? "worker" : ""),
				  .cancel_requested = strchr(flags, 'c'),
				  .terminate_requested = strchr(flags, 't'),
				  .pause_requested = strchr(flags, 'p'),
				  .reset_requested = strchr(flags, 'r'),
				  .shard_ready = true};
}

static const struct {
	enum view_state state;
	int64_t attempt;
	const char *flags;
	const char *expected[CONTROL_HEARTBEAT + 1]; /* CANCEL to HEARTBEAT, as control_command has them */
} table[] = {
/* clang-format off */
#define UPDATED(before) "command " before "{\"priority\":1}"
#define N "none"
	/*                        CANCEL       TERMINATE    PAUSE        UNPAUSE      RESET        UPDATE         COMPLETE    FAIL    HEARTBEAT */
	{VIEW_NONE, 0, "",        {"command c0", "command t0", "command p0", N,           N,           UPDATED("0"),  N,          N,      N}},
	{VIEW_MARKED, 0, "",      {"command c0", "command t0", "command p0", N,           N,           UPDATED("0"),  N,          N,      N}},
	{VIEW_MARKED, 0, "p",     {"command cp0", "command tp0", N,          "command 0", "command 0", UPDATED("p0"), N,          N,      N}},
	{VIEW_MARKED, 0, "c",     {N,            "command ct0", N,           N,           N,           N,             N,          N,      N}},
	{VIEW_SCHEDULED, 2, "",   {"command c0", "command t0", "command p0", N,           "command 3", UPDATED("0"),  N,          N,      N}},
	{VIEW_SCHEDULED, 2, "p",  {"command cp0", "command tp0", N,          "command 0", "command 3", UPDATED("p0"), N,          N,      N}},
	{VIEW_BACKING_OFF, 3, "", {"command c0", "command t0", "command p0", N,           "command 3", UPDATED("0"),  N,          N,      N}},
	{VIEW_BACKING_OFF, 3, "p", {"command cp0", "command tp0", N,         "command 0", "command 3", UPDATED("p0"), N,          N,      N}},
	{VIEW_BACKING_OFF, 3, "c", {N,           "command ct0", N,           N,           N,           N,             N,          N,      N}},
	{VIEW_WAITING, 1, "",     {"command c0", "command t0", "command p0", N,           N,           UPDATED("0"),  N,          N,      N}},
	{VIEW_WAITING, 1, "p",    {"command cp0", "command tp0", N,          "command 0", "command 0", UPDATED("p0"), N,          N,      N}},
	{VIEW_WAITING, 2, "p",    {"command cp0", "command tp0", N,          "command 0", "command 3", UPDATED("p0"), N,          N,      N}},
	{VIEW_STARTED, 1, "w",    {"command c0", "command t0", "command p0", N,           "command 3", UPDATED("0"),  "complete", "fail", "heartbeat"}},
	{VIEW_STARTED, 1, "wc",   {N,            "command ct0", N,           N,           N,           N,             "complete", "fail", "heartbeat"}},
	{VIEW_STARTED, 1, "wp",   {"command cp0", "command tp0", N,          "command 0", "command 3", UPDATED("p0"), "complete", "fail", "heartbeat"}},
	{VIEW_STARTED, 1, "wr",   {"command c0", "command t0", N,            N,           N,           UPDATED("0"),  "complete", "fail", "heartbeat"}},
	{VIEW_STARTED, 1, "wt",   {N,            N,            N,            N,           N,           N,             "complete", "fail", "heartbeat"}},
	{VIEW_STARTED, 4, "",     {"cancel",     "command t0", "command p0", N,           "command 3", UPDATED("0"),  "complete", "fail", "heartbeat"}},
	{VIEW_FINISHED, 1, "",    {N,            N,            N,            N,           N,           N,             N,          N,      N}},
#undef N
	/* clang-format on */
};

static void every_command_in_every_state_has_its_effect(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct task_view view = view_of(table[i].state, table[i].attempt, table[i].flags);

		for (int command = CONTROL_CANCEL; command <= CONTROL_HEARTBEAT; command++) {
			struct control control = some_control((enum control_command)command);
			const char *got = effect_line(&view, &control);

			if (strcmp(got, table[i].expected[command]) != 0)
				fail_msg("row %zu, %s: %s, expected %s", i, control_command_name(control.command), got,
					 table[i].expected[command]);
		}
	}
}

static void a_command_to_another_run_does_nothing(void **state)
{
	static const enum view_state states[] = {VIEW_STARTED, VIEW_SCHEDULED, VIEW_BACKING_OFF,
						 VIEW_WAITING, VIEW_MARKED,    VIEW_FINISHED};

	(void)state;
	for (size_t i = 0; i < COUNT(states); i++) {
		for (int command = CONTROL_CANCEL; command <= CONTROL_HEARTBEAT; command++) {
			struct task_view view = view_of(states[i], 2, "w");
			struct control control = some_control((enum control_command)command);

			control.run_id = BYTES_LIT("former");
			assert_string_equal(effect_line(&view, &control), "none");
		}
	}
}

static void a_command_to_a_run_that_nobody_knows_yet_names_that_run(void **state)
{
	struct task_view view = view_of(VIEW_NONE, 0, "");
	struct control control = some_control(CONTROL_CANCEL);
	struct effect effect;

	(void)state;
	control.run_id = BYTES_LIT("r1");
	effect = effect_of(&view, &control, BYTES_LIT("new"), &arena);
	assert_true(bytes_is(effect.run_id, "r1"));
	view = view_of(VIEW_STARTED, 1, "w");
	control.run_id = BYTES_NONE;
	effect = effect_of(&view, &control, BYTES_LIT("new"), &arena);
	assert_true(bytes_is(effect.run_id, "run"));
}

static void a_request_id_that_was_carried_out_does_nothing(void **state)
{
	struct task_view view = view_of(VIEW_SCHEDULED, 2, "");
	struct control control = some_control(CONTROL_PAUSE);

	(void)state;
	view.request_ids = BYTES_LIT("a\x1enew\x1e"
				     "b");
	assert_string_equal(effect_line(&view, &control), "none");
	view.request_ids = BYTES_LIT("newer\x1ene\x1e"
				     "b");
	assert_string_equal(effect_line(&view, &control), "command p0");
}

static void the_last_16_request_ids_are_kept(void **state)
{
	struct task_view view = view_of(VIEW_SCHEDULED, 2, "");
	struct control control = some_control(CONTROL_PAUSE);
	struct buf ids = {0};
	struct effect effect;

	(void)state;
	for (int i = 0; i < 20; i++) {
		buf_printf(&ids, "%sid%d", i ? "\x1e" : "", i);
		view.request_ids = buf_bytes(&ids);
		effect = effect_of(&view, &control, BYTES_LIT("new"), &arena);
		assert_int_equal(effect.n_request_ids, i + 2 < EFFECT_REQUEST_IDS ? i + 2 : EFFECT_REQUEST_IDS);
		assert_true(bytes_is(effect.request_ids[effect.n_request_ids - 1], "new"));
	}
	assert_true(bytes_is(effect.request_ids[0], "id5"));
	assert_true(bytes_is(effect.request_ids[14], "id19"));
	buf_deinit(&ids);
}

static void a_token_is_that_of_the_attempt_or_nothing_happens(void **state)
{
	static const enum control_command commands[] = {CONTROL_COMPLETE, CONTROL_FAIL, CONTROL_HEARTBEAT, CONTROL_CANCEL};

	(void)state;
	for (size_t i = 0; i < COUNT(commands); i++) {
		struct control control = some_control(commands[i]);
		struct task_view view = view_of(VIEW_STARTED, 2, "");

		control.token = BYTES_LIT("nonce");
		assert_string_not_equal(effect_line(&view, &control), "none");
		control.token = BYTES_LIT("nonce of attempt 1");
		assert_string_equal(effect_line(&view, &control), "none");
		view.state = VIEW_BACKING_OFF;
		control.token = BYTES_LIT("nonce");
		assert_string_equal(effect_line(&view, &control), "none");
	}
}

static void an_update_comes_over_what_was_updated_before(void **state)
{
	struct task_view view = view_of(VIEW_BACKING_OFF, 2, "p");
	struct control control = some_control(CONTROL_UPDATE);

	(void)state;
	view.options = BYTES_LIT("{\"heartbeat_timeout_ms\":5,\"priority\":2}");
	assert_string_equal(effect_line(&view, &control), "command p0{\"heartbeat_timeout_ms\":5,\"priority\":1}");
	control.options.data = BYTES_LIT("{\"heartbeat_timeout_ms\":null,\"priority\":null}");
	assert_string_equal(effect_line(&view, &control), "command p0");
	control.options.data = BYTES_LIT("{\"priority\": 2}");
	assert_string_equal(effect_line(&view, &control), "none");
}

static void a_reset_goes_beyond_every_epoch_that_was_asked_for(void **state)
{
	struct task_view view = view_of(VIEW_BACKING_OFF, 2, "");
	struct control control = some_control(CONTROL_RESET);

	(void)state;
	view.reset_epoch = 7;
	assert_string_equal(effect_line(&view, &control), "command 8");
	control = some_control(CONTROL_PAUSE);
	assert_string_equal(effect_line(&view, &control), "command p7");
}

static void an_ending_is_remembered_as_long_as_the_task_goes_on(void **state)
{
	static const enum view_state open[] = {VIEW_STARTED, VIEW_SCHEDULED, VIEW_BACKING_OFF, VIEW_WAITING};
	struct task_view view = view_of(VIEW_FINISHED, 1, "");

	(void)state;
	assert_int_equal(effect_remembered(&view, BYTES_LIT("new"), &arena).kind, EFFECT_NONE);
	for (size_t i = 0; i < COUNT(open); i++) {
		struct effect effect;

		view = view_of(open[i], 2, "p");
		view.reset_epoch = 1;
		view.options = BYTES_LIT("{}");
		view.request_ids = BYTES_LIT("old");
		effect = effect_remembered(&view, BYTES_LIT("new"), &arena);
		assert_string_equal(line_of(&effect), "command p1{}");
		assert_true(bytes_is(effect.run_id, "run"));
		assert_int_equal(effect.n_request_ids, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_command_in_every_state_has_its_effect, teardown),
		cmocka_unit_test_teardown(a_command_to_another_run_does_nothing, teardown),
		cmocka_unit_test_teardown(a_command_to_a_run_that_nobody_knows_yet_names_that_run, teardown),
		cmocka_unit_test_teardown(a_request_id_that_was_carried_out_does_nothing, teardown),
		cmocka_unit_test_teardown(the_last_16_request_ids_are_kept, teardown),
		cmocka_unit_test_teardown(a_token_is_that_of_the_attempt_or_nothing_happens, teardown),
		cmocka_unit_test_teardown(an_update_comes_over_what_was_updated_before, teardown),
		cmocka_unit_test_teardown(an_ending_is_remembered_as_long_as_the_task_goes_on, teardown),
		cmocka_unit_test_teardown(a_reset_goes_beyond_every_epoch_that_was_asked_for, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
