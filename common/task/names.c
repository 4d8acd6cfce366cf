/* SPDX-License-Identifier: Apache-2.0 */
#include "task/names.h"

#include <assert.h>

#include "task/task.h"

const char *const result_status_names[] = {
	[RESULT_COMPLETED] = "COMPLETED", [RESULT_FAILED] = "FAILED",         [RESULT_TIMED_OUT] = "TIMED_OUT",
	[RESULT_CANCELED] = "CANCELED",   [RESULT_TERMINATED] = "TERMINATED", NULL,
};

const char *const timeout_type_names[] = {
	[TIMEOUT_NONE] = "",
	[TIMEOUT_START_TO_CLOSE] = "START_TO_CLOSE",
	[TIMEOUT_HEARTBEAT] = "HEARTBEAT",
	[TIMEOUT_SCHEDULE_TO_START] = "SCHEDULE_TO_START",
	[TIMEOUT_SCHEDULE_TO_CLOSE] = "SCHEDULE_TO_CLOSE",
	NULL,
};

const char *const retry_state_names[] = {
	[RETRY_STATE_NONE] = "",
	[RETRY_STATE_IN_PROGRESS] = "IN_PROGRESS",
	[RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED] = "MAXIMUM_ATTEMPTS_REACHED",
	[RETRY_STATE_NON_RETRYABLE_FAILURE] = "NON_RETRYABLE_FAILURE",
	[RETRY_STATE_TIMEOUT] = "TIMEOUT",
	[RETRY_STATE_CANCEL_REQUESTED] = "CANCEL_REQUESTED",
	NULL,
};

const char *const journal_kind_names[] = {
	[JOURNAL_WAITING] = "WAITING",
	[JOURNAL_STARTED] = "STARTED",
	[JOURNAL_BACKOFF] = "BACKOFF",
	[JOURNAL_HEARTBEAT] = "HEARTBEAT",
	[JOURNAL_CHECKPOINT] = "CHECKPOINT",
	[JOURNAL_COMMAND] = "COMMAND",
	NULL,
};

const char *const control_command_names[] = {
	[CONTROL_CANCEL] = "CANCEL",       [CONTROL_TERMINATE] = "TERMINATE",
	[CONTROL_PAUSE] = "PAUSE",         [CONTROL_UNPAUSE] = "UNPAUSE",
	[CONTROL_RESET] = "RESET",         [CONTROL_UPDATE] = "UPDATE",
	[CONTROL_COMPLETE] = "COMPLETE",   [CONTROL_FAIL] = "FAIL",
	[CONTROL_HEARTBEAT] = "HEARTBEAT", NULL,
};

const char *const id_reuse_policy_names[] = {
	[REUSE_RETURN_EXISTING] = "RETURN_EXISTING",
	[REUSE_ALLOW_DUPLICATE] = "ALLOW_DUPLICATE",
	[REUSE_ALLOW_DUPLICATE_FAILED_ONLY] = "ALLOW_DUPLICATE_FAILED_ONLY",
	[REUSE_REJECT_DUPLICATE] = "REJECT_DUPLICATE",
	NULL,
};

const char *const id_conflict_policy_names[] = {
	[CONFLICT_USE_EXISTING] = "USE_EXISTING",
	[CONFLICT_FAIL] = "FAIL",
	NULL,
};

#define NAME_OF(names, value) (assert((size_t)(value) < sizeof(names) / sizeof(*(names)) - 1), (names)[value])

const char *result_status_name(enum result_status status)
{
	return NAME_OF(result_status_names, status);
}

const char *timeout_type_name(enum timeout_type type)
{
	return NAME_OF(timeout_type_names, type);
}

const char *retry_state_name(enum retry_state state)
{
	return NAME_OF(retry_state_names, state);
}

const char *journal_kind_name(enum journal_kind kind)
{
	return NAME_OF(journal_kind_names, kind);
}

const char *control_command_name(enum control_command command)
{
	return NAME_OF(control_command_names, command);
}

const char *id_reuse_policy_name(enum id_reuse_policy policy)
{
	return NAME_OF(id_reuse_policy_names, policy);
}

const char *id_conflict_policy_name(enum id_conflict_policy policy)
{
	return NAME_OF(id_conflict_policy_names, policy);
}

bool result_status_parse(struct bytes name, enum result_status *ret)
{
	for (int i = 0; result_status_names[i]; i++) {
		if (bytes_is(name, result_status_names[i])) {
			*ret = (enum result_status)i;
			return true;
		}
	}
	return false;
}
