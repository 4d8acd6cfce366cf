/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_producer.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/kafka_conf.h"
#include "bus/kafka_impl.h"
#include "bus/kafka_ring.h"

/* Whoever can name a reply topic could otherwise make this grow without bound. */
#define TOPICS_MAX 512
#define COUNT_MAX_AGE_US (60 * 1000000LL)
#define COUNT_RETRY_US 250000

struct producer_topic {
	rd_kafka_topic_t *rkt;
	int count; /* of partitions, 0 = not known */
	bool asked;
	int64_t ask_next_us;
	int64_t last_use;
	char name[];
};

static void topic_free(struct producer_topic *topic)
{
	if (topic->rkt)
		rd_kafka_topic_destroy(topic->rkt);
	free(topic);
}

static void evict(struct producer *producer)
{
	struct producer_topic *oldest = NULL;
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&producer->topics, &it))) {
		struct producer_topic *topic = slot->value;
		if (!oldest || topic->last_use < oldest->last_use)
			oldest = topic;
	}
	map_remove(&producer->topics, bytes_of(oldest->name));
	topic_free(oldest);
}

/* Making the handle begins the search for the topic's leaders, which would otherwise delay its first record by up to a second. */
static struct producer_topic *topic_get(struct producer *producer, const char *name)
{
	struct producer_topic *topic = map_get(&producer->topics, bytes_of(name));

	if (!topic) {
		rd_kafka_topic_t *rkt = rd_kafka_topic_new(producer->rk, name, NULL);
		if (!rkt)
			return NULL;
		if (producer->topics.len >= TOPICS_MAX)
			evict(producer);
		size_t len = strlen(name);
		topic = mem_alloc(sizeof(*topic) + len + 1);
		memcpy(topic->name, name, len + 1);
		topic->rkt = rkt;
		map_put(&producer->topics, bytes_of(topic->name), topic);
		if (producer->companion)
			topic_get(producer->companion, name);
	}
	topic->last_use = ++producer->uses;
	return topic;
}

static void topics_clear(struct producer *producer)
{
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&producer->topics, &it)))
		topic_free(slot->value);
	map_deinit(&producer->topics);
	producer->topics = (struct map){0};
}

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	struct producer *producer = opaque;
	const struct bus_callbacks *callbacks = &producer->kafka->callbacks;
	enum mr_status status = kafka_status(message->err);

	(void)rk;
	assert(producer->outstanding > 0);
	producer->outstanding--;
	if (message->err)
		log_debug("record not delivered", LOG_S("topic", rd_kafka_topic_name(message->rkt)),
			  LOG_S("error", rd_kafka_err2str(message->err)));
	/* The time that ran out may have run out after the broker wrote it. */
	if (status == MR_ETIMEOUT || status == MR_EFULL)
		status = MR_EKAFKA;
	callbacks->delivered(callbacks->ctx, message->_private, status, message->partition, message->err ? -1 : message->offset);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct producer *producer = opaque;

	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		char text[256];
		rd_kafka_resp_err_t cause = rd_kafka_fatal_error(rk, text, sizeof(text));
		log_warn("producer is replaced after a fatal error", LOG_S("error", rd_kafka_err2name(cause)),
			 LOG_S("text", text));
		producer->fatal = true;
		return;
	}
	kafka_on_error(producer->kafka, (rd_kafka_resp_err_t)err, reason);
}

static enum mr_status open_handle(struct producer *producer, struct mr_error *err)
{
	enum mr_status status = kafka_handle_new(KAFKA_PRODUCER, rd_kafka_conf_dup(producer->conf), &producer->rk, err);

	if (status != MR_OK)
		return status;
	producer->events = rd_kafka_queue_get_main(producer->rk);
	kafka_ring_from(producer->events, producer->kafka->fd);
	return MR_OK;
}

/* What nobody acknowledged is reported as such by the polls that follow. */
static void give_up(struct producer *producer)
{
	rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

static void close_handle(struct producer *producer)
{
	topics_clear(producer);
	rd_kafka_queue_io_event_enable(producer->events, -1, NULL, 0);
	rd_kafka_queue_destroy(producer->events);
	producer->events = NULL;
}

enum mr_status producer_init(struct producer *producer, struct kafka *kafka, const struct bus_config *config, int linger_ms,
			     struct mr_error *err)
{
	struct bus_config own = *config;
	enum mr_status status;

	own.linger_ms = linger_ms;
	status = kafka_conf_new(KAFKA_PRODUCER, &own, &producer->conf, err);
	if (status != MR_OK)
		return status;
	producer->kafka = kafka;
	rd_kafka_conf_set_opaque(producer->conf, producer);
	rd_kafka_conf_set_dr_msg_cb(producer->conf, on_delivered);
	rd_kafka_conf_set_error_cb(producer->conf, on_error);
	return open_handle(producer, err);
}

void producer_deinit(struct producer *producer, int flush_ms)
{
	if (producer->rk) {
		rd_kafka_flush(producer->rk, flush_ms);
		if (producer->outstanding > 0) {
			give_up(producer);
			rd_kafka_flush(producer->rk, 1000);
		}
		close_handle(producer);
		rd_kafka_destroy(producer->rk);
	}
	if (producer->conf)
		rd_kafka_conf_destroy(producer->conf);
}

static void replace(struct producer *producer)
{
	rd_kafka_t *old = producer->rk;
	struct mr_error err = {0};

	close_handle(producer);
	if (open_handle(producer, &err) != MR_OK) {
		/* The same configuration was good before, so the system is out of threads or files: again at the next poll. */
		log_warn("no new producer", LOG_S("error", err.message));
		producer->rk = old;
		producer->events = rd_kafka_queue_get_main(old);
		return;
	}
	helper_submit(producer->kafka->helper, helper_job_new(HELPER_DESTROY, old));
	producer->fatal = false;
}

void producer_poll(struct producer *producer)
{
	rd_kafka_poll(producer->rk, 0);
	if (!producer->fatal)
		return;
	if (producer->outstanding > 0)
		give_up(producer);
	else
		replace(producer);
}

static rd_kafka_headers_t *headers_of(struct headers headers)
{
	rd_kafka_headers_t *list = rd_kafka_headers_new(headers.len);

	for (size_t i = 0; i < headers.len; i++) {
		const struct header *header = &headers.items[i];
		rd_kafka_header_add(list, header->name.data, (ssize_t)header->name.len, header->value.data,
				    (ssize_t)header->value.len);
	}
	return list;
}

static rd_kafka_resp_err_t enqueue(struct producer *producer, rd_kafka_topic_t *rkt, const struct bus_record *record, void *tag)
{
	int32_t partition = record->partition == BUS_BY_KEY ? RD_KAFKA_PARTITION_UA : record->partition;
	rd_kafka_resp_err_t err;

	/* The library copies a payload that is there and of length 0, and writes none for NULL. */
	if (record->headers.len == 0)
		return rd_kafka_producev(producer->rk, RD_KAFKA_V_RKT(rkt), RD_KAFKA_V_PARTITION(partition),
					 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
					 RD_KAFKA_V_KEY(record->key.data, record->key.len),
					 RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.data, record->value.len),
					 RD_KAFKA_V_OPAQUE(tag), RD_KAFKA_V_END);

	rd_kafka_headers_t *headers = headers_of(record->headers);
	err = rd_kafka_producev(producer->rk, RD_KAFKA_V_RKT(rkt), RD_KAFKA_V_PARTITION(partition),
				RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(record->key.data, record->key.len),
				RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.data, record->value.len),
				RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(tag), RD_KAFKA_V_END);
	if (err)
		rd_kafka_headers_destroy(headers);
	return err;
}

enum mr_status producer_produce(struct producer *producer, const struct bus_record *record, void *tag)
{
	struct producer_topic *topic;
	rd_kafka_resp_err_t err;

	assert(record->topic && record->partition >= BUS_BY_KEY);
	if (producer->fatal)
		return MR_EFULL;
	topic = topic_get(producer, record->topic);
	if (!topic)
		return MR_ENOT_FOUND;

	err = enqueue(producer, topic->rkt, record, tag);
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		producer->fatal = true;
		return MR_EFULL;
	}
	if (!err)
		producer->outstanding++;
	return kafka_status(err);
}

int producer_partition_count(struct producer *producer, const char *name, struct helper *helper, int64_t now_us)
{
	struct producer_topic *topic = topic_get(producer, name);

	if (!topic)
		return 0;
	if (!topic->asked && now_us >= topic->ask_next_us) {
		struct helper_job *job = helper_job_new(HELPER_COUNT, producer->rk);
		job->topic = mem_strdup(name);
		helper_submit(helper, job);
		topic->asked = true;
	}
	return topic->count;
}

void producer_counted(struct producer *producer, const struct helper_job *job, int64_t now_us)
{
	struct producer_topic *topic = map_get(&producer->topics, bytes_of(job->topic));
	bool known = !job->err && job->count > 0;

	if (!topic)
		return;
	topic->asked = false;
	topic->ask_next_us = now_us + (known ? COUNT_MAX_AGE_US : COUNT_RETRY_US);
	if (known)
		topic->count = job->count;
}
