/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/job.h"

/*
 * A task whose next attempt its topic does not take, not even without the failures of former attempts, ends FAILED with type
 * TooLarge. Redis keeps the result in the outbox, and the sweep publishes it.
 */

static void on_finished(void *ctx, enum mr_status status, const struct finish_answer *answers, size_t n)
{
	(void)answers;
	(void)n;
	if (status != MR_OK)
		log_warn("a task that is too large could not be ended, it will be tried again",
			 LOG_S("reason", mr_status_text(status)));
	job_free(ctx);
}

static void fill(const struct job *job, const struct journal_record *record, const struct failure *failure, struct result *result)
{
	struct scheduler *s = job->shard->s;
	struct task task;

	task_init(&task);
	/* The worker that wrote the journal record understood the task; a result without its ids is still better than none. */
	if (wire_decode_task(s->links.wire, record->task, &s->arena, &task, &(bool){false}, NULL) != MR_OK)
		log_warn("the task of a journal record cannot be understood", LOG_B("task_key", job->key));
	result_init(result);
	result->format = task.format;
	result->task_key = job->key;
	result->workflow_id = task.workflow_id;
	result->activity_id = task.activity_id;
	result->run_id = job->run_id;
	result->activity_type = task.activity_type;
	result->status = RESULT_FAILED;
	result->attempt = job->attempt;
	result->failure = failure;
	result->retry_state = RETRY_STATE_NON_RETRYABLE_FAILURE;
	result->scheduled_at_ms = record->scheduled_at_ms;
	result->closed_at_ms = job->dispatched_at_ms;
	result->worker = BYTES_LIT("scheduler");
}

static struct bytes queue_of(const struct scheduler *s, struct bytes topic)
{
	size_t head = strlen(s->prefix) + strlen("tasks.");

	return topic.len > head ? (struct bytes){topic.data + head, topic.len - head} : topic;
}

void toolarge_finish(struct job *job, const struct journal_record *record)
{
	struct scheduler *s = job->shard->s;
	struct finish_request request = {.status = RESULT_FAILED, .outbox = true};
	struct failure failure;
	struct result result;

	failure_init(&failure);
	failure.type = BYTES_LIT("TooLarge");
	failure.message = BYTES_LIT("the task's topic refuses the record of the next attempt for its size");
	failure.non_retryable = true;
	fill(job, record, &failure, &result);
	result.queue = queue_of(s, record->topic);
	result.result_id = arena_printf(&s->arena, "%.*s-%lld-%lld-toolarge", BYTES_ARG(job->run_id), (long long)job->epoch,
					(long long)job->attempt);
	buf_reset(&s->scratch);
	wire_encode_result(s->links.wire, &result, &s->scratch);
	request.token = (struct claim_token){.key = job->key,
					     .shard = job->shard->id,
					     .run_id = job->run_id,
					     .epoch = job->epoch,
					     .attempt = job->attempt,
					     .nonce = result.result_id,
					     .worker = result.worker,
					     .started_at_ms = job->dispatched_at_ms,
					     .journalled = true};
	request.publication = (struct store_publication){.value = buf_bytes(&s->scratch), .headers = record->headers};
	log_error("a task ends because its topic does not take its next attempt", LOG_B("task_key", job->key),
		  LOG_B("topic", record->topic));
	job->step = JOB_CLEARING;
	if (s->links.redis->finish(s->links.store, &request, 1, on_finished, job) != MR_OK)
		job_free(job);
}
