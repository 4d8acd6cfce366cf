/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_HELPER_H
#define BUS_KAFKA_HELPER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

/* One thread for the calls of librdkafka that block. Jobs are done in order; an answer rings the eventfd and is taken by
 * helper_take. */
enum helper_kind {
	HELPER_ENDS,  /* end offsets of `partitions` into their offset; a partition that could not be asked keeps an error */
	HELPER_COUNT, /* number of partitions of `topic` into `count` */
	HELPER_PROBE, /* does any broker answer */
	HELPER_WAKE, /* a request to the leader of each of `partitions`: its thread inside the library wakes and looks for room */
	HELPER_TOPICS,  /* topics that begin with `topic` into `partitions`, see kafka_ask.h */
	HELPER_GROUP,   /* what group `topic` has committed for `partitions` */
	HELPER_DESTROY, /* the handle, which nobody uses any more; no answer */
};

struct helper_job {
	enum helper_kind kind;
	rd_kafka_t *rk; /* outlives the job */
	char *topic;
	rd_kafka_topic_partition_list_t *partitions;
	int count;
	rd_kafka_resp_err_t err;
	struct helper_job *next;
};

struct helper;

/* NULL where the system has no thread left. `fd`: the eventfd to ring. */
struct helper *helper_new(int fd);
/* Waits for the job under way (which ends by itself within seconds) and drops the others, except that handles to destroy are
 * destroyed. */
void helper_free(struct helper *helper);

struct helper_job *helper_job_new(enum helper_kind kind, rd_kafka_t *rk);
void helper_job_free(struct helper_job *job);
/* Takes the job over. */
void helper_submit(struct helper *helper, struct helper_job *job);
/* The next answer, or NULL. The caller frees it. */
struct helper_job *helper_take(struct helper *helper);

#endif
