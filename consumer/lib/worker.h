/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_WORKER_H
#define CONSUMER_WORKER_H

#include "base/map.h"
#include "bus/bus.h"
#include "lib/executor.h"
#include "lib/job.h"
#include "lib/ledger.h"
#include "lib/line.h"
#include "lib/meters.h"
#include "lib/registry.h"
#include "lib/settle.h"
#include "lib/store_calls.h"
#include "wire/wire.h"

/*
 * The core of a worker: one state object in one thread, advanced by events (records, acknowledgements, answers of Redis,
 * ends of attempts, timers) with `now` passed in. It reads no clock, draws no random number and never blocks, but for the
 * commit inside a revoke.
 *
 * The way of a task through it (design.md 4), one file a step:
 *   intake.c 2 -> claim.c 3 -> execute.c 4 -> outcome.c 5 -> result.c 6 -> settle.c 8
 * beside it: park.c and heartbeat.c (what is journalled of attempts while they run), fence.c (attempts that somebody else may have
 * ended), dead.c (records that cannot be understood), delay.c (start delays), journal.c (what carries a task between attempts),
 * deliver.c (records sent until they are acknowledged), pace.c (how much is claimed ahead), control.c (commands), offer.c and
 * forward.c (what waits here and could run elsewhere), lease.c (that it lives, and what it holds after a loss of Redis), drain.c
 * (its end).
 */

#define WORKER_BATCH_MAX 512
/* A second call is sent while one is under way only when so many wait: batches grow with the load, and without load
 * nothing waits. */
#define WORKER_BATCH_FULL 256
#define WORKER_CALLS_MAX 2

struct worker_config {
	const char *incarnation; /* names it in claims and leases; borrowed, like all below */
	const char *prefix;
	size_t queues;
	const char *const *queue_names; /* for the metrics; NULL: nobody looks */
	int shards;
	size_t slots;              /* attempts at once */
	size_t depth;              /* attempts that may wait in the executor's ring */
	size_t max_jobs;           /* tasks read and not settled */
	int64_t max_jobs_bytes;    /* their bytes */
	int64_t max_input_bytes;   /* of one task, as the activity gets it */
	int64_t max_result_bytes;  /* a result record */
	int64_t start_to_close_ms; /* where neither task nor activity has one */
	int64_t grace_ms;          /* of a drain */
	int64_t kill_after_ms;     /* from the end of an attempt's time to its kill */
	int64_t park_after_ms;     /* how long an attempt runs before it is parked */
	uint64_t nonce_seed;       /* random: nonces follow from it */
	const struct mr_registry *registry;
	struct wire *wire;
	struct ledger *ledger;
	struct executor *executor;
	const struct store_calls *calls;
	struct metrics *metrics; /* where it counts and tells its health; NULL: nowhere */
};

/* Why it ended. */
enum worker_end {
	WORKER_RUNS,
	WORKER_DRAINED, /* asked to */
	WORKER_CUT_OFF, /* asked to, but Kafka or Redis did not take what was left: it will be seen again by the next owner */
	WORKER_BURIED,  /* declared dead: a new incarnation has to go on */
};

struct shard {
	bool ready;
	struct bytes seen; /* recovery nonce under which all that runs was asserted again; lies in seen_text */
	char seen_text[64];
	bool asserting, assert_failed;
	size_t assert_calls; /* not answered */
	char asserting_text[64];
	struct job_list held; /* fresh jobs that wait for it */
};

/* A call to the store that is under way, with the jobs it is about. */
struct batch {
	struct worker *worker;
	struct batch *next; /* in the pool */
	size_t n;
	int shard; /* of a re-assertion */
	struct job *jobs[WORKER_BATCH_MAX];
};

/* What is told of a task queue between its workers, and when. */
struct exchange {
	int64_t told_free;
	int64_t told_us;
	int64_t looked_us; /* for tasks that another worker should have */
	bool under_way;
};

struct worker_counters {
	uint64_t taken, bad, claims, started, completed, failed, retried, republished, released, lost, settled, forwarded,
		commands;
};

struct worker {
	struct worker_config config;
	struct feed *feeds; /* one a task queue */
	size_t n_feeds;
	size_t next_feed; /* to take records from first */
	struct bus *bus;  /* to write with: that of the first feed */
	struct store *store;
	struct bytes incarnation;
	char *topic_results, *topic_journal, *topic_control, *topic_dead, *topic_tasks_prefix;
	int64_t now_us;
	enum worker_end end;

	/* all jobs, and those of each step that wait for the next tick */
	struct job *all;
	struct job *pool;
	size_t n_jobs;
	int64_t jobs_bytes;
	struct job **by_entry; /* ledger index -> job */
	struct line fresh;
	struct job_list ready, queued, running, finishing, releasing, clearing, journalling;
	struct job_list held_back; /* READY, but a former attempt of the key has not ended */
	size_t n_doubted;
	struct reports *reports;
	struct timers timers;

	struct map lanes; /* by "topic:partition" */
	struct map kinds;
	struct kind *other_kind;

	uint64_t nonces;
	size_t claim_calls, finish_calls, release_calls, clear_calls;
	int64_t refused_until_us; /* Redis refused a call for good: the next ones wait a little */
	bool was_full;            /* records may have been left in Kafka */
	struct batch *batches;
	size_t ahead;          /* claimed and not started */
	size_t ahead_slow;     /* of them, of slow or unknown types */
	int64_t ahead_fast_us; /* of the others, what they are expected to take */

	struct shard *shards;
	bool lease_under_way;
	int64_t lease_at_us;
	int64_t lease_ok_us;                       /* when Redis answered last */
	int64_t unready_since_us, unready_told_us; /* 0 = ready */

	struct commands *commands;
	struct exchange *exchanges; /* one a task queue */
	size_t offers_seen;         /* each sender begins with another receiver */

	bool draining, leaving, told_shutdown, killed_all, lease_ending, lease_ended;
	int64_t drain_at_us;
	bool kafka_away;

	struct buf scratch;
	struct arena turn; /* memory of one callback or step */
	struct worker_counters counters;
	struct meters meters;
	int64_t bad_told_us; /* when a bad record was worth a line last */
	uint64_t bad_untold; /* and how many were not since */
};

struct worker *worker_new(const struct worker_config *config);
void worker_free(struct worker *worker);
/* For the bus of task queue i; a consumer group belongs to one queue. */
struct bus_callbacks worker_bus_callbacks(struct worker *worker, size_t i);
/* All are borrowed: free them before the worker. */
void worker_start(struct worker *worker, struct bus *const *buses, struct store *store, int64_t now_us);
/* The time of the callbacks that follow (store_poll outside a tick). */
void worker_clock(struct worker *worker, int64_t now_us);
/* Serves executor and bus, takes records, sends what is due. */
void worker_tick(struct worker *worker, int64_t now_us);
/* When to call worker_tick at the latest. */
int64_t worker_deadline_us(const struct worker *worker);
/* True where records may be waiting that it would take now. */
bool worker_has_room(const struct worker *worker);
void worker_drain(struct worker *worker, int64_t now_us);
/* Not WORKER_RUNS: tick no more. */
enum worker_end worker_ended(const struct worker *worker);

/* ---- between its files
 * -------------------------------------------------------------------------------------------------------------- */

struct job *worker_job_new(struct worker *worker);
/* Back to the pool; nothing of it may be under way. */
void worker_job_free(struct worker *worker, struct job *job);
/* It holds so many more bytes. */
void worker_job_weigh(struct worker *worker, struct job *job, size_t bytes);
void worker_job_state(struct job *job, enum job_state state);
void worker_job_wake(struct worker *worker, struct job *job, int64_t delay_ms);
/* A new entry of the ledger for its token; false where all are in use. */
bool worker_job_reserve(struct worker *worker, struct job *job);
void worker_job_unreserve(struct worker *worker, struct job *job);
/* Leaves the entry as it is, for the supervisor. */
void worker_job_forget(struct worker *worker, struct job *job);
struct bytes worker_nonce(struct worker *worker, struct arena *arena);
/* Redis' clock. */
int64_t worker_time_ms(const struct worker *worker);
struct batch *worker_batch_new(struct worker *worker);
void worker_batch_free(struct batch *batch);
/* Whether to send a batch of `waiting` now, with `calls` under way. */
bool worker_batch_due(const struct worker *worker, size_t waiting, size_t calls);
/* Redis refused a batch for good (or the store is being closed). */
void worker_batch_refused(struct worker *worker, const char *call);
void worker_timer_due(struct worker *worker, struct job *job);

/* 2 */
void intake_take(struct worker *worker);
/* dead.c */
void dead_begin(struct worker *worker, struct job *job, const struct mr_error *err, bool has_key);
void dead_delivered(struct worker *worker, struct job *job);
/* The letter was refused for its size: once more, with the beginning of the record alone. */
#define DEAD_KEEP_BYTES ((size_t)64 * 1024)
void dead_too_large(struct worker *worker, struct job *job);
void dead_woken(struct worker *worker, struct job *job);
/* delay.c */
bool delay_applies(const struct worker *worker, const struct job *job);
void delay_begin(struct worker *worker, struct job *job);
/* 3 */
void claim_queue(struct worker *worker, struct job *job);
/* A command has come for a job that is not claimed: before all others. */
void claim_hurry(struct worker *worker, struct job *job);
void claim_send(struct worker *worker);
/* pace.c */
struct pace {
	int64_t free_slots; /* without an attempt of ours, running or on its way */
	int64_t open_slots; /* that will be free within PACE_AHEAD_US */
	int64_t budget_us;  /* of work that would start within PACE_AHEAD_US */
	int64_t room;       /* of the ring */
};
enum pace_answer { PACE_GO, PACE_FULL, PACE_KIND_FULL };
struct kind *pace_kind(struct worker *worker, struct bytes activity_type);
struct pace pace_begin(const struct worker *worker);
enum pace_answer pace_admit(struct pace *pace, const struct job *job);
void pace_claimed(struct worker *worker, struct job *job);
/* Lines it up behind its type, which is at its limit. */
void pace_wait(struct job *job);
/* The lines of types that are at their limits, one after the other: begin with *it = 0, NULL at the end. */
struct line *pace_waiting(struct worker *worker, size_t *it, size_t *ret_limit);
/* Not ahead any more: it started, or goes back. */
void pace_started(struct worker *worker, struct job *job);
/* One of the type may be claimed that waits for its limit: another one has ended, or has gone without a claim. */
void pace_next(struct worker *worker, struct kind *kind);
/* It does not count for its type any more. */
void pace_left(struct worker *worker, struct job *job);
void pace_measured(struct job *job, int64_t run_us);
void pace_deinit(struct worker *worker);
/* 4 */
void execute_begin(struct worker *worker, struct job *job);
/* A READY job in no list: it may be pushed. */
void execute_ready(struct worker *worker, struct job *job);
/* The time of its task was changed: how long it may run is reckoned anew. */
void execute_retime(struct worker *worker, struct job *job);
void execute_push(struct worker *worker);
void execute_event(void *worker, const struct executor_event *event);
void execute_woken(struct worker *worker, struct job *job);
/* Sets the timer of a running job to whatever comes next for it. */
void execute_arm(struct worker *worker, struct job *job);
/*
 * Tells an attempt to stop, once per reason, remembers the reason for its outcome, and kills it where it goes on after the grace
 * period (but for a pause or a reset). One that is claimed and not started is told at its start; a cancel closes it at once, so that the job may be gone when
 * this returns. Attempts that have ended are left alone.
 */
void execute_tell(struct worker *worker, struct job *job, enum cancel_reason reason);
/* Ends an attempt at once, without a grace period: the task is TERMINATED. The job may be gone when this returns. */
void execute_terminate(struct worker *worker, struct job *job);
/* Ends an attempt at once that is not ours any more: nothing follows from it. The job may be gone when this returns. */
void execute_supersede(struct worker *worker, struct job *job);
/* False where it has started. */
bool execute_take_back(struct worker *worker, struct job *job);
void execute_release(struct worker *worker, struct job *job);
void execute_release_send(struct worker *worker);
/* 5 */
void outcome_of_attempt(struct worker *worker, struct job *job, const struct outcome *outcome, int64_t ended_mono_us);
void outcome_of_loss(struct worker *worker, struct job *job);
/* Canceled or terminated before the attempt started. */
void outcome_of_cancel(struct worker *worker, struct job *job);
void outcome_too_late(struct worker *worker, struct job *job);
/* The failures of former attempts that are remembered; they live in the arena. */
void outcome_history(struct worker *worker, const struct job *job, struct arena *arena, const struct attempt_failure **ret,
		     size_t *ret_n);
/* journal.c: BACKOFF for the attempt that follows a failed one, WAITING for one that is held back */
void journal_backoff(struct worker *worker, struct job *job, const struct attempt_failure *failures, size_t n_failures,
		     int64_t due_at_ms, const struct payload *heartbeat_details);
void journal_waiting(struct worker *worker, struct job *job, int64_t due_at_ms);
/* Sends the STARTED record of a running attempt, or a heartbeat of it. They are not kept: call it again to send them again. */
enum mr_status journal_started(struct worker *worker, struct job *job, struct delivery *tag);
enum mr_status journal_heartbeat(struct worker *worker, struct job *job, const struct payload *details, struct delivery *tag);
/* The attempt goes on without a worker, until someone completes it by its token, or its time is over. */
void journal_pending(struct worker *worker, struct job *job, const struct payload *details, int64_t close_at_ms);
/* No topic takes a record of that size: the task ends. */
void journal_refused(struct worker *worker, struct job *job);
void journal_tombstone(struct worker *worker, struct job *job);
/* 6 */
void result_close(struct worker *worker, struct job *job, const struct result *result);
void result_begin(const struct worker *worker, const struct job *job, struct result *result);
/* An answer to this publication only: `finish` has no part in it. */
void result_reject(struct worker *worker, struct job *job, const struct failure *failure);
void result_republish(struct worker *worker, struct job *job, const struct store_publication *publication);
void result_finish_send(struct worker *worker);
void result_clear_send(struct worker *worker);
/* Asks Redis again to take the results of a shard that Kafka has not acknowledged; each of the calls ends in
 * lease_asserted. False where not all could be sent. */
bool result_reapply(struct worker *worker, int shard, size_t *ret_calls);
/* deliver.c: room for n deliveries that begin UNSENT */
struct delivery *deliver_prepare(struct job *job, size_t n);
/* Sends what is unsent; ends in deliver_complete. */
void deliver_send(struct worker *worker, struct job *job);
void deliver_report(struct worker *worker, struct delivery *delivery, enum mr_status status);
/* control.c */
struct commands *control_new(void);
void control_free(struct commands *commands);
void control_tick(struct worker *worker);
void control_ends(struct worker *worker, const struct bus_partition *partitions, size_t n, enum mr_status status);
void control_message(struct worker *worker, const struct bus_message *message);
/* Commands that are known for it are carried out; the job may be gone when this returns, unless it is not claimed. */
void control_meet(struct worker *worker, struct job *job);
/* When the job's run began, by Kafka's clock: a command from before that names no run is for another one. */
int64_t control_began_at_ms(const struct job *job);
/* Whether claims may begin: commands are read, or Kafka is too slow to wait for it. */
bool control_is_read(const struct worker *worker);
int64_t control_deadline_us(const struct worker *worker);
/* offer.c */
void offer_tick(struct worker *worker);
int64_t offer_deadline_us(const struct worker *worker);
/* forward.c: how many jobs of this task queue have waited so long that another worker should have them */
int64_t forward_wanted(struct worker *worker, const struct feed *feed);
void forward_to(struct worker *worker, const struct feed *feed, const struct offer *offers, size_t n);
void forward_delivered(struct worker *worker, struct job *job);
/* It was not written, or nobody knows: it stays here. */
void forward_refused(struct worker *worker, struct job *job, enum mr_status status);
/* lease.c */
void lease_tick(struct worker *worker);
void lease_wanted(struct worker *worker, int shard);
void lease_asserted(struct worker *worker, int shard, enum mr_status status);
void lease_end(struct worker *worker);
int64_t lease_deadline_us(const struct worker *worker);
/* drain.c */
void drain_tick(struct worker *worker);
int64_t drain_deadline_us(const struct worker *worker);

#endif
