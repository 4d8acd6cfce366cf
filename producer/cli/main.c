/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "cli/commands.h"
#include "program/program.h"

/* millrace: finds the subcommand. */

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *purpose;
} COMMANDS[] = {
	{"setup", command_setup, "create or check the topics"},
	{"submit", command_submit, "publish a task"},
	{"execute", command_execute, "publish a task and wait for its result"},
	{"result", command_result, "print the result of a task"},
	{"describe", command_describe, "tell where a task stands"},
	{"list", command_list, "list the tasks that have not ended"},
	{"cancel", command_cancel, "cancel a task"},
	{"terminate", command_terminate, "end a task at once"},
	{"pause", command_pause, "hold a task back"},
	{"unpause", command_unpause, "let a paused task go on"},
	{"reset", command_reset, "begin a task anew at attempt 1"},
	{"update", command_update, "change timeouts and retries of a task"},
	{"complete", command_complete, "end a task with a result, from outside"},
	{"fail", command_fail, "end an attempt as failed, from outside"},
	{"heartbeat", command_heartbeat, "tell that an attempt lives, from outside"},
	{"dead", command_dead, "list, show and replay what could not be understood"},
	{"health", command_health, "ask a worker or scheduler whether it is ready"},
	{"dev", command_dev, "run everything on this machine, to try it out"},
	{"version", command_version, "print the version"},
};
#define N_COMMANDS (sizeof(COMMANDS) / sizeof(COMMANDS[0]))

static void print_help(FILE *out)
{
	fputs("usage: millrace COMMAND [OPTION...]\n\ncommands\n", out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].purpose);
	fputs("\nmillrace COMMAND --help tells more; millrace --version prints the version.\n", out);
}

static int refuse(const char *word)
{
	const char *names[N_COMMANDS], *near;

	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = COMMANDS[i].name;
	near = conf_nearest(word, names, N_COMMANDS);
	fprintf(stderr, "millrace: unknown command %s%s%s; millrace --help lists them\n", word, near ? "; did you mean " : "",
		near ? near : "");
	return PROGRAM_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return PROGRAM_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return PROGRAM_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("millrace %s\n", mr_version());
		return PROGRAM_OK;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(argv[1], COMMANDS[i].name))
			return COMMANDS[i].run(argc - 1, argv + 1);
	}
	return refuse(argv[1]);
}
