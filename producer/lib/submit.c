/* SPDX-License-Identifier: Apache-2.0 */
/* 1 publish: mr_submit makes a task's record and hands it on. */
#include <string.h>

#include "base/mem.h"
#include "bus/topics.h"
#include "lib/client_impl.h"
#include "lib/public_task.h"

#define RUN_BYTES 24

/* Random once a client, and then counted: unique, and nobody has to guess it. */
static struct bytes make_run(struct mr_client *client, char buffer[RUN_BYTES])
{
	client_hex(buffer, client->nonce, 16);
	client_hex(buffer + 16, client->counter++, RUN_BYTES - 16);
	return (struct bytes){buffer, RUN_BYTES};
}

static enum mr_status find_topic(struct mr_client *client, const char *queue, struct mr_error *err)
{
	struct bytes name;

	queue = queue ? queue : "default";
	if (client->queue && strcmp(client->queue, queue) == 0)
		return MR_OK;
	name = bytes_of(queue);
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-", c)))
			name.len = 0;
	}
	if (name.len == 0 || strlen(client->prefix) + sizeof("tasks.") - 1 + name.len > 249)
		return mr_error_set(err, MR_EINVAL, "queue", "a queue is named with 1 to %d of a-z A-Z 0-9 . _ -",
				    249 - (int)strlen(client->prefix) - (int)sizeof("tasks.") + 1);
	free(client->queue);
	free(client->topic);
	client->queue = mem_strdup(queue);
	client->topic = topics_task_topic(client->prefix, queue);
	return MR_OK;
}

static enum mr_status too_large(size_t input_bytes, size_t record_bytes, int64_t max, struct mr_error *err)
{
	return mr_error_set(
		err, MR_ETOO_LARGE, "input",
		"its %zu bytes make a record of %zu bytes, at most %lld are accepted; larger data belongs into a store "
		"of its own, and its address into the input",
		input_bytes, record_bytes, (long long)max);
}

/* The record lives in the scratch memory of the client. */
static enum mr_status make_record(struct mr_client *client, const struct mr_task *from, char run[RUN_BYTES], struct task *task,
				  struct bus_record *ret, struct mr_error *err)
{
	enum mr_status status;

	arena_reset(&client->scratch);
	buf_reset(&client->value);
	if ((status = find_topic(client, from->queue, err)) ||
	    (status = public_task_read(from, &client->scratch, task, &ret->headers, err)))
		return status;
	if (from->input.bytes > (size_t)client->max_record_bytes)
		return too_large(from->input.bytes, from->input.bytes, client->max_record_bytes, err);
	task->run_id = make_run(client, run);
	if (!bytes_present(task->activity_id))
		task->activity_id = task->run_id;
	wire_encode_task(client->wire, task, &client->value);
	ret->topic = client->topic;
	ret->partition = BUS_BY_KEY;
	ret->key = task_key(task, BYTES_NONE, &client->scratch);
	ret->value = buf_bytes(&client->value);
	if (client_record_bytes(ret) > (size_t)client->max_record_bytes)
		return too_large(from->input.bytes, client_record_bytes(ret), client->max_record_bytes, err);
	return MR_OK;
}

/* A run of its own, unless it may join another one or get another one's result. */
static bool only_own_run(const struct task *task)
{
	return task->id_conflict_policy == CONFLICT_FAIL && task->id_reuse_policy != REUSE_RETURN_EXISTING;
}

static void add_await(struct mr_client *client, struct submission *submission, const struct task *task, struct bytes key,
		      const struct mr_submit_options *options, int64_t now_us)
{
	struct await_request request = {
		.key = key,
		.run_id = only_own_run(task) ? task->run_id : BYTES_NONE,
		.own_run = task->run_id,
		.joins = task->id_reuse_policy != REUSE_RETURN_EXISTING && !only_own_run(task),
		.cancellation = options->cancellation_type,
		.deadline_us = options->wait_ms > 0 ? now_us + options->wait_ms * 1000 : INT64_MAX,
		.done = options->done,
		.ctx = options->ctx,
	};
	struct await *await = await_new(client, &request);

	await->submission = submission;
	submission->await = await;
	reader_place(client, await);
}

static enum mr_status submit(struct mr_client *client, const struct mr_task *from, const struct mr_submit_options *options,
			     char **ret_key, struct mr_error *err)
{
	struct bus_record record = {0};
	char run[RUN_BYTES];
	struct task task;
	enum mr_status status = make_record(client, from, run, &task, &record, err);

	if (status != MR_OK)
		return status;
	int64_t now_us = client_now_us(client);
	struct submission *submission = submission_new(record.key, options->submitted, options->ctx);
	submission->deadline_us = now_us + client->submit_timeout_us;
	bool now = !options->done || reader_is_reading(&client->reader, record.key);
	status = now ? submissions_send(client, submission, &record) : submissions_hold(client, submission, &record);
	if (status != MR_OK) {
		free(submission);
		if (status == MR_EFULL)
			return submissions_full(client, err);
		return mr_error_set(err, status, record.topic, "Kafka takes no task: %s", mr_status_text(status));
	}
	if (options->done)
		add_await(client, submission, &task, record.key, options, now_us);
	if (ret_key)
		*ret_key = mem_strndup(record.key.data, record.key.len);
	return MR_OK;
}

enum mr_status mr_submit(struct mr_client *client, const struct mr_task *task, const struct mr_submit_options *options,
			 char **ret_key, struct mr_error *err)
{
	struct mr_submit_options own = {0};
	struct mr_task copy;

	if (client->closing)
		return mr_error_set(err, MR_ECLOSED, "", "the client is being closed");
	if (!client_take_options(&copy, sizeof(copy), task))
		return mr_error_set(err, MR_EINVAL, "size", "must be sizeof(struct mr_task)");
	if (options && !client_take_options(&own, sizeof(own), options))
		return mr_error_set(err, MR_EINVAL, "size", "must be sizeof(struct mr_submit_options)");
	if (own.wait_ms < 0 || own.wait_ms > TASK_DURATION_MAX_MS)
		return mr_error_set(err, MR_EINVAL, "wait_ms", "must be from 0 to %lld", (long long)TASK_DURATION_MAX_MS);
	if ((unsigned)own.cancellation_type > MR_ABANDON)
		return mr_error_set(err, MR_EINVAL, "cancellation_type", "one of enum mr_cancellation_type is accepted");
	return submit(client, &copy, &own, ret_key, err);
}
