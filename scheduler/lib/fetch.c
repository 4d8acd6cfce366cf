/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fetch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/job.h"

/* A record further ahead than this many offsets is sought, a nearer one is read up to. */
#define SKIP_MAX 256
#define LIMIT_US (10 * 1000 * 1000)
#define BATCH 64
/* A long search leaves the loop its breath. */
#define BATCHES_A_TURN 8

struct wanted {
	struct job *job;
	int64_t asked_us;
	bool passed; /* it was not at its offset: any later copy will do */
};

/* One shard: what is wanted, in the order of offsets. */
struct line {
	struct wanted *wanted;
	size_t len, cap;
	int64_t position; /* next offset that the reader gives; -1: not reading */
};

struct fetch {
	struct scheduler *s;
	struct line *lines;
	size_t pending;
	bool reading; /* some partitions are read */
	bool changed; /* others are to be read */
};

struct fetch *fetch_new(struct scheduler *s)
{
	struct fetch *fetch = mem_alloc(sizeof(*fetch));

	fetch->s = s;
	fetch->lines = mem_alloc((size_t)s->config.shards * sizeof(*fetch->lines));
	for (int i = 0; i < s->config.shards; i++)
		fetch->lines[i].position = -1;
	return fetch;
}

void fetch_free(struct fetch *fetch)
{
	if (!fetch)
		return;
	for (int i = 0; i < fetch->s->config.shards; i++) {
		fetch_drop_shard(fetch, i);
		free(fetch->lines[i].wanted);
	}
	free(fetch->lines);
	free(fetch);
}

size_t fetch_pending(const struct fetch *fetch)
{
	return fetch->pending;
}

static void insert(struct line *line, struct wanted wanted)
{
	size_t i = line->len;

	if (line->len == line->cap) {
		line->cap = line->cap ? line->cap * 2 : 16;
		line->wanted = mem_realloc_array(line->wanted, line->cap, sizeof(*line->wanted));
	}
	while (i > 0 && line->wanted[i - 1].job->journal_offset > wanted.job->journal_offset) {
		line->wanted[i] = line->wanted[i - 1];
		i--;
	}
	line->wanted[i] = wanted;
	line->len++;
}

static struct job *take_out(struct fetch *fetch, struct line *line, size_t i)
{
	struct job *job = line->wanted[i].job;

	assert(i < line->len && fetch->pending > 0);
	memmove(&line->wanted[i], &line->wanted[i + 1], (line->len - i - 1) * sizeof(*line->wanted));
	line->len--;
	fetch->pending--;
	return job;
}

static void seek_to(struct fetch *fetch, int shard, int64_t offset)
{
	struct line *line = &fetch->lines[shard];

	/* A reader that refuses is set up anew. */
	if (bus_seek(fetch->s->links.fetch, fetch->s->journal_topic, shard, offset) == MR_OK)
		line->position = offset;
	else
		fetch->changed = true;
}

void fetch_want(struct fetch *fetch, struct job *job)
{
	int shard = job->shard->id;
	struct line *line = &fetch->lines[shard];

	job->step = JOB_RECORD;
	if (job->journal_offset < 0) {
		job_lost(job, "Redis does not know its place in the journal");
		return;
	}
	insert(line, (struct wanted){.job = job, .asked_us = fetch->s->now_us});
	fetch->pending++;
	if (line->position < 0)
		fetch->changed = true;
	else if (job->journal_offset < line->position)
		seek_to(fetch, shard, job->journal_offset);
}

void fetch_drop_shard(struct fetch *fetch, int shard)
{
	struct line *line = &fetch->lines[shard];

	while (line->len > 0)
		job_lost(take_out(fetch, line, line->len - 1), NULL);
}

/* Reads the partitions for which something is wanted, each from the first that is, and no others. */
static void read_wanted(struct fetch *fetch)
{
	struct scheduler *s = fetch->s;
	CLEANUP_FREE struct bus_partition *partitions = mem_realloc_array(NULL, (size_t)s->config.shards, sizeof(*partitions));
	size_t n = 0;

	for (int i = 0; i < s->config.shards; i++) {
		struct line *line = &fetch->lines[i];

		line->position = -1;
		if (line->len == 0)
			continue;
		line->position = line->wanted[0].job->journal_offset;
		partitions[n++] = (struct bus_partition){.topic = s->journal_topic, .partition = i, .offset = line->position};
	}
	fetch->reading = n > 0;
	fetch->changed = bus_read(s->links.fetch, partitions, n) != MR_OK;
}

static bool fits(const struct wanted *wanted, int64_t offset, const struct journal_record *record)
{
	if (wanted->job->journal_offset > offset || (wanted->job->journal_offset < offset && !wanted->passed))
		return false;
	return job_accepts(wanted->job, record);
}

static void give(struct fetch *fetch, struct line *line, const struct bus_message *message)
{
	struct scheduler *s = fetch->s;
	struct journal_record record;

	if (!bytes_present(message->value) ||
	    wire_decode_journal(s->links.wire, message->value, &s->arena, &record, NULL) != MR_OK)
		return;
	for (size_t i = 0; i < line->len; i++) {
		if (fits(&line->wanted[i], message->offset, &record)) {
			job_found(take_out(fetch, line, i), message->value, &record);
			return;
		}
	}
}

static bool concerns(const struct line *line, int64_t offset)
{
	return line->len > 0 && (line->wanted[0].passed || line->wanted[0].job->journal_offset <= offset);
}

static void read_message(struct fetch *fetch, int shard, const struct bus_message *message)
{
	struct line *line = &fetch->lines[shard];

	if (message->offset < line->position)
		return;
	line->position = message->offset + 1;
	/* What lies behind us and was not there is looked for from here on. */
	for (size_t i = 0; i < line->len && line->wanted[i].job->journal_offset < message->offset; i++)
		line->wanted[i].passed = true;
	if (concerns(line, message->offset))
		give(fetch, line, message);
	for (size_t i = 0; i < line->len && line->wanted[i].job->journal_offset <= message->offset; i++)
		line->wanted[i].passed = true;
	arena_reset(&fetch->s->arena);
}

static void read_line(struct fetch *fetch, int shard)
{
	struct line *line = &fetch->lines[shard];
	struct bus *bus = fetch->s->links.fetch;
	struct bus_message *messages[BATCH];

	for (int batch = 0; batch < BATCHES_A_TURN && line->len > 0 && line->position >= 0; batch++) {
		size_t n = bus_take(bus, fetch->s->journal_topic, shard, messages, BATCH);

		for (size_t i = 0; i < n; i++) {
			read_message(fetch, shard, messages[i]);
			bus_message_free(bus, messages[i]);
		}
		if (n < BATCH)
			break;
	}
	if (line->len > 0 && line->position >= 0 && !line->wanted[0].passed &&
	    line->wanted[0].job->journal_offset > line->position + SKIP_MAX)
		seek_to(fetch, shard, line->wanted[0].job->journal_offset);
}

static void give_up_late(struct fetch *fetch, struct line *line)
{
	for (size_t i = line->len; i-- > 0;) {
		if (fetch->s->now_us - line->wanted[i].asked_us >= LIMIT_US)
			job_lost(take_out(fetch, line, i),
				 line->position < 0 ? "Kafka does not answer" : "it was not found in time");
	}
}

void fetch_turn(struct fetch *fetch)
{
	if (!fetch->changed && !fetch->reading)
		return;
	for (int i = 0; i < fetch->s->config.shards; i++) {
		read_line(fetch, i);
		give_up_late(fetch, &fetch->lines[i]);
	}
	if (fetch->changed || (fetch->reading && fetch->pending == 0))
		read_wanted(fetch);
}

int64_t fetch_deadline_us(const struct fetch *fetch)
{
	if (fetch->changed)
		return fetch->s->now_us + RETRY_US / 10;
	return fetch->pending > 0 ? fetch->s->now_us + LOOK_INTERVAL_US : INT64_MAX;
}
