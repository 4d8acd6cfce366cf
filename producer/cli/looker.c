/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/looker.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define BATCH 512

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

enum mr_status looker_init(struct looker *looker, const struct program_common *common, int redis_timeout_ms, struct mr_error *err)
{
	const struct store_callbacks callbacks = {0};
	enum mr_status status;

	*looker = (struct looker){.redis = common->redis};
	status = find_shards(common, &looker->shards, err);
	if (status != MR_OK)
		return status;
	struct store_config config = program_store_config(common, looker->shards);
	if ((status = store_check(&config, redis_timeout_ms, err)))
		return status;
	return store_new(&config, &callbacks, &looker->store, err);
}

void looker_deinit(struct looker *looker)
{
	store_free(looker->store);
	looker->store = NULL;
}

/* ---- Views ---- */

/* One question; the answer is copied into the asker's arena. */
struct asked {
	struct arena *arena;
	struct task_view *view;
	enum mr_status status;
};

static struct payload keep_payload(struct arena *arena, const struct payload *from)
{
	return (struct payload){arena_copy(arena, from->data), arena_copy(arena, from->content_type),
				arena_copy(arena, from->encoding)};
}

static void keep_publication(struct arena *arena, struct store_publication *publication)
{
	struct headers from = publication->headers;
	struct header *items = arena_alloc(arena, (from.len + 1) * sizeof(*items));

	for (size_t i = 0; i < from.len; i++) {
		items[i].name = arena_copy(arena, from.items[i].name);
		items[i].value = arena_copy(arena, from.items[i].value);
	}
	publication->value = arena_copy(arena, publication->value);
	publication->reply_topic = arena_copy(arena, publication->reply_topic);
	publication->reply_key = arena_copy(arena, publication->reply_key);
	publication->headers = (struct headers){items, from.len};
}

static void on_view(void *ctx, enum mr_status status, const struct task_view *from)
{
	struct asked *asked = ctx;
	struct arena *arena = asked->arena;
	struct task_view *view = asked->view;

	asked->status = status;
	if (status != MR_OK)
		return;
	*view = *from;
	view->run_id = arena_copy(arena, from->run_id);
	view->nonce = arena_copy(arena, from->nonce);
	view->worker = arena_copy(arena, from->worker);
	view->record_id = arena_copy(arena, from->record_id);
	view->replies = arena_copy(arena, from->replies);
	view->heartbeat = keep_payload(arena, &from->heartbeat);
	view->options = arena_copy(arena, from->options);
	view->request_ids = arena_copy(arena, from->request_ids);
	keep_publication(arena, &view->publication);
}

static enum mr_status ask(struct looker *looker, const struct bytes *keys, size_t n, struct asked *asked, struct mr_error *err)
{
	enum mr_status status = MR_OK;

	for (size_t i = 0; i < n && status == MR_OK; i++)
		status = store_view(looker->store, keys[i], task_shard(keys[i], looker->shards), on_view, &asked[i]);
	if (status != MR_OK)
		return mr_error_set(err, status, looker->redis, "it was not asked for the state of a task: %s",
				    mr_status_text(status));
	status = store_wait(looker->store, CLI_TIMEOUT_MS, err);
	for (size_t i = 0; i < n && status == MR_OK; i++)
		if (asked[i].status != MR_OK)
			status = mr_error_set(err, MR_EREDIS, looker->redis, "it did not tell the state of the task");
	return status;
}

enum mr_status looker_views(struct looker *looker, const struct bytes *keys, size_t n, struct arena *arena, struct task_view *ret,
			    struct mr_error *err)
{
	CLEANUP_FREE struct asked *asked = mem_alloc(BATCH * sizeof(*asked));
	enum mr_status status = MR_OK;

	if (!looker->store)
		return mr_error_set(err, MR_EREDIS, looker->redis, "it did not answer before");
	for (size_t at = 0; at < n && status == MR_OK; at += BATCH) {
		size_t m = n - at < BATCH ? n - at : BATCH;

		for (size_t i = 0; i < m; i++)
			asked[i] = (struct asked){arena, &ret[at + i], MR_EREDIS};
		status = ask(looker, &keys[at], m, asked, err);
	}
	/* What is still under way would be answered into memory that is gone. */
	if (status != MR_OK)
		looker_deinit(looker);
	return status;
}

int64_t looker_time_ms(const struct looker *looker)
{
	return looker->store ? store_time_ms(looker->store, clock_mono_us()) : 0;
}
