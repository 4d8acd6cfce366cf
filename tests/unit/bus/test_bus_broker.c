/* SPDX-License-Identifier: Apache-2.0 */
/* The bus on a real broker: MILLRACE_TEST_BROKERS names it, tests/run sets it; without it these tests are skipped. */
#include "broker_env.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "bus/kafka_impl.h"
#include "bus/topics.h"

static bool is_readable(struct bus *bus)
{
	struct pollfd fd = {.fd = bus_fd(bus), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void a_record_comes_back_as_it_was_sent(void **state)
{
	const struct header headers[] = {
		{BYTES_LIT("trace"), BYTES_LIT("1")}, {BYTES_LIT("none"), BYTES_NONE}, {BYTES_LIT("trace"), BYTES_LIT("")}};
	struct bus_record record = {
		.topic = env.tasks, .partition = 2, .key = BYTES_LIT("k"), .value = BYTES_LIT("a\0b"), .headers = {headers, 3}};
	struct bus_config config = group_config();
	struct bus_message *m;
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	assert_int_equal(bus_produce(bed.bus, &record, &record), MR_OK);
	assert_int_equal(bus_outstanding(bed.bus), 1);
	bed_take(&bed, &m, 1, 10);
	eventually(&bed, bed.n_deliveries == 1);
	assert_int_equal(bus_outstanding(bed.bus), 0);
	assert_ptr_equal(bed.deliveries[0].tag, &record);
	assert_int_equal(bed.deliveries[0].status, MR_OK);
	assert_int_equal(bed.deliveries[0].partition, 2);
	assert_int_equal(bed.deliveries[0].offset, 0);

	assert_string_equal(m->topic, env.tasks);
	assert_int_equal(m->partition, 2);
	assert_int_equal(m->offset, 0);
	assert_in_range(m->timestamp_ms, clock_wall_ms() - 60000, clock_wall_ms() + 60000);
	assert_true(bytes_equal(m->key, record.key));
	assert_true(bytes_equal(m->value, record.value));
	assert_int_equal(m->headers.len, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(bytes_equal(m->headers.items[i].name, headers[i].name));
		assert_true(bytes_equal(m->headers.items[i].value, headers[i].value));
		assert_int_equal(bytes_present(m->headers.items[i].value), bytes_present(headers[i].value));
	}
	bus_message_free(bed.bus, m);
	bed_close(&bed);
}

static void absent_and_empty_are_told_apart(void **state)
{
	struct bus_config config = group_config();
	struct bus_record record = {.topic = env.tasks, .partition = 0};
	struct bus_message *m[2];
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	assert_int_equal(bus_produce(bed.bus, &record, NULL), MR_OK);
	record.key = record.value = BYTES_LIT("");
	assert_int_equal(bus_produce(bed.bus, &record, NULL), MR_OK);
	bed_take(&bed, m, 2, 10);
	assert_false(bytes_present(m[0]->key));
	assert_false(bytes_present(m[0]->value));
	assert_true(bytes_present(m[1]->key));
	assert_true(bytes_present(m[1]->value));
	assert_int_equal(m[1]->value.len, 0);
	bed_free_messages(&bed, m, 2);
	bed_close(&bed);
}

static void a_key_goes_to_the_partition_of_kafkas_default_partitioner(void **state)
{
	struct bus_config config = producer_config();
	struct bed bed;
	char key[32];

	(void)state;
	bed_open(&bed, &config);
	for (int i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "order-%d", i);
		bed_produce(&bed, env.results, BUS_BY_KEY, key, "v");
		eventually(&bed, bus_outstanding(bed.bus) == 0);
		assert_int_equal(bed.deliveries[i].partition, bytes_murmur2(bytes_of(key)) % PARTITIONS);
	}
	bed_close(&bed);
}

static void what_cannot_be_sent_is_told_as_such(void **state)
{
	struct bus_config config = producer_config();
	struct bus_record record = {.topic = env.tasks, .partition = 0, .value = {mem_alloc(3 << 20), 3 << 20}};
	struct bed bed;

	(void)state;
	config.max_message_bytes = 2 << 20;
	bed_open(&bed, &config);
	eventually(&bed, bus_partition_count(bed.bus, env.tasks) == PARTITIONS);
	assert_int_equal(bus_produce(bed.bus, &record, NULL), MR_ETOO_LARGE);

	/* The library lets it through, the topic does not. */
	record.value.len = (2 << 20) - 1000;
	assert_int_equal(bus_produce(bed.bus, &record, NULL), MR_OK);
	eventually(&bed, bed.n_deliveries == 1);
	assert_int_equal(bed.deliveries[0].status, MR_ETOO_LARGE);

	record.value.len = 1;
	record.partition = PARTITIONS;
	if (bus_produce(bed.bus, &record, NULL) == MR_OK) {
		eventually(&bed, bed.n_deliveries == 2);
		assert_int_equal(bed.deliveries[1].status, MR_ENOT_FOUND);
	}
	record.partition = 0;
	record.topic = "no/topic/can/have/this/name";
	size_t before = bed.n_deliveries;
	if (bus_produce(bed.bus, &record, NULL) == MR_OK) {
		eventually(&bed, bed.n_deliveries == before + 1);
		assert_int_equal(bed.deliveries[before].status, MR_ENOT_FOUND);
	}
	assert_int_equal(bus_outstanding(bed.bus), 0);
	free((void *)(uintptr_t)record.value.data);
	bed_close(&bed);
}

static void a_full_bus_says_so_and_goes_on(void **state)
{
	struct bus_config config = producer_config();
	char value[1000] = {0};
	struct bus_record record = {.topic = env.tasks, .partition = 0, .value = {value, sizeof(value)}};
	enum mr_status status;
	struct bed bed;
	size_t sent = 0;

	(void)state;
	config.queue_max_bytes = 64 << 10;
	config.linger_ms = 1000;
	bed_open(&bed, &config);
	while ((status = bus_produce(bed.bus, &record, NULL)) == MR_OK)
		sent++;
	assert_int_equal(status, MR_EFULL);
	assert_in_range(sent, 20, 70);
	eventually(&bed, bus_outstanding(bed.bus) == 0);
	assert_int_equal(bus_produce(bed.bus, &record, NULL), MR_OK);
	bed_close(&bed);
	assert_int_equal(bed.n_deliveries, sent + 1);
	assert_int_equal(bed.n_failed, 0);
}

static void the_next_member_goes_on_where_the_last_one_committed(void **state)
{
	struct bus_config config = group_config();
	struct bus_message *m[10];
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	bed_fill(&bed, env.tasks, 1, 10, 10);
	bed_take(&bed, m, 10, 10);
	bed_free_messages(&bed, m, 10);
	const struct bus_partition commits[] = {{env.tasks, 1, 4}, {"not.ours", 1, 4}};
	bus_commit(bed.bus, commits, 2);
	eventually(&bed, bed.n_committed == 1);
	assert_int_equal(bed.committed_status, MR_OK);
	bed_close(&bed);

	bed_open(&bed, &config);
	bed_take(&bed, m, 6, 10);
	assert_int_equal(m[0]->offset, 4);
	assert_int_equal(m[5]->offset, 9);
	bed_free_messages(&bed, m, 6);
	bed_close(&bed);
}

static void what_is_committed_inside_a_revoke_counts(void **state)
{
	struct bus_config config = group_config();
	struct bus_message *m[8];
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	bed_fill(&bed, env.tasks, 3, 8, 10);
	bed_take(&bed, m, 8, 10);
	bed.commit_in_revoke = 5;
	bed.commit_in_revoke_of = 3;
	bed.commit_in_revoke_status = MR_ESYSTEM;
	bus_leave(bed.bus);
	eventually(&bed, bus_left(bed.bus));
	assert_int_equal(bed.n_revokes, 1);
	assert_int_equal(bed.n_lost, 0);
	assert_int_equal(bed.commit_in_revoke_status, MR_OK);
	/* Messages of partitions that left stay valid. */
	assert_int_equal(m[7]->value.len, 10);
	bed_free_messages(&bed, m, 8);
	bed_close(&bed);

	bed_open(&bed, &config);
	bed_take(&bed, m, 3, 10);
	assert_int_equal(m[0]->offset, 5);
	bed_free_messages(&bed, m, 3);
	bed_close(&bed);
}

static void the_callee_says_where_a_partition_begins(void **state)
{
	struct bus_config config = group_config();
	struct bus_message *m[3];
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	for (int32_t p = 0; p < PARTITIONS; p++)
		bed_fill(&bed, env.tasks, p, p == 0 ? 10 : 7, 10);
	bed_close(&bed);

	bed_open(&bed, &config);
	bed.assign_at = 7;
	bed_take(&bed, m, 3, 10);
	assert_int_equal(m[0]->offset, 7);
	bed_free_messages(&bed, m, 3);
	bed_close(&bed);
}

static void a_seek_drops_what_was_fetched(void **state)
{
	struct bus_config config = group_config();
	struct bus_message *m[100];
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	bed_fill(&bed, env.tasks, 2, 100, 10);
	bed_take(&bed, m, 50, 10);
	bed_free_messages(&bed, m, 50);
	for (int64_t to = 90; to >= 0; to -= 30) {
		assert_int_equal(bus_seek(bed.bus, env.tasks, 2, to), MR_OK);
		bed_take(&bed, m, 10, 10);
		for (int i = 0; i < 10; i++)
			assert_int_equal(m[i]->offset, to + i);
		bed_free_messages(&bed, m, 10);
	}
	assert_int_equal(bus_seek(bed.bus, env.tasks, PARTITIONS, 0), MR_ENOT_FOUND);
	bed_close(&bed);
}

static void partitions_are_read_without_a_group_beside_it(void **state)
{
	struct bus_config config = group_config();
	const struct bus_partition all[] = {
		{env.results, 0, BUS_OFFSET_BEGINNING}, {env.results, 1, 2}, {env.results, 2, BUS_OFFSET_END}};
	const struct bus_partition taken = {env.tasks, 0, 0};
	struct bus_message *m[5];
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	for (int32_t p = 0; p < 3; p++)
		bed_fill(&bed, env.results, p, 3, 10);
	eventually(&bed, bed.n_assigned == PARTITIONS);
	assert_int_equal(bus_read(bed.bus, all, 3), MR_OK);
	bed_take(&bed, m, 4, 10);
	for (int i = 0; i < 4; i++)
		assert_int_equal(m[i]->offset, m[i]->partition == 0 ? i - (m[0]->partition == 1) : 2);
	bed_free_messages(&bed, m, 4);
	bed_fill(&bed, env.tasks, 0, 1, 10);
	bed_take(&bed, m, 1, 10);
	assert_string_equal(m[0]->topic, env.tasks);
	bed_free_messages(&bed, m, 1);

	assert_int_equal(bus_read(bed.bus, all, 1), MR_OK);
	bed_take(&bed, m, 3, 10);
	assert_int_equal(m[0]->partition, 0);
	bed_free_messages(&bed, m, 3);
	assert_int_equal(bus_read(bed.bus, &taken, 1), MR_ECONFLICT);
	assert_int_equal(bus_read(bed.bus, NULL, 0), MR_OK);
	bed_close(&bed);
}

static void topics_and_what_another_group_has_committed_are_told(void **state)
{
	struct bus_config group = group_config(), config = producer_config();
	const struct bus_partition done = {env.tasks, 2, 5};
	const struct bus_partition asked[] = {{env.tasks, 1, 0}, {env.tasks, 2, 0}};
	struct bed worker, bed;

	(void)state;
	bed_open(&worker, &group);
	eventually(&worker, worker.n_assigned == PARTITIONS);
	bus_commit(worker.bus, &done, 1);
	eventually(&worker, worker.n_committed == 1);
	bed_open(&bed, &config);
	assert_int_equal(bus_query_topics(bed.bus, env.tasks), MR_OK);
	eventually(&bed, bed.n_topics == 1);
	assert_int_equal(bed.topics[0].partition, PARTITIONS);
	assert_int_equal(bus_query_group(bed.bus, env.group, asked, 2), MR_OK);
	eventually(&bed, bed.n_group_offsets == 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(bed.group_offsets[i].offset, bed.group_offsets[i].partition == 2 ? 5 : BUS_OFFSET_BEGINNING);
	bed_close(&bed);
	bed_close(&worker);
}

static void end_offsets_are_told(void **state)
{
	struct bus_config config = producer_config();
	const struct bus_partition asked[] = {{env.results, 0, 0}, {env.results, 3, 0}, {env.tasks, 1, 0}};
	const struct bus_partition some_missing[] = {{"t.nothing", 0, 0}, {env.results, 3, 0}};
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	bed_fill(&bed, env.results, 3, 7, 10);
	assert_int_equal(bus_query_ends(bed.bus, asked, 3), MR_OK);
	eventually(&bed, bed.n_ends == 3);
	assert_int_equal(bed.ends_status, MR_OK);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(bed.ends[i].offset, bed.ends[i].partition == 3 ? 7 : 0);
	bed.n_ends = 0;
	assert_int_equal(bus_query_ends(bed.bus, some_missing, 2), MR_OK);
	eventually(&bed, bed.n_ends == 2);
	assert_int_equal(bed.ends_status, MR_EKAFKA);
	assert_int_equal(bed.ends[0].offset, -1);
	assert_int_equal(bed.ends[1].offset, 7);
	bed_close(&bed);
}

static void the_fd_is_quiet_while_records_are_not_wanted(void **state)
{
	struct bus_config config = group_config();
	struct bus_message *m[20];
	struct bed bed;

	(void)state;
	bed_open(&bed, &config);
	bed_fill(&bed, env.tasks, 0, 20, 10);
	bed_take(&bed, m, 10, 10);
	assert_true(is_readable(bed.bus));
	/* Heartbeats and the like ring too, so it is quiet soon, not always. */
	eventually(&bed, !is_readable(bed.bus));
	assert_int_equal(bus_take(bed.bus, env.tasks, 0, m + 10, 10), 10);
	bed_free_messages(&bed, m, 20);
	assert_int_equal(bus_take_any(bed.bus, m, 1), 0);

	eventually(&bed, !is_readable(bed.bus));
	bed_produce(&bed, env.tasks, 0, NULL, "x");
	bed_take(&bed, m, 1, 10);
	bed_free_messages(&bed, m, 1);
	bed_close(&bed);
}

/* librdkafka 2.0 stops fetching for up to a second when a queue was full: 30 MB through a queue of 256 KiB took two minutes. */
static void a_full_queue_that_was_emptied_is_filled_again_at_once(void **state)
{
	struct bus_config config = group_config();
	const size_t n = 30000;
	struct bus_message *m[500];
	struct bed bed;

	(void)state;
	config.prefetch_bytes = 256 << 10;
	bed_open(&bed, &config);
	bed_fill(&bed, env.tasks, 0, n, 1000);
	int64_t begin_us = clock_mono_us();
	for (size_t got = 0; got < n; got += 500) {
		bed_take(&bed, m, 500, 10);
		bed_free_messages(&bed, m, 500);
	}
	assert_true(clock_mono_us() - begin_us < 10000000);
	bed_close(&bed);
}

static void every_partition_gets_its_turn(void **state)
{
	struct bus_config producer = producer_config(), config = group_config();
	struct bus_message *m[40];
	size_t of[PARTITIONS] = {0};
	struct bed bed;

	(void)state;
	/* Before anybody reads, so that the first fetch has all. */
	bed_open(&bed, &producer);
	for (int32_t p = 0; p < PARTITIONS; p++)
		bed_fill(&bed, env.tasks, p, 1000, 10);
	bed_close(&bed);
	bed_open(&bed, &config);
	eventually(&bed, bed.n_assigned == PARTITIONS);
	/* All have something when each has given one. */
	for (int32_t p = 0; p < PARTITIONS; p++) {
		eventually(&bed, bus_take(bed.bus, env.tasks, p, m, 1) == 1);
		bed_free_messages(&bed, m, 1);
	}
	assert_int_equal(bus_take_any(bed.bus, m, 40), 40);
	for (int i = 0; i < 40; i++)
		of[m[i]->partition]++;
	for (int32_t p = 0; p < PARTITIONS; p++)
		assert_int_equal(of[p], 10);
	bed_free_messages(&bed, m, 40);
	bed_close(&bed);
}

static void a_broken_producer_is_replaced(void **state)
{
	struct bus_config config = producer_config();
	struct bus_record record = {.topic = env.tasks, .partition = 0, .value = BYTES_LIT("x")};
	enum mr_status status;
	struct bed bed;

	(void)state;
	config.linger_ms = 10000;
	bed_open(&bed, &config);
	for (int i = 0; i < 100; i++)
		assert_int_equal(bus_produce(bed.bus, &record, NULL), MR_OK);
	struct kafka *kafka = (struct kafka *)((char *)bed.bus - offsetof(struct kafka, bus));
	rd_kafka_t *broken = kafka->producer.rk;
	rd_kafka_test_fatal_error(broken, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "for the test");

	eventually(&bed, kafka->producer.rk != broken);
	assert_int_equal(bed.n_deliveries, 100);
	assert_int_equal(bed.n_failed, 100);
	assert_int_equal(bed.deliveries[0].status, MR_EKAFKA);
	status = bus_produce(bed.bus, &record, &record);
	assert_int_equal(status, MR_OK);
	bed_close(&bed);
	assert_int_equal(bed.n_deliveries, 101);
	assert_int_equal(bed.deliveries[100].status, MR_OK);
}

static void under_load_records_wait_for_company_and_alone_they_do_not(void **state)
{
	struct bus_config config = producer_config();
	struct bus_record record = {.topic = env.tasks, .partition = 0, .value = BYTES_LIT("x")};
	struct bed bed;

	(void)state;
	config.linger_ms = 0;
	config.bulk_linger_ms = 600000;
	bed_open(&bed, &config);
	/* Not polled meanwhile, so nothing counts as acknowledged. */
	for (int i = 0; i < BUS_BULK_FROM + 10; i++)
		assert_int_equal(bus_produce(bed.bus, &record, NULL), MR_OK);
	eventually(&bed, bus_outstanding(bed.bus) == 10);
	assert_int_equal(bus_produce(bed.bus, &record, NULL), MR_OK);
	eventually(&bed, bus_outstanding(bed.bus) == 10);
	bed_close(&bed);
	assert_int_equal(bed.n_deliveries, BUS_BULK_FROM + 11);
	assert_int_equal(bed.n_failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		broker_test(a_record_comes_back_as_it_was_sent),
		broker_test(absent_and_empty_are_told_apart),
		broker_test(a_key_goes_to_the_partition_of_kafkas_default_partitioner),
		broker_test(what_cannot_be_sent_is_told_as_such),
		broker_test(a_full_bus_says_so_and_goes_on),
		broker_test(the_next_member_goes_on_where_the_last_one_committed),
		broker_test(what_is_committed_inside_a_revoke_counts),
		broker_test(the_callee_says_where_a_partition_begins),
		broker_test(a_seek_drops_what_was_fetched),
		broker_test(partitions_are_read_without_a_group_beside_it),
		broker_test(end_offsets_are_told),
		broker_test(topics_and_what_another_group_has_committed_are_told),
		broker_test(the_fd_is_quiet_while_records_are_not_wanted),
		broker_test(a_full_queue_that_was_emptied_is_filled_again_at_once),
		broker_test(every_partition_gets_its_turn),
		broker_test(a_broken_producer_is_replaced),
		broker_test(under_load_records_wait_for_company_and_alone_they_do_not),
	};

	return cmocka_run_group_tests_name("bus on a broker", tests, NULL, NULL);
}
