/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/bus.h"
#include "bus/kafka_conf.h"
#include "bus/kafka_impl.h"
#include "bus/kafka_ring.h"

#define FLUSH_MS 5000
/* There are two producers to look at. */
#define FLUSH_LOOK_MS 5

static struct kafka *kafka_of(struct bus *bus)
{
	return (struct kafka *)((char *)bus - offsetof(struct kafka, bus));
}

void kafka_on_error(struct kafka *kafka, rd_kafka_resp_err_t err, const char *reason)
{
	log_debug("Kafka error", LOG_S("error", rd_kafka_err2name(err)), LOG_S("text", reason));
	health_error(&kafka->health, err, reason);
}

void kafka_on_message_error(struct kafka *kafka, const rd_kafka_message_t *message)
{
	const char *topic = message->rkt ? rd_kafka_topic_name(message->rkt) : "";
	enum mr_status status = kafka_status(message->err);

	log_debug("Kafka error", LOG_S("topic", topic), LOG_S("error", rd_kafka_message_errstr(message)));
	if (message->err == RD_KAFKA_RESP_ERR__FATAL)
		group_fatal(&kafka->group);
	else if (status == MR_ENOT_FOUND || message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		health_report(&kafka->health, MR_ENOT_FOUND, "topic %s: %s", topic, rd_kafka_message_errstr(message));
	else if (message->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
		health_report(&kafka->health, MR_ENOT_FOUND, "consumer group: %s", rd_kafka_message_errstr(message));
}

struct bus_partition *kafka_partitions(const rd_kafka_topic_partition_list_t *list)
{
	struct bus_partition *partitions = mem_alloc((size_t)(list->cnt ? list->cnt : 1) * sizeof(*partitions));

	for (int i = 0; i < list->cnt; i++) {
		const rd_kafka_topic_partition_t *from = &list->elems[i];
		partitions[i] =
			(struct bus_partition){.topic = from->topic, .partition = from->partition, .offset = from->offset};
	}
	return partitions;
}

static void reader_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	(void)rk;
	kafka_on_error(opaque, (rd_kafka_resp_err_t)err, reason);
}

static void answer_ends(struct kafka *kafka, struct helper_job *job)
{
	CLEANUP_FREE struct bus_partition *partitions = kafka_partitions(job->partitions);
	enum mr_status status = job->err ? MR_EKAFKA : MR_OK;

	for (int i = 0; i < job->partitions->cnt; i++) {
		rd_kafka_resp_err_t err = job->err ? job->err : job->partitions->elems[i].err;
		if (err || partitions[i].offset < 0) {
			log_debug("end offset not told", LOG_S("topic", partitions[i].topic),
				  LOG_I("partition", partitions[i].partition), LOG_S("error", rd_kafka_err2str(err)));
			partitions[i].offset = -1;
			status = MR_EKAFKA;
		}
	}
	if (kafka->callbacks.ends)
		kafka->callbacks.ends(kafka->callbacks.ctx, partitions, (size_t)job->partitions->cnt, status);
}

static void answer_topics(struct kafka *kafka, const struct helper_job *job)
{
	CLEANUP_FREE struct bus_partition *topics = kafka_partitions(job->partitions);

	if (job->err)
		log_debug("topics not told", LOG_S("error", rd_kafka_err2str(job->err)));
	if (kafka->callbacks.topics)
		kafka->callbacks.topics(kafka->callbacks.ctx, topics, job->err ? 0 : (size_t)job->partitions->cnt,
					job->err ? MR_EKAFKA : MR_OK);
}

static void answer_group(struct kafka *kafka, const struct helper_job *job)
{
	CLEANUP_FREE struct bus_partition *partitions = kafka_partitions(job->partitions);

	if (job->err)
		log_debug("committed offsets not told", LOG_S("group", job->topic), LOG_S("error", rd_kafka_err2str(job->err)));
	for (int i = 0; i < job->partitions->cnt; i++) {
		if (job->err || job->partitions->elems[i].err)
			partitions[i].offset = -1;
		else if (partitions[i].offset < 0)
			partitions[i].offset = BUS_OFFSET_BEGINNING;
	}
	if (kafka->callbacks.group_offsets)
		kafka->callbacks.group_offsets(kafka->callbacks.ctx, job->topic, partitions, (size_t)job->partitions->cnt,
					       job->err ? MR_EKAFKA : MR_OK);
}

static void answer(struct kafka *kafka, struct helper_job *job, int64_t now_us)
{
	switch (job->kind) {
	case HELPER_ENDS:
		answer_ends(kafka, job);
		break;
	case HELPER_COUNT:
		producer_counted(&kafka->producer, job, now_us);
		break;
	case HELPER_PROBE:
		health_probed(&kafka->health, job->err, now_us);
		break;
	case HELPER_WAKE:
		kafka->wake_asked = false;
		break;
	case HELPER_TOPICS:
		answer_topics(kafka, job);
		break;
	case HELPER_GROUP:
		answer_group(kafka, job);
		break;
	case HELPER_DESTROY:
		break;
	}
	helper_job_free(job);
}

static void wake_starved(struct kafka *kafka)
{
	struct helper_job *job;

	if (kafka->wake_asked || kafka->queues.n_starved == 0)
		return;
	job = queues_wake_job(&kafka->queues);
	if (job) {
		helper_submit(kafka->helper, job);
		kafka->wake_asked = true;
	}
}

static int bus_kafka_fd(struct bus *bus)
{
	return kafka_of(bus)->fd;
}

static void bus_kafka_poll(struct bus *bus)
{
	struct kafka *kafka = kafka_of(bus);
	int64_t now_us = clock_mono_us();
	struct helper_job *job;

	/* First, so that what comes in meanwhile rings again. */
	kafka_ring_clear(kafka->fd);
	producer_poll(&kafka->producer);
	if (kafka->bulk.rk)
		producer_poll(&kafka->bulk);
	if (kafka->group.consumer.rk)
		group_poll(&kafka->group, now_us);
	if (kafka->reader.rk)
		consumer_poll(&kafka->reader);
	while ((job = helper_take(kafka->helper)))
		answer(kafka, job, now_us);
	health_tick(&kafka->health, kafka->helper, kafka->producer.rk, now_us);
	wake_starved(kafka);
}

static size_t bus_kafka_outstanding(struct bus *bus)
{
	return kafka_of(bus)->producer.outstanding + kafka_of(bus)->bulk.outstanding;
}

static void bus_kafka_flush(struct bus *bus, int timeout_ms)
{
	struct kafka *kafka = kafka_of(bus);
	int64_t until_us = clock_mono_us() + timeout_ms * 1000LL;

	while (bus_kafka_outstanding(bus) > 0 && clock_mono_us() < until_us) {
		if (kafka->producer.outstanding > 0)
			rd_kafka_poll(kafka->producer.rk, FLUSH_LOOK_MS);
		if (kafka->bulk.outstanding > 0)
			rd_kafka_poll(kafka->bulk.rk, FLUSH_LOOK_MS);
	}
}

static enum mr_status bus_kafka_produce(struct bus *bus, const struct bus_record *record, void *tag)
{
	struct kafka *kafka = kafka_of(bus);
	bool bulk = kafka->bulk.rk && bus_kafka_outstanding(bus) >= BUS_BULK_FROM;

	return producer_produce(bulk ? &kafka->bulk : &kafka->producer, record, tag);
}

static size_t bus_kafka_take(struct bus *bus, const char *topic, int32_t partition, struct bus_message **ret, size_t max)
{
	struct kafka *kafka = kafka_of(bus);
	size_t n = queues_take(&kafka->queues, topic, partition, ret, max);

	wake_starved(kafka);
	return n;
}

static size_t bus_kafka_take_any(struct bus *bus, struct bus_message **ret, size_t max)
{
	struct kafka *kafka = kafka_of(bus);
	size_t n = queues_take_any(&kafka->queues, ret, max);

	wake_starved(kafka);
	return n;
}

static void bus_kafka_message_free(struct bus *bus, struct bus_message *message)
{
	queues_message_free(&kafka_of(bus)->queues, message);
}

static void bus_kafka_commit(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct kafka *kafka = kafka_of(bus);

	assert(kafka->group.consumer.rk);
	group_commit(&kafka->group, partitions, n);
}

static enum mr_status bus_kafka_commit_now(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct kafka *kafka = kafka_of(bus);

	assert(kafka->group.consumer.rk);
	return group_commit_now(&kafka->group, partitions, n);
}

static enum mr_status bus_kafka_seek(struct bus *bus, const char *topic, int32_t partition, int64_t offset)
{
	return queues_seek(&kafka_of(bus)->queues, topic, partition, offset);
}

static enum mr_status bus_kafka_read(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct kafka *kafka = kafka_of(bus);
	struct mr_error err = {0};

	if (!kafka->reader.rk) {
		if (n == 0)
			return MR_OK;
		enum mr_status status = consumer_init(&kafka->reader, kafka, KAFKA_READER, rd_kafka_conf_dup(kafka->reader_conf),
						      &err);
		if (status != MR_OK) {
			log_warn("no reader", LOG_S("error", err.message));
			return status;
		}
	}
	return consumer_assign(&kafka->reader, partitions, n);
}

static enum mr_status query(struct kafka *kafka, enum helper_kind kind, rd_kafka_t *rk, const char *topic,
			    const struct bus_partition *partitions, size_t n)
{
	struct helper_job *job = helper_job_new(kind, rk);

	job->topic = topic ? mem_strdup(topic) : NULL;
	if (n > 0)
		job->partitions = rd_kafka_topic_partition_list_new((int)n);
	for (size_t i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(job->partitions, partitions[i].topic, partitions[i].partition);
	helper_submit(kafka->helper, job);
	return MR_OK;
}

static enum mr_status bus_kafka_query_ends(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	struct kafka *kafka = kafka_of(bus);

	return n == 0 ? MR_EINVAL : query(kafka, HELPER_ENDS, kafka->producer.rk, NULL, partitions, n);
}

static enum mr_status bus_kafka_query_topics(struct bus *bus, const char *begin)
{
	struct kafka *kafka = kafka_of(bus);

	return query(kafka, HELPER_TOPICS, kafka->producer.rk, begin, NULL, 0);
}

static enum mr_status bus_kafka_query_group(struct bus *bus, const char *group, const struct bus_partition *partitions, size_t n)
{
	struct kafka *kafka = kafka_of(bus);
	rd_kafka_t *rk = n > 0 ? askers_get(&kafka->askers, kafka->reader_conf, group, kafka->helper) : NULL;

	return rk ? query(kafka, HELPER_GROUP, rk, group, partitions, n) : MR_EINVAL;
}

static void bus_kafka_leave(struct bus *bus)
{
	struct kafka *kafka = kafka_of(bus);

	if (kafka->group.consumer.rk)
		group_leave(&kafka->group, clock_mono_us());
}

static bool bus_kafka_left(struct bus *bus)
{
	struct kafka *kafka = kafka_of(bus);

	return !kafka->group.consumer.rk || group_left(&kafka->group);
}

static int bus_kafka_partition_count(struct bus *bus, const char *topic)
{
	struct kafka *kafka = kafka_of(bus);

	return producer_partition_count(&kafka->producer, topic, kafka->helper, clock_mono_us());
}

/* Takes half-built ones. The helper goes first: its jobs use the handles. */
static void bus_kafka_free(struct bus *bus)
{
	struct kafka *kafka = kafka_of(bus);
	bool reachable = kafka->health.state != HEALTH_DOWN;

	helper_free(kafka->helper);
	askers_deinit(&kafka->askers);
	group_deinit(&kafka->group, reachable);
	if (kafka->reader.rk) {
		consumer_assign(&kafka->reader, NULL, 0);
		consumer_deinit(&kafka->reader, reachable);
	}
	producer_deinit(&kafka->producer, reachable ? FLUSH_MS : 0);
	producer_deinit(&kafka->bulk, reachable ? FLUSH_MS : 0);
	queues_deinit(&kafka->queues);
	if (kafka->reader_conf)
		rd_kafka_conf_destroy(kafka->reader_conf);
	if (kafka->fd >= 0)
		close(kafka->fd);
	free(kafka);
}

static const struct bus_ops OPS = {
	.free = bus_kafka_free,
	.fd = bus_kafka_fd,
	.poll = bus_kafka_poll,
	.produce = bus_kafka_produce,
	.outstanding = bus_kafka_outstanding,
	.flush = bus_kafka_flush,
	.take = bus_kafka_take,
	.take_any = bus_kafka_take_any,
	.message_free = bus_kafka_message_free,
	.commit = bus_kafka_commit,
	.commit_now = bus_kafka_commit_now,
	.seek = bus_kafka_seek,
	.read = bus_kafka_read,
	.query_ends = bus_kafka_query_ends,
	.query_topics = bus_kafka_query_topics,
	.query_group = bus_kafka_query_group,
	.leave = bus_kafka_leave,
	.left = bus_kafka_left,
	.partition_count = bus_kafka_partition_count,
};

static enum mr_status init(struct kafka *kafka, const struct bus_config *config, struct mr_error *err)
{
	enum mr_status status;

	kafka->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (kafka->fd < 0)
		return mr_error_set(err, MR_ESYSTEM, "eventfd", "%s", strerror(errno));
	kafka->helper = helper_new(kafka->fd);
	if (!kafka->helper)
		return mr_error_set(err, MR_ESYSTEM, "thread", "no thread can be started");
	status = producer_init(&kafka->producer, kafka, config, config->linger_ms, err);
	if (status == MR_OK && config->bulk_linger_ms > config->linger_ms) {
		status = producer_init(&kafka->bulk, kafka, config, config->bulk_linger_ms, err);
		kafka->producer.companion = &kafka->bulk;
	}
	if (status == MR_OK)
		status = kafka_conf_new(KAFKA_READER, config, &kafka->reader_conf, err);
	if (status != MR_OK)
		return status;
	rd_kafka_conf_set_opaque(kafka->reader_conf, kafka);
	rd_kafka_conf_set_error_cb(kafka->reader_conf, reader_error);
	return config->group ? group_init(&kafka->group, kafka, config, err) : MR_OK;
}

enum mr_status bus_kafka_new(const struct bus_config *config, const struct bus_callbacks *callbacks, struct bus **ret,
			     struct mr_error *err)
{
	struct kafka *kafka = mem_alloc(sizeof(*kafka));
	enum mr_status status;

	assert(callbacks->delivered);
	assert(!config->group || config->n_topics > 0);
	kafka->bus.ops = &OPS;
	kafka->callbacks = *callbacks;
	kafka->fd = -1;
	health_init(&kafka->health, &kafka->callbacks);
	queues_init(&kafka->queues, kafka);
	status = init(kafka, config, err);
	if (status != MR_OK) {
		bus_kafka_free(&kafka->bus);
		return status;
	}
	*ret = &kafka->bus;
	return MR_OK;
}
