/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SURVEY_H
#define CLI_SURVEY_H

#include "base/map.h"
#include "cli/looker.h"

/*
 * The tasks that have not ended: what waits in its queue or for an attempt, and what has been running for a while. They are found
 * in Kafka (task topics behind what the workers have settled, and the journal), and Redis tells where each stands.
 */
struct survey_task {
	struct bytes key, type, queue;
	enum view_state state; /* by Redis; by Kafka where Redis does not answer */
	bool paused, canceling;
	struct task_view view; /* by Redis */
};

struct survey_filter {
	const char *type, *queue; /* NULL: any */
	size_t limit;
};

struct survey {
	struct survey_task *tasks;
	size_t len;
	bool cut;   /* more than `limit` match */
	bool known; /* Redis has answered */
	struct arena arena;
};

/* MR_EKAFKA; MR_ENOT_FOUND: no topics, or no such queue. Call survey_deinit in any case. */
enum mr_status survey_init(struct survey *survey, const struct program_common *common, const struct survey_filter *filter,
			   struct mr_error *err);
void survey_deinit(struct survey *survey);

#endif
