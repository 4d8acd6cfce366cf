/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/answer.h"

static void tell(struct answer *answer, enum mr_status status, const struct mr_error *err)
{
	answer->there = true;
	answer->status = status;
	if (err)
		answer->err = *err;
}

void answer_on_result(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err)
{
	struct answer *answer = ctx;

	tell(answer, status, err);
	answer->result = result;
}

void answer_on_submitted(void *ctx, enum mr_status status, const char *task_key, const struct mr_error *err)
{
	(void)task_key;
	tell(ctx, status, err);
}

enum mr_status answer_wait(struct mr_client *client, struct answer *answer, struct mr_error *err)
{
	while (!answer->there)
		mr_client_wait(client, INT64_MAX);
	if (answer->status != MR_OK && err)
		*err = answer->err;
	return answer->status;
}
