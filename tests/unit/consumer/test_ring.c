/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ring.h"

#define CAPACITY 64
#define ITEMS 100000

static struct ring *ring;
static _Atomic uint32_t *seen; /* how often each item was taken */

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static int make(void **state)
{
	(void)state;
	ring = ring_init(map(ring_bytes(CAPACITY)), CAPACITY);
	seen = map(ITEMS * sizeof(*seen));
	return 0;
}

static int drop(void **state)
{
	(void)state;
	munmap(ring, ring_bytes(CAPACITY));
	munmap((void *)seen, ITEMS * sizeof(*seen));
	return 0;
}

static void items_come_out_in_the_order_they_went_in(void **state)
{
	uint64_t position, item;

	(void)state;
	for (uint64_t round = 0; round < 5; round++) {
		for (uint64_t i = 0; i < 40; i++) {
			assert_true(ring_push(ring, 100 + i, &position));
			assert_int_equal(position, round * 40 + i);
		}
		for (uint64_t i = 0; i < 40; i++) {
			assert_true(ring_peek(ring, &item));
			assert_int_equal(item, 100 + i);
			assert_true(ring_pop(ring, &item));
			assert_int_equal(item, 100 + i);
		}
		assert_true(ring_empty(ring));
		assert_int_equal(ring_head(ring), (round + 1) * 40);
	}
	assert_false(ring_pop(ring, &item));
	assert_false(ring_peek(ring, &item));
}

static void a_full_ring_takes_no_more(void **state)
{
	uint64_t position, item;

	(void)state;
	for (uint64_t i = 0; i < CAPACITY; i++)
		assert_true(ring_push(ring, i, &position));
	assert_false(ring_push(ring, 1, &position));
	assert_int_equal(ring_len(ring), CAPACITY);
	assert_true(ring_pop(ring, &item));
	assert_true(ring_push(ring, 1, &position));
}

static _Noreturn void consume(void)
{
	uint64_t item;

	for (;;) {
		if (!ring_pop(ring, &item)) {
			sched_yield();
			continue;
		}
		if (item == UINT64_MAX)
			_exit(0);
		atomic_fetch_add(&seen[item], 1);
	}
}

static void push_all(uint64_t first, uint64_t last)
{
	uint64_t position;

	for (uint64_t i = first; i < last; i++)
		while (!ring_push(ring, i, &position))
			sched_yield();
}

static void processes_take_each_item_once(void **state)
{
	uint64_t position;
	int status;

	(void)state;
	for (int i = 0; i < 3; i++)
		if (fork() == 0)
			consume();
	push_all(0, ITEMS);
	for (int i = 0; i < 3; i++)
		while (!ring_push(ring, UINT64_MAX, &position))
			sched_yield();
	for (int i = 0; i < 3; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	for (size_t i = 0; i < ITEMS; i++)
		assert_int_equal(atomic_load(&seen[i]), 1);
}

static void a_consumer_that_is_killed_anywhere_leaves_the_ring_whole(void **state)
{
	size_t lost = 0, kills = 50;
	uint64_t item;

	(void)state;
	for (size_t i = 0; i < kills; i++) {
		pid_t pid = fork();

		if (pid == 0)
			consume();
		push_all(i * 1000, (i + 1) * 1000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (ring_pop(ring, &item))
			atomic_fetch_add(&seen[item], 1);
	}
	for (size_t i = 0; i < kills * 1000; i++) {
		assert_true(atomic_load(&seen[i]) <= 1);
		lost += atomic_load(&seen[i]) == 0;
	}
	/* Only what was in a dead one's hands. */
	assert_true(lost <= kills);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(items_come_out_in_the_order_they_went_in, make, drop),
		cmocka_unit_test_setup_teardown(a_full_ring_takes_no_more, make, drop),
		cmocka_unit_test_setup_teardown(processes_take_each_item_once, make, drop),
		cmocka_unit_test_setup_teardown(a_consumer_that_is_killed_anywhere_leaves_the_ring_whole, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
