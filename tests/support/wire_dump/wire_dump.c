/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "wire/wire.h"

/*
 * wire_dump task|result|control|journal|history avro|json < value
 *
 * Reads the value of a record, in either encoding, and writes it in the one that is named: what the programs understand and what
 * they publish. Exit status 1 and one line on stderr ("field: sentence") where the value is refused.
 */

static void read_all(struct buf *value)
{
	size_t n;

	while ((n = fread(buf_reserve(value, 65536), 1, 65536, stdin)) > 0)
		value->len += n;
}

static enum mr_status task_convert(struct wire *wire, struct bytes value, enum task_format format, struct arena *arena,
				   struct buf *out, struct mr_error *err)
{
	struct task task;
	bool has_key;
	enum mr_status status = wire_decode_task(wire, value, arena, &task, &has_key, err);

	if (status != MR_OK)
		return status;
	task.format = format;
	wire_encode_task(wire, &task, out);
	return MR_OK;
}

static enum mr_status result_convert(struct wire *wire, struct bytes value, enum task_format format, struct arena *arena,
				     struct buf *out, struct mr_error *err)
{
	struct result result;
	enum mr_status status = wire_decode_result(wire, value, arena, &result, err);

	if (status != MR_OK)
		return status;
	result.format = format;
	wire_encode_result(wire, &result, out);
	return MR_OK;
}

static enum mr_status control_convert(struct wire *wire, struct bytes value, enum task_format format, struct arena *arena,
				      struct buf *out, struct mr_error *err)
{
	struct control control;
	enum mr_status status = wire_decode_control(wire, value, arena, &control, err);

	if (status != MR_OK)
		return status;
	control.format = format;
	wire_encode_control(wire, &control, out);
	return MR_OK;
}

static enum mr_status journal_convert(struct wire *wire, struct bytes value, enum task_format format, struct arena *arena,
				      struct buf *out, struct mr_error *err)
{
	struct journal_record record;
	enum mr_status status = wire_decode_journal(wire, value, arena, &record, err);

	if (status != MR_OK)
		return status;
	if (format != TASK_AVRO)
		return mr_error_set(err, MR_EINVAL, "json", "the journal is always Avro");
	wire_encode_journal(wire, &record, out);
	return MR_OK;
}

static enum mr_status history_convert(struct wire *wire, struct bytes value, enum task_format format, struct arena *arena,
				      struct buf *out, struct mr_error *err)
{
	const struct attempt_failure *failures;
	size_t n;
	enum mr_status status = wire_decode_history(wire, value, arena, &failures, &n, err);

	if (status != MR_OK)
		return status;
	if (format != TASK_AVRO)
		return mr_error_set(err, MR_EINVAL, "json", "the history is always Avro");
	wire_encode_history(wire, failures, n, out);
	return MR_OK;
}

static const struct {
	const char *name;
	enum mr_status (*convert)(struct wire *wire, struct bytes value, enum task_format format, struct arena *arena,
				  struct buf *out, struct mr_error *err);
} kinds[] = {
	{"task", task_convert},       {"result", result_convert},   {"control", control_convert},
	{"journal", journal_convert}, {"history", history_convert},
};

static int run(size_t kind, enum task_format format)
{
	struct wire *wire = NULL;
	struct arena arena = {0};
	struct buf value = {0}, out = {0};
	struct mr_error err = {.code = MR_OK};

	read_all(&value);
	enum mr_status status = wire_new(&wire, &err);
	if (status == MR_OK)
		status = kinds[kind].convert(wire, buf_bytes(&value), format, &arena, &out, &err);
	if (status != MR_OK)
		fprintf(stderr, "%s: %s\n", err.where, err.message);
	else
		fwrite(out.data, 1, out.len, stdout);
	buf_deinit(&out);
	buf_deinit(&value);
	arena_deinit(&arena);
	wire_free(wire);
	return status != MR_OK;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(argv[1], kinds[i].name) == 0 && (strcmp(argv[2], "avro") == 0 || strcmp(argv[2], "json") == 0))
			return run(i, argv[2][0] == 'a' ? TASK_AVRO : TASK_JSON);
	fprintf(stderr, "usage: wire_dump task|result|control|journal|history avro|json < value\n");
	return 2;
}
