/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/watch_impl.h"
#include "task/deadlines.h"

/* What of a task record concerns the watch. A record that cannot be understood is the workers' to refuse. */

static bool contains(struct bytes value, const char *text)
{
	return memmem(value.data, value.len, text, strlen(text)) != NULL;
}

/* JSON that names no schedule timeout needs no decoding. A name may be spelled with escapes, and a command may have set one. */
static bool may_have_deadline(struct bytes value, struct headers headers)
{
	if (value.len >= 2 && memcmp(value.data, "\xc3\x01", 2) == 0)
		return true;
	for (size_t i = 0; i < headers.len; i++) {
		if (bytes_is(headers.items[i].name, HEADER_OPTIONS))
			return true;
	}
	return contains(value, "schedule_to_") || contains(value, "\\u");
}

static int64_t first_set(int64_t a_ms, int64_t b_ms)
{
	return a_ms != TASK_UNSET ? a_ms : b_ms;
}

/* A task that nobody has taken yet is dispatched when its start delay is over. */
static int64_t dispatched_at_ms(const struct task *task, const struct dispatch *dispatch, int64_t scheduled_at_ms,
				int64_t timestamp_ms)
{
	int64_t delayed_ms = deadline_add_ms(scheduled_at_ms, task->start_delay_ms);

	if (dispatch->dispatched_at_ms != TASK_UNSET)
		return dispatch->dispatched_at_ms;
	return delayed_ms != TASK_UNSET && delayed_ms > timestamp_ms ? delayed_ms : timestamp_ms;
}

/* The end of schedule-to-start is armed where it comes first. That of schedule-to-close is armed by the journal for every
 * attempt but the first. */
static bool set_deadlines(const struct task *task, const struct dispatch *dispatch, int64_t timestamp_ms, struct watched *ret)
{
	int64_t scheduled_at_ms = first_set(dispatch->scheduled_at_ms, first_set(task->scheduled_at_ms, timestamp_ms));
	struct timeouts timeouts;

	if (timeouts_normalise(task, 1, &timeouts, NULL) != MR_OK)
		return false;
	ret->close_at_ms = deadline_close_ms(&timeouts, scheduled_at_ms, task->start_delay_ms);
	ret->start_at_ms = deadline_start_ms(&timeouts, dispatched_at_ms(task, dispatch, scheduled_at_ms, timestamp_ms));
	if (ret->close_at_ms != TASK_UNSET && ret->start_at_ms >= ret->close_at_ms)
		ret->start_at_ms = TASK_UNSET;
	if (dispatch->attempt > 1)
		ret->close_at_ms = TASK_UNSET;
	return ret->start_at_ms != TASK_UNSET || ret->close_at_ms != TASK_UNSET;
}

static struct bytes or_else(struct bytes a, struct bytes b)
{
	return bytes_present(a) ? a : b;
}

bool watch_understand(struct watch *watch, const struct bus_message *message, bool anyway, struct watched *ret)
{
	struct scheduler *s = watch->s;
	struct task task;
	struct dispatch dispatch;
	bool has_key, has_deadline;

	if (!bytes_present(message->value) || (!anyway && !may_have_deadline(message->value, message->headers)))
		return false;
	task_init(&task);
	if (wire_decode_task(s->links.wire, message->value, &s->arena, &task, &has_key, NULL) != MR_OK ||
	    !dispatch_parse(message->headers, &dispatch, NULL))
		return false;
	/* Where they do not fit the task is as it was. */
	if (bytes_present(dispatch.options))
		wire_options_apply(dispatch.options, &s->arena, &task, NULL);
	has_deadline = set_deadlines(&task, &dispatch, message->timestamp_ms, ret);
	if (!has_deadline && !anyway)
		return false;
	ret->place = arena_printf(&s->arena, "%s:%d:%lld", message->topic, (int)message->partition, (long long)message->offset);
	ret->key = or_else(dispatch.key, task_key(&task, ret->place, &s->arena));
	ret->run_id = or_else(dispatch.run_id, or_else(task.run_id, ret->place));
	ret->epoch = dispatch.epoch;
	ret->attempt = dispatch.attempt;
	ret->shard = task_shard(ret->key, s->config.shards);
	return true;
}
