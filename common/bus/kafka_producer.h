/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_PRODUCER_H
#define BUS_KAFKA_PRODUCER_H

#include "base/map.h"
#include "bus/bus.h"
#include "bus/kafka_helper.h"

struct kafka;
struct producer_topic;

/* The idempotent producer: one handle at a time, replaced after a fatal error. */
struct producer {
	struct kafka *kafka;
	rd_kafka_conf_t *conf; /* to make the next handle from */
	rd_kafka_t *rk;
	rd_kafka_queue_t *events;
	struct map topics; /* name to struct producer_topic */
	int64_t uses;      /* clock of producer_topic.last_use */
	size_t outstanding;
	struct producer
		*companion; /* learns of every topic that this one learns of, so that its first record need not wait; or NULL */
	bool fatal;         /* the handle is broken: what is unacknowledged is given up, then it is replaced */
};

enum mr_status producer_init(struct producer *producer, struct kafka *kafka, const struct bus_config *config, int linger_ms,
			     struct mr_error *err);
/* Flushes for at most flush_ms, then gives up the rest; every record is reported by delivered(). */
void producer_deinit(struct producer *producer, int flush_ms);
void producer_poll(struct producer *producer);
enum mr_status producer_produce(struct producer *producer, const struct bus_record *record, void *tag);
/* As last known; a job is submitted where that is old. */
int producer_partition_count(struct producer *producer, const char *topic, struct helper *helper, int64_t now_us);
/* The answer to that job. */
void producer_counted(struct producer *producer, const struct helper_job *job, int64_t now_us);

#endif
