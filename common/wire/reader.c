/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/reader.h"

#include "wire/json_leaf.h"

#define VARINT_MAX_BYTES 10

/* A path that does not fit is cut: its front is what helps. */
void reader_in_field(struct reader *reader, const char *name)
{
	size_t separator = reader->path[0] && reader->path[0] != '[';
	size_t name_len = strnlen(name, READER_PATH_BYTES - 2);
	size_t start = name_len + separator;
	size_t tail_len = strnlen(reader->path, READER_PATH_BYTES - 1 - start);

	memmove(reader->path + start, reader->path, tail_len);
	reader->path[start + tail_len] = '\0';
	memcpy(reader->path, name, name_len);
	if (separator)
		reader->path[name_len] = '.';
}

enum mr_status reader_error(const struct reader *reader, const char *subject, struct mr_error *err)
{
	if (reader->path[0] == '\0')
		return mr_error_set(err, MR_EBAD_RECORD, "", "%s %s", subject, reader->what);
	return mr_error_set(err, MR_EBAD_RECORD, reader->path, "%s: field %s %s", subject, reader->path, reader->what);
}

bool reader_long_slow(struct reader *reader, int64_t *ret)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < VARINT_MAX_BYTES; i++) {
		if (reader->p == reader->end)
			return reader_fail(reader, "is cut off");
		uint8_t b = *reader->p++;
		/* The tenth byte holds the last bit. */
		if (i == VARINT_MAX_BYTES - 1 && b > 1)
			break;
		value |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b < 0x80) {
			*ret = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
			return true;
		}
	}
	return reader_fail(reader, "holds a number of more than 64 bits");
}

bool reader_boolean(struct reader *reader, bool *ret)
{
	const uint8_t *p;

	if (!reader_raw(reader, 1, &p))
		return false;
	if (*p > 1)
		return reader_fail(reader, "is not a boolean");
	*ret = *p == 1;
	return true;
}

bool reader_float(struct reader *reader, float *ret)
{
	const uint8_t *p;

	if (!reader_raw(reader, sizeof(*ret), &p))
		return false;
	uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
	memcpy(ret, &bits, sizeof(*ret));
	return true;
}

bool reader_double(struct reader *reader, double *ret)
{
	const uint8_t *p;
	uint64_t bits = 0;

	if (!reader_raw(reader, sizeof(*ret), &p))
		return false;
	for (unsigned i = 0; i < sizeof(bits); i++)
		bits |= (uint64_t)p[i] << (8 * i);
	memcpy(ret, &bits, sizeof(*ret));
	return true;
}

bool reader_bytes(struct reader *reader, struct bytes *ret)
{
	int64_t len;
	const uint8_t *p;

	if (!reader_long(reader, &len))
		return false;
	if (len < 0)
		return reader_fail(reader, "has a negative length");
	if ((uint64_t)len > reader_left(reader))
		return reader_fail(reader, "is longer than what is left of the record");
	if (!reader_raw(reader, (size_t)len, &p))
		return false;
	*ret = (struct bytes){(const char *)p, (size_t)len};
	return true;
}

bool reader_text(struct reader *reader, struct bytes *ret)
{
	if (!reader_bytes(reader, ret))
		return false;
	return text_is_valid(*ret) || reader_fail(reader, "is not UTF-8 text without NUL");
}

bool reader_index(struct reader *reader, size_t n, const char *what, size_t *ret)
{
	int64_t index;

	if (!reader_long(reader, &index))
		return false;
	if (index < 0 || (uint64_t)index >= n)
		return reader_fail(reader, what);
	*ret = (size_t)index;
	return true;
}
