/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_BUS_BROKER_ENV_H
#define UNIT_BUS_BROKER_ENV_H

#include "bed.h"

/* Topics of a test's own on the broker that MILLRACE_TEST_BROKERS names; without it the tests are skipped. */
#define PARTITIONS 4

struct broker_env {
	const char *brokers;
	char prefix[32];
	char *tasks;
	char *results;
	char *group;
	const char *topics[1];
};

extern struct broker_env env;

int new_topics(void **state);
int forget_topics(void **state);
struct bus_config producer_config(void);
struct bus_config group_config(void);

#define broker_test(f) cmocka_unit_test_setup_teardown(f, new_topics, forget_topics)

#endif
