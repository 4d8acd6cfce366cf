/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/task_options.h"
#include "lib/answer.h"

#define EXIT_INTERRUPTED 130 /* as shells have it: 128 + SIGINT */

/* millrace submit and execute: a task made of flags, sent, and awaited by the second. */

struct options {
	struct task_options task;
	int64_t wait_ms;       /* execute */
	int cancellation_type; /* execute: enum mr_cancellation_type */
	bool json;             /* execute */
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
	{.kind = CONF_ENUM,
	 .name = "cancellation-type",
	 .arg = "TYPE",
	 .def = "wait",
	 .choices = "wait|try|abandon",
	 .offset = offsetof(struct options, cancellation_type),
	 .help = "What Ctrl-C does: wait = cancels the task and waits for how it ends; try = cancels it and ends at once; "
		 "abandon = "
		 "ends at once, the task goes on. A second Ctrl-C ends at once with 130."},
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

/* ---- Ctrl-C ---- */

_Static_assert(MR_WAIT_CANCELLATION_COMPLETED == 0 && MR_TRY_CANCEL == 1 && MR_ABANDON == 2,
	       "as the choices of --cancellation-type");

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	(void)signal;
	if (interrupted)
		_exit(EXIT_INTERRUPTED);
	interrupted = 1;
}

/* The signal ends the client's wait early, because it does not restart poll(2). */
static enum mr_status catch_interrupt(struct mr_error *err)
{
	const struct sigaction action = {.sa_handler = on_interrupt};

	if (sigaction(SIGINT, &action, NULL))
		return mr_error_set(err, MR_ESYSTEM, "sigaction", "%s", strerror(errno));
	return MR_OK;
}

static enum mr_status await_interruptible(struct mr_client *client, const char *key, struct answer *answer, struct mr_error *err)
{
	bool told = false;

	while (!answer->there) {
		mr_client_wait(client, INT64_MAX);
		/* The last await of the key may have ended in the meantime; a client that is full is asked again. */
		if (interrupted && !told && !answer->there)
			told = mr_client_cancel_await(client, key, NULL) != MR_EFULL;
	}
	if (answer->status == MR_OK)
		return MR_OK;
	/* The cancel must be in Kafka before this program ends. */
	if (answer->status == MR_ECANCELED && mr_client_flush(client, CLI_TIMEOUT_MS, err) != MR_OK)
		return err->code;
	*err = answer->err;
	return answer->status;
}

static int act_execute(struct mr_client *client, const struct options *options, const struct mr_task *task, struct mr_error *err)
{
	struct answer answer = {0};
	struct mr_submit_options submit_options = {.size = sizeof(submit_options),
						   .done = answer_on_result,
						   .ctx = &answer,
						   .wait_ms = options->wait_ms,
						   .cancellation_type = (enum mr_cancellation_type)options->cancellation_type};
	int exit_code = PROGRAM_FAILED;
	char *key = NULL;

	if (catch_interrupt(err) == MR_OK && mr_submit(client, task, &submit_options, &key, err) == MR_OK &&
	    await_interruptible(client, key, &answer, err) == MR_OK)
		exit_code = cli_print_result(EXECUTE.name, answer.result, options->json);
	mr_result_free(answer.result);
	free(key);
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
