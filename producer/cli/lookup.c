/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lookup.h"

#include <assert.h>
#include <stdlib.h>

struct asked {
	struct lookup *lookup;
	enum mr_status status;
};

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

static void keep_publication(struct lookup *lookup, const struct store_publication *from)
{
	struct store_publication *to = &lookup->view.publication;
	struct header *items = arena_alloc(&lookup->arena, (from->headers.len + 1) * sizeof(*items));

	for (size_t i = 0; i < from->headers.len; i++) {
		items[i].name = arena_copy(&lookup->arena, from->headers.items[i].name);
		items[i].value = arena_copy(&lookup->arena, from->headers.items[i].value);
	}
	to->value = arena_copy(&lookup->arena, from->value);
	to->reply_topic = arena_copy(&lookup->arena, from->reply_topic);
	to->reply_key = arena_copy(&lookup->arena, from->reply_key);
	to->headers = (struct headers){items, from->headers.len};
}

static void on_view(void *ctx, enum mr_status status, const struct task_view *view)
{
	struct asked *asked = ctx;
	struct lookup *lookup = asked->lookup;

	asked->status = status;
	if (status != MR_OK)
		return;
	lookup->view = *view;
	lookup->view.run_id = arena_copy(&lookup->arena, view->run_id);
	lookup->view.worker = arena_copy(&lookup->arena, view->worker);
	keep_publication(lookup, &view->publication);
}

static enum mr_status find_shards(const struct program_common *common, int *ret, struct mr_error *err)
{
	const struct topics_spec spec = {
		.brokers = common->brokers,
		.properties = &common->properties,
		.prefix = common->prefix,
		.check_only = true,
		.timeout_ms = CLI_TIMEOUT_MS,
	};
	struct topics_info info = {0};
	enum mr_status status = topics_setup(&spec, &info, err);

	free(info.report);
	*ret = info.shards;
	if (status == MR_OK && info.shards <= 0)
		status = mr_error_set(err, MR_ENOT_FOUND, common->prefix,
				      "there are no topics of this prefix; millrace setup "
				      "creates them");
	return status;
}

static enum mr_status ask(struct lookup *lookup, const struct program_common *common, struct bytes key, struct mr_error *err)
{
	struct store_config config = program_store_config(common, lookup->shards);
	struct store_callbacks callbacks = {0};
	struct asked asked = {lookup, MR_EREDIS};
	struct store *store;
	enum mr_status status = store_check(&config, CLI_TIMEOUT_MS, err);

	if (status != MR_OK || (status = store_new(&config, &callbacks, &store, err)))
		return status;
	status = store_view(store, key, lookup->shard, on_view, &asked);
	if (status == MR_OK)
		status = store_wait(store, CLI_TIMEOUT_MS, err);
	/* A call that is still under way is answered here. */
	store_free(store);
	if (status == MR_OK)
		status = asked.status;
	return status == MR_OK ? MR_OK : mr_error_set(err, MR_EREDIS, common->redis, "it did not tell the state of the task");
}

enum mr_status lookup_init(struct lookup *lookup, const struct program_common *common, const char *key, struct mr_error *err)
{
	enum mr_status status;

	*lookup = (struct lookup){0};
	if (!key[0] || strlen(key) > TASK_KEY_MAX_BYTES || !bytes_has_no_controls(bytes_of(key)))
		return mr_error_set(err, MR_EINVAL, "KEY", "a task key has 1 to %d bytes without control characters",
				    TASK_KEY_MAX_BYTES);
	status = find_shards(common, &lookup->shards, err);
	if (status != MR_OK)
		return status;
	lookup->shard = task_shard(bytes_of(key), lookup->shards);
	return ask(lookup, common, bytes_of(key), err);
}

void lookup_deinit(struct lookup *lookup)
{
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
