/* SPDX-License-Identifier: Apache-2.0 */
/* What a real broker cannot be made to do on order, on librdkafka's mock cluster. Rebalances are not to be proven here. */
#include "bed.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/kafka_impl.h"
#include "bus/topics.h"

static struct {
	rd_kafka_t *rk;
	rd_kafka_mock_cluster_t *cluster;
	const char *brokers;
} mock;

static int start(void **state)
{
	char text[256];

	(void)state;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, NULL);
	mock.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	assert_non_null(mock.rk);
	mock.cluster = rd_kafka_mock_cluster_new(mock.rk, 1);
	assert_non_null(mock.cluster);
	mock.brokers = rd_kafka_mock_cluster_bootstraps(mock.cluster);
	rd_kafka_mock_topic_create(mock.cluster, "results", 3, 1);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rd_kafka_mock_cluster_destroy(mock.cluster);
	rd_kafka_destroy(mock.rk);
	return 0;
}

static void a_record_waits_for_a_broker_that_is_away_and_health_tells_both(void **state)
{
	struct bus_config config = {.brokers = mock.brokers, .client_id = "test"};
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	bed_fill(&bed, "results", 0, 1, 10);
	assert_int_equal(bed.n_health, 0);
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	bed_produce(&bed, "results", 0, "k", "while it is away");
	eventually(&bed, bed.n_health == 1);
	assert_int_equal(bed.health[0], MR_EKAFKA);
	assert_int_equal(bus_outstanding(bed.bus), 1);

	rd_kafka_mock_broker_set_up(mock.cluster, 1);
	eventually(&bed, bed.n_health == 2 && bus_outstanding(bed.bus) == 0);
	assert_int_equal(bed.health[1], MR_OK);
	assert_int_equal(bed.n_failed, 0);
	bed_close(&bed);
}

static void a_flush_ends_with_the_last_acknowledgement_or_with_its_time(void **state)
{
	struct bus_config config = {.brokers = mock.brokers, .client_id = "test", .bulk_linger_ms = 5};
	struct bed bed;
	int64_t begin_us;

	(void)state;
	bed_open(&bed, &config);
	bed_fill(&bed, "results", 0, 1, 10);
	for (int i = 0; i < 2 * BUS_BULK_FROM; i++)
		bed_produce(&bed, "results", i % 3, NULL, "x");
	assert_true(bus_outstanding(bed.bus) > 0);
	bus_flush(bed.bus, 10000);
	assert_int_equal(bus_outstanding(bed.bus), 0);
	assert_int_equal(bed.n_deliveries, 1 + 2 * BUS_BULK_FROM);
	assert_int_equal(bed.n_failed, 0);

	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	bed_produce(&bed, "results", 0, NULL, "x");
	begin_us = clock_mono_us();
	bus_flush(bed.bus, 50);
	assert_in_range(clock_mono_us() - begin_us, 50000, 1000000);
	assert_int_equal(bus_outstanding(bed.bus), 1);
	rd_kafka_mock_broker_set_up(mock.cluster, 1);
	eventually(&bed, bus_outstanding(bed.bus) == 0);
	bed_close(&bed);
}

static void a_bus_that_is_freed_while_kafka_is_away_reports_every_record(void **state)
{
	static const char *const topics[] = {"results"};
	struct bus_config config = {.brokers = mock.brokers, .client_id = "test", .group = "g", .topics = topics, .n_topics = 1};
	const struct bus_partition read = {"other", 0, BUS_OFFSET_BEGINNING};
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	assert_int_equal(bus_read(bed.bus, &read, 1), MR_OK);
	eventually(&bed, bed.n_assigned == 3);
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	for (int i = 0; i < 10; i++)
		bed_produce(&bed, "results", 1, NULL, "x");
	eventually(&bed, bed.n_health == 1);
	int64_t begin_us = clock_mono_us();
	bed_close(&bed);
	assert_true(clock_mono_us() - begin_us < 4000000);
	assert_int_equal(bed.n_deliveries, 10);
	assert_int_equal(bed.n_failed, 10);
	assert_int_equal(bed.n_revokes, 0);
}

/* librdkafka has crashed in both. */
static void a_group_is_left_or_closed_while_its_coordinator_is_away(void **state)
{
	static const char *const topics[] = {"results"};
	struct bus_config config = {.brokers = mock.brokers, .client_id = "test", .topics = topics, .n_topics = 1};
	struct bed beds[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		config.group = i == 0 ? "left" : "closed";
		config.group_instance = i == 0 ? "one" : NULL;
		bed_open(&beds[i], &config);
	}
	for (int i = 0; i < 2; i++)
		eventually(&beds[i], (bus_poll(beds[1 - i].bus), beds[i].n_assigned == 3));
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	bus_leave(beds[0].bus);
	eventually(&beds[0], bus_left(beds[0].bus));
	assert_int_equal(beds[0].n_revokes, 1);
	bed_close(&beds[0]);
	bed_close(&beds[1]);
}

static void a_retried_request_writes_a_record_once(void **state)
{
	struct bus_config config = {.brokers = mock.brokers, .client_id = "test"};
	const struct bus_partition read = {"results", 2, BUS_OFFSET_BEGINNING};
	struct bus_message *m[10];
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	rd_kafka_mock_push_request_errors(mock.cluster, 0 /* Produce */, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
					  RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
	bed_fill(&bed, "results", 2, 10, 10);
	assert_int_equal(bus_read(bed.bus, &read, 1), MR_OK);
	bed_take(&bed, m, 10, 10);
	for (int i = 0; i < 10; i++)
		assert_int_equal(m[i]->offset, i);
	assert_int_equal(bus_take_any(bed.bus, m, 1), 0);
	bed_free_messages(&bed, m, 10);
	bed_close(&bed);
}

static void an_answer_about_ends_comes_although_kafka_is_away(void **state)
{
	struct bus_config config = {.brokers = mock.brokers, .client_id = "test"};
	const struct bus_partition asked[] = {{"results", 0, 0}, {"results", 1, 0}};
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	bed_fill(&bed, "results", 1, 5, 10);
	bus_query_ends(bed.bus, asked, 2);
	eventually(&bed, bed.n_ends == 2);
	assert_int_equal(bed.ends_status, MR_OK);
	assert_int_equal(bed.ends[0].offset, 0);
	assert_int_equal(bed.ends[1].offset, 5);

	bed.n_ends = 0;
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	bus_query_ends(bed.bus, asked, 2);
	eventually(&bed, bed.n_ends == 2);
	assert_int_equal(bed.ends_status, MR_EKAFKA);
	assert_int_equal(bed.ends[1].offset, -1);
	bed_close(&bed);
}

static void topics_that_are_named_once_do_not_pile_up(void **state)
{
	struct bus_config config = {.brokers = mock.brokers, .client_id = "test"};
	struct bed bed;
	char name[32];

	(void)state;
	bed_open(&bed, &config);
	struct kafka *kafka = (struct kafka *)((char *)bed.bus - offsetof(struct kafka, bus));
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "reply-%d", i);
		bed_produce(&bed, name, 0, NULL, "x");
	}
	assert_in_range(kafka->producer.topics.len, 1, 512);
	eventually(&bed, bus_outstanding(bed.bus) == 0);
	assert_int_equal(bed.n_failed, 0);
	bed_close(&bed);
}

static void setup_takes_the_mock_cluster_as_it_is(void **state)
{
	static const char *const queues[] = {"default"};
	struct topics_spec spec = {.brokers = mock.brokers, .prefix = "m.", .queues = queues, .n_queues = 1, .timeout_ms = 5000};
	struct topics_info info;
	struct mr_error err = {0};

	(void)state;
	rd_kafka_mock_topic_create(mock.cluster, "m.journal", 4, 1);
	int64_t begin_us = clock_mono_us();
	if (topics_setup(&spec, &info, &err) != MR_OK)
		fail_msg("%s: %s", err.where, err.message);
	assert_true(clock_mono_us() - begin_us < 3000000);
	assert_int_equal(info.shards, 4);
	assert_int_equal(info.created, 4);
	free(info.report);

	assert_int_equal(topics_setup(&spec, &info, &err), MR_OK);
	assert_string_equal(info.report, "");
	free(info.report);
	assert_int_equal(topics_purge(&spec, &info, &err), MR_OK);
	assert_string_equal(info.report, "");
	free(info.report);
}

#define mock_test(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		mock_test(a_record_waits_for_a_broker_that_is_away_and_health_tells_both),
		mock_test(a_flush_ends_with_the_last_acknowledgement_or_with_its_time),
		mock_test(a_bus_that_is_freed_while_kafka_is_away_reports_every_record),
		mock_test(a_group_is_left_or_closed_while_its_coordinator_is_away),
		mock_test(a_retried_request_writes_a_record_once),
		mock_test(an_answer_about_ends_comes_although_kafka_is_away),
		mock_test(topics_that_are_named_once_do_not_pile_up),
		mock_test(setup_takes_the_mock_cluster_as_it_is),
	};

	return cmocka_run_group_tests_name("bus on the mock cluster", tests, NULL, NULL);
}
