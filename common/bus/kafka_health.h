/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_HEALTH_H
#define BUS_KAFKA_HEALTH_H

#include "bus/bus.h"
#include "bus/kafka_helper.h"

/*
 * Whether Kafka can be reached. The library tells when all connections are gone, which also happens when a broker closes an idle
 * one, and never when one is back: so a probe decides both ways, once a second while Kafka is away.
 *
 *   UP --all brokers down--> SUSPECT --probe failed--> DOWN --probe answered--> UP
 *                            SUSPECT --probe answered--> UP
 */
enum health_state { HEALTH_UP, HEALTH_SUSPECT, HEALTH_DOWN };

struct health {
	const struct bus_callbacks *callbacks;
	enum health_state state;
	bool probing;
	int64_t probe_next_us;
	char reason[256]; /* of the last error */
};

void health_init(struct health *health, const struct bus_callbacks *callbacks);
void health_error(struct health *health, rd_kafka_resp_err_t err, const char *reason);
/* Submits a probe where one is due. */
void health_tick(struct health *health, struct helper *helper, rd_kafka_t *rk, int64_t now_us);
void health_probed(struct health *health, rd_kafka_resp_err_t err, int64_t now_us);
/* Something of one topic or of the group, of which work goes on. */
void health_report(struct health *health, enum mr_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
