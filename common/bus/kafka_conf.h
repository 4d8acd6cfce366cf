/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_CONF_H
#define BUS_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>

#include "bus/bus.h"

/* How each of our handles is configured, in one table; -X properties come last. */
enum kafka_role { KAFKA_PRODUCER = 1, KAFKA_GROUP = 2, KAFKA_READER = 4, KAFKA_ADMIN = 8 };

/* The library in use is older than `version` (0x02020000 is 2.2.0); it need not be the one this was compiled against. */
static inline bool kafka_older_than(int version)
{
	return rd_kafka_version() < version;
}

/* MR_EINVAL names the property of -X that is not accepted, and why. The caller destroys the configuration or gives it to
 * rd_kafka_new. */
enum mr_status kafka_conf_new(enum kafka_role role, const struct bus_config *config, rd_kafka_conf_t **ret, struct mr_error *err);
/* rd_kafka_new that consumes `conf` in any case. */
enum mr_status kafka_handle_new(enum kafka_role role, rd_kafka_conf_t *conf, rd_kafka_t **ret, struct mr_error *err);

/* Our code for an error of Kafka or of the library. */
enum mr_status kafka_status(rd_kafka_resp_err_t err);

#endif
