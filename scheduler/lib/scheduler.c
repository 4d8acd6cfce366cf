/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/scheduler.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/core.h"
#include "lib/fetch.h"
#include "lib/job.h"
#include "lib/leases.h"
#include "lib/watch.h"

#define CACHE_BYTES (16 << 20)
/* Callbacks of the buses have to be served at least so often. */
#define POLL_US (100 * 1000)
#define SHARDS_MAX STORE_BATCH_MAX

static char *topic_name(const char *prefix, const char *name)
{
	struct buf buf = {0};
	char *topic;

	buf_printf(&buf, "%s%s", prefix, name);
	topic = mem_strndup(buf.data, buf.len);
	buf_deinit(&buf);
	return topic;
}

/* Where it did not work the lease is still there, and its worker is found dead again. */
static void on_buried(void *ctx, enum mr_status status)
{
	(void)ctx;
	if (status != MR_OK)
		log_debug("a worker was not buried", LOG_S("reason", mr_status_text(status)));
}

void scheduler_bury(struct scheduler *s, const char *worker)
{
	CLEANUP_FREE int *shards = mem_realloc_array(NULL, (size_t)s->config.shards, sizeof(*shards));

	for (int i = 0; i < s->config.shards; i++) {
		shards[i] = i;
		recovery_buried(&s->shards[i], worker);
		orphans_soon(&s->shards[i]);
	}
	leases_forget(s->leases, worker);
	s->stats.buried++;
	log_warn("worker declared dead", LOG_S("worker", worker), LOG_I("lease_ms", s->config.lease_ms));
	if (s->links.redis->bury(s->links.store, bytes_of(worker), shards, (size_t)s->config.shards, on_buried, NULL) != MR_OK)
		log_warn("a dead worker could not be buried yet", LOG_S("worker", worker));
}

static void bury(void *ctx, const char *worker)
{
	scheduler_bury(ctx, worker);
}

enum mr_status scheduler_new(const struct scheduler_config *config, struct scheduler **ret, struct mr_error *err)
{
	struct scheduler *s;

	assert(config->prefix && config->random);
	if (config->shards < 1 || config->shards > SHARDS_MAX)
		return mr_error_set(err, MR_EINVAL, "shards", "must be from 1 to %d", SHARDS_MAX);
	if (config->lease_ms < 1 || config->retention_ms < 1)
		return mr_error_set(err, MR_EINVAL, "lease, retention", "must be at least 1 ms");
	s = mem_alloc(sizeof(*s));
	s->config = *config;
	s->prefix = mem_strdup(config->prefix);
	s->config.prefix = s->prefix;
	s->journal_topic = topic_name(s->prefix, "journal");
	s->control_topic = topic_name(s->prefix, "control");
	s->results_topic = topic_name(s->prefix, "results");
	s->dead_topic = topic_name(s->prefix, "dead");
	meters_init(s, config->metrics);
	s->topics[0] = s->journal_topic;
	s->topics[1] = s->control_topic;
	s->shards = mem_alloc((size_t)config->shards * sizeof(*s->shards));
	for (int i = 0; i < config->shards; i++)
		shard_init(&s->shards[i], s, i);
	ends_init(&s->ends, config->shards);
	replay_init(&s->replay, config->shards);
	s->cache = cache_new(CACHE_BYTES);
	s->fetch = fetch_new(s);
	s->leases = leases_new(
		&(struct leases_config){.shards = config->shards, .lease_us = config->lease_ms * 1000, .bury = bury, .ctx = s});
	s->watch = watch_new(s);
	*ret = s;
	return MR_OK;
}

void scheduler_free(struct scheduler *s)
{
	if (!s)
		return;
	assert(!s->attached && s->n_jobs == 0);
	fetch_free(s->fetch);
	for (int i = 0; i < s->config.shards; i++)
		shard_deinit(&s->shards[i]);
	free(s->shards);
	ends_deinit(&s->ends);
	replay_deinit(&s->replay);
	leases_free(s->leases);
	watch_free(s->watch);
	cache_free(s->cache);
	arena_deinit(&s->arena);
	buf_deinit(&s->scratch);
	free(s->prefix);
	free(s->journal_topic);
	free(s->control_topic);
	free(s->results_topic);
	free(s->dead_topic);
	free(s);
}

const char *const *scheduler_topics(const struct scheduler *s)
{
	return s->topics;
}

void scheduler_attach(struct scheduler *s, const struct scheduler_links *links)
{
	assert(!s->attached && links->bus && links->fetch && links->store && links->wire);
	s->links = *links;
	if (!s->links.redis)
		s->links.redis = &redis_calls_real;
	s->attached = true;
}

void scheduler_detach(struct scheduler *s)
{
	s->attached = false;
	for (int i = 0; i < s->config.shards; i++) {
		fetch_drop_shard(s->fetch, i);
		commands_detach(&s->shards[i]);
	}
	jobs_deinit(s);
}

/* Events ---------------------------------------------------------------------------------------------------------- */

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	struct delivery *delivery = tag;

	(void)partition;
	if (status != MR_OK)
		meters_record_refused(ctx);
	if (delivery)
		delivery->done(delivery, status, offset);
	else if (status != MR_OK)
		log_warn("a tombstone or dead letter was not taken by Kafka", LOG_S("reason", mr_status_text(status)));
}

static struct shard *journal_shard(struct scheduler *s, const struct bus_partition *partition)
{
	if (strcmp(partition->topic, s->journal_topic) != 0)
		return NULL;
	if (partition->partition >= 0 && partition->partition < s->config.shards)
		return &s->shards[partition->partition];
	log_error("the journal has more partitions than when this scheduler started; it must be restarted",
		  LOG_I("partition", partition->partition), LOG_I("shards", s->config.shards));
	return NULL;
}

static void on_assigned(void *ctx, struct bus_partition *partitions, size_t n)
{
	struct scheduler *s = ctx;
	int64_t shards = 0;

	s->ever_assigned = true;
	for (size_t i = 0; i < n; i++) {
		struct shard *shard = journal_shard(s, &partitions[i]);

		if (!shard)
			continue;
		/* Where to read is said by Redis. */
		shard_assigned(shard);
		shards++;
	}
	log_info("shards assigned", LOG_I("shards", shards));
}

static void on_revoked(void *ctx, const struct bus_partition *partitions, size_t n, bool lost)
{
	struct scheduler *s = ctx;
	int64_t shards = 0;

	for (size_t i = 0; i < n; i++) {
		struct shard *shard = journal_shard(s, &partitions[i]);

		if (!shard || shard->phase == PHASE_UNOWNED)
			continue;
		shard_revoked(shard);
		shards++;
	}
	log_info("shards revoked", LOG_I("shards", shards), LOG_S("reason", lost ? "the group lost this member" : "rebalance"));
}

static void on_ends(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	ends_answer(ctx, partitions, n, status);
}

static void doubt_all(struct scheduler *s)
{
	for (int i = 0; i < s->config.shards; i++)
		shard_doubt(&s->shards[i]);
}

static void on_bus_health(void *ctx, enum mr_status status, const char *message)
{
	struct scheduler *s = ctx;

	if (status == MR_OK) {
		log_info("Kafka answers", LOG_S("detail", message));
		s->bus_lost = false;
		doubt_all(s);
		return;
	}
	meters_kafka_trouble(s, status);
	log_warn("trouble with Kafka", LOG_S("status", mr_status_name(status)), LOG_S("reason", message));
	if (status == MR_EKAFKA)
		s->bus_lost = true;
}

static void on_fetch_health(void *ctx, enum mr_status status, const char *message)
{
	(void)ctx;
	log_debug("reader of the journal", LOG_S("status", mr_status_name(status)), LOG_S("detail", message));
}

/* After an outage the data may be another's: looked at before anything else. */
static void on_store_health(void *ctx, enum mr_status status, const char *message)
{
	struct scheduler *s = ctx;

	s->redis_lost = status != MR_OK;
	if (status != MR_OK) {
		meters_redis_trouble(s);
		log_warn("trouble with Redis", LOG_S("reason", message));
		leases_outage(s->leases);
		return;
	}
	log_info("Redis answers", LOG_S("detail", message));
	for (int i = 0; i < s->config.shards; i++)
		s->shards[i].look_us = s->now_us;
}

struct bus_callbacks scheduler_bus_callbacks(struct scheduler *s)
{
	return (struct bus_callbacks){.ctx = s,
				      .delivered = on_delivered,
				      .assigned = on_assigned,
				      .revoked = on_revoked,
				      .ends = on_ends,
				      .health = on_bus_health};
}

struct bus_callbacks scheduler_fetch_callbacks(struct scheduler *s)
{
	return (struct bus_callbacks){.ctx = s, .delivered = on_delivered, .health = on_fetch_health};
}

struct bus_callbacks scheduler_watch_callbacks(struct scheduler *s)
{
	return watch_bus_callbacks(s);
}

struct store_callbacks scheduler_store_callbacks(struct scheduler *s)
{
	return (struct store_callbacks){.ctx = s, .health = on_store_health};
}

/* The loop -------------------------------------------------------------------------------------------------------- */

/* This process stood still: shards may be another's by now, timers may be late, and nobody's silence was heard. */
static void notice_stall(struct scheduler *s)
{
	if (s->turned_us > 0 && s->now_us - s->turned_us > STALL_US) {
		log_warn("this process stood still", LOG_I("ms", (s->now_us - s->turned_us) / 1000));
		leases_outage(s->leases);
		doubt_all(s);
	}
	s->turned_us = s->now_us;
}

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t deadline(const struct scheduler *s)
{
	int64_t deadline_us = min64(s->now_us + POLL_US, upkeep_deadline_us(s));

	for (int i = 0; i < s->config.shards; i++)
		deadline_us = min64(deadline_us, shard_deadline_us(&s->shards[i]));
	deadline_us = min64(deadline_us, ends_deadline_us(s));
	deadline_us = min64(deadline_us, fetch_deadline_us(s->fetch));
	deadline_us = min64(deadline_us, watch_deadline_us(s->watch));
	deadline_us = min64(deadline_us, s->links.redis->deadline_us(s->links.store));
	if (s->blocked || s->replay.set_again)
		deadline_us = min64(deadline_us, s->now_us + RETRY_US / 20);
	return deadline_us;
}

int64_t scheduler_turn(struct scheduler *s, short store_revents, int64_t now_us)
{
	assert(s->attached && now_us >= s->now_us);
	s->now_us = now_us;
	notice_stall(s);
	bus_poll(s->links.bus);
	bus_poll(s->links.fetch);
	if (s->links.watch)
		bus_poll(s->links.watch);
	s->links.redis->poll(s->links.store, store_revents, now_us);
	for (int i = 0; i < s->config.shards; i++)
		shard_turn(&s->shards[i]);
	if (s->replay.set_again)
		replay_set(s);
	fetch_turn(s->fetch);
	leases_turn(s->leases, now_us);
	watch_turn(s->watch);
	upkeep_turn(s);
	jobs_turn(s);
	ends_turn(s);
	meters_turn(s);
	/* What was queued by this turn goes out now. */
	s->links.redis->poll(s->links.store, 0, now_us);
	return deadline(s);
}

void scheduler_stop(struct scheduler *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	bus_leave(s->links.bus);
}

bool scheduler_stopped(const struct scheduler *s)
{
	return s->stopping && bus_left(s->links.bus) && s->n_jobs == 0;
}

bool scheduler_ready(const struct scheduler *s)
{
	for (int i = 0; i < s->config.shards; i++) {
		if (shard_owned(&s->shards[i]) && s->shards[i].phase != PHASE_READY)
			return false;
	}
	return s->ever_assigned && !s->stopping;
}

void scheduler_get_stats(const struct scheduler *s, struct scheduler_stats *ret)
{
	*ret = s->stats;
	ret->owned = ret->ready = 0;
	for (int i = 0; i < s->config.shards; i++) {
		ret->owned += shard_owned(&s->shards[i]);
		ret->ready += s->shards[i].phase == PHASE_READY;
	}
	ret->cache_bytes = cache_bytes(s->cache);
	ret->workers = leases_count(s->leases);
}
