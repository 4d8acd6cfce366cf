/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/leases.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define COUNTER_NONE (-1)
/* Looks come each second; a longer gap between two answers is an outage. */
#define GAP_US (1500 * 1000)

struct worker {
	char *name; /* the key in the map */
	int64_t changed_us;
	int64_t stamp; /* of the last observation that showed it */
	int64_t counters[];
};

struct leases {
	struct leases_config config;
	struct map workers;
	int64_t *watched_us; /* by shard: since when it is looked at without a gap, -1 = not */
	int64_t since_us;    /* since when Redis answers without a gap, -1 = it does not */
	int64_t answered_us;
	int64_t stamp;
};

struct leases *leases_new(const struct leases_config *config)
{
	struct leases *leases = mem_alloc(sizeof(*leases));

	assert(config->shards > 0 && config->lease_us > 0 && config->bury);
	leases->config = *config;
	leases->since_us = -1;
	leases->watched_us = mem_alloc((size_t)config->shards * sizeof(*leases->watched_us));
	for (int i = 0; i < config->shards; i++)
		leases->watched_us[i] = -1;
	return leases;
}

static void worker_free(struct worker *worker)
{
	free(worker->name);
	free(worker);
}

void leases_free(struct leases *leases)
{
	size_t it = 0;
	struct map_slot *slot;

	if (!leases)
		return;
	while ((slot = map_next(&leases->workers, &it)))
		worker_free(slot->value);
	map_deinit(&leases->workers);
	free(leases->watched_us);
	free(leases);
}

static struct worker *worker_get(struct leases *leases, struct bytes name, int64_t now_us)
{
	size_t shards = (size_t)leases->config.shards;
	struct worker *worker = map_get(&leases->workers, name);

	if (worker)
		return worker;
	worker = mem_alloc(sizeof(*worker) + shards * sizeof(worker->counters[0]));
	worker->name = mem_strndup(name.data, name.len);
	worker->changed_us = now_us;
	for (size_t i = 0; i < shards; i++)
		worker->counters[i] = COUNTER_NONE;
	map_put(&leases->workers, bytes_of(worker->name), worker);
	return worker;
}

static bool worker_used(const struct leases *leases, const struct worker *worker)
{
	for (int i = 0; i < leases->config.shards; i++) {
		if (worker->counters[i] != COUNTER_NONE)
			return true;
	}
	return false;
}

/* Forgets workers that have left every shard; one at a time, because the map must not change while it is walked. */
static void forget_unused(struct leases *leases)
{
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&leases->workers, &it))) {
		struct worker *worker = slot->value;

		if (worker_used(leases, worker))
			continue;
		map_remove(&leases->workers, bytes_of(worker->name));
		worker_free(worker);
		it = 0;
	}
}

static void leave_shard(struct leases *leases, int shard, int64_t stamp)
{
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&leases->workers, &it))) {
		struct worker *worker = slot->value;

		if (worker->stamp != stamp)
			worker->counters[shard] = COUNTER_NONE;
	}
	forget_unused(leases);
}

static void answered(struct leases *leases, int64_t now_us)
{
	if (leases->since_us < 0 || now_us - leases->answered_us > GAP_US) {
		leases->since_us = now_us;
		for (int i = 0; i < leases->config.shards; i++)
			leases->watched_us[i] = -1;
	}
	leases->answered_us = now_us;
}

void leases_observe(struct leases *leases, int shard, const struct lease *seen, size_t n, bool settled, int64_t now_us)
{
	assert(shard >= 0 && shard < leases->config.shards);
	answered(leases, now_us);
	if (leases->watched_us[shard] < 0 && settled)
		leases->watched_us[shard] = now_us;
	leases->stamp++;
	for (size_t i = 0; i < n; i++) {
		struct worker *worker = worker_get(leases, seen[i].worker, now_us);

		worker->stamp = leases->stamp;
		if (worker->counters[shard] != seen[i].counter)
			worker->changed_us = now_us;
		worker->counters[shard] = seen[i].counter;
	}
	if (settled)
		leave_shard(leases, shard, leases->stamp);
}

void leases_forget_shard(struct leases *leases, int shard)
{
	leases->watched_us[shard] = -1;
	leave_shard(leases, shard, ++leases->stamp);
}

void leases_outage(struct leases *leases)
{
	leases->since_us = -1;
}

/* When the worker is dead if nothing is heard of it. */
static int64_t worker_due_us(const struct leases *leases, const struct worker *worker)
{
	int64_t from_us = worker->changed_us > leases->since_us ? worker->changed_us : leases->since_us;

	return from_us + leases->config.lease_us;
}

void leases_turn(struct leases *leases, int64_t now_us)
{
	struct map_slot *slot;
	size_t it = 0;

	if (leases->since_us < 0 || now_us - leases->answered_us > GAP_US)
		return;
	while ((slot = map_next(&leases->workers, &it))) {
		struct worker *worker = slot->value;

		/* The answer in which it did not change must be one that was given at the end of the period. */
		if (worker_due_us(leases, worker) > leases->answered_us)
			continue;
		map_remove(&leases->workers, bytes_of(worker->name));
		leases->config.bury(leases->config.ctx, worker->name);
		worker_free(worker);
		it = 0;
	}
}

void leases_forget(struct leases *leases, const char *name)
{
	struct worker *worker = map_remove(&leases->workers, bytes_of(name));

	if (worker)
		worker_free(worker);
}

bool leases_hears(const struct leases *leases, int64_t now_us)
{
	return leases->since_us >= 0 && now_us - leases->answered_us <= GAP_US &&
	       now_us - leases->since_us >= leases->config.lease_us;
}

bool leases_knows(const struct leases *leases, int shard, int64_t until_us)
{
	int64_t watched_us = leases->watched_us[shard];

	return watched_us >= 0 && until_us - watched_us >= leases->config.lease_us;
}

void leases_living(const struct leases *leases, int shard, int64_t until_us, void (*each)(void *ctx, const char *worker),
		   void *ctx)
{
	struct map_slot *slot;
	size_t it = 0;

	while ((slot = map_next(&leases->workers, &it))) {
		const struct worker *worker = slot->value;

		if (worker->counters[shard] != COUNTER_NONE && worker->changed_us >= until_us - leases->config.lease_us)
			each(ctx, worker->name);
	}
}

size_t leases_count(const struct leases *leases)
{
	return leases->workers.len;
}
