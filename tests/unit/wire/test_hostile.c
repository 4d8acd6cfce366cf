/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "golden.h"

static struct wire *wire;

static int set_up(void **state)
{
	(void)state;
	return wire_new(&wire, NULL) != MR_OK;
}

static int tear_down(void **state)
{
	(void)state;
	wire_free(wire);
	return 0;
}

/* A copy that ends where its memory ends, so that a byte read too far is seen. */
static struct bytes exact_copy(const void *data, size_t len)
{
	char *copy = malloc(len ? len : 1);

	if (len > 0)
		memcpy(copy, data, len);
	return (struct bytes){copy, len};
}

static enum mr_status read_exact(const char *kind, const void *data, size_t len, struct mr_error *err)
{
	struct arena arena = {0};
	struct bytes value = exact_copy(data, len);
	struct buf out = {0};
	enum mr_status status = golden_read(wire, kind, value, &arena, &out, err);

	buf_deinit(&out);
	arena_deinit(&arena);
	free((void *)value.data);
	return status;
}

static void for_each_vector(void (*check)(const char *kind, const struct buf *avro))
{
	for (size_t k = 0; k < GOLDEN_KINDS; k++) {
		json_t *vectors = golden_load(golden_kinds[k]), *vector;
		size_t i;

		json_array_foreach(vectors, i, vector)
		{
			struct buf avro = {0};

			golden_avro(vector, &avro);
			check(golden_kinds[k], &avro);
			buf_deinit(&avro);
		}
		json_decref(vectors);
	}
}

static void check_identity(const char *kind, const struct buf *avro)
{
	struct arena arena = {0};
	struct buf out = {0};

	assert_int_equal(golden_read(wire, kind, buf_bytes(avro), &arena, &out, NULL), MR_OK);
	assert_true(bytes_equal(buf_bytes(&out), buf_bytes(avro)));
	buf_deinit(&out);
	arena_deinit(&arena);
}

static void golden_records_are_written_as_they_were_read(void **state)
{
	(void)state;
	for_each_vector(check_identity);
}

static void check_truncations(const char *kind, const struct buf *avro)
{
	for (size_t len = 0; len < avro->len; len++) {
		struct mr_error err = {.code = MR_OK};

		assert_int_equal(read_exact(kind, avro->data, len, &err), MR_EBAD_RECORD);
		assert_int_equal(err.code, MR_EBAD_RECORD);
		assert_true(strlen(err.message) > 0);
	}
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	for_each_vector(check_truncations);
}

static void check_trailing(const char *kind, const struct buf *avro)
{
	struct buf longer = {0};

	buf_append_bytes(&longer, buf_bytes(avro));
	buf_append_char(&longer, '\0');
	assert_int_equal(read_exact(kind, longer.data, longer.len, NULL), MR_EBAD_RECORD);
	buf_deinit(&longer);
}

static void trailing_bytes_are_refused(void **state)
{
	(void)state;
	for_each_vector(check_trailing);
}

/* Some changed records are still records; none may be read beyond its end, and what is read can be written. */
static void check_flips(const char *kind, const struct buf *avro)
{
	static const unsigned char patterns[] = {0x01, 0x02, 0x80, 0xff, 0x7f};

	for (size_t i = 0; i < avro->len; i++) {
		for (size_t p = 0; p < sizeof(patterns); p++) {
			struct mr_error err = {.code = MR_OK};

			avro->data[i] = (char)(avro->data[i] ^ patterns[p]);
			if (read_exact(kind, avro->data, avro->len, &err) != MR_OK)
				assert_int_equal(err.code, MR_EBAD_RECORD);
			else
				assert_true(i >= 10);
			avro->data[i] = (char)(avro->data[i] ^ patterns[p]);
		}
	}
}

static void every_flipped_byte_is_survived(void **state)
{
	(void)state;
	for_each_vector(check_flips);
}

static void check_noise(const char *kind, const struct buf *avro)
{
	unsigned seed = 11;

	for (int round = 0; round < 3000; round++) {
		struct buf noisy = {0};
		size_t n = 1 + (size_t)rand_r(&seed) % 6;

		buf_append_bytes(&noisy, buf_bytes(avro));
		for (size_t i = 0; i < n && noisy.len > 10; i++)
			noisy.data[10 + (size_t)rand_r(&seed) % (noisy.len - 10)] = (char)rand_r(&seed);
		read_exact(kind, noisy.data, noisy.len, NULL);
		buf_deinit(&noisy);
	}
}

static void noise_is_survived(void **state)
{
	(void)state;
	for_each_vector(check_noise);
}

static void check_json_damage(const char *kind, const char *json)
{
	size_t len = strlen(json);
	char *text = strdup(json);

	for (size_t i = 0; i < len; i++) {
		assert_int_equal(read_exact(kind, json, i, NULL), MR_EBAD_RECORD);
		for (int c = 0; c < 256; c += i % 7 ? 51 : 1) {
			text[i] = (char)c;
			read_exact(kind, text, len, NULL);
		}
		text[i] = json[i];
	}
	free(text);
}

static void damaged_json_is_survived(void **state)
{
	(void)state;
	for (size_t k = 0; k < GOLDEN_KINDS; k++) {
		json_t *vectors = golden_load(golden_kinds[k]), *vector;
		size_t i;

		json_array_foreach(vectors, i, vector) if (json_object_get(vector, "json"))
			check_json_damage(golden_kinds[k], json_string_value(json_object_get(vector, "json")));
		json_decref(vectors);
	}
}

static void put_long(struct buf *buf, int64_t value)
{
	uint64_t zigzag = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

	for (; zigzag >= 0x80; zigzag >>= 7)
		buf_append_char(buf, (char)(zigzag | 0x80));
	buf_append_char(buf, (char)zigzag);
}

/* A history up to its list: what follows are the blocks of AttemptFailure. */
static void history_begin(struct buf *buf)
{
	json_t *vectors = golden_load("history");
	struct buf avro = {0};

	golden_avro(json_array_get(vectors, 0), &avro);
	buf_append(buf, avro.data, 10);
	buf_deinit(&avro);
	json_decref(vectors);
}

/* The smallest item: attempt 1, not started, failed at 0, nothing in its failure. */
static void put_attempt(struct buf *buf)
{
	static const char attempt[] = {2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

	buf_append(buf, attempt, sizeof(attempt));
}

static void counts_beyond_the_record_are_refused(void **state)
{
	static const int64_t counts[] = {1,         2,  1000,  INT64_C(1) << 32, INT64_C(1) << 40,
					 INT64_MAX, -1, -1000, INT64_MIN,        INT64_MIN + 1};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		for (int64_t size = -1; size <= 2; size++) {
			struct buf value = {0};

			history_begin(&value);
			put_long(&value, counts[i]);
			if (counts[i] < 0)
				put_long(&value, size == 2 ? INT64_MAX : size);
			assert_int_equal(read_exact("history", value.data, value.len, NULL), MR_EBAD_RECORD);
			buf_deinit(&value);
		}
	}
}

static void blocks_may_tell_their_size_if_it_is_right(void **state)
{
	(void)state;
	for (int wrong = -1; wrong <= 1; wrong++) {
		struct buf value = {0};

		history_begin(&value);
		put_long(&value, -2);
		put_long(&value, 26 + wrong);
		put_attempt(&value);
		put_attempt(&value);
		put_long(&value, 0);
		assert_int_equal(read_exact("history", value.data, value.len, NULL), wrong ? MR_EBAD_RECORD : MR_OK);
		buf_deinit(&value);
	}
}

static void many_small_blocks_are_one_list(void **state)
{
	struct arena arena = {0};
	struct buf value = {0};
	const struct attempt_failure *failures;
	size_t n;

	(void)state;
	history_begin(&value);
	for (int i = 0; i < 20000; i++) {
		put_long(&value, 1);
		put_attempt(&value);
	}
	put_long(&value, 0);
	assert_int_equal(wire_decode_history(wire, buf_bytes(&value), &arena, &failures, &n, NULL), MR_OK);
	assert_int_equal(n, 20000);
	assert_int_equal(failures[19999].attempt, 1);
	assert_true(failures[19999].started_at_ms == TASK_UNSET);
	buf_deinit(&value);
	arena_deinit(&arena);
}

static void deep_json_is_refused_at_once(void **state)
{
	static const char *const fronts[] = {
		"{\"activity_type\":\"x\",\"input\":", "{\"activity_type\":\"x\",\"unknown\":", "{\"retry_policy\":"};

	(void)state;
	for (size_t i = 0; i < sizeof(fronts) / sizeof(*fronts); i++) {
		for (int open = 0; open < 2; open++) {
			struct buf value = {0};

			buf_append(&value, fronts[i], strlen(fronts[i]));
			for (int depth = 0; depth < 100000; depth++)
				buf_append(&value, open ? "{\"a\":" : "[", open ? 5 : 1);
			assert_int_equal(read_exact("task", value.data, value.len, NULL), MR_EBAD_RECORD);
			buf_deinit(&value);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_records_are_written_as_they_were_read),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(trailing_bytes_are_refused),
		cmocka_unit_test(every_flipped_byte_is_survived),
		cmocka_unit_test(noise_is_survived),
		cmocka_unit_test(damaged_json_is_survived),
		cmocka_unit_test(counts_beyond_the_record_are_refused),
		cmocka_unit_test(blocks_may_tell_their_size_if_it_is_right),
		cmocka_unit_test(many_small_blocks_are_one_list),
		cmocka_unit_test(deep_json_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
