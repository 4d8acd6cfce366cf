/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* The subcommands of `millrace`: each gets the words from its own name on and returns the exit code (program.h). */
int command_setup(int argc, char **argv);
int command_submit(int argc, char **argv);
int command_execute(int argc, char **argv);
int command_result(int argc, char **argv);
int command_describe(int argc, char **argv);
int command_list(int argc, char **argv);
int command_cancel(int argc, char **argv);
int command_terminate(int argc, char **argv);
int command_pause(int argc, char **argv);
int command_unpause(int argc, char **argv);
int command_reset(int argc, char **argv);
int command_update(int argc, char **argv);
int command_complete(int argc, char **argv);
int command_fail(int argc, char **argv);
int command_heartbeat(int argc, char **argv);
int command_dead(int argc, char **argv);
int command_health(int argc, char **argv);
int command_dev(int argc, char **argv);
int command_version(int argc, char **argv);

#endif
