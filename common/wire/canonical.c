/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/canonical.h"

static void append_schema(const json_t *schema, const char *space, struct buf *out);

static bool is_primitive(const char *name)
{
	static const char *const names[] = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* Names are ASCII letters, digits, underscores and dots: nothing to escape. */
static void append_name(const char *name, const char *space, struct buf *out)
{
	if (strchr(name, '.') || *space == '\0' || is_primitive(name))
		buf_printf(out, "\"%s\"", name);
	else
		buf_printf(out, "\"%s.%s\"", space, name);
}

/* The namespace that a named type gives to what is inside it: its own, or that of its dotted name, or the one around it. Owned by
 * *ret_space. */
static void inner_space(const json_t *schema, const char *space, struct buf *ret_space)
{
	const char *name = member(schema, "name");
	const char *dot = strrchr(name, '.');

	if (dot)
		buf_append(ret_space, name, (size_t)(dot - name));
	else
		buf_append_bytes(ret_space, bytes_of(json_object_get(schema, "namespace") ? member(schema, "namespace") : space));
}

static void append_fields(const json_t *fields, const char *space, struct buf *out)
{
	size_t i;
	const json_t *field;

	buf_append_bytes(out, BYTES_LIT(",\"fields\":["));
	json_array_foreach(fields, i, field)
	{
		buf_printf(out, "%s{\"name\":\"%s\",\"type\":", i ? "," : "", member(field, "name"));
		append_schema(json_object_get(field, "type"), space, out);
		buf_append_char(out, '}');
	}
	buf_append_char(out, ']');
}

static void append_symbols(const json_t *symbols, struct buf *out)
{
	size_t i;
	const json_t *symbol;

	buf_append_bytes(out, BYTES_LIT(",\"symbols\":["));
	json_array_foreach(symbols, i, symbol) buf_printf(out, "%s\"%s\"", i ? "," : "", json_string_value(symbol));
	buf_append_char(out, ']');
}

static void append_named(const json_t *schema, const char *type, const char *space, struct buf *out)
{
	struct buf inner = {0};

	inner_space(schema, space, &inner);
	const char *own = buf_cstr(&inner);
	buf_append_bytes(out, BYTES_LIT("{\"name\":"));
	append_name(member(schema, "name"), own, out);
	buf_printf(out, ",\"type\":\"%s\"", type);
	if (strcmp(type, "enum") == 0)
		append_symbols(json_object_get(schema, "symbols"), out);
	else if (strcmp(type, "fixed") == 0)
		buf_printf(out, ",\"size\":%lld", (long long)json_integer_value(json_object_get(schema, "size")));
	else
		append_fields(json_object_get(schema, "fields"), own, out);
	buf_append_char(out, '}');
	buf_deinit(&inner);
}

static void append_object(const json_t *schema, const char *space, struct buf *out)
{
	const json_t *type = json_object_get(schema, "type");
	const char *name = json_string_value(type);

	if (!name) {
		append_schema(type, space, out);
	} else if (strcmp(name, "array") == 0 || strcmp(name, "map") == 0) {
		const char *of = *name == 'a' ? "items" : "values";

		buf_printf(out, "{\"type\":\"%s\",\"%s\":", name, of);
		append_schema(json_object_get(schema, of), space, out);
		buf_append_char(out, '}');
	} else if (strcmp(name, "record") == 0 || strcmp(name, "enum") == 0 || strcmp(name, "fixed") == 0) {
		append_named(schema, name, space, out);
	} else {
		append_name(name, space, out);
	}
}

static void append_schema(const json_t *schema, const char *space, struct buf *out)
{
	size_t i;
	const json_t *branch;

	if (json_is_string(schema)) {
		append_name(json_string_value(schema), space, out);
	} else if (json_is_array(schema)) {
		buf_append_char(out, '[');
		json_array_foreach(schema, i, branch)
		{
			if (i)
				buf_append_char(out, ',');
			append_schema(branch, space, out);
		}
		buf_append_char(out, ']');
	} else {
		append_object(schema, space, out);
	}
}

void canonical_append(const json_t *schema, struct buf *out)
{
	append_schema(schema, "", out);
}

uint64_t canonical_fingerprint(const json_t *schema)
{
	struct buf text = {0};

	canonical_append(schema, &text);
	uint64_t fingerprint = bytes_crc64_avro(buf_bytes(&text));
	buf_deinit(&text);
	return fingerprint;
}

enum mr_status canonical_parse(struct bytes avsc, json_t **ret, struct mr_error *err)
{
	json_error_t error;
	json_t *json = json_loadb(avsc.data, avsc.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);

	if (!json)
		return mr_error_set(err, MR_EINVAL, "schema", "the schema is not JSON: line %d: %s", error.line, error.text);
	*ret = json;
	return MR_OK;
}
