/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "consumer/attempt_rig.h"
#include "lib/pool_impl.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static enum mr_attempt_end noop(struct mr_attempt *attempt, void *user)
{
	(void)user;
	return mr_complete(attempt, NULL, 0, NULL);
}

static enum mr_attempt_end resident_pages(struct mr_attempt *attempt, void *user)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long total = 0, resident = 0, shared = 0;
	int n = file ? fscanf(file, "%ld %ld %ld", &total, &resident, &shared) : 0;

	(void)user;
	if (file)
		fclose(file);
	return n == 3 ? mr_complete_jsonf(attempt, "%ld", resident - shared) : mr_failf(attempt, "Test", "statm");
}

static void make(struct rig *rig)
{
	rig_init(rig);
	mr_register(rig->registry, "noop", noop, NULL, NULL, NULL);
	mr_register(rig->registry, "resident_pages", resident_pages, NULL, NULL, NULL);
}

static void sizes_out_of_range_are_refused_and_named(void **state)
{
	struct mr_error err;
	struct rig rig;

	(void)state;
	make(&rig);
	rig.config.slots = 0;
	assert_int_equal(pool_new(&rig.config, &rig.pool, &err), MR_EINVAL);
	assert_string_equal(err.where, "slots");
	rig.config.slots = POOL_MAX_SLOTS + 1;
	assert_int_equal(pool_new(&rig.config, &rig.pool, &err), MR_EINVAL);
	rig.config.slots = 1;
	rig.config.depth = POOL_MAX_CELLS;
	assert_int_equal(pool_new(&rig.config, &rig.pool, &err), MR_EINVAL);
	assert_string_equal(err.where, "depth");
	rig_deinit(&rig);
}

static void an_empty_registry_does_not_start(void **state)
{
	struct mr_error err;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	assert_int_equal(pool_new(&rig.config, &rig.pool, &err), MR_OK);
	assert_int_equal(pool_start(rig.pool, &err), MR_EINVAL);
	rig_deinit(&rig);
}

static void a_new_pool_takes_next_to_no_memory(void **state)
{
	size_t pages, resident = 0;
	unsigned char *map;
	struct rig rig;

	(void)state;
	make(&rig);
	rig.config.slots = 64;
	rig.config.depth = 1024;
	assert_int_equal(pool_new(&rig.config, &rig.pool, NULL), MR_OK);
	pages = rig.pool->memory_bytes / 4096;
	map = malloc(pages);
	assert_non_null(map);
	assert_int_equal(mincore(rig.pool->memory, rig.pool->memory_bytes, map), 0);
	for (size_t i = 0; i < pages; i++)
		resident += map[i] & 1;
	assert_true(pages * 4096 > (size_t)1 << 31);
	assert_true(resident < 64);
	free(map);
	rig_deinit(&rig);
}

static void a_hundred_thousand_attempts_leave_nothing_in_an_executor(void **state)
{
	struct attempt_info info;
	long before;
	struct rig rig;

	(void)state;
	make(&rig);
	rig.config.slots = 1;
	rig_start(&rig);
	rig_info(&info, "noop", "{\"amount\":1}", 12);
	for (int round = 0; round < 2; round++) {
		before = atol(rig_run(&rig, "resident_pages", "1")->result);
		for (size_t n = 0; n < 50000;) {
			rig_forget(&rig, 0);
			for (; executor_room(rig.executor) > 0; n++)
				rig_push_info(&rig, &info);
			for (size_t i = 0; i < rig.n_attempts; i++)
				rig_wait(&rig, i);
		}
	}
	/* Sanitizers keep what was freed. */
	assert_in_range(atol(rig_run(&rig, "resident_pages", "1")->result), 1, SANITIZED ? LONG_MAX : before + 16);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_out_of_range_are_refused_and_named),
		cmocka_unit_test(an_empty_registry_does_not_start),
		cmocka_unit_test(a_new_pool_takes_next_to_no_memory),
		cmocka_unit_test(a_hundred_thousand_attempts_leave_nothing_in_an_executor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
