/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/ledger.h"

static struct ledger *ledger;

static int make(void **state)
{
	(void)state;
	ledger = ledger_init(mem_alloc(ledger_bytes(3)), 3);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	free(ledger);
	return 0;
}

static struct claim_token token(void)
{
	return (struct claim_token){
		.key = BYTES_LIT("flow/step"),
		.shard = 5,
		.run_id = BYTES_LIT("run"),
		.epoch = 2,
		.attempt = 7,
		.nonce = BYTES_LIT("nonce"),
		.record_id = BYTES_LIT("topic:1:2"),
		.started_at_ms = 99,
		.lost = 1,
		.journalled = true,
	};
}

static uint64_t reserve(void)
{
	struct claim_token t = token();
	uint64_t handle = 0;

	assert_true(ledger_reserve(ledger, &t, &handle));
	assert_int_not_equal(handle, 0);
	return handle;
}

static void a_reserved_entry_holds_the_token_before_the_claim_is_sent(void **state)
{
	struct ledger_entry *entry = ledger_get(ledger, reserve());
	struct claim_token t;

	(void)state;
	assert_non_null(entry);
	assert_int_equal(ledger_state(entry), LEDGER_CLAIMING);
	t = ledger_token(entry);
	assert_true(bytes_is(t.key, "flow/step"));
	assert_true(bytes_is(t.run_id, "run"));
	assert_true(bytes_is(t.nonce, "nonce"));
	assert_true(bytes_is(t.record_id, "topic:1:2"));
	assert_int_equal(t.shard, 5);
	assert_int_equal(t.epoch, 2);
	assert_int_equal(t.attempt, 7);
	assert_int_equal(t.started_at_ms, 99);
	assert_int_equal(t.lost, 1);
	assert_true(t.journalled);
	assert_false(bytes_present(t.worker));
}

static void a_full_ledger_reserves_nothing(void **state)
{
	struct claim_token t = token();
	uint64_t first = reserve(), handle;

	(void)state;
	reserve();
	reserve();
	assert_int_equal(ledger_free_count(ledger), 0);
	assert_false(ledger_reserve(ledger, &t, &handle));
	ledger_free_entry(ledger, first);
	assert_true(ledger_reserve(ledger, &t, &handle));
}

static void a_handle_is_current_until_its_entry_is_freed(void **state)
{
	uint64_t old = reserve(), next;

	(void)state;
	ledger_free_entry(ledger, old);
	assert_null(ledger_get(ledger, old));
	next = reserve();
	assert_int_equal(ledger_handle_index(next), ledger_handle_index(old));
	assert_int_not_equal(next, old);
	assert_null(ledger_get(ledger, old));
	assert_non_null(ledger_get(ledger, next));
}

static void a_move_is_about_exactly_one_attempt_state_and_owner(void **state)
{
	uint64_t old = reserve(), next;

	(void)state;
	assert_false(ledger_move(ledger, old, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_STARTED, 0));
	assert_true(ledger_move(ledger, old, LEDGER_CLAIMING, LEDGER_NOBODY, LEDGER_QUEUED, LEDGER_NOBODY));
	assert_true(ledger_move(ledger, old, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_STARTED, 4));
	assert_false(ledger_move(ledger, old, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_TAKEN, LEDGER_NOBODY));
	assert_false(ledger_move(ledger, old, LEDGER_STARTED, 3, LEDGER_ENDED, 3));
	assert_true(ledger_move(ledger, old, LEDGER_STARTED, 4, LEDGER_ENDED, 4));
	ledger_free_entry(ledger, old);
	next = reserve();
	assert_true(ledger_move(ledger, next, LEDGER_CLAIMING, LEDGER_NOBODY, LEDGER_QUEUED, LEDGER_NOBODY));
	/* The late compare-and-swap of an executor that still holds the old handle. */
	assert_false(ledger_move(ledger, old, LEDGER_QUEUED, LEDGER_NOBODY, LEDGER_STARTED, 4));
	assert_int_equal(ledger_state(ledger_get(ledger, next)), LEDGER_QUEUED);
}

static void the_longest_ids_fit(void **state)
{
	char key[TASK_KEY_MAX_BYTES], record[280], nonce[64];
	struct claim_token t = token();
	uint64_t handle;

	(void)state;
	memset(key, '%', sizeof(key));
	memset(record, 't', sizeof(record));
	memset(nonce, 'n', sizeof(nonce));
	t.key = (struct bytes){key, sizeof(key)};
	t.run_id = t.record_id = (struct bytes){record, sizeof(record)};
	t.nonce = (struct bytes){nonce, sizeof(nonce)};
	assert_true(ledger_reserve(ledger, &t, &handle));
	assert_true(bytes_equal(ledger_token(ledger_get(ledger, handle)).nonce, t.nonce));
	assert_true(bytes_equal(ledger_token(ledger_get(ledger, handle)).record_id, t.record_id));
}

static void a_reset_frees_all_and_old_handles_stay_old(void **state)
{
	uint64_t old = reserve();

	(void)state;
	reserve();
	ledger_reset(ledger);
	assert_int_equal(ledger_free_count(ledger), 3);
	assert_null(ledger_get(ledger, old));
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(reserve(), old);
}

static void supervisors_see_every_entry(void **state)
{
	uint64_t handle = reserve();
	size_t claiming = 0;

	(void)state;
	assert_int_equal(ledger_size(ledger), 3);
	for (size_t i = 0; i < ledger_size(ledger); i++) {
		if (ledger_state(ledger_at(ledger, i)) != LEDGER_CLAIMING)
			continue;
		claiming++;
		assert_int_equal(ledger_handle_at(ledger, i), handle);
	}
	assert_int_equal(claiming, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_reserved_entry_holds_the_token_before_the_claim_is_sent, make, drop),
		cmocka_unit_test_setup_teardown(a_full_ledger_reserves_nothing, make, drop),
		cmocka_unit_test_setup_teardown(a_handle_is_current_until_its_entry_is_freed, make, drop),
		cmocka_unit_test_setup_teardown(a_move_is_about_exactly_one_attempt_state_and_owner, make, drop),
		cmocka_unit_test_setup_teardown(the_longest_ids_fit, make, drop),
		cmocka_unit_test_setup_teardown(a_reset_frees_all_and_old_handles_stay_old, make, drop),
		cmocka_unit_test_setup_teardown(supervisors_see_every_entry, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
