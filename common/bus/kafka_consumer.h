/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_CONSUMER_H
#define BUS_KAFKA_CONSUMER_H

#include <librdkafka/rdkafka.h>

#include "bus/bus.h"
#include "bus/kafka_conf.h"

struct kafka;

/* A consumer handle whose records come through queues of their own, and everything else through consumer_poll. */
struct consumer {
	struct kafka *kafka;
	rd_kafka_t *rk; /* NULL: none */
	rd_kafka_queue_t *events;
};

/* Consumes `conf`. */
enum mr_status consumer_init(struct consumer *consumer, struct kafka *kafka, enum kafka_role role, rd_kafka_conf_t *conf,
			     struct mr_error *err);
/* Leaves the group in an orderly way where `orderly` and Kafka lets us within a bounded time. Its queues are gone by then. */
void consumer_deinit(struct consumer *consumer, bool orderly);
/* The same at once and without a word to the group, although messages may be held. */
void consumer_retire(struct consumer *consumer);
/* Serves the callbacks. */
void consumer_poll(struct consumer *consumer);
/* Reads exactly these partitions, without the group's doing. */
enum mr_status consumer_assign(struct consumer *consumer, const struct bus_partition *partitions, size_t n);

#endif
