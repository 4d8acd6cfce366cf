/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/lookup.h"
#include "lib/answer.h"

/* millrace result: what a task came to, from Redis where it is remembered, else from Kafka. */

struct options {
	int64_t wait_ms;
	bool json;
	struct program_common common;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Result"},
	CLI_WAIT_OPTION(struct options, "How long to wait for a result that is not there yet; 0 = not at all."),
	CLI_JSON_OPTION(struct options),
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace result",
	.usage = "KEY",
	.purpose = "Prints the result of a task on stdout. KEY is what millrace submit printed: WORKFLOW_ID/ACTIVITY_ID or "
		   "ACTIVITY_ID.",
	.epilog = CLI_EXIT_CODES,
	.options = OPTIONS,
	.min_args = 1,
	.max_args = 1,
	.file_option = "config",
};

/* Reads `results` from the beginning, and as long as --wait says beyond its end. */
static enum mr_status from_kafka(const struct options *options, const char *key, struct mr_result **ret, struct mr_error *err)
{
	struct answer answer = {0};
	struct mr_await_options await = {
		.size = sizeof(await),
		.task_key = key,
		.from_start = true,
		.existing_only = options->wait_ms == 0,
		.wait_ms = options->wait_ms ? options->wait_ms : CLI_TIMEOUT_MS,
		.done = answer_on_result,
		.ctx = &answer,
	};
	struct mr_client *client;
	enum mr_status status = cli_client_new(&options->common, &client, err);

	if (status != MR_OK)
		return status;
	status = mr_await_async(client, &await, err);
	if (status == MR_OK)
		status = answer_wait(client, &answer, err);
	mr_client_free(client);
	*ret = answer.result;
	return status;
}

/* No result: the task's state says whether there will be one. */
static void explain(const struct lookup *lookup, const char *key, struct mr_error *err)
{
	if (err->code != MR_ENOT_FOUND && err->code != MR_ETIMEOUT)
		return;
	if (lookup->view.state != VIEW_NONE)
		mr_error_set(err, MR_ETIMEOUT, key, "no result yet: %s, attempt %lld; --wait waits for it",
			     lookup_state_name(lookup->view.state), (long long)lookup->view.attempt);
	else if (err->code == MR_ENOT_FOUND)
		mr_error_set(err, MR_ENOT_FOUND, key, "no result, and no such task was started; it may wait in its queue");
	else
		mr_error_set(err, MR_ETIMEOUT, key, "no result in time");
}

static int find(const struct options *options, const char *key, struct mr_error *err)
{
	struct mr_result *result = NULL;
	struct lookup lookup;
	int exit_code = PROGRAM_FAILED;

	if (lookup_init(&lookup, &options->common, key, CLI_TIMEOUT_MS, err) == MR_OK) {
		struct result_box *box = NULL;

		if (lookup.view.state == VIEW_FINISHED && lookup_result(&lookup, &box, err) == MR_OK)
			result = &box->pub;
		else if (lookup.view.state != VIEW_FINISHED && from_kafka(options, key, &result, err) != MR_OK)
			explain(&lookup, key, err);
	}
	if (result)
		exit_code = cli_print_result(CONF.name, result, options->json);
	mr_result_free(result);
	lookup_deinit(&lookup);
	return exit_code;
}

int command_result(int argc, char **argv)
{
	struct mr_error err = {0};
	struct options options;
	struct conf_list args;
	int exit_code = cli_begin(&CONF, argc, argv, &options, offsetof(struct options, common), &args);

	if (exit_code >= 0)
		return exit_code;
	exit_code = find(&options, args.items[0], &err);
	if (err.code != MR_OK)
		exit_code = cli_fail(CONF.name, &err);
	conf_deinit(&CONF, &options);
	return exit_code;
}
