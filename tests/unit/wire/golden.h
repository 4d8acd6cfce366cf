/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_WIRE_GOLDEN_H
#define TEST_WIRE_GOLDEN_H

#include <jansson.h>
#include <stdlib.h>

#include "wire/wire.h"

/* The golden vectors of schemas/golden (tests run in the root of the repository), and one call that reads a value of any kind. */

static const char *const golden_kinds[] = {"task", "result", "control", "journal", "history"};
#define GOLDEN_KINDS (sizeof(golden_kinds) / sizeof(*golden_kinds))

static inline json_t *golden_load(const char *kind)
{
	char path[64];
	json_error_t error;

	snprintf(path, sizeof(path), "schemas/golden/%s.json", kind);
	json_t *vectors = json_load_file(path, JSON_ALLOW_NUL, &error);
	if (!vectors)
		fail_msg("%s: %s", path, error.text);
	return vectors;
}

static inline void golden_avro(const json_t *vector, struct buf *ret)
{
	const char *hex = json_string_value(json_object_get(vector, "avro"));

	for (; hex[0] && hex[1]; hex += 2)
		buf_append_char(ret, (char)strtol((char[]){hex[0], hex[1], '\0'}, NULL, 16));
}

/* Reads a value and, where it can be read and `out` is given, writes it again as Avro. */
static inline enum mr_status golden_read(struct wire *wire, const char *kind, struct bytes value, struct arena *arena,
					 struct buf *out, struct mr_error *err)
{
	enum mr_status status;

	if (strcmp(kind, "task") == 0) {
		struct task task;
		bool has_key;

		status = wire_decode_task(wire, value, arena, &task, &has_key, err);
		task.format = TASK_AVRO;
		if (status == MR_OK && out)
			wire_encode_task(wire, &task, out);
	} else if (strcmp(kind, "result") == 0) {
		struct result result;

		status = wire_decode_result(wire, value, arena, &result, err);
		result.format = TASK_AVRO;
		if (status == MR_OK && out)
			wire_encode_result(wire, &result, out);
	} else if (strcmp(kind, "control") == 0) {
		struct control control;

		status = wire_decode_control(wire, value, arena, &control, err);
		control.format = TASK_AVRO;
		if (status == MR_OK && out)
			wire_encode_control(wire, &control, out);
	} else if (strcmp(kind, "journal") == 0) {
		struct journal_record record;

		status = wire_decode_journal(wire, value, arena, &record, err);
		if (status == MR_OK && out)
			wire_encode_journal(wire, &record, out);
	} else {
		const struct attempt_failure *failures;
		size_t n;

		status = wire_decode_history(wire, value, arena, &failures, &n, err);
		if (status == MR_OK && out)
			wire_encode_history(wire, failures, n, out);
	}
	return status;
}

#endif
