/* SPDX-License-Identifier: Apache-2.0 */
#include "broker_env.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "bus/topics.h"

struct broker_env env;

int new_topics(void **state)
{
	static const char *const queue = "q";
	struct topics_spec spec = {
		.prefix = env.prefix, .queues = &queue, .n_queues = 1, .partitions = PARTITIONS, .shards = PARTITIONS};
	struct topics_info info;
	struct mr_error err = {0};

	(void)state;
	env.brokers = getenv("MILLRACE_TEST_BROKERS");
	if (!env.brokers)
		return 0;
	bed_prefix(env.prefix, sizeof(env.prefix));
	spec.brokers = env.brokers;
	if (topics_setup(&spec, &info, &err) != MR_OK)
		fail_msg("%s: %s", err.where, err.message);
	free(info.report);
	env.tasks = topics_task_topic(env.prefix, queue);
	env.group = topics_worker_group(env.prefix, queue);
	env.results = mem_alloc(64);
	snprintf(env.results, 64, "%sresults", env.prefix);
	env.topics[0] = env.tasks;
	return 0;
}

int forget_topics(void **state)
{
	(void)state;
	free(env.tasks);
	free(env.group);
	free(env.results);
	env.tasks = env.group = env.results = NULL;
	return 0;
}

struct bus_config producer_config(void)
{
	if (!env.brokers)
		skip();
	return (struct bus_config){.brokers = env.brokers, .client_id = "test"};
}

struct bus_config group_config(void)
{
	struct bus_config config = producer_config();

	config.group = env.group;
	config.topics = env.topics;
	config.n_topics = 1;
	return config;
}
