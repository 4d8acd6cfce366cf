/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/json_leaf.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "wire/wire.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define BYTE_ONES (~UINT64_C(0) / 255)

bool json_leaf_text(struct bytes token, struct arena *arena, struct bytes *ret)
{
	if (token.len < 2 || token.data[0] != '"')
		return false;
	if (!memchr(token.data, '\\', token.len)) {
		*ret = (struct bytes){token.data + 1, token.len - 2};
		return true;
	}
	json_t *json = json_loadb(token.data, token.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (!json)
		return false;
	*ret = arena_copy(arena, (struct bytes){json_string_value(json), json_string_length(json)});
	json_decref(json);
	return true;
}

bool json_leaf_int(struct bytes token, int64_t *ret)
{
	size_t i = token.len > 0 && token.data[0] == '-';
	int64_t value = 0;

	if (i == token.len)
		return false;
	for (; i < token.len; i++) {
		if (token.data[i] < '0' || token.data[i] > '9')
			return false;
		int digit = token.data[0] == '-' ? '0' - token.data[i] : token.data[i] - '0';
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ret = value;
	return true;
}

bool json_leaf_double(struct bytes token, double *ret)
{
	json_t *json = json_loadb(token.data, token.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
	bool ok = json_is_real(json);

	if (ok)
		*ret = json_real_value(json);
	json_decref(json);
	return ok;
}

const char *json_leaf_kind(struct bytes token)
{
	switch (token.len > 0 ? token.data[0] : 0) {
	case '{':
		return "an object";
	case '[':
		return "an array";
	case '"':
		return "a string";
	case 't':
	case 'f':
		return "a boolean";
	case 'n':
		return "null";
	default:
		return "a number";
	}
}

void json_append_int(struct buf *out, int64_t value)
{
	char digits[20];
	size_t i = sizeof(digits);
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

	do {
		digits[--i] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (value < 0)
		digits[--i] = '-';
	buf_append(out, digits + i, sizeof(digits) - i);
}

void json_append_double(struct buf *out, double value)
{
	char text[40];

	if (isnan(value) || isinf(value)) {
		buf_printf(out, "\"%s\"", isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, value);
		if (strtod(text, NULL) == value)
			break;
	}
	buf_append(out, text, strlen(text));
	if (!strpbrk(text, ".e"))
		buf_append(out, ".0", 2);
}

/* True where no byte of the eight is NUL or beyond ASCII. */
static bool eight_are_plain(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return ((w | (w - BYTE_ONES)) & (BYTE_ONES << 7)) == 0;
}

bool text_is_valid(struct bytes text)
{
	while (text.len >= 8 && eight_are_plain(text.data)) {
		text.data += 8;
		text.len -= 8;
	}
	while (text.len > 0 && text.data[0] > 0) {
		text.data++;
		text.len--;
	}
	return text.len == 0 || bytes_is_utf8(text);
}

void text_append_repaired(struct buf *out, struct bytes text)
{
	while (text.len > 0) {
		size_t n = bytes_utf8_char(text);

		if (n == 0 || text.data[0] == '\0') {
			buf_append(out, REPLACEMENT, sizeof(REPLACEMENT) - 1);
			n = 1;
		} else {
			buf_append(out, text.data, n);
		}
		text.data += n;
		text.len -= n;
	}
}

static void append_escaped(struct buf *out, unsigned char c)
{
	static const char letters[] = "btn\0fr"; /* of 8 to 13; 11 has none */

	if (c == '"' || c == '\\')
		buf_printf(out, "\\%c", c);
	else if (c >= 8 && c <= 13 && letters[c - 8])
		buf_printf(out, "\\%c", letters[c - 8]);
	else
		buf_printf(out, "\\u%04x", c);
}

static size_t plain_prefix(struct bytes text)
{
	size_t n = 0;

	while (n < text.len && (unsigned char)text.data[n] >= 0x20 && (unsigned char)text.data[n] < 0x7f && text.data[n] != '"' &&
	       text.data[n] != '\\')
		n++;
	return n;
}

void wire_append_json_string(struct buf *out, struct bytes text)
{
	buf_append_char(out, '"');
	while (text.len > 0) {
		unsigned char c = (unsigned char)text.data[0];
		size_t n = plain_prefix(text);

		if (n > 0) {
			buf_append(out, text.data, n);
		} else if (c < 0x80) {
			append_escaped(out, c);
			n = 1;
		} else if ((n = bytes_utf8_char(text)) > 0) {
			buf_append(out, text.data, n);
		} else {
			buf_append(out, REPLACEMENT, sizeof(REPLACEMENT) - 1);
			n = 1;
		}
		text.data += n;
		text.len -= n;
	}
	buf_append_char(out, '"');
}
