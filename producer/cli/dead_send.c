/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dead_send.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

/* What may have no answer yet, so that letters and their notes stay close. */
#define OPEN_MAX 256

struct place_name {
	char text[40];
};

static struct place_name name_of(const struct dead_entry *entry)
{
	struct place_name name;

	snprintf(name.text, sizeof(name.text), "%d:%" PRId64, (int)entry->letter.place.partition, entry->letter.place.offset);
	return name;
}

/* ---- Where to ---- */

enum target { TARGET_TASKS, TARGET_CONTROL, TARGET_JOURNAL, TARGET_NONE };

static enum target target_of(const struct dead_send *send, struct bytes topic)
{
	const struct bytes prefix = bytes_of(send->dead->common->prefix);
	struct bytes name;

	if (topic.len <= prefix.len || memcmp(topic.data, prefix.data, prefix.len) != 0)
		return TARGET_NONE;
	name = (struct bytes){topic.data + prefix.len, topic.len - prefix.len};
	if (bytes_is(name, "control"))
		return TARGET_CONTROL;
	if (bytes_is(name, "journal"))
		return TARGET_JOURNAL;
	return name.len > 6 && memcmp(name.data, "tasks.", 6) == 0 ? TARGET_TASKS : TARGET_NONE;
}

enum mr_status dead_send_check(const struct dead_send *send, const struct dead_entry *entry, struct mr_error *err)
{
	const struct dead_letter *letter = &entry->letter;
	const struct place_name name = name_of(entry);
	const enum target target = target_of(send, letter->topic);

	if (!bytes_present(letter->topic))
		return mr_error_set(err, MR_EINVAL, name.text, "it does not say where it came from: it has no header %s",
				    HEADER_TOPIC);
	if (target == TARGET_NONE)
		return mr_error_set(err, MR_EINVAL, name.text,
				    "it came from %.*s, where nobody reads tasks or commands under the prefix %s",
				    BYTES_ARG(letter->topic), send->dead->common->prefix);
	if (dead_read_partitions(send->dead, letter->topic) == 0)
		return mr_error_set(err, MR_ENOT_FOUND, name.text, "it came from %.*s, a topic that is not there any more",
				    BYTES_ARG(letter->topic));
	if (letter->is_cut && !send->value)
		return mr_error_set(err, MR_EINVAL, name.text,
				    "only the beginning of its value was kept; --set-value gives it a whole one");
	if (send->value && target == TARGET_JOURNAL)
		return mr_error_set(err, MR_EINVAL, "--set-value", "%s came from the journal, whose records nobody can write",
				    name.text);
	return MR_OK;
}

/* The partition that it came from, unless the topic is a new one with fewer. */
static int32_t partition_of(const struct dead_send *send, const struct dead_letter *letter)
{
	if (letter->partition < dead_read_partitions(send->dead, letter->topic) && letter->partition >= 0)
		return letter->partition;
	return BUS_BY_KEY;
}

/* ---- Is it understood now? ---- */

static enum mr_status task_of(struct dead_send *send, struct bytes value, struct headers headers, struct bytes *ret_key,
			      struct mr_error *err)
{
	struct dispatch dispatch;
	struct task task;
	bool has_key;

	*ret_key = BYTES_NONE;
	if (!bytes_present(value))
		return mr_error_set(err, MR_EBAD_RECORD, "", "the record has no value");
	if (wire_decode_task(send->wire, value, &send->scratch, &task, &has_key, err) != MR_OK) {
		if (has_key && bytes_present(task.activity_id))
			*ret_key = task_key(&task, BYTES_LIT(""), &send->scratch);
		return MR_EBAD_RECORD;
	}
	if (!dispatch_parse(headers, &dispatch, err))
		return MR_EBAD_RECORD;
	if (bytes_present(dispatch.key))
		*ret_key = dispatch.key;
	else if (bytes_present(task.activity_id))
		*ret_key = task_key(&task, BYTES_LIT(""), &send->scratch);
	return MR_OK;
}

static enum mr_status command_of(struct dead_send *send, struct bytes value, struct bytes *ret_key, struct mr_error *err)
{
	struct control control;

	*ret_key = BYTES_NONE;
	if (!bytes_present(value))
		return mr_error_set(err, MR_EBAD_RECORD, "", "the record has no value");
	if (wire_decode_control(send->wire, value, &send->scratch, &control, err) != MR_OK)
		return MR_EBAD_RECORD;
	*ret_key = control.task_key;
	return MR_OK;
}

static enum mr_status understand(struct dead_send *send, const struct dead_letter *letter, struct bytes value,
				 struct headers headers, struct bytes *ret_key, struct mr_error *err)
{
	switch (target_of(send, letter->topic)) {
	case TARGET_TASKS:
		return task_of(send, value, headers, ret_key, err);
	case TARGET_CONTROL:
		return command_of(send, value, ret_key, err);
	case TARGET_JOURNAL:
	case TARGET_NONE:
		break;
	}
	*ret_key = BYTES_NONE;
	return MR_OK;
}

/* A mended value has to be one, and of the same task where that could be read. */
static enum mr_status check_mended(struct dead_send *send, const struct dead_letter *letter, struct bytes old_value,
				   struct headers headers, struct mr_error *err)
{
	struct mr_error why = {0};
	struct bytes before, now;

	if (understand(send, letter, *send->value, headers, &now, &why) != MR_OK)
		return mr_error_set(err, MR_EINVAL, "--set-value", "%s%s%s",
				    why.where[0] && !strstr(why.message, why.where) ? why.where : "",
				    why.where[0] && !strstr(why.message, why.where) ? ": " : "", why.message);
	understand(send, letter, old_value, headers, &before, NULL);
	if (bytes_present(before) && !bytes_equal(before, now) && !send->as_new)
		return mr_error_set(err, MR_EINVAL, "--set-value",
				    "the letter's task key is %.*s, and this value is of another task; --as-new accepts it",
				    BYTES_ARG(before));
	return MR_OK;
}

static void doubt(struct dead_send *send, const struct dead_entry *entry, const struct mr_error *why)
{
	if (send->doubtful++ == 0)
		mr_error_set(&send->doubt, MR_EBAD_RECORD, name_of(entry).text, "%s", why->message);
}

/* ---- Answers ---- */

static void fail_with(struct dead_send *send, enum mr_status status, const char *where, const char *what)
{
	if (send->err.code == MR_OK)
		mr_error_set(&send->err, status, where, "%s: %s", what, mr_status_text(status));
}

static void on_sent(struct dead_send *send, struct dead_entry *entry, enum mr_status status, int32_t partition, int64_t offset)
{
	if (status != MR_OK) {
		fail_with(send, status, name_of(entry).text, "it was not sent");
		return;
	}
	send->sent++;
	entry->sent_as = arena_printf(&send->arena, "%.*s:%d:%" PRId64, BYTES_ARG(entry->letter.topic), (int)partition, offset);
	if (entry->is_own_key)
		entry->task_key = entry->sent_as;
	send->acked[send->n_acked++] = entry;
}

/* The first answer to an entry is about its record, the second about its note. */
static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	struct dead_send *send = ctx;
	struct dead_entry *entry = tag;

	send->open--;
	send->progress_us = clock_mono_us();
	if (!bytes_present(entry->sent_as))
		on_sent(send, entry, status, partition, offset);
	else if (status == MR_OK)
		send->noted++;
	else
		fail_with(send, status, name_of(entry).text, "it was sent, but this could not be noted");
}

/* ---- Send ---- */

/* False where the time ran out. */
static bool wait_a_moment(struct dead_send *send)
{
	if (clock_mono_us() - send->progress_us > CLI_SUBMIT_TIMEOUT_MS * 1000)
		return false;
	dead_read_turn(send->dead);
	return true;
}

static enum mr_status produce(struct dead_send *send, const struct bus_record *record, struct dead_entry *entry)
{
	enum mr_status status;

	while ((status = bus_produce(send->dead->bus, record, entry)) == MR_EFULL)
		if (!wait_a_moment(send))
			return MR_EKAFKA;
	if (status == MR_OK)
		send->open++;
	return status;
}

static void write_note(struct dead_send *send, struct dead_entry *entry)
{
	const struct place_name name = name_of(entry);
	const struct header items[] = {
		{BYTES_LIT(DEAD_HEADER_REPLAYED), bytes_of(name.text)},
		{BYTES_LIT(DEAD_HEADER_REPLAYED_AS), entry->sent_as},
	};
	const struct bus_record record = {
		.topic = send->dead->topic,
		.partition = entry->letter.place.partition,
		.key = entry->letter.key,
		.headers = {items, sizeof(items) / sizeof(*items)},
	};
	enum mr_status status = produce(send, &record, entry);

	if (status != MR_OK)
		fail_with(send, status, name.text, "it was sent, but this could not be noted");
}

static void write_notes(struct dead_send *send)
{
	while (send->n_acked > 0)
		write_note(send, send->acked[--send->n_acked]);
}

/* Until so few have no answer. */
static void settle(struct dead_send *send, size_t open)
{
	write_notes(send);
	while (send->open > open) {
		if (!wait_a_moment(send)) {
			fail_with(send, MR_EKAFKA, send->dead->common->brokers,
				  "it did not acknowledge everything in time, and what it did not may yet arrive");
			return;
		}
		write_notes(send);
	}
}

static void send_one(struct dead_send *send, struct dead_entry *entry, const struct bus_message *message)
{
	CLEANUP_FREE char *topic = mem_strndup(entry->letter.topic.data, entry->letter.topic.len);
	const struct bus_record record = {
		.topic = topic,
		.partition = partition_of(send, &entry->letter),
		.key = message->key,
		.value = send->value ? *send->value : message->value,
		.headers = dead_replay_headers(message->headers, send->as_new, &send->scratch),
	};
	struct mr_error why = {0};
	enum mr_status status;
	struct bytes key;

	if (send->value && check_mended(send, &entry->letter, message->value, record.headers, &send->err) != MR_OK)
		return;
	if (understand(send, &entry->letter, record.value, record.headers, &key, &why) != MR_OK)
		doubt(send, entry, &why);
	else
		entry->is_own_key = !bytes_present(key) && target_of(send, entry->letter.topic) == TARGET_TASKS;
	entry->task_key = arena_copy(&send->arena, key);
	status = produce(send, &record, entry);
	if (status != MR_OK)
		fail_with(send, status, name_of(entry).text, "it was not sent");
}

static int by_place(const void *a, const void *b)
{
	return dead_place_compare(((const struct dead_entry *)a)->letter.place, ((const struct dead_entry *)b)->letter.place);
}

static void on_record(void *ctx, const struct bus_message *message)
{
	const struct dead_entry wanted = {.letter = {.place = {message->partition, message->offset}}};
	struct dead_send *send = ctx;
	struct dead_index *index = send->index;
	struct dead_entry *entry = bsearch(&wanted, index->entries, index->len, sizeof(wanted), by_place);

	if (!entry || send->err.code != MR_OK)
		return;
	arena_reset(&send->scratch);
	send->progress_us = clock_mono_us();
	send_one(send, entry, message);
	settle(send, OPEN_MAX);
}

static struct dead_span *spans_of(const struct dead_send *send)
{
	const struct dead_index *index = send->index;
	struct dead_span *spans = mem_alloc((size_t)send->dead->partitions * sizeof(*spans));

	for (int i = 0; i < send->dead->partitions; i++)
		spans[i].partition = i;
	for (size_t i = 0; i < index->len; i++) {
		const struct dead_place place = index->entries[i].letter.place;
		struct dead_span *span = &spans[place.partition];

		if (span->until == 0)
			span->from = place.offset;
		span->until = place.offset + 1;
	}
	return spans;
}

enum mr_status dead_send_all(struct dead_send *send, struct mr_error *err)
{
	struct dead_index *index = send->index;
	CLEANUP_FREE struct dead_span *spans = NULL;
	enum mr_status status = wire_new(&send->wire, err);

	if (status != MR_OK || index->len == 0)
		return status;
	qsort(index->entries, index->len, sizeof(*index->entries), by_place);
	spans = spans_of(send);
	send->acked = mem_alloc(index->len * sizeof(*send->acked));
	send->progress_us = clock_mono_us();
	send->dead->delivered = on_delivered;
	send->dead->ctx = send;
	status = dead_read_spans(send->dead, spans, (size_t)send->dead->partitions, on_record, send, err);
	settle(send, 0);
	if (status != MR_OK)
		return status;
	if (send->err.code == MR_OK && send->noted < index->len)
		mr_error_set(&send->err, MR_ENOT_FOUND, send->dead->topic, "%zu of the letters are no longer there",
			     index->len - send->noted);
	if (send->err.code != MR_OK && err)
		*err = send->err;
	return send->err.code;
}

void dead_send_deinit(struct dead_send *send)
{
	free(send->acked);
	wire_free(send->wire);
	arena_deinit(&send->arena);
	arena_deinit(&send->scratch);
}
