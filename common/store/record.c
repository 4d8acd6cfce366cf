/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"

#include <assert.h>

#define FIELDS_MAX 12
#define REPLY_KEY_SEPARATOR '\37'

bool record_text_ok(struct bytes text)
{
	unsigned bad = 0;

	for (size_t i = 0; i < text.len; i++)
		bad |= (unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f;
	return !bad;
}

void record_append_number(struct buf *out, int64_t number)
{
	char digits[24];
	size_t at = sizeof(digits);
	uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

	do {
		digits[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (number < 0)
		digits[--at] = '-';
	buf_append(out, digits + at, sizeof(digits) - at);
}

void record_append_field(struct buf *out, struct bytes text)
{
	buf_append_char(out, '\t');
	buf_append_bytes(out, text);
}

void record_append_int(struct buf *out, int64_t number)
{
	buf_append_char(out, '\t');
	record_append_number(out, number);
}

void record_append_reply(struct buf *out, struct bytes topic, struct bytes key)
{
	if (topic.len == 0)
		return;
	buf_append_bytes(out, topic);
	buf_append_char(out, REPLY_KEY_SEPARATOR);
	buf_append_bytes(out, key);
}

static void append_token(struct buf *out, char state, const struct claim_token *token)
{
	buf_append_char(out, state);
	record_append_field(out, token->run_id);
	record_append_int(out, token->epoch);
	record_append_int(out, token->attempt);
	record_append_field(out, token->nonce);
}

void record_append_started(struct buf *out, const struct claim_token *token)
{
	append_token(out, 'R', token);
	record_append_field(out, token->worker);
	record_append_field(out, token->record_id);
	record_append_int(out, token->started_at_ms);
	record_append_int(out, token->lost);
	record_append_field(out, token->journalled ? BYTES_LIT("j") : BYTES_LIT(""));
	buf_append(out, "\t\t", 2); /* flags, replies */
}

/* ---- publication: flags (a digit, for people), [reply topic, reply key], [headers], then the value to the end ---- */

enum { PUBLICATION_PLAIN = 0x30, PUBLICATION_REPLY = 1, PUBLICATION_HEADERS = 2 };

static void append_varint(struct buf *out, uint64_t number)
{
	while (number >= 0x80) {
		buf_append_char(out, (char)(number | 0x80));
		number >>= 7;
	}
	buf_append_char(out, (char)number);
}

/* Absent and empty differ. */
static void append_sized(struct buf *out, struct bytes text)
{
	append_varint(out, bytes_present(text) ? text.len + 1 : 0);
	buf_append_bytes(out, text);
}

static void append_publication(struct buf *out, const struct store_publication *publication)
{
	bool reply = bytes_present(publication->reply_topic), headers = publication->headers.len > 0;

	buf_append_char(out, (char)(PUBLICATION_PLAIN | (reply ? PUBLICATION_REPLY : 0) | (headers ? PUBLICATION_HEADERS : 0)));
	if (reply) {
		append_sized(out, publication->reply_topic);
		append_sized(out, publication->reply_key);
	}
	if (headers)
		append_varint(out, publication->headers.len);
	for (size_t i = 0; i < publication->headers.len; i++) {
		append_sized(out, publication->headers.items[i].name);
		append_sized(out, publication->headers.items[i].value);
	}
	buf_append_bytes(out, publication->value);
}

void record_append_finished(struct buf *out, const struct claim_token *token, enum result_status status, int64_t closed_at_ms,
			    bool unconfirmed, const struct store_publication *publication)
{
	append_token(out, 'F', token);
	record_append_int(out, (int64_t)status);
	record_append_int(out, closed_at_ms);
	record_append_int(out, unconfirmed);
	buf_append(out, "\t\n", 2); /* replies */
	append_publication(out, publication);
}

static bool take_varint(struct bytes *from, uint64_t *ret)
{
	uint64_t number = 0;

	for (unsigned shift = 0; shift < 63 && from->len; shift += 7) {
		unsigned char byte = (unsigned char)*from->data;

		from->data++, from->len--;
		number |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = number;
			return true;
		}
	}
	return false;
}

static bool take_sized(struct bytes *from, struct bytes *ret)
{
	uint64_t size;

	if (!take_varint(from, &size))
		return false;
	*ret = BYTES_NONE;
	if (size == 0)
		return true;
	if (size - 1 > from->len)
		return false;
	*ret = (struct bytes){from->data, (size_t)(size - 1)};
	from->data += ret->len;
	from->len -= ret->len;
	return true;
}

static bool take_headers(struct bytes *from, struct arena *arena, struct headers *ret)
{
	uint64_t n;

	if (!take_varint(from, &n) || n > from->len)
		return false;
	struct header *items = arena_alloc(arena, (size_t)n * sizeof(*items));

	for (uint64_t i = 0; i < n; i++) {
		if (!take_sized(from, &items[i].name) || !take_sized(from, &items[i].value))
			return false;
	}
	*ret = (struct headers){items, (size_t)n};
	return true;
}

bool publication_parse(struct bytes text, struct arena *arena, struct store_publication *ret)
{
	struct store_publication publication = {0};

	if (text.len == 0)
		return false;
	unsigned flags = (unsigned char)*text.data;

	text.data++, text.len--;
	if ((flags & ~(unsigned)(PUBLICATION_REPLY | PUBLICATION_HEADERS)) != PUBLICATION_PLAIN)
		return false;
	if ((flags & PUBLICATION_REPLY) &&
	    (!take_sized(&text, &publication.reply_topic) || !take_sized(&text, &publication.reply_key)))
		return false;
	if ((flags & PUBLICATION_HEADERS) && !take_headers(&text, arena, &publication.headers))
		return false;
	publication.value = text;
	*ret = publication;
	return true;
}

/* ---- parsing ---- */

size_t record_split(struct bytes line, struct bytes *fields, size_t max)
{
	size_t n = 0;

	for (;;) {
		const char *tab = memchr(line.data, '\t', line.len);

		if (n == max)
			return 0;
		fields[n++] = (struct bytes){line.data, tab ? (size_t)(tab - line.data) : line.len};
		if (!tab)
			return n;
		line.len -= (size_t)(tab - line.data) + 1;
		line.data = tab + 1;
	}
}

bool record_number(struct bytes text, int64_t *ret)
{
	bool negative = text.len && text.data[0] == '-';
	int64_t value = 0;

	if (text.len == (size_t)negative || text.len > 18)
		return false;
	for (size_t i = negative; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	*ret = negative ? -value : value;
	return true;
}

static void parse_journalled(struct bytes field, struct record *record)
{
	record->journalled = field.len > 0;
	if (!record_number(field, &record->journal_offset))
		record->journal_offset = -1;
}

static bool has_flag(struct bytes flags, char flag)
{
	return flags.len && memchr(flags.data, flag, flags.len);
}

static void parse_flags(struct bytes field, struct record *record)
{
	record->cancel_requested = has_flag(field, 'c');
	record->terminate_requested = has_flag(field, 't');
	record->pause_requested = has_flag(field, 'p');
	record->reset_requested = has_flag(field, 'r');
	record->parked = has_flag(field, 'k');
}

static bool parse_started(const struct bytes *f, size_t n, struct record *record)
{
	if (n != 12 || !record_number(f[7], &record->started_at_ms) || !record_number(f[8], &record->lost))
		return false;
	record->nonce = f[4];
	record->worker = f[5];
	record->record_id = f[6];
	parse_journalled(f[9], record);
	parse_flags(f[10], record);
	record->replies = f[11];
	return true;
}

static bool parse_waiting(const struct bytes *f, size_t n, struct record *record)
{
	if (n != 9 || !record_number(f[6], &record->lost))
		return false;
	if (record->state == 'S')
		record->record_id = f[4];
	else if (!record_number(f[4], &record->due_ms))
		return false;
	parse_journalled(f[5], record);
	parse_flags(f[7], record);
	record->replies = f[8];
	return true;
}

static bool parse_finished(const struct bytes *f, size_t n, struct record *record)
{
	int64_t status, unconfirmed;

	if (n != 9 || !record_number(f[5], &status) || !record_number(f[6], &record->closed_at_ms) ||
	    !record_number(f[7], &unconfirmed))
		return false;
	if (status < RESULT_COMPLETED || status > RESULT_TERMINATED)
		return false;
	record->nonce = f[4];
	record->status = (enum result_status)status;
	record->journalled = unconfirmed != 0;
	record->replies = f[8];
	return true;
}

bool record_parse(struct bytes text, struct record *ret)
{
	struct bytes fields[FIELDS_MAX];
	struct record record = {.journal_offset = -1};
	const char *newline = text.len ? memchr(text.data, '\n', text.len) : NULL;

	if (newline) {
		record.publication = (struct bytes){newline + 1, text.len - (size_t)(newline + 1 - text.data)};
		text.len = (size_t)(newline - text.data);
	}
	size_t n = text.len ? record_split(text, fields, FIELDS_MAX) : 0;

	if (n < 4 || fields[0].len != 1 || !record_number(fields[2], &record.epoch) || !record_number(fields[3], &record.attempt))
		return false;
	record.state = fields[0].data[0];
	record.run_id = fields[1];
	bool ok = false;

	if (record.state == 'R')
		ok = parse_started(fields, n, &record);
	else if (record.state == 'F')
		ok = parse_finished(fields, n, &record);
	else if (record.state == 'S' || record.state == 'B' || record.state == 'W' || record.state == 'M')
		ok = parse_waiting(fields, n, &record);
	if (ok)
		*ret = record;
	return ok;
}

bool store_replies_next(struct bytes *replies, struct bytes *ret_topic, struct bytes *ret_key)
{
	if (replies->len == 0)
		return false;
	const char *end = memchr(replies->data, RECORD_SEPARATOR, replies->len);
	struct bytes one = {replies->data, end ? (size_t)(end - replies->data) : replies->len};
	size_t taken = one.len + (end != NULL);

	replies->data += taken;
	replies->len -= taken;
	const char *key = memchr(one.data, REPLY_KEY_SEPARATOR, one.len);

	*ret_topic = (struct bytes){one.data, key ? (size_t)(key - one.data) : one.len};
	*ret_key = key ? (struct bytes){key + 1, one.len - ret_topic->len - 1} : BYTES_NONE;
	return true;
}
