/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/survey.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cli/survey_read.h"

#define REDIS_TIMEOUT_MS 2000

static void keep(struct survey *survey, const struct survey_finds *finds)
{
	survey->tasks = mem_alloc((finds->len + 1) * sizeof(*survey->tasks));
	for (size_t i = 0; i < finds->len; i++) {
		const struct survey_find *find = &finds->items[i];

		if (!find->gone)
			survey->tasks[survey->len++] = (struct survey_task){
				.key = find->key, .type = find->type, .queue = find->queue, .state = find->state};
	}
	survey->cut = finds->cut;
}

/* Redis does not know yet what Kafka has: Kafka's word stands. */
static bool is_news(const struct task_view *view)
{
	return view->state != VIEW_NONE && view->state != VIEW_MARKED;
}

static void take_views(struct survey *survey, const struct task_view *views)
{
	size_t n = 0;

	for (size_t i = 0; i < survey->len; i++) {
		struct survey_task task = survey->tasks[i];

		if (views[i].state == VIEW_FINISHED)
			continue;
		task.view = views[i];
		task.state = is_news(&views[i]) ? views[i].state : task.state;
		task.paused = views[i].pause_requested;
		task.canceling = views[i].cancel_requested || views[i].terminate_requested;
		survey->tasks[n++] = task;
	}
	survey->len = n;
}

static void ask_redis(struct survey *survey, const struct program_common *common)
{
	CLEANUP_FREE struct bytes *keys = mem_alloc((survey->len + 1) * sizeof(*keys));
	CLEANUP_FREE struct task_view *views = mem_alloc((survey->len + 1) * sizeof(*views));
	struct looker looker;

	for (size_t i = 0; i < survey->len; i++)
		keys[i] = survey->tasks[i].key;
	survey->known = looker_init(&looker, common, REDIS_TIMEOUT_MS, NULL) == MR_OK &&
			looker_views(&looker, keys, survey->len, &survey->arena, views, NULL) == MR_OK;
	looker_deinit(&looker);
	if (survey->known)
		take_views(survey, views);
}

static int by_key(const void *a, const void *b)
{
	struct bytes x = ((const struct survey_task *)a)->key, y = ((const struct survey_task *)b)->key;
	int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);

	return order ? order : (x.len > y.len) - (x.len < y.len);
}

enum mr_status survey_init(struct survey *survey, const struct program_common *common, const struct survey_filter *filter,
			   struct mr_error *err)
{
	struct survey_finds finds = {0};
	enum mr_status status;

	*survey = (struct survey){0};
	status = survey_read(&finds, common, filter, &survey->arena, err);
	if (status == MR_OK) {
		keep(survey, &finds);
		ask_redis(survey, common);
		qsort(survey->tasks, survey->len, sizeof(*survey->tasks), by_key);
	}
	survey_finds_deinit(&finds);
	return status;
}

void survey_deinit(struct survey *survey)
{
	free(survey->tasks);
	arena_deinit(&survey->arena);
}
