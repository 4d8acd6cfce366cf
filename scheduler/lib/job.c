/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/job.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/ending.h"

static bool same_thing(const struct job *job, const struct fired *fired, bool finished)
{
	return job->finished == finished && job->epoch == fired->epoch && job->attempt == fired->attempt &&
	       bytes_equal(job->run_id, fired->run_id);
}

static struct bytes put_text(char **at, struct bytes text)
{
	struct bytes copy = {bytes_present(text) ? *at : NULL, text.len};

	if (text.len > 0)
		memcpy(*at, text.data, text.len);
	*at += text.len;
	return copy;
}

static void job_delivered(struct delivery *delivery, enum mr_status status, int64_t offset);
static bool accepts(const struct fetch_want *want, const struct journal_record *record);
static void found(struct fetch_want *want, const struct bus_message *message, const struct journal_record *record);
static void lost(struct fetch_want *want, enum fetch_loss loss);

/* NULL where the same is under way. */
static struct job *job_new(struct shard *shard, struct bytes key, const struct fired *fired, bool finished)
{
	struct job *job = map_get(&shard->jobs, key);
	char *at;

	if (job && same_thing(job, fired, finished))
		return NULL;
	job = mem_alloc(sizeof(*job) + key.len + fired->run_id.len + fired->options.len);
	job->shard = shard;
	job->tag.job = job->reply_tag.job = job;
	job->tag.delivery.done = job->reply_tag.delivery.done = job_delivered;
	job->reply_tag.is_reply = true;
	job->finished = finished;
	at = job->text;
	job->key = put_text(&at, key);
	job->run_id = put_text(&at, fired->run_id);
	job->options = put_text(&at, fired->options);
	job->epoch = fired->epoch;
	job->attempt = fired->attempt;
	job->want = (struct fetch_want){
		.shard = shard, .offset = fired->journal_offset, .accepts = accepts, .found = found, .lost = lost};
	/* A job about an earlier state of the task goes on, unlisted: only the newest is looked for. Its key must not stay in
	 * the map. */
	map_remove(&shard->jobs, key);
	map_put(&shard->jobs, job->key, job);
	shard->s->n_jobs++;
	return job;
}

static void tell_watcher(struct job *job, bool published)
{
	struct job_watcher watcher = job->watcher;

	job->watcher.published = NULL;
	if (watcher.published)
		watcher.published(watcher.ctx, published);
}

static void job_free(struct job *job)
{
	struct shard *shard = job->shard;

	tell_watcher(job, false);

	if (map_get(&shard->jobs, job->key) == job)
		map_remove(&shard->jobs, job->key);
	assert(shard->s->n_jobs > 0);
	shard->s->n_jobs--;
	free(job);
}

static struct job *job_of(const struct fetch_want *want)
{
	return (struct job *)(void *)((char *)(uintptr_t)want - offsetof(struct job, want));
}

/* Any record that carries this run will do: which attempt comes next is for the state in Redis to say. */
static bool job_accepts(const struct job *job, const struct journal_record *record)
{
	return bytes_present(record->task) && bytes_equal(record->task_key, job->key) && bytes_equal(record->run_id, job->run_id);
}

static bool accepts(const struct fetch_want *want, const struct journal_record *record)
{
	return job_accepts(job_of(want), record);
}

static void block(struct job *job)
{
	struct scheduler *s = job->shard->s;

	job->step = JOB_RECORD;
	job->next = s->blocked;
	s->blocked = job;
}

static void sent(struct job *job, enum mr_status status);

/* The task's topic does not take it, not even without the failures of former attempts. The outbox keeps it until it has ended. */
static void end_too_large(struct job *job)
{
	struct ending_request request = {
		.found = {.key = job->key,
			  .view = {.state = VIEW_SCHEDULED,
				   .run_id = job->run_id,
				   .epoch = job->epoch,
				   .attempt = job->attempt,
				   .journal_offset = job->want.offset}},
		.cause = ENDING_TOO_LARGE,
	};

	ending_begin(job->shard, &request);
	job_free(job);
}

/* A command may have set a timeout that the task's record does not have. */
static bool may_have_start_timeout(const struct job *job, const struct journal_record *record)
{
	struct scheduler *s = job->shard->s;
	struct task task;

	if (bytes_present(job->options))
		return true;
	task_init(&task);
	return wire_decode_task(s->links.wire, record->task, &s->arena, &task, &(bool){false}, NULL) == MR_OK &&
	       task.schedule_to_start_timeout_ms > 0;
}

/* An attempt that a worker held back has another record now, with a time to start of its own. Its former record is settled, but
 * maybe not committed yet, so that it could not be told from one that waits. */
static void forget_former_record(const struct job *job, const struct journal_record *record)
{
	const struct watch_request request = {
		.kind = TIMER_SCHEDULE_TO_START,
		.key = job->key,
		.run_id = job->run_id,
		.epoch = job->epoch,
		.attempt = job->attempt,
		.place = record->record_id,
	};

	if (record->kind == JOURNAL_WAITING && record->record_id.len > 0 && record->attempt == job->attempt &&
	    record->epoch == job->epoch && job->shard->phase == PHASE_READY && may_have_start_timeout(job, record))
		timers_forget(job->shard, &request, 1);
}

/* The record is here; `value` absent: from memory. */
static void job_found(struct job *job, struct bytes value, const struct journal_record *record)
{
	enum mr_status status;

	assert(!job->finished && job->step == JOB_RECORD);
	job->step = JOB_SENDING;
	status = dispatch_send(job, record);
	if (status == MR_OK) {
		forget_former_record(job, record);
		return;
	}
	if (status == MR_EFULL) {
		if (bytes_present(value))
			cache_put(job->shard->s->cache, job->shard->id, job->want.offset, job->dispatched_at_ms, value);
		block(job);
		return;
	}
	sent(job, status);
}

static void found(struct fetch_want *want, const struct bus_message *message, const struct journal_record *record)
{
	job_found(job_of(want), message->value, record);
}

/* The sweep will ask again. */
static void lost(struct fetch_want *want, enum fetch_loss loss)
{
	struct job *job = job_of(want);

	assert(!job->finished && job->step == JOB_RECORD);
	if (loss != FETCH_DROPPED)
		log_error("the journal record of an attempt that is due cannot be read", LOG_B("task_key", job->key),
			  LOG_I("attempt", job->attempt), LOG_I("shard", job->shard->id), LOG_I("offset", want->offset));
	job_free(job);
}

static bool send_cached(struct job *job)
{
	struct shard *shard = job->shard;
	struct scheduler *s = shard->s;
	struct bytes value = cache_get(s->cache, shard->id, job->want.offset);
	struct journal_record record;

	if (!bytes_present(value) || wire_decode_journal(s->links.wire, value, &s->arena, &record, NULL) != MR_OK ||
	    !job_accepts(job, &record))
		return false;
	/* The record is borrowed from the cache, which must not change before it is sent. */
	job_found(job, BYTES_NONE, &record);
	return true;
}

static void fetch(struct job *job)
{
	if (job->want.offset >= 0) {
		fetch_add(job->shard->s->fetch, &job->want);
		return;
	}
	log_error("Redis does not know where in the journal an attempt is that is due", LOG_B("task_key", job->key));
	job_free(job);
}

/* From memory, or from the journal. */
static void find_record(struct job *job)
{
	struct scheduler *s = job->shard->s;

	if (job->size == JOB_TOO_LARGE) {
		end_too_large(job);
	} else if (send_cached(job)) {
		s->stats.cache_hits++;
	} else {
		s->stats.cache_misses++;
		fetch(job);
	}
	arena_reset(&s->arena);
}

void job_dispatch(struct shard *shard, const struct fired *fired, int64_t now_ms)
{
	struct job *job = job_new(shard, fired->key, fired, false);

	if (!job)
		return;
	job->dispatched_at_ms = now_ms;
	log_debug("attempt due", LOG_B("task_key", job->key), LOG_I("attempt", job->attempt),
		  LOG_I("late_ms", now_ms - fired->due_ms));
	find_record(job);
}

static enum mr_status send_copy(struct job *job, struct job_tag *tag, struct bus_record *record,
				const struct store_publication *publication)
{
	enum mr_status status;

	record->value = publication->value;
	record->headers = publication->headers;
	status = bus_produce(job->shard->s->links.bus, record, tag);
	if (status == MR_OK)
		job->unacked++;
	return status;
}

/* A reply that cannot be sent must not keep the result back: its topic is the business of whoever named it. */
static void send_reply(struct job *job, struct bytes topic, struct bytes key, const struct store_publication *publication)
{
	CLEANUP_FREE char *name = mem_strndup(topic.data, topic.len);
	struct bus_record record = {.topic = name, .partition = BUS_BY_KEY, .key = key};
	enum mr_status status = send_copy(job, &job->reply_tag, &record, publication);

	if (status == MR_EFULL)
		job->failed = true;
	else if (status != MR_OK)
		log_warn("a reply cannot be sent", LOG_S("topic", name), LOG_B("task_key", job->key),
			 LOG_S("reason", mr_status_text(status)));
}

static void send_result(struct job *job, const struct swept *swept)
{
	const struct store_publication *publication = &swept->publication;
	struct bus_record record = {.topic = job->shard->s->results_topic, .partition = job->shard->id, .key = job->key};
	struct bytes replies = swept->dispatch.replies, topic, key;

	job->step = JOB_SENDING;
	/* Held, so that an answer inside produce cannot end the job. */
	job->unacked = 1;
	job->failed = send_copy(job, &job->tag, &record, publication) != MR_OK;
	if (!job->failed && publication->reply_topic.len > 0)
		send_reply(job, publication->reply_topic, publication->reply_key, publication);
	while (!job->failed && store_replies_next(&replies, &topic, &key))
		send_reply(job, topic, key, publication);
	sent(job, MR_OK);
}

bool job_publish(struct shard *shard, const struct swept *finished, struct job_watcher watcher)
{
	struct job *job = job_new(shard, finished->key, &finished->dispatch, true);

	if (!job)
		return false;
	job->watcher = watcher;
	send_result(job, finished);
	return true;
}

void job_sweep(struct shard *shard, const struct swept *swept, int64_t now_ms)
{
	struct job *job = job_new(shard, swept->key, &swept->dispatch, swept->finished);

	if (!job)
		return;
	job->swept = true;
	job->dispatched_at_ms = now_ms;
	log_debug("left in the outbox", LOG_B("task_key", job->key), LOG_I("attempt", job->attempt),
		  LOG_I("finished", job->finished));
	if (swept->finished)
		send_result(job, swept);
	else
		find_record(job);
}

static void clear(struct job *job)
{
	struct clears *clears = &job->shard->s->clears;

	job->step = JOB_CLEARING;
	if (clears->len == clears->cap) {
		clears->cap = clears->cap ? clears->cap * 2 : 64;
		clears->jobs = mem_realloc_array(clears->jobs, clears->cap, sizeof(*clears->jobs));
	}
	clears->jobs[clears->len++] = job;
}

/* For the task, for its heartbeats and for what commands have changed. */
static void send_tombstones(struct job *job)
{
	static const char *const suffixes[] = {"", JOURNAL_HEARTBEAT_SUFFIX, JOURNAL_COMMAND_SUFFIX};
	struct shard *shard = job->shard;
	struct bus_record record = {.topic = shard->s->journal_topic, .partition = shard->id};
	struct buf *key = &shard->s->scratch;

	job->step = JOB_TOMBSTONE;
	/* Held, so that an answer inside produce cannot end the job. */
	job->unacked = 1;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]) && !job->failed; i++) {
		buf_reset(key);
		buf_append_bytes(key, job->key);
		buf_append_bytes(key, bytes_of(suffixes[i]));
		record.key = buf_bytes(key);
		job->failed = bus_produce(shard->s->links.bus, &record, &job->tag) != MR_OK;
		job->unacked += !job->failed;
		shard->s->stats.tombstones += !job->failed;
	}
	sent(job, MR_OK);
}

static void result_delivered(struct job *job)
{
	if (job->step == JOB_SENDING) {
		job->shard->s->stats.swept_results += job->swept;
		tell_watcher(job, true);
		send_tombstones(job);
	} else {
		clear(job);
	}
}

static void dispatch_delivered(struct job *job)
{
	cache_drop(job->shard->s->cache, job->shard->id, job->want.offset);
	job->shard->s->stats.dispatched++;
	job->shard->s->stats.swept_attempts += job->swept;
	clear(job);
}

/* Without what is remembered of former attempts, then not at all. */
static void send_smaller(struct job *job)
{
	job->failed = false;
	job->size = job->size == JOB_WHOLE ? JOB_NO_HISTORY : JOB_TOO_LARGE;
	block(job);
}

static void dispatch_failed(struct job *job, enum mr_status status)
{
	if (status == MR_ETOO_LARGE) {
		send_smaller(job);
		return;
	}
	log_warn("an attempt could not be dispatched, it will be tried again", LOG_B("task_key", job->key),
		 LOG_I("attempt", job->attempt), LOG_S("reason", mr_status_text(status)));
	job_free(job);
}

/* Whether this failure of one record keeps the task in the outbox. */
static bool spoils(const struct job_tag *tag, enum mr_status status)
{
	if (status == MR_OK)
		return false;
	log_warn(tag->is_reply ? "a reply was refused" : "the publication of a result failed, it will be tried again",
		 LOG_B("task_key", tag->job->key), LOG_S("reason", mr_status_text(status)));
	return !tag->is_reply || status == MR_EKAFKA;
}

static void job_published(struct job *job)
{
	if (job->failed)
		job_free(job);
	else if (job->finished)
		result_delivered(job);
	else
		dispatch_delivered(job);
}

static void sent_with(const struct job_tag *tag, enum mr_status status)
{
	struct job *job = tag->job;

	if (job->unacked > 0)
		job->unacked--;
	if (!job->shard->s->attached) {
		job->failed = true;
	} else if (status != MR_OK && !job->finished) {
		dispatch_failed(job, status);
		return;
	} else if (spoils(tag, status)) {
		job->failed = true;
	}
	if (job->unacked == 0)
		job_published(job);
}

static void sent(struct job *job, enum mr_status status)
{
	sent_with(&job->tag, status);
}

static void job_delivered(struct delivery *delivery, enum mr_status status, int64_t offset)
{
	(void)offset;
	sent_with((const struct job_tag *)(void *)delivery, status);
}

static void on_cleared(void *ctx, enum mr_status status)
{
	struct clears *clears = ctx;

	/* Where Redis did not do it the entry is still there, and the sweep finds it. */
	(void)status;
	for (size_t i = 0; i < clears->len; i++)
		job_free(clears->jobs[i]);
	free(clears->jobs);
	free(clears);
}

/* The first of the jobs, as many as one call takes. */
static struct clears *take_clears(struct clears *all)
{
	struct clears *clears = mem_alloc(sizeof(*clears));

	clears->len = all->len < STORE_BATCH_MAX ? all->len : STORE_BATCH_MAX;
	clears->jobs = mem_realloc_array(NULL, clears->len, sizeof(*clears->jobs));
	memcpy(clears->jobs, all->jobs, clears->len * sizeof(*clears->jobs));
	all->len -= clears->len;
	memmove(all->jobs, all->jobs + clears->len, all->len * sizeof(*all->jobs));
	return clears;
}

static void send_clears(struct scheduler *s)
{
	struct clears *clears = take_clears(&s->clears);
	struct published_request *requests;

	requests = mem_realloc_array(NULL, clears->len, sizeof(*requests));
	for (size_t i = 0; i < clears->len; i++) {
		const struct job *job = clears->jobs[i];

		requests[i] = (struct published_request){.key = job->key,
							 .shard = job->shard->id,
							 .run_id = job->run_id,
							 .epoch = job->epoch,
							 .attempt = job->attempt,
							 .finished = job->finished};
	}
	if (s->links.redis->published(s->links.store, requests, clears->len, on_cleared, clears) != MR_OK)
		on_cleared(clears, MR_EFULL);
	free(requests);
}

static void retry_blocked(struct scheduler *s)
{
	struct job *job = s->blocked;

	s->blocked = NULL;
	while (job) {
		struct job *next = job->next;

		job->next = NULL;
		find_record(job);
		job = next;
	}
}

void jobs_turn(struct scheduler *s)
{
	retry_blocked(s);
	while (s->clears.len > 0)
		send_clears(s);
}

void jobs_deinit(struct scheduler *s)
{
	for (struct job *job = s->blocked, *next; job; job = next) {
		next = job->next;
		job_free(job);
	}
	for (size_t i = 0; i < s->clears.len; i++)
		job_free(s->clears.jobs[i]);
	free(s->clears.jobs);
	s->blocked = NULL;
	s->clears = (struct clears){0};
}
