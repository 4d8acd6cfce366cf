/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters of the command line: what their headers say, which match, and which were replayed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "cli/dead_index.h"

/* Kafka: the records that are read. */
static const struct bus_message *log_of[16];
static size_t log_len;
static struct dead_span seen_spans[4];

enum mr_status dead_read_spans(struct dead_read *dead, const struct dead_span *spans, size_t n, dead_record_fn *record, void *ctx,
			       struct mr_error *err)
{
	(void)dead, (void)err;
	memcpy(seen_spans, spans, n * sizeof(*spans));
	for (size_t i = 0; i < log_len; i++) {
		const struct dead_span *span = &spans[log_of[i]->partition];

		if (log_of[i]->offset >= span->from && log_of[i]->offset < span->until)
			record(ctx, log_of[i]);
	}
	return MR_OK;
}

enum mr_status dead_read_all(struct dead_read *dead, dead_record_fn *record, void *ctx, struct mr_error *err)
{
	(void)dead, (void)err;
	for (size_t i = 0; i < log_len; i++)
		record(ctx, log_of[i]);
	return MR_OK;
}

#define HEADER(name, text)                                                                                                       \
	{                                                                                                                        \
		BYTES_LIT(name), BYTES_LIT(text)                                                                                 \
	}
#define HEADERS(items) ((struct headers){items, sizeof(items) / sizeof((items)[0])})

static const struct header BAD_FIELD[] = {HEADER("trace", "t"), HEADER("millrace-reason", "unknown field colour"),
					  HEADER("millrace-topic", "m.tasks.q"), HEADER("millrace-partition", "3"),
					  HEADER("millrace-offset", "12")};
static const struct header BAD_JOURNAL[] = {HEADER("millrace-reason", "not a journal record"),
					    HEADER("millrace-topic", "m.journal")};
static const struct header NOTE_OF_0_1[] = {HEADER("millrace-replayed", "0:1"), HEADER("millrace-replayed-as", "m.tasks.q:3:20")};
static const struct header NOTE_AGAIN[] = {HEADER("millrace-replayed", "0:1"), HEADER("millrace-replayed-as", "m.tasks.q:3:21")};

#define RECORD(p, o, at, text, list)                                                                                             \
	{                                                                                                                        \
		.partition = (p), .offset = (o), .timestamp_ms = (at), .key = BYTES_LIT("k"), .value = text,                     \
		.headers = HEADERS(list)                                                                                         \
	}

static void read_with(struct dead_index *index, const struct dead_filter *filter, enum mr_status expected, struct mr_error *err)
{
	static int64_t ends[] = {9, 9};
	static char topic[] = "m.dead";
	struct dead_read dead = {.topic = topic, .partitions = 2, .ends = ends};

	dead_index_init(index, filter);
	assert_int_equal(dead_index_read(index, &dead, dead_index_on_record, index, err), expected);
}

static void set_log(const struct bus_message *messages, size_t n)
{
	log_len = n;
	for (size_t i = 0; i < n; i++)
		log_of[i] = &messages[i];
}

static void a_place_is_two_numbers(void **state)
{
	static const char *const wrong[] = {"",     "0",   ":",     "0:",           ":1",   "-1:2",
					    "0:1 ", "0:x", "0:1:2", "4294967296:0", "+1:2", "0:99999999999999999999"};
	struct dead_place place;

	(void)state;
	assert_true(dead_place_parse("2:9007199254740993", &place));
	assert_int_equal(place.partition, 2);
	assert_int_equal(place.offset, INT64_C(9007199254740993));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (dead_place_parse(wrong[i], &place))
			fail_msg("%s was accepted", wrong[i]);
}

static void a_letter_says_why_and_whence_by_its_last_headers(void **state)
{
	/* Somebody has sent a dead letter back as it was. */
	const struct header twice[] = {HEADER("millrace-topic", "m.tasks.old"), BAD_FIELD[1], BAD_FIELD[2],
				       HEADER("millrace-partition", "x")};
	const struct bus_message message = RECORD(0, 4, 77, BYTES_LIT("value"), twice);
	struct dead_letter letter;

	(void)state;
	dead_letter_of(&message, &letter);
	assert_true(bytes_is(letter.topic, "m.tasks.q") && bytes_is(letter.reason, "unknown field colour"));
	assert_int_equal(letter.partition, -1);
	assert_int_equal(letter.offset, -1);
	assert_int_equal(letter.value_bytes, 5);
	assert_false(letter.is_cut);
}

static void a_note_is_a_tombstone_behind_its_letter_in_the_same_partition(void **state)
{
	const struct bus_message note = RECORD(0, 2, 1, BYTES_NONE, NOTE_OF_0_1),
				 before = RECORD(0, 1, 1, BYTES_NONE, NOTE_OF_0_1),
				 elsewhere = RECORD(1, 2, 1, BYTES_NONE, NOTE_OF_0_1),
				 with_value = RECORD(0, 2, 1, BYTES_LIT("v"), NOTE_OF_0_1);
	struct dead_note ret;

	(void)state;
	assert_true(dead_note_of(&note, &ret));
	assert_true(bytes_is(ret.as, "m.tasks.q:3:20") && ret.letter.offset == 1);
	assert_false(dead_note_of(&before, &ret));
	assert_false(dead_note_of(&elsewhere, &ret));
	assert_false(dead_note_of(&with_value, &ret));
}

static void a_replay_leaves_out_what_made_it_a_letter_and_as_new_all_reserved_headers(void **state)
{
	const struct header items[] = {BAD_FIELD[0], HEADER("millrace-key", "k"), BAD_FIELD[1], BAD_FIELD[2], BAD_FIELD[3],
				       BAD_FIELD[4]};
	struct arena arena = {0};
	struct headers kept = dead_replay_headers(HEADERS(items), false, &arena),
		       fresh = dead_replay_headers(HEADERS(items), true, &arena);

	(void)state;
	assert_int_equal(kept.len, 2);
	assert_true(bytes_is(kept.items[0].name, "trace") && bytes_is(kept.items[1].name, "millrace-key"));
	assert_int_equal(fresh.len, 1);
	assert_true(bytes_is(fresh.items[0].value, "t"));
	arena_deinit(&arena);
}

static void the_newest_stay_whatever_the_order_of_the_partitions(void **state)
{
	struct bus_message messages[] = {
		RECORD(1, 0, 50, BYTES_LIT("v"), BAD_FIELD), RECORD(1, 1, 60, BYTES_LIT("v"), BAD_FIELD),
		RECORD(0, 0, 10, BYTES_LIT("v"), BAD_FIELD), RECORD(0, 1, 20, BYTES_LIT("v"), BAD_FIELD),
		RECORD(0, 2, 55, BYTES_LIT("v"), BAD_FIELD),
	};
	const struct dead_filter filter = {.prefix = "m.", .limit = 2};
	struct dead_index index;

	(void)state;
	set_log(messages, 5);
	read_with(&index, &filter, MR_OK, NULL);
	assert_int_equal(index.len, 2);
	assert_int_equal(index.dropped, 3);
	assert_int_equal(index.entries[0].letter.at_ms, 55);
	assert_int_equal(index.entries[1].letter.at_ms, 60);
	dead_index_deinit(&index);
}

static size_t count(const struct dead_filter *filter)
{
	struct dead_index index;
	size_t n;

	read_with(&index, filter, MR_OK, NULL);
	n = index.len;
	dead_index_deinit(&index);
	return n;
}

static void a_filter_takes_reason_origin_and_what_was_replayed(void **state)
{
	const struct bus_message messages[] = {
		RECORD(0, 0, 1, BYTES_LIT("v"), BAD_JOURNAL), RECORD(0, 1, 2, BYTES_LIT("v"), BAD_FIELD),
		RECORD(0, 2, 3, BYTES_LIT("v"), BAD_FIELD),   RECORD(0, 3, 4, BYTES_NONE, NOTE_OF_0_1),
		RECORD(0, 4, 5, BYTES_NONE, NOTE_AGAIN),
	};
	struct dead_index index;

	(void)state;
	set_log(messages, 5);
	assert_int_equal(count(&(struct dead_filter){.prefix = "m.", .limit = 9}), 3);
	assert_int_equal(count(&(struct dead_filter){.prefix = "m.", .limit = 9, .no_journal = true}), 2);
	assert_int_equal(count(&(struct dead_filter){.prefix = "m.", .limit = 9, .no_journal = true, .topic = "journal"}), 1);
	assert_int_equal(count(&(struct dead_filter){.prefix = "m.", .limit = 9, .topic = "m.tasks.q"}), 2);
	assert_int_equal(count(&(struct dead_filter){.prefix = "m.", .limit = 9, .topic = "tasks"}), 0);
	assert_int_equal(count(&(struct dead_filter){.prefix = "m.", .limit = 9, .reason = "field"}), 2);
	assert_int_equal(count(&(struct dead_filter){.prefix = "m.", .limit = 9, .state = DEAD_WAITING}), 2);
	read_with(&index, &(struct dead_filter){.prefix = "m.", .limit = 9, .state = DEAD_REPLAYED}, MR_OK, NULL);
	assert_int_equal(index.len, 1);
	assert_true(bytes_is(index.entries[0].replayed_as, "m.tasks.q:3:21"));
	assert_int_equal(index.entries[0].replayed_at_ms, 5);
	dead_index_deinit(&index);
}

static void places_are_read_from_the_first_of_each_partition_and_what_is_no_letter_is_told(void **state)
{
	const struct bus_message messages[] = {RECORD(0, 1, 2, BYTES_LIT("v"), BAD_FIELD),
					       RECORD(0, 3, 4, BYTES_NONE, NOTE_OF_0_1)};
	const struct dead_place good[] = {{0, 1}}, note[] = {{0, 3}, {0, 1}}, beyond[] = {{1, 9}}, nowhere[] = {{2, 0}};
	struct mr_error err = {0};
	struct dead_index index;

	(void)state;
	set_log(messages, 2);
	read_with(&index, &(struct dead_filter){.prefix = "m.", .limit = 1, .places = good, .n_places = 1}, MR_OK, &err);
	assert_true(bytes_present(index.entries[0].replayed_as));
	assert_int_equal(seen_spans[0].from, 1);
	assert_int_equal(seen_spans[1].from, seen_spans[1].until);
	dead_index_deinit(&index);
	read_with(&index, &(struct dead_filter){.prefix = "m.", .limit = 2, .places = note, .n_places = 2}, MR_ENOT_FOUND, &err);
	assert_string_equal(err.where, "0:3");
	dead_index_deinit(&index);
	read_with(&index, &(struct dead_filter){.prefix = "m.", .limit = 1, .places = beyond, .n_places = 1}, MR_ENOT_FOUND,
		  &err);
	assert_non_null(strstr(err.message, "1:8"));
	dead_index_deinit(&index);
	read_with(&index, &(struct dead_filter){.prefix = "m.", .limit = 1, .places = nowhere, .n_places = 1}, MR_ENOT_FOUND,
		  &err);
	assert_non_null(strstr(err.message, "partitions 0 to 1"));
	dead_index_deinit(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_is_two_numbers),
		cmocka_unit_test(a_letter_says_why_and_whence_by_its_last_headers),
		cmocka_unit_test(a_note_is_a_tombstone_behind_its_letter_in_the_same_partition),
		cmocka_unit_test(a_replay_leaves_out_what_made_it_a_letter_and_as_new_all_reserved_headers),
		cmocka_unit_test(the_newest_stay_whatever_the_order_of_the_partitions),
		cmocka_unit_test(a_filter_takes_reason_origin_and_what_was_replayed),
		cmocka_unit_test(places_are_read_from_the_first_of_each_partition_and_what_is_no_letter_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
