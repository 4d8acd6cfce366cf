/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_PUBLIC_TASK_H
#define LIB_PUBLIC_TASK_H

#include "millrace/client.h"
#include "task/task.h"

/* A task of the public API as one of task.h, checked. Bytes are borrowed from `task` and the arena. MR_EINVAL names the field. */
enum mr_status public_task_read(const struct mr_task *task, struct arena *arena, struct task *ret, struct headers *ret_headers,
				struct mr_error *err);
/* `field` names the payload in the error. */
enum mr_status public_payload_read(const struct mr_payload *from, const char *field, struct payload *ret, struct mr_error *err);

#endif
