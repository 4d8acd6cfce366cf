/* SPDX-License-Identifier: Apache-2.0 */
/* Commands to tasks: records on `control`, whose partition follows from the task key as that of its results does. */
#include <assert.h>

#include "base/mem.h"
#include "lib/answer.h"
#include "lib/client_impl.h"
#include "lib/public_command.h"

#define REQUEST_BYTES 16

/* Drawn from the seam, not counted: a guess or a repetition by another process must not meet it. */
static struct bytes make_request(struct mr_client *client, char buffer[REQUEST_BYTES])
{
	client_hex(buffer, client->seams.random(client->seams.ctx), REQUEST_BYTES);
	return (struct bytes){buffer, REQUEST_BYTES};
}

static enum mr_status check_size(const struct mr_client *client, const struct bus_record *record, struct mr_error *err)
{
	size_t bytes = client_record_bytes(record);

	if (bytes <= (size_t)client->max_record_bytes)
		return MR_OK;
	return mr_error_set(err, MR_ETOO_LARGE, "command", "it makes a record of %zu bytes, at most %lld are accepted", bytes,
			    (long long)client->max_record_bytes);
}

static enum mr_status send(struct mr_client *client, const struct bus_record *record, const struct mr_command_options *options,
			   struct mr_error *err)
{
	struct submission *submission = submission_new(record->key, options->done, options->ctx);
	enum mr_status status;

	submission->is_command = true;
	status = submissions_send(client, submission, record);
	if (status == MR_OK)
		return MR_OK;
	free(submission);
	if (status == MR_EFULL)
		return submissions_full(client, err);
	return mr_error_set(err, status, record->topic, "Kafka takes no command: %s", mr_status_text(status));
}

static enum mr_status send_command(struct mr_client *client, const struct mr_command *from,
				   const struct mr_command_options *options, char **ret_request_id, struct mr_error *err)
{
	char request[REQUEST_BYTES];
	struct control control;
	enum mr_status status;

	arena_reset(&client->scratch);
	buf_reset(&client->value);
	if ((status = public_command_read(from, &client->scratch, &control, err)))
		return status;
	if (!bytes_present(control.request_id))
		control.request_id = make_request(client, request);
	wire_encode_control(client->wire, &control, &client->value);
	struct bus_record record = {
		.topic = client->control,
		.partition = BUS_BY_KEY,
		.key = control.task_key,
		.value = buf_bytes(&client->value),
	};
	if ((status = check_size(client, &record, err)) || (status = send(client, &record, options, err)))
		return status;
	if (ret_request_id)
		*ret_request_id = mem_strndup(control.request_id.data, control.request_id.len);
	return MR_OK;
}

enum mr_status mr_command_async(struct mr_client *client, const struct mr_command *command,
				const struct mr_command_options *options, char **ret_request_id, struct mr_error *err)
{
	struct mr_command_options own = {0};
	struct mr_command copy;

	if (client->closing)
		return mr_error_set(err, MR_ECLOSED, "", "the client is being closed");
	if (!client_take_options(&copy, sizeof(copy), command))
		return mr_error_set(err, MR_EINVAL, "size", "must be sizeof(struct mr_command)");
	if (options && !client_take_options(&own, sizeof(own), options))
		return mr_error_set(err, MR_EINVAL, "size", "must be sizeof(struct mr_command_options)");
	return send_command(client, &copy, &own, ret_request_id, err);
}

enum mr_status mr_command(struct mr_client *client, const struct mr_command *command, struct mr_error *err)
{
	struct answer answer = {0};
	struct mr_command_options options = {.size = sizeof(options), .done = answer_on_submitted, .ctx = &answer};
	enum mr_status status;

	assert(!client->inside);
	while ((status = mr_command_async(client, command, &options, NULL, err)) == MR_EFULL)
		mr_client_wait(client, INT64_MAX);
	return status != MR_OK ? status : answer_wait(client, &answer, err);
}

/* ---- Cancel of what is awaited ---- */

static enum mr_status send_cancel(struct mr_client *client, const struct await *await, const char *task_key, struct mr_error *err)
{
	CLEANUP_FREE char *run_id = bytes_present(await->run_id) ? mem_strndup(await->run_id.data, await->run_id.len) : NULL;
	const struct mr_command cancel = {
		.size = sizeof(cancel),
		.kind = MR_COMMAND_CANCEL,
		.task_key = task_key,
		.run_id = run_id,
		.reason = "canceled by the caller",
		.format = MR_FORMAT_JSON,
	};

	return mr_command_async(client, &cancel, NULL, NULL, err);
}

static enum mr_status cancel_await(struct mr_client *client, struct await *await, const char *task_key, struct mr_error *err)
{
	bool held = await->submission && await->submission->state == SUBMISSION_HELD;

	if (await->canceled || await->cancel_sent)
		return MR_OK;
	if (await->cancellation != MR_ABANDON && !held) {
		enum mr_status status = send_cancel(client, await, task_key, err);

		if (status != MR_OK)
			return status;
	}
	await->cancel_sent = await->cancellation == MR_WAIT_CANCELLATION_COMPLETED && !held;
	if (!await->cancel_sent)
		await_cancel(client, await);
	return MR_OK;
}

enum mr_status mr_client_cancel_await(struct mr_client *client, const char *task_key, struct mr_error *err)
{
	struct await *await = task_key ? map_get(&client->awaits.by_key, bytes_of(task_key)) : NULL;

	if (client->closing)
		return mr_error_set(err, MR_ECLOSED, "", "the client is being closed");
	if (!await)
		return mr_error_set(err, MR_ENOT_FOUND, "task_key", "nothing is awaited of this task");
	for (; await; await = await->same_key) {
		enum mr_status status = cancel_await(client, await, task_key, err);

		if (status != MR_OK)
			return status;
	}
	return MR_OK;
}

/* ---- Short forms ---- */

static struct mr_command command_of(enum mr_command_kind kind, const char *task_key)
{
	return (struct mr_command){
		.size = sizeof(struct mr_command), .kind = kind, .task_key = task_key, .format = MR_FORMAT_JSON};
}

static enum mr_status simple(struct mr_client *client, enum mr_command_kind kind, const char *task_key, const char *run_id,
			     const char *reason, struct mr_error *err)
{
	struct mr_command command = command_of(kind, task_key);

	command.run_id = run_id;
	command.reason = reason;
	return mr_command(client, &command, err);
}

enum mr_status mr_cancel(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			 struct mr_error *err)
{
	return simple(client, MR_COMMAND_CANCEL, task_key, run_id, reason, err);
}

enum mr_status mr_terminate(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			    struct mr_error *err)
{
	return simple(client, MR_COMMAND_TERMINATE, task_key, run_id, reason, err);
}

enum mr_status mr_pause(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			struct mr_error *err)
{
	return simple(client, MR_COMMAND_PAUSE, task_key, run_id, reason, err);
}

enum mr_status mr_unpause(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			  struct mr_error *err)
{
	return simple(client, MR_COMMAND_UNPAUSE, task_key, run_id, reason, err);
}

enum mr_status mr_reset(struct mr_client *client, const char *task_key, const char *run_id, const char *reason,
			struct mr_error *err)
{
	return simple(client, MR_COMMAND_RESET, task_key, run_id, reason, err);
}

enum mr_status mr_update_options(struct mr_client *client, const char *task_key, const char *run_id,
				 const struct mr_changes *changes, struct mr_error *err)
{
	struct mr_command command = command_of(MR_COMMAND_UPDATE, task_key);

	command.run_id = run_id;
	command.changes = changes;
	return mr_command(client, &command, err);
}

static enum mr_status complete(struct mr_client *client, struct mr_command command, struct mr_payload result,
			       struct mr_error *err)
{
	command.result = result;
	return mr_command(client, &command, err);
}

static enum mr_status fail(struct mr_client *client, struct mr_command command, const struct mr_failure *failure,
			   struct mr_error *err)
{
	command.failure = failure;
	return mr_command(client, &command, err);
}

static enum mr_status heartbeat(struct mr_client *client, struct mr_command command, struct mr_payload details,
				struct mr_error *err)
{
	command.details = details;
	return mr_command(client, &command, err);
}

static struct mr_command by_key(enum mr_command_kind kind, const char *task_key, const char *run_id)
{
	struct mr_command command = command_of(kind, task_key);

	command.run_id = run_id;
	return command;
}

/* An absent token would mean: whatever attempt. */
static struct mr_command by_token(enum mr_command_kind kind, const char *task_key, const char *token)
{
	struct mr_command command = command_of(kind, task_key);

	command.token = token ? token : "";
	return command;
}

enum mr_status mr_complete_by_key(struct mr_client *client, const char *task_key, const char *run_id, struct mr_payload result,
				  struct mr_error *err)
{
	return complete(client, by_key(MR_COMMAND_COMPLETE, task_key, run_id), result, err);
}

enum mr_status mr_complete_by_token(struct mr_client *client, const char *task_key, const char *token, struct mr_payload result,
				    struct mr_error *err)
{
	return complete(client, by_token(MR_COMMAND_COMPLETE, task_key, token), result, err);
}

enum mr_status mr_fail_by_key(struct mr_client *client, const char *task_key, const char *run_id,
			      const struct mr_failure *failure, struct mr_error *err)
{
	return fail(client, by_key(MR_COMMAND_FAIL, task_key, run_id), failure, err);
}

enum mr_status mr_fail_by_token(struct mr_client *client, const char *task_key, const char *token,
				const struct mr_failure *failure, struct mr_error *err)
{
	return fail(client, by_token(MR_COMMAND_FAIL, task_key, token), failure, err);
}

enum mr_status mr_heartbeat_by_key(struct mr_client *client, const char *task_key, const char *run_id, struct mr_payload details,
				   struct mr_error *err)
{
	return heartbeat(client, by_key(MR_COMMAND_HEARTBEAT, task_key, run_id), details, err);
}

enum mr_status mr_heartbeat_by_token(struct mr_client *client, const char *task_key, const char *token, struct mr_payload details,
				     struct mr_error *err)
{
	return heartbeat(client, by_token(MR_COMMAND_HEARTBEAT, task_key, token), details, err);
}
