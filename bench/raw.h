/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

/* librdkafka as the programs that measure its limits use it: what fails ends the program with one line. */

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

static inline _Noreturn void raw_die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static inline void raw_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[512];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		raw_die(name, why);
}

/* Consumes `conf`. */
static inline rd_kafka_t *raw_open(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *brokers)
{
	char why[512];
	rd_kafka_t *client;

	raw_set(conf, "bootstrap.servers", brokers);
	client = rd_kafka_new(type, conf, why, sizeof(why));
	if (!client)
		raw_die("librdkafka", why);
	return client;
}

/* Idempotent, acks=all. Consumes `conf`. */
static inline rd_kafka_t *raw_producer(rd_kafka_conf_t *conf, const char *brokers, const char *linger_ms)
{
	raw_set(conf, "enable.idempotence", "true");
	raw_set(conf, "acks", "all");
	raw_set(conf, "linger.ms", linger_ms);
	return raw_open(RD_KAFKA_PRODUCER, conf, brokers);
}

static inline rd_kafka_topic_t *raw_topic(rd_kafka_t *client, const char *name)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);

	if (!topic)
		raw_die(name, rd_kafka_err2str(rd_kafka_last_error()));
	return topic;
}

#endif
