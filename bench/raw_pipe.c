/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit: what librdkafka alone does with records of the size of our tasks through the same broker. Idempotent, acks=all,
 * linger 5 ms. The topics must exist, with one number of partitions.
 *
 *	raw_pipe produce BROKERS TOPIC RECORDS BYTES     BYTES: of a value; the key is `task-00000017`
 *	raw_pipe copy BROKERS FROM TO RECORDS GROUP      consume -> produce into the same partition, commit what is acknowledged
 *
 * `copy` counts from the first record that arrives to the last acknowledgement and commits the lowest contiguous acknowledged
 * offset of each partition each 50 ms, as a worker does.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "meter.h"
#include "raw.h"

#define BATCH 1024
#define PARTITIONS_MAX 256
#define IN_FLIGHT_MAX 50000
#define COMMIT_EACH_US 50000
#define WAIT_FOR_RECORDS_MS 30000

struct pipe {
	rd_kafka_t *producer, *consumer;
	rd_kafka_topic_t *to;
	const char *from;
	long long sent, acknowledged;
	int64_t settled[PARTITIONS_MAX]; /* one behind the last offset acknowledged; 0: none */
	int64_t committed_us;
};

/* The place of the record that was copied travels as the opaque: partition above, offset below; 0 where there was none. */
static void *place_of(const rd_kafka_message_t *message)
{
	assert(message->partition < PARTITIONS_MAX && message->offset < (int64_t)1 << 48);
	return (void *)((uintptr_t)(message->partition + 1) << 48 | (uintptr_t)message->offset);
}

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *ctx)
{
	struct pipe *pipe = ctx;
	uintptr_t place = (uintptr_t)message->_private;

	(void)client;
	if (message->err)
		raw_die("delivery", rd_kafka_err2str(message->err));
	pipe->acknowledged++;
	if (!place)
		return;

	int64_t offset = (int64_t)(place & (((uintptr_t)1 << 48) - 1)), *settled = &pipe->settled[(place >> 48) - 1];
	assert(*settled == 0 || offset == *settled); /* one partition's copies are acknowledged in order */
	*settled = offset + 1;
}

static void open_producer(struct pipe *pipe, const char *brokers, const char *topic)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	raw_set(conf, "queue.buffering.max.messages", "200000");
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
	rd_kafka_conf_set_opaque(conf, pipe);
	pipe->producer = raw_producer(conf, brokers, "5");
	pipe->to = raw_topic(pipe->producer, topic);
}

static void close_producer(struct pipe *pipe)
{
	rd_kafka_topic_destroy(pipe->to);
	rd_kafka_destroy(pipe->producer);
}

static void send_record(struct pipe *pipe, int32_t partition, void *value, size_t bytes, const void *key, size_t key_bytes,
			void *place)
{
	while (rd_kafka_produce(pipe->to, partition, RD_KAFKA_MSG_F_COPY, value, bytes, key, key_bytes, place)) {
		if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			raw_die("produce", rd_kafka_err2str(rd_kafka_last_error()));
		rd_kafka_poll(pipe->producer, 1);
	}
	if (++pipe->sent % 256 == 0)
		rd_kafka_poll(pipe->producer, 0);
}

static void await_acknowledged(struct pipe *pipe)
{
	while (pipe->acknowledged < pipe->sent)
		rd_kafka_poll(pipe->producer, 10);
}

static int produce(const char *brokers, const char *topic, long long n, size_t bytes)
{
	struct pipe pipe = {0};
	CLEANUP_FREE char *value = mem_alloc(bytes + 1);
	char key[32];

	memset(value, 'x', bytes);
	open_producer(&pipe, brokers, topic);
	struct meter meter = meter_start();
	for (long long i = 0; i < n; i++) {
		int length = snprintf(key, sizeof(key), "task-%08lld", i);
		send_record(&pipe, RD_KAFKA_PARTITION_UA, value, bytes, key, (size_t)length, NULL);
	}
	await_acknowledged(&pipe);
	meter_report(&meter, n);
	close_producer(&pipe);
	return 0;
}

static rd_kafka_queue_t *open_consumer(struct pipe *pipe, const char *brokers, const char *group)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);

	raw_set(conf, "group.id", group);
	raw_set(conf, "auto.offset.reset", "earliest");
	raw_set(conf, "enable.auto.commit", "false");
	raw_set(conf, "enable.auto.offset.store", "false");
	pipe->consumer = raw_open(RD_KAFKA_CONSUMER, conf, brokers);
	rd_kafka_poll_set_consumer(pipe->consumer);
	rd_kafka_topic_partition_list_add(topics, pipe->from, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t err = rd_kafka_subscribe(pipe->consumer, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (err)
		raw_die("subscribe", rd_kafka_err2str(err));
	return rd_kafka_queue_get_consumer(pipe->consumer);
}

static void commit(struct pipe *pipe, int async)
{
	rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(PARTITIONS_MAX);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	for (int32_t i = 0; i < PARTITIONS_MAX; i++)
		if (pipe->settled[i])
			rd_kafka_topic_partition_list_add(offsets, pipe->from, i)->offset = pipe->settled[i];
	if (offsets->cnt > 0)
		err = rd_kafka_commit(pipe->consumer, offsets, async);
	rd_kafka_topic_partition_list_destroy(offsets);
	if (err)
		raw_die("commit", rd_kafka_err2str(err));
	pipe->committed_us = clock_mono_us();
}

static size_t take(rd_kafka_queue_t *queue, rd_kafka_message_t **messages)
{
	ssize_t n = rd_kafka_consume_batch_queue(queue, 1, messages, BATCH);

	if (n < 0)
		raw_die("consume", rd_kafka_err2str(rd_kafka_last_error()));
	return (size_t)n;
}

static void forward(struct pipe *pipe, rd_kafka_message_t **messages, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		rd_kafka_message_t *message = messages[i];

		if (message->err)
			raw_die("consume", rd_kafka_message_errstr(message));
		send_record(pipe, message->partition, message->payload, message->len, message->key, message->key_len,
			    place_of(message));
		rd_kafka_message_destroy(message);
	}
}

static int copy(const char *brokers, const char *from, const char *to, long long n, const char *group)
{
	struct pipe pipe = {.from = from};
	rd_kafka_message_t *messages[BATCH];
	struct meter meter = {0};
	int64_t give_up_us = clock_mono_us() + WAIT_FOR_RECORDS_MS * 1000;

	open_producer(&pipe, brokers, to);
	rd_kafka_queue_t *queue = open_consumer(&pipe, brokers, group);
	while (pipe.acknowledged < n) {
		size_t got = pipe.sent - pipe.acknowledged < IN_FLIGHT_MAX ? take(queue, messages) : 0;

		if (got > 0 && !meter.begin_us)
			meter = meter_start();
		if (!meter.begin_us && clock_mono_us() > give_up_us)
			raw_die(from, "no record came");
		forward(&pipe, messages, got);
		rd_kafka_poll(pipe.producer, got > 0 ? 0 : 1);
		if (clock_mono_us() - pipe.committed_us > COMMIT_EACH_US)
			commit(&pipe, 1);
	}
	meter_report(&meter, n);
	commit(&pipe, 0);
	rd_kafka_queue_destroy(queue);
	rd_kafka_consumer_close(pipe.consumer);
	rd_kafka_destroy(pipe.consumer);
	close_producer(&pipe);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "produce"))
		return produce(argv[2], argv[3], meter_number("RECORDS", argv[4], 1, 1000000000),
			       (size_t)meter_number("BYTES", argv[5], 1, 900000));
	if (argc == 7 && !strcmp(argv[1], "copy"))
		return copy(argv[2], argv[3], argv[4], meter_number("RECORDS", argv[5], 1, 1000000000), argv[6]);
	fprintf(stderr, "usage: raw_pipe produce BROKERS TOPIC RECORDS BYTES | raw_pipe copy BROKERS FROM TO RECORDS GROUP\n");
	return 2;
}
