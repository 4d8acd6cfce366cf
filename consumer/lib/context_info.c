/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/log.h"
#include "lib/context.h"

/* What an attempt is told (A7), and what it says while it runs. */

#define LOG_MESSAGE_MAX_BYTES 2048

struct mr_attempt_payload context_public_payload(const struct payload *payload)
{
	return (struct mr_attempt_payload){
		.data = payload->data.data,
		.bytes = payload->data.len,
		.content_type = payload->content_type.data,
	};
}

static void fill_texts(const struct attempt_info *info, struct mr_attempt_info *ret)
{
	ret->task_key = info->task_key.data;
	ret->workflow_id = info->workflow_id.data;
	ret->activity_id = info->activity_id.data;
	ret->run_id = info->run_id.data;
	ret->activity_type = info->activity_type.data;
	ret->queue = info->queue.data;
	ret->worker = info->worker.data;
	ret->token = info->token.data;
	ret->token_bytes = info->token.len;
}

static void fill_times(const struct mr_attempt *attempt, struct mr_attempt_info *ret)
{
	const struct attempt_info *info = attempt->info;

	ret->scheduled_at_ms = info->scheduled_at_ms;
	ret->attempt_scheduled_at_ms = info->attempt_scheduled_at_ms;
	ret->started_at_ms = attempt->started_at_ms;
	ret->deadline_at_ms = info->budget_ms == TASK_UNSET ? MR_UNSET : attempt->started_at_ms + info->budget_ms;
	ret->schedule_to_close_timeout_ms = info->schedule_to_close_timeout_ms;
	ret->schedule_to_start_timeout_ms = info->schedule_to_start_timeout_ms;
	ret->start_to_close_timeout_ms = info->start_to_close_timeout_ms;
	ret->heartbeat_timeout_ms = info->heartbeat_timeout_ms;
}

static void fill_retry(const struct retry_policy *policy, struct arena *arena, struct mr_attempt_retry *ret)
{
	const char **types = arena_alloc(arena, (policy->n_non_retryable_error_types + 1) * sizeof(*types));

	for (size_t i = 0; i < policy->n_non_retryable_error_types; i++)
		types[i] = policy->non_retryable_error_types[i].data;
	*ret = (struct mr_attempt_retry){
		.initial_interval_ms = policy->initial_interval_ms,
		.backoff_coefficient = policy->backoff_coefficient,
		.maximum_interval_ms = policy->maximum_interval_ms,
		.maximum_attempts = policy->maximum_attempts,
		.non_retryable_error_types = types,
		.n_non_retryable_error_types = policy->n_non_retryable_error_types,
	};
}

static void fill_headers(const struct headers *headers, struct arena *arena, struct mr_attempt_info *ret)
{
	struct mr_attempt_header *items = arena_alloc(arena, (headers->len + 1) * sizeof(*items));

	for (size_t i = 0; i < headers->len; i++)
		items[i] = (struct mr_attempt_header){headers->items[i].name.data, headers->items[i].value.data,
						      headers->items[i].value.len};
	ret->headers = items;
	ret->n_headers = headers->len;
}

const struct mr_attempt_info *mr_info(struct mr_attempt *attempt)
{
	struct mr_attempt_info *info = attempt->public_info;

	if (info)
		return info;
	info = arena_alloc(attempt->arena, sizeof(*info));
	fill_texts(attempt->info, info);
	fill_times(attempt, info);
	fill_retry(&attempt->info->retry_policy, attempt->arena, &info->retry);
	fill_headers(&attempt->info->headers, attempt->arena, info);
	info->epoch = attempt->info->epoch;
	info->attempt = attempt->info->attempt;
	info->priority = attempt->info->priority;
	info->heartbeat_details = context_public_payload(&attempt->info->heartbeat_details);
	attempt->public_info = info;
	return info;
}

enum mr_status mr_heartbeat(struct mr_attempt *attempt, const void *data, size_t bytes, const char *content_type)
{
	struct payload details = {.data = {data, data ? bytes : 0}, .content_type = bytes_of(content_type)};
	bool fits = details.data.len + details.content_type.len <= MR_HEARTBEAT_MAX_BYTES;

	if (!fits)
		details = (struct payload){.data = BYTES_NONE};
	attempt->host->beat(attempt->host->ctx, &details);
	return fits ? MR_OK : MR_ETOO_LARGE;
}

enum mr_cancel_reason mr_cancel_reason(struct mr_attempt *attempt)
{
	switch (attempt->host->cancel_reason(attempt->host->ctx)) {
	case CANCEL_NONE:
		return MR_CANCEL_NONE;
	case CANCEL_REQUESTED:
		return MR_CANCEL_REQUESTED;
	case CANCEL_TIMED_OUT:
		return MR_CANCEL_TIMED_OUT;
	case CANCEL_WORKER_SHUTDOWN:
		return MR_CANCEL_WORKER_SHUTDOWN;
	case CANCEL_PAUSED:
		return MR_CANCEL_PAUSED;
	case CANCEL_RESET:
		return MR_CANCEL_RESET;
	}
	abort();
}

bool mr_is_cancelled(struct mr_attempt *attempt)
{
	return mr_cancel_reason(attempt) != MR_CANCEL_NONE;
}

int mr_cancel_fd(struct mr_attempt *attempt)
{
	return attempt->host->cancel_fd;
}

static enum log_level internal_level(enum mr_log_level level)
{
	switch (level) {
	case MR_LOG_DEBUG:
		return LOG_DEBUG;
	case MR_LOG_INFO:
		return LOG_INFO;
	case MR_LOG_WARN:
		return LOG_WARN;
	case MR_LOG_ERROR:
		return LOG_ERROR;
	}
	return LOG_INFO;
}

void mr_log(struct mr_attempt *attempt, enum mr_log_level level, const char *format, ...)
{
	const struct attempt_info *info = attempt->info;
	char message[LOG_MESSAGE_MAX_BYTES];
	struct log_field fields[7];
	size_t n = 0;
	va_list args;

	if (!log_enabled(internal_level(level)))
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	fields[n++] = LOG_B("key", info->task_key);
	fields[n++] = LOG_B("type", info->activity_type);
	fields[n++] = LOG_I("attempt", info->attempt);
	fields[n++] = LOG_B("queue", info->queue);
	if (bytes_present(info->workflow_id))
		fields[n++] = LOG_B("workflow_id", info->workflow_id);
	fields[n] = (struct log_field){.key = NULL};
	log_write(internal_level(level), message, fields);
}
