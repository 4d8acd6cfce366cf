/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much is claimed ahead of the executors. A claimed task waits for this worker alone, so a task is claimed ahead only
 * where it is expected to start within PACE_AHEAD_US by the measured run time of its type; of slow and unknown types
 * exactly as many as there are free slots, and a task that has a single attempt only for a slot that is free.
 */
#include <assert.h>

#include "base/mem.h"
#include "lib/worker.h"

#define PACE_AHEAD_US 5000
/* What an attempt costs at least: hand-over, finish, publication. */
#define PACE_LEAST_US 20
/* A type is known after so many attempts. */
#define PACE_SAMPLES 4
/* Types are remembered up to here; what else turns up in a topic counts as unknown. */
#define PACE_KINDS_MAX 1024

struct kind {
	int64_t run_us; /* moving average */
	int samples;
	size_t entered;      /* claimed or running */
	size_t limit;        /* 0 = none */
	struct line waiting; /* fresh jobs of a type at its limit */
	char name[];
};

static struct kind *kind_new(const struct worker *worker, struct bytes name)
{
	const struct activity *activity = registry_find(worker->config.registry, name);
	struct kind *kind = mem_alloc(sizeof(*kind) + name.len + 1);

	memcpy(kind->name, name.data, name.len);
	if (activity && activity->max_concurrent > 0)
		kind->limit = (size_t)activity->max_concurrent;
	return kind;
}

struct kind *pace_kind(struct worker *worker, struct bytes activity_type)
{
	struct kind *kind = map_get(&worker->kinds, activity_type);

	if (kind)
		return kind;
	if (worker->kinds.len >= PACE_KINDS_MAX) {
		if (!worker->other_kind)
			worker->other_kind = kind_new(worker, BYTES_LIT(""));
		return worker->other_kind;
	}
	kind = kind_new(worker, activity_type);
	map_put(&worker->kinds, (struct bytes){kind->name, activity_type.len}, kind);
	return kind;
}

void pace_deinit(struct worker *worker)
{
	size_t it = 0;

	for (struct map_slot *slot; (slot = map_next(&worker->kinds, &it));)
		free(slot->value);
	map_deinit(&worker->kinds);
	free(worker->other_kind);
}

static bool is_slow(const struct kind *kind)
{
	return kind->samples < PACE_SAMPLES || kind->run_us > PACE_AHEAD_US;
}

struct pace pace_begin(const struct worker *worker)
{
	int64_t slots = (int64_t)worker->config.slots, stuck = 0;
	int64_t ahead = (int64_t)worker->ahead, running = (int64_t)worker->running.len;
	struct pace pace;

	for (const struct job *job = worker->running.head; job; job = job->next)
		if (is_slow(job->kind) || worker->now_us - job->started_mono_us > PACE_AHEAD_US)
			stuck++;
	pace.free_slots = slots - running - ahead;
	pace.open_slots = slots - stuck - (int64_t)worker->ahead_slow;
	pace.budget_us = pace.open_slots * PACE_AHEAD_US - worker->ahead_fast_us;
	pace.room = slots + (int64_t)worker->config.depth - running - ahead;
	return pace;
}

enum pace_answer pace_admit(struct pace *pace, const struct job *job)
{
	const struct kind *kind = job->kind;
	bool only_free = is_slow(kind) || job->policy.maximum_attempts == 1;

	if (kind->limit && kind->entered >= kind->limit)
		return PACE_KIND_FULL;
	if (pace->room <= 0 || (only_free ? pace->free_slots <= 0 : pace->open_slots <= 0 || pace->budget_us <= 0))
		return PACE_FULL;
	pace->room--;
	pace->free_slots--;
	if (is_slow(kind))
		pace->open_slots--;
	pace->budget_us -= is_slow(kind) ? PACE_AHEAD_US : kind->run_us;
	return PACE_GO;
}

void pace_claimed(struct worker *worker, struct job *job)
{
	assert(!job->ahead && !job->entered);
	job->ahead = job->entered = true;
	job->expected_us = is_slow(job->kind) ? 0 : job->kind->run_us;
	job->kind->entered++;
	worker->ahead++;
	if (job->expected_us)
		worker->ahead_fast_us += job->expected_us;
	else
		worker->ahead_slow++;
}

void pace_started(struct worker *worker, struct job *job)
{
	if (!job->ahead)
		return;
	job->ahead = false;
	worker->ahead--;
	if (job->expected_us)
		worker->ahead_fast_us -= job->expected_us;
	else
		worker->ahead_slow--;
}

void pace_next(struct worker *worker, struct kind *kind)
{
	struct job *next = line_head(&kind->waiting);

	if (!next || kind->entered >= kind->limit)
		return;
	job_list_remove(next);
	line_push_front(&worker->fresh, next);
}

void pace_left(struct worker *worker, struct job *job)
{
	if (!job->entered)
		return;
	assert(job->kind->entered > 0);
	job->entered = false;
	job->kind->entered--;
	pace_next(worker, job->kind);
}

void pace_wait(struct job *job)
{
	line_push(&job->kind->waiting, job);
}

struct line *pace_waiting(struct worker *worker, size_t *it, size_t *ret_limit)
{
	for (struct map_slot *slot; (slot = map_next(&worker->kinds, it));) {
		struct kind *kind = slot->value;

		*ret_limit = kind->limit;
		if (line_head(&kind->waiting))
			return &kind->waiting;
	}
	return NULL;
}

void pace_measured(struct job *job, int64_t run_us)
{
	struct kind *kind = job->kind;

	if (kind->name[0] == '\0')
		return;
	if (run_us < PACE_LEAST_US)
		run_us = PACE_LEAST_US;
	kind->run_us = kind->samples == 0 ? run_us : kind->run_us + (run_us - kind->run_us) / 8;
	if (kind->run_us < PACE_LEAST_US)
		kind->run_us = PACE_LEAST_US;
	if (kind->samples < PACE_SAMPLES)
		kind->samples++;
}
