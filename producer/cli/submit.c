/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/task_options.h"

/* millrace submit and execute: a task made of flags, sent, and awaited by the second. */

struct options {
	struct task_options task;
	int64_t wait_ms; /* execute */
	bool json;       /* execute */
	struct program_common common;
};

static const struct conf_option SUBMIT_OPTIONS[] = {
	TASK_OPTIONS(struct options, task),
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_option EXECUTE_OPTIONS[] = {
	TASK_OPTIONS(struct options, task),
	{.kind = CONF_GROUP, .name = "Result"},
	CLI_WAIT_OPTION(struct options, "How long to wait for the result; 0 = until it comes."),
	CLI_JSON_OPTION(struct options),
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program SUBMIT = {
	.name = "millrace submit",
	.usage = "-t TYPE",
	.purpose = "Publishes a task and prints its key on stdout.",
	.epilog = "Exit: 0 Kafka has the task, 2 wrong usage or no such queue, 6 Kafka is unreachable (submitting the same ids "
		  "again "
		  "is safe).\n"
		  "Example: millrace submit -t charge_card -w order-17 -i charge --input '{\"cents\":1999}' --max-attempts 5\n",
	.options = SUBMIT_OPTIONS,
	.file_option = "config",
};

static const struct conf_program EXECUTE = {
	.name = "millrace execute",
	.usage = "-t TYPE",
	.purpose = "Publishes a task, waits for its result and prints it on stdout. A task whose key is known already is not run "
		   "again: its result is printed.",
	.epilog = CLI_EXIT_CODES "Example: millrace execute -t greet --input '\"Ada\"'\n",
	.options = EXECUTE_OPTIONS,
	.file_option = "config",
};

static enum mr_status submit(struct mr_client *client, const struct mr_task *task, struct mr_error *err)
{
	enum mr_status status;
	char *key;

	status = mr_submit(client, task, NULL, &key, err);
	if (status != MR_OK)
		return status;
	status = mr_client_flush(client, 0, err);
	if (status == MR_OK && (puts(key) == EOF || fflush(stdout)))
		status = mr_error_set(err, MR_ESYSTEM, "stdout", "the key cannot be written");
	free(key);
	return status;
}

static int run(const struct conf_program *conf, int argc, char **argv,
	       int (*act)(struct mr_client *client, const struct options *options, const struct mr_task *task,
			  struct mr_error *err))
{
	struct mr_client *client = NULL;
	struct mr_error err = {0};
	struct options options;
	struct cli_task task;
	int exit_code = cli_begin(conf, argc, argv, &options, offsetof(struct options, common), NULL);

	if (exit_code >= 0)
		return exit_code;
	if (cli_task_init(&task, &options.task, &err) == MR_OK && cli_client_new(&options.common, &client, &err) == MR_OK)
		exit_code = act(client, &options, &task.task, &err);
	if (err.code != MR_OK)
		exit_code = cli_fail(conf->name, &err);
	mr_client_free(client);
	cli_task_deinit(&task);
	conf_deinit(conf, &options);
	return exit_code;
}

static int act_submit(struct mr_client *client, const struct options *options, const struct mr_task *task, struct mr_error *err)
{
	(void)options;
	submit(client, task, err);
	return PROGRAM_OK;
}

static int act_execute(struct mr_client *client, const struct options *options, const struct mr_task *task, struct mr_error *err)
{
	struct mr_result *result;
	int exit_code;

	if (mr_execute(client, task, options->wait_ms, &result, err) != MR_OK)
		return PROGRAM_FAILED;
	exit_code = cli_print_result(EXECUTE.name, result, options->json);
	mr_result_free(result);
	return exit_code;
}

int command_submit(int argc, char **argv)
{
	return run(&SUBMIT, argc, argv, act_submit);
}

int command_execute(int argc, char **argv)
{
	return run(&EXECUTE, argc, argv, act_execute);
}
