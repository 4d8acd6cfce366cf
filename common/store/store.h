/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/bytes.h"
#include "millrace/status.h"
#include "task/task.h"

/*
 * Redis as the cores see it: one call per transition of design.md 5, each one script (scripts/<name>.lua), batched over many
 * tasks. Non-blocking: a call is queued, its callback runs inside store_poll() with the answers or with MR_EREDIS. After a
 * lost connection every call that was under way is sent again with the same arguments (all scripts are idempotent by their
 * nonces), and a call that Redis refuses for now (loading, busy, read-only, out of memory, ...) is sent again after a while.
 * So a callback sees MR_EREDIS only on store_free, where Redis refuses the call for good (an ACL, a foreign value under one
 * of our keys), and for calls that are not worth repeating (lease, tip) when the connection is lost.
 * A call returns MR_OK where it was queued; MR_EINVAL for a batch of 0 or over STORE_BATCH_MAX, a shard out of range, or a
 * text with control characters; MR_EFULL at the bound of the queue. The callback runs for MR_OK only. Callbacks may make
 * calls, but not store_free or store_poll. Arguments are copied when the call is made; answers are borrowed until the
 * callback returns. Calls that are queued go out with the next store_poll(), whatever its revents: one more store_poll()
 * before poll(2) saves a round of the loop. One thread. Programs ignore SIGPIPE.
 *
 * Keys of shard s, with P = prefix and hash tag {s}:
 *   P{s}m   string  readiness marker: "1" or "0" (ready, recovering), run_id (40), master_replid (40), nonce
 *   P{s}p   hash    positions, valid with the marker only: j journal offset, r tip of results, c control offset
 *   P{s}w   hash    leases: worker incarnation -> counter. A claim needs an entry; an owner without one is dead
 *   P{s}d   hash    incarnations declared dead -> when (ms); they stay dead
 *   P{s}t:K string  the record of task K, first byte = state (below)
 *   P{s}b   zset    backoff: task key -> due ms      P{s}h heartbeat      P{s}T timeout
 *   P{s}k   zset    parked attempts that a worker runs: "worker<TAB>task key", score 0
 *   P{s}y:K string  the last heartbeat that the journal knows: run epoch attempt beat_ms timeout_ms content_type encoding
 *                   (TAB-separated; beat_ms by this server's clock), and where it has details a newline and the details
 *   P{s}c:K string  what commands have changed for the task: run (may be empty) epoch flags request_ids (RS-joined)
 *                   (TAB-separated), then a TAB and the options to the end
 *   P{s}u:K<TAB>R   the record F of a closed run R of key K, once another run of the key has begun
 *   P{0}q:Q hash    the workers of queue Q that have told how busy they are -> "at_ms free partitions"
 *   P{s}o   zset    outbox: task key -> ms since when: something must be published for it and is not confirmed
 *   P{s}x   zset    wheel: the time slices (60 s) that have an entry
 *   P{s}x:N list    task keys that finished in time slice N (their retention ends together)
 *
 * Task records are one line of TAB-separated fields (ids contain no control characters), then for F a newline and bytes:
 *   R run epoch attempt nonce worker record_id started_at_ms lost journalled flags replies   STARTED
 *   S run epoch attempt record_id journal_offset lost flags replies                          SCHEDULED
 *   B run epoch attempt due_ms journal_offset lost flags replies                             BACKING_OFF
 *   W run epoch attempt due_ms journal_offset lost flags replies                             WAITING (due -1: until told)
 *   M run 0 1 at_ms j 0 flags replies   nothing is known of the task but what commands say of it (run may be empty)
 *   F run epoch attempt nonce status closed_at_ms unconfirmed replies\n<publication>         terminal (record.c has the form)
 * Entries of P{s}h are task keys (attempts without a worker only); of P{s}T "kind<TAB>task key<TAB>run<TAB>epoch<TAB>attempt<TAB>place":
 * kind s schedule-to-start, c the end of the task's or attempt's time; place = topic:partition:offset of the task record, or
 * empty: the journal has it.
 * flags: c cancel, t terminate, p pause, r reset requested; u options or a reset came after the dispatch; l (of R) taken over as
 * lost, not to be run; k (of R) parked: a STARTED record of this attempt is in the journal; e something may be beside it: P{s}c:K,
 * P{s}y:K, or a closed run.
 * record_id: of R the task record that the claim was for; of S the record that gave its claim back, and may have it again.
 * journalled, journal_offset: offset of the journal record that carries the task; empty where there is none, "j" where it is
 * not known.
 * replies: reply topics added by further publications of the task: "topic<US>key" joined by <RS>, at most 8.
 */
struct store;

/* The scripts' names, for statistics and logs. */
/* clang-format off */
#define STORE_SCRIPT_MAP(XX)                                                                                                \
	XX(claim) XX(finish) XX(release) XX(published) XX(lease) XX(leave) XX(reassert) XX(bury) XX(apply) XX(fire) XX(sweep)   \
	XX(expire) XX(look) XX(recover) XX(restore) XX(vouch) XX(tip) XX(view) XX(orphans) XX(due) XX(watch) XX(unwatch)       \
	XX(offer) XX(ahead)
/* clang-format on */

#define STORE_BATCH_MAX 512

struct store_config {
	const char *url; /* redis://[[user]:password@]host[:port][/db], unix:///path, rediss:// */
	const char *prefix;
	int shards;
	int connect_timeout_ms; /* 0 = 1000 */
	int call_timeout_ms;    /* no answer for so long = reconnect and send again; 0 = 5000 */
	size_t queue_max_bytes; /* bound of unsent calls; 0 = 64 MiB */
};

struct store_callbacks {
	void *ctx;
	/* Connected (MR_OK) or lost (MR_EREDIS), with a sentence. Logs and health; the store reconnects by itself (after 50 ms
	 * to 1 s). */
	void (*health)(void *ctx, enum mr_status status, const char *message);
};

/* Does not connect yet. MR_EINVAL: a URL that is not understood, rediss:// where hiredis has no TLS. */
enum mr_status store_new(const struct store_config *config, const struct store_callbacks *callbacks, struct store **ret,
			 struct mr_error *err);
void store_free(struct store *store);
/* For poll(2): fd (-1 while waiting to reconnect), the events wanted, and when to call store_poll at the latest. */
int store_fd(const struct store *store);
short store_events(const struct store *store);
int64_t store_deadline_us(const struct store *store);
void store_poll(struct store *store, short revents, int64_t now_mono_us);
bool store_connected(const struct store *store);
size_t store_pending(const struct store *store); /* calls queued or under way */
/* Refuses a server whose maxmemory-policy is not noeviction (where it may be asked) or older than Redis 7.0. Blocking;
 * start-up only, on a connection of its own. */
enum mr_status store_check(const struct store_config *config, int timeout_ms, struct mr_error *err);

/* Redis' clock at `now_mono_us` by what its answers told (each reads the clock somewhere between send and receipt). The first
 * is never ahead of the true one, the second never behind it; they differ by a round trip and 1 ms. A due time =
 * store_time_upper_ms() + delay is never early. 0 before the first answer. */
int64_t store_time_ms(const struct store *store, int64_t now_mono_us);
int64_t store_time_upper_ms(const struct store *store, int64_t now_mono_us);

/* What a finished task publishes, as kept in F: value bytes, user's headers, and where the reply went. */
struct store_publication {
	struct bytes value;
	struct bytes reply_topic; /* absent: none */
	struct bytes reply_key;
	struct headers headers;
};

/* ---- 3 claim ---- */

struct claim_request {
	struct bytes key;
	int shard;
	struct bytes run_id;
	int64_t epoch, attempt; /* of the record (headers; else 0, 1) */
	struct bytes record_id;
	struct bytes nonce;                  /* unique per claim (made before the call, the same on a repetition) */
	int64_t max_attempts;                /* effective; 0 = unlimited */
	struct bytes reply_topic, reply_key; /* added to the task where the answer is BUSY */
	enum id_reuse_policy reuse;
	enum id_conflict_policy conflict;
	bool first_loss_retries; /* a first LOST becomes RUN of attempt n+1 (policy allows a retry of WorkerLost) */
	int64_t started_at_ms;   /* for people, and part of the record: give the token the same; 0 = store_time_ms */
};

enum claim_verdict {
	CLAIM_RUN,       /* yours: epoch, attempt (n+1 after a first loss: lost = 1) */
	CLAIM_LOST,      /* attempt n of a dead worker, now under your nonce: report it lost (retry by backoff, or finish) */
	CLAIM_WAIT,      /* same record, its owner lives: keep it unsettled and ask again */
	CLAIM_BUSY,      /* another publication of the task is known: settle; its result will come */
	CLAIM_FINISHED,  /* publication: publish the stored result again, then settle */
	CLAIM_HOLD,      /* until hold_until_ms (0: until told): write a WAITING journal record, then settle */
	CLAIM_STALE,     /* older attempt, epoch or run: settle */
	CLAIM_CANCELED,  /* cancel came first: finish as CANCELED under your nonce */
	CLAIM_REJECTED,  /* id policy: answer this publication with a rejection (reject_running tells which), settle */
	CLAIM_NOT_READY, /* shard not vouched for, or no lease of this worker in it: hold the task, re-assert, ask again */
	CLAIM_BURIED,    /* this incarnation was declared dead: begin a new one */
};

struct claim_answer {
	enum claim_verdict verdict;
	int64_t epoch, attempt;
	int64_t lost;
	bool journalled; /* a journal record of the task exists: its finish needs the outbox */
	bool reject_running;
	bool terminated; /* CANCELED: by a terminate */
	int64_t hold_until_ms;
	int64_t started_at_ms;                /* RUN, LOST, CANCELED: as recorded, for the token */
	struct bytes run_id;                  /* of the state: the run this belongs to */
	struct store_publication publication; /* FINISHED */
};

typedef void store_claim_fn(void *ctx, enum mr_status status, const struct claim_answer *answers, size_t n);
/* Requests of any shards; one script call (one per slot on Cluster). At most 512. */
enum mr_status store_claim(struct store *store, struct bytes worker, const struct claim_request *requests, size_t n,
			   store_claim_fn *done, void *ctx);

/* ---- 5 outcome ---- */

/* The fencing token of an attempt that one holds, as the claim gave it. */
struct claim_token {
	struct bytes key;
	int shard;
	struct bytes run_id;
	int64_t epoch, attempt;
	struct bytes nonce;
	struct bytes worker;
	struct bytes record_id;
	int64_t started_at_ms; /* as it was at the claim */
	int64_t lost;
	bool journalled;
};

struct finish_request {
	struct claim_token token;
	/* Unique per end, where another than the holder of the claim ends it: then the holder's own finish is stale. Absent: it is
	 * the holder, and the end is known by the claim's nonce. */
	struct bytes end_nonce;
	enum result_status status;
	bool outbox;          /* a journal record exists or was sent: keep an outbox entry until store_published */
	int64_t closed_at_ms; /* by Redis' clock; 0 = store_time_ms */
	struct store_publication publication;
};
enum finish_verdict {
	/* Stored (or was already, by this token): publish. Also where Redis lost the claim, or fell back to a state before it. */
	FINISH_OK,
	FINISH_STALE, /* another attempt holds or ended the task: drop the result */
};
struct finish_answer {
	enum finish_verdict verdict;
	struct bytes replies; /* reply topics that further publications asked for: store_replies_next */
	/* The journal has a COMMAND or HEARTBEAT record of the task, which wants its tombstone; an outbox entry was kept for that. */
	bool commanded;
};
typedef void store_finish_fn(void *ctx, enum mr_status status, const struct finish_answer *answers, size_t n);
enum mr_status store_finish(struct store *store, const struct finish_request *requests, size_t n, store_finish_fn *done,
			    void *ctx);

/* Gives back claims that did not start, without using up an attempt; the supervisor also those of an incarnation that ended.
 * An attempt taken over as LOST goes back as lost: whoever gets the record next is told LOST again. */
typedef void store_done_fn(void *ctx, enum mr_status status);
enum mr_status store_release(struct store *store, const struct claim_token *tokens, size_t n, store_done_fn *done, void *ctx);

/* Iterates over `replies`; false at the end. */
bool store_replies_next(struct bytes *replies, struct bytes *ret_topic, struct bytes *ret_key);

/* ---- leases and recovery, worker's side ---- */

struct lease_answer {
	int shard;
	bool ready;
	bool buried;                 /* this incarnation is declared dead in this shard */
	struct bytes recovery_nonce; /* not ready: "" where the scheduler has not begun */
};
typedef void store_lease_fn(void *ctx, enum mr_status status, const struct lease_answer *answers, size_t n);
/* Raises the worker's counter in these shards and registers it where it is missing (never where it is buried). `seen`: per
 * shard the recovery nonce under which everything that runs has been re-asserted ("" = none): only with it the lease counts
 * for the barrier. */
enum mr_status store_lease(struct store *store, struct bytes worker, const int *shards, const struct bytes *seen, size_t n,
			   store_lease_fn *done, void *ctx);
/* Drain: removes the leases. */
enum mr_status store_lease_end(struct store *store, struct bytes worker, const int *shards, size_t n, store_done_fn *done,
			       void *ctx);
/* Writes back claims after a loss of Redis: highest (epoch, attempt) wins, terminal wins over all. */
enum mr_status store_reassert(struct store *store, const struct claim_token *tokens, size_t n, store_done_fn *done, void *ctx);
/* Supervisor or scheduler: this incarnation is dead in these shards. */
enum mr_status store_bury(struct store *store, struct bytes worker, const int *shards, size_t n, store_done_fn *done, void *ctx);

/* ---- a task, as its state in Redis says ---- */

struct task_view {
	enum view_state {
		VIEW_NONE,
		VIEW_STARTED,
		VIEW_SCHEDULED,
		VIEW_BACKING_OFF,
		VIEW_WAITING,
		VIEW_MARKED, /* only commands are known */
		VIEW_FINISHED,
	} state;
	struct bytes run_id;
	int64_t epoch, attempt;
	struct bytes nonce, worker; /* STARTED; no worker: it waits for its asynchronous completion */
	struct bytes record_id;     /* STARTED, SCHEDULED: coordinates of the task record, where they are known */
	int64_t lost;
	int64_t started_at_ms, due_ms; /* due_ms -1: until told */
	int64_t journal_offset;        /* of the record that carries the task; -1: none, or not known */
	enum result_status status;     /* FINISHED */
	int64_t closed_at_ms;
	struct store_publication publication;
	bool cancel_requested, terminate_requested, pause_requested, reset_requested, parked;
	struct bytes replies;
	struct payload heartbeat; /* the last details that the journal knows */
	int64_t beat_ms;          /* 0: none */
	int64_t reset_epoch;      /* what commands ask for; 0: none */
	struct bytes options;     /* JSON object; absent: none */
	struct bytes request_ids; /* RS-joined */
	bool shard_ready;
};

struct found_task {
	struct bytes key;
	struct task_view view;
};

/* ---- scheduler ---- */

#define STORE_TIMER_SETS 3

struct shard_status {
	enum shard_state {
		SHARD_READY,
		SHARD_UNKNOWN,    /* no marker of this server */
		SHARD_RECOVERING, /* a recovery nonce is in place */
	} state;
	int64_t journal_offset; /* -1 = none stored */
	int64_t results_tip;
	int64_t control_offset;
	int64_t now_ms;                   /* Redis' clock */
	int64_t next_due_ms;              /* lowest score of the timer sets, -1 = none */
	int64_t outbox;                   /* entries */
	int64_t timers[STORE_TIMER_SETS]; /* entries of backoff, heartbeat, timeout */
	struct bytes nonce;               /* of the marker */
	const struct lease {
		struct bytes worker;
		int64_t counter;
		struct bytes seen; /* the recovery nonce under which the worker has re-asserted */
	} * leases;
	size_t n_leases;
};
typedef void store_status_fn(void *ctx, enum mr_status status, const struct shard_status *answer);
/* Reads the shard's status (script `look`). */
enum mr_status store_look(struct store *store, int shard, store_status_fn *done, void *ctx);
/* Step 1: writes the recovery nonce where the marker is missing, of another server, or another scheduler's recovery; answers
 * like look (positions of a former marker are kept and told). */
enum mr_status store_recover(struct store *store, int shard, struct bytes nonce, store_status_fn *done, void *ctx);
/* Step 4: results read from the log; the first of a run wins, also over what a worker has finished with in
 * the meantime, terminal wins over all. Only under the nonce. */
struct restore_request {
	struct bytes key;
	struct bytes run_id;
	int64_t attempt;
	enum result_status status;
	int64_t closed_at_ms;
	struct store_publication publication;
};
enum mr_status store_restore(struct store *store, int shard, struct bytes nonce, const struct restore_request *requests, size_t n,
			     store_done_fn *done, void *ctx);
/* Step 5: MR_ECONFLICT where nonce or positions are not those of this recovery. */
enum mr_status store_vouch(struct store *store, int shard, struct bytes nonce, int64_t journal_offset, int64_t results_tip,
			   int64_t control_offset, store_done_fn *done, void *ctx);
/* Notes the tip of results; ignored unless ready under this nonce. */
enum mr_status store_tip(struct store *store, int shard, struct bytes nonce, int64_t results_tip, store_done_fn *done, void *ctx);

struct apply_record {
	enum journal_kind kind; /* BACKOFF, STARTED, WAITING; tombstones are not applied */
	struct bytes key;
	struct bytes run_id;
	int64_t epoch, attempt;
	int64_t due_ms;
	int64_t offset; /* in the journal */
	int64_t lost;
	bool cancel_requested, pause_requested, terminate_requested;
	struct bytes nonce, worker,
		record_id; /* STARTED: restored where the claim was lost; no worker: asynchronous completion */
	int64_t started_at_ms;
	/* WAITING, BACKOFF: when schedule-to-close runs out; STARTED without a worker: when the attempt's time is over. -1: never */
	int64_t close_at_ms;
	int64_t heartbeat_timeout_ms; /* STARTED without a worker; 0: none */
	struct payload heartbeat;     /* HEARTBEAT, STARTED */
	struct bytes options;         /* COMMAND */
	const struct bytes *request_ids;
	size_t n_request_ids;
	int64_t control_offset; /* COMMAND, CHECKPOINT; -1: none */
};
struct apply_answer {
	enum apply_verdict {
		APPLY_DONE,
		APPLY_STALE,    /* the state is further: nothing to do */
		APPLY_FINISHED, /* finished and confirmed: write the tombstones again */
		/* Done, and now the task can be ended by its cancel or terminate flag: `found` says what it is. The outbox holds it
		 * until then (swept.end). */
		APPLY_END,
	} verdict;
	const struct found_task *found; /* END */
};
typedef void store_apply_fn(void *ctx, enum mr_status status, const struct apply_answer *answers, size_t n);
/* Applies a batch of one shard's journal and moves its offset from `from` to `to` in one step. MR_ECONFLICT: the stored
 * offset is not `from` or the marker is not `nonce`: read the status again. `recovering`: allowed under the recovery nonce
 * (replay), positions are not moved then. No offset stored: `from` is -1. A batch that was applied already (the stored offset
 * is `to`) may come again. n may be 0. */
enum mr_status store_apply(struct store *store, int shard, struct bytes nonce, bool recovering, int64_t from, int64_t to,
			   const struct apply_record *records, size_t n, store_apply_fn *done, void *ctx);

struct fired {
	struct bytes key;
	struct bytes run_id;
	int64_t epoch, attempt;
	int64_t due_ms;
	int64_t journal_offset; /* of the record that holds the task */
	struct bytes replies;
	struct bytes options; /* JSON object that commands have changed; absent: none */
};
typedef void store_fire_fn(void *ctx, enum mr_status status, const struct fired *fired, size_t n, int64_t next_due_ms,
			   int64_t now_ms);
/* Up to `limit` due backoff entries: BACKING_OFF -> SCHEDULED + outbox entry; entries that are not due by their record are
 * re-armed. */
enum mr_status store_fire(struct store *store, int shard, struct bytes nonce, int limit, store_fire_fn *done, void *ctx);

/* The record of a task that will be due. */
struct ahead {
	int64_t journal_offset;
	int64_t due_ms;
};
/* A place in the order of due times: the entries that are due from an instant on, but so many of them. */
struct ahead_place {
	int64_t due_ms;
	int64_t skip;
};
/* Borrowed during the call; `next`: where to go on. */
typedef void store_ahead_fn(void *ctx, enum mr_status status, const struct ahead *ahead, size_t n, struct ahead_place next);
/* Up to `limit` backoff entries that are due by `until_ms`, from a place on; changes nothing. What was held back or has ended is
 * left out. MR_ECONFLICT: the shard is not vouched for under this nonce. */
enum mr_status store_ahead(struct store *store, int shard, struct bytes nonce, struct ahead_place from, int64_t until_ms,
			   int limit, store_ahead_fn *done, void *ctx);

/* What is in the outbox for longer than `older_ms`. */
struct swept {
	struct bytes key;
	const struct found_task *end; /* not NULL: the task is to be ended by its cancel or terminate flag; nothing else is set */
	bool finished; /* publish `publication` as the result, then the tombstone; else dispatch the attempt as after fire */
	struct fired dispatch;
	struct store_publication publication;
};
typedef void store_sweep_fn(void *ctx, enum mr_status status, const struct swept *swept, size_t n);
enum mr_status store_sweep(struct store *store, int shard, struct bytes nonce, int64_t older_ms, int limit, store_sweep_fn *done,
			   void *ctx);

/* Attempts that were parked by workers which have no lease any more, from the member after `after` ("" = the first), over at most
 * `limit` members. `next`: where to go on, "" at the end. Workers that live cost one step each. */
typedef void store_orphans_fn(void *ctx, enum mr_status status, const struct found_task *found, size_t n, struct bytes next);
enum mr_status store_orphans(struct store *store, int shard, struct bytes nonce, struct bytes after, int limit,
			     store_orphans_fn *done, void *ctx);

/* Timers of heartbeats and timeouts that are due, by this server's clock and re-derived from the task's state: what does not hold
 * any more is dropped, what is not due yet is armed again. What is returned is armed again for 2 s later, and goes when the task's
 * state changes, or by store_unwatch. */
struct due_timer {
	enum timer_kind { TIMER_SCHEDULE_TO_START, TIMER_CLOSE, TIMER_HEARTBEAT } kind;
	int64_t due_ms;
	struct bytes place; /* "": the journal has the task */
	struct bytes run_id;
	int64_t epoch, attempt; /* that it was armed for */
	struct found_task found;
};
typedef void store_due_fn(void *ctx, enum mr_status status, const struct due_timer *due, size_t n, int64_t next_due_ms);
enum mr_status store_due(struct store *store, int shard, struct bytes nonce, int limit, store_due_fn *done, void *ctx);

/* Arms schedule timeouts of task records that wait in their topic; the same again changes nothing. Nonce "": under whatever nonce
 * the shard is vouched for, since whoever watches a task topic need not own the shard. */
struct watch_request {
	enum timer_kind kind; /* TIMER_SCHEDULE_TO_START, TIMER_CLOSE */
	struct bytes key, run_id;
	int64_t epoch, attempt;
	struct bytes place; /* topic:partition:offset */
	int64_t due_ms;
};
enum mr_status store_watch(struct store *store, int shard, struct bytes nonce, const struct watch_request *requests, size_t n,
			   store_done_fn *done, void *ctx);
/* Forgets them again. The nonce is that of the owner, which has judged by the data of now. */
enum mr_status store_unwatch(struct store *store, int shard, struct bytes nonce, const struct watch_request *requests, size_t n,
			     store_done_fn *done, void *ctx);

/* Clears outbox entries whose publication is acknowledged. Fenced: only while the task is still in that (run, epoch,
 * attempt). Worker and scheduler. */
struct published_request {
	struct bytes key;
	int shard;
	struct bytes run_id;
	int64_t epoch, attempt;
	bool finished;
};
enum mr_status store_published(struct store *store, const struct published_request *requests, size_t n, store_done_fn *done,
			       void *ctx);

/* Forgets finished tasks whose retention has ended, from the wheel, and what commands said of tasks that never came (`unseen`: their
 * keys; the journal's COMMAND records want their tombstones). Answers how many went and whether there is more. */
typedef void store_expire_fn(void *ctx, enum mr_status status, int64_t removed, bool more, const struct bytes *unseen,
			     size_t n_unseen);
enum mr_status store_expire(struct store *store, int shard, struct bytes nonce, int64_t retention_ms, int limit,
			    store_expire_fn *done, void *ctx);

/* ---- looking ---- */

typedef void store_view_fn(void *ctx, enum mr_status status, const struct task_view *view);
enum mr_status store_view(struct store *store, struct bytes key, int shard, store_view_fn *done, void *ctx);

/* ---- between the workers of a queue ---- */

/* How many more attempts a worker would start at once, and the partitions of the queue that it has. What is older than 3 s counts
 * no more. */
struct offer {
	struct bytes worker;
	int64_t free;
	struct bytes partitions; /* "0,4,17" */
};
typedef void store_offer_fn(void *ctx, enum mr_status status, const struct offer *others, size_t n);
/* Tells ours (`free` 0 withdraws it) and takes up to `wanted` free slots of others, which nobody else is given then until their
 * worker tells again: done() is told whose, with `free` as many as were taken. */
enum mr_status store_offer(struct store *store, struct bytes queue, const struct offer *ours, int64_t wanted,
			   store_offer_fn *done, void *ctx);

/* Runs store_poll until nothing is pending or timeout_ms passed; for the command line and the supervisor. */
enum mr_status store_wait(struct store *store, int timeout_ms, struct mr_error *err);

#endif
