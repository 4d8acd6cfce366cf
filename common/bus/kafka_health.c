/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_health.h"

#include <stdarg.h>
#include <stdio.h>

#define PROBE_INTERVAL_US 1000000

void health_init(struct health *health, const struct bus_callbacks *callbacks)
{
	*health = (struct health){.callbacks = callbacks, .state = HEALTH_UP};
}

void health_report(struct health *health, enum mr_status status, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (health->callbacks->health)
		health->callbacks->health(health->callbacks->ctx, status, text);
}

void health_error(struct health *health, rd_kafka_resp_err_t err, const char *reason)
{
	if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		snprintf(health->reason, sizeof(health->reason), "%s", reason);
		return;
	}
	if (health->state == HEALTH_UP) {
		health->state = HEALTH_SUSPECT;
		health->probe_next_us = 0;
	}
}

void health_tick(struct health *health, struct helper *helper, rd_kafka_t *rk, int64_t now_us)
{
	if (health->state == HEALTH_UP || health->probing || now_us < health->probe_next_us)
		return;
	health->probing = true;
	helper_submit(helper, helper_job_new(HELPER_PROBE, rk));
}

static void probe_answered(struct health *health)
{
	bool was_down = health->state == HEALTH_DOWN;

	health->state = HEALTH_UP;
	health->reason[0] = '\0';
	if (was_down)
		health_report(health, MR_OK, "Kafka answers again");
}

static void probe_failed(struct health *health, rd_kafka_resp_err_t err)
{
	bool was_down = health->state == HEALTH_DOWN;

	health->state = HEALTH_DOWN;
	if (!was_down)
		health_report(health, MR_EKAFKA, "Kafka cannot be reached: %s",
			      health->reason[0] ? health->reason : rd_kafka_err2str(err));
}

void health_probed(struct health *health, rd_kafka_resp_err_t err, int64_t now_us)
{
	health->probing = false;
	health->probe_next_us = now_us + PROBE_INTERVAL_US;
	if (health->state == HEALTH_UP)
		return;
	if (err)
		probe_failed(health, err);
	else
		probe_answered(health);
}
