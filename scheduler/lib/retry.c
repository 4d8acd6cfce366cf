/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/log.h"
#include "lib/ending_impl.h"
#include "task/failure.h"

/* An attempt that ended without its worker: what follows, and the journal record that carries the task to its next attempt. */

struct payload end_heartbeat(const struct end *end, const struct carried *carried)
{
	if (bytes_present(end->request.heartbeat.data))
		return end->request.heartbeat;
	if (bytes_present(end->request.found.view.heartbeat.data))
		return end->request.found.view.heartbeat;
	return carried->record.heartbeat_details;
}

static bool waits_for_completion(const struct task_view *view)
{
	return view->state == VIEW_STARTED && view->worker.len == 0;
}

/* The timer of an attempt that nobody runs ends its own time, or all of the task's. */
static enum timeout_type timeout_of(const struct end *end, const struct carried *carried, int64_t now_ms)
{
	bool is_over = carried->close_deadline_ms != TASK_UNSET && now_ms >= carried->close_deadline_ms;

	if (end->request.cause != ENDING_TIMEOUT)
		return TIMEOUT_NONE;
	if (end->request.timeout == TIMEOUT_SCHEDULE_TO_CLOSE && waits_for_completion(&end->request.found.view) && !is_over)
		return TIMEOUT_START_TO_CLOSE;
	return end->request.timeout;
}

static int64_t budget_of(const struct timeouts *timeouts, enum timeout_type type)
{
	switch (type) {
	case TIMEOUT_NONE:
		break;
	case TIMEOUT_START_TO_CLOSE:
		return timeouts->start_to_close_ms;
	case TIMEOUT_HEARTBEAT:
		return timeouts->heartbeat_ms;
	case TIMEOUT_SCHEDULE_TO_START:
		return timeouts->schedule_to_start_ms;
	case TIMEOUT_SCHEDULE_TO_CLOSE:
		return timeouts->schedule_to_close_ms;
	}
	return TASK_UNSET;
}

static struct failure too_large(void)
{
	struct failure failure;

	failure_init(&failure);
	failure.type = BYTES_LIT("TooLarge");
	failure.message = BYTES_LIT("the record of the next attempt is refused for its size");
	failure.non_retryable = true;
	return failure;
}

static struct outcome outcome_of(const struct ending_request *request)
{
	struct outcome outcome = {.kind = OUTCOME_FAILED, .heartbeat_details = request->heartbeat};

	failure_init(&outcome.failure);
	switch (request->cause) {
	case ENDING_CANCEL:
	case ENDING_TERMINATE:
		outcome.kind = OUTCOME_CANCELED;
		break;
	case ENDING_COMPLETE:
		outcome.kind = OUTCOME_COMPLETED;
		outcome.result = request->result;
		break;
	case ENDING_FAIL:
		outcome.failure = *request->failure;
		break;
	case ENDING_TOO_LARGE:
		outcome.failure = too_large();
		break;
	case ENDING_LOST:
	case ENDING_TIMEOUT:
		break;
	}
	return outcome;
}

struct verdict end_decide(struct end *end, struct carried *carried, int64_t now_ms)
{
	const struct ending_request *request = &end->request;
	const struct task_view *view = &request->found.view;
	struct journal_record *record = &carried->record;
	struct retry_policy policy = retry_policy_effective(&carried->task.retry_policy);
	struct outcome outcome = outcome_of(request);
	struct ending ending = {
		.outcome = &outcome,
		.attempt = view->attempt,
		.policy = &policy,
		.timed_out = timeout_of(end, carried, now_ms),
		.never_started = view->state != VIEW_STARTED,
		.lost = request->cause == ENDING_LOST,
		.first_loss = view->lost == 0,
		.terminate_requested = request->cause == ENDING_TERMINATE || view->terminate_requested,
		.cancel_requested = request->cause == ENDING_CANCEL || view->cancel_requested,
		.reset_requested = view->reset_requested && request->cause != ENDING_TOO_LARGE,
		.ended_at_ms = now_ms,
		.close_deadline_ms = carried->close_deadline_ms,
	};

	ending.budget_ms = budget_of(&carried->timeouts, ending.timed_out);
	if (record->epoch == view->epoch)
		attempt_failures_add_lost(record->attempt, view->attempt, now_ms, &end->arena, &record->failures,
					  &record->n_failures);
	ending.last_failure = attempt_failures_last_real(record->failures, record->n_failures);
	return outcome_decide(&ending, &end->arena);
}

static int64_t started_at(const struct task_view *view)
{
	return view->state == VIEW_STARTED && view->started_at_ms > 0 ? view->started_at_ms : TASK_UNSET;
}

static void add_failure(struct end *end, const struct verdict *verdict, int64_t now_ms, struct journal_record *record)
{
	const struct task_view *view = &end->request.found.view;
	const struct attempt_failure failed = {
		.attempt = view->attempt,
		.started_at_ms = started_at(view),
		.failed_at_ms = now_ms,
		.failure = verdict->failure,
	};

	attempt_failures_add(record->failures, record->n_failures, &failed, &end->arena, &record->failures, &record->n_failures);
}

static void fill(struct end *end, const struct carried *carried, const struct verdict *verdict, int64_t now_ms,
		 struct journal_record *record)
{
	const struct task_view *view = &end->request.found.view;

	*record = carried->record;
	record->kind = JOURNAL_BACKOFF;
	record->task_key = end->request.found.key;
	record->run_id = view->run_id;
	record->epoch = view->epoch;
	record->attempt = view->attempt + 1;
	record->due_at_ms = now_ms + verdict->delay_ms;
	record->close_at_ms = carried->close_deadline_ms;
	record->lost = end->request.cause == ENDING_LOST ? view->lost + 1 : 0;
	record->heartbeat_details = end_heartbeat(end, carried);
	record->worker = BYTES_LIT("scheduler");
	record->nonce = view->nonce;
	record->started_at_ms = TASK_UNSET;
	add_failure(end, verdict, now_ms, record);
}

enum mr_status end_retry(struct end *end, const struct carried *carried, const struct verdict *verdict, int64_t now_ms)
{
	struct shard *shard = end->shard;
	struct scheduler *s = shard->s;
	struct journal_record record;
	struct bus_record out = {.topic = s->journal_topic, .partition = shard->id, .key = end->request.found.key};

	fill(end, carried, verdict, now_ms, &record);
	buf_reset(&s->scratch);
	wire_encode_journal(s->links.wire, &record, &s->scratch);
	out.value = buf_bytes(&s->scratch);
	log_info("attempt ended without its worker, it is retried", LOG_B("task_key", end->request.found.key),
		 LOG_I("attempt", end->request.found.view.attempt), LOG_B("failure", verdict->failure.type),
		 LOG_I("delay_ms", verdict->delay_ms));
	return bus_produce(s->links.bus, &out, &end->delivery);
}
