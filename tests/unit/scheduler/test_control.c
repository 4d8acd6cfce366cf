/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/control.h"
#include "lib/ending.h"
#include "scheduler/world.h"

#define CANCEL(key) "{\"command\":\"CANCEL\",\"task_key\":\"" key "\"}"
#define PAUSE(key) "{\"command\":\"PAUSE\",\"task_key\":\"" key "\"}"
#define COMPLETE(key) "{\"command\":\"COMPLETE\",\"task_key\":\"" key "\",\"result\":7}"

/* Endings are another file's: here they wait until the test ends them. */
static struct {
	struct shard *shard;
	struct ending_request request, former;
	size_t n;
} ending;

void __wrap_ending_begin(struct shard *shard, const struct ending_request *request);
void __wrap_ending_begin(struct shard *shard, const struct ending_request *request)
{
	ending.shard = shard;
	ending.former = ending.request;
	ending.request = *request;
	ending.n++;
}

static void end(enum ending_end how)
{
	assert_true(ending.n > 0);
	ending.request.done(ending.request.ctx, ending.shard, how);
}

/* So is the search for a task that nobody has taken. */
static size_t searched;

void __wrap_watch_look_for(struct scheduler *s, struct shard *shard, struct bytes key);
void __wrap_watch_look_for(struct scheduler *s, struct shard *shard, struct bytes key)
{
	(void)s;
	(void)shard;
	(void)key;
	searched++;
}

static int setup_of(void **state, int shards)
{
	struct world *world = world_new_of(shards);

	ending.n = searched = 0;
	world_silence(world, "look tip tips expire commit ends seek orphans due watch unwatch");
	world_echo_journal(world);
	*state = world;
	return 0;
}

static int setup(void **state)
{
	return setup_of(state, 1);
}

static int setup_two_shards(void **state)
{
	return setup_of(state, 2);
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void live(struct world *world)
{
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 0, 0);
	world_assign(world);
	world_settle(world);
	world_forget(world);
}

static struct task_view running(void)
{
	return (struct task_view){.state = VIEW_STARTED,
				  .run_id = BYTES_LIT("run"),
				  .attempt = 1,
				  .nonce = BYTES_LIT("nonce"),
				  .worker = BYTES_LIT("w"),
				  .journal_offset = -1,
				  .shard_ready = true};
}

static void a_command_is_looked_at_journalled_and_read_back(void **state)
{
	struct world *world = *state;

	live(world);
	world_control(world, CANCEL("a"));
	world_settle(world);
	world_expect(world, "view a", "produce journal a\nc", NULL);
	world_ack(world, MR_OK);
	world_settle(world);
	world_expect(world, "apply 0>1 a", "produce journal \ncheckpoint", NULL);
}

static void commands_of_one_task_follow_one_another(void **state)
{
	struct world *world = *state;

	live(world);
	world_control(world, PAUSE("a"));
	world_control(world, CANCEL("a"));
	world_control(world, CANCEL("b"));
	world_settle(world);
	world_expect(world, "view a", "view b", "produce journal a\nc", "produce journal b\nc", NULL);
	world_hold_answers(world, true);
	world_ack(world, MR_OK);
	world_turn(world, 0);
	world_turn(world, 0);
	assert_false(world_did(world, "view a"));
	world_hold_answers(world, false);
	world_settle(world);
	assert_true(world_did(world, "view a"));
}

static void the_checkpoint_stays_before_what_is_not_durable(void **state)
{
	struct world *world = *state;
	struct task_view view = running();

	live(world);
	world_view(world, &view);
	world_control(world, COMPLETE("slow"));
	world_settle(world);
	world_control(world, CANCEL("b"));
	world_pass(world, 100);
	world_ack(world, MR_OK);
	world_pass(world, 3000);
	assert_false(world_did(world, "produce journal \ncheckpoint"));
	end(ENDING_DONE);
	world_pass(world, 100);
	assert_true(world_did(world, "produce journal \ncheckpoint"));
}

static void checkpoints_are_at_most_one_a_second(void **state)
{
	struct world *world = *state;

	live(world);
	for (int i = 0; i < 20; i++) {
		world_control(world, CANCEL("a"));
		world_pass(world, 100);
		world_ack(world, MR_OK);
	}
	world_silence(world, "look tip tips expire commit ends seek orphans due watch unwatch view apply");
	world_forget(world);
	for (int i = 0; i < 19; i++) {
		world_pass(world, 100);
		world_ack(world, MR_OK);
	}
	world_forget(world);
	world_pass(world, 5000);
	world_expect(world, NULL);
}

static void commands_go_on_behind_the_stored_checkpoint(void **state)
{
	struct world *world = *state;

	world_control(world, CANCEL("a"));
	world_control(world, CANCEL("b"));
	world_stored_control(world, 1);
	live(world);
	assert_int_equal(world_control_sought(world), 1);
	world_ack(world, MR_OK);
	world_forget(world);
	world_settle(world);
	assert_false(world_did(world, "view a"));
}

static void without_a_checkpoint_commands_are_read_from_the_beginning(void **state)
{
	struct world *world = *state;

	world_control(world, CANCEL("a"));
	world_marker(world, SHARD_READY, "nonce");
	world_stored(world, 0, 0);
	world_assign(world);
	world_settle(world);
	assert_int_equal(world_control_sought(world), BUS_OFFSET_BEGINNING);
	assert_true(world_did(world, "view a"));
}

static void a_checkpoint_of_the_journal_outlives_redis(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 3; i++)
		world_control(world, CANCEL("a"));
	world_checkpoint(world, 2);
	world_assign(world);
	world_pass(world, 2 * LEASE_MS);
	assert_int_equal(world_vouched_control(world), 2);
	assert_int_equal(world_control_sought(world), 2);
}

static void what_is_under_way_when_the_shard_goes_is_read_again(void **state)
{
	struct world *world = *state;
	struct task_view view = running();

	live(world);
	world_view(world, &view);
	world_control(world, COMPLETE("a"));
	world_control(world, CANCEL("b"));
	world_control(world, CANCEL("b"));
	world_settle(world);
	assert_int_equal(ending.n, 1);
	world_revoke(world);
	world_ack(world, MR_OK);
	world_stored(world, 1, 0);
	world_assign(world);
	world_forget(world);
	world_settle(world);
	assert_int_equal(ending.n, 2);
	assert_true(world_did(world, "view b"));
	ending.former.done(ending.former.ctx, ending.shard, ENDING_AGAIN);
	world_pass(world, 200);
	assert_int_equal(ending.n, 2);
	end(ENDING_DONE);
}

static void a_command_that_kafka_does_not_take_is_decided_anew(void **state)
{
	struct world *world = *state;

	live(world);
	world_control(world, CANCEL("a"));
	world_settle(world);
	world_forget(world);
	world_ack(world, MR_EKAFKA);
	world_settle(world);
	world_expect(world, NULL);
	world_pass(world, 200);
	world_expect(world, "view a", "produce journal a\nc", NULL);
	world_ack(world, MR_OK);
	world_control(world, CANCEL("b"));
	world_kafka_full(world, true);
	world_settle(world);
	world_kafka_full(world, false);
	world_forget(world);
	world_pass(world, 200);
	assert_true(world_did(world, "produce journal b\nc"));
}

static void a_command_does_not_grow_with_each_try(void **state)
{
	struct world *world = *state;
	struct arena_block *kept, *of_try = NULL;
	struct command *command;

	live(world);
	world_kafka_full(world, true);
	world_control(world, CANCEL("a"));
	world_settle(world);
	command = world_scheduler(world)->shards[0].commands->oldest;
	kept = command->arena.head;
	for (int i = 0; i < 1000; i++) {
		world_pass(world, 200);
		world_forget(world);
		of_try = i == 0 ? command->turn.head : of_try;
	}
	assert_ptr_equal(command->arena.head, kept);
	assert_ptr_equal(command->turn.head, of_try);
	world_kafka_full(world, false);
	world_forget(world);
	world_pass(world, 200);
	assert_true(world_did(world, "produce journal a\nc"));
}

static void a_completion_ends_the_attempt_that_was_found(void **state)
{
	struct world *world = *state;
	struct task_view view = running();

	live(world);
	world_view(world, &view);
	world_control(world, COMPLETE("a"));
	world_settle(world);
	assert_int_equal(ending.request.cause, ENDING_COMPLETE);
	assert_true(bytes_is(ending.request.found.key, "a"));
	assert_true(bytes_is(ending.request.result.data, "7"));
	end(ENDING_AGAIN);
	world_pass(world, 200);
	assert_int_equal(ending.n, 2);
	/* It has moved on: looked at again, and decided by what it is then. */
	view.state = VIEW_BACKING_OFF;
	world_view(world, &view);
	end(ENDING_STALE);
	world_pass(world, 200);
	assert_int_equal(ending.n, 2);
}

static void a_failure_without_details_has_some(void **state)
{
	struct world *world = *state;
	struct task_view view = running();

	live(world);
	world_view(world, &view);
	world_control(world, "{\"command\":\"FAIL\",\"task_key\":\"a\"}");
	world_settle(world);
	assert_int_equal(ending.request.cause, ENDING_FAIL);
	assert_true(bytes_is(ending.request.failure->type, "Failed"));
	end(ENDING_DONE);
}

static void a_failure_is_remembered_so_that_its_repetition_fails_no_later_attempt(void **state)
{
	struct world *world = *state;
	struct task_view view = running();

	live(world);
	world_view(world, &view);
	world_control(world, "{\"command\":\"FAIL\",\"task_key\":\"a\"}");
	world_settle(world);
	view.state = VIEW_BACKING_OFF;
	world_view(world, &view);
	world_forget(world);
	end(ENDING_DONE);
	world_pass(world, 2000);
	world_expect(world, "view a", "produce journal a\nc", NULL);
	world_ack(world, MR_OK);
	world_settle(world);
	world_expect(world, "apply 0>1 a", "produce journal \ncheckpoint", NULL);
	assert_int_equal(ending.n, 1);
}

static void a_heartbeat_from_outside_is_journalled_beside_the_task(void **state)
{
	struct world *world = *state;
	struct task_view view = running();

	live(world);
	world_view(world, &view);
	world_control(world, "{\"command\":\"HEARTBEAT\",\"task_key\":\"a\",\"token\":\"nonce\",\"details\":[1]}");
	world_control(world, "{\"command\":\"HEARTBEAT\",\"task_key\":\"b\",\"token\":\"another\",\"details\":[1]}");
	world_settle(world);
	world_expect(world, "view a", "view b", "produce journal a\nh", NULL);
	world_ack(world, MR_OK);
	world_settle(world);
	world_expect(world, "apply 0>1 a", "produce journal \ncheckpoint", NULL);
}

static void a_canceled_task_that_nobody_has_taken_is_looked_for(void **state)
{
	struct world *world = *state;
	struct task_view view = running();

	live(world);
	world_control(world, PAUSE("unseen"));
	world_settle(world);
	assert_int_equal(searched, 0);
	world_control(world, CANCEL("unseen"));
	world_ack(world, MR_OK);
	world_settle(world);
	assert_int_equal(searched, 1);
	world_view(world, &view);
	world_control(world, CANCEL("seen"));
	world_settle(world);
	assert_int_equal(searched, 1);
}

static void commands_to_a_task_that_never_came_go_from_the_journal(void **state)
{
	struct world *world = *state;

	live(world);
	world_unseen_expires(world, "never");
	world_pass(world, 2000);
	world_expect(world, "tombstone never\nc", NULL);
}

static void a_stray_command_is_counted_and_done(void **state)
{
	struct world *world = *state;
	struct scheduler_stats stats;

	live(world);
	world_control(world, COMPLETE("a"));
	world_control(world, "{\"command\":\"EXPLODE\"}");
	world_settle(world);
	world_expect(world, "view a", "produce dead k", "produce journal \ncheckpoint", NULL);
	scheduler_get_stats(world_scheduler(world), &stats);
	assert_int_equal(stats.commands, 1);
	assert_int_equal(stats.commands_stray, 1);
}

static void what_cannot_be_understood_is_done_when_its_dead_letter_is_in_kafka(void **state)
{
	struct world *world = *state;

	live(world);
	world_control(world, "{\"command\":\"CANCLE\",\"task_key\":\"a\"}");
	world_settle(world);
	world_expect(world, "produce dead k", NULL);
	assert_string_equal(world_header(world, "dead", HEADER_TOPIC), "t.control");
	assert_non_null(strstr(world_header(world, "dead", HEADER_REASON), "CANCLE"));
	world_ack(world, MR_EKAFKA);
	world_pass(world, 2000);
	world_expect(world, "produce dead k", NULL);
	world_ack(world, MR_OK);
	world_pass(world, 1000);
	world_expect(world, "produce journal \ncheckpoint", NULL);
}

static void a_command_of_another_shard_is_passed_on_as_it_is(void **state)
{
	struct world *world = *state;
	const char *command = CANCEL("d");

	assert_int_equal(task_shard(BYTES_LIT("d"), 2), 1);
	live(world);
	world_control(world, command);
	world_settle(world);
	world_expect(world, "produce control k", NULL);
	assert_int_equal(world_partition(world, "control"), 1);
	assert_string_equal(world_value(world, "control"), command);
	assert_string_equal(world_header(world, "control", HEADER_REQUEST_ID), "t.control:0:0");
	assert_string_equal(world_header(world, "control", HEADER_COMMANDED_AT), "1");
	world_ack(world, MR_OK);
	world_settle(world);
	world_expect(world, "produce journal \ncheckpoint", NULL);
}

static void commands_wait_until_the_journal_was_read(void **state)
{
	struct world *world = *state;

	world_control(world, CANCEL("a"));
	world_backoff(world, "a", 2, 60000);
	world_hold_ends(world, true);
	live(world);
	world_control(world, CANCEL("b"));
	world_settle(world);
	world_expect(world, NULL);
	world_hold_ends(world, false);
	world_settle(world);
	assert_true(world_did(world, "view a"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_command_is_looked_at_journalled_and_read_back),
		TEST(commands_of_one_task_follow_one_another),
		TEST(the_checkpoint_stays_before_what_is_not_durable),
		TEST(checkpoints_are_at_most_one_a_second),
		TEST(commands_go_on_behind_the_stored_checkpoint),
		TEST(without_a_checkpoint_commands_are_read_from_the_beginning),
		TEST(a_checkpoint_of_the_journal_outlives_redis),
		TEST(what_is_under_way_when_the_shard_goes_is_read_again),
		TEST(a_command_that_kafka_does_not_take_is_decided_anew),
		TEST(a_command_does_not_grow_with_each_try),
		TEST(a_completion_ends_the_attempt_that_was_found),
		TEST(a_failure_without_details_has_some),
		TEST(a_failure_is_remembered_so_that_its_repetition_fails_no_later_attempt),
		TEST(a_heartbeat_from_outside_is_journalled_beside_the_task),
		TEST(a_canceled_task_that_nobody_has_taken_is_looked_for),
		TEST(commands_to_a_task_that_never_came_go_from_the_journal),
		TEST(a_stray_command_is_counted_and_done),
		TEST(what_cannot_be_understood_is_done_when_its_dead_letter_is_in_kafka),
		cmocka_unit_test_setup_teardown(a_command_of_another_shard_is_passed_on_as_it_is, setup_two_shards, teardown),
		TEST(commands_wait_until_the_journal_was_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
