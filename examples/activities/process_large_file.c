/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process_large_file: {"path":PATH,"chunk_bytes":N} -> {"lines":N,"bytes":N,"crc32":N}. Its heartbeat says how far it is, and an
 * attempt goes on where the last heartbeat of the former one was.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "example.h"

#define CHUNK_MAX_BYTES (64 << 20)

struct progress {
	int64_t bytes, lines;
	uint32_t crc;
};

static uint32_t crc32_add(uint32_t crc, const unsigned char *data, size_t bytes)
{
	crc = ~crc;
	for (size_t i = 0; i < bytes; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
	}
	return ~crc;
}

static void resume(struct mr_attempt *attempt, struct progress *progress)
{
	const struct mr_attempt_payload *details = &mr_info(attempt)->heartbeat_details;
	struct progress former;

	if (details->data && sscanf(details->data, "{\"bytes\":%" SCNd64 ",\"lines\":%" SCNd64 ",\"crc32\":%" SCNu32 "}",
				    &former.bytes, &former.lines, &former.crc) == 3)
		*progress = former;
}

static void beat(struct mr_attempt *attempt, const struct progress *progress)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "{\"bytes\":%" PRId64 ",\"lines\":%" PRId64 ",\"crc32\":%" PRIu32 "}",
			 progress->bytes, progress->lines, progress->crc);

	mr_heartbeat(attempt, text, (size_t)n, "application/json");
}

static enum mr_attempt_end process(struct mr_attempt *attempt, int fd, unsigned char *chunk, size_t chunk_bytes)
{
	struct progress progress = {0};
	ssize_t n;

	resume(attempt, &progress);
	while ((n = pread(fd, chunk, chunk_bytes, progress.bytes)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			progress.lines += chunk[i] == '\n';
		progress.crc = crc32_add(progress.crc, chunk, (size_t)n);
		progress.bytes += n;
		beat(attempt, &progress);
		if (mr_is_cancelled(attempt))
			return mr_canceled(attempt);
	}
	if (n < 0)
		return mr_failf(attempt, "ReadFailed", "at byte %" PRId64 ": %s", progress.bytes, strerror(errno));
	return mr_complete_jsonf(attempt, "{\"lines\":%" PRId64 ",\"bytes\":%" PRId64 ",\"crc32\":%" PRIu32 "}", progress.lines,
				 progress.bytes, progress.crc);
}

enum mr_attempt_end example_process_large_file(struct mr_attempt *attempt, void *user)
{
	int64_t chunk_bytes = 1 << 20;
	enum mr_attempt_end end;
	const char *path;
	struct mr_error err;
	unsigned char *chunk;
	int fd;

	(void)user;
	if (mr_input_string(attempt, "path", &path, &err))
		return mr_fail_input(attempt, &err);
	if (mr_input_int(attempt, "chunk_bytes", &chunk_bytes, &err) == MR_EBAD_RECORD)
		return mr_fail_input(attempt, &err);
	if (chunk_bytes < 1 || chunk_bytes > CHUNK_MAX_BYTES)
		return mr_fail(attempt, &(struct mr_attempt_failure){.type = "BadInput",
								     .message = "chunk_bytes must be 1 to 67108864",
								     .non_retryable = true});
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return mr_failf(attempt, "OpenFailed", "%s: %s", path, strerror(errno));
	chunk = malloc((size_t)chunk_bytes);
	end = chunk ? process(attempt, fd, chunk, (size_t)chunk_bytes) : mr_failf(attempt, "NoMemory", "no memory for a chunk");
	free(chunk);
	close(fd);
	return end;
}
