/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_IMPL_H
#define STORE_STORE_IMPL_H

/* Between the files of the store; nobody else includes this. */

#include "base/arena.h"
#include "store/call.h"
#include "store/link.h"
#include "store/redis_clock.h"

struct call_list {
	struct call *head, *tail;
	size_t len;
};

/*
 * A call's way: waiting -> sent -> answered. Back: sent -> again (connection lost, script unknown: goes out first, in the old
 * order) and sent -> later (refused for now) -> again.
 */
enum link_state {
	LINK_DOWN,       /* next: CONNECTING at reconnect_at_us */
	LINK_CONNECTING, /* next: GREETING; DOWN */
	LINK_GREETING,   /* credentials, database and scripts are under way; next: UP; DOWN */
	LINK_UP,         /* next: DOWN */
};

struct store {
	struct store_config config; /* strings: see url, prefix */
	struct store_callbacks callbacks;
	struct redis_url url;
	struct bytes *shard_prefixes; /* "P{s}" of each shard */
	struct arena prefixes;

	struct link link;
	enum link_state state;
	int64_t reconnect_at_us; /* DOWN */
	int64_t give_up_at_us;   /* CONNECTING, GREETING */
	unsigned failures;       /* in a row */
	bool troubled;           /* Redis refused calls, and health was told */
	size_t refused;          /* calls that were refused for now, and were not answered since */

	struct call_list waiting, again, sent, later;
	size_t pending_bytes;
	bool in_poll;
	bool closing;

	char sha[SCRIPTS][SHA_BYTES];
	bool loading[SCRIPTS];
	size_t typical_bytes[SCRIPTS]; /* of the last request, so that the next one is allocated once */

	struct redis_clock clock;
	struct buf scratch;  /* an argument that is being composed */
	struct arena arena;  /* what an answer borrows */
	int *shard_counts;   /* all zero between calls */
	uint16_t *key_table; /* claim: finds keys that a batch has twice */
};

/* Queues a finished call: takes it over, or frees it and returns MR_EFULL (or MR_ECLOSED inside store_free). */
enum mr_status store_submit(struct store *store, struct call *call);

static inline bool store_shard_ok(const struct store *store, int shard)
{
	return shard >= 0 && shard < store->config.shards;
}

/* finish.c: what may go into a record. */
bool store_token_ok(const struct store *store, const struct claim_token *token);

/* Orders n items by shard (stable): *ret_order maps positions to items, `counts` gets the sizes "5 12 3", ret_shards (of
 * STORE_BATCH_MAX) the shards in order; returns how many. The caller has checked the shards; shard_of gives that of an item. */
size_t group_by_shard(struct store *store, const int *shards, size_t n, uint16_t **ret_order, struct buf *counts,
		      int *ret_shards);

#endif
