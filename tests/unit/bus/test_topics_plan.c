/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bus/topics_plan.h"

static const struct topic_plan *find(const struct topics_plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->len; i++)
		if (strcmp(plan->topics[i].name, name) == 0)
			return &plan->topics[i];
	fail_msg("no %s", name);
	return NULL;
}

static const char *setting(const struct topic_plan *topic, const char *name)
{
	for (size_t i = 0; i < topic->n_settings; i++)
		if (strcmp(topic->settings[i].name, name) == 0)
			return topic->settings[i].value;
	fail_msg("%s has no %s", topic->name, name);
	return NULL;
}

static void an_installation_has_a_topic_for_each_queue_and_four_more(void **state)
{
	static const char *const queues[] = {"default", "slow", "default"};
	struct topics_spec spec = {.prefix = "m.", .queues = queues, .n_queues = 3};
	struct topics_plan plan;

	(void)state;
	assert_int_equal(topics_plan_init(&plan, &spec, NULL), MR_OK);
	assert_int_equal(plan.len, 6);
	assert_true(topic_is_sharded(find(&plan, "m.results")));
	assert_true(topic_is_sharded(find(&plan, "m.journal")));
	assert_true(topic_is_sharded(find(&plan, "m.control")));
	assert_false(topic_is_sharded(find(&plan, "m.dead")));
	assert_false(topic_is_sharded(find(&plan, "m.tasks.slow")));
	topics_plan_deinit(&plan);
}

static void a_task_that_waits_is_never_deleted_by_age(void **state)
{
	static const char *const queues[] = {"q"};
	struct topics_spec spec = {.prefix = "", .queues = queues, .n_queues = 1, .retention_ms = 3600000};
	struct topics_plan plan;

	(void)state;
	assert_int_equal(topics_plan_init(&plan, &spec, NULL), MR_OK);
	assert_string_equal(setting(find(&plan, "tasks.q"), "retention.ms"), "-1");
	assert_string_equal(setting(find(&plan, "tasks.q"), "retention.bytes"), "-1");
	assert_string_equal(setting(find(&plan, "tasks.q"), "message.timestamp.type"), "LogAppendTime");
	assert_string_equal(setting(find(&plan, "journal"), "cleanup.policy"), "compact");
	assert_string_equal(setting(find(&plan, "results"), "retention.ms"), "3600000");
	topics_plan_deinit(&plan);
}

static void what_carries_a_task_accepts_a_mebibyte_more(void **state)
{
	static const char *const queues[] = {"q"};
	static const char *const carriers[] = {"results", "journal", "control", "dead"};
	struct topics_spec spec = {.prefix = "", .queues = queues, .n_queues = 1};
	struct topics_plan plan;

	(void)state;
	assert_int_equal(topics_plan_init(&plan, &spec, NULL), MR_OK);
	long tasks = atol(setting(find(&plan, "tasks.q"), "max.message.bytes"));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(atol(setting(find(&plan, carriers[i]), "max.message.bytes")), tasks + (1 << 20));
	topics_plan_deinit(&plan);
}

static void a_name_that_kafka_does_not_take_is_refused(void **state)
{
	char too_long[300];
	const char *const bad[] = {"", "a b", "a/b", "Größe", too_long, "a\n"};

	(void)state;
	memset(too_long, 'q', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct topics_spec spec = {.prefix = "m.", .queues = &bad[i], .n_queues = 1};
		struct topics_plan plan;
		struct mr_error err = {0};
		assert_int_equal(topics_plan_init(&plan, &spec, &err), MR_EINVAL);
		assert_string_equal(err.where, "queue");
		topics_plan_deinit(&plan);
	}
	struct topics_spec spec = {.prefix = "m/"};
	struct topics_plan plan;
	struct mr_error err = {0};
	assert_int_equal(topics_plan_init(&plan, &spec, &err), MR_EINVAL);
	assert_string_equal(err.where, "prefix");
	topics_plan_deinit(&plan);
}

static void a_setting_may_be_more_generous_than_ours(void **state)
{
	static const struct {
		enum setting_rule rule;
		const char *ours, *found;
		bool holds;
	} cases[] = {
		{SETTING_EXACTLY, "compact", "compact", true}, {SETTING_EXACTLY, "compact", "delete", false},
		{SETTING_EXACTLY, "-1", "604800000", false},   {SETTING_AT_LEAST, "1000", "1000", true},
		{SETTING_AT_LEAST, "1000", "999", false},      {SETTING_AT_LEAST, "1000", "-1", true},
		{SETTING_AT_LEAST, "-1", "1000000", false},    {SETTING_AT_LEAST, "-1", "-1", true},
		{SETTING_AT_MOST, "600000", "600000", true},   {SETTING_AT_MOST, "600000", "604800000", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct topic_setting ours = {.name = "x", .rule = cases[i].rule};
		snprintf(ours.value, sizeof(ours.value), "%s", cases[i].ours);
		if (topic_setting_holds(&ours, cases[i].found) != cases[i].holds)
			fail_msg("%s against %s", cases[i].found, cases[i].ours);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_installation_has_a_topic_for_each_queue_and_four_more),
		cmocka_unit_test(a_task_that_waits_is_never_deleted_by_age),
		cmocka_unit_test(what_carries_a_task_accepts_a_mebibyte_more),
		cmocka_unit_test(a_name_that_kafka_does_not_take_is_refused),
		cmocka_unit_test(a_setting_may_be_more_generous_than_ours),
	};

	return cmocka_run_group_tests_name("topics plan", tests, NULL, NULL);
}
