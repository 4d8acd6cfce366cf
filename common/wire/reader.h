/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_READER_H
#define WIRE_READER_H

#include "base/bytes.h"
#include "millrace/status.h"

/* Primitives of Avro's binary encoding over bytes that nobody vouches for. Each call returns false where the bytes do not hold
 * the value. */

#define READER_PATH_BYTES 128

struct reader {
	const uint8_t *p;
	const uint8_t *end;
	const char *what;             /* what was wrong, where a call failed */
	char path[READER_PATH_BYTES]; /* the field in which, "retry_policy.initial_interval_ms"; built while the failed walk
					 returns */
};

static inline struct reader reader_of(struct bytes b)
{
	return (struct reader){.p = (const uint8_t *)b.data, .end = (const uint8_t *)b.data + b.len, .path = {0}};
}

static inline bool reader_fail(struct reader *reader, const char *what)
{
	reader->what = what;
	return false;
}

/* Puts `name` in front of the path. */
void reader_in_field(struct reader *reader, const char *name);
/* Fills `err` (MR_EBAD_RECORD) after a failure; `subject` begins the sentence: "the Avro record". */
enum mr_status reader_error(const struct reader *reader, const char *subject, struct mr_error *err);

static inline size_t reader_left(const struct reader *reader)
{
	return (size_t)(reader->end - reader->p);
}

bool reader_long_slow(struct reader *reader, int64_t *ret);

static inline bool reader_long(struct reader *reader, int64_t *ret)
{
	if (reader->p < reader->end && *reader->p < 0x80) {
		uint8_t b = *reader->p++;

		*ret = (int64_t)(b >> 1) ^ -(int64_t)(b & 1);
		return true;
	}
	return reader_long_slow(reader, ret);
}

static inline bool reader_int(struct reader *reader, int32_t *ret)
{
	int64_t value;

	if (!reader_long(reader, &value))
		return false;
	if (value < INT32_MIN || value > INT32_MAX)
		return reader_fail(reader, "does not fit an int");
	*ret = (int32_t)value;
	return true;
}

static inline bool reader_raw(struct reader *reader, size_t len, const uint8_t **ret)
{
	if (len > reader_left(reader))
		return reader_fail(reader, "is cut off");
	*ret = reader->p;
	reader->p += len;
	return true;
}

bool reader_boolean(struct reader *reader, bool *ret);
bool reader_float(struct reader *reader, float *ret);
bool reader_double(struct reader *reader, double *ret);
/* A part of the buffer; never NULL. */
bool reader_bytes(struct reader *reader, struct bytes *ret);
/* The same, UTF-8 without NUL. */
bool reader_text(struct reader *reader, struct bytes *ret);
/* An index from 0 to n - 1. */
bool reader_index(struct reader *reader, size_t n, const char *what, size_t *ret);

#endif
