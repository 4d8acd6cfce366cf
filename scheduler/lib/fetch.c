/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fetch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* A record further ahead than this many offsets is sought, a nearer one is read up to. */
#define SKIP_MAX 256
#define LIMIT_US (10 * 1000 * 1000)
#define BATCH 64
/* A long search leaves the loop its breath. */
#define BATCHES_A_TURN 8

/* One partition: what is wanted, in the order of offsets. */
struct line {
	struct line *next;
	char *topic;
	bool is_journal;
	int32_t partition;
	struct fetch_want **wants;
	size_t len, cap;
	size_t now;       /* of them, not ahead */
	int64_t position; /* next offset that the reader gives; -1: not reading */
};

struct fetch {
	struct scheduler *s;
	struct line *lines;
	size_t pending; /* without those ahead */
	size_t ahead;
	bool reading; /* some partitions are read */
	bool changed; /* others are to be read */
	bool later;   /* the same, for those ahead: once nothing else is pending */
};

struct fetch *fetch_new(struct scheduler *s)
{
	struct fetch *fetch = mem_alloc(sizeof(*fetch));

	fetch->s = s;
	return fetch;
}

static void line_free(struct line *line)
{
	free(line->topic);
	free(line->wants);
	free(line);
}

void fetch_free(struct fetch *fetch)
{
	if (!fetch)
		return;
	for (int i = 0; i < fetch->s->config.shards; i++)
		fetch_drop_shard(fetch, i);
	for (struct line *line = fetch->lines, *next; line; line = next) {
		next = line->next;
		line_free(line);
	}
	free(fetch);
}

size_t fetch_pending(const struct fetch *fetch)
{
	return fetch->pending;
}

static struct line *line_of(struct fetch *fetch, const struct fetch_want *want)
{
	const char *topic = want->topic ? want->topic : fetch->s->journal_topic;
	int32_t partition = want->topic ? want->partition : want->shard->id;
	struct line *line;

	for (line = fetch->lines; line; line = line->next)
		if (line->partition == partition && strcmp(line->topic, topic) == 0)
			return line;
	line = mem_alloc(sizeof(*line));
	line->topic = mem_strdup(topic);
	line->is_journal = !want->topic;
	line->partition = partition;
	line->position = -1;
	line->next = fetch->lines;
	fetch->lines = line;
	return line;
}

static void insert(struct line *line, struct fetch_want *want)
{
	size_t i = line->len;

	if (line->len == line->cap) {
		line->cap = line->cap ? line->cap * 2 : 16;
		line->wants = mem_realloc_array(line->wants, line->cap, sizeof(struct fetch_want *));
	}
	for (; i > 0 && line->wants[i - 1]->offset > want->offset; i--)
		line->wants[i] = line->wants[i - 1];
	line->wants[i] = want;
	line->len++;
	line->now += !want->ahead;
}

static struct fetch_want *take_out(struct fetch *fetch, struct line *line, size_t i)
{
	struct fetch_want *want = line->wants[i];

	assert(i < line->len && (want->ahead ? fetch->ahead : fetch->pending) > 0);
	memmove(&line->wants[i], &line->wants[i + 1], (line->len - i - 1) * sizeof(struct fetch_want *));
	line->len--;
	line->now -= !want->ahead;
	*(want->ahead ? &fetch->ahead : &fetch->pending) -= 1;
	return want;
}

static void seek_to(struct fetch *fetch, struct line *line, int64_t offset)
{
	/* A reader that refuses is set up anew. */
	if (bus_seek(fetch->s->links.fetch, line->topic, line->partition, offset) == MR_OK)
		line->position = offset;
	else
		fetch->changed = true;
}

void fetch_add(struct fetch *fetch, struct fetch_want *want)
{
	struct line *line = line_of(fetch, want);

	assert(want->offset >= 0);
	want->asked_us = fetch->s->now_us;
	want->passed = false;
	assert(!want->ahead || !want->topic);
	insert(line, want);
	*(want->ahead ? &fetch->ahead : &fetch->pending) += 1;
	if (line->position < 0)
		*(want->ahead ? &fetch->later : &fetch->changed) = true;
	else if (!want->ahead && want->offset < line->position)
		seek_to(fetch, line, want->offset);
}

void fetch_drop_shard(struct fetch *fetch, int shard)
{
	for (struct line *line = fetch->lines; line; line = line->next) {
		for (size_t i = line->len; i-- > 0;) {
			if (line->wants[i]->shard->id == shard) {
				struct fetch_want *want = take_out(fetch, line, i);

				want->lost(want, FETCH_DROPPED);
			}
		}
	}
}

static void forget_idle_lines(struct fetch *fetch)
{
	for (struct line **at = &fetch->lines; *at;) {
		struct line *line = *at;

		if (line->len > 0) {
			at = &line->next;
			continue;
		}
		*at = line->next;
		line_free(line);
	}
}

/* What the reader goes to: the first that is wanted now, else the first ahead. */
static const struct fetch_want *first_wanted(const struct line *line)
{
	size_t i = 0;

	assert(line->len > 0);
	while (line->now > 0 && line->wants[i]->ahead)
		i++;
	return line->wants[i];
}

/* Reads the partitions of which something is wanted, each from the first that is, and no others. */
static void read_wanted(struct fetch *fetch)
{
	CLEANUP_FREE struct bus_partition *partitions = NULL;
	size_t n = 0;

	forget_idle_lines(fetch);
	for (const struct line *line = fetch->lines; line; line = line->next)
		n++;
	partitions = mem_realloc_array(NULL, n + 1, sizeof(*partitions));
	n = 0;
	for (struct line *line = fetch->lines; line; line = line->next) {
		line->position = first_wanted(line)->offset;
		partitions[n++] =
			(struct bus_partition){.topic = line->topic, .partition = line->partition, .offset = line->position};
	}
	fetch->reading = n > 0;
	fetch->later = false;
	fetch->changed = bus_read(fetch->s->links.fetch, partitions, n) != MR_OK;
}

static bool may_fit(const struct fetch_want *want, int64_t offset)
{
	return want->offset == offset || (want->offset < offset && want->passed);
}

static bool fits(const struct fetch_want *want, int64_t offset, const struct journal_record *record)
{
	return !want->ahead && may_fit(want, offset) && want->accepts(want, record);
}

static void give_journal(struct fetch *fetch, struct line *line, const struct bus_message *message)
{
	struct scheduler *s = fetch->s;
	struct journal_record record;

	if (!bytes_present(message->value) ||
	    wire_decode_journal(s->links.wire, message->value, &s->arena, &record, NULL) != MR_OK)
		return;
	for (size_t i = 0; i < line->len;) {
		if (fits(line->wants[i], message->offset, &record)) {
			struct fetch_want *want = take_out(fetch, line, i);

			want->found(want, message, &record);
		} else {
			i++;
		}
	}
}

/* A task record is at its place or nowhere. */
static void give_task(struct fetch *fetch, struct line *line, const struct bus_message *message)
{
	while (line->len > 0 && line->wants[0]->offset <= message->offset) {
		struct fetch_want *want = take_out(fetch, line, 0);

		if (want->offset == message->offset)
			want->found(want, message, NULL);
		else
			want->lost(want, FETCH_GONE);
	}
}

static bool concerns(const struct line *line, int64_t offset)
{
	for (size_t i = 0; line->now > 0 && i < line->len && line->wants[i]->offset <= offset; i++)
		if (!line->wants[i]->ahead && may_fit(line->wants[i], offset))
			return true;
	return false;
}

static void mark_passed(struct line *line, int64_t before)
{
	for (size_t i = 0; i < line->len && line->wants[i]->offset < before; i++)
		line->wants[i]->passed = !line->wants[i]->ahead;
}

/* Those ahead: the reader has come from `from` to this record, so that whatever lay between is gone. */
static void give_ahead(struct fetch *fetch, struct line *line, int64_t from, const struct bus_message *message)
{
	for (size_t i = 0; line->len > line->now && i < line->len && line->wants[i]->offset <= message->offset;) {
		struct fetch_want *want = line->wants[i];

		if (!want->ahead || want->offset < from) {
			i++;
			continue;
		}
		(void)take_out(fetch, line, i);
		if (want->offset == message->offset && bytes_present(message->value))
			want->found(want, message, NULL);
		else
			want->lost(want, FETCH_GONE);
	}
}

static void read_message(struct fetch *fetch, struct line *line, const struct bus_message *message)
{
	int64_t from = line->position;

	if (message->offset < from)
		return;
	line->position = message->offset + 1;
	if (!line->is_journal) {
		give_task(fetch, line, message);
	} else {
		give_ahead(fetch, line, from, message);
		/* What lies behind us and was not there is looked for from here on. */
		mark_passed(line, message->offset);
		if (concerns(line, message->offset))
			give_journal(fetch, line, message);
		mark_passed(line, message->offset + 1);
	}
	arena_reset(&fetch->s->arena);
}

/* What is wanted may lie far ahead, or (ahead of its time) behind what was wanted first. */
static void aim(struct fetch *fetch, struct line *line)
{
	const struct fetch_want *first;

	if (line->len == 0 || line->position < 0)
		return;
	first = first_wanted(line);
	if (!first->passed && (first->offset < line->position || first->offset > line->position + SKIP_MAX))
		seek_to(fetch, line, first->offset);
}

static void read_line(struct fetch *fetch, struct line *line)
{
	struct bus *bus = fetch->s->links.fetch;
	struct bus_message *messages[BATCH];

	for (int batch = 0; batch < BATCHES_A_TURN && line->len > 0 && line->position >= 0; batch++) {
		size_t n = bus_take(bus, line->topic, line->partition, messages, BATCH);

		for (size_t i = 0; i < n; i++) {
			read_message(fetch, line, messages[i]);
			bus_message_free(bus, messages[i]);
		}
		if (n < BATCH)
			break;
	}
	aim(fetch, line);
}

static void give_up_late(struct fetch *fetch, struct line *line)
{
	for (size_t i = line->len; i-- > 0;) {
		if (fetch->s->now_us - line->wants[i]->asked_us >= LIMIT_US) {
			struct fetch_want *want = take_out(fetch, line, i);

			want->lost(want, FETCH_LATE);
		}
	}
}

void fetch_turn(struct fetch *fetch)
{
	if (fetch->later && fetch->pending == 0)
		fetch->changed = true;
	if (!fetch->changed && !fetch->reading)
		return;
	for (struct line *line = fetch->lines; line; line = line->next) {
		read_line(fetch, line);
		give_up_late(fetch, line);
	}
	if (fetch->changed || (fetch->reading && fetch->pending + fetch->ahead == 0))
		read_wanted(fetch);
}

int64_t fetch_deadline_us(const struct fetch *fetch)
{
	if (fetch->changed)
		return fetch->s->now_us + RETRY_US / 10;
	return fetch->pending + fetch->ahead > 0 ? fetch->s->now_us + LOOK_INTERVAL_US : INT64_MAX;
}
