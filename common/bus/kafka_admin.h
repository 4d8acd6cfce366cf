/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_ADMIN_H
#define BUS_KAFKA_ADMIN_H

#include <librdkafka/rdkafka.h>

#include "bus/topics.h"

/* A handle for blocking requests with one deadline for all of them. */
struct admin {
	const char *brokers;
	rd_kafka_t *rk;
	rd_kafka_queue_t *answers;
	int timeout_ms;
	int64_t deadline_us;
};

/* MR_EINVAL: brokers or properties. */
enum mr_status admin_init(struct admin *admin, const struct topics_spec *spec, struct mr_error *err);
void admin_deinit(struct admin *admin);
/* What is left of the time, at least 1. */
int admin_left_ms(const struct admin *admin);
bool admin_expired(const struct admin *admin);
/* Sleeps a little between two tries. */
void admin_pause(void);

/* All topics. MR_EKAFKA: no broker answers in time. The caller calls rd_kafka_metadata_destroy. */
enum mr_status admin_metadata(const struct admin *admin, const struct rd_kafka_metadata **ret, struct mr_error *err);
/* librdkafka's mock cluster answers, which has no admin API. */
bool admin_is_mock(const struct admin *admin);
/* Options with the time that is left. The caller destroys them. */
rd_kafka_AdminOptions_t *admin_options(const struct admin *admin, rd_kafka_admin_op_t op);
/* Waits for the answer to a request that was sent to `answers`. MR_EKAFKA: none, or an error as a whole. The caller destroys
 * the event. */
enum mr_status admin_answer(const struct admin *admin, const char *what, rd_kafka_event_t **ret, struct mr_error *err);

/* Partitions of a topic; 0 where it does not exist. */
int admin_partitions(const struct rd_kafka_metadata *metadata, const char *topic);

#endif
