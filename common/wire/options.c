/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/check.h"
#include "wire/json_leaf.h"
#include "wire/json_scan.h"
#include "wire/shape_json.h"
#include "wire/wire.h"

enum mr_status wire_options_apply(struct bytes options, struct arena *arena, struct task *task, struct mr_error *err)
{
	struct task changed = *task;
	enum mr_status status = shape_json_read_over(&shape_options, "options.", options, arena, &changed, err);

	if (status != MR_OK)
		return status;
	task_unset_zeros(&changed);
	if ((status = task_validate(&changed, err)) != MR_OK)
		return status;
	*task = changed;
	return MR_OK;
}

/* `value` without the white space between its tokens. */
static void append_compact(struct buf *out, struct bytes value)
{
	bool in_string = false;

	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (c == '"')
			in_string = !in_string;
		if (in_string || !memchr(" \t\r\n", c, 4))
			buf_append_char(out, c);
		if (in_string && c == '\\' && i + 1 < value.len)
			buf_append_char(out, value.data[++i]);
	}
}

struct member {
	struct bytes name;
	struct bytes value;
};

/* The next member of an object. */
static bool next_member(struct json_scan *scan, bool *first, struct arena *arena, struct member *ret)
{
	struct bytes quoted;

	return json_scan_member(scan, first, &quoted) == JSON_NEXT_ITEM && json_leaf_text(quoted, arena, &ret->name) &&
	       json_scan_value(scan, JSON_RECORD_DEPTH_MAX, &ret->value);
}

static struct json_scan open_object(struct bytes object)
{
	struct json_scan scan = json_scan_of(object);

	if (!json_scan_open(&scan, '{'))
		scan.p = scan.end;
	return scan;
}

/* Absent where there is none. */
static struct bytes find_member(struct bytes object, struct bytes name, struct arena *arena)
{
	struct json_scan scan = open_object(object);
	struct member member;
	bool first = true;

	while (next_member(&scan, &first, arena, &member))
		if (bytes_equal(member.name, name))
			return member.value;
	return BYTES_NONE;
}

static void append_name(struct buf *out, size_t start, struct bytes name)
{
	if (out->len > start)
		buf_append_char(out, ',');
	wire_append_json_string(out, name);
	buf_append_char(out, ':');
}

static bool is_object(struct bytes value)
{
	return value.len > 0 && value.data[0] == '{';
}

static void append_change(struct bytes options, const struct member *change, size_t start, struct arena *arena, struct buf *out)
{
	struct bytes before;

	if (bytes_is(change->value, "null"))
		return;
	append_name(out, start, change->name);
	if (!is_object(change->value)) {
		append_compact(out, change->value);
		return;
	}
	before = find_member(options, change->name, arena);
	wire_options_merge(is_object(before) ? before : BYTES_NONE, change->value, arena, out);
}

void wire_options_merge(struct bytes options, struct bytes changes, struct arena *arena, struct buf *out)
{
	struct json_scan kept = open_object(options), changed = open_object(changes);
	struct member member;
	bool first = true;

	buf_append_char(out, '{');
	size_t start = out->len;
	while (next_member(&kept, &first, arena, &member)) {
		if (bytes_present(find_member(changes, member.name, arena)))
			continue;
		append_name(out, start, member.name);
		append_compact(out, member.value);
	}
	first = true;
	while (next_member(&changed, &first, arena, &member))
		append_change(options, &member, start, arena, out);
	buf_append_char(out, '}');
}
