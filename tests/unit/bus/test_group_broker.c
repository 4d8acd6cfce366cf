/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a consumer group that come, leave and are taken over, on a real broker. */
#include "broker_env.h"

#include <stdlib.h>

#include "bus/topics.h"

/* Both buses are driven by this one thread. */
#define eventually_both(a, b, condition) eventually(a, (bus_poll((b)->bus), (condition)))

static void a_static_member_that_leaves_gives_its_partitions_at_once(void **state)
{
	struct bus_config config = group_config();
	struct bed one, two;

	(void)state;
	config.group_instance = "one";
	bed_open(&one, &config);
	eventually(&one, one.n_assigned == PARTITIONS);
	config.group_instance = "two";
	bed_open(&two, &config);
	eventually_both(&one, &two, one.n_assigned == PARTITIONS / 2 && two.n_assigned == PARTITIONS / 2);

	int64_t begin_us = clock_mono_us();
	bus_leave(one.bus);
	eventually_both(&one, &two, bus_left(one.bus));
	assert_int_equal(one.n_assigned, 0);
	bed_close(&one);
	eventually(&two, two.n_assigned == PARTITIONS);
	/* Its session would have lasted 6 s. */
	assert_true(clock_mono_us() - begin_us < 3000000);
	bed_close(&two);
}

static void a_member_that_leaves_in_a_rebalance_does_not_stay_in_the_group(void **state)
{
	struct bus_config config = group_config();
	struct bed one, two;

	(void)state;
	config.group_instance = "one";
	bed_open(&one, &config);
	eventually(&one, one.n_assigned == PARTITIONS);
	config.group_instance = "two";
	bed_open(&two, &config);
	eventually_both(&two, &one, one.n_revokes == 1);
	int64_t begin_us = clock_mono_us();
	bus_leave(one.bus);
	eventually_both(&one, &two, bus_left(one.bus));
	bed_close(&one);
	eventually(&two, two.n_assigned == PARTITIONS);
	/* Its session would have lasted 6 s. */
	assert_true(clock_mono_us() - begin_us < 5000000);
	bed_close(&two);
}

static void a_member_that_leaves_before_its_first_assignment_does_not_stay_in_the_group(void **state)
{
	struct bus_config config = group_config();
	struct bed one, two;

	(void)state;
	config.group_instance = "one";
	bed_open(&one, &config);
	int64_t begin_us = clock_mono_us();
	bus_leave(one.bus);
	eventually(&one, bus_left(one.bus));
	bed_close(&one);
	config.group_instance = "two";
	bed_open(&two, &config);
	eventually(&two, two.n_assigned == PARTITIONS);
	assert_true(clock_mono_us() - begin_us < 5000000);
	bed_close(&two);
}

static void a_static_member_that_comes_back_gets_its_partitions_without_a_rebalance(void **state)
{
	struct bus_config config = group_config();
	struct bed one, two;

	(void)state;
	config.group_instance = "one";
	bed_open(&one, &config);
	config.group_instance = "two";
	bed_open(&two, &config);
	eventually_both(&one, &two, one.n_assigned == PARTITIONS / 2 && two.n_assigned == PARTITIONS / 2);
	size_t revokes = one.n_revokes;
	int32_t first = two.assigned[0].partition;
	bed_close(&two);
	bed_open(&two, &config);
	eventually_both(&one, &two, two.n_assigned == PARTITIONS / 2);
	assert_int_equal(two.assigned[0].partition, first);
	assert_int_equal(one.n_revokes, revokes);
	bed_close(&one);
	bed_close(&two);
}

/* The same happens to a member whose broker is restarted in the middle of its join. */
static void a_member_that_was_fenced_is_told_and_joins_again_while_its_records_are_still_held(void **state)
{
	struct bus_config config = group_config();
	struct bus_message *held, *again;
	struct bed one, two;

	(void)state;
	config.group_instance = "same";
	bed_open(&one, &config);
	bed_fill(&one, config.topics[0], 0, 1, 100);
	eventually(&one, one.n_assigned == PARTITIONS);
	bed_take(&one, &held, 1, BED_LIMIT_S);
	bed_open(&two, &config);
	eventually_both(&one, &two, one.n_health > 0 && one.n_assigned == 0);
	assert_int_equal(one.health[0], MR_ECONFLICT);
	assert_int_equal(one.n_revokes, 1);
	assert_int_equal(one.n_lost, 1);
	bed_close(&two);
	eventually(&one, one.n_assigned == PARTITIONS);
	bed_take(&one, &again, 1, BED_LIMIT_S);
	assert_int_equal(again->offset, held->offset);
	bed_free_messages(&one, &held, 1);
	bed_free_messages(&one, &again, 1);
	bed_close(&one);
}

static void a_topic_that_is_missing_is_told_and_joined_when_it_comes(void **state)
{
	struct bus_config config = group_config();
	static const char *const queue = "later";
	struct topics_spec spec = {
		.brokers = env.brokers, .prefix = env.prefix, .queues = &queue, .n_queues = 1, .partitions = 2};
	char *topic = topics_task_topic(env.prefix, queue);
	const char *const topics[] = {topic};
	char *refresh[] = {"topic.metadata.refresh.interval.ms=500"};
	struct conf_list properties = {refresh, 1};
	struct topics_info info;
	struct bed bed;

	(void)state;
	config.topics = topics;
	config.properties = &properties;
	bed_open(&bed, &config);
	eventually(&bed, bed.n_health > 0);
	assert_int_equal(bed.health[0], MR_ENOT_FOUND);
	assert_non_null(strstr(bed.health_text, topic));
	assert_int_equal(bus_partition_count(bed.bus, topic), 0);
	assert_int_equal(topics_setup(&spec, &info, NULL), MR_OK);
	free(info.report);
	eventually(&bed, bed.n_assigned == 2);
	eventually(&bed, bus_partition_count(bed.bus, topic) == 2);
	bed_close(&bed);
	free(topic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		broker_test(a_static_member_that_leaves_gives_its_partitions_at_once),
		broker_test(a_member_that_leaves_in_a_rebalance_does_not_stay_in_the_group),
		broker_test(a_member_that_leaves_before_its_first_assignment_does_not_stay_in_the_group),
		broker_test(a_static_member_that_comes_back_gets_its_partitions_without_a_rebalance),
		broker_test(a_member_that_was_fenced_is_told_and_joins_again_while_its_records_are_still_held),
		broker_test(a_topic_that_is_missing_is_told_and_joined_when_it_comes),
	};

	return cmocka_run_group_tests_name("groups on a broker", tests, NULL, NULL);
}
