/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/conf.h"
#include "wire/json_leaf.h"
#include "wire/json_scan.h"
#include "wire/shape_json.h"

#define PATH_BYTES 128
#define SHOWN_BYTES 64
#define FIELDS_MAX 64
#define LIST_FIRST_CAP 4

struct json_reader {
	struct arena *arena;
	struct mr_error *err;
	enum mr_status status; /* of the first error */
	char path[PATH_BYTES]; /* of the object that is read: "" or "retry_policy." */
	size_t depth;          /* of objects of the same shape */
};

static void object_read(struct json_reader *r, const struct shape *shape, struct bytes text, void *structure, bool *ret_whole);

static bool fail(struct json_reader *r, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool fail(struct json_reader *r, const char *name, const char *format, ...)
{
	char where[2 * PATH_BYTES], what[256];
	va_list args;

	if (r->status != MR_OK)
		return false;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(where, sizeof(where), "%s%s", r->path, name);
	r->status = mr_error_set(r->err, MR_EBAD_RECORD, where, "field %s %s", where, what);
	return false;
}

/* A name as it may stand in a message: short, printable. */
static void shown(struct bytes name, char ret[SHOWN_BYTES])
{
	size_t n = 0;

	for (size_t i = 0; i < name.len && n < SHOWN_BYTES - 1; i++)
		ret[n++] = (unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f ? '?' : name.data[i];
	while (n > 0 && !text_is_valid((struct bytes){ret, n}))
		n--;
	ret[n] = '\0';
}

static const char *expected(const struct shape_field *field)
{
	if (field->expect)
		return field->expect;
	switch (field->kind) {
	case SHAPE_TEXT:
		return "a string";
	case SHAPE_LONG:
	case SHAPE_INT:
		return "an integer";
	case SHAPE_DOUBLE:
		return "a number";
	case SHAPE_BOOL:
		return "true or false";
	case SHAPE_STRUCT:
	case SHAPE_LINK:
	case SHAPE_OBJECT:
		return "an object";
	case SHAPE_TEXTS:
		return "an array of strings";
	case SHAPE_LIST:
		return "an array of objects";
	case SHAPE_BYTES:
	case SHAPE_PAYLOAD:
	case SHAPE_ENUM:
		break;
	}
	return "another value";
}

/* A number that is not what it should be is shown, of anything else its kind. */
static bool wrong(struct json_reader *r, const struct shape_field *field, struct bytes value)
{
	if (json_leaf_kind(value)[2] == 'n' && value.len <= 32)
		return fail(r, field->name, "must be %s, got %.*s", expected(field), BYTES_ARG(value));
	return fail(r, field->name, "must be %s, got %s", expected(field), json_leaf_kind(value));
}

static bool text_read(struct json_reader *r, const struct shape_field *field, struct bytes value, struct bytes *ret)
{
	struct bytes text;

	if (value.data[0] != '"')
		return wrong(r, field, value);
	if (!json_leaf_text(value, r->arena, &text) || !text_is_valid(text))
		return fail(r, field->name, "must be UTF-8 text without NUL");
	*ret = text;
	return true;
}

static bool enum_read(struct json_reader *r, const struct shape_field *field, struct bytes value, void *member)
{
	struct bytes text;
	struct buf names = {0};
	char name[SHOWN_BYTES];

	if (value.data[0] == '"' && json_leaf_text(value, r->arena, &text)) {
		for (int i = 0; field->names[i]; i++) {
			if (*field->names[i] && bytes_is(text, field->names[i])) {
				shape_enum_set(member, i);
				return true;
			}
		}
	}
	for (int i = 0; field->names[i]; i++)
		if (*field->names[i])
			buf_printf(&names, "%s%s", names.len ? ", " : "", field->names[i]);
	shown(value, name);
	fail(r, field->name, "must be one of %s; got %s", buf_cstr(&names), name);
	buf_deinit(&names);
	return false;
}

static bool number_read(struct json_reader *r, const struct shape_field *field, struct bytes value, void *member)
{
	int64_t number;

	if (field->kind == SHAPE_DOUBLE)
		return json_leaf_double(value, member) || wrong(r, field, value);
	if (!json_leaf_int(value, &number))
		return wrong(r, field, value);
	if (field->kind == SHAPE_LONG) {
		memcpy(member, &number, sizeof(number));
		return true;
	}
	if (number < INT32_MIN || number > INT32_MAX)
		return wrong(r, field, value);
	*(int *)member = (int)number;
	return true;
}

static bool bool_read(struct json_reader *r, const struct shape_field *field, struct bytes value, void *member)
{
	if (!bytes_is(value, "true") && !bytes_is(value, "false"))
		return wrong(r, field, value);
	*(bool *)member = value.data[0] == 't';
	return true;
}

static bool inner_read(struct json_reader *r, const struct shape_field *field, struct bytes value, void *structure)
{
	size_t len = strlen(r->path);
	bool whole;

	if (value.data[0] != '{')
		return wrong(r, field, value);
	snprintf(r->path + len, sizeof(r->path) - len, "%s.", field->name);
	object_read(r, field->shape, value, structure, &whole);
	r->path[len] = '\0';
	return r->status == MR_OK;
}

static bool link_read(struct json_reader *r, const struct shape_field *field, struct bytes value, void *member)
{
	void *linked = arena_alloc(r->arena, field->shape->size);

	if (r->depth == field->shape->depth_max)
		return fail(r, field->name, "is one too many: a chain has at most %zu links", r->depth);
	r->depth++;
	bool ok = inner_read(r, field, value, linked);
	r->depth--;
	memcpy(member, &linked, sizeof(linked));
	return ok;
}

/* The lists of records that are read from JSON hold texts only. */
static bool texts_read(struct json_reader *r, const struct shape_field *field, struct bytes value, void *structure)
{
	struct json_scan scan = json_scan_of(value);
	struct bytes item, *items = NULL;
	size_t n = 0, cap = 0;
	bool first = true;

	if (!json_scan_open(&scan, '['))
		return wrong(r, field, value);
	while (json_scan_item(&scan, &first) == JSON_NEXT_ITEM && json_scan_value(&scan, JSON_DEPTH_MAX, &item)) {
		if (n == cap) {
			struct bytes *grown = arena_alloc(r->arena, (cap = cap ? 2 * cap : LIST_FIRST_CAP) * sizeof(*grown));

			if (n > 0)
				memcpy(grown, items, n * sizeof(*grown));
			items = grown;
		}
		if (item.data[0] != '"' || !text_read(r, field, item, &items[n]))
			return fail(r, field->name, "must be an array of strings, got one with %s", json_leaf_kind(item));
		n++;
	}
	memcpy(shape_member(structure, field), &items, sizeof(items));
	memcpy((char *)structure + field->count_offset, &n, sizeof(n));
	return true;
}

static bool payload_read(struct json_reader *r, const struct shape_field *field, struct bytes value, bool base64,
			 struct payload *payload)
{
	struct bytes text;
	struct buf decoded = {0};
	bool ok;

	if (bytes_present(payload->data))
		return fail(r, field->name, "and %s exclude each other", field->base64);
	if (!base64) {
		payload->data = value;
		return true;
	}
	ok = json_leaf_text(value, r->arena, &text) && buf_append_base64_decoded(&decoded, text);
	if (ok)
		payload->data = arena_copy(r->arena, buf_bytes(&decoded));
	buf_deinit(&decoded);
	return ok || fail(r, field->base64, "must be a string of base64 with padding");
}

static bool options_read(struct json_reader *r, const struct shape_field *field, struct bytes value, struct payload *payload)
{
	if (value.data[0] != '{')
		return wrong(r, field, value);
	*payload = (struct payload){.data = value, .content_type = BYTES_LIT(PAYLOAD_JSON)};
	return true;
}

static bool field_read(struct json_reader *r, const struct shape_field *field, struct bytes value, bool base64, void *structure)
{
	void *member = shape_member(structure, field);

	if (field->kind == SHAPE_PAYLOAD && !base64)
		return payload_read(r, field, value, false, member);
	if (value.data[0] == 'n')
		return !field->required || fail(r, field->name, "is required, got null");
	switch (field->kind) {
	case SHAPE_TEXT:
		return text_read(r, field, value, member);
	case SHAPE_PAYLOAD:
		return payload_read(r, field, value, true, member);
	case SHAPE_OBJECT:
		return options_read(r, field, value, member);
	case SHAPE_LONG:
	case SHAPE_INT:
	case SHAPE_DOUBLE:
		return number_read(r, field, value, member);
	case SHAPE_BOOL:
		return bool_read(r, field, value, member);
	case SHAPE_ENUM:
		return enum_read(r, field, value, member);
	case SHAPE_STRUCT:
		return inner_read(r, field, value, member);
	case SHAPE_LINK:
		return link_read(r, field, value, member);
	case SHAPE_TEXTS:
		return texts_read(r, field, value, structure);
	case SHAPE_BYTES:
	case SHAPE_LIST:
		break;
	}
	return fail(r, field->name, "has no form in JSON");
}

/* A value in JSON is application/json by its nature; media type and codec belong to raw bytes. */
static void payload_finish(struct json_reader *r, const struct shape_field *field, uint64_t json_form, size_t index,
			   void *structure)
{
	struct payload *payload = shape_member(structure, field);

	if (!(json_form >> index & 1)) {
		if (!bytes_present(payload->data) && bytes_present(payload->content_type))
			fail(r, field->content_type, "goes with %s, which is missing", field->base64);
		else if (!bytes_present(payload->data) && bytes_present(payload->encoding))
			fail(r, field->encoding, "goes with %s, which is missing", field->base64);
		return;
	}
	if (bytes_present(payload->content_type) && !bytes_is(payload->content_type, PAYLOAD_JSON))
		fail(r, field->content_type, "goes with %s; %s itself is %s", field->base64, field->name, PAYLOAD_JSON);
	if (bytes_present(payload->encoding))
		fail(r, field->encoding, "goes with %s, not with %s", field->base64, field->name);
	payload->content_type = BYTES_LIT(PAYLOAD_JSON);
}

static void unknown_field(struct json_reader *r, const struct shape *shape, struct bytes name)
{
	const char *candidates[2 * FIELDS_MAX];
	char text[SHOWN_BYTES], where[2 * PATH_BYTES];
	size_t n = 0;

	for (size_t i = 0; i < shape->n; i++) {
		candidates[n++] = shape->fields[i].name;
		if (shape->fields[i].base64)
			candidates[n++] = shape->fields[i].base64;
	}
	shown(name, text);
	const char *nearest = conf_nearest(text, candidates, n);
	if (r->status != MR_OK)
		return;
	snprintf(where, sizeof(where), "%s%s", r->path, text);
	r->status = mr_error_set(r->err, MR_EBAD_RECORD, where, "unknown field %s%s%s", where, nearest ? "; did you mean " : "",
				 nearest ? nearest : "");
}

struct members {
	uint64_t seen[2];   /* by field; [1]: as base64 */
	uint64_t json_form; /* payloads given as JSON */
	size_t expected;    /* field that comes next where they come in the order of the schema */
};

static int find(const struct shape *shape, struct bytes name, size_t expected, bool *ret_base64)
{
	*ret_base64 = false;
	if (expected < shape->n && bytes_is(name, shape->fields[expected].name))
		return (int)expected;
	int index = shape_find(shape, name);
	for (size_t i = 0; index < 0 && i < shape->n; i++) {
		if (shape->fields[i].base64 && bytes_is(name, shape->fields[i].base64)) {
			*ret_base64 = true;
			return (int)i;
		}
	}
	return index;
}

static void member_read(struct json_reader *r, const struct shape_field *field, size_t index, bool base64, struct bytes value,
			struct members *members, void *structure)
{
	uint64_t bit = UINT64_C(1) << index;

	if (members->seen[base64] & bit)
		fail(r, base64 ? field->base64 : field->name, "is given twice");
	members->seen[base64] |= bit;
	members->expected = index + 1;
	if (field_read(r, field, value, base64, structure) && field->kind == SHAPE_PAYLOAD && !base64)
		members->json_form |= bit;
}

/* The member whose name (in its quotes) was read. False: not JSON. */
static bool member_scan(struct json_reader *r, const struct shape *shape, struct bytes quoted, struct json_scan *scan,
			struct members *members, void *structure)
{
	struct bytes name, value;
	bool base64 = false;
	int index = -1;

	if (json_leaf_text(quoted, r->arena, &name))
		index = find(shape, name, members->expected, &base64);
	else
		name = quoted;
	const struct shape_field *field = index >= 0 ? &shape->fields[index] : NULL;
	/* Payloads may be as deep as any JSON value that an activity returns; what wraps them comes on top. */
	int max_depth = field && field->kind == SHAPE_PAYLOAD ? JSON_DEPTH_MAX : JSON_RECORD_DEPTH_MAX;
	if (!json_scan_value(scan, max_depth, &value))
		return false;
	if (field)
		member_read(r, field, (size_t)index, base64, value, members, structure);
	else
		unknown_field(r, shape, name);
	return true;
}

static void members_finish(struct json_reader *r, const struct shape *shape, const struct members *members, void *structure)
{
	for (size_t i = 0; i < shape->n; i++) {
		const struct shape_field *field = &shape->fields[i];

		if (field->required && !(members->seen[0] >> i & 1))
			fail(r, field->name, "is required");
		if (field->kind == SHAPE_PAYLOAD)
			payload_finish(r, field, members->json_form, i, structure);
	}
}

static void not_json(struct json_reader *r, struct bytes text, const struct json_scan *scan)
{
	if (r->status == MR_OK)
		r->status = mr_error_set(r->err, MR_EBAD_RECORD, r->path, "not valid JSON at byte %zu: %s",
					 (size_t)(scan->p - text.data), scan->error);
}

static void object_read(struct json_reader *r, const struct shape *shape, struct bytes text, void *structure, bool *ret_whole)
{
	struct json_scan scan = json_scan_of(text);
	struct members members = {.json_form = 0};
	struct bytes name;
	enum json_next next;
	bool first = true;

	shape->init(structure);
	*ret_whole = false;
	if (!json_scan_open(&scan, '{')) {
		not_json(r, text, &scan);
		return;
	}
	while ((next = json_scan_member(&scan, &first, &name)) == JSON_NEXT_ITEM) {
		if (!member_scan(r, shape, name, &scan, &members, structure)) {
			not_json(r, text, &scan);
			return;
		}
	}
	if (next == JSON_NEXT_BAD || !json_scan_end(&scan)) {
		not_json(r, text, &scan);
		return;
	}
	*ret_whole = true;
	members_finish(r, shape, &members, structure);
}

enum mr_status shape_json_read(const struct shape *shape, struct bytes text, struct arena *arena, void *structure,
			       bool *ret_whole, struct mr_error *err)
{
	struct json_reader r = {.arena = arena, .err = err, .status = MR_OK};

	_Static_assert(FIELDS_MAX == 64, "a bit for each field");
	object_read(&r, shape, text, structure, ret_whole);
	return r.status;
}

enum mr_status shape_json_read_over(const struct shape *shape, const char *path, struct bytes text, struct arena *arena,
				    void *structure, struct mr_error *err)
{
	struct json_reader r = {.arena = arena, .err = err, .status = MR_OK};
	bool whole;

	snprintf(r.path, sizeof(r.path), "%s", path);
	object_read(&r, shape, text, structure, &whole);
	return r.status;
}
