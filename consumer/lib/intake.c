/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 2 intake: takes records while there is room (a bounded number and bounded bytes in hand; what does not fit stays in
 * Kafka), copies and decodes them. The copy frees the fetched block at once: one long task would otherwise keep a whole
 * block of others in memory.
 */
#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "lib/worker.h"

#define INTAKE_MAX 256
/* What a job costs beside its record. */
#define INTAKE_JOB_BYTES 4096
/* Of headers, and of what a task says beside its input: both fit what executors and the journal take on top of the input. */
#define INTAKE_HEADERS_BYTES (256 * 1024)
#define INTAKE_FIELDS_BYTES (448 * 1024)

static struct headers copy_headers(struct arena *arena, struct headers headers)
{
	struct header *items;

	if (headers.len == 0)
		return (struct headers){NULL, 0};
	items = arena_alloc(arena, headers.len * sizeof(items[0]));
	for (size_t i = 0; i < headers.len; i++) {
		items[i].name = arena_copy(arena, headers.items[i].name);
		items[i].value = arena_copy(arena, headers.items[i].value);
	}
	return (struct headers){items, headers.len};
}

static struct headers without_reserved(struct arena *arena, struct headers headers)
{
	struct header *items;
	size_t n = 0;

	if (headers.len == 0)
		return headers;
	items = arena_alloc(arena, headers.len * sizeof(items[0]));
	for (size_t i = 0; i < headers.len; i++)
		if (!header_is_reserved(headers.items[i].name))
			items[n++] = headers.items[i];
	return (struct headers){items, n};
}

static size_t headers_bytes(struct headers headers)
{
	size_t bytes = 0;

	for (size_t i = 0; i < headers.len; i++)
		bytes += headers.items[i].name.len + headers.items[i].value.len + 2 * sizeof(struct header);
	return bytes;
}

static struct bytes record_id(struct job *job)
{
	char digits[20];
	size_t n = sizeof(digits), name_len = strlen(job->lane->name);
	uint64_t offset = (uint64_t)job->offset;
	char *text = arena_alloc(&job->arena, name_len + 1 + sizeof(digits) + 1);

	do
		digits[--n] = (char)('0' + offset % 10);
	while ((offset /= 10) > 0);
	memcpy(text, job->lane->name, name_len);
	text[name_len] = ':';
	memcpy(text + name_len + 1, digits + n, sizeof(digits) - n);
	return (struct bytes){text, name_len + 1 + sizeof(digits) - n};
}

static struct job *job_of_message(struct worker *worker, struct lane *lane, const struct bus_message *message)
{
	struct job *job = worker_job_new(worker);

	job->lane = lane;
	job->lane_epoch = lane->epoch;
	job->offset = message->offset;
	job->value = arena_copy(&job->arena, message->value);
	job->record_key = arena_copy(&job->arena, message->key);
	job->headers = copy_headers(&job->arena, message->headers);
	job->user_headers = without_reserved(&job->arena, job->headers);
	job->record_id = record_id(job);
	job->headers_bytes = message->key.len + headers_bytes(message->headers);
	worker_job_weigh(worker, job, INTAKE_JOB_BYTES + 2 * (message->value.len + job->headers_bytes));
	return job;
}

/* Key, run, nonce and record id have to fit the ledger's entry. */
static enum mr_status check_length(const struct job *job, struct mr_error *err)
{
	size_t bytes = job->key.len + job->run_id.len + 16 + job->record_id.len;

	if (bytes > LEDGER_TEXT_BYTES)
		return mr_error_set(err, MR_EBAD_RECORD, "activity_id",
				    "workflow_id, activity_id and run_id are too long together: %zu bytes where %d are accepted",
				    bytes, LEDGER_TEXT_BYTES);
	return MR_OK;
}

/* A broker measures a record compressed, so that one may come which no executor and no other topic would take. */
static enum mr_status check_size(const struct worker *worker, struct job *job, struct mr_error *err)
{
	size_t input = job->task.input.data.len;
	size_t fields = job->value.len > input ? job->value.len - input : 0;

	if (job->headers_bytes > INTAKE_HEADERS_BYTES) {
		job->user_headers = (struct headers){NULL, 0}; /* no answer can carry them */
		return mr_error_set(err, MR_ETOO_LARGE, "headers", "the record's headers have %zu bytes; up to %d are accepted",
				    job->headers_bytes, INTAKE_HEADERS_BYTES);
	}
	if ((int64_t)input > worker->config.max_input_bytes)
		return mr_error_set(err, MR_ETOO_LARGE, "input", "the input has %zu bytes; this worker accepts up to %lld", input,
				    (long long)worker->config.max_input_bytes);
	if (fields > INTAKE_FIELDS_BYTES)
		return mr_error_set(err, MR_ETOO_LARGE, "task",
				    "the fields beside the input have %zu bytes; up to %d are accepted", fields,
				    INTAKE_FIELDS_BYTES);
	return MR_OK;
}

static struct bytes first_present(struct bytes a, struct bytes b, struct bytes c)
{
	if (bytes_present(a))
		return a;
	return bytes_present(b) ? b : c;
}

static int64_t first_set(int64_t a, int64_t b, int64_t c)
{
	if (a != TASK_UNSET)
		return a;
	return b != TASK_UNSET ? b : c;
}

static int64_t positive_or_unset(int64_t ms)
{
	return ms > 0 ? ms : TASK_UNSET;
}

/* The task's own timeouts, else its activity's, else the worker's. */
static enum mr_status set_timeouts(struct worker *worker, struct job *job, struct mr_error *err)
{
	const struct activity *activity = registry_find(worker->config.registry, job->task.activity_type);
	struct task task = job->task;
	int64_t start_to_close_ms = worker->config.start_to_close_ms;

	if (activity && task.heartbeat_timeout_ms == TASK_UNSET)
		task.heartbeat_timeout_ms = positive_or_unset(activity->heartbeat_timeout_ms);
	if (activity && activity->start_to_close_timeout_ms > 0)
		start_to_close_ms = activity->start_to_close_timeout_ms;
	return timeouts_normalise(&task, start_to_close_ms, &job->timeouts, err);
}

/* Commands have changed it since it was sent. A change that the task does not bear must not cost the task. */
static void take_options(struct job *job)
{
	struct mr_error err = {0};

	if (bytes_present(job->dispatch.options) &&
	    wire_options_apply(job->dispatch.options, &job->arena, &job->task, &err) != MR_OK)
		log_warn("changed options do not fit the task, it runs without them", LOG_B("task_key", job->key),
			 LOG_S("reason", err.message));
}

static enum mr_status understand(struct worker *worker, struct job *job, int64_t timestamp_ms, bool *ret_has_key,
				 struct mr_error *err)
{
	enum mr_status status;

	task_init(&job->task);
	*ret_has_key = false;
	if (!bytes_present(job->value))
		return mr_error_set(err, MR_EBAD_RECORD, "", "the record has no value");
	status = wire_decode_task(worker->config.wire, job->value, &job->arena, &job->task, ret_has_key, err);
	job->key = task_key(&job->task, job->record_id, &job->arena);
	if (!status)
		status = check_size(worker, job, err);
	if (status)
		return status;
	if (!dispatch_parse(job->headers, &job->dispatch, err))
		return MR_EBAD_RECORD;
	take_options(job);
	job->key = first_present(job->dispatch.key, BYTES_NONE, job->key);
	job->run_id = first_present(job->dispatch.run_id, job->task.run_id, job->record_id);
	job->epoch = job->dispatch.epoch;
	job->attempt = job->dispatch.attempt;
	job->scheduled_at_ms = first_set(job->dispatch.scheduled_at_ms, job->task.scheduled_at_ms, timestamp_ms);
	job->dispatched_at_ms = first_set(job->dispatch.dispatched_at_ms, TASK_UNSET, timestamp_ms);
	job->policy = retry_policy_effective(&job->task.retry_policy);
	status = set_timeouts(worker, job, err);
	return status ? status : check_length(job, err);
}

static void take_message(struct worker *worker, struct lane *lane, const struct bus_message *message)
{
	struct mr_error err = {0};
	bool has_key;
	struct job *job;
	enum mr_status status;

	if (!lane->assigned || !settle_take(lane, message->offset) || settle_adopt(lane, message->offset))
		return;
	worker->counters.taken++;
	job = job_of_message(worker, lane, message);
	status = understand(worker, job, message->timestamp_ms, &has_key, &err);
	job->shard = task_shard(job->key, worker->config.shards);
	if (status) {
		dead_begin(worker, job, &err, has_key);
		return;
	}
	job->kind = pace_kind(worker, job->task.activity_type);
	meters_received(worker, job);
	job->nonce = worker_nonce(worker, &job->arena);
	worker_job_state(job, JOB_FRESH);
	claim_queue(worker, job);
}

/* NULL: not a task, but a command. */
static struct lane *lane_of(struct feed *feed, const struct bus_message *message)
{
	if (strcmp(message->topic, feed->worker->topic_control) == 0)
		return NULL;
	return settle_lane(feed, message->topic, message->partition);
}

/* False where the feed had no more. */
static bool take_some(struct worker *worker, struct feed *feed)
{
	struct bus_message *messages[INTAKE_MAX];
	size_t room = worker->config.max_jobs - worker->n_jobs;
	size_t max = room < INTAKE_MAX ? room : INTAKE_MAX;
	size_t n = bus_take_any(feed->bus, messages, max);
	struct lane *lane = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct bus_message *message = messages[i];

		if (!lane || lane->partition != message->partition || strcmp(lane->topic.data, message->topic) != 0)
			lane = lane_of(feed, message);
		if (lane)
			take_message(worker, lane, message);
		else
			control_message(worker, message);
		bus_message_free(feed->bus, messages[i]);
	}
	return n == max;
}

/* From each queue in turn, until none has more or there is no room. */
void intake_take(struct worker *worker)
{
	size_t empty = 0;

	while (empty < worker->n_feeds) {
		struct feed *feed = &worker->feeds[worker->next_feed];

		worker->was_full = !worker_has_room(worker);
		if (worker->was_full)
			return;
		empty = take_some(worker, feed) ? 0 : empty + 1;
		worker->next_feed = (worker->next_feed + 1) % worker->n_feeds;
	}
}
