/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_admin.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bus/kafka_conf.h"

#define TIMEOUT_MS 10000
#define PAUSE_MS 50
#define MOCK_CLUSTER_ID "mockCluster"

/* Remembers why no broker can be reached. */
static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	(void)rk;
	if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		snprintf(opaque, 256, "%s", reason);
}

enum mr_status admin_init(struct admin *admin, const struct topics_spec *spec, struct mr_error *err)
{
	struct bus_config config = {.brokers = spec->brokers, .client_id = "millrace-setup", .properties = spec->properties};
	rd_kafka_conf_t *conf;
	enum mr_status status = kafka_conf_new(KAFKA_ADMIN, &config, &conf, err);

	if (status != MR_OK)
		return status;
	char *reason = mem_alloc(256);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_opaque(conf, reason);
	status = kafka_handle_new(KAFKA_ADMIN, conf, &admin->rk, err);
	if (status != MR_OK) {
		free(reason);
		return status;
	}
	admin->brokers = spec->brokers;
	admin->answers = rd_kafka_queue_new(admin->rk);
	admin->timeout_ms = spec->timeout_ms > 0 ? spec->timeout_ms : TIMEOUT_MS;
	admin->deadline_us = clock_mono_us() + admin->timeout_ms * 1000LL;
	return MR_OK;
}

void admin_deinit(struct admin *admin)
{
	if (!admin->rk)
		return;
	void *reason = rd_kafka_opaque(admin->rk);
	rd_kafka_queue_destroy(admin->answers);
	rd_kafka_destroy(admin->rk);
	free(reason);
}

int admin_left_ms(const struct admin *admin)
{
	int64_t left_ms = (admin->deadline_us - clock_mono_us()) / 1000;

	return left_ms > 1 ? (int)left_ms : 1;
}

bool admin_expired(const struct admin *admin)
{
	return clock_mono_us() >= admin->deadline_us;
}

void admin_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

enum mr_status admin_metadata(const struct admin *admin, const struct rd_kafka_metadata **ret, struct mr_error *err)
{
	rd_kafka_resp_err_t failed;

	do {
		failed = rd_kafka_metadata(admin->rk, 1, NULL, ret, admin_left_ms(admin));
		if (!failed)
			return MR_OK;
		rd_kafka_poll(admin->rk, 0);
		admin_pause();
	} while (!admin_expired(admin));

	const char *reason = rd_kafka_opaque(admin->rk);
	return mr_error_set(err, MR_EKAFKA, admin->brokers, "no Kafka broker answers within %d ms: %s", admin->timeout_ms,
			    *reason ? reason : rd_kafka_err2str(failed));
}

bool admin_is_mock(const struct admin *admin)
{
	char *id = rd_kafka_clusterid(admin->rk, admin_left_ms(admin));
	bool is_mock = id && strncmp(id, MOCK_CLUSTER_ID, strlen(MOCK_CLUSTER_ID)) == 0;

	if (id)
		rd_kafka_mem_free(admin->rk, id);
	return is_mock;
}

rd_kafka_AdminOptions_t *admin_options(const struct admin *admin, rd_kafka_admin_op_t op)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->rk, op);
	char text[256];

	if (rd_kafka_AdminOptions_set_request_timeout(options, admin_left_ms(admin), text, sizeof(text))) {
		fprintf(stderr, "librdkafka refuses a request timeout: %s\n", text);
		abort();
	}
	return options;
}

enum mr_status admin_answer(const struct admin *admin, const char *what, rd_kafka_event_t **ret, struct mr_error *err)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(admin->answers, admin_left_ms(admin) + 1000);

	if (!event)
		return mr_error_set(err, MR_EKAFKA, admin->brokers, "%s: no answer within %d ms", what, admin->timeout_ms);
	if (rd_kafka_event_error(event)) {
		mr_error_set(err, MR_EKAFKA, admin->brokers, "%s: %s", what, rd_kafka_event_error_string(event));
		rd_kafka_event_destroy(event);
		return MR_EKAFKA;
	}
	*ret = event;
	return MR_OK;
}

int admin_partitions(const struct rd_kafka_metadata *metadata, const char *topic)
{
	for (int i = 0; i < metadata->topic_cnt; i++)
		if (strcmp(metadata->topics[i].topic, topic) == 0)
			return metadata->topics[i].err ? 0 : metadata->topics[i].partition_cnt;
	return 0;
}
