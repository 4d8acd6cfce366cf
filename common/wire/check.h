/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_CHECK_H
#define WIRE_CHECK_H

#include "task/task.h"

/* Ranges of the records that are not tasks (those have task_validate()). Any client may write to these topics, and what passes goes
 * into Redis: texts without control characters, numbers that stay exact there. MR_EBAD_RECORD names the field. */
enum mr_status check_result(const struct result *result, struct mr_error *err);
enum mr_status check_control(const struct control *control, struct arena *arena, struct mr_error *err);
enum mr_status check_journal(const struct journal_record *record, struct mr_error *err);

/* 0 says "not set" in the durations of a task; with one way to say it nobody downstream can forget the other. */
void task_unset_zeros(struct task *task);

#endif
