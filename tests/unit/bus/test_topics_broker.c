/* SPDX-License-Identifier: Apache-2.0 */
/* Topics on a real broker: MILLRACE_TEST_BROKERS names it, tests/run sets it; without it these tests are skipped. */
#include "bed.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "bus/topics.h"

static const char *const QUEUES[] = {"a", "b"};

struct env {
	char prefix[32];
	struct topics_spec spec;
};

static int make_env(void **state)
{
	struct env *env = mem_alloc(sizeof(*env));

	bed_prefix(env->prefix, sizeof(env->prefix));
	env->spec = (struct topics_spec){
		.brokers = getenv("MILLRACE_TEST_BROKERS"),
		.prefix = env->prefix,
		.queues = QUEUES,
		.n_queues = 2,
		.partitions = 3,
		.shards = 2,
		.timeout_ms = 15000,
	};
	*state = env;
	return 0;
}

static int free_env(void **state)
{
	free(*state);
	return 0;
}

static struct env *env_of(void **state)
{
	struct env *env = *state;

	if (!env->spec.brokers)
		skip();
	return env;
}

static struct topics_info setup(const struct topics_spec *spec)
{
	struct topics_info info;
	struct mr_error err = {0};

	if (topics_setup(spec, &info, &err) != MR_OK)
		fail_msg("%s: %s", err.where, err.message);
	return info;
}

/* The broker hears of it a little later than the controller. */
static void wait_for_topic(rd_kafka_t *rk, const char *name)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
	int64_t limit_us = clock_mono_us() + BED_LIMIT_S * 1000000LL;
	int partitions = 0;

	while (partitions == 0) {
		const struct rd_kafka_metadata *metadata;
		assert_true(clock_mono_us() < limit_us);
		if (rd_kafka_metadata(rk, 0, topic, &metadata, 1000))
			continue;
		partitions = metadata->topics[0].err ? 0 : metadata->topics[0].partition_cnt;
		rd_kafka_metadata_destroy(metadata);
	}
	rd_kafka_topic_destroy(topic);
}

/* A topic that somebody made in another way. */
static void make_topic(const struct env *env, const char *name, int partitions, const char *config, const char *value)
{
	char text[256], topic[64];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	snprintf(topic, sizeof(topic), "%s%s", env->prefix, name);
	rd_kafka_conf_set(conf, "bootstrap.servers", env->spec.brokers, text, sizeof(text));
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_NewTopic_t *created = rd_kafka_NewTopic_new(topic, partitions, 1, text, sizeof(text));
	if (config)
		rd_kafka_NewTopic_set_config(created, config, value);
	rd_kafka_CreateTopics(rk, &created, 1, NULL, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 10000);
	assert_non_null(event);
	assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy(created);
	wait_for_topic(rk, topic);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
}

static void assert_says(const struct topics_info *info, const struct env *env, const char *topic, const char *says)
{
	char line[256];

	snprintf(line, sizeof(line), "%s%s: %s", env->prefix, topic, says);
	if (!strstr(info->report, line))
		fail_msg("\"%s\" is not in:\n%s", line, info->report);
}

static void what_is_missing_is_created_once(void **state)
{
	struct env *env = env_of(state);
	struct topics_info info = setup(&env->spec);

	assert_int_equal(info.created, 6);
	assert_int_equal(info.differing, 0);
	assert_int_equal(info.shards, 2);
	free(info.report);

	info = setup(&env->spec);
	assert_int_equal(info.created, 0);
	assert_int_equal(info.shards, 2);
	assert_string_equal(info.report, "");
	free(info.report);
}

static void a_check_creates_nothing(void **state)
{
	struct env *env = env_of(state);

	env->spec.check_only = true;
	for (int i = 0; i < 2; i++) {
		struct topics_info info = setup(&env->spec);
		assert_int_equal(info.created, 0);
		assert_int_equal(info.differing, 6);
		assert_int_equal(info.shards, 0);
		assert_says(&info, env, "tasks.b", "does not exist");
		free(info.report);
	}
}

static void what_differs_is_told_and_left_alone(void **state)
{
	struct env *env = env_of(state);

	make_topic(env, "journal", 5, "cleanup.policy", "delete");
	make_topic(env, "tasks.a", 1, "retention.ms", "3600000");
	make_topic(env, "dead", 1, "retention.ms", "-1");
	for (int i = 0; i < 2; i++) {
		struct topics_info info = setup(&env->spec);
		assert_int_equal(info.created, i == 0 ? 3 : 0);
		assert_int_equal(info.shards, 5);
		assert_says(&info, env, "journal", "cleanup.policy is delete, should be compact");
		assert_says(&info, env, "tasks.a", "retention.ms is 3600000, should be -1");
		assert_says(&info, env, "tasks.a", "message.timestamp.type is CreateTime, should be LogAppendTime");
		assert_says(&info, env, "tasks.a",
			    "the number of partitions is 1, and no more workers than that share the queue; to have 3: "
			    "kafka-topics.sh ");
		assert_null(strstr(info.report, "dead: retention.ms"));
		free(info.report);
	}
}

static void partition_counts_that_disagree_are_refused(void **state)
{
	struct env *env = env_of(state);
	struct topics_info info;
	struct mr_error err = {0};

	make_topic(env, "journal", 4, NULL, NULL);
	make_topic(env, "results", 3, NULL, NULL);
	assert_int_equal(topics_setup(&env->spec, &info, &err), MR_ECONFLICT);
	assert_non_null(strstr(err.message, "journal"));
}

static void *setup_thread(void *arg)
{
	struct topics_info info;
	struct mr_error err;
	enum mr_status status = topics_setup(arg, &info, &err);

	if (status != MR_OK)
		return (void *)(intptr_t)-1;
	free(info.report);
	return (void *)(intptr_t)info.created;
}

static void several_may_create_at_once(void **state)
{
	struct env *env = env_of(state);
	pthread_t threads[4];
	intptr_t created = 0;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, setup_thread, &env->spec), 0);
	for (int i = 0; i < 4; i++) {
		void *n;
		pthread_join(threads[i], &n);
		assert_true((intptr_t)n >= 0);
		created += (intptr_t)n;
	}
	assert_int_equal(created, 6);
}

static void a_broker_that_cannot_be_reached_is_named(void **state)
{
	struct topics_spec spec = {.brokers = "127.0.0.1:1", .prefix = "m.", .timeout_ms = 500};
	struct topics_info info;
	struct mr_error err = {0};

	(void)state;
	int64_t begin_us = clock_mono_us();
	assert_int_equal(topics_setup(&spec, &info, &err), MR_EKAFKA);
	assert_string_equal(err.where, "127.0.0.1:1");
	assert_non_null(strstr(err.message, "within 500 ms"));
	assert_int_equal(topics_purge(&spec, &info, &err), MR_EKAFKA);
	assert_true(clock_mono_us() - begin_us < 5000000);
}

/* The first offset that is left of a partition. */
static int64_t first_offset(const struct env *env, const char *topic, int32_t partition)
{
	struct bus_config config = {.brokers = env->spec.brokers, .client_id = "test"};
	const struct bus_partition all = {topic, partition, BUS_OFFSET_BEGINNING};
	struct bus_message *m;
	struct bed bed;

	bed_open(&bed, &config);
	assert_int_equal(bus_read(bed.bus, &all, 1), MR_OK);
	bed_take(&bed, &m, 1, 10);
	int64_t offset = m->offset;
	bed_free_messages(&bed, &m, 1);
	bed_close(&bed);
	return offset;
}

static void a_purge_deletes_what_is_committed_and_nothing_else(void **state)
{
	struct env *env = env_of(state);
	struct topics_info info = setup(&env->spec);
	char *topic = topics_task_topic(env->prefix, "a"), *other = topics_task_topic(env->prefix, "b");
	char *group = topics_worker_group(env->prefix, "a");
	const char *const topics[] = {topic};
	struct bus_config config = {.brokers = env->spec.brokers, .group = group, .topics = topics, .n_topics = 1};
	struct bed bed;

	free(info.report);
	bed_open(&bed, &config);
	for (int32_t p = 0; p < 3; p++)
		bed_fill(&bed, topic, p, 10, 100);
	bed_fill(&bed, other, 0, 10, 100);
	eventually(&bed, bed.n_assigned == 3);
	const struct bus_partition commits[] = {{topic, 0, 4}, {topic, 1, 9}};
	bus_commit(bed.bus, commits, 2);
	eventually(&bed, bed.n_committed == 2);

	for (int i = 0; i < 2; i++) {
		struct mr_error err = {0};
		if (topics_purge(&env->spec, &info, &err) != MR_OK)
			fail_msg("%s: %s", err.where, err.message);
		assert_string_equal(info.report, "");
		assert_int_equal(info.differing, 0);
		free(info.report);
		assert_int_equal(first_offset(env, topic, 0), 4);
		assert_int_equal(first_offset(env, topic, 1), 9);
		assert_int_equal(first_offset(env, topic, 2), 0);
		assert_int_equal(first_offset(env, other, 0), 0);
		env->spec.n_queues = 0; /* now all of the prefix */
	}
	bed_close(&bed);
	free(group);
	free(other);
	free(topic);
}

static void a_refused_purge_is_a_line_of_the_report(void **state)
{
	struct env *env = env_of(state);
	char *topic = topics_task_topic(env->prefix, "compacted"), *group = topics_worker_group(env->prefix, "compacted");
	const char *const topics[] = {topic};
	struct bus_config config = {.brokers = env->spec.brokers, .group = group, .topics = topics, .n_topics = 1};
	struct topics_info info;
	struct bed bed;

	make_topic(env, "tasks.compacted", 1, "cleanup.policy", "compact");
	bed_open(&bed, &config);
	for (int i = 0; i < 5; i++)
		bed_produce(&bed, topic, 0, "k", "v");
	eventually(&bed, bed.n_assigned == 1 && bus_outstanding(bed.bus) == 0);
	const struct bus_partition commit = {topic, 0, 3};
	bus_commit(bed.bus, &commit, 1);
	eventually(&bed, bed.n_committed == 1);
	env->spec.n_queues = 0;
	assert_int_equal(topics_purge(&env->spec, &info, NULL), MR_OK);
	assert_int_equal(info.differing, 1);
	assert_non_null(strstr(info.report, "tasks.compacted [0]: settled records are not deleted: "));
	free(info.report);
	bed_close(&bed);
	free(group);
	free(topic);
}

#define topics_test(f) cmocka_unit_test_setup_teardown(f, make_env, free_env)

int main(void)
{
	const struct CMUnitTest tests[] = {
		topics_test(what_is_missing_is_created_once),
		topics_test(a_check_creates_nothing),
		topics_test(what_differs_is_told_and_left_alone),
		topics_test(partition_counts_that_disagree_are_refused),
		topics_test(several_may_create_at_once),
		topics_test(a_broker_that_cannot_be_reached_is_named),
		topics_test(a_purge_deletes_what_is_committed_and_nothing_else),
		topics_test(a_refused_purge_is_a_line_of_the_report),
	};

	return cmocka_run_group_tests_name("topics on a broker", tests, NULL, NULL);
}
