/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_PUBLIC_COMMAND_H
#define LIB_PUBLIC_COMMAND_H

#include "base/buf.h"
#include "millrace/client.h"
#include "task/task.h"

/* A command of the public API as a record of task.h, checked; request_id is left absent where none is given. Bytes are borrowed
 * from `command` and the arena. MR_EINVAL names the field. */
enum mr_status public_command_read(const struct mr_command *command, struct arena *arena, struct control *ret,
				   struct mr_error *err);

#endif
