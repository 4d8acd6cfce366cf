/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_ACTIVITIES_H
#define TEST_ACTIVITIES_H

#include "millrace/worker.h"

/* Waits in small steps until `ms` have passed or the attempt is cancelled; true in the latter case. */
bool test_sleep(struct mr_attempt *attempt, int64_t ms);

/* The step in the {"step":N} that a former attempt told last; 0 where there is none. */
long test_former_step(struct mr_attempt *attempt);

/* Register the activities of the other files. */
void test_register_crashes(struct mr_registry *registry);
void test_register_logging(struct mr_registry *registry);
void test_register_actor(struct mr_registry *registry);

#endif
