/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit of a latency: what librdkafka alone needs to send a record of the size of our tasks to somebody who only sends it
 * back by another topic. Linger 0, idempotent, acks=all. The topics must exist and be empty.
 *
 *	raw_echo BROKERS FROM TO BYTES PER_S SECONDS WARM_UP_S
 *
 * Three threads of one program: one sends, paced by due time (a record that is late counts from when it was due), one echoes, one
 * takes the time when a record is back. Milliseconds.
 */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "meter.h"
#include "raw.h"

#define TAKE_MS 50
#define BACK_LIMIT_US 30000000
#define METADATA_MS 10000

struct echo {
	const char *brokers, *from, *to;
	size_t bytes;
	long long per_s, n_warm_up, n;
	int64_t begin_us;
	int64_t *took_us;
	_Atomic long long back;
	_Atomic bool stop;
};

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *ctx)
{
	(void)client;
	(void)ctx;
	if (message->err)
		raw_die("delivery", rd_kafka_err2str(message->err));
}

static rd_kafka_t *open_producer(const struct echo *echo)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
	return raw_producer(conf, echo->brokers, "0");
}

/* Reads all partitions of a topic from their beginning. */
static rd_kafka_t *open_reader(const struct echo *echo, const char *name)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
	const struct rd_kafka_metadata *metadata;

	raw_set(conf, "group.id", "raw-echo");
	raw_set(conf, "enable.auto.commit", "false");
	rd_kafka_t *reader = raw_open(RD_KAFKA_CONSUMER, conf, echo->brokers);
	rd_kafka_topic_t *topic = raw_topic(reader, name);
	rd_kafka_resp_err_t err = rd_kafka_metadata(reader, 0, topic, &metadata, METADATA_MS);
	if (err)
		raw_die(name, rd_kafka_err2str(err));
	for (int32_t i = 0; i < metadata->topics[0].partition_cnt; i++)
		rd_kafka_topic_partition_list_add(list, name, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(topic);
	rd_kafka_poll_set_consumer(reader);
	err = rd_kafka_assign(reader, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		raw_die(name, rd_kafka_err2str(err));
	return reader;
}

static void send_record(rd_kafka_t *producer, rd_kafka_topic_t *topic, void *value, size_t bytes)
{
	if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, bytes, NULL, 0, NULL))
		raw_die("produce", rd_kafka_err2str(rd_kafka_last_error()));
	rd_kafka_poll(producer, 0);
}

/* NULL where there was none in time. */
static rd_kafka_message_t *take(rd_kafka_t *reader)
{
	rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, TAKE_MS);

	if (message && message->err)
		raw_die("consume", rd_kafka_message_errstr(message));
	return message;
}

static void close_producer(rd_kafka_t *producer, rd_kafka_topic_t *topic)
{
	rd_kafka_flush(producer, METADATA_MS);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(producer);
}

static void *send_back(void *arg)
{
	struct echo *echo = arg;
	rd_kafka_t *producer = open_producer(echo), *reader = open_reader(echo, echo->from);
	rd_kafka_topic_t *topic = raw_topic(producer, echo->to);

	while (!echo->stop) {
		rd_kafka_message_t *message = take(reader);

		if (!message) {
			rd_kafka_poll(producer, 0);
			continue;
		}
		send_record(producer, topic, message->payload, message->len);
		rd_kafka_message_destroy(message);
	}
	rd_kafka_destroy(reader);
	close_producer(producer, topic);
	return NULL;
}

static int64_t due_us(const struct echo *echo, long long i)
{
	return echo->begin_us + i * 1000000 / echo->per_s;
}

/* The first record that is back, number -1, tells that both readers have their partitions. */
static void *take_times(void *arg)
{
	struct echo *echo = arg;
	rd_kafka_t *reader = open_reader(echo, echo->to);

	while (echo->back < 1 + echo->n_warm_up + echo->n) {
		rd_kafka_message_t *message = take(reader);
		long long number;

		if (!message)
			continue;
		memcpy(&number, message->payload, sizeof(number));
		if (number >= echo->n_warm_up)
			echo->took_us[number - echo->n_warm_up] = clock_mono_us() - due_us(echo, number);
		rd_kafka_message_destroy(message);
		echo->back++;
	}
	rd_kafka_destroy(reader);
	return NULL;
}

static void await_back(const struct echo *echo, long long n)
{
	int64_t give_up_us = clock_mono_us() + BACK_LIMIT_US;

	while (echo->back < n) {
		if (clock_mono_us() > give_up_us)
			raw_die(echo->to, "a record did not come back");
		clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

static void wait_until(int64_t at_us)
{
	struct timespec at = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void send_all(struct echo *echo)
{
	rd_kafka_t *producer = open_producer(echo);
	rd_kafka_topic_t *topic = raw_topic(producer, echo->from);
	CLEANUP_FREE char *value = mem_alloc(echo->bytes);
	long long number = -1;

	memset(value, 'x', echo->bytes);
	memcpy(value, &number, sizeof(number));
	send_record(producer, topic, value, echo->bytes);
	await_back(echo, 1);
	echo->begin_us = clock_mono_us();
	for (number = 0; number < echo->n_warm_up + echo->n; number++) {
		memcpy(value, &number, sizeof(number));
		wait_until(due_us(echo, number));
		send_record(producer, topic, value, echo->bytes);
	}
	await_back(echo, 1 + number);
	close_producer(producer, topic);
}

int main(int argc, char **argv)
{
	pthread_t echoes, times;

	if (argc != 8) {
		fprintf(stderr, "usage: raw_echo BROKERS FROM TO BYTES PER_S SECONDS WARM_UP_S\n");
		return 2;
	}
	struct echo echo = {.brokers = argv[1], .from = argv[2], .to = argv[3]};
	echo.bytes = (size_t)meter_number("BYTES", argv[4], sizeof(long long), 900000);
	echo.per_s = meter_number("PER_S", argv[5], 1, 100000);
	echo.n = echo.per_s * meter_number("SECONDS", argv[6], 1, 600);
	echo.n_warm_up = echo.per_s * meter_number("WARM_UP_S", argv[7], 0, 600);
	echo.took_us = mem_alloc((size_t)echo.n * sizeof(*echo.took_us));
	if (pthread_create(&echoes, NULL, send_back, &echo) || pthread_create(&times, NULL, take_times, &echo))
		raw_die("pthread_create", "no thread");
	send_all(&echo);
	pthread_join(times, NULL);
	echo.stop = true;
	pthread_join(echoes, NULL);
	meter_report_spread(echo.took_us, echo.n);
	free(echo.took_us);
	return 0;
}
