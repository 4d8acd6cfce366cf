/* SPDX-License-Identifier: Apache-2.0 */
/* One activity for all types that nobody else has: input -> {"type": the type asked for, "input": the input}. */
#include "millrace/worker.h"

static enum mr_attempt_end any(struct mr_attempt *attempt, void *user)
{
	const char *type = mr_info(attempt)->activity_type, *input = mr_input_json(attempt);

	(void)user;
	return mr_complete_jsonf(attempt, "{\"type\":\"%s\",\"input\":%s}", mr_json_escape(attempt, type),
				 input ? input : "null");
}

MR_ACTIVITIES(registry)
{
	return mr_register_catch_all(registry, any, NULL, NULL, NULL);
}
