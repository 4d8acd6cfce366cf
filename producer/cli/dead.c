/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dead.h"

#include <stdio.h>

#include "cli/commands.h"

/* millrace dead: finds the subcommand. */

static const struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *purpose;
} SUBCOMMANDS[] = {
	{"list", dead_list, "list the dead letters, the newest last"},
	{"show", dead_show, "show one: why, whence, its headers and its value"},
	{"replay", dead_replay, "send some again to where they came from, after mending the cause"},
};
#define N_SUBCOMMANDS (sizeof(SUBCOMMANDS) / sizeof(SUBCOMMANDS[0]))

static void print_help(FILE *out)
{
	fputs("usage: millrace dead COMMAND [OPTION...]\n\nDead letters: records that no worker and no scheduler could "
	      "understand. "
	      "They are kept unchanged.\n\ncommands\n",
	      out);
	for (size_t i = 0; i < N_SUBCOMMANDS; i++)
		fprintf(out, "  %-10s %s\n", SUBCOMMANDS[i].name, SUBCOMMANDS[i].purpose);
	fputs("\nmillrace dead COMMAND --help tells more.\n", out);
}

static int refuse(const char *word)
{
	const char *names[N_SUBCOMMANDS], *near;

	for (size_t i = 0; i < N_SUBCOMMANDS; i++)
		names[i] = SUBCOMMANDS[i].name;
	near = conf_nearest(word, names, N_SUBCOMMANDS);
	fprintf(stderr, "millrace dead: unknown command %s%s%s; millrace dead --help lists them\n", word,
		near ? "; did you mean " : "", near ? near : "");
	return PROGRAM_USAGE;
}

int command_dead(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return PROGRAM_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return PROGRAM_OK;
	}
	for (size_t i = 0; i < N_SUBCOMMANDS; i++)
		if (!strcmp(argv[1], SUBCOMMANDS[i].name))
			return SUBCOMMANDS[i].run(argc - 1, argv + 1);
	return refuse(argv[1]);
}
