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
}

static struct fetch_want *take_out(struct fetch *fetch, struct line *line, size_t i)
{
	struct fetch_want *want = line->wants[i];

	assert(i < line->len && fetch->pending > 0);
	memmove(&line->wants[i], &line->wants[i + 1], (line->len - i - 1) * sizeof(struct fetch_want *));
	line->len--;
	fetch->pending--;
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
	insert(line, want);
	fetch->pending++;
	if (line->position < 0)
		fetch->changed = true;
	else if (want->offset < line->position)
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
		line->position = line->wants[0]->offset;
		partitions[n++] =
			(struct bus_partition){.topic = line->topic, .partition = line->partition, .offset = line->position};
	}
	fetch->reading = n > 0;
	fetch->changed = bus_read(fetch->s->links.fetch, partitions, n) != MR_OK;
}

static bool fits(const struct fetch_want *want, int64_t offset, const struct journal_record *record)
{
	if (want->offset > offset || (want->offset < offset && !want->passed))
		return false;
	return want->accepts(want, record);
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
	return line->len > 0 && (line->wants[0]->passed || line->wants[0]->offset <= offset);
}

static void mark_passed(struct line *line, int64_t before)
{
	for (size_t i = 0; i < line->len && line->wants[i]->offset < before; i++)
		line->wants[i]->passed = true;
}

static void read_message(struct fetch *fetch, struct line *line, const struct bus_message *message)
{
	if (message->offset < line->position)
		return;
	line->position = message->offset + 1;
	if (!line->is_journal) {
		give_task(fetch, line, message);
	} else {
		/* What lies behind us and was not there is looked for from here on. */
		mark_passed(line, message->offset);
		if (concerns(line, message->offset))
			give_journal(fetch, line, message);
		mark_passed(line, message->offset + 1);
	}
	arena_reset(&fetch->s->arena);
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
	if (line->len > 0 && line->position >= 0 && !line->wants[0]->passed && line->wants[0]->offset > line->position + SKIP_MAX)
		seek_to(fetch, line, line->wants[0]->offset);
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
	if (!fetch->changed && !fetch->reading)
		return;
	for (struct line *line = fetch->lines; line; line = line->next) {
		read_line(fetch, line);
		give_up_late(fetch, line);
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
