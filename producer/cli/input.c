/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/input.h"

#include <errno.h>
#include <stdio.h>

#include "wire/json_scan.h"

#define CHUNK_BYTES 65536
#define INPUT_MAX_BYTES (64 << 20)

static enum mr_status read_stream(const char *flag, FILE *stream, const char *name, struct buf *ret, struct mr_error *err)
{
	size_t n;

	do {
		n = fread(buf_reserve(ret, CHUNK_BYTES), 1, CHUNK_BYTES, stream);
		ret->len += n;
	} while (n > 0 && ret->len <= INPUT_MAX_BYTES);
	if (ferror(stream))
		return mr_error_set(err, MR_EINVAL, flag, "%s: %s", name, strerror(errno));
	if (ret->len > INPUT_MAX_BYTES)
		return mr_error_set(err, MR_ETOO_LARGE, flag, "%s has more than %d bytes", name, INPUT_MAX_BYTES);
	return MR_OK;
}

static enum mr_status read_file(const char *flag, const char *path, struct buf *ret, struct mr_error *err)
{
	FILE *file = fopen(path, "re");
	enum mr_status status;

	if (!file)
		return mr_error_set(err, MR_EINVAL, flag, "%s: %s", path, strerror(errno));
	status = read_stream(flag, file, path, ret, err);
	fclose(file);
	return status;
}

enum mr_status input_read(const char *flag, const char *text, struct buf *ret, struct mr_error *err)
{
	if (!strcmp(text, "-"))
		return read_stream(flag, stdin, "standard input", ret, err);
	if (text[0] == '@')
		return read_file(flag, text + 1, ret, err);
	buf_append(ret, text, strlen(text));
	return MR_OK;
}

static enum mr_status wrong_at(const char *flag, struct bytes text, const struct json_scan *scan, struct mr_error *err)
{
	const char *what = scan->error ? scan->error : scan->p == scan->end ? "it ends too early" : "no JSON value begins here";
	int line = 1, column = 1;

	for (const char *p = text.data; p < scan->p && p < scan->end; p++) {
		column = *p == '\n' ? 1 : column + 1;
		line += *p == '\n';
	}
	return mr_error_set(err, MR_EINVAL, flag, "not JSON at line %d, column %d: %s (a text needs its quotes: '\"Ada\"')", line,
			    column, what);
}

enum mr_status input_json(const char *flag, struct bytes text, struct bytes *ret, struct mr_error *err)
{
	struct json_scan scan = json_scan_of(text);

	if (!json_scan_value(&scan, JSON_DEPTH_MAX, ret) || !json_scan_end(&scan))
		return wrong_at(flag, text, &scan, err);
	return MR_OK;
}
