/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_CALL_H
#define STORE_CALL_H

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "store/store.h"

/*
 * One call of a script, kept until it is answered: the request as it goes over the wire (so that sending it again is a copy),
 * and what to do with the answer. Made by the files of the transitions, taken over by store_submit().
 */

enum store_script {
#define XX(name) SCRIPT_##name,
	STORE_SCRIPT_MAP(XX)
#undef XX
		SCRIPTS,
	CALL_COMMAND = SCRIPTS, /* no script: part of the handshake */
};

extern const char *const store_script_names[SCRIPTS];

#define SHA_BYTES 40

/* A fresh claim is answered with what was asked for; the run lies in the request. */
struct call_claim {
	int64_t attempt, epoch, started_at_ms;
	size_t run_at, run_len;
};

struct call {
	struct call *next;
	enum store_script script;
	bool once;      /* fails when the connection is lost while it is under way */
	unsigned tries; /* refusals for now */
	int64_t sent_us;
	int64_t retry_at_us;
	struct buf request; /* RESP; the digest of the script is filled in when it is sent */
	size_t sha_at;
	size_t args_left; /* still to append */
	size_t n;         /* items of the batch */
	size_t n_sent;    /* apply: how many of them were sent */
	uint16_t *order;  /* position in the request -> index of the caller's item; NULL: the same */
	/* `reply` is an array whose first element is Redis' clock; NULL where status is not MR_OK. */
	void (*answer)(struct store *store, struct call *call, enum mr_status status, const redisReply *reply);
	union {
		store_claim_fn *claim;
		store_finish_fn *finish;
		store_done_fn *done;
		store_lease_fn *lease;
		store_status_fn *status;
		store_apply_fn *apply;
		store_fire_fn *fire;
		store_sweep_fn *sweep;
		store_expire_fn *expire;
		store_view_fn *view;
		store_orphans_fn *orphans;
		store_due_fn *due;
		store_offer_fn *offer;
		store_ahead_fn *ahead;
	} done;
	void *ctx;
	int first;   /* the shard; or which command of the handshake */
	int *shards; /* of a lease call */
	struct call_claim *claims;
};

struct call *call_new(struct store *store, enum store_script script, size_t n_keys, size_t n_args);
void call_free(struct call *call);
/* P{s}<kind><name>; kind is one of the letters of store.h, with ':' where a name follows. */
void call_key(struct store *store, struct call *call, int shard, const char *kind, struct bytes name);
void call_arg(struct call *call, struct bytes arg);
void call_arg_int(struct call *call, int64_t arg);
/* An empty buffer to compose an argument in; valid until the next use. */
struct buf *call_scratch(struct store *store);
/* A plain command of the handshake. */
struct call *call_command(const struct bytes *words, size_t n);
void call_set_sha(struct call *call, const char *sha);

/* ---- replies ---- */

/* The element as bytes; absent where it is not a string. */
struct bytes reply_bytes(const redisReply *reply, size_t i);
/* An integer, or a string of one; `otherwise` else. */
int64_t reply_int(const redisReply *reply, size_t i, int64_t otherwise);
/* The letter that is element i, 0 where it is none. */
char reply_letter(const redisReply *reply, size_t i);
/* MR_OK, or MR_ECONFLICT where element 1 says so, or MR_EREDIS where it is neither. */
enum mr_status reply_outcome(enum mr_status status, const redisReply *reply);

/* Answers a store_done_fn. */
void answer_done(struct store *store, struct call *call, enum mr_status status, const redisReply *reply);
/* The same for scripts with an outcome. */
void answer_outcome(struct store *store, struct call *call, enum mr_status status, const redisReply *reply);

#endif
