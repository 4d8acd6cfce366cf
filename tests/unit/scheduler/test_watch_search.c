/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/watch_bed.h"

/* Tasks that a command ends before any worker has taken them. */

static void look_for(const char *key)
{
	struct scheduler *s = world_scheduler(kafka.world);

	watch_look_for(s, &s->shards[0], bytes_of(key));
}

static void marked(const char *run, bool terminate)
{
	kafka.view = (struct task_view){.state = VIEW_MARKED,
					.run_id = bytes_of(run),
					.cancel_requested = true,
					.terminate_requested = terminate,
					.shard_ready = true};
}

static void a_canceled_task_is_found_among_those_that_wait(void **state)
{
	bed_publish(0, TASK("a", ""));
	bed_publish(1, TASK("b", ""));
	bed_publish(1, TASK("c", ""));
	bed_pass(2000);
	world_forget(*state);
	marked("", false);
	look_for("c");
	look_for("c");
	bed_pass(100);
	world_expect(*state, "tasks 0@0 1@0", "tasks", "view c", "end c cancel " TOPIC ":1:1", NULL);
	bed_end(ENDING_DONE);
	bed_pass(5000);
	world_expect(*state, NULL);
}

static void a_terminated_task_is_ended_as_such_and_tried_again_where_that_fails(void **state)
{
	bed_publish(0, TASK("a", ""));
	marked("", true);
	look_for("a");
	bed_pass(100);
	bed_end(ENDING_AGAIN);
	world_forget(*state);
	bed_pass(200);
	world_expect(*state, "view a", "end a terminate " TOPIC ":0:0", NULL);
	bed_end(ENDING_STALE);
}

static void a_task_that_comes_later_is_found_for_a_minute(void **state)
{
	marked("", false);
	look_for("a");
	bed_pass(30000);
	bed_publish(1, TASK("a", ""));
	bed_pass(2000);
	assert_true(world_did(*state, "end a cancel " TOPIC ":1:0"));
	bed_end(ENDING_DONE);
	look_for("b");
	bed_pass(61000);
	world_forget(*state);
	bed_publish(1, TASK("b", ""));
	bed_pass(2000);
	world_expect(*state, "tasks 1@1", "tasks", NULL);
}

static void a_command_that_is_not_applied_yet_is_waited_for(void **state)
{
	bed_publish(0, TASK("a", ""));
	kafka.view = (struct task_view){.state = VIEW_NONE};
	look_for("a");
	bed_pass(250);
	assert_true(world_did(*state, "view a"));
	marked("", false);
	bed_pass(150);
	assert_true(world_did(*state, "end a cancel " TOPIC ":0:0"));
	bed_end(ENDING_DONE);
}

static void a_command_for_another_run_does_not_end_this_one(void **state)
{
	bed_publish(0, TASK("a", ",\"run_id\":\"one\""));
	bed_publish(0, TASK("a", ",\"run_id\":\"two\""));
	marked("two", false);
	look_for("a");
	bed_pass(1000);
	world_expect(*state, "tasks 0@0", "tasks", "view a", "tasks 0@0", "tasks", "view a", "end a cancel " TOPIC ":0:1", NULL);
	bed_end(ENDING_DONE);
}

static void a_task_that_a_worker_has_taken_meanwhile_is_left_to_it(void **state)
{
	bed_publish(0, TASK("a", ""));
	kafka.view = (struct task_view){.state = VIEW_STARTED};
	look_for("a");
	bed_pass(1000);
	world_expect(*state, "tasks 0@0", "tasks", "view a", NULL);
}

int main(void)
{
#define t(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
	const struct CMUnitTest tests[] = {
		t(a_canceled_task_is_found_among_those_that_wait),
		t(a_terminated_task_is_ended_as_such_and_tried_again_where_that_fails),
		t(a_task_that_comes_later_is_found_for_a_minute),
		t(a_command_that_is_not_applied_yet_is_waited_for),
		t(a_command_for_another_run_does_not_end_this_one),
		t(a_task_that_a_worker_has_taken_meanwhile_is_left_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
