/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SURVEY_READ_H
#define CLI_SURVEY_READ_H

#include "cli/survey.h"

/* What Kafka has of tasks that have not ended: reads the journal, and each task topic from where its workers have settled. */
struct survey_find {
	struct bytes key, type, queue;
	enum view_state state; /* as the record says */
	bool in_journal;
	bool gone; /* the journal no longer has it */
};

struct survey_finds {
	struct survey_find *items;
	size_t len, cap;
	struct map by_key; /* key -> index + 1 */
	bool cut;          /* more than filter->limit match */
};

/* What the items borrow lies in the arena. MR_EKAFKA, MR_ENOT_FOUND. Call survey_finds_deinit in any case. */
enum mr_status survey_read(struct survey_finds *finds, const struct program_common *common, const struct survey_filter *filter,
			   struct arena *arena, struct mr_error *err);
void survey_finds_deinit(struct survey_finds *finds);

#endif
