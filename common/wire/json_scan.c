/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/json_scan.h"

#include <assert.h>

/* The open brackets of a value: one bit each, set for an object. */
struct nesting {
	uint64_t kinds[JSON_RECORD_DEPTH_MAX / 64 + 1];
	int depth;
};

static bool fail(struct json_scan *scan, const char *error)
{
	scan->error = error;
	return false;
}

static void skip_space(struct json_scan *scan)
{
	while (scan->p < scan->end && (*scan->p == ' ' || *scan->p == '\n' || *scan->p == '\t' || *scan->p == '\r'))
		scan->p++;
}

static bool is_digit(const struct json_scan *scan)
{
	return scan->p < scan->end && *scan->p >= '0' && *scan->p <= '9';
}

static bool digits(struct json_scan *scan)
{
	if (!is_digit(scan))
		return fail(scan, "a digit is missing");
	while (is_digit(scan))
		scan->p++;
	return true;
}

static bool number(struct json_scan *scan)
{
	if (*scan->p == '-')
		scan->p++;
	if (scan->p < scan->end && *scan->p == '0')
		scan->p++;
	else if (!digits(scan))
		return false;
	if (scan->p < scan->end && *scan->p == '.') {
		scan->p++;
		if (!digits(scan))
			return false;
	}
	if (scan->p < scan->end && (*scan->p == 'e' || *scan->p == 'E')) {
		scan->p++;
		if (scan->p < scan->end && (*scan->p == '+' || *scan->p == '-'))
			scan->p++;
		return digits(scan);
	}
	return true;
}

static bool word(struct json_scan *scan, const char *text, size_t len)
{
	if ((size_t)(scan->end - scan->p) < len || memcmp(scan->p, text, len) != 0)
		return fail(scan, "a value is missing");
	scan->p += len;
	return true;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool escape(struct json_scan *scan)
{
	scan->p++;
	if (scan->p == scan->end)
		return fail(scan, "the text ends inside a string");
	char c = *scan->p++;
	if (c != 'u')
		return (c != '\0' && strchr("\"\\/bfnrt", c)) || fail(scan, "an unknown escape");
	for (int i = 0; i < 4; i++, scan->p++)
		if (scan->p == scan->end || !is_hex(*scan->p))
			return fail(scan, "an escape without four hexadecimal digits");
	return true;
}

static bool string(struct json_scan *scan)
{
	scan->p++;
	while (scan->p < scan->end) {
		unsigned char c = (unsigned char)*scan->p;

		if (c == '"') {
			scan->p++;
			return true;
		}
		if (c == '\\') {
			if (!escape(scan))
				return false;
		} else if (c < 0x20) {
			return fail(scan, "a control character inside a string");
		} else if (c < 0x80) {
			scan->p++;
		} else {
			size_t n = bytes_utf8_char((struct bytes){scan->p, (size_t)(scan->end - scan->p)});

			if (n == 0)
				return fail(scan, "bytes that are not UTF-8");
			scan->p += n;
		}
	}
	return fail(scan, "the text ends inside a string");
}

static bool scalar(struct json_scan *scan)
{
	switch (*scan->p) {
	case '"':
		return string(scan);
	case 't':
		return word(scan, "true", 4);
	case 'f':
		return word(scan, "false", 5);
	case 'n':
		return word(scan, "null", 4);
	default:
		if (*scan->p == '-' || is_digit(scan))
			return number(scan);
		return fail(scan, "a value is missing");
	}
}

static bool name(struct json_scan *scan)
{
	skip_space(scan);
	if (scan->p == scan->end || *scan->p != '"')
		return fail(scan, "the name of a member is missing");
	return string(scan);
}

static bool colon(struct json_scan *scan)
{
	skip_space(scan);
	if (scan->p == scan->end || *scan->p != ':')
		return fail(scan, "a colon is missing");
	scan->p++;
	return true;
}

static bool in_object(const struct nesting *nesting)
{
	int i = nesting->depth - 1;

	return nesting->kinds[i / 64] >> (i % 64) & 1;
}

static void push(struct nesting *nesting, bool object)
{
	uint64_t bit = UINT64_C(1) << (nesting->depth % 64);
	uint64_t *word_of = &nesting->kinds[nesting->depth / 64];

	*word_of = object ? *word_of | bit : *word_of & ~bit;
	nesting->depth++;
}

/* An opening bracket. *ret_value: a value comes next; else the container is empty and closed again. */
static bool enter(struct json_scan *scan, struct nesting *nesting, int max_depth, bool *ret_value)
{
	bool object = *scan->p == '{';

	if (nesting->depth == max_depth)
		return fail(scan, "too deep");
	scan->p++;
	skip_space(scan);
	*ret_value = scan->p == scan->end || *scan->p != (object ? '}' : ']');
	if (!*ret_value) {
		scan->p++;
		return true;
	}
	push(nesting, object);
	return !object || (name(scan) && colon(scan));
}

/* Behind a value: closing brackets, or a comma, after which *ret_value says that a value comes next. */
static bool leave(struct json_scan *scan, struct nesting *nesting, bool *ret_value)
{
	*ret_value = false;
	while (nesting->depth > 0) {
		bool object = in_object(nesting);

		skip_space(scan);
		if (scan->p == scan->end)
			return fail(scan, object ? "the text ends inside an object" : "the text ends inside an array");
		if (*scan->p == ',') {
			scan->p++;
			*ret_value = true;
			return !object || (name(scan) && colon(scan));
		}
		if (*scan->p != (object ? '}' : ']'))
			return fail(scan, "a comma or a closing bracket is missing");
		scan->p++;
		nesting->depth--;
	}
	return true;
}

bool json_scan_value(struct json_scan *scan, int max_depth, struct bytes *ret)
{
	struct nesting nesting = {.depth = 0};
	bool value = true;

	assert(max_depth <= JSON_RECORD_DEPTH_MAX);
	skip_space(scan);
	const char *start = scan->p;
	while (value) {
		skip_space(scan);
		if (scan->p == scan->end)
			return fail(scan, "a value is missing");
		if (*scan->p == '{' || *scan->p == '[') {
			if (!enter(scan, &nesting, max_depth, &value))
				return false;
			if (value)
				continue;
		} else if (!scalar(scan)) {
			return false;
		}
		if (!leave(scan, &nesting, &value))
			return false;
	}
	*ret = (struct bytes){start, (size_t)(scan->p - start)};
	return true;
}

bool json_scan_end(struct json_scan *scan)
{
	skip_space(scan);
	return scan->p == scan->end || fail(scan, "more text behind the value");
}

bool json_scan_open(struct json_scan *scan, char bracket)
{
	skip_space(scan);
	if (scan->p == scan->end || *scan->p != bracket)
		return fail(scan, bracket == '{' ? "an object is missing" : "an array is missing");
	scan->p++;
	return true;
}

/* What stands before the next item: a comma, unless it is the first, or the closing bracket. */
static enum json_next separator(struct json_scan *scan, bool *first, char closing)
{
	skip_space(scan);
	if (scan->p < scan->end && *scan->p == closing) {
		scan->p++;
		return JSON_NEXT_END;
	}
	if (*first) {
		*first = false;
		return JSON_NEXT_ITEM;
	}
	if (scan->p == scan->end || *scan->p != ',') {
		fail(scan, "a comma or a closing bracket is missing");
		return JSON_NEXT_BAD;
	}
	scan->p++;
	return JSON_NEXT_ITEM;
}

enum json_next json_scan_member(struct json_scan *scan, bool *first, struct bytes *ret_name)
{
	enum json_next next = separator(scan, first, '}');

	if (next != JSON_NEXT_ITEM)
		return next;
	skip_space(scan);
	const char *start = scan->p;
	if (!name(scan))
		return JSON_NEXT_BAD;
	*ret_name = (struct bytes){start, (size_t)(scan->p - start)};
	return colon(scan) ? JSON_NEXT_ITEM : JSON_NEXT_BAD;
}

enum json_next json_scan_item(struct json_scan *scan, bool *first)
{
	return separator(scan, first, ']');
}
