/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>

#include "lib/context.h"

/* The input on its way to the activity, and the result on its way back: schemas (A2) and the decoded value. */

#define AVRO_BODY "avro/binary"

/* The codec behind the schemas is for one thread at a time; with thread isolation several come here. */
static pthread_mutex_t schema_lock = PTHREAD_MUTEX_INITIALIZER;

typedef enum mr_status convert_fn(const struct wire_schema *schema, struct bytes from, struct buf *out, struct mr_error *err);

static enum mr_status convert(convert_fn *fn, const struct wire_schema *schema, struct bytes from, struct arena *arena,
			      struct bytes *ret, struct mr_error *err)
{
	struct buf out = {0};
	enum mr_status status;

	pthread_mutex_lock(&schema_lock);
	status = fn(schema, from, &out, err);
	pthread_mutex_unlock(&schema_lock);
	if (!status)
		*ret = arena_copy(arena, buf_bytes(&out));
	buf_deinit(&out);
	return status;
}

static enum mr_status check(const struct wire_schema *schema, struct bytes body, struct mr_error *err)
{
	enum mr_status status;

	pthread_mutex_lock(&schema_lock);
	status = wire_schema_check(schema, body, err);
	pthread_mutex_unlock(&schema_lock);
	return status;
}

static bool is_json(const struct payload *payload)
{
	return bytes_is(payload->content_type, PAYLOAD_JSON);
}

bool context_open_input(struct mr_attempt *attempt)
{
	const struct wire_schema *schema = attempt->activity->input_schema;
	const struct payload *input = &attempt->info->input;
	struct bytes body = bytes_present(input->data) ? input->data : BYTES_LIT("");
	struct mr_error err;
	enum mr_status status;

	attempt->input_is_json = is_json(input);
	attempt->input = context_public_payload(input);
	if (!schema)
		return true;
	status = attempt->input_is_json ? convert(wire_schema_from_json, schema, body, attempt->arena, &body, &err)
					: check(schema, body, &err);
	if (status) {
		mr_fail_input(attempt, &err);
		return false;
	}
	attempt->input = (struct mr_attempt_payload){.data = body.data, .bytes = body.len, .content_type = AVRO_BODY};
	return true;
}

/* A JSON result stays JSON; an Avro body goes back as JSON where the task came as JSON, so that its sender can read it. */
static enum mr_status convert_result(struct mr_attempt *attempt, const struct wire_schema *schema, struct mr_error *err)
{
	struct payload *result = &attempt->outcome.result;
	struct bytes body = bytes_present(result->data) ? result->data : BYTES_LIT("");
	enum mr_status status;

	if (is_json(result))
		return convert(wire_schema_from_json, schema, body, attempt->arena, &body, err);
	status = check(schema, body, err);
	if (status || !attempt->input_is_json)
		return status;
	result->content_type = BYTES_LIT(PAYLOAD_JSON);
	return convert(wire_schema_to_json, schema, body, attempt->arena, &result->data, err);
}

void context_check_result(struct mr_attempt *attempt)
{
	const struct wire_schema *schema = attempt->activity->output_schema;
	struct mr_error err;

	if (!schema || attempt->outcome.kind != OUTCOME_COMPLETED)
		return;
	if (convert_result(attempt, schema, &err))
		context_fail(attempt, "BadResult", true,
			     arena_printf(attempt->arena, "the result does not match its schema: %s%s%s", err.where,
					  err.where[0] ? ": " : "", err.message));
}

void context_close_input(struct mr_attempt *attempt)
{
	json_decref(attempt->root);
}

const struct mr_attempt_payload *mr_input(struct mr_attempt *attempt)
{
	return &attempt->input;
}

const char *mr_input_json(struct mr_attempt *attempt)
{
	struct bytes text;
	struct mr_error err;

	if (attempt->input_is_json)
		return attempt->info->input.data.data;
	if (!attempt->activity->input_schema)
		return NULL;
	text = (struct bytes){attempt->input.data, attempt->input.bytes};
	if (convert(wire_schema_to_json, attempt->activity->input_schema, text, attempt->arena, &text, &err))
		return NULL;
	return text.data;
}

static json_t *open_root(struct mr_attempt *attempt, struct mr_error *err)
{
	const char *text;
	json_error_t bad;

	if (attempt->root)
		return attempt->root;
	text = mr_input_json(attempt);
	if (!text) {
		mr_error_set(err, MR_EBAD_RECORD, "input", "is not JSON");
		return NULL;
	}
	attempt->root = json_loads(text, JSON_DECODE_ANY, &bad);
	if (!attempt->root)
		mr_error_set(err, MR_EBAD_RECORD, "input", "cannot be read: %s", bad.text);
	return attempt->root;
}

static json_t *step(json_t *value, const char *name, size_t len)
{
	char key[256];
	size_t index = 0;

	if (json_is_object(value)) {
		if (len >= sizeof(key))
			return NULL;
		memcpy(key, name, len);
		key[len] = '\0';
		return json_object_get(value, key);
	}
	if (len == 0 || len > 9)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return NULL;
		index = index * 10 + (size_t)(name[i] - '0');
	}
	return json_array_get(value, index);
}

static json_t *walk(json_t *value, const char *path)
{
	while (value && *path) {
		size_t len = strcspn(path, ".");

		value = step(value, path, len);
		path += len;
		if (*path == '.')
			path++;
	}
	return value;
}

static enum mr_status find(struct mr_attempt *attempt, const char *path, json_t **ret, struct mr_error *err)
{
	json_t *root = open_root(attempt, err);
	json_t *value;

	if (!root)
		return MR_EBAD_RECORD;
	value = walk(root, path);
	if (!value || json_is_null(value))
		return mr_error_set(err, MR_ENOT_FOUND, *path ? path : "input", "is missing");
	*ret = value;
	return MR_OK;
}

static enum mr_status wrong_kind(const char *path, const char *expected, struct mr_error *err)
{
	return mr_error_set(err, MR_EBAD_RECORD, *path ? path : "input", "must be %s", expected);
}

enum mr_status mr_input_string(struct mr_attempt *attempt, const char *path, const char **ret, struct mr_error *err)
{
	json_t *value = NULL;
	enum mr_status status = find(attempt, path, &value, err);

	if (status)
		return status;
	if (!json_is_string(value))
		return wrong_kind(path, "a string", err);
	*ret = json_string_value(value);
	return MR_OK;
}

enum mr_status mr_input_int(struct mr_attempt *attempt, const char *path, int64_t *ret, struct mr_error *err)
{
	json_t *value = NULL;
	enum mr_status status = find(attempt, path, &value, err);

	if (status)
		return status;
	if (!json_is_integer(value))
		return wrong_kind(path, "a whole number", err);
	*ret = json_integer_value(value);
	return MR_OK;
}

enum mr_status mr_input_double(struct mr_attempt *attempt, const char *path, double *ret, struct mr_error *err)
{
	json_t *value = NULL;
	enum mr_status status = find(attempt, path, &value, err);

	if (status)
		return status;
	if (!json_is_number(value))
		return wrong_kind(path, "a number", err);
	*ret = json_number_value(value);
	return MR_OK;
}

enum mr_status mr_input_bool(struct mr_attempt *attempt, const char *path, bool *ret, struct mr_error *err)
{
	json_t *value = NULL;
	enum mr_status status = find(attempt, path, &value, err);

	if (status)
		return status;
	if (!json_is_boolean(value))
		return wrong_kind(path, "true or false", err);
	*ret = json_is_true(value);
	return MR_OK;
}

enum mr_status mr_input_count(struct mr_attempt *attempt, const char *path, size_t *ret, struct mr_error *err)
{
	json_t *value = NULL;
	enum mr_status status = find(attempt, path, &value, err);

	if (status)
		return status;
	if (!json_is_array(value))
		return wrong_kind(path, "an array", err);
	*ret = json_array_size(value);
	return MR_OK;
}

const char *mr_json_escape(struct mr_attempt *attempt, const char *text)
{
	struct buf quoted = {0};
	struct bytes inside;

	wire_append_json_string(&quoted, bytes_of(text ? text : ""));
	assert(quoted.len >= 2);
	inside = arena_copy(attempt->arena, (struct bytes){quoted.data + 1, quoted.len - 2});
	buf_deinit(&quoted);
	return inside.data;
}
