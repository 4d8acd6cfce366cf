/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/ending.h"
#include "lib/watch_impl.h"

/*
 * Tasks that a command wants to end and that nobody has taken yet. The task may lie in a partition that another scheduler
 * watches, so that for a while all partitions are read here, once from the committed offsets; what commands say of the task is
 * asked of Redis where it was found. It is rare.
 */
#define SEARCH_US (60 * 1000 * 1000)
/* So long records need not have waited. */
#define EAGER_US (2 * 1000 * 1000)
#define AGAIN_US (100 * 1000)
#define SEARCHES_MAX 10000

struct search {
	struct shard *shard;
	int64_t until_us;
	int64_t retry_us;     /* found: when to try (again) to end it */
	bool busy;            /* a call or an ending is under way */
	char *place, *run_id; /* NULL: not found yet */
	char *only_run;       /* NULL: any */
	int64_t epoch, attempt;
	size_t key_len;
	char key[];
};

static struct bytes key_of(const struct search *search)
{
	return (struct bytes){search->key, search->key_len};
}

static void search_free(struct search *search)
{
	free(search->place);
	free(search->run_id);
	free(search->only_run);
	free(search);
}

static void drop(struct watch *watch, struct search *search)
{
	map_remove(&watch->searches, key_of(search));
	search_free(search);
}

void watch_search_free(struct watch *watch)
{
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&watch->searches, &it)))
		search_free(slot->value);
	map_deinit(&watch->searches);
}

/* Those that come while all is being read have their turn when that is done: many of them must not hold each other up. */
static void begin_reading(struct watch *watch)
{
	struct scheduler *s = watch->s;

	if (!watch->search_wanted || !watch_read_is_through(watch, watch->search_us))
		return;
	watch->search_wanted = false;
	watch->search_us = s->now_us;
	watch->sweep_until_us = s->now_us + SEARCH_US;
	watch->eager_until_us = s->now_us + EAGER_US;
	watch_rewind(watch);
}

void watch_look_for(struct scheduler *s, struct shard *shard, struct bytes key)
{
	struct watch *watch = s->watch;
	struct search *search;

	if (!s->links.watch || map_get(&watch->searches, key))
		return;
	if (watch->searches.len >= SEARCHES_MAX) {
		log_warn("too many canceled tasks are looked for: a worker will end this one", LOG_B("task_key", key));
		return;
	}
	search = mem_alloc(sizeof(*search) + key.len);
	*search = (struct search){.shard = shard, .until_us = s->now_us + SEARCH_US, .key_len = key.len};
	memcpy(search->key, key.data, key.len);
	map_put(&watch->searches, key_of(search), search);
	watch->search_wanted = true;
}

/* Ending --------------------------------------------------------------------------------------------------------------- */

static void on_ended(void *ctx, struct shard *shard, enum ending_end end)
{
	struct search *search = ctx;

	search->busy = false;
	search->retry_us = shard->s->now_us + AGAIN_US;
	if (end != ENDING_AGAIN)
		drop(shard->s->watch, search);
}

static void end_task(struct search *search, const struct task_view *view)
{
	struct found_task found = {.key = key_of(search), .view = *view};

	search->busy = true;
	ending_begin(search->shard, &(struct ending_request){
					    .found = found,
					    .cause = view->terminate_requested ? ENDING_TERMINATE : ENDING_CANCEL,
					    .place = bytes_of(search->place),
					    .done = on_ended,
					    .ctx = search,
				    });
}

/* The command is for another run: all is looked through once more for that one. */
static void look_for_run(struct watch *watch, struct search *search, struct bytes run_id)
{
	free(search->place);
	free(search->run_id);
	search->place = search->run_id = NULL;
	search->only_run = mem_strndup(run_id.data, run_id.len);
	watch->search_wanted = true;
}

static void viewed(struct watch *watch, struct search *search, const struct task_view *view)
{
	if (view->state == VIEW_NONE)
		return; /* the command is not applied yet */
	if (view->state != VIEW_MARKED || !(view->cancel_requested || view->terminate_requested))
		drop(watch, search);
	else if (!search->only_run && view->run_id.len > 0 && !bytes_is(view->run_id, search->run_id))
		look_for_run(watch, search, view->run_id);
	else
		end_task(search, view);
}

static void on_view(void *ctx, enum mr_status status, const struct task_view *view)
{
	struct search *search = ctx;
	struct scheduler *s = search->shard->s;

	search->busy = false;
	if (s->attached && status == MR_OK && shard_owned(search->shard))
		viewed(s->watch, search, view);
}

static void look(struct watch *watch, struct search *search)
{
	struct scheduler *s = watch->s;

	search->retry_us = s->now_us + AGAIN_US;
	search->busy = s->links.redis->view(s->links.store, key_of(search), search->shard->id, on_view, search) == MR_OK;
}

void watch_search_seen(struct watch *watch, const struct watched *record)
{
	struct search *search = map_get(&watch->searches, record->key);

	if (!search || search->place || (search->only_run && !bytes_is(record->run_id, search->only_run)))
		return;
	search->place = mem_strndup(record->place.data, record->place.len);
	search->run_id = mem_strndup(record->run_id.data, record->run_id.len);
	search->retry_us = watch->s->now_us;
}

void watch_search_turn(struct watch *watch)
{
	int64_t now_us = watch->s->now_us;
	struct map_slot *slot;
	size_t it = 0;

	begin_reading(watch);
	while ((slot = map_next(&watch->searches, &it))) {
		struct search *search = slot->value;

		if (search->busy)
			continue;
		if (now_us >= search->until_us || !shard_owned(search->shard)) {
			drop(watch, search);
			it = 0;
		} else if (search->place && search->retry_us <= now_us) {
			look(watch, search);
		}
	}
}

int64_t watch_search_deadline_us(const struct watch *watch)
{
	int64_t deadline_us = INT64_MAX;
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&watch->searches, &it))) {
		const struct search *search = slot->value;

		if (!search->busy)
			deadline_us = watch_min(deadline_us, search->place ? search->retry_us : search->until_us);
	}
	return deadline_us;
}
