/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_conf.h"

#include <stdio.h>

#include "base/mem.h"
#include "bus/kafka_log.h"
#include "bus/kafka_tsan.h"

#define MAX_MESSAGE_BYTES 1000000
#define QUEUE_MAX_BYTES (64 << 20)
#define PREFETCH_BYTES (1 << 20)

#define CONSUMERS (KAFKA_GROUP | KAFKA_READER)
#define EVERY (KAFKA_PRODUCER | CONSUMERS | KAFKA_ADMIN)

struct setting {
	int roles;
	const char *name;
	const char *value;
	int since; /* version of librdkafka that knows it, 0 = all */
};

static const struct setting SETTINGS[] = {
	/* An outage must cost little more than it lasts. */
	{EVERY, "reconnect.backoff.ms", "50", 0},
	{EVERY, "reconnect.backoff.max.ms", "1000", 0},
	{EVERY, "socket.timeout.ms", "10000", 0},
	{EVERY, "socket.nagle.disable", "true", 0},
	{EVERY, "socket.keepalive.enable", "true", 0},
	{EVERY, "topic.metadata.refresh.fast.interval.ms", "100", 0},

	{KAFKA_PRODUCER, "enable.idempotence", "true", 0},
	{KAFKA_PRODUCER, "acks", "all", 0},
	{KAFKA_PRODUCER, "partitioner", "murmur2_random", 0},
	/* A record waits for Kafka as long as it takes: giving up on one that may have been written is what makes 2.0 to 2.2
	 * fail fatally. */
	{KAFKA_PRODUCER, "message.timeout.ms", "0", 0},
	{KAFKA_PRODUCER, "topic.metadata.propagation.max.ms", "10000", 0},
	{KAFKA_PRODUCER, "queue.buffering.max.messages", "1000000", 0},
	/* Below max.message.bytes of every topic: a broker refuses a whole batch for its size. */
	{KAFKA_PRODUCER, "batch.size", "1000000", 0},

	{CONSUMERS, "enable.auto.commit", "false", 0},
	{CONSUMERS, "enable.auto.offset.store", "false", 0},
	{CONSUMERS, "auto.offset.reset", "earliest", 0},
	{CONSUMERS, "allow.auto.create.topics", "false", 0},
	{CONSUMERS, "fetch.min.bytes", "1", 0},
	/* A real broker answers as soon as it has a record. This is what a partition waits whose queue was full when the fetch
	 * under way was sent; the lower, the more an idle consumer costs the broker (an empty fetch of 48 partitions: over 0.5 ms). */
	{KAFKA_GROUP, "fetch.wait.max.ms", "25", 0},
	{KAFKA_READER, "fetch.wait.max.ms", "50", 0},
	{CONSUMERS, "fetch.error.backoff.ms", "100", 0},
	{CONSUMERS, "fetch.queue.backoff.ms", "5", 0x02020000},
	{CONSUMERS, "queued.min.messages", "1000000", 0},
	{CONSUMERS, "metadata.max.age.ms", "60000", 0},
	{CONSUMERS, "topic.metadata.refresh.interval.ms", "30000", 0},

	{KAFKA_GROUP, "partition.assignment.strategy", "range", 0},
	{KAFKA_GROUP, "heartbeat.interval.ms", "500", 0},
	{KAFKA_GROUP, "session.timeout.ms", "6000", 0},
	{KAFKA_GROUP, "max.poll.interval.ms", "15000", 0},
};

struct refusal {
	const char *name;
	const char *why;
};

#define SAFETY "a task could be lost or run twice without Millrace's own value"
#define ACKS "only a record that every replica has is acknowledged"
#define SHELL "it runs a program of its value's choice"

static const struct refusal REFUSALS[] = {
	{"enable.idempotence", SAFETY},
	{"acks", ACKS},
	{"request.required.acks", ACKS},
	{"delivery.report.only.error", ACKS},
	{"transactional.id", "Millrace does not use Kafka transactions"},
	{"partitioner", "every client must agree on the partition of a key"},
	{"enable.auto.commit", SAFETY},
	{"auto.commit.enable", SAFETY},
	{"enable.auto.offset.store", SAFETY},
	{"auto.offset.reset", SAFETY},
	{"enable.partition.eof", "Millrace finds the end of a partition in another way"},
	{"partition.assignment.strategy", "all members of a group must use the same one, and it must be range"},
	{"group.protocol", "the rebalance must be the classic one"},
	{"group.id", "groups are named after prefix and queue"},
	{"group.instance.id", "the worker names its own instance"},
	{"bootstrap.servers", "use --brokers"},
	{"metadata.broker.list", "use --brokers"},
	{"plugin.library.paths", SHELL},
	{"sasl.kerberos.kinit.cmd", SHELL},
};

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char text[256];

	if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
		fprintf(stderr, "librdkafka refuses %s=%s: %s\n", name, value, text);
		abort();
	}
}

static void set_number(rd_kafka_conf_t *conf, const char *name, int64_t value, int64_t min, int64_t max)
{
	char text[32];

	value = value < min ? min : value > max ? max : value;
	snprintf(text, sizeof(text), "%lld", (long long)value);
	set(conf, name, text);
}

static int64_t or_default(int64_t value, int64_t def)
{
	return value > 0 ? value : def;
}

static void set_sizes(rd_kafka_conf_t *conf, enum kafka_role role, const struct bus_config *config)
{
	int64_t message = or_default(config->max_message_bytes, MAX_MESSAGE_BYTES);
	int64_t prefetch = or_default(config->prefetch_bytes, PREFETCH_BYTES);

	set_number(conf, "message.max.bytes", message, MAX_MESSAGE_BYTES, 1000000000);
	if (role == KAFKA_PRODUCER) {
		set_number(conf, "linger.ms", config->linger_ms, 0, 900000);
		set_number(conf, "queue.buffering.max.kbytes", or_default(config->queue_max_bytes, QUEUE_MAX_BYTES) / 1024, 1,
			   INT32_MAX);
	}
	if (role & CONSUMERS) {
		set_number(conf, "queued.max.messages.kbytes", prefetch / 1024, 1, 2097151);
		/* What is on its way comes on top of the bound; a record that is larger still arrives, alone. */
		set_number(conf, "max.partition.fetch.bytes", prefetch, 64 << 10, 1 << 20);
		set_number(conf, "fetch.max.bytes", 8 << 20, message, 1000000000);
	}
}

static enum mr_status set_identity(rd_kafka_conf_t *conf, enum kafka_role role, const struct bus_config *config,
				   struct mr_error *err)
{
	const char *group = config->group ? config->group : "millrace.readers";
	char text[256];

	if (!config->brokers ||
	    rd_kafka_conf_set(conf, "bootstrap.servers", config->brokers, text, sizeof(text)) != RD_KAFKA_CONF_OK)
		return mr_error_set(err, MR_EINVAL, "brokers", "a list host:port,host:port is needed");
	if (config->client_id)
		set(conf, "client.id", config->client_id);
	/* The library wants a group for a reader as well, though that one never joins. */
	if (role & CONSUMERS)
		set(conf, "group.id", group);
	if (role == KAFKA_GROUP && config->group_instance)
		set(conf, "group.instance.id", config->group_instance);
	return MR_OK;
}

static const char *refused(const char *name)
{
	for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++)
		if (strcmp(REFUSALS[i].name, name) == 0)
			return REFUSALS[i].why;
	return NULL;
}

static enum mr_status set_property(rd_kafka_conf_t *conf, const char *property, struct mr_error *err)
{
	const char *equals = strchr(property, '=');
	char text[256];

	if (!equals || equals == property)
		return mr_error_set(err, MR_EINVAL, property, "a property of librdkafka is written property=value");

	CLEANUP_FREE char *name = mem_strndup(property, (size_t)(equals - property));
	const char *why = refused(name);
	if (why)
		return mr_error_set(err, MR_EINVAL, name, "this property may not be set: %s", why);
	if (rd_kafka_conf_set(conf, name, equals + 1, text, sizeof(text)) != RD_KAFKA_CONF_OK)
		return mr_error_set(err, MR_EINVAL, name, "librdkafka %s does not accept it: %s", rd_kafka_version_str(), text);
	return MR_OK;
}

enum mr_status kafka_conf_new(enum kafka_role role, const struct bus_config *config, rd_kafka_conf_t **ret, struct mr_error *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	enum mr_status status;

	for (size_t i = 0; i < sizeof(SETTINGS) / sizeof(SETTINGS[0]); i++)
		if ((SETTINGS[i].roles & (int)role) && !kafka_older_than(SETTINGS[i].since))
			set(conf, SETTINGS[i].name, SETTINGS[i].value);
	set_sizes(conf, role, config);
	rd_kafka_conf_set_log_cb(conf, kafka_log);

	status = set_identity(conf, role, config, err);
	for (size_t i = 0; status == MR_OK && config->properties && i < config->properties->len; i++)
		status = set_property(conf, config->properties->items[i], err);
	if (status != MR_OK) {
		rd_kafka_conf_destroy(conf);
		return status;
	}
	*ret = conf;
	return MR_OK;
}

enum mr_status kafka_handle_new(enum kafka_role role, rd_kafka_conf_t *conf, rd_kafka_t **ret, struct mr_error *err)
{
	char text[512];

	kafka_tsan_link();
	rd_kafka_t *rk = rd_kafka_new((int)role & CONSUMERS ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, text, sizeof(text));

	if (!rk) {
		rd_kafka_conf_destroy(conf);
		return mr_error_set(err, MR_EINVAL, "-X", "librdkafka: %s", text);
	}
	*ret = rk;
	return MR_OK;
}

/* Codes of Kafka and of the library are over a hundred, and new versions add to them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
enum mr_status kafka_status(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return MR_OK;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
	case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
	case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
		return MR_ETOO_LARGE;
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
		return MR_ENOT_FOUND;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
		return MR_EFULL;
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
		return MR_ETIMEOUT;
	default:
		return MR_EKAFKA;
	}
}
#pragma GCC diagnostic pop
