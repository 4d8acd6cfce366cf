/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEAD_H
#define CLI_DEAD_H

#include "cli/cli.h"

/* The subcommands of `millrace dead`: each gets the words from its own name on and returns the exit code. */
int dead_list(int argc, char **argv);
int dead_show(int argc, char **argv);
int dead_replay(int argc, char **argv);

/* clang-format off */
#define DEAD_REASON_OPTION(structure)                                                                                            \
	{.kind = CONF_STRING, .name = "reason", .arg = "TEXT", .offset = offsetof(structure, reason),                            \
	 .help = "Letters whose reason has this text in it."}
#define DEAD_TOPIC_OPTION(structure)                                                                                             \
	{.kind = CONF_STRING, .name = "topic", .letter = 't', .arg = "TOPIC", .offset = offsetof(structure, topic),              \
	 .help = "Letters that came from this topic, such as tasks.default, with or without the prefix."}
/* clang-format on */

#endif
