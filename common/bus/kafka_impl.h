/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_IMPL_H
#define BUS_KAFKA_IMPL_H

#include "bus/kafka_ask.h"
#include "bus/kafka_consumer.h"
#include "bus/kafka_group.h"
#include "bus/kafka_health.h"
#include "bus/kafka_helper.h"
#include "bus/kafka_producer.h"
#include "bus/kafka_queues.h"

/* The bus on Kafka: its parts share one eventfd and are polled in turn by one thread. */
struct kafka {
	struct bus bus;
	struct bus_callbacks callbacks;
	int fd;
	struct helper *helper;
	struct health health;
	struct queues queues; /* of group and reader */
	struct producer producer;
	struct producer bulk; /* the same under load; without a handle where that was not asked for */
	struct group group;
	struct consumer reader;
	rd_kafka_conf_t *reader_conf;
	struct askers askers;
	bool wake_asked;
};

/* error_cb of all handles. */
void kafka_on_error(struct kafka *kafka, rd_kafka_resp_err_t err, const char *reason);
/* A message that carries an error instead of a record. */
void kafka_on_message_error(struct kafka *kafka, const rd_kafka_message_t *message);
/* Partitions of a list as the callbacks want them; the caller frees. */
struct bus_partition *kafka_partitions(const rd_kafka_topic_partition_list_t *list);

#endif
