/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_consumer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/kafka_impl.h"
#include "bus/kafka_ring.h"

#define CLOSE_LIMIT_US 3000000
#define POLL_MAX 1000

enum mr_status consumer_init(struct consumer *consumer, struct kafka *kafka, enum kafka_role role, rd_kafka_conf_t *conf,
			     struct mr_error *err)
{
	queues_set_bounds(&kafka->queues, conf);
	enum mr_status status = kafka_handle_new(role, conf, &consumer->rk, err);

	if (status != MR_OK)
		return status;
	consumer->kafka = kafka;
	rd_kafka_poll_set_consumer(consumer->rk);
	consumer->events = rd_kafka_queue_get_consumer(consumer->rk);
	kafka_ring_from(consumer->events, kafka->fd);
	return MR_OK;
}

/* rd_kafka_consumer_close would wait for a hung broker without an end. */
static bool close_in_time(rd_kafka_t *rk)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_error_t *error = rd_kafka_consumer_close_queue(rk, queue);
	int64_t limit_us = clock_mono_us() + CLOSE_LIMIT_US;

	if (error)
		rd_kafka_error_destroy(error);
	else
		while (!rd_kafka_consumer_closed(rk) && clock_mono_us() < limit_us)
			rd_kafka_queue_poll_callback(queue, 20);
	rd_kafka_queue_destroy(queue);
	return rd_kafka_consumer_closed(rk) != 0;
}

static void forget_events(struct consumer *consumer)
{
	rd_kafka_queue_io_event_enable(consumer->events, -1, NULL, 0);
	rd_kafka_queue_destroy(consumer->events);
	consumer->events = NULL;
}

void consumer_retire(struct consumer *consumer)
{
	forget_events(consumer);
	queues_retire(&consumer->kafka->queues, consumer->rk);
	consumer->rk = NULL;
}

void consumer_deinit(struct consumer *consumer, bool orderly)
{
	if (!consumer->rk)
		return;
	forget_events(consumer);
	orderly = orderly && close_in_time(consumer->rk);
	rd_kafka_destroy_flags(consumer->rk, orderly ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	consumer->rk = NULL;
}

/* Not seen so far: records go to their own queues before they are fetched. If one comes here, its partition begins with it
 * again. */
static void on_stray_record(struct consumer *consumer, const rd_kafka_message_t *message)
{
	const char *topic = rd_kafka_topic_name(message->rkt);
	enum mr_status status = queues_seek(&consumer->kafka->queues, topic, message->partition, message->offset);

	log_warn("a record came by the common queue, its partition is read again from there", LOG_S("topic", topic),
		 LOG_I("partition", message->partition), LOG_I("offset", message->offset), LOG_S("seek", mr_status_name(status)));
}

void consumer_poll(struct consumer *consumer)
{
	rd_kafka_message_t *message;

	for (int i = 0; i < POLL_MAX && (message = rd_kafka_consumer_poll(consumer->rk, 0)); i++) {
		if (message->err)
			kafka_on_message_error(consumer->kafka, message);
		else
			on_stray_record(consumer, message);
		rd_kafka_message_destroy(message);
	}
}

enum mr_status consumer_assign(struct consumer *consumer, const struct bus_partition *partitions, size_t n)
{
	struct queues *queues = &consumer->kafka->queues;
	rd_kafka_topic_partition_list_t *list;

	rd_kafka_assign(consumer->rk, NULL);
	queues_remove_all(queues, consumer->rk);
	for (size_t i = 0; i < n; i++)
		if (queues_find(queues, partitions[i].topic, partitions[i].partition))
			return MR_ECONFLICT;
	if (n == 0)
		return MR_OK;

	list = rd_kafka_topic_partition_list_new((int)n);
	for (size_t i = 0; i < n; i++) {
		int64_t offset = partitions[i].offset == BUS_OFFSET_COMMITTED ? RD_KAFKA_OFFSET_INVALID : partitions[i].offset;
		rd_kafka_topic_partition_list_add(list, partitions[i].topic, partitions[i].partition)->offset = offset;
		queues_add(queues, consumer->rk, partitions[i].topic, partitions[i].partition);
	}
	rd_kafka_resp_err_t err = rd_kafka_assign(consumer->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		log_warn("assignment refused", LOG_S("error", rd_kafka_err2str(err)));
	return kafka_status(err);
}
