/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "base/conf.h"
#include "wire/json_leaf.h"
#include "wire/schema.h"

/*
 * JSON to a value of a user's schema. A union takes {"branch": value} as Avro's JSON encoding has it, and as people write it the
 * bare value: the first branch that its kind fits. A field that is left out takes its default, or null where its type allows
 * that.
 */

#define SHOWN_MAX 100

struct converter {
	struct buf *out;
	struct mr_error *err;
	const char *schema;
	char path[READER_PATH_BYTES];
};

static bool convert(struct converter *c, const struct node *node, const json_t *json);

static bool refuse(struct converter *c, const char *what)
{
	if (c->path[0])
		mr_error_set(c->err, MR_EBAD_RECORD, c->path, "%s: field %s %s", c->schema, c->path, what);
	else
		mr_error_set(c->err, MR_EBAD_RECORD, "", "%s: the value %s", c->schema, what);
	return false;
}

static const char *kind_of(const json_t *json)
{
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "another value";
}

static bool wrong(struct converter *c, const struct node *node, const json_t *json)
{
	char what[SHOWN_MAX];

	snprintf(what, sizeof(what), "must be of type %.40s, got %s", node->name, kind_of(json));
	return refuse(c, what);
}

static bool put_long(struct converter *c, int64_t value)
{
	uint64_t zigzag = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

	for (; zigzag >= 0x80; zigzag >>= 7)
		buf_append_char(c->out, (char)(zigzag | 0x80));
	buf_append_char(c->out, (char)zigzag);
	return true;
}

static bool put_bytes(struct converter *c, struct bytes b)
{
	put_long(c, (int64_t)b.len);
	buf_append_bytes(c->out, b);
	return true;
}

static bool put_bits(struct converter *c, uint64_t bits, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		buf_append_char(c->out, (char)(bits >> (8 * i)));
	return true;
}

/* Names of the numbers that JSON has no digits for. */
static bool special_number(const json_t *json, double *ret)
{
	const char *text = json_string_value(json);

	if (!text)
		return false;
	*ret = strcmp(text, "-Infinity") == 0 ? -INFINITY : strcmp(text, "Infinity") == 0 ? INFINITY : NAN;
	return !isnan(*ret) || strcmp(text, "NaN") == 0;
}

static bool convert_real(struct converter *c, const struct node *node, const json_t *json)
{
	double value = json_number_value(json);
	uint64_t bits = 0;

	if (!json_is_number(json) && !special_number(json, &value))
		return wrong(c, node, json);
	if (node->type == NODE_DOUBLE) {
		memcpy(&bits, &value, sizeof(value));
		return put_bits(c, bits, sizeof(value));
	}
	float small = (float)value;
	memcpy(&bits, &small, sizeof(small));
	return put_bits(c, bits & UINT32_MAX, sizeof(small));
}

static bool convert_integer(struct converter *c, const struct node *node, const json_t *json)
{
	if (!json_is_integer(json))
		return wrong(c, node, json);
	json_int_t value = json_integer_value(json);
	if (node->type == NODE_INT && (value < INT32_MIN || value > INT32_MAX))
		return refuse(c, "does not fit an int");
	return put_long(c, value);
}

/* The bytes that the characters U+0000 to U+00FF stand for. */
static bool latin1_parse(struct bytes text, struct buf *ret)
{
	while (text.len > 0) {
		size_t n = bytes_utf8_char(text);
		unsigned char first = (unsigned char)text.data[0];

		if (n == 1)
			buf_append_char(ret, (char)first);
		else if (n == 2 && first <= 0xc3)
			buf_append_char(ret, (char)((first & 3) << 6 | ((unsigned char)text.data[1] & 0x3f)));
		else
			return false;
		text.data += n;
		text.len -= n;
	}
	return true;
}

static bool convert_bytes(struct converter *c, const struct node *node, struct bytes text)
{
	struct buf bytes = {0};
	bool ok = latin1_parse(text, &bytes) ||
		  refuse(c, "must be a string of the characters U+0000 to U+00FF, one for each byte");

	if (ok && node->type == NODE_FIXED && bytes.len != node->n)
		ok = refuse(c, "has another length than its type");
	if (ok && node->type == NODE_FIXED)
		buf_append_bytes(c->out, buf_bytes(&bytes));
	else if (ok)
		put_bytes(c, buf_bytes(&bytes));
	buf_deinit(&bytes);
	return ok;
}

static bool convert_symbol(struct converter *c, const struct node *node, struct bytes text)
{
	int symbol = node_find(node, text);
	struct buf names = {0};

	if (symbol >= 0)
		return put_long(c, symbol);
	for (size_t i = 0; i < node->n; i++)
		buf_printf(&names, "%s%s", i ? ", " : "must be one of ", node->names[i]);
	refuse(c, buf_cstr(&names));
	buf_deinit(&names);
	return false;
}

static bool convert_text(struct converter *c, const struct node *node, const json_t *json)
{
	if (!json_is_string(json))
		return wrong(c, node, json);
	struct bytes text = {json_string_value(json), json_string_length(json)};
	if (node->type == NODE_ENUM)
		return convert_symbol(c, node, text);
	if (node->type != NODE_STRING)
		return convert_bytes(c, node, text);
	return text_is_valid(text) ? put_bytes(c, text) : refuse(c, "must be text without NUL");
}

static bool in_field(struct converter *c, const struct node *node, const json_t *json, const char *name)
{
	size_t len = strlen(c->path);

	snprintf(c->path + len, sizeof(c->path) - len, "%s%s", len > 0 && *name != '[' ? "." : "", name);
	bool ok = convert(c, node, json);
	c->path[len] = '\0';
	return ok;
}

static bool convert_array(struct converter *c, const struct node *node, const json_t *json)
{
	size_t i;
	const json_t *item;
	char name[32];

	if (!json_is_array(json))
		return wrong(c, node, json);
	if (json_array_size(json) > 0)
		put_long(c, (int64_t)json_array_size(json));
	json_array_foreach(json, i, item)
	{
		snprintf(name, sizeof(name), "[%zu]", i);
		if (!in_field(c, node->nodes[0], item, name))
			return false;
	}
	return put_long(c, 0);
}

static bool convert_map(struct converter *c, const struct node *node, const json_t *json)
{
	if (!json_is_object(json))
		return wrong(c, node, json);
	if (json_object_size(json) > 0)
		put_long(c, (int64_t)json_object_size(json));
	for (void *it = json_object_iter((json_t *)json); it; it = json_object_iter_next((json_t *)json, it)) {
		const char *key = json_object_iter_key(it);

		put_bytes(c, bytes_of(key));
		if (!in_field(c, node->nodes[0], json_object_iter_value(it), key))
			return false;
	}
	return put_long(c, 0);
}

static const json_t *field_value(const struct node *node, size_t i, const json_t *json)
{
	const json_t *value = json_object_get(json, node->names[i]);
	const struct node *type = node->nodes[i];

	if (value)
		return value;
	if (node->defaults[i])
		return node->defaults[i];
	for (size_t branch = 0; type->type == NODE_UNION && branch < type->n; branch++)
		if (type->nodes[branch]->type == NODE_NULL)
			return json_null();
	return type->type == NODE_NULL ? json_null() : NULL;
}

static bool unknown_field(struct converter *c, const struct node *node, const char *name)
{
	const char *nearest = conf_nearest(name, node->names, node->n);
	char where[2 * READER_PATH_BYTES];

	snprintf(where, sizeof(where), "%s%s%s", c->path, c->path[0] ? "." : "", name);
	mr_error_set(c->err, MR_EBAD_RECORD, where, "%s: unknown field %s%s%s", c->schema, where,
		     nearest ? "; did you mean " : "", nearest ? nearest : "");
	return false;
}

static bool convert_record(struct converter *c, const struct node *node, const json_t *json)
{
	if (!json_is_object(json))
		return wrong(c, node, json);
	for (void *it = json_object_iter((json_t *)json); it; it = json_object_iter_next((json_t *)json, it))
		if (node_find(node, bytes_of(json_object_iter_key(it))) < 0)
			return unknown_field(c, node, json_object_iter_key(it));
	for (size_t i = 0; i < node->n; i++) {
		const json_t *value = field_value(node, i, json);

		if (!value) {
			char what[SHOWN_MAX];

			snprintf(what, sizeof(what), "needs its field %.60s", node->names[i]);
			return refuse(c, what);
		}
		if (!in_field(c, node->nodes[i], value, node->names[i]))
			return false;
	}
	return true;
}

static bool kind_fits(const struct node *node, const json_t *json)
{
	double number;

	switch (node->type) {
	case NODE_NULL:
		return json_is_null(json);
	case NODE_BOOLEAN:
		return json_is_boolean(json);
	case NODE_INT:
		return json_is_integer(json) && json_integer_value(json) >= INT32_MIN && json_integer_value(json) <= INT32_MAX;
	case NODE_LONG:
		return json_is_integer(json);
	case NODE_FLOAT:
	case NODE_DOUBLE:
		return json_is_number(json) || special_number(json, &number);
	case NODE_BYTES:
	case NODE_STRING:
	case NODE_FIXED:
		return json_is_string(json);
	case NODE_ENUM:
		return json_is_string(json) && node_find(node, bytes_of(json_string_value(json))) >= 0;
	case NODE_ARRAY:
		return json_is_array(json);
	case NODE_MAP:
	case NODE_RECORD:
		return json_is_object(json);
	case NODE_UNION:
		break;
	}
	return false;
}

static bool convert_branch(struct converter *c, const struct node *node, size_t branch, const json_t *json)
{
	put_long(c, (int64_t)branch);
	return convert(c, node->nodes[branch], json);
}

static bool convert_union(struct converter *c, const struct node *node, const json_t *json)
{
	if (json_is_object(json) && json_object_size(json) == 1) {
		void *it = json_object_iter((json_t *)json);
		int branch = node_find(node, bytes_of(json_object_iter_key(it)));

		if (branch >= 0)
			return convert_branch(c, node, (size_t)branch, json_object_iter_value(it));
	}
	for (size_t i = 0; i < node->n; i++)
		if (kind_fits(node->nodes[i], json))
			return convert_branch(c, node, i, json);
	/* With one possibility beside null its own error says more than that none fits. */
	for (size_t i = 0; i < node->n && node->n == 2; i++)
		if (node->nodes[i]->type != NODE_NULL && node->nodes[1 - i]->type == NODE_NULL)
			return convert_branch(c, node, i, json);
	return refuse(c, "fits no branch of its union");
}

static bool convert(struct converter *c, const struct node *node, const json_t *json)
{
	switch (node->type) {
	case NODE_NULL:
		return json_is_null(json) || wrong(c, node, json);
	case NODE_BOOLEAN:
		if (!json_is_boolean(json))
			return wrong(c, node, json);
		buf_append_char(c->out, (char)json_is_true(json));
		return true;
	case NODE_INT:
	case NODE_LONG:
		return convert_integer(c, node, json);
	case NODE_FLOAT:
	case NODE_DOUBLE:
		return convert_real(c, node, json);
	case NODE_BYTES:
	case NODE_STRING:
	case NODE_FIXED:
	case NODE_ENUM:
		return convert_text(c, node, json);
	case NODE_ARRAY:
		return convert_array(c, node, json);
	case NODE_MAP:
		return convert_map(c, node, json);
	case NODE_UNION:
		return convert_union(c, node, json);
	case NODE_RECORD:
		return convert_record(c, node, json);
	}
	return refuse(c, "is of an unknown type");
}

enum mr_status wire_schema_from_json(const struct wire_schema *schema, struct bytes json, struct buf *out, struct mr_error *err)
{
	struct converter c = {.out = out, .err = err, .schema = schema->name};
	size_t len = out->len;
	json_error_t error;

	/* jansson reads it by recursion: its depth is looked at first. */
	if (!wire_is_json(json))
		return mr_error_set(err, MR_EBAD_RECORD, "", "%s: the value is not JSON", schema->name);
	json_t *value = json_loadb(json.data, json.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!value)
		return mr_error_set(err, MR_EBAD_RECORD, "", "%s: the value cannot be used: %s", schema->name, error.text);
	bool ok = convert(&c, schema->tree->root, value);
	json_decref(value);
	if (ok)
		return MR_OK;
	out->len = len;
	return MR_EBAD_RECORD;
}
