/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/context.h"

#include <assert.h>

#include "lib/exec_activity.h"
#include "lib/message.h"
#include "wire/wire.h"

void context_complete(struct mr_attempt *attempt, struct payload result)
{
	attempt->outcome = (struct outcome){.kind = OUTCOME_COMPLETED, .result = result};
	failure_init(&attempt->outcome.failure);
	attempt->decided = true;
}

void context_fail(struct mr_attempt *attempt, const char *type, bool non_retryable, struct bytes message)
{
	attempt->outcome = (struct outcome){.kind = OUTCOME_FAILED};
	failure_init(&attempt->outcome.failure);
	attempt->outcome.failure.type = bytes_of(type);
	attempt->outcome.failure.message = message;
	attempt->outcome.failure.non_retryable = non_retryable;
	attempt->decided = true;
}

void context_canceled(struct mr_attempt *attempt)
{
	switch (attempt->host->cancel_reason(attempt->host->ctx)) {
	case CANCEL_NONE:
		context_fail(attempt, "NotCancelRequested", false,
			     BYTES_LIT("the activity says that it was canceled, but nobody asked for it"));
		return;
	case CANCEL_REQUESTED:
		context_fail(attempt, "Canceled", false, BYTES_LIT("canceled on request"));
		attempt->outcome.kind = OUTCOME_CANCELED;
		return;
	case CANCEL_TIMED_OUT:
		context_fail(attempt, "Timeout", false, BYTES_LIT("the activity stopped because its time ran out"));
		return;
	case CANCEL_WORKER_SHUTDOWN:
		context_fail(attempt, "WorkerShutdown", false,
			     BYTES_LIT("the worker is shutting down and the activity did not complete in time"));
		return;
	case CANCEL_PAUSED:
		context_fail(attempt, "ActivityPause", false, BYTES_LIT("the activity stopped because it was paused"));
		return;
	case CANCEL_RESET:
		context_fail(attempt, "ActivityReset", false, BYTES_LIT("the activity stopped because it was reset"));
		return;
	}
	assert(!"a reason that does not exist");
}

static enum mr_attempt_end end_of(const struct mr_attempt *attempt)
{
	switch (attempt->outcome.kind) {
	case OUTCOME_COMPLETED:
		return MR_ATTEMPT_COMPLETED;
	case OUTCOME_FAILED:
		return MR_ATTEMPT_FAILED;
	case OUTCOME_CANCELED:
		return MR_ATTEMPT_CANCELED;
	case OUTCOME_PENDING:
		return MR_ATTEMPT_PENDING;
	}
	abort();
}

static struct payload copy_payload(struct arena *arena, const void *data, size_t bytes, const char *content_type)
{
	struct payload payload = {.data = BYTES_NONE};

	payload.data = arena_copy(arena, (struct bytes){data ? data : (bytes ? NULL : ""), bytes});
	payload.content_type = arena_copy(arena, bytes_of(content_type));
	return payload;
}

static bool check_size(struct mr_attempt *attempt, size_t bytes)
{
	struct bytes message;

	if (bytes <= (size_t)attempt->limits->max_output_bytes)
		return true;
	message = arena_printf(attempt->arena, "the result has %zu bytes; this worker accepts up to %lld", bytes,
			       (long long)attempt->limits->max_output_bytes);
	context_fail(attempt, "ResultTooLarge", true, message);
	return false;
}

enum mr_attempt_end mr_complete(struct mr_attempt *attempt, const void *data, size_t bytes, const char *content_type)
{
	assert(data || bytes == 0);
	if (check_size(attempt, bytes))
		context_complete(attempt, copy_payload(attempt->arena, data, bytes, content_type));
	return end_of(attempt);
}

enum mr_attempt_end mr_complete_json(struct mr_attempt *attempt, const char *json)
{
	struct bytes text = bytes_of(json);

	if (!json || !wire_is_json(text)) {
		context_fail(attempt, "BadResult", true, BYTES_LIT("the activity's result is not JSON"));
		return MR_ATTEMPT_FAILED;
	}
	return mr_complete(attempt, json, text.len, PAYLOAD_JSON);
}

__attribute__((format(printf, 2, 0))) static struct bytes format_text(struct arena *arena, const char *format, va_list args)
{
	struct buf text = {0};
	struct bytes copy;

	buf_vprintf(&text, format, args);
	copy = arena_copy(arena, buf_bytes(&text));
	buf_deinit(&text);
	return copy;
}

enum mr_attempt_end mr_complete_jsonf(struct mr_attempt *attempt, const char *format, ...)
{
	struct bytes text;
	va_list args;

	va_start(args, format);
	text = format_text(attempt->arena, format, args);
	va_end(args);
	return mr_complete_json(attempt, text.data);
}

/* `depth`: how many causes may follow. */
static void copy_failure(struct arena *arena, const struct mr_attempt_failure *from, int depth, struct failure *ret)
{
	failure_init(ret);
	ret->type = arena_copy(arena, bytes_of(from->type && *from->type ? from->type : "Failed"));
	ret->message = arena_copy(arena, bytes_of(from->message ? from->message : ""));
	ret->non_retryable = from->non_retryable;
	ret->benign = from->benign;
	ret->next_retry_delay_ms = from->next_retry_delay_ms > 0 ? from->next_retry_delay_ms : TASK_UNSET;
	if (from->details.data)
		ret->details = copy_payload(arena, from->details.data, from->details.bytes, from->details.content_type);
	if (from->cause && depth > 0) {
		struct failure *cause = arena_alloc(arena, sizeof(*cause));

		copy_failure(arena, from->cause, depth - 1, cause);
		ret->cause = cause;
	}
}

enum mr_attempt_end mr_fail(struct mr_attempt *attempt, const struct mr_attempt_failure *failure)
{
	context_fail(attempt, "Failed", false, BYTES_LIT(""));
	copy_failure(attempt->arena, failure, FAILURE_MAX_DEPTH - 1, &attempt->outcome.failure);
	return MR_ATTEMPT_FAILED;
}

enum mr_attempt_end mr_failf(struct mr_attempt *attempt, const char *type, const char *format, ...)
{
	struct mr_attempt_failure failure = {.type = type};
	va_list args;

	va_start(args, format);
	failure.message = format_text(attempt->arena, format, args).data;
	va_end(args);
	return mr_fail(attempt, &failure);
}

enum mr_attempt_end mr_fail_input(struct mr_attempt *attempt, const struct mr_error *err)
{
	struct bytes message = err->where[0] ? arena_printf(attempt->arena, "%s: %s", err->where, err->message)
					     : arena_printf(attempt->arena, "%s", err->message);

	context_fail(attempt, "BadInput", true, message);
	return MR_ATTEMPT_FAILED;
}

enum mr_attempt_end mr_canceled(struct mr_attempt *attempt)
{
	context_canceled(attempt);
	return end_of(attempt);
}

enum mr_attempt_end mr_pending(struct mr_attempt *attempt)
{
	attempt->outcome = (struct outcome){.kind = OUTCOME_PENDING};
	failure_init(&attempt->outcome.failure);
	attempt->decided = true;
	return MR_ATTEMPT_PENDING;
}

/* What was called counts; a bare return value says as much as it can. */
static void decide(struct mr_attempt *attempt, enum mr_attempt_end end)
{
	if (attempt->decided)
		return;
	switch (end) {
	case MR_ATTEMPT_COMPLETED:
		context_complete(attempt, (struct payload){.data = BYTES_NONE});
		return;
	case MR_ATTEMPT_FAILED:
		context_fail(attempt, "Failed", false, BYTES_LIT("the activity failed and did not say why"));
		return;
	case MR_ATTEMPT_CANCELED:
		context_canceled(attempt);
		return;
	case MR_ATTEMPT_PENDING:
		mr_pending(attempt);
		return;
	}
	context_fail(attempt, "Failed", true,
		     arena_printf(attempt->arena, "the activity returned %d, which means nothing", (int)end));
}

static void not_found(struct mr_attempt *attempt, const struct mr_registry *registry)
{
	struct buf types = {0};
	struct bytes message;

	registry_list(registry, &types);
	message = arena_printf(attempt->arena, "activity type %.*s is not registered; this worker has: %s",
			       BYTES_ARG(attempt->info->activity_type), buf_cstr(&types));
	buf_deinit(&types);
	context_fail(attempt, "NotFound", false, message);
}

static void run_activity(struct mr_attempt *attempt)
{
	switch (attempt->activity->kind) {
	case ACTIVITY_FUNCTION:
		decide(attempt, attempt->activity->fn(attempt, attempt->activity->user));
		break;
	case ACTIVITY_EXEC:
		exec_activity_run(attempt);
		break;
	case ACTIVITY_REMOTE:
		assert(!"a shared object's activity where it was not loaded");
		break;
	}
	assert(attempt->decided);
}

static size_t failure_bytes(const struct outcome *outcome)
{
	return message_outcome_bytes(outcome);
}

void context_bound(struct outcome *outcome, int64_t max_bytes, struct arena *arena)
{
	size_t max = (size_t)max_bytes;
	struct failure *failure = &outcome->failure;

	if (failure_bytes(outcome) <= max + 256)
		return;
	if (outcome->kind == OUTCOME_COMPLETED) {
		struct bytes message = arena_printf(arena, "the result has %zu bytes; this worker accepts up to %zu",
						    outcome->result.data.len, max);

		*outcome = (struct outcome){.kind = OUTCOME_FAILED};
		failure_init(failure);
		failure->type = BYTES_LIT("ResultTooLarge");
		failure->message = message;
		failure->non_retryable = true;
		return;
	}
	failure->details = (struct payload){.data = BYTES_NONE};
	failure->cause = NULL;
	if (failure_bytes(outcome) > max + 256) {
		failure->type.len = failure->type.len > TASK_ID_MAX_BYTES ? TASK_ID_MAX_BYTES : failure->type.len;
		failure->type = arena_copy(arena, failure->type);
		failure->message.len = failure->message.len > max / 2 ? max / 2 : failure->message.len;
		failure->message = arena_copy(arena, failure->message);
	}
}

void context_run(const struct mr_registry *registry, const struct attempt_info *info, int64_t started_at_ms,
		 const struct context_host *host, const struct context_limits *limits, struct arena *arena, struct outcome *ret)
{
	struct mr_attempt attempt = {
		.info = info,
		.activity = registry_find(registry, info->activity_type),
		.host = host,
		.limits = limits,
		.arena = arena,
		.started_at_ms = started_at_ms,
	};

	if (!attempt.activity) {
		not_found(&attempt, registry);
	} else if (context_open_input(&attempt)) {
		run_activity(&attempt);
		context_check_result(&attempt);
	}
	context_close_input(&attempt);
	context_bound(&attempt.outcome, limits->max_output_bytes, arena);
	*ret = attempt.outcome;
}
