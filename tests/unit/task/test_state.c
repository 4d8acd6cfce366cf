/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "task/state.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void every_event_has_an_answer_in_every_state(void **state)
{
	(void)state;
	for (int s = 0; s < STATES; s++) {
		assert_non_null(task_state_name((enum task_state)s));
		for (int e = 0; e < EVENTS; e++) {
			struct transition step = state_step((enum task_state)s, (enum task_event)e);

			assert_non_null(task_event_name((enum task_event)e));
			if (step.kind != TRANSITION_MOVE)
				assert_int_equal(step.next, s);
		}
	}
}

static void a_terminal_state_is_left_by_expiry_only(void **state)
{
	(void)state;
	for (int e = 0; e < EVENTS; e++) {
		struct transition step = state_step(STATE_FINISHED, (enum task_event)e);

		assert_int_equal(step.next, e == EVENT_EXPIRE ? STATE_NONE : STATE_FINISHED);
	}
}

/* Every script may be sent twice: what it did the first time, it must not do again as something else. A claim is repeated with its
 * nonce. */
static void an_event_that_is_repeated_changes_nothing(void **state)
{
	(void)state;
	for (int s = 0; s < STATES; s++) {
		for (int e = 0; e < EVENTS; e++) {
			struct transition first = state_step((enum task_state)s, (enum task_event)e);
			struct transition second = state_step(first.next, (enum task_event)e);

			if (second.next != first.next)
				fail_msg("%s twice in %s", task_event_name((enum task_event)e),
					 task_state_name((enum task_state)s));
		}
	}
}

static void every_state_can_end_and_commands_can_tell_of_it(void **state)
{
	(void)state;
	for (int s = STATE_NONE + 1; s < STATE_FINISHED; s++) {
		enum transition_kind kind = state_step((enum task_state)s, EVENT_TERMINATE).kind;

		assert_int_equal(state_step((enum task_state)s, EVENT_END).next, STATE_FINISHED);
		assert_int_equal(state_step((enum task_state)s, EVENT_RESTORE).next, STATE_FINISHED);
		assert_int_equal(kind, s == STATE_MARKED ? TRANSITION_FLAG : TRANSITION_TELL);
	}
}

struct story {
	enum task_event events[8];
	enum task_state states[8];
	size_t n;
};

static void stories_of_a_task(void **state)
{
	static const struct story stories[] = {
		{{EVENT_CLAIM, EVENT_FINISH, EVENT_CLAIM_COPY, EVENT_EXPIRE},
		 {STATE_STARTED, STATE_FINISHED, STATE_FINISHED, STATE_NONE},
		 4},
		{{EVENT_CLAIM, EVENT_APPLY_BACKOFF, EVENT_FIRE, EVENT_PUBLISHED, EVENT_CLAIM, EVENT_FINISH},
		 {STATE_STARTED, STATE_BACKING_OFF, STATE_SCHEDULED, STATE_SCHEDULED, STATE_STARTED, STATE_FINISHED},
		 6},
		{{EVENT_CLAIM, EVENT_RELEASE, EVENT_CLAIM}, {STATE_STARTED, STATE_SCHEDULED, STATE_STARTED}, 3},
		{{EVENT_CLAIM, EVENT_CLAIM_LOST, EVENT_APPLY_BACKOFF}, {STATE_STARTED, STATE_STARTED, STATE_BACKING_OFF}, 3},
		{{EVENT_CLAIM, EVENT_APPLY_STARTED, EVENT_APPLY_HEARTBEAT, EVENT_ORPHAN, EVENT_APPLY_BACKOFF, EVENT_FIRE},
		 {STATE_STARTED, STATE_PARKED, STATE_PARKED, STATE_PARKED, STATE_BACKING_OFF, STATE_SCHEDULED},
		 6},
		{{EVENT_CLAIM, EVENT_APPLY_PENDING, EVENT_DUE_HEARTBEAT, EVENT_END},
		 {STATE_STARTED, STATE_PENDING, STATE_PENDING, STATE_FINISHED},
		 4},
		{{EVENT_PAUSE, EVENT_APPLY_WAITING, EVENT_UNPAUSE, EVENT_FIRE, EVENT_CLAIM},
		 {STATE_MARKED, STATE_WAITING, STATE_WAITING, STATE_SCHEDULED, STATE_STARTED},
		 5},
		{{EVENT_DUE_START, EVENT_END, EVENT_CLAIM}, {STATE_NONE, STATE_FINISHED, STATE_FINISHED}, 3},
		{{EVENT_CLAIM, EVENT_CANCEL, EVENT_FINISH, EVENT_APPLY_BACKOFF},
		 {STATE_STARTED, STATE_STARTED, STATE_FINISHED, STATE_FINISHED},
		 4},
		{{EVENT_RESTORE, EVENT_APPLY_BACKOFF, EVENT_CLAIM}, {STATE_FINISHED, STATE_FINISHED, STATE_FINISHED}, 3},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(stories); i++) {
		enum task_state now = STATE_NONE;

		for (size_t e = 0; e < stories[i].n; e++) {
			now = state_step(now, stories[i].events[e]).next;
			assert_int_equal(now, stories[i].states[e]);
		}
	}
}

static void a_task_that_backs_off_cannot_be_claimed(void **state)
{
	(void)state;
	assert_int_equal(state_step(STATE_BACKING_OFF, EVENT_CLAIM).kind, TRANSITION_STALE);
	assert_int_equal(state_step(STATE_BACKING_OFF, EVENT_CLAIM_COPY).kind, TRANSITION_BUSY);
	assert_int_equal(state_step(STATE_BACKING_OFF, EVENT_FINISH).kind, TRANSITION_STALE);
	assert_int_equal(state_step(STATE_STARTED, EVENT_CLAIM_SAME).kind, TRANSITION_WAIT);
}

static void letters_are_those_of_the_records(void **state)
{
	enum task_state parsed;

	(void)state;
	assert_int_equal(task_state_letter(STATE_NONE), 0);
	for (int s = STATE_NONE + 1; s < STATES; s++) {
		assert_true(task_state_parse(task_state_letter((enum task_state)s), &parsed));
		assert_int_equal(parsed, s == STATE_PARKED || s == STATE_PENDING ? STATE_STARTED : s);
	}
	assert_false(task_state_parse('x', &parsed));
	assert_false(task_state_parse(0, &parsed));
}

static void facts_are_ordered_by_epoch_attempt_and_phase(void **state)
{
	/* Rising. */
	static const struct fence facts[] = {
		{0, 1, STATE_WAITING},   {0, 1, STATE_SCHEDULED}, {0, 1, STATE_STARTED}, {0, 2, STATE_BACKING_OFF},
		{0, 2, STATE_WAITING},   {0, 2, STATE_SCHEDULED}, {0, 2, STATE_STARTED}, {0, 2, STATE_FINISHED},
		{1, 1, STATE_SCHEDULED}, {1, 1, STATE_STARTED},
	};

	(void)state;
	for (size_t a = 0; a < COUNT(facts); a++) {
		for (size_t b = 0; b < COUNT(facts); b++) {
			int order = state_fence(&facts[a], &facts[b]);

			assert_int_equal(order, a < b ? -1 : a > b);
		}
	}
}

static void terminal_wins_within_its_epoch(void **state)
{
	const struct fence finished = {0, 1, STATE_FINISHED}, later = {0, 2, STATE_STARTED}, reset = {1, 1, STATE_SCHEDULED};

	(void)state;
	assert_true(state_fence(&finished, &later) > 0);
	assert_true(state_fence(&later, &finished) < 0);
	assert_true(state_fence(&finished, &reset) < 0);
}

static void journal_kinds_speak_of_states(void **state)
{
	enum task_state of;

	(void)state;
	assert_true(state_of_journal(JOURNAL_WAITING, &of) && of == STATE_WAITING);
	assert_true(state_of_journal(JOURNAL_STARTED, &of) && of == STATE_PARKED);
	assert_true(state_of_journal(JOURNAL_BACKOFF, &of) && of == STATE_BACKING_OFF);
	assert_false(state_of_journal(JOURNAL_HEARTBEAT, &of));
	assert_false(state_of_journal(JOURNAL_CHECKPOINT, &of));
	assert_false(state_of_journal(JOURNAL_COMMAND, &of));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_has_an_answer_in_every_state),
		cmocka_unit_test(a_terminal_state_is_left_by_expiry_only),
		cmocka_unit_test(an_event_that_is_repeated_changes_nothing),
		cmocka_unit_test(every_state_can_end_and_commands_can_tell_of_it),
		cmocka_unit_test(stories_of_a_task),
		cmocka_unit_test(a_task_that_backs_off_cannot_be_claimed),
		cmocka_unit_test(letters_are_those_of_the_records),
		cmocka_unit_test(facts_are_ordered_by_epoch_attempt_and_phase),
		cmocka_unit_test(terminal_wins_within_its_epoch),
		cmocka_unit_test(journal_kinds_speak_of_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
