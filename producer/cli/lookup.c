/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lookup.h"

#include <assert.h>

const char *lookup_state_name(enum view_state state)
{
	switch (state) {
	case VIEW_NONE:
		return "UNKNOWN";
	case VIEW_STARTED:
		return "STARTED";
	case VIEW_SCHEDULED:
		return "SCHEDULED";
	case VIEW_BACKING_OFF:
		return "BACKING_OFF";
	case VIEW_WAITING:
		return "WAITING";
	case VIEW_MARKED:
		return "MARKED";
	case VIEW_FINISHED:
		return "FINISHED";
	}
	assert(!"a state that is none");
	return "";
}

enum mr_status lookup_init(struct lookup *lookup, const struct program_common *common, const char *key, int redis_timeout_ms,
			   struct mr_error *err)
{
	enum mr_status status;

	*lookup = (struct lookup){.key = key};
	if (!key[0] || strlen(key) > TASK_KEY_MAX_BYTES || !bytes_has_no_controls(bytes_of(key)))
		return mr_error_set(err, MR_EINVAL, "KEY", "a task key has 1 to %d bytes without control characters",
				    TASK_KEY_MAX_BYTES);
	status = looker_init(&lookup->looker, common, redis_timeout_ms, err);
	if (status != MR_OK)
		return status;
	lookup->shard = task_shard(bytes_of(key), lookup->looker.shards);
	return lookup_again(lookup, err);
}

enum mr_status lookup_again(struct lookup *lookup, struct mr_error *err)
{
	const struct bytes key = bytes_of(lookup->key);

	arena_reset(&lookup->arena);
	return looker_views(&lookup->looker, &key, 1, &lookup->arena, &lookup->view, err);
}

void lookup_deinit(struct lookup *lookup)
{
	looker_deinit(&lookup->looker);
	arena_deinit(&lookup->arena);
}

enum mr_status lookup_result(const struct lookup *lookup, struct result_box **ret, struct mr_error *err)
{
	const struct bus_message message = {.value = lookup->view.publication.value, .headers = lookup->view.publication.headers};
	struct wire *wire;
	enum mr_status status = wire_new(&wire, err);

	assert(lookup->view.state == VIEW_FINISHED);
	if (status != MR_OK)
		return status;
	status = result_box_new(wire, &message, ret, err);
	wire_free(wire);
	return status;
}
