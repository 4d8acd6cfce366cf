/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task with a start delay waits in the journal and the scheduler's timers, not here: it is not claimed, but journalled
 * as WAITING, and comes back when it is due. Only where Redis knows the task already it goes the ordinary way, so that a
 * further publication of a finished task gets its result.
 */
#include <assert.h>

#include "lib/worker.h"

#define DELAY_RETRY_MS 200

static int64_t due_at_ms(const struct job *job)
{
	return deadline_add_ms(job->scheduled_at_ms, job->task.start_delay_ms);
}

bool delay_applies(const struct worker *worker, const struct job *job)
{
	if (job->task.start_delay_ms == TASK_UNSET || job->attempt > 1 || job->dispatch.republished || job->delay_checked)
		return false;
	/* Redis' clock is not known before its first answer: asking it does no harm. */
	return due_at_ms(job) > worker_time_ms(worker);
}

/* Nothing is known of the task, or only what commands have said of it: that goes on with the WAITING record, unless it ends the
 * task at once. */
static bool may_wait(const struct job *job, const struct task_view *view)
{
	bool ends = view->cancel_requested || view->terminate_requested;

	if (view->state != VIEW_MARKED)
		return view->state == VIEW_NONE;
	return !ends || (view->run_id.len > 0 && !bytes_equal(view->run_id, job->run_id));
}

static void viewed(void *ctx, enum mr_status status, const struct task_view *view)
{
	struct batch *batch = ctx;
	struct worker *worker = batch->worker;
	struct job *job = batch->jobs[0];

	worker_batch_free(batch);
	if (worker->draining || !settle_is_ours(job)) {
		worker_job_free(worker, job);
	} else if (status || !view->shard_ready) {
		worker_job_state(job, JOB_WAITING);
		worker_job_wake(worker, job, DELAY_RETRY_MS);
	} else if (may_wait(job, view) && !line_is_urgent(job)) {
		journal_waiting(worker, job, due_at_ms(job));
	} else {
		job->delay_checked = true;
		worker_job_state(job, JOB_FRESH);
		claim_queue(worker, job);
	}
}

void delay_begin(struct worker *worker, struct job *job)
{
	struct batch *batch = worker_batch_new(worker);

	batch->jobs[0] = job;
	batch->n = 1;
	worker_job_state(job, JOB_DELAYED);
	if (worker->config.calls->view(worker->store, job->key, job->shard, viewed, batch) == MR_OK)
		return;
	worker_batch_free(batch);
	worker_job_state(job, JOB_WAITING);
	worker_job_wake(worker, job, DELAY_RETRY_MS);
}
