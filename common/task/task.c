/* SPDX-License-Identifier: Apache-2.0 */
#include "task/task.h"

#include <assert.h>

void task_init(struct task *task)
{
	*task = (struct task){
		.schedule_to_close_timeout_ms = TASK_UNSET,
		.schedule_to_start_timeout_ms = TASK_UNSET,
		.start_to_close_timeout_ms = TASK_UNSET,
		.heartbeat_timeout_ms = TASK_UNSET,
		.retry_policy =
			{
				.initial_interval_ms = TASK_UNSET,
				.maximum_interval_ms = TASK_UNSET,
				.maximum_attempts = TASK_UNSET,
			},
		.start_delay_ms = TASK_UNSET,
		.priority = 3,
		.scheduled_at_ms = TASK_UNSET,
	};
}

void failure_init(struct failure *failure)
{
	*failure = (struct failure){.next_retry_delay_ms = TASK_UNSET};
}

void result_init(struct result *result)
{
	*result = (struct result){
		.attempt = 1,
		.scheduled_at_ms = TASK_UNSET,
		.started_at_ms = TASK_UNSET,
		.closed_at_ms = TASK_UNSET,
	};
}

void journal_record_init(struct journal_record *record)
{
	*record = (struct journal_record){
		.attempt = 1,
		.due_at_ms = TASK_UNSET,
		.scheduled_at_ms = TASK_UNSET,
		.started_at_ms = TASK_UNSET,
		.control_offset = TASK_UNSET,
		.close_at_ms = TASK_UNSET,
		.heartbeat_timeout_ms = TASK_UNSET,
	};
}

void control_init(struct control *control)
{
	*control = (struct control){.format = TASK_AVRO};
}

static size_t escaped_len(struct bytes id)
{
	size_t len = id.len;

	for (size_t i = 0; i < id.len; i++)
		if (id.data[i] == '%' || id.data[i] == '/')
			len += 2;
	return len;
}

static char *escape(struct bytes id, char *out)
{
	for (size_t i = 0; i < id.len; i++) {
		if (id.data[i] == '%' || id.data[i] == '/') {
			memcpy(out, id.data[i] == '%' ? "%25" : "%2F", 3);
			out += 3;
		} else {
			*out++ = id.data[i];
		}
	}
	return out;
}

struct bytes task_key(const struct task *task, struct bytes record_id, struct arena *arena)
{
	if (!bytes_present(task->activity_id))
		return arena_copy(arena, record_id);
	size_t workflow_len = bytes_present(task->workflow_id) ? escaped_len(task->workflow_id) + 1 : 0;
	size_t len = workflow_len + escaped_len(task->activity_id);
	char *key = arena_alloc(arena, len + 1);
	char *p = key;
	if (workflow_len > 0) {
		p = escape(task->workflow_id, p);
		*p++ = '/';
	}
	p = escape(task->activity_id, p);
	assert(p == key + len);
	return (struct bytes){key, len};
}
