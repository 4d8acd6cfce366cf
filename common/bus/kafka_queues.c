/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_queues.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/kafka_conf.h"
#include "bus/kafka_impl.h"
#include "bus/kafka_ring.h"

#define BATCH 256
#define SPARE_MAX 4096
#define TOPIC_MAX_BYTES 249
#define SEEK_TIMEOUT_MS 2000

struct message {
	struct bus_message pub;
	rd_kafka_message_t *rk;
	struct handle *handle;
	struct header *headers;
	struct message *next;
};

struct queue_name {
	size_t len;
	char data[TOPIC_MAX_BYTES + 1 + sizeof(int32_t)];
};

/* False where no topic can have that name. */
static bool name_of(const char *topic, int32_t partition, struct queue_name *ret)
{
	size_t len = strlen(topic);

	if (len > TOPIC_MAX_BYTES)
		return false;
	memcpy(ret->data, topic, len + 1);
	memcpy(ret->data + len + 1, &partition, sizeof(partition));
	ret->len = len + 1 + sizeof(partition);
	return true;
}

void queues_init(struct queues *queues, struct kafka *kafka)
{
	*queues =
		(struct queues){.kafka = kafka, .wakes = kafka_older_than(0x02020000), .full = SIZE_MAX, .full_bytes = SIZE_MAX};
}

static size_t number(const rd_kafka_conf_t *conf, const char *name)
{
	char text[32];
	size_t size = sizeof(text);
	rd_kafka_conf_res_t res = rd_kafka_conf_get(conf, name, text, &size);

	assert(res == RD_KAFKA_CONF_OK);
	return strtoull(text, NULL, 10);
}

void queues_set_bounds(struct queues *queues, const rd_kafka_conf_t *conf)
{
	/* Half, because the library counts bytes in its own way. */
	queues->full = number(conf, "queued.min.messages") / 2;
	queues->full_bytes = number(conf, "queued.max.messages.kbytes") * 1024 / 2;
}

void queues_deinit(struct queues *queues)
{
	struct message *message;
	struct handle *handle;

	assert(queues->len == 0 && queues->n_held == 0);
	while ((handle = queues->handles)) {
		assert(!handle->retired);
		queues->handles = handle->next;
		free(handle);
	}
	while ((message = queues->spare)) {
		queues->spare = message->next;
		free(message);
	}
	map_deinit(&queues->by_name);
	free(queues->items);
}

struct queue *queues_find(const struct queues *queues, const char *topic, int32_t partition)
{
	struct queue_name name;

	if (!name_of(topic, partition, &name))
		return NULL;
	return map_get(&queues->by_name, (struct bytes){name.data, name.len});
}

static void empty(rd_kafka_queue_t *rkq)
{
	rd_kafka_message_t *batch[BATCH];
	ssize_t n;

	while ((n = rd_kafka_consume_batch_queue(rkq, 0, batch, BATCH)) > 0)
		for (ssize_t i = 0; i < n; i++)
			rd_kafka_message_destroy(batch[i]);
}

static struct handle *handle_of(struct queues *queues, rd_kafka_t *rk)
{
	struct handle *handle = queues->handles;

	while (handle && handle->rk != rk)
		handle = handle->next;
	if (!handle) {
		handle = mem_alloc(sizeof(*handle));
		*handle = (struct handle){.rk = rk, .next = queues->handles};
		queues->handles = handle;
	}
	return handle;
}

static void destroy_when_free(struct queues *queues, struct handle *handle)
{
	struct handle **at = &queues->handles;

	if (!handle->retired || handle->n_held > 0)
		return;
	while (*at != handle)
		at = &(*at)->next;
	*at = handle->next;
	helper_submit(queues->kafka->helper, helper_job_new(HELPER_DESTROY, handle->rk));
	free(handle);
}

void queues_retire(struct queues *queues, rd_kafka_t *rk)
{
	struct handle *handle = handle_of(queues, rk);

	handle->retired = true;
	destroy_when_free(queues, handle);
}

void queues_add(struct queues *queues, rd_kafka_t *rk, const char *topic, int32_t partition)
{
	struct queue_name name;
	bool legal = name_of(topic, partition, &name);
	struct queue *queue;

	assert(legal && !queues_find(queues, topic, partition));
	queue = mem_alloc(sizeof(*queue) + name.len);
	queue->rk = rk;
	queue->handle = handle_of(queues, rk);
	queue->partition = partition;
	queue->name_len = name.len;
	memcpy(queue->name, name.data, name.len);
	queue->topic = queue->name;
	queue->rkq = rd_kafka_queue_get_partition(rk, topic, partition);
	assert(queue->rkq);
	rd_kafka_queue_forward(queue->rkq, NULL);
	kafka_ring_from(queue->rkq, queues->kafka->fd);
	/* A late answer to a former reader's request may lie there. Behind it nothing would ring. */
	empty(queue->rkq);

	if (queues->len == queues->cap) {
		queues->cap = queues->cap ? queues->cap * 2 : 16;
		queues->items = mem_realloc_array(queues->items, queues->cap, sizeof(struct queue *));
	}
	queues->items[queues->len++] = queue;
	map_put(&queues->by_name, (struct bytes){queue->name, queue->name_len}, queue);
}

static void queue_free(struct queue *queue)
{
	rd_kafka_queue_io_event_enable(queue->rkq, -1, NULL, 0);
	/* What is left there would keep its partition alive when the handle is destroyed. */
	empty(queue->rkq);
	rd_kafka_queue_destroy(queue->rkq);
	free(queue);
}

void queues_remove_all(struct queues *queues, rd_kafka_t *rk)
{
	size_t kept = 0;

	for (size_t i = 0; i < queues->len; i++) {
		struct queue *queue = queues->items[i];
		if (queue->rk != rk) {
			queues->items[kept++] = queue;
			continue;
		}
		map_remove(&queues->by_name, (struct bytes){queue->name, queue->name_len});
		queues->n_starved -= queue->starved;
		queue_free(queue);
	}
	queues->len = kept;
	queues->turn = 0;
}

static struct headers read_headers(const rd_kafka_message_t *rk, struct header **ret_items)
{
	rd_kafka_headers_t *list;
	struct header *items;
	size_t n;

	if (rd_kafka_message_headers(rk, &list) != RD_KAFKA_RESP_ERR_NO_ERROR || (n = rd_kafka_header_cnt(list)) == 0)
		return (struct headers){0};
	items = mem_alloc(n * sizeof(*items));
	for (size_t i = 0; i < n; i++) {
		const char *name;
		const void *value;
		size_t size;
		rd_kafka_resp_err_t err = rd_kafka_header_get_all(list, i, &name, &value, &size);
		assert(!err);
		items[i] = (struct header){.name = bytes_of(name), .value = {value, size}};
	}
	*ret_items = items;
	return (struct headers){items, n};
}

static struct bus_message *wrap(struct queues *queues, const struct queue *queue, rd_kafka_message_t *rk)
{
	struct message *message = queues->spare;

	if (message) {
		queues->spare = message->next;
		queues->n_spare--;
	} else {
		message = mem_alloc(sizeof(*message));
	}
	queues->n_held++;
	queue->handle->n_held++;
	message->rk = rk;
	message->handle = queue->handle;
	message->headers = NULL;
	message->pub = (struct bus_message){
		.topic = rd_kafka_topic_name(rk->rkt),
		.partition = queue->partition,
		.offset = rk->offset,
		.timestamp_ms = rd_kafka_message_timestamp(rk, NULL),
		.key = {rk->key, rk->key_len},
		.value = {rk->payload, rk->len},
		.headers = read_headers(rk, &message->headers),
		.impl = message,
	};
	return &message->pub;
}

void queues_message_free(struct queues *queues, struct bus_message *pub)
{
	struct message *message = pub->impl;

	assert(&message->pub == pub && queues->n_held > 0);
	queues->n_held--;
	free(message->headers);
	rd_kafka_message_destroy(message->rk);
	message->handle->n_held--;
	destroy_when_free(queues, message->handle);
	if (queues->n_spare >= SPARE_MAX) {
		free(message);
		return;
	}
	message->next = queues->spare;
	queues->spare = message;
	queues->n_spare++;
}

static void found_empty(struct queues *queues, struct queue *queue)
{
	if (queues->wakes && !queue->starved && (queue->taken_bytes >= queues->full_bytes || queue->taken >= queues->full)) {
		queue->starved = true;
		queues->n_starved++;
	}
	queue->taken = 0;
	queue->taken_bytes = 0;
}

static size_t take(struct queues *queues, struct queue *queue, struct bus_message **ret, size_t max)
{
	rd_kafka_message_t *batch[BATCH];
	size_t got = 0;

	while (got < max) {
		size_t want = max - got < BATCH ? max - got : BATCH;
		ssize_t n = rd_kafka_consume_batch_queue(queue->rkq, 0, batch, want);
		for (ssize_t i = 0; i < n; i++) {
			if (batch[i]->err) {
				kafka_on_message_error(queues->kafka, batch[i]);
				rd_kafka_message_destroy(batch[i]);
				continue;
			}
			queue->taken++;
			queue->taken_bytes += batch[i]->len + batch[i]->key_len;
			ret[got++] = wrap(queues, queue, batch[i]);
		}
		if (n < (ssize_t)want) {
			found_empty(queues, queue);
			break;
		}
	}
	return got;
}

/* Whoever got all he asked for may sleep on the fd next, and must not sleep over the rest. */
static size_t ring_for_rest(struct queues *queues, size_t got, size_t max)
{
	if (got == max && max > 0)
		kafka_ring(queues->kafka->fd);
	return got;
}

size_t queues_take(struct queues *queues, const char *topic, int32_t partition, struct bus_message **ret, size_t max)
{
	struct queue *queue = queues_find(queues, topic, partition);

	return queue ? ring_for_rest(queues, take(queues, queue, ret, max), max) : 0;
}

/* A fair share for each first, then whatever there is, beginning with another queue each time. */
size_t queues_take_any(struct queues *queues, struct bus_message **ret, size_t max)
{
	size_t got = 0;

	if (queues->len == 0 || max == 0)
		return 0;
	size_t share = (max + queues->len - 1) / queues->len;
	size_t begin = queues->turn++ % queues->len;
	for (int round = 0; round < 2; round++) {
		bool more = false;
		for (size_t i = 0; i < queues->len && got < max; i++) {
			struct queue *queue = queues->items[(begin + i) % queues->len];
			size_t want = round == 0 && share < max - got ? share : max - got;
			size_t n = take(queues, queue, ret + got, want);
			more |= n == want;
			got += n;
		}
		if (!more)
			break;
	}
	return ring_for_rest(queues, got, max);
}

/* It hands over to a thread of the library, no more. 2.0 takes the time for microseconds. */
enum mr_status queues_seek(struct queues *queues, const char *topic, int32_t partition, int64_t offset)
{
	struct queue *queue = queues_find(queues, topic, partition);

	if (!queue)
		return MR_ENOT_FOUND;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
	rd_kafka_error_t *error = rd_kafka_seek_partitions(queue->rk, list,
							   SEEK_TIMEOUT_MS * (kafka_older_than(0x02010000) ? 1000 : 1));
	rd_kafka_resp_err_t err = error ? rd_kafka_error_code(error) : list->elems[0].err;

	if (err)
		log_debug("seek refused", LOG_S("topic", topic), LOG_I("partition", partition),
			  LOG_S("error", rd_kafka_err2str(err)));
	if (error)
		rd_kafka_error_destroy(error);
	rd_kafka_topic_partition_list_destroy(list);
	queue->taken = 0;
	queue->taken_bytes = 0;
	return kafka_status(err);
}

struct helper_job *queues_wake_job(struct queues *queues)
{
	struct helper_job *job = NULL;

	for (size_t i = 0; queues->n_starved > 0 && i < queues->len; i++) {
		struct queue *queue = queues->items[i];
		if (!queue->starved || (job && job->rk != queue->rk))
			continue;
		if (!job) {
			job = helper_job_new(HELPER_WAKE, queue->rk);
			job->partitions = rd_kafka_topic_partition_list_new(1);
		}
		rd_kafka_topic_partition_list_add(job->partitions, queue->topic, queue->partition);
		queue->starved = false;
		queues->n_starved--;
	}
	return job;
}
