/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_LINE_H
#define CONSUMER_LINE_H

#include "lib/job.h"

/*
 * Jobs that wait for a claim: those that only have to be ended first, then by their priority (1 before 5), and in the order they came
 * within one. A job leaves by job_list_remove.
 */
#define LINE_PRIORITIES 5
struct line {
	struct job_list levels[1 + LINE_PRIORITIES];
};

/* A command has ended its task: it is claimed for the answer alone. */
static inline bool line_is_urgent(const struct job *job)
{
	return job->cancel_requested || job->terminated;
}
void line_push(struct line *line, struct job *job);
/* Before the others of its priority. */
void line_push_front(struct line *line, struct job *job);
/* Puts all of `from` before the others, each in its priority. */
void line_prepend(struct line *line, struct job_list *from);
/* Who is next, NULL where nobody waits. */
struct job *line_head(const struct line *line);
size_t line_len(const struct line *line);

#endif
