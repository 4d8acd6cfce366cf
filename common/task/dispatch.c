/* SPDX-License-Identifier: Apache-2.0 */
#include "task/task.h"

/* The reserved headers of a republished task record. */

enum header_kind { HEADER_OF_TEXT, HEADER_OF_NUMBER, HEADER_OF_BYTES };

struct reserved_header {
	const char *name;
	enum header_kind kind;
	size_t offset;  /* in struct dispatch */
	int64_t min;    /* of a number */
	size_t max_len; /* of a text */
};

static const struct reserved_header reserved_headers[] = {
	{HEADER_KEY, HEADER_OF_TEXT, offsetof(struct dispatch, key), 0, TASK_KEY_MAX_BYTES},
	{HEADER_RUN, HEADER_OF_TEXT, offsetof(struct dispatch, run_id), 0, TASK_RUN_MAX_BYTES},
	{HEADER_EPOCH, HEADER_OF_NUMBER, offsetof(struct dispatch, epoch), 0, 0},
	{HEADER_ATTEMPT, HEADER_OF_NUMBER, offsetof(struct dispatch, attempt), 1, 0},
	{HEADER_HOPS, HEADER_OF_NUMBER, offsetof(struct dispatch, hops), 0, 0},
	{HEADER_SCHEDULED_AT, HEADER_OF_NUMBER, offsetof(struct dispatch, scheduled_at_ms), 0, 0},
	{HEADER_DISPATCHED_AT, HEADER_OF_NUMBER, offsetof(struct dispatch, dispatched_at_ms), 0, 0},
	{HEADER_HISTORY, HEADER_OF_BYTES, offsetof(struct dispatch, history), 0, 0},
	{HEADER_HEARTBEAT, HEADER_OF_BYTES, offsetof(struct dispatch, heartbeat.data), 0, 0},
	{HEADER_HEARTBEAT_TYPE, HEADER_OF_TEXT, offsetof(struct dispatch, heartbeat.content_type), 0, TASK_ID_MAX_BYTES},
	{HEADER_HEARTBEAT_ENCODING, HEADER_OF_TEXT, offsetof(struct dispatch, heartbeat.encoding), 0, TASK_ID_MAX_BYTES},
	{HEADER_OPTIONS, HEADER_OF_BYTES, offsetof(struct dispatch, options), 0, 0},
};
#define RESERVED_HEADERS (sizeof(reserved_headers) / sizeof(*reserved_headers))
/* Exact in a double, as Redis and Lua keep numbers. */
#define NUMBER_MAX INT64_C(9007199254740991)

bool header_is_reserved(struct bytes name)
{
	const size_t len = sizeof(HEADER_PREFIX) - 1;

	return name.len >= len && memcmp(name.data, HEADER_PREFIX, len) == 0;
}

static bool number_parse(struct bytes text, int64_t min, int64_t *ret)
{
	int64_t value = 0;

	if (text.len == 0 || text.len > 16)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	*ret = value;
	return value >= min && value <= NUMBER_MAX;
}

static bool header_take(const struct reserved_header *header, struct bytes value, struct dispatch *ret)
{
	void *member = (char *)ret + header->offset;

	switch (header->kind) {
	case HEADER_OF_NUMBER:
		return number_parse(value, header->min, member);
	case HEADER_OF_TEXT:
		*(struct bytes *)member = value;
		return value.len >= 1 && value.len <= header->max_len && bytes_is_utf8(value) && bytes_has_no_controls(value);
	case HEADER_OF_BYTES:
		*(struct bytes *)member = value;
		return bytes_present(value);
	}
	return false;
}

static bool header_parse(const struct header *header, unsigned *seen, struct dispatch *ret, struct mr_error *err)
{
	for (size_t i = 0; i < RESERVED_HEADERS; i++) {
		const struct reserved_header *reserved = &reserved_headers[i];

		if (!bytes_is(header->name, reserved->name))
			continue;
		if (*seen & 1u << i) {
			mr_error_set(err, MR_EBAD_RECORD, reserved->name, "header %s must not repeat", reserved->name);
			return false;
		}
		*seen |= 1u << i;
		if (header_take(reserved, header->value, ret))
			return true;
		if (reserved->kind == HEADER_OF_NUMBER)
			mr_error_set(err, MR_EBAD_RECORD, reserved->name, "header %s must be a decimal number of at least %lld",
				     reserved->name, (long long)reserved->min);
		else
			mr_error_set(err, MR_EBAD_RECORD, reserved->name,
				     "header %s must be UTF-8 text without control characters, not too long", reserved->name);
		return false;
	}
	return true;
}

bool dispatch_parse(struct headers headers, struct dispatch *ret, struct mr_error *err)
{
	unsigned seen = 0;

	*ret = (struct dispatch){.attempt = 1, .scheduled_at_ms = TASK_UNSET, .dispatched_at_ms = TASK_UNSET};
	for (size_t i = 0; i < headers.len; i++)
		if (header_is_reserved(headers.items[i].name) && !header_parse(&headers.items[i], &seen, ret, err))
			return false;
	ret->republished = ret->attempt >= 2 || bytes_present(ret->key);
	return true;
}

int64_t command_at_ms(struct headers headers, int64_t timestamp_ms)
{
	int64_t at_ms;

	for (size_t i = 0; i < headers.len; i++) {
		const struct header *header = &headers.items[i];

		if (bytes_is(header->name, HEADER_COMMANDED_AT) && number_parse(header->value, 0, &at_ms))
			return at_ms;
	}
	return timestamp_ms;
}
