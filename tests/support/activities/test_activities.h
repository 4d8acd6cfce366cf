/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_ACTIVITIES_H
#define TEST_ACTIVITIES_H

#include "millrace/worker.h"

/* Waits in small steps until `ms` have passed or the attempt is cancelled; true in the latter case. */
bool test_sleep(struct mr_attempt *attempt, int64_t ms);

/* Register the activities of the other files. */
void test_register_crashes(struct mr_registry *registry);
void test_register_logging(struct mr_registry *registry);

#endif
