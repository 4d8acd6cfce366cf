/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dead_letter.h"

#define CUT_MARK "too many for any topic, the first are kept"

static bool number_parse(struct bytes text, int64_t max, int64_t *ret)
{
	int64_t value = 0;

	if (text.len == 0 || text.len > 18)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	*ret = value;
	return value <= max;
}

static bool place_of(struct bytes text, struct dead_place *ret)
{
	const char *colon = text.len ? memchr(text.data, ':', text.len) : NULL;
	int64_t partition, offset;
	size_t before;

	if (!colon)
		return false;
	before = (size_t)(colon - text.data);
	if (!number_parse((struct bytes){text.data, before}, INT32_MAX, &partition) ||
	    !number_parse((struct bytes){colon + 1, text.len - before - 1}, INT64_MAX, &offset))
		return false;
	*ret = (struct dead_place){(int32_t)partition, offset};
	return true;
}

bool dead_place_parse(const char *text, struct dead_place *ret)
{
	return place_of(bytes_of(text), ret);
}

int dead_place_compare(struct dead_place a, struct dead_place b)
{
	if (a.partition != b.partition)
		return a.partition < b.partition ? -1 : 1;
	return (a.offset > b.offset) - (a.offset < b.offset);
}

/* The last one of a name: those of the letter stand behind what its record had. */
static struct bytes header_of(struct headers headers, const char *name)
{
	struct bytes value = BYTES_NONE;

	for (size_t i = 0; i < headers.len; i++)
		if (bytes_is(headers.items[i].name, name))
			value = headers.items[i].value;
	return value;
}

bool dead_note_of(const struct bus_message *message, struct dead_note *ret)
{
	struct dead_place letter;

	if (bytes_present(message->value) || !place_of(header_of(message->headers, DEAD_HEADER_REPLAYED), &letter) ||
	    letter.partition != message->partition || letter.offset >= message->offset)
		return false;
	*ret = (struct dead_note){letter, message->timestamp_ms, header_of(message->headers, DEAD_HEADER_REPLAYED_AS)};
	return true;
}

void dead_letter_of(const struct bus_message *message, struct dead_letter *ret)
{
	const struct headers headers = message->headers;
	int64_t partition = -1, offset = -1;

	*ret = (struct dead_letter){
		.place = {message->partition, message->offset},
		.at_ms = message->timestamp_ms,
		.key = message->key,
		.reason = header_of(headers, HEADER_REASON),
		.topic = header_of(headers, HEADER_TOPIC),
		.partition = -1,
		.offset = -1,
		.value_bytes = message->value.len,
	};
	if (number_parse(header_of(headers, HEADER_PARTITION), INT32_MAX, &partition))
		ret->partition = (int32_t)partition;
	if (number_parse(header_of(headers, HEADER_OFFSET), INT64_MAX, &offset))
		ret->offset = offset;
	ret->is_cut = ret->reason.len > 0 && memmem(ret->reason.data, ret->reason.len, CUT_MARK, sizeof(CUT_MARK) - 1);
}

static bool is_of_letter(struct bytes name)
{
	static const char *const names[] = {HEADER_REASON, HEADER_TOPIC, HEADER_PARTITION, HEADER_OFFSET};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (bytes_is(name, names[i]))
			return true;
	return false;
}

struct headers dead_replay_headers(struct headers headers, bool as_new, struct arena *arena)
{
	struct header *items = arena_alloc(arena, (headers.len + 1) * sizeof(*items));
	size_t n = 0;

	for (size_t i = 0; i < headers.len; i++) {
		struct bytes name = headers.items[i].name;

		if (!is_of_letter(name) && !(as_new && header_is_reserved(name)))
			items[n++] = headers.items[i];
	}
	return (struct headers){items, n};
}
