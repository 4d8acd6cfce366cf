/* SPDX-License-Identifier: Apache-2.0 */
#include "task/result.h"

#include "task/failure.h"

void result_of_task(const struct task *task, struct result *ret)
{
	result_init(ret);
	ret->format = task->format;
	ret->workflow_id = task->workflow_id;
	ret->activity_id = task->activity_id;
	ret->activity_type = task->activity_type;
}

struct bytes result_reply_key(const struct task *task, struct bytes task_key)
{
	return bytes_present(task->workflow_id) ? task->workflow_id : task_key;
}

static const struct failure *failure_too_large(const struct result *whole, size_t bytes, int64_t max_bytes, struct arena *arena)
{
	struct failure *failure = arena_alloc(arena, sizeof(*failure));

	failure_init(failure);
	failure->type = bytes_present(whole->result.data) ? BYTES_LIT("ResultTooLarge") : BYTES_LIT("TooLarge");
	failure->message = arena_printf(arena, "the result record has %zu bytes, at most %lld are accepted", bytes,
					(long long)max_bytes);
	failure->non_retryable = true;
	failure->cause = whole->failure ? failure_cut(whole->failure, FAILURE_KEEP_BYTES, arena) : NULL;
	return failure;
}

struct result result_too_large(const struct result *whole, size_t bytes, int64_t max_bytes, struct arena *arena)
{
	struct result small = *whole;

	if (whole->status == RESULT_COMPLETED) {
		small.status = RESULT_FAILED;
		small.retry_state = RETRY_STATE_NON_RETRYABLE_FAILURE;
	}
	small.result = (struct payload){.data = BYTES_NONE};
	small.last_heartbeat_details = (struct payload){.data = BYTES_NONE};
	small.failure = failure_too_large(whole, bytes, max_bytes, arena);
	return small;
}

struct bytes queue_of_topic(struct bytes topic, const char *prefix)
{
	size_t head = strlen(prefix) + strlen("tasks.");

	return topic.len > head ? (struct bytes){topic.data + head, topic.len - head} : topic;
}
