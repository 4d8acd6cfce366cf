/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMAND_MANY_H
#define CLI_COMMAND_MANY_H

#include "cli/command_flags.h"

/* --all: the command to all tasks that match. Returns the exit code where err->code is MR_OK. */
int command_many(enum mr_command_kind kind, const struct command_flags *flags, struct mr_error *err);

#endif
