/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ending.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/ending_impl.h"

static struct payload copy_payload(struct arena *arena, const struct payload *payload)
{
	return (struct payload){
		.data = arena_copy(arena, payload->data),
		.content_type = arena_copy(arena, payload->content_type),
		.encoding = arena_copy(arena, payload->encoding),
	};
}

static const struct failure *copy_failure(struct arena *arena, const struct failure *failure)
{
	struct failure *copy;

	if (!failure)
		return NULL;
	copy = arena_alloc(arena, sizeof(*copy));
	*copy = *failure;
	copy->type = arena_copy(arena, failure->type);
	copy->message = arena_copy(arena, failure->message);
	copy->details = copy_payload(arena, &failure->details);
	copy->cause = copy_failure(arena, failure->cause);
	return copy;
}

/* What a decision needs of the task's state. */
static void copy_view(struct arena *arena, const struct task_view *view, struct task_view *ret)
{
	*ret = *view;
	ret->run_id = arena_copy(arena, view->run_id);
	ret->nonce = arena_copy(arena, view->nonce);
	ret->worker = arena_copy(arena, view->worker);
	ret->record_id = arena_copy(arena, view->record_id);
	ret->options = arena_copy(arena, view->options);
	ret->heartbeat = copy_payload(arena, &view->heartbeat);
	ret->replies = ret->request_ids = BYTES_NONE;
	ret->publication = (struct store_publication){.value = BYTES_NONE};
	ret->attempt = view->attempt > 0 ? view->attempt : 1;
}

static void copy_request(struct end *end, const struct ending_request *request)
{
	struct arena *arena = &end->arena;

	end->request = *request;
	end->request.found.key = arena_copy(arena, request->found.key);
	copy_view(arena, &request->found.view, &end->request.found.view);
	end->request.place = arena_copy(arena, request->place);
	end->request.result = copy_payload(arena, &request->result);
	end->request.failure = copy_failure(arena, request->failure);
	end->request.heartbeat = copy_payload(arena, &request->heartbeat);
}

void end_over(struct end *end, enum ending_end how)
{
	struct shard *shard = end->shard;

	map_remove(&shard->endings, end->request.found.key);
	assert(shard->s->n_jobs > 0);
	shard->s->n_jobs--;
	if (end->request.done && shard->s->attached)
		end->request.done(end->request.ctx, shard, how);
	arena_deinit(&end->arena);
	free(end);
}

/* What was found is what it was: the state in Redis is still vouched for, and ours. */
static bool is_current(const struct end *end)
{
	return end->shard->s->attached && end->shard->phase == PHASE_READY && end->shard->generation == end->generation;
}

static void look_for_record(struct end *end);

/* Fetched again, to be told of in the result. */
static void end_too_large(struct end *end)
{
	if (end->request.cause == ENDING_TOO_LARGE || !is_current(end)) {
		end_over(end, ENDING_AGAIN);
		return;
	}
	end->request.cause = ENDING_TOO_LARGE;
	look_for_record(end);
}

static void sent(struct end *end, enum mr_status status)
{
	if (status == MR_ETOO_LARGE)
		end_too_large(end);
	else
		end_over(end, status == MR_OK ? ENDING_DONE : ENDING_AGAIN);
}

static void on_delivered(struct delivery *delivery, enum mr_status status, int64_t offset)
{
	(void)offset;
	sent((struct end *)(void *)((char *)delivery - offsetof(struct end, delivery)), status);
}

/* Its options were changed since the timer was armed: it is told again until that time. */
static bool is_early(const struct end *end, const struct carried *carried, int64_t now_ms)
{
	return end->request.cause == ENDING_TIMEOUT && end->request.timeout == TIMEOUT_SCHEDULE_TO_CLOSE &&
	       end->request.found.view.state != VIEW_STARTED && carried->close_deadline_ms != TASK_UNSET &&
	       carried->close_deadline_ms > now_ms;
}

/* The record is at hand, during this call. */
static void act(struct end *end, struct carried *carried)
{
	struct scheduler *s = end->shard->s;
	int64_t now_ms = s->links.redis->time_ms(s->links.store, s->now_us);
	struct verdict verdict;
	enum mr_status status;

	/* This side's idea of Redis' clock is a little behind, and a timer that Redis says is due is due. */
	if (now_ms < end->request.due_ms)
		now_ms = end->request.due_ms;
	if (is_early(end, carried, now_ms)) {
		end_over(end, ENDING_STALE);
		return;
	}
	verdict = end_decide(end, carried, now_ms);
	if (!verdict.retry) {
		end_close(end, carried, &verdict, now_ms);
		return;
	}
	status = end_retry(end, carried, &verdict, now_ms);
	if (status != MR_OK)
		sent(end, status);
	else
		s->stats.ends_retried++;
}

static struct end *end_of(const struct fetch_want *want)
{
	return (struct end *)(void *)((char *)(uintptr_t)want - offsetof(struct end, want));
}

static bool accepts(const struct fetch_want *want, const struct journal_record *record)
{
	const struct found_task *found = &end_of(want)->request.found;

	return bytes_present(record->task) && bytes_equal(record->task_key, found->key) &&
	       bytes_equal(record->run_id, found->view.run_id);
}

static void found(struct fetch_want *want, const struct bus_message *message, const struct journal_record *record)
{
	struct end *end = end_of(want);
	struct carried carried;

	if (!is_current(end)) {
		end_over(end, ENDING_AGAIN);
	} else if (record) {
		carried_by_journal(end, record, &carried);
		act(end, &carried);
	} else if (carried_by_task(end, message, &carried)) {
		act(end, &carried);
	} else {
		end_over(end, ENDING_STALE);
	}
}

static void lost(struct fetch_want *want, enum fetch_loss loss)
{
	struct end *end = end_of(want);

	if (loss == FETCH_LATE)
		log_error("the record of a task that is to be ended cannot be read", LOG_B("task_key", end->request.found.key),
			  LOG_S("topic", want->topic ? want->topic : end->shard->s->journal_topic),
			  LOG_I("partition", want->partition), LOG_I("offset", want->offset));
	end_over(end, loss == FETCH_GONE ? ENDING_STALE : ENDING_AGAIN);
}

static bool want_place(struct end *end, struct bytes place)
{
	struct bytes topic;

	if (!bytes_present(place) || !place_parse(place, &topic, &end->want.partition, &end->want.offset))
		return false;
	end->want.topic = arena_copy(&end->arena, topic).data;
	return true;
}

static bool want_journal(struct end *end)
{
	end->want.topic = NULL;
	end->want.partition = end->shard->id;
	end->want.offset = end->request.found.view.journal_offset;
	return end->want.offset >= 0;
}

/* True where it was in memory; `end` is gone then. */
static bool act_from_cache(struct end *end)
{
	struct shard *shard = end->shard;
	struct scheduler *s = shard->s;
	struct bytes value = cache_get(s->cache, shard->id, end->want.offset);
	struct journal_record record;

	if (!bytes_present(value) || wire_decode_journal(s->links.wire, value, &end->arena, &record, NULL) != MR_OK ||
	    !accepts(&end->want, &record))
		return false;
	found(&end->want, NULL, &record);
	return true;
}

static void look_for_record(struct end *end)
{
	const struct ending_request *request = &end->request;
	bool is_known = bytes_present(request->place) ? want_place(end, request->place)
						      : want_journal(end) || want_place(end, request->found.view.record_id);

	if (!is_known) {
		log_warn("nobody knows where the record of a task is that is to be ended", LOG_B("task_key", request->found.key));
		end_over(end, ENDING_AGAIN);
	} else if (end->want.topic || !act_from_cache(end)) {
		fetch_add(end->shard->s->fetch, &end->want);
	}
}

/* Whether there is something to end, in what was found. */
static bool is_task(const struct ending_request *request)
{
	switch (request->found.view.state) {
	case VIEW_NONE:
	case VIEW_MARKED:
		return bytes_present(request->place);
	case VIEW_STARTED:
	case VIEW_SCHEDULED:
	case VIEW_BACKING_OFF:
	case VIEW_WAITING:
		return true;
	case VIEW_FINISHED:
		return false;
	}
	abort();
}

static void refuse(struct shard *shard, const struct ending_request *request, enum ending_end how)
{
	if (request->done)
		request->done(request->ctx, shard, how);
}

void ending_begin(struct shard *shard, const struct ending_request *request)
{
	struct scheduler *s = shard->s;
	struct end *end;

	if (!is_task(request)) {
		refuse(shard, request, ENDING_STALE);
		return;
	}
	if (shard->phase != PHASE_READY || s->n_jobs >= JOBS_MAX || map_get(&shard->endings, request->found.key)) {
		refuse(shard, request, ENDING_AGAIN);
		return;
	}
	end = mem_alloc(sizeof(*end));
	end->shard = shard;
	end->generation = shard->generation;
	end->want = (struct fetch_want){.shard = shard, .accepts = accepts, .found = found, .lost = lost};
	end->delivery.done = on_delivered;
	copy_request(end, request);
	map_put(&shard->endings, end->request.found.key, end);
	s->n_jobs++;
	look_for_record(end);
}

void ending_by_flags(struct shard *shard, const struct found_task *task)
{
	const struct ending_request request = {
		.found = *task,
		.cause = task->view.terminate_requested ? ENDING_TERMINATE : ENDING_CANCEL,
	};

	ending_begin(shard, &request);
}
