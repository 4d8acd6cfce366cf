/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 4 execute, attempts that somebody else may have ended (fence.h). Until Redis has said that such an attempt was ours to its end its
 * result is not published: after a loss of Redis nothing else would stop it from standing beside the one that came from outside.
 */
#include "lib/fence.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/worker.h"

/* How long after the command, and after each answer that the attempt is still ours; the last one again and again, since a scheduler
 * may be away for a while. */
static const int64_t ask_after_us[] = {300000, 1000000, 3000000, 10000000};
enum { ASKS = sizeof(ask_after_us) / sizeof(ask_after_us[0]) };
/* Where Redis had no answer. */
#define ASK_AGAIN_US 500000

/* How long a command may be ahead of its effect, and how many are remembered: of two that meet in one place the later. One too many
 * costs a question to Redis. */
#define REPORTS_KEEP_US INT64_C(60000000)
#define REPORTS 4096

struct report {
	uint64_t key_hash;
	int64_t at_ms;       /* by Kafka's clock */
	int64_t received_us; /* 0 = none */
	bool names_run;
};

struct reports {
	int64_t newest_us; /* 0 = none */
	struct report places[REPORTS];
};

struct reports *reports_new(void)
{
	return mem_alloc(sizeof(struct reports));
}

void reports_free(struct reports *reports)
{
	free(reports);
}

static void report_add(struct worker *worker, const struct control *control, int64_t at_ms)
{
	uint64_t hash = bytes_hash(control->task_key);

	worker->reports->newest_us = worker->now_us;
	worker->reports->places[hash % REPORTS] = (struct report){
		.key_hash = hash,
		.at_ms = at_ms,
		.received_us = worker->now_us,
		.names_run = bytes_present(control->run_id),
	};
}

static bool is_recent(const struct worker *worker, int64_t received_us)
{
	return received_us && worker->now_us - received_us <= REPORTS_KEEP_US;
}

/* One that names no run is for the run that there was: not for one that began later. */
static bool is_reported(const struct worker *worker, const struct job *job)
{
	const struct report *report;
	uint64_t hash;

	if (!is_recent(worker, worker->reports->newest_us))
		return false;
	hash = bytes_hash(job->key);
	report = &worker->reports->places[hash % REPORTS];
	return report->key_hash == hash && is_recent(worker, report->received_us) &&
	       (report->names_run || report->at_ms >= control_began_at_ms(job));
}

/* ---- asking ---- */

/* A question under way; the job may be gone before the answer. */
struct question {
	struct worker *worker;
	uint64_t handle;
};

enum answer {
	ANSWER_OURS, /* or nothing is known of the task, which says nothing against the attempt */
	ANSWER_SUPERSEDED,
	ANSWER_NONE,
};

static enum answer answer_of(const struct job *job, enum mr_status status, const struct task_view *view)
{
	if (status != MR_OK || !view->shard_ready)
		return ANSWER_NONE;
	switch (view->state) {
	case VIEW_STARTED:
		return bytes_equal(view->nonce, job->nonce) ? ANSWER_OURS : ANSWER_SUPERSEDED;
	case VIEW_SCHEDULED:
	case VIEW_BACKING_OFF:
	case VIEW_WAITING:
	case VIEW_FINISHED:
		return ANSWER_SUPERSEDED;
	case VIEW_NONE:
	case VIEW_MARKED:
		return ANSWER_OURS;
	}
	abort();
}

static void supersede(struct worker *worker, struct job *job)
{
	if (job->doubt.holds_result)
		fence_drop(worker, job);
	else if (job->state == JOB_RUNNING)
		execute_supersede(worker, job);
}

static void let_go_on(struct worker *worker, struct job *job)
{
	unsigned n = job->doubt.answers;

	if (job->doubt.holds_result) {
		job->doubt.holds_result = false;
		job_list_push(&worker->finishing, job);
		return;
	}
	job->doubt.answers += n < ASKS - 1;
	job->doubt.ask_at_us = worker->now_us + ask_after_us[job->doubt.answers];
	if (job->state == JOB_RUNNING)
		execute_arm(worker, job);
}

static void ask_later(struct worker *worker, struct job *job)
{
	job->doubt.ask_at_us = worker->now_us + ASK_AGAIN_US;
	if (job->doubt.holds_result)
		timers_set(&worker->timers, &job->timer, job->doubt.ask_at_us);
	else if (job->state == JOB_RUNNING)
		execute_arm(worker, job);
}

static struct job *job_of(const struct question *question)
{
	struct job *job = question->worker->by_entry[ledger_handle_index(question->handle)];

	return job && job->handle == question->handle ? job : NULL;
}

static void on_viewed(void *ctx, enum mr_status status, const struct task_view *view)
{
	struct question *question = ctx;
	struct worker *worker = question->worker;
	struct job *job = job_of(question);

	free(question);
	if (!job)
		return;
	job->doubt.is_asking = false;
	switch (answer_of(job, status, view)) {
	case ANSWER_OURS:
		let_go_on(worker, job);
		return;
	case ANSWER_SUPERSEDED:
		supersede(worker, job);
		return;
	case ANSWER_NONE:
		ask_later(worker, job);
		return;
	}
}

static void ask(struct worker *worker, struct job *job)
{
	struct question *question = mem_alloc(sizeof(*question));

	*question = (struct question){worker, job->handle};
	job->doubt.is_asking = true;
	if (worker->config.calls->view(worker->store, job->key, job->shard, on_viewed, question) == MR_OK)
		return;
	free(question);
	job->doubt.is_asking = false;
	ask_later(worker, job);
}

int64_t fence_next_us(const struct job *job)
{
	return job->doubt.is_open && !job->doubt.is_asking ? job->doubt.ask_at_us : INT64_MAX;
}

void fence_woken(struct worker *worker, struct job *job)
{
	if (worker->now_us >= fence_next_us(job))
		ask(worker, job);
}

bool fence_holds_result(struct worker *worker, struct job *job)
{
	if (!job->doubt.is_open)
		return false;
	assert(job->handle);
	job->doubt.holds_result = true;
	if (!job->doubt.is_asking)
		ask(worker, job);
	return true;
}

/* ---- what brings doubt ---- */

static void begin_doubt(struct worker *worker, struct job *job)
{
	if (!job->doubt.is_open)
		worker->n_doubted++;
	job->doubt.is_open = true;
	job->doubt.answers = 0;
	job->doubt.ask_at_us = worker->now_us + ask_after_us[0];
	if (job->state == JOB_RUNNING)
		execute_arm(worker, job);
}

static bool is_meant(const struct job *job, const struct control *control, int64_t at_ms)
{
	if (!bytes_equal(job->key, control->task_key))
		return false;
	if (bytes_present(control->token))
		return bytes_equal(job->nonce, control->token);
	return bytes_present(control->run_id) ? bytes_equal(job->run_id, control->run_id) : at_ms >= control_began_at_ms(job);
}

enum { CLAIMED_LISTS = 4 };

static void claimed_lists(struct worker *worker, struct job_list *ret[CLAIMED_LISTS])
{
	ret[0] = &worker->running;
	ret[1] = &worker->queued;
	ret[2] = &worker->ready;
	ret[3] = &worker->held_back;
}

void fence_command(struct worker *worker, const struct control *control, int64_t at_ms)
{
	struct job_list *lists[CLAIMED_LISTS];

	claimed_lists(worker, lists);
	for (size_t i = 0; i < CLAIMED_LISTS; i++)
		for (struct job *job = lists[i]->head; job; job = job->next)
			if (is_meant(job, control, at_ms))
				begin_doubt(worker, job);
	if (!bytes_present(control->token))
		report_add(worker, control, at_ms);
}

/* ---- attempts of one key after each other ---- */

static bool has_key(const struct job_list *list, struct bytes key)
{
	for (const struct job *job = list->head; job; job = job->next)
		if (bytes_equal(job->key, key))
			return true;
	return false;
}

/* With an executor; what has not come so far is dropped at once. */
static bool has_former(const struct worker *worker, const struct job *job)
{
	return has_key(&worker->running, job->key) || has_key(&worker->queued, job->key);
}

static void supersede_former(struct worker *worker, const struct job *job)
{
	struct job_list *lists[CLAIMED_LISTS];
	struct job *next;

	claimed_lists(worker, lists);
	for (size_t i = 0; i < CLAIMED_LISTS; i++)
		for (struct job *other = lists[i]->head; other; other = next) {
			next = other->next;
			if (!other->superseded && bytes_equal(other->key, job->key))
				execute_supersede(worker, other);
		}
}

bool fence_holds_back(struct worker *worker, struct job *job)
{
	if (is_reported(worker, job))
		begin_doubt(worker, job);
	/* Else it is the first of its task, and nobody has spoken of another one. */
	if (job->attempt == 1 && job->epoch == 0 && worker->n_doubted == 0)
		return false;
	supersede_former(worker, job);
	if (!has_former(worker, job))
		return false;
	job_list_push(&worker->held_back, job);
	return true;
}

static void go_on_held_back(struct worker *worker)
{
	struct job *next;

	for (struct job *job = worker->held_back.head; job; job = next) {
		next = job->next;
		if (has_former(worker, job))
			continue;
		job_list_remove(job);
		execute_ready(worker, job);
	}
}

void fence_drop(struct worker *worker, struct job *job)
{
	log_info("an attempt was ended from outside, its own end does not count", LOG_B("key", job->key),
		 LOG_B("type", job->task.activity_type), LOG_I("attempt", job->attempt));
	settle_job(worker, job);
	worker_job_free(worker, job);
	go_on_held_back(worker);
}

void fence_forget(struct worker *worker, struct job *job)
{
	worker->n_doubted -= job->doubt.is_open;
	job->doubt = (struct doubt){0};
}
