/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dead_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "wire/wire.h"

void dead_text_time(struct buf *out, int64_t at_ms)
{
	time_t seconds = at_ms / 1000;
	char text[32];
	struct tm tm;

	if (at_ms < 0 || !gmtime_r(&seconds, &tm)) {
		buf_printf(out, "-");
		return;
	}
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(out, "%s.%03dZ", text, (int)(at_ms % 1000));
}

void dead_text_line(struct buf *out, struct bytes text)
{
	if (!bytes_present(text)) {
		buf_append_char(out, '-');
	} else if (bytes_is_utf8(text) && bytes_has_no_controls(text)) {
		buf_append_bytes(out, text);
	} else {
		buf_printf(out, "base64:");
		buf_append_base64(out, text);
	}
}

void dead_text_json(struct buf *out, const char *name, struct bytes text)
{
	if (!bytes_present(text))
		return;
	if (bytes_is_utf8(text)) {
		buf_printf(out, ",\"%s\":", name);
		wire_append_json_string(out, text);
		return;
	}
	buf_printf(out, ",\"%s_base64\":\"", name);
	buf_append_base64(out, text);
	buf_append_char(out, '"');
}

static void origin_json(struct buf *out, const struct dead_letter *letter)
{
	dead_text_json(out, "from_topic", letter->topic);
	if (letter->partition >= 0)
		buf_printf(out, ",\"from_partition\":%d", (int)letter->partition);
	if (letter->offset >= 0)
		buf_printf(out, ",\"from_offset\":%" PRId64, letter->offset);
}

void dead_text_entry_json(struct buf *out, const struct dead_entry *entry, const char *topic)
{
	const struct dead_letter *letter = &entry->letter;

	buf_printf(out, "{\"topic\":");
	wire_append_json_string(out, bytes_of(topic));
	buf_printf(out, ",\"partition\":%d,\"offset\":%" PRId64 ",\"at_ms\":%" PRId64, (int)letter->place.partition,
		   letter->place.offset, letter->at_ms);
	dead_text_json(out, "key", letter->key);
	dead_text_json(out, "reason", letter->reason);
	origin_json(out, letter);
	buf_printf(out, ",\"value_bytes\":%zu,\"replayed\":%s", letter->value_bytes,
		   bytes_present(entry->replayed_as) ? "true" : "false");
	if (!bytes_present(entry->replayed_as))
		return;
	dead_text_json(out, "replayed_as", entry->replayed_as);
	buf_printf(out, ",\"replayed_at_ms\":%" PRId64, entry->replayed_at_ms);
}

enum mr_status dead_text_print(struct buf *out, struct mr_error *err)
{
	struct bytes text = buf_bytes(out);
	bool ok = fwrite(text.data, 1, text.len, stdout) == text.len && !fflush(stdout);

	buf_deinit(out);
	*out = (struct buf){0};
	return ok ? MR_OK : mr_error_set(err, MR_ESYSTEM, "stdout", "it cannot be written to");
}
