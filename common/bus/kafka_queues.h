/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_QUEUES_H
#define BUS_KAFKA_QUEUES_H

#include <librdkafka/rdkafka.h>

#include "base/map.h"
#include "bus/bus.h"
#include "bus/kafka_helper.h"

struct kafka;

/*
 * A queue of its own for each partition that is read: not taking from it is all the backpressure there is. Also the messages
 * taken out.
 *
 * librdkafka before 2.2 has no way to notice that a full queue was emptied: the thread of that broker sleeps up to a second then.
 * A queue that may have been full since it was last empty is therefore `starved`, and a small request to its leader ends that
 * sleep.
 */
struct queue {
	rd_kafka_t *rk;
	struct handle *handle;
	rd_kafka_queue_t *rkq;
	const char *topic; /* in `name` */
	int32_t partition;
	size_t taken; /* since it was last empty */
	size_t taken_bytes;
	bool starved;
	size_t name_len;
	char name[]; /* topic, NUL, the bytes of `partition`: key of the map */
};

struct message;

/* What is held of one handle's records: they pin their partition inside the library, which cannot be closed then. */
struct handle {
	rd_kafka_t *rk;
	size_t n_held;
	bool retired;
	struct handle *next;
};

struct queues {
	struct kafka *kafka;
	struct handle *handles;
	struct map by_name;
	struct queue **items;
	size_t len, cap;
	size_t turn; /* where take_any begins */
	bool wakes;  /* the library needs waking */
	size_t n_starved;
	size_t full, full_bytes; /* a queue that never held so much was never full */
	struct message *spare;
	size_t n_spare, n_held;
};

void queues_init(struct queues *queues, struct kafka *kafka);
/* Bounds of the handles' queues, from their configuration. */
void queues_set_bounds(struct queues *queues, const rd_kafka_conf_t *conf);
/* No queue is left, no message is held. */
void queues_deinit(struct queues *queues);

/* Before rd_kafka_assign, so that no record of the partition goes to the common queue. */
void queues_add(struct queues *queues, rd_kafka_t *rk, const char *topic, int32_t partition);
/* After the handle was assigned nothing. */
void queues_remove_all(struct queues *queues, rd_kafka_t *rk);
/* Takes over a handle that has no queue any more. It is destroyed when the last message taken from it is freed. */
void queues_retire(struct queues *queues, rd_kafka_t *rk);
struct queue *queues_find(const struct queues *queues, const char *topic, int32_t partition);

size_t queues_take(struct queues *queues, const char *topic, int32_t partition, struct bus_message **ret, size_t max);
size_t queues_take_any(struct queues *queues, struct bus_message **ret, size_t max);
void queues_message_free(struct queues *queues, struct bus_message *message);
enum mr_status queues_seek(struct queues *queues, const char *topic, int32_t partition, int64_t offset);
/* The job that wakes the leaders of the starved queues of one handle, or NULL. */
struct helper_job *queues_wake_job(struct queues *queues);

#endif
