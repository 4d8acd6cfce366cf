/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_NAMES_H
#define TASK_NAMES_H

/* The names of the enums of task.h on the wire, by value; each list ends with NULL. "" is a value that is written by leaving the
 * field out. */
extern const char *const result_status_names[];
extern const char *const timeout_type_names[];
extern const char *const retry_state_names[];
extern const char *const journal_kind_names[];
extern const char *const control_command_names[];
extern const char *const id_reuse_policy_names[];
extern const char *const id_conflict_policy_names[];

#endif
