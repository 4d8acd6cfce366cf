/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/wire.h"

#include <assert.h>

#include "base/mem.h"
#include "wire/canonical.h"
#include "wire/check.h"
#include "wire/json_leaf.h"
#include "wire/json_scan.h"
#include "wire/plan.h"
#include "wire/shape_json.h"
#include "wire_schemas.h"

#define HEADER_BYTES 10 /* of the single-object encoding: C3 01 and the fingerprint, little-endian */

enum kind { KIND_TASK, KIND_RESULT, KIND_CONTROL, KIND_JOURNAL, KIND_HISTORY };
#define KINDS (KIND_HISTORY + 1)

static const struct shape *const shapes[KINDS] = {
	[KIND_TASK] = &shape_task,       [KIND_RESULT] = &shape_result,   [KIND_CONTROL] = &shape_control,
	[KIND_JOURNAL] = &shape_journal, [KIND_HISTORY] = &shape_history,
};

/* A released schema. */
struct version {
	uint64_t fingerprint;
	enum kind kind;
	const struct plan *plan;
	struct node_tree *tree;
};

struct wire {
	struct arena arena;
	struct version *versions;
	size_t n_versions;
	struct version current[KINDS];
};

static struct bytes skip_space(struct bytes value)
{
	while (value.len > 0 && (value.data[0] == ' ' || value.data[0] == '\n' || value.data[0] == '\t' || value.data[0] == '\r'))
		value.data++, value.len--;
	return value;
}

static bool is_json_object(struct bytes value)
{
	value = skip_space(value);
	return value.len > 0 && value.data[0] == '{';
}

static int kind_by_name(const char *name)
{
	for (int i = 0; i < KINDS; i++)
		if (strcmp(shapes[i]->name, name) == 0)
			return i;
	return -1;
}

static const struct version *version_find(const struct wire *wire, uint64_t fingerprint)
{
	for (size_t i = 0; i < wire->n_versions; i++)
		if (wire->versions[i].fingerprint == fingerprint)
			return &wire->versions[i];
	return NULL;
}

static enum mr_status version_add(struct wire *wire, const char *avsc, struct version *ret, struct mr_error *err)
{
	struct version version = {.tree = NULL};
	enum mr_status status = node_tree_new("of a record", bytes_of(avsc), &version.tree, err);

	if (status != MR_OK)
		return status;
	version.fingerprint = canonical_fingerprint(version.tree->json);
	const struct version *known = version_find(wire, version.fingerprint);
	if (known) {
		node_tree_free(version.tree);
		*ret = *known;
		return MR_OK;
	}
	wire->versions = mem_realloc_array(wire->versions, wire->n_versions + 1, sizeof(*wire->versions));
	int kind = kind_by_name(version.tree->root->name);
	assert(kind >= 0);
	version.kind = (enum kind)kind;
	status = plan_new(version.tree->root, shapes[kind], &wire->arena, &version.plan, err);
	wire->versions[wire->n_versions++] = version;
	*ret = version;
	return status;
}

enum mr_status wire_new(struct wire **ret, struct mr_error *err)
{
	const char *const current[KINDS] = {
		[KIND_TASK] = wire_schema_task,
		[KIND_RESULT] = wire_schema_result,
		[KIND_CONTROL] = wire_schema_control,
		[KIND_JOURNAL] = wire_schema_journal,
		[KIND_HISTORY] = wire_schema_attempt_history,
	};
	struct wire *wire = mem_alloc(sizeof(*wire));
	struct version version;
	enum mr_status status = MR_OK;

	for (int i = 0; i < KINDS && status == MR_OK; i++) {
		status = version_add(wire, current[i], &wire->current[i], err);
		assert(status != MR_OK || wire->current[i].kind == (enum kind)i);
	}
	for (size_t i = 0; wire_schema_history[i] && status == MR_OK; i++)
		status = version_add(wire, wire_schema_history[i], &version, err);
	if (status != MR_OK) {
		wire_free(wire);
		return status;
	}
	*ret = wire;
	return MR_OK;
}

void wire_free(struct wire *wire)
{
	if (!wire)
		return;
	for (size_t i = 0; i < wire->n_versions; i++)
		node_tree_free(wire->versions[i].tree);
	free(wire->versions);
	arena_deinit(&wire->arena);
	free(wire);
}

static uint64_t load_fingerprint(struct bytes value)
{
	uint64_t fingerprint = 0;

	for (unsigned i = 0; i < 8; i++)
		fingerprint |= (uint64_t)(uint8_t)value.data[2 + i] << (8 * i);
	return fingerprint;
}

static bool is_single_object(struct bytes value)
{
	return value.len >= 2 && (uint8_t)value.data[0] == 0xc3 && value.data[1] == 0x01;
}

/* The version that `value` was written with. */
static enum mr_status version_of(const struct wire *wire, enum kind kind, struct bytes value, const struct version **ret,
				 struct mr_error *err)
{
	if (!is_single_object(value))
		return mr_error_set(err, MR_EBAD_RECORD, "",
				    "neither JSON (begins with {) nor an Avro single object (begins with C3 01)%s",
				    value.len == 0 ? ": the value is empty" : "");
	if (value.len < HEADER_BYTES)
		return mr_error_set(err, MR_EBAD_RECORD, "", "the header of the Avro single object is cut off");
	const struct version *version = version_find(wire, load_fingerprint(value));
	if (!version)
		return mr_error_set(err, MR_EBAD_RECORD, "", "the Avro schema with fingerprint %016llx is not known",
				    (unsigned long long)load_fingerprint(value));
	if (version->kind != kind)
		return mr_error_set(err, MR_EBAD_RECORD, "", "an Avro record of type %s where %s is expected",
				    shapes[version->kind]->name, shapes[kind]->name);
	*ret = version;
	return MR_OK;
}

/* Reads an Avro record. *ret_read, where not NULL: how far the reading came, as a pointer into `value`. */
static enum mr_status decode_avro(const struct wire *wire, enum kind kind, struct bytes value, struct arena *arena,
				  void *structure, const uint8_t **ret_read, struct mr_error *err)
{
	const struct version *version = NULL;

	shapes[kind]->init(structure);
	enum mr_status status = version_of(wire, kind, value, &version, err);
	if (status != MR_OK)
		return status;
	struct reader reader = reader_of((struct bytes){value.data + HEADER_BYTES, value.len - HEADER_BYTES});
	bool ok = plan_read(version->plan, &reader, arena, structure);
	if (ret_read)
		*ret_read = reader.p;
	if (!ok)
		return reader_error(&reader, "the Avro record", err);
	if (reader.p != reader.end)
		return mr_error_set(err, MR_EBAD_RECORD, "", "%zu bytes behind the end of the Avro record", reader_left(&reader));
	return MR_OK;
}

/* Either encoding. */
static enum mr_status decode(const struct wire *wire, enum kind kind, struct bytes value, struct arena *arena, void *structure,
			     enum task_format *ret_format, struct mr_error *err)
{
	bool whole;

	*ret_format = is_json_object(value) ? TASK_JSON : TASK_AVRO;
	if (*ret_format == TASK_JSON)
		return shape_json_read(shapes[kind], value, arena, structure, &whole, err);
	return decode_avro(wire, kind, value, arena, structure, NULL, err);
}

static bool ids_are_valid(const struct task *task)
{
	if (bytes_present(task->workflow_id) &&
	    (!bytes_present(task->activity_id) || task_id_check(task->workflow_id, "workflow_id", NULL) != MR_OK))
		return false;
	return !bytes_present(task->activity_id) || task_id_check(task->activity_id, "activity_id", NULL) == MR_OK;
}

/* What is left of a task that cannot be run: its identity, where every id that it might have was seen. A text further on in the
 * record could be the other half of the key, so half-read ids are none. */
static bool keep_ids_only(struct task *task, bool ids_seen)
{
	struct task bad;

	task_init(&bad);
	bad.format = task->format;
	bool ok = ids_seen && ids_are_valid(task);
	if (ok) {
		bad.workflow_id = task->workflow_id;
		bad.activity_id = task->activity_id;
	}
	*task = bad;
	return ok;
}

static enum mr_status decode_task(struct wire *wire, struct bytes value, struct arena *arena, struct task *ret,
				  bool *ret_ids_seen, struct mr_error *err)
{
	enum mr_status status;
	bool json = is_json_object(value);

	if (json) {
		status = shape_json_read(&shape_task, value, arena, ret, ret_ids_seen, err);
		*ret_ids_seen = *ret_ids_seen || (bytes_present(ret->workflow_id) && bytes_present(ret->activity_id));
	} else {
		const uint8_t *read = NULL;

		status = decode_avro(wire, KIND_TASK, value, arena, ret, &read, err);
		/* The workflow's id comes first in the schema. */
		*ret_ids_seen = status == MR_OK || bytes_present(ret->activity_id);
	}
	ret->format = json ? TASK_JSON : TASK_AVRO;
	return status;
}

enum mr_status wire_decode_task(struct wire *wire, struct bytes value, struct arena *arena, struct task *ret, bool *ret_has_key,
				struct mr_error *err)
{
	bool ids_seen;
	enum mr_status status = decode_task(wire, value, arena, ret, &ids_seen, err);

	if (status == MR_OK) {
		task_unset_zeros(ret);
		status = task_validate(ret, err);
	}
	*ret_has_key = status == MR_OK || keep_ids_only(ret, ids_seen);
	return status;
}

enum mr_status wire_decode_result(struct wire *wire, struct bytes value, struct arena *arena, struct result *ret,
				  struct mr_error *err)
{
	enum task_format format;
	enum mr_status status = decode(wire, KIND_RESULT, value, arena, ret, &format, err);

	ret->format = format;
	return status != MR_OK ? status : check_result(ret, err);
}

enum mr_status wire_decode_control(struct wire *wire, struct bytes value, struct arena *arena, struct control *ret,
				   struct mr_error *err)
{
	enum task_format format;
	enum mr_status status = decode(wire, KIND_CONTROL, value, arena, ret, &format, err);

	ret->format = format;
	return status != MR_OK ? status : check_control(ret, arena, err);
}

enum mr_status wire_decode_journal(struct wire *wire, struct bytes value, struct arena *arena, struct journal_record *ret,
				   struct mr_error *err)
{
	enum mr_status status = decode_avro(wire, KIND_JOURNAL, value, arena, ret, NULL, err);

	return status != MR_OK ? status : check_journal(ret, err);
}

enum mr_status wire_decode_history(struct wire *wire, struct bytes value, struct arena *arena, const struct attempt_failure **ret,
				   size_t *ret_n, struct mr_error *err)
{
	struct history history;
	enum mr_status status = decode_avro(wire, KIND_HISTORY, value, arena, &history, NULL, err);

	*ret = status == MR_OK ? history.failures : NULL;
	*ret_n = status == MR_OK ? history.n : 0;
	return status;
}

static void encode_avro(const struct wire *wire, enum kind kind, const void *structure, struct buf *out)
{
	char header[HEADER_BYTES] = {(char)0xc3, 0x01};

	for (unsigned i = 0; i < 8; i++)
		header[2 + i] = (char)(wire->current[kind].fingerprint >> (8 * i));
	buf_append(out, header, sizeof(header));
	plan_write(wire->current[kind].plan, structure, out);
}

static void encode(const struct wire *wire, enum kind kind, enum task_format format, const void *structure, struct buf *out)
{
	switch (format) {
	case TASK_AVRO:
		encode_avro(wire, kind, structure, out);
		return;
	case TASK_JSON:
		shape_json_write(shapes[kind], structure, false, out);
		return;
	}
}

void wire_encode_task(struct wire *wire, const struct task *task, struct buf *out)
{
	encode(wire, KIND_TASK, task->format, task, out);
}

void wire_encode_result(struct wire *wire, const struct result *result, struct buf *out)
{
	encode(wire, KIND_RESULT, result->format, result, out);
}

void wire_encode_control(struct wire *wire, const struct control *control, struct buf *out)
{
	encode(wire, KIND_CONTROL, control->format, control, out);
}

void wire_encode_journal(struct wire *wire, const struct journal_record *record, struct buf *out)
{
	encode_avro(wire, KIND_JOURNAL, record, out);
}

void wire_encode_history(struct wire *wire, const struct attempt_failure *failures, size_t n, struct buf *out)
{
	struct history history = {.failures = failures, .n = n};

	encode_avro(wire, KIND_HISTORY, &history, out);
}

void wire_result_to_json(const struct result *result, struct buf *out)
{
	shape_json_write(&shape_result, result, true, out);
}

bool wire_is_json(struct bytes b)
{
	struct json_scan scan = json_scan_of(b);
	struct bytes value;

	return bytes_present(b) && json_scan_value(&scan, JSON_DEPTH_MAX, &value) && json_scan_end(&scan);
}
