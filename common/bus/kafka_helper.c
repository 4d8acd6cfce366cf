/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_helper.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/mem.h"
#include "bus/kafka_ask.h"
#include "bus/kafka_ring.h"

#define ENDS_TIMEOUT_MS 2000
#define ENDS_ONE_TIMEOUT_MS 200
#define ENDS_TRIES 10
#define ENDS_PAUSE_MS 50
#define COUNT_TIMEOUT_MS 1000
#define PROBE_TIMEOUT_MS 1000
#define WAKE_TIMEOUT_MS 500

struct job_list {
	struct helper_job *first;
	struct helper_job **end;
};

struct helper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job_list todo;
	struct job_list done;
	bool stopping;
	int fd;
};

static void list_init(struct job_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void list_push(struct job_list *list, struct helper_job *job)
{
	job->next = NULL;
	*list->end = job;
	list->end = &job->next;
}

static struct helper_job *list_pop(struct job_list *list)
{
	struct helper_job *job = list->first;

	if (job) {
		list->first = job->next;
		if (!list->first)
			list->end = &list->first;
	}
	return job;
}

struct helper_job *helper_job_new(enum helper_kind kind, rd_kafka_t *rk)
{
	struct helper_job *job = mem_alloc(sizeof(*job));

	job->kind = kind;
	job->rk = rk;
	return job;
}

void helper_job_free(struct helper_job *job)
{
	if (!job)
		return;
	if (job->partitions)
		rd_kafka_topic_partition_list_destroy(job->partitions);
	free(job->topic);
	free(job);
}

/* "The first record at or after timestamp -1" is how the protocol asks for the end: one request a leader, whatever the number
 * of partitions. */
static rd_kafka_resp_err_t ends_once(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions, int timeout_ms)
{
	for (int i = 0; i < partitions->cnt; i++)
		partitions->elems[i].offset = RD_KAFKA_OFFSET_END;
	return rd_kafka_offsets_for_times(rk, partitions, timeout_ms);
}

/* One partition that has no leader, or does not exist, fails the request as a whole. */
static void ends_one_by_one(struct helper_job *job)
{
	for (int i = 0; i < job->partitions->cnt; i++) {
		rd_kafka_topic_partition_t *partition = &job->partitions->elems[i];
		rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
		rd_kafka_topic_partition_list_add(one, partition->topic, partition->partition);
		rd_kafka_resp_err_t err = ends_once(job->rk, one, ENDS_ONE_TIMEOUT_MS);
		partition->offset = one->elems[0].offset;
		partition->err = err ? err : one->elems[0].err;
		rd_kafka_topic_partition_list_destroy(one);
	}
	job->err = RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* The leader of a topic made a moment ago may not know yet that it is. */
static void ask_ends(struct helper_job *job)
{
	for (int try = 0; try < ENDS_TRIES; try++) {
		job->err = ends_once(job->rk, job->partitions, ENDS_TIMEOUT_MS);
		if (job->err != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION && job->err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
			break;
		nanosleep(&(struct timespec){.tv_nsec = ENDS_PAUSE_MS * 1000000L}, NULL);
	}
	if (job->err && job->err != RD_KAFKA_RESP_ERR__TIMED_OUT && job->err != RD_KAFKA_RESP_ERR__TRANSPORT &&
	    job->partitions->cnt > 1)
		ends_one_by_one(job);
}

static void ask_count(struct helper_job *job)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_topic_t *topic = rd_kafka_topic_new(job->rk, job->topic, NULL);

	if (!topic) {
		job->err = rd_kafka_last_error();
		return;
	}
	job->err = rd_kafka_metadata(job->rk, 0, topic, &metadata, COUNT_TIMEOUT_MS);
	if (!job->err) {
		if (metadata->topic_cnt == 1) {
			job->err = metadata->topics[0].err;
			job->count = metadata->topics[0].partition_cnt;
		}
		rd_kafka_metadata_destroy(metadata);
	}
	rd_kafka_topic_destroy(topic);
}

static void probe(struct helper_job *job)
{
	const struct rd_kafka_metadata *metadata;

	job->err = rd_kafka_metadata(job->rk, 0, NULL, &metadata, PROBE_TIMEOUT_MS);
	if (!job->err)
		rd_kafka_metadata_destroy(metadata);
}

static void work(struct helper_job *job)
{
	switch (job->kind) {
	case HELPER_ENDS:
		ask_ends(job);
		break;
	case HELPER_COUNT:
		ask_count(job);
		break;
	case HELPER_PROBE:
		probe(job);
		break;
	case HELPER_WAKE:
		job->err = ends_once(job->rk, job->partitions, WAKE_TIMEOUT_MS);
		break;
	case HELPER_TOPICS:
		kafka_ask_topics(job);
		break;
	case HELPER_GROUP:
		kafka_ask_group(job);
		break;
	case HELPER_DESTROY:
		rd_kafka_destroy_flags(job->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
		break;
	}
}

static void *run(void *arg)
{
	struct helper *helper = arg;

	pthread_mutex_lock(&helper->lock);
	for (;;) {
		struct helper_job *job = list_pop(&helper->todo);
		if (!job) {
			if (helper->stopping)
				break;
			pthread_cond_wait(&helper->wake, &helper->lock);
			continue;
		}
		bool wanted = !helper->stopping || job->kind == HELPER_DESTROY;
		pthread_mutex_unlock(&helper->lock);
		if (wanted)
			work(job);
		pthread_mutex_lock(&helper->lock);
		list_push(&helper->done, job);
		kafka_ring(helper->fd);
	}
	pthread_mutex_unlock(&helper->lock);
	return NULL;
}

struct helper *helper_new(int fd)
{
	struct helper *helper = mem_alloc(sizeof(*helper));
	sigset_t all, before;

	helper->fd = fd;
	pthread_mutex_init(&helper->lock, NULL);
	pthread_cond_init(&helper->wake, NULL);
	list_init(&helper->todo);
	list_init(&helper->done);

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&helper->thread, NULL, run, helper);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed) {
		free(helper);
		return NULL;
	}
	return helper;
}

void helper_free(struct helper *helper)
{
	struct helper_job *job;

	if (!helper)
		return;
	pthread_mutex_lock(&helper->lock);
	helper->stopping = true;
	pthread_cond_signal(&helper->wake);
	pthread_mutex_unlock(&helper->lock);
	pthread_join(helper->thread, NULL);

	assert(!helper->todo.first);
	while ((job = list_pop(&helper->done)))
		helper_job_free(job);
	pthread_cond_destroy(&helper->wake);
	pthread_mutex_destroy(&helper->lock);
	free(helper);
}

void helper_submit(struct helper *helper, struct helper_job *job)
{
	pthread_mutex_lock(&helper->lock);
	assert(!helper->stopping);
	list_push(&helper->todo, job);
	pthread_cond_signal(&helper->wake);
	pthread_mutex_unlock(&helper->lock);
}

struct helper_job *helper_take(struct helper *helper)
{
	pthread_mutex_lock(&helper->lock);
	struct helper_job *job = list_pop(&helper->done);
	pthread_mutex_unlock(&helper->lock);
	return job;
}
