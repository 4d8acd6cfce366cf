/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/conn.h"
#include "store/record.h"

#define CONNECT_TIMEOUT_MS 1000
#define CALL_TIMEOUT_MS 5000
#define QUEUE_MAX_BYTES (64u << 20)
#define SHARDS_MAX 65536

static void config_defaults(struct store_config *config)
{
	if (!config->connect_timeout_ms)
		config->connect_timeout_ms = CONNECT_TIMEOUT_MS;
	if (!config->call_timeout_ms)
		config->call_timeout_ms = CALL_TIMEOUT_MS;
	if (!config->queue_max_bytes)
		config->queue_max_bytes = QUEUE_MAX_BYTES;
}

static enum mr_status config_check(const struct store_config *config, struct mr_error *err)
{
	if (!config->prefix)
		return mr_error_set(err, MR_EINVAL, "prefix", "no prefix");
	if (config->shards < 1 || config->shards > SHARDS_MAX)
		return mr_error_set(err, MR_EINVAL, "shards", "%d shards; expected 1 to %d", config->shards, SHARDS_MAX);
	/* A brace would move the hash tag. */
	if (strpbrk(config->prefix, "{}") || !record_text_ok(bytes_of(config->prefix)))
		return mr_error_set(err, MR_EINVAL, "prefix", "the prefix has a brace or a control character");
	return MR_OK;
}

enum mr_status store_new(const struct store_config *config, const struct store_callbacks *callbacks, struct store **ret,
			 struct mr_error *err)
{
	struct redis_url url;
	enum mr_status status = config_check(config, err);

	if (status == MR_OK)
		status = redis_url_parse(config->url, &url, err);
	if (status != MR_OK)
		return status;
	status = link_check(&url, err);
	if (status != MR_OK) {
		redis_url_deinit(&url);
		return status;
	}
	struct store *store = mem_alloc(sizeof(*store));

	store->config = *config;
	config_defaults(&store->config);
	store->config.url = store->config.prefix = NULL;
	store->callbacks = callbacks ? *callbacks : (struct store_callbacks){0};
	store->url = url;
	store->shard_prefixes = mem_alloc((size_t)config->shards * sizeof(*store->shard_prefixes));
	for (int i = 0; i < config->shards; i++)
		store->shard_prefixes[i] = arena_printf(&store->prefixes, "%s{%d}", config->prefix, i);
	store->shard_counts = mem_alloc((size_t)config->shards * sizeof(*store->shard_counts));
	*ret = store;
	return MR_OK;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	assert(!store->in_poll);
	conn_free(store);
	redis_url_deinit(&store->url);
	arena_deinit(&store->prefixes);
	arena_deinit(&store->arena);
	buf_deinit(&store->scratch);
	free(store->shard_prefixes);
	free(store->shard_counts);
	free(store->key_table);
	free(store);
}

int store_fd(const struct store *store)
{
	return link_fd(&store->link);
}

short store_events(const struct store *store)
{
	switch (store->state) {
	case LINK_DOWN:
		return 0;
	case LINK_CONNECTING:
		return POLLOUT;
	case LINK_GREETING:
		return (short)(POLLIN | (store->link.unsent ? POLLOUT : 0));
	case LINK_UP:
		return (short)(POLLIN | (store->link.unsent || store->again.len || store->waiting.len ? POLLOUT : 0));
	}
	return 0;
}

bool store_connected(const struct store *store)
{
	return store->state == LINK_UP;
}

size_t store_pending(const struct store *store)
{
	size_t greeting = store->state == LINK_GREETING ? store->sent.len : 0;

	return store->waiting.len + store->again.len + store->later.len + store->sent.len - greeting;
}

int64_t store_time_ms(const struct store *store, int64_t now_mono_us)
{
	return redis_clock_lower_ms(&store->clock, now_mono_us);
}

int64_t store_time_upper_ms(const struct store *store, int64_t now_mono_us)
{
	return redis_clock_upper_ms(&store->clock, now_mono_us);
}

enum mr_status store_submit(struct store *store, struct call *call)
{
	assert(call->args_left == 0);
	size_t bytes = call->request.len;

	if (store->closing) {
		call_free(call);
		return MR_ECLOSED;
	}
	if (store->pending_bytes && store->pending_bytes + bytes > store->config.queue_max_bytes) {
		call_free(call);
		return MR_EFULL;
	}
	store->typical_bytes[call->script] = bytes;
	store->pending_bytes += bytes;
	call_list_append(&store->waiting, call);
	return MR_OK;
}

enum mr_status store_wait(struct store *store, int timeout_ms, struct mr_error *err)
{
	int64_t end_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
	struct pollfd pollfd = {.fd = -1};

	for (;;) {
		int64_t now_us = clock_mono_us();

		store_poll(store, pollfd.revents, now_us);
		if (store_pending(store) == 0)
			return MR_OK;
		if (now_us >= end_us)
			return mr_error_set(err, MR_ETIMEOUT, "redis", "no answer for %d ms", timeout_ms);
		int64_t deadline_us = store_deadline_us(store) < end_us ? store_deadline_us(store) : end_us;
		int64_t wait_ms = deadline_us > now_us ? (deadline_us - now_us + 999) / 1000 : 0;

		pollfd = (struct pollfd){.fd = store_fd(store), .events = store_events(store)};
		if (poll(&pollfd, 1, (int)wait_ms) < 0 && errno != EINTR)
			return mr_error_set(err, MR_ESYSTEM, "poll", "%s", strerror(errno));
	}
}

size_t group_by_shard(struct store *store, const int *shards, size_t n, uint16_t **ret_order, struct buf *counts, int *ret_shards)
{
	uint16_t *order = mem_alloc(n * sizeof(*order));
	uint16_t starts[STORE_BATCH_MAX];
	size_t n_shards = 0, at = 0;

	/* Shards in order of their first item; the count becomes the group's number once it is known where the group begins. */
	for (size_t i = 0; i < n; i++) {
		if (store->shard_counts[shards[i]]++ == 0)
			ret_shards[n_shards++] = shards[i];
	}
	for (size_t s = 0; s < n_shards; s++) {
		int *count = &store->shard_counts[ret_shards[s]];

		buf_printf(counts, s ? " %d" : "%d", *count);
		starts[s] = (uint16_t)at;
		at += (size_t)*count;
		*count = (int)s;
	}
	for (size_t i = 0; i < n; i++)
		order[starts[store->shard_counts[shards[i]]]++] = (uint16_t)i;
	for (size_t s = 0; s < n_shards; s++)
		store->shard_counts[ret_shards[s]] = 0;
	*ret_order = order;
	return n_shards;
}
