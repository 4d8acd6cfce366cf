/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_FIND_H
#define CLI_FIND_H

#include "millrace/status.h"

/* The files that `millrace dev` needs: beside this program, in its build folder, where `install` puts them, and in PATH. The
 * caller frees. MR_ENOT_FOUND says what to do. */
enum mr_status find_program(const char *name, char **ret, struct mr_error *err);
enum mr_status find_example_activities(char **ret, struct mr_error *err);

#endif
