/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_STORE_FIXTURE_H
#define SUPPORT_STORE_FIXTURE_H

#include "base/arena.h"
#include "store/store.h"
#include "support/redis_server.h"

/*
 * A store on a redis-server of its own, with blocking calls for tests. All tasks lie in one shard, which is ready under the
 * nonce "n1"; worker "w1" (that of the tests' tokens) and "w2" have leases, "w9" has none.
 *
 * Records are written as in store.h, with '|' for TAB and '^' for the newline before the publication:
 * "R|run|0|1|n1|w1|rec|5|0|||", "F|run|0|1|n1|0|1000|0|^0value".
 */
#define FX_SHARDS 4
#define FX_SHARD 2
#define FX_NONCE BYTES_LIT("n1")
#define FX_WORKER BYTES_LIT("w1")

struct fixture {
	struct redis_server server;
	struct store *store;
	struct arena arena; /* answers live until fx_reset */
	int health_ok, health_lost;
	char health[512]; /* the last message */
	bool done;        /* the callback of the last call ran */
	enum mr_status status;
	void *answer;
	size_t n;
};

/* For cmocka's group set-up and tear-down. */
int fx_setup(void **state);
int fx_teardown(void **state);
void fx_start(struct fixture *fx, const char *const *options, const struct store_config *config);
void fx_stop(struct fixture *fx);
/* FLUSHALL, then ready again as above. */
void fx_reset(struct fixture *fx);
void fx_ready(struct fixture *fx, const char *nonce);
/* Polls until the callback of the last call ran; fails the test after 10 s. */
void fx_wait(struct fixture *fx);
/* Polls for so long. */
void fx_poll(struct fixture *fx, int ms);

/* The raw state of key in FX_SHARD: sets it (NULL deletes), checks it (NULL: there is none). */
void fx_put(struct fixture *fx, const char *key, const char *record);
void fx_assert_state(struct fixture *fx, const char *key, const char *record);
char *fx_get(struct fixture *fx, const char *key);
/* "{2}m" with the prefix: the other keys. Borrowed until the next call. */
const char *fx_key(const char *kind);
/* One command on it, its answer compared. */
void fx_assert_redis(struct fixture *fx, const char *expected, const char *const *words);
#define FX_ASSERT_REDIS(fx, expected, ...) fx_assert_redis(fx, expected, (const char *const[]){__VA_ARGS__, NULL})

/* Blocking calls: the answers are copied into fx->arena. */
struct claim_answer fx_claim(struct fixture *fx, const struct claim_request *request);
const struct claim_answer *fx_claims(struct fixture *fx, struct bytes worker, const struct claim_request *requests, size_t n);
struct finish_answer fx_finish(struct fixture *fx, const struct finish_request *request);
void fx_release(struct fixture *fx, const struct claim_token *token);
void fx_reassert(struct fixture *fx, const struct claim_token *token);
enum mr_status fx_apply(struct fixture *fx, const char *nonce, bool recovering, int64_t from, int64_t to,
			const struct apply_record *records, size_t n, struct apply_answer *ret);
/* Callbacks that only note status and that they ran. */
void fx_on_done(void *ctx, enum mr_status status);
void fx_on_status(void *ctx, enum mr_status status, const struct shard_status *answer);
enum mr_status fx_status(struct fixture *fx, enum mr_status called);
struct shard_status fx_look(struct fixture *fx, int shard);
struct lease_answer fx_lease(struct fixture *fx, const char *worker, const char *seen);
enum mr_status fx_vouch(struct fixture *fx, const char *nonce);
enum mr_status fx_recover(struct fixture *fx, const char *nonce);

/* A first record of task "k": run "run", record "rec", nonce "n". */
struct claim_request fx_request(void);
/* The token of what fx_request gets. */
struct claim_token fx_token(void);

#endif
