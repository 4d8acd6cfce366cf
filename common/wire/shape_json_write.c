/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "wire/json_leaf.h"
#include "wire/json_scan.h"
#include "wire/shape_json.h"
#include "wire/wire.h"

struct json_writer {
	struct buf *out;
	bool one_line;
	size_t depth; /* of links */
};

static void object_write(struct json_writer *w, const struct shape *shape, const void *structure);

/* Inside a JSON value line breaks stand between tokens only: in strings they are escaped. */
static void raw_write(struct json_writer *w, struct bytes json)
{
	size_t start = w->out->len;

	buf_append_bytes(w->out, json);
	for (size_t i = start; w->one_line && i < w->out->len; i++)
		if (w->out->data[i] == '\n' || w->out->data[i] == '\r')
			w->out->data[i] = ' ';
}

static void name_write(struct json_writer *w, const char *name)
{
	if (w->out->data[w->out->len - 1] != '{')
		buf_append_char(w->out, ',');
	buf_append_char(w->out, '"');
	buf_append(w->out, name, strlen(name));
	buf_append(w->out, "\":", 2);
}

static struct bytes trimmed(struct bytes json)
{
	while (json.len > 0 && strchr(" \t\r\n", json.data[0]))
		json.data++, json.len--;
	while (json.len > 0 && strchr(" \t\r\n", json.data[json.len - 1]))
		json.len--;
	return json;
}

static void payload_write(struct json_writer *w, const struct shape_field *field, const struct payload *payload)
{
	if (bytes_is(payload->content_type, PAYLOAD_JSON) && !bytes_present(payload->encoding) && wire_is_json(payload->data)) {
		name_write(w, field->name);
		raw_write(w, trimmed(payload->data));
		return;
	}
	name_write(w, field->base64);
	buf_append_char(w->out, '"');
	buf_append_base64(w->out, payload->data);
	buf_append_char(w->out, '"');
	if (bytes_present(payload->content_type)) {
		name_write(w, field->content_type);
		wire_append_json_string(w->out, payload->content_type);
	}
	if (bytes_present(payload->encoding)) {
		name_write(w, field->encoding);
		wire_append_json_string(w->out, payload->encoding);
	}
}

static void texts_write(struct json_writer *w, const struct shape_field *field, const void *structure)
{
	const struct bytes *items;
	size_t n;

	memcpy(&items, shape_member_of(structure, field), sizeof(items));
	memcpy(&n, (const char *)structure + field->count_offset, sizeof(n));
	buf_append_char(w->out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_append_char(w->out, ',');
		wire_append_json_string(w->out, items[i]);
	}
	buf_append_char(w->out, ']');
}

static void link_write(struct json_writer *w, const struct shape_field *field, const void *member)
{
	const void *linked;

	memcpy(&linked, member, sizeof(linked));
	if (w->depth == field->shape->depth_max)
		return;
	name_write(w, field->name);
	w->depth++;
	object_write(w, field->shape, linked);
	w->depth--;
}

static void value_write(struct json_writer *w, const struct shape_field *field, const void *structure)
{
	const void *member = shape_member_of(structure, field);

	switch (field->kind) {
	case SHAPE_TEXT:
		wire_append_json_string(w->out, *(const struct bytes *)member);
		break;
	case SHAPE_OBJECT:
		raw_write(w, trimmed(((const struct payload *)member)->data));
		break;
	case SHAPE_LONG:
		json_append_int(w->out, *(const int64_t *)member);
		break;
	case SHAPE_INT:
		json_append_int(w->out, *(const int *)member);
		break;
	case SHAPE_DOUBLE:
		json_append_double(w->out, *(const double *)member);
		break;
	case SHAPE_BOOL:
		buf_append_bytes(w->out, *(const bool *)member ? BYTES_LIT("true") : BYTES_LIT("false"));
		break;
	case SHAPE_ENUM:
		wire_append_json_string(w->out, bytes_of(field->names[shape_enum_get(member)]));
		break;
	case SHAPE_STRUCT:
		object_write(w, field->shape, member);
		break;
	case SHAPE_TEXTS:
		texts_write(w, field, structure);
		break;
	case SHAPE_BYTES:
	case SHAPE_PAYLOAD:
	case SHAPE_LINK:
	case SHAPE_LIST:
		assert(false); /* these have no form of one value */
		break;
	}
}

/* Options that are no JSON object would break the record. */
static bool is_writable(const struct shape_field *field, const void *member)
{
	return field->kind != SHAPE_OBJECT || wire_is_json(((const struct payload *)member)->data);
}

static void field_write(struct json_writer *w, const struct shape_field *field, const void *structure)
{
	const void *member = shape_member_of(structure, field);

	if ((shape_is_absent(structure, field) && !field->always) || !is_writable(field, member))
		return;
	if (field->kind == SHAPE_PAYLOAD) {
		payload_write(w, field, member);
	} else if (field->kind == SHAPE_LINK) {
		link_write(w, field, member);
	} else if (!field->of_payload) {
		name_write(w, field->name);
		value_write(w, field, structure);
	}
}

static void object_write(struct json_writer *w, const struct shape *shape, const void *structure)
{
	buf_append_char(w->out, '{');
	for (size_t i = 0; i < shape->n; i++)
		field_write(w, &shape->fields[i], structure);
	buf_append_char(w->out, '}');
}

void shape_json_write(const struct shape *shape, const void *structure, bool one_line, struct buf *out)
{
	struct json_writer w = {.out = out, .one_line = one_line};

	object_write(&w, shape, structure);
}
