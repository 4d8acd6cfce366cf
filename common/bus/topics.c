/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/topics.h"

static char *join(const char *prefix, const char *kind, const char *queue)
{
	struct buf buf = {0};

	buf_printf(&buf, "%s%s.%s", prefix, kind, queue);
	buf_append_char(&buf, '\0');
	return buf.data;
}

char *topics_task_topic(const char *prefix, const char *queue)
{
	return join(prefix, "tasks", queue);
}

char *topics_worker_group(const char *prefix, const char *queue)
{
	return join(prefix, "workers", queue);
}
