/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_ANSWER_H
#define LIB_ANSWER_H

#include "millrace/client.h"

/* What a callback was told, for whoever waits for it. Zero-initialise it; it must outlive the wait. */
struct answer {
	bool there;
	enum mr_status status;
	struct mr_result *result; /* of an await that is MR_OK: the owner of the answer frees it */
	struct mr_error err;      /* where the status is not MR_OK */
};

/* An mr_result_fn and an mr_submitted_fn; ctx is the answer. */
void answer_on_result(void *ctx, enum mr_status status, struct mr_result *result, const struct mr_error *err);
void answer_on_submitted(void *ctx, enum mr_status status, const char *task_key, const struct mr_error *err);
/* Drives the client until the answer is there. */
enum mr_status answer_wait(struct mr_client *client, struct answer *answer, struct mr_error *err);

#endif
