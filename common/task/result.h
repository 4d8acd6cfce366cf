/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TASK_RESULT_H
#define TASK_RESULT_H

#include "task/task.h"

/* What every result of a task says, whoever makes it: a worker, or the scheduler for an attempt that nobody has. */

/* Sets what the task itself says, and that it was not started; the caller adds key, run, queue, attempt, status and times. */
void result_of_task(const struct task *task, struct result *ret);

/* Kafka key of the copy for the task's reply topic. */
struct bytes result_reply_key(const struct task *task, struct bytes task_key);

/* What is published instead of `whole`, whose record would have `bytes` where `max_bytes` are accepted: it fails the task at once,
 * since another attempt would make one as large. Borrows from `whole`; new links come from the arena. */
struct result result_too_large(const struct result *whole, size_t bytes, int64_t max_bytes, struct arena *arena);

/* Queue of a task topic (`<prefix>tasks.<queue>`). */
struct bytes queue_of_topic(struct bytes topic, const char *prefix);

#endif
