/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/line.h"

#include <assert.h>

#define LINE_LEVELS (1 + LINE_PRIORITIES)

static struct job_list *level_of(struct line *line, const struct job *job)
{
	assert(job->task.priority >= 1 && job->task.priority <= LINE_PRIORITIES);
	return &line->levels[line_is_urgent(job) ? 0 : job->task.priority];
}

void line_push(struct line *line, struct job *job)
{
	job_list_push(level_of(line, job), job);
}

void line_push_front(struct line *line, struct job *job)
{
	job_list_push_front(level_of(line, job), job);
}

void line_prepend(struct line *line, struct job_list *from)
{
	struct job *job;

	while ((job = from->tail)) {
		job_list_remove(job);
		line_push_front(line, job);
	}
}

struct job *line_head(const struct line *line)
{
	for (size_t i = 0; i < LINE_LEVELS; i++)
		if (line->levels[i].head)
			return line->levels[i].head;
	return NULL;
}

size_t line_len(const struct line *line)
{
	size_t n = 0;

	for (size_t i = 0; i < LINE_LEVELS; i++)
		n += line->levels[i].len;
	return n;
}
