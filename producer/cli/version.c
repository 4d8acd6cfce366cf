/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/conf.h"
#include "cli/commands.h"
#include "program/program.h"

/* millrace version: prints it. */

static const struct conf_option OPTIONS[] = {CONF_END};

static const struct conf_program CONF = {
	.name = "millrace version",
	.usage = "",
	.purpose = "Prints the version.",
	.options = OPTIONS,
};

int command_version(int argc, char **argv)
{
	struct mr_error err = {0};
	int exit_code = -1;

	if (conf_parse(&CONF, argc, argv, NULL, NULL, &exit_code, &err))
		return program_fail(CONF.name, &err);
	if (exit_code < 0)
		exit_code = printf("millrace %s\n", mr_version()) < 0 ? PROGRAM_FAILED : PROGRAM_OK;
	return exit_code;
}
