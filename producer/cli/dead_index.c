/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dead_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void dead_index_init(struct dead_index *index, const struct dead_filter *filter)
{
	*index = (struct dead_index){.filter = *filter};
}

void dead_index_deinit(struct dead_index *index)
{
	for (size_t i = 0; i < index->len; i++)
		free(index->entries[i].memory);
	free(index->entries);
	free(index->notes.items);
	arena_deinit(&index->arena);
}

/* ---- Which match ---- */

static bool is_topic(struct bytes topic, const char *prefix, const char *name)
{
	const size_t len = strlen(prefix);

	if (bytes_is(topic, name))
		return true;
	return topic.len >= len && memcmp(topic.data, prefix, len) == 0 &&
	       bytes_is((struct bytes){topic.data + len, topic.len - len}, name);
}

static bool is_place(const struct dead_filter *filter, struct dead_place place)
{
	for (size_t i = 0; i < filter->n_places; i++)
		if (dead_place_compare(filter->places[i], place) == 0)
			return true;
	return filter->n_places == 0;
}

static bool has_reason(struct bytes reason, const char *part)
{
	return reason.len > 0 && memmem(reason.data, reason.len, part, strlen(part));
}

static bool matches(const struct dead_filter *filter, const struct dead_letter *letter)
{
	if (filter->topic && !is_topic(letter->topic, filter->prefix, filter->topic))
		return false;
	if (filter->no_journal && !filter->topic && is_topic(letter->topic, filter->prefix, "journal"))
		return false;
	return (!filter->reason || has_reason(letter->reason, filter->reason)) && is_place(filter, letter->place);
}

/* ---- In order ---- */

static int by_time(const void *a, const void *b)
{
	const struct dead_letter *x = &((const struct dead_entry *)a)->letter, *y = &((const struct dead_entry *)b)->letter;

	if (x->at_ms != y->at_ms)
		return x->at_ms < y->at_ms ? -1 : 1;
	return dead_place_compare(x->place, y->place);
}

/* The newest `limit` stay. */
static void trim(struct dead_index *index, size_t limit)
{
	size_t n = index->len > limit ? index->len - limit : 0;

	qsort(index->entries, index->len, sizeof(*index->entries), by_time);
	for (size_t i = 0; i < n; i++)
		free(index->entries[i].memory);
	memmove(index->entries, index->entries + n, (index->len - n) * sizeof(*index->entries));
	index->len -= n;
	index->dropped += n;
}

/* ---- Records ---- */

static struct bytes put(char **at, struct bytes text)
{
	char *to = *at;

	if (!bytes_present(text))
		return text;
	if (text.len > 0)
		memcpy(to, text.data, text.len);
	*at += text.len;
	return (struct bytes){to, text.len};
}

static void add_letter(struct dead_index *index, const struct dead_letter *letter)
{
	const size_t bytes = letter->key.len + letter->reason.len + letter->topic.len;
	const size_t keep = index->filter.state == DEAD_ANY ? index->filter.limit : DEAD_LOOK_AT_MAX;
	struct dead_entry *entry;
	char *at;

	if (index->len >= 2 * keep)
		trim(index, keep);
	if (index->len == index->cap) {
		index->cap = index->cap ? index->cap * 2 : 64;
		index->entries = mem_realloc_array(index->entries, index->cap, sizeof(*index->entries));
	}
	entry = &index->entries[index->len++];
	*entry = (struct dead_entry){.letter = *letter, .memory = mem_alloc(bytes + 1)};
	at = entry->memory;
	entry->letter.key = put(&at, letter->key);
	entry->letter.reason = put(&at, letter->reason);
	entry->letter.topic = put(&at, letter->topic);
}

static void add_note(struct dead_index *index, const struct dead_note *note)
{
	if (!is_place(&index->filter, note->letter))
		return;
	if (index->notes.len == index->notes.cap) {
		index->notes.cap = index->notes.cap ? index->notes.cap * 2 : 64;
		index->notes.items = mem_realloc_array(index->notes.items, index->notes.cap, sizeof(*index->notes.items));
	}
	index->notes.items[index->notes.len] = *note;
	index->notes.items[index->notes.len++].as = arena_copy(&index->arena, note->as);
}

void dead_index_add(struct dead_index *index, const struct bus_message *message)
{
	struct dead_letter letter;
	struct dead_note note;

	if (dead_note_of(message, &note)) {
		add_note(index, &note);
		return;
	}
	dead_letter_of(message, &letter);
	if (matches(&index->filter, &letter))
		add_letter(index, &letter);
}

void dead_index_on_record(void *index, const struct bus_message *message)
{
	dead_index_add(index, message);
}

/* ---- What was replayed ---- */

/* The last replay of a letter comes last. */
static int by_letter(const void *a, const void *b)
{
	const struct dead_note *x = a, *y = b;
	int order = dead_place_compare(x->letter, y->letter);

	return order ? order : (x->at_ms > y->at_ms) - (x->at_ms < y->at_ms);
}

static const struct dead_note *last_note(const struct dead_index *index, struct dead_place place)
{
	size_t low = 0, high = index->notes.len;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (dead_place_compare(index->notes.items[mid].letter, place) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || dead_place_compare(index->notes.items[low - 1].letter, place) != 0)
		return NULL;
	return &index->notes.items[low - 1];
}

static bool stands_so(const struct dead_entry *entry, enum dead_state state)
{
	switch (state) {
	case DEAD_ANY:
		return true;
	case DEAD_WAITING:
		return !bytes_present(entry->replayed_as);
	case DEAD_REPLAYED:
		return bytes_present(entry->replayed_as);
	}
	return false;
}

static void take_notes(struct dead_index *index)
{
	size_t n = 0;

	for (size_t i = 0; i < index->len; i++) {
		struct dead_entry entry = index->entries[i];
		const struct dead_note *note = last_note(index, entry.letter.place);

		if (note) {
			entry.replayed_as = bytes_present(note->as) ? note->as : BYTES_LIT("");
			entry.replayed_at_ms = note->at_ms;
		}
		if (stands_so(&entry, index->filter.state))
			index->entries[n++] = entry;
		else
			free(entry.memory);
	}
	index->len = n;
}

void dead_index_finish(struct dead_index *index)
{
	if (index->notes.len > 0)
		qsort(index->notes.items, index->notes.len, sizeof(*index->notes.items), by_letter);
	take_notes(index);
	if (index->len > 0)
		trim(index, index->filter.limit);
}

struct dead_entry *dead_index_find(const struct dead_index *index, struct dead_place place)
{
	for (size_t i = 0; i < index->len; i++)
		if (dead_place_compare(index->entries[i].letter.place, place) == 0)
			return &index->entries[i];
	return NULL;
}

/* ---- From Kafka ---- */

static enum mr_status no_letter(struct dead_place place, const char *why, struct mr_error *err)
{
	char name[40];

	snprintf(name, sizeof(name), "%d:%" PRId64, (int)place.partition, place.offset);
	return mr_error_set(err, MR_ENOT_FOUND, name, "there is no such letter: %s", why);
}

static enum mr_status check_place(const struct dead_read *dead, struct dead_place place, struct mr_error *err)
{
	char why[320];

	if (place.partition >= dead->partitions)
		snprintf(why, sizeof(why), "%s has the partitions 0 to %d", dead->topic, dead->partitions - 1);
	else if (dead->ends[place.partition] == 0)
		snprintf(why, sizeof(why), "partition %d of %s is empty", (int)place.partition, dead->topic);
	else if (place.offset >= dead->ends[place.partition])
		snprintf(why, sizeof(why), "the last one in that partition is %d:%" PRId64, (int)place.partition,
			 dead->ends[place.partition] - 1);
	else
		return MR_OK;
	return no_letter(place, why, err);
}

/* Each partition from the first of its places on: notes come behind their letters. */
static enum mr_status read_places(struct dead_index *index, struct dead_read *dead, dead_record_fn *record, void *ctx,
				  struct mr_error *err)
{
	const struct dead_filter *filter = &index->filter;
	CLEANUP_FREE struct dead_span *spans = mem_alloc((size_t)dead->partitions * sizeof(*spans));
	enum mr_status status;

	for (int i = 0; i < dead->partitions; i++)
		spans[i] = (struct dead_span){i, dead->ends[i], dead->ends[i]};
	for (size_t i = 0; i < filter->n_places; i++) {
		const struct dead_place place = filter->places[i];

		if ((status = check_place(dead, place, err)))
			return status;
		if (place.offset < spans[place.partition].from)
			spans[place.partition].from = place.offset;
	}
	return dead_read_spans(dead, spans, (size_t)dead->partitions, record, ctx, err);
}

static enum mr_status check_found(const struct dead_index *index, struct mr_error *err)
{
	for (size_t i = 0; i < index->filter.n_places; i++)
		if (!dead_index_find(index, index->filter.places[i]))
			return no_letter(index->filter.places[i], "it is the note of a replay, or no longer kept", err);
	return MR_OK;
}

enum mr_status dead_index_read(struct dead_index *index, struct dead_read *dead, dead_record_fn *record, void *ctx,
			       struct mr_error *err)
{
	enum mr_status status = index->filter.n_places > 0 ? read_places(index, dead, record, ctx, err)
							   : dead_read_all(dead, record, ctx, err);

	if (status != MR_OK)
		return status;
	dead_index_finish(index);
	return check_found(index, err);
}
