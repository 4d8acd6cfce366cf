/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/job.h"

#include <assert.h>

#include "task/result.h"

void job_list_push(struct job_list *list, struct job *job)
{
	assert(!job->list);
	job->list = list;
	job->prev = list->tail;
	if (list->tail)
		list->tail->next = job;
	else
		list->head = job;
	list->tail = job;
	list->len++;
}

void job_list_push_front(struct job_list *list, struct job *job)
{
	assert(!job->list);
	job->list = list;
	job->next = list->head;
	if (list->head)
		list->head->prev = job;
	else
		list->tail = job;
	list->head = job;
	list->len++;
}

void job_list_remove(struct job *job)
{
	struct job_list *list = job->list;

	if (!list)
		return;
	assert(list->len > 0);
	if (job->prev)
		job->prev->next = job->next;
	else
		list->head = job->next;
	if (job->next)
		job->next->prev = job->prev;
	else
		list->tail = job->prev;
	job->prev = job->next = NULL;
	job->list = NULL;
	list->len--;
}

struct job *job_list_pop(struct job_list *list)
{
	struct job *job = list->head;

	if (job)
		job_list_remove(job);
	return job;
}

void job_list_prepend(struct job_list *list, struct job_list *from)
{
	if (!from->head)
		return;
	for (struct job *job = from->head; job; job = job->next)
		job->list = list;
	from->tail->next = list->head;
	if (list->head)
		list->head->prev = from->tail;
	else
		list->tail = from->tail;
	list->head = from->head;
	list->len += from->len;
	*from = (struct job_list){0};
}

struct claim_token job_token(const struct job *job)
{
	return (struct claim_token){
		.key = job->key,
		.shard = job->shard,
		.run_id = job->run_id,
		.epoch = job->epoch,
		.attempt = job->attempt,
		.nonce = job->nonce,
		.record_id = job->record_id,
		.started_at_ms = job->claimed_at_ms,
		.lost = job->lost,
		.journalled = job->journalled,
	};
}

struct bytes job_reply_key(const struct job *job)
{
	return result_reply_key(&job->task, job->key);
}
