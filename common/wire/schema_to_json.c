/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "wire/json_leaf.h"
#include "wire/schema.h"

/*
 * A value of a user's schema as JSON. As Avro's JSON encoding, except that the value of a union with at most one branch beside
 * null stands for itself; of a larger union it is {"branch": value}. Bytes are strings of the characters U+0000 to U+00FF.
 */

static bool value_print(const struct node *node, struct reader *reader, struct buf *out);

/* A float has no more than nine digits that matter; as a double it would show more. */
static void float_print(struct buf *out, float value)
{
	char text[32];

	for (int precision = 6; precision <= 9; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, (double)value);
		if (strtof(text, NULL) == value)
			break;
	}
	json_append_double(out, strtod(text, NULL));
}

static void latin1_print(struct buf *out, struct bytes b)
{
	struct buf text = {0};

	for (size_t i = 0; i < b.len; i++) {
		unsigned char c = (unsigned char)b.data[i];

		if (c >= 0x80)
			buf_append_char(&text, (char)(0xc0 | c >> 6));
		buf_append_char(&text, (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c));
	}
	wire_append_json_string(out, buf_bytes(&text));
	buf_deinit(&text);
}

static bool items_print(const struct node *node, struct reader *reader, struct buf *out)
{
	bool map = node->type == NODE_MAP, first = true;
	struct node_blocks blocks = {0};
	struct bytes key;

	buf_append_char(out, map ? '{' : '[');
	do {
		if (!node_blocks_next(&blocks, node->nodes[0]->min_bytes + map, reader))
			return false;
		for (uint64_t i = 0; i < blocks.left; i++, first = false) {
			if (!first)
				buf_append_char(out, ',');
			if (map) {
				if (!reader_text(reader, &key))
					return false;
				wire_append_json_string(out, key);
				buf_append_char(out, ':');
			}
			if (!value_print(node->nodes[0], reader, out))
				return false;
		}
	} while (blocks.left > 0);
	buf_append_char(out, map ? '}' : ']');
	return true;
}

static bool record_print(const struct node *node, struct reader *reader, struct buf *out)
{
	buf_append_char(out, '{');
	for (size_t i = 0; i < node->n; i++) {
		buf_printf(out, "%s\"%s\":", i ? "," : "", node->names[i]);
		if (!value_print(node->nodes[i], reader, out)) {
			reader_in_field(reader, node->names[i]);
			return false;
		}
	}
	buf_append_char(out, '}');
	return true;
}

static bool needs_tag(const struct node *node)
{
	size_t values = 0;

	for (size_t i = 0; i < node->n; i++)
		values += node->nodes[i]->type != NODE_NULL;
	return values > 1;
}

static bool union_print(const struct node *node, struct reader *reader, struct buf *out)
{
	size_t branch;

	if (!reader_index(reader, node->n, "has a branch that the schema does not have", &branch))
		return false;
	const struct node *chosen = node->nodes[branch];
	bool tag = chosen->type != NODE_NULL && needs_tag(node);
	if (tag)
		buf_printf(out, "{\"%s\":", chosen->name);
	if (!value_print(chosen, reader, out))
		return false;
	if (tag)
		buf_append_char(out, '}');
	return true;
}

static bool number_print(const struct node *node, struct reader *reader, struct buf *out)
{
	int64_t number;
	double real;
	float small;

	if (node->type == NODE_DOUBLE) {
		if (!reader_double(reader, &real))
			return false;
		json_append_double(out, real);
	} else if (node->type == NODE_FLOAT) {
		if (!reader_float(reader, &small))
			return false;
		float_print(out, small);
	} else {
		if (!reader_long(reader, &number))
			return false;
		json_append_int(out, number);
	}
	return true;
}

static bool text_print(const struct node *node, struct reader *reader, struct buf *out)
{
	struct bytes b;
	const uint8_t *p;
	size_t symbol;

	if (node->type == NODE_ENUM) {
		if (!reader_index(reader, node->n, "has a symbol that the schema does not have", &symbol))
			return false;
		buf_printf(out, "\"%s\"", node->names[symbol]);
	} else if (node->type == NODE_FIXED) {
		if (!reader_raw(reader, node->n, &p))
			return false;
		latin1_print(out, (struct bytes){(const char *)p, node->n});
	} else if (node->type == NODE_BYTES) {
		if (!reader_bytes(reader, &b))
			return false;
		latin1_print(out, b);
	} else {
		if (!reader_text(reader, &b))
			return false;
		wire_append_json_string(out, b);
	}
	return true;
}

static bool value_print(const struct node *node, struct reader *reader, struct buf *out)
{
	bool truth;

	switch (node->type) {
	case NODE_NULL:
		buf_append_bytes(out, BYTES_LIT("null"));
		return true;
	case NODE_BOOLEAN:
		if (!reader_boolean(reader, &truth))
			return false;
		buf_append_bytes(out, truth ? BYTES_LIT("true") : BYTES_LIT("false"));
		return true;
	case NODE_INT:
	case NODE_LONG:
	case NODE_FLOAT:
	case NODE_DOUBLE:
		return number_print(node, reader, out);
	case NODE_BYTES:
	case NODE_STRING:
	case NODE_FIXED:
	case NODE_ENUM:
		return text_print(node, reader, out);
	case NODE_ARRAY:
	case NODE_MAP:
		return items_print(node, reader, out);
	case NODE_UNION:
		return union_print(node, reader, out);
	case NODE_RECORD:
		return record_print(node, reader, out);
	}
	return reader_fail(reader, "is of an unknown type");
}

enum mr_status wire_schema_to_json(const struct wire_schema *schema, struct bytes body, struct buf *out, struct mr_error *err)
{
	enum mr_status status = wire_schema_check(schema, body, err);
	struct reader reader = reader_of(body);

	if (status != MR_OK)
		return status;
	if (!value_print(schema->tree->root, &reader, out))
		return reader_error(&reader, schema->name, err);
	return MR_OK;
}
