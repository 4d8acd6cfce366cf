/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "lib/ending_impl.h"

/* What the record that carries a task says of it, whether it lies in the journal or in its queue. */

static bool number_before(struct bytes *text, int64_t *ret)
{
	size_t at = text->len;
	int64_t value = 0, unit = 1;

	while (at > 0 && text->data[at - 1] >= '0' && text->data[at - 1] <= '9') {
		if (text->len - at >= 18)
			return false;
		value += (text->data[at - 1] - '0') * unit;
		unit *= 10;
		at--;
	}
	if (at == text->len || at < 2 || text->data[at - 1] != ':')
		return false;
	*ret = value;
	text->len = at - 1;
	return true;
}

bool place_parse(struct bytes place, struct bytes *ret_topic, int32_t *ret_partition, int64_t *ret_offset)
{
	int64_t partition;

	if (!number_before(&place, ret_offset) || !number_before(&place, &partition) || partition > INT32_MAX)
		return false;
	*ret_topic = place;
	*ret_partition = (int32_t)partition;
	return true;
}

static void apply_options(struct end *end, struct carried *carried)
{
	struct bytes options = end->request.found.view.options;
	struct mr_error err = {0};

	if (options.len > 0 && wire_options_apply(options, &end->arena, &carried->task, &err) != MR_OK)
		log_warn("options that a command has changed do not go with the task", LOG_B("task_key", end->request.found.key),
			 LOG_S("reason", err.message));
}

/* A worker's own default for start-to-close is not known here: then there is none. */
static void find_deadlines(struct carried *carried)
{
	struct timeouts *timeouts = &carried->timeouts;
	const struct task *task = &carried->task;

	if (timeouts_normalise(task, TASK_DURATION_MAX_MS, timeouts, NULL) != MR_OK)
		*timeouts = (struct timeouts){TASK_UNSET, TASK_UNSET, TASK_UNSET, TASK_UNSET};
	if (timeouts->start_to_close_ms == TASK_DURATION_MAX_MS)
		timeouts->start_to_close_ms = TASK_UNSET;
	carried->close_deadline_ms = deadline_close_ms(timeouts, carried->record.scheduled_at_ms, task->start_delay_ms);
}

void carried_by_journal(struct end *end, const struct journal_record *record, struct carried *ret)
{
	struct scheduler *s = end->shard->s;

	ret->record = *record;
	task_init(&ret->task);
	/* The worker that wrote the journal record understood the task; a result without its ids is still better than none. */
	if (wire_decode_task(s->links.wire, record->task, &end->arena, &ret->task, &(bool){false}, NULL) != MR_OK)
		log_warn("the task of a journal record cannot be understood", LOG_B("task_key", end->request.found.key));
	apply_options(end, ret);
	find_deadlines(ret);
}

static struct headers without_reserved(struct headers headers, struct arena *arena)
{
	struct header *items = arena_alloc(arena, (headers.len + 1) * sizeof(*items));
	size_t n = 0;

	for (size_t i = 0; i < headers.len; i++)
		if (!header_is_reserved(headers.items[i].name))
			items[n++] = headers.items[i];
	return (struct headers){items, n};
}

static int64_t first_set(int64_t a_ms, int64_t b_ms, int64_t c_ms)
{
	if (a_ms != TASK_UNSET)
		return a_ms;
	return b_ms != TASK_UNSET ? b_ms : c_ms;
}

static struct bytes first_present(struct bytes a, struct bytes b)
{
	return bytes_present(a) ? a : b;
}

/* As a worker understands it (consumer/lib/intake.c). */
static void to_record(struct end *end, const struct bus_message *message, const struct task *task,
		      const struct dispatch *dispatch, struct journal_record *ret)
{
	struct wire *wire = end->shard->s->links.wire;

	journal_record_init(ret);
	ret->record_id = arena_printf(&end->arena, "%s:%d:%lld", message->topic, (int)message->partition,
				      (long long)message->offset);
	ret->task_key = first_present(dispatch->key, task_key(task, ret->record_id, &end->arena));
	ret->run_id = first_present(dispatch->run_id, first_present(task->run_id, ret->record_id));
	ret->epoch = dispatch->epoch;
	ret->attempt = dispatch->attempt;
	ret->topic = bytes_of(message->topic);
	ret->task = message->value;
	ret->headers = without_reserved(message->headers, &end->arena);
	ret->task_record_key = message->key;
	ret->scheduled_at_ms = first_set(dispatch->scheduled_at_ms, task->scheduled_at_ms, message->timestamp_ms);
	ret->heartbeat_details = dispatch->heartbeat;
	/* A history that cannot be read is not worth the task: it is for people. */
	if (bytes_present(dispatch->history) &&
	    wire_decode_history(wire, dispatch->history, &end->arena, &ret->failures, &ret->n_failures, NULL) != MR_OK)
		ret->n_failures = 0;
}

/* Where Redis knows nothing of the task, its record says which run this is. */
static void take_run(struct end *end, const struct journal_record *record)
{
	struct task_view *view = &end->request.found.view;

	if (view->run_id.len > 0)
		return;
	view->run_id = arena_copy(&end->arena, record->run_id);
	view->epoch = record->epoch;
	view->attempt = record->attempt;
}

bool carried_by_task(struct end *end, const struct bus_message *message, struct carried *ret)
{
	struct scheduler *s = end->shard->s;
	const struct found_task *found = &end->request.found;
	struct dispatch dispatch;
	struct mr_error err = {0};

	task_init(&ret->task);
	if (!bytes_present(message->value) ||
	    wire_decode_task(s->links.wire, message->value, &end->arena, &ret->task, &(bool){false}, &err) != MR_OK ||
	    !dispatch_parse(message->headers, &dispatch, &err))
		return false;
	to_record(end, message, &ret->task, &dispatch, &ret->record);
	take_run(end, &ret->record);
	if (!bytes_equal(ret->record.task_key, found->key) || !bytes_equal(ret->record.run_id, found->view.run_id))
		return false;
	apply_options(end, ret);
	find_deadlines(ret);
	return true;
}
