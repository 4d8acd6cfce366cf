/* SPDX-License-Identifier: Apache-2.0 */
/* The blocking forms: the same core, driven until one answer is there. */
#include <assert.h>

#include "lib/answer.h"
#include "lib/client_impl.h"

static enum mr_status await_result(struct mr_client *client, struct answer *answer, struct mr_result **ret, struct mr_error *err)
{
	enum mr_status status = answer_wait(client, answer, err);

	if (status == MR_OK)
		*ret = answer->result;
	return status;
}

enum mr_status mr_execute(struct mr_client *client, const struct mr_task *task, int64_t wait_ms, struct mr_result **ret,
			  struct mr_error *err)
{
	struct answer answer = {0};
	struct mr_submit_options options = {
		.size = sizeof(options), .done = answer_on_result, .ctx = &answer, .wait_ms = wait_ms};
	enum mr_status status;

	assert(!client->inside);
	while ((status = mr_submit(client, task, &options, NULL, err)) == MR_EFULL)
		mr_client_wait(client, INT64_MAX);
	return status != MR_OK ? status : await_result(client, &answer, ret, err);
}

enum mr_status mr_await_async(struct mr_client *client, const struct mr_await_options *options, struct mr_error *err)
{
	struct mr_await_options own;

	if (client->closing)
		return mr_error_set(err, MR_ECLOSED, "", "the client is being closed");
	if (!client_take_options(&own, sizeof(own), options))
		return mr_error_set(err, MR_EINVAL, "size", "must be sizeof(struct mr_await_options)");
	if (!own.task_key || !own.task_key[0] || strlen(own.task_key) > TASK_KEY_MAX_BYTES)
		return mr_error_set(err, MR_EINVAL, "task_key", "must have 1 to %d bytes", TASK_KEY_MAX_BYTES);
	if (!own.done)
		return mr_error_set(err, MR_EINVAL, "done", "somebody must be told");
	if (own.existing_only && !own.from_start)
		return mr_error_set(err, MR_EINVAL, "existing_only", "goes with from_start only");
	if (own.wait_ms < 0 || own.wait_ms > TASK_DURATION_MAX_MS)
		return mr_error_set(err, MR_EINVAL, "wait_ms", "must be from 0 to %lld", (long long)TASK_DURATION_MAX_MS);
	if ((unsigned)own.cancellation_type > MR_ABANDON)
		return mr_error_set(err, MR_EINVAL, "cancellation_type", "one of enum mr_cancellation_type is accepted");
	struct await_request request = {
		.key = bytes_of(own.task_key),
		.run_id = bytes_of(own.run_id),
		.from_start = own.from_start,
		.existing_only = own.existing_only,
		.cancellation = own.cancellation_type,
		.deadline_us = own.wait_ms > 0 ? client_now_us(client) + own.wait_ms * 1000 : INT64_MAX,
		.done = own.done,
		.ctx = own.ctx,
	};
	reader_place(client, await_new(client, &request));
	return MR_OK;
}

enum mr_status mr_await(struct mr_client *client, const char *task_key, int64_t wait_ms, struct mr_result **ret,
			struct mr_error *err)
{
	struct answer answer = {0};
	struct mr_await_options options = {
		.size = sizeof(options),
		.task_key = task_key,
		.from_start = true,
		.wait_ms = wait_ms,
		.done = answer_on_result,
		.ctx = &answer,
	};
	enum mr_status status;

	assert(!client->inside);
	status = mr_await_async(client, &options, err);
	return status != MR_OK ? status : await_result(client, &answer, ret, err);
}

/* What nobody else was told. */
static enum mr_status take_failure(struct mr_client *client, struct mr_error *err)
{
	enum mr_status status = client->failed.code;

	if (status != MR_OK && err)
		*err = client->failed;
	client->failed.code = MR_OK;
	return status;
}

enum mr_status mr_client_flush(struct mr_client *client, int64_t wait_ms, struct mr_error *err)
{
	int64_t until_us = wait_ms > 0 ? client_now_us(client) + wait_ms * 1000 : INT64_MAX;

	while (mr_client_unacknowledged(client) > 0) {
		int64_t left_us = until_us - client_now_us(client);

		if (left_us <= 0)
			return mr_error_set(err, MR_ETIMEOUT, client->brokers, "%zu submissions are not acknowledged yet%s%s",
					    mr_client_unacknowledged(client), client->health == MR_OK ? "" : ": ",
					    client->health == MR_OK ? "" : client->health_text);
		mr_client_wait(client, left_us / 1000 + 1);
	}
	return take_failure(client, err);
}
