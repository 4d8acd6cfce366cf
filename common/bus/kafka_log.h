/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_LOG_H
#define BUS_KAFKA_LOG_H

#include <librdkafka/rdkafka.h>

/* What librdkafka has to say goes to our log: at debug, and its warnings at most once a minute as warnings (health() tells
 * what matters). @locality any thread */
void kafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text);

#endif
