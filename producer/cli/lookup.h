/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOOKUP_H
#define CLI_LOOKUP_H

#include "cli/looker.h"
#include "lib/result_box.h"

/* What Redis knows of a task. */
struct lookup {
	struct looker looker;
	const char *key;
	int shard;
	struct task_view view;
	struct arena arena; /* what the view borrows */
};

/* MR_EKAFKA, MR_EREDIS: unreachable (Redis for so long); MR_ENOT_FOUND: there are no topics. Call lookup_deinit in any case. */
enum mr_status lookup_init(struct lookup *lookup, const struct program_common *common, const char *key, int redis_timeout_ms,
			   struct mr_error *err);
/* Asks again. */
enum mr_status lookup_again(struct lookup *lookup, struct mr_error *err);
void lookup_deinit(struct lookup *lookup);
/* The stored result of a finished task; MR_EBAD_RECORD where it cannot be understood. */
enum mr_status lookup_result(const struct lookup *lookup, struct result_box **ret, struct mr_error *err);
/* "BACKING_OFF" */
const char *lookup_state_name(enum view_state state);

#endif
