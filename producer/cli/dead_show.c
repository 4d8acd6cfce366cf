/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/dead.h"
#include "cli/dead_text.h"

/* millrace dead show: one letter, whole. */

#define HEX_MAX_BYTES 4096
#define HEX_COLUMNS 16

struct options {
	bool json, value;
	struct program_common common;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Output"},
	{.kind = CONF_BOOL,
	 .name = "json",
	 .offset = offsetof(struct options, json),
	 .help = "Prints one line of JSON: the fields of millrace dead list --json, and headers (name, value) and value; what is "
		 "no "
		 "text is in value_base64."},
	{.kind = CONF_BOOL,
	 .name = "value",
	 .offset = offsetof(struct options, value),
	 .help = "Prints the bytes of the value and nothing else, to mend them."},
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace dead show",
	.usage = "PARTITION:OFFSET",
	.purpose = "Shows a dead letter: why it is one, where it came from, its headers and its value.",
	.epilog = "PARTITION:OFFSET is what millrace dead list prints.\n"
		  "Exit: 0 shown, 2 wrong usage or no such letter, 6 Kafka is unreachable.\n"
		  "Example: millrace dead show 0:17 --value > task.json\n",
	.options = OPTIONS,
	.min_args = 1,
	.max_args = 1,
	.file_option = "config",
};

struct show {
	struct dead_index index;
	struct dead_place place;
	struct arena arena; /* of what follows */
	struct bytes value;
	struct headers headers;
};

static void on_record(void *ctx, const struct bus_message *message)
{
	const struct dead_place place = {message->partition, message->offset};
	struct show *show = ctx;
	struct header *items;

	dead_index_add(&show->index, message);
	if (dead_place_compare(place, show->place) != 0)
		return;
	show->value = arena_copy(&show->arena, message->value);
	items = arena_alloc(&show->arena, (message->headers.len + 1) * sizeof(*items));
	for (size_t i = 0; i < message->headers.len; i++)
		items[i] = (struct header){arena_copy(&show->arena, message->headers.items[i].name),
					   arena_copy(&show->arena, message->headers.items[i].value)};
	show->headers = (struct headers){items, message->headers.len};
}

/* ---- As JSON ---- */

static void header_json(struct buf *out, const struct header *header)
{
	struct buf fields = {0};

	dead_text_json(&fields, "name", header->name);
	if (bytes_present(header->value))
		dead_text_json(&fields, "value", header->value);
	else
		buf_printf(&fields, ",\"value\":null");
	buf_append_char(out, '{');
	buf_append(out, fields.data + 1, fields.len - 1);
	buf_append_char(out, '}');
	buf_deinit(&fields);
}

static void show_json(const struct show *show, const char *topic, struct buf *out)
{
	dead_text_entry_json(out, &show->index.entries[0], topic);
	buf_printf(out, ",\"headers\":[");
	for (size_t i = 0; i < show->headers.len; i++) {
		if (i > 0)
			buf_append_char(out, ',');
		header_json(out, &show->headers.items[i]);
	}
	buf_append_char(out, ']');
	if (bytes_present(show->value))
		dead_text_json(out, "value", show->value);
	else
		buf_printf(out, ",\"value\":null");
	buf_printf(out, "}\n");
}

/* ---- For people ---- */

static bool is_text(struct bytes value)
{
	if (!bytes_is_utf8(value))
		return false;
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.data[i];

		if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f)
			return false;
	}
	return true;
}

static void hex_line(struct buf *out, struct bytes value, size_t from)
{
	const size_t n = value.len - from < HEX_COLUMNS ? value.len - from : HEX_COLUMNS;

	buf_printf(out, "%08zx ", from);
	for (size_t i = 0; i < HEX_COLUMNS; i++) {
		if (i < n)
			buf_printf(out, " %02x", (unsigned)(unsigned char)value.data[from + i]);
		else
			buf_printf(out, "   ");
	}
	buf_printf(out, "  ");
	for (size_t i = 0; i < n; i++) {
		char c = value.data[from + i];

		buf_append_char(out, c >= 0x20 && c < 0x7f ? c : '.');
	}
	buf_append_char(out, '\n');
}

static void value_text(struct buf *out, struct bytes value)
{
	if (is_text(value)) {
		buf_append_bytes(out, value);
		if (value.len > 0 && value.data[value.len - 1] != '\n')
			buf_append_char(out, '\n');
		return;
	}
	for (size_t i = 0; i < value.len && i < HEX_MAX_BYTES; i += HEX_COLUMNS)
		hex_line(out, value, i);
	if (value.len > HEX_MAX_BYTES)
		buf_printf(out, "... --value prints all of it\n");
}

static void row(struct buf *out, const char *name, struct bytes text)
{
	buf_printf(out, "%-10s ", name);
	dead_text_line(out, text);
	buf_append_char(out, '\n');
}

static void show_origin(const struct dead_letter *letter, struct buf *out)
{
	buf_printf(out, "%-10s ", "from");
	dead_text_line(out, letter->topic);
	if (letter->partition >= 0 && letter->offset >= 0)
		buf_printf(out, ":%d:%" PRId64, (int)letter->partition, letter->offset);
	buf_append_char(out, '\n');
}

static void show_replay(const struct dead_entry *entry, struct buf *out)
{
	if (!bytes_present(entry->replayed_as))
		return;
	buf_printf(out, "%-10s as ", "replayed");
	dead_text_line(out, entry->replayed_as);
	buf_printf(out, " at ");
	dead_text_time(out, entry->replayed_at_ms);
	buf_append_char(out, '\n');
}

static void show_text(const struct show *show, const char *topic, struct buf *out)
{
	const struct dead_entry *entry = &show->index.entries[0];
	const struct dead_letter *letter = &entry->letter;

	buf_printf(out, "%-10s %s:%d:%" PRId64 "\n%-10s ", "letter", topic, (int)letter->place.partition, letter->place.offset,
		   "written");
	dead_text_time(out, letter->at_ms);
	buf_append_char(out, '\n');
	row(out, "reason", letter->reason);
	show_origin(letter, out);
	row(out, "key", letter->key);
	show_replay(entry, out);
	for (size_t i = 0; i < show->headers.len; i++) {
		buf_printf(out, "%-10s ", "header");
		dead_text_line(out, show->headers.items[i].name);
		buf_printf(out, " = ");
		dead_text_line(out, show->headers.items[i].value);
		buf_append_char(out, '\n');
	}
	if (bytes_present(show->value))
		buf_printf(out, "%-10s %zu bytes%s\n\n", "value", show->value.len,
			   letter->is_cut ? ", the beginning of what was sent" : "");
	else
		buf_printf(out, "%-10s none\n", "value");
	value_text(out, show->value);
}

/* ---- The command ---- */

static enum mr_status print(const struct show *show, const struct options *options, const char *topic, struct mr_error *err)
{
	struct buf out = {0};

	if (options->value)
		buf_append_bytes(&out, show->value);
	else if (options->json)
		show_json(show, topic, &out);
	else
		show_text(show, topic, &out);
	return dead_text_print(&out, err);
}

static enum mr_status run(const struct options *options, const char *name, struct mr_error *err)
{
	struct show show = {.value = BYTES_NONE};
	struct dead_read dead;
	enum mr_status status;

	if (!dead_place_parse(name, &show.place))
		return mr_error_set(err, MR_EINVAL, name, DEAD_PLACE_HELP);
	if (options->json && options->value)
		return mr_error_set(err, MR_EINVAL, "--value", "goes without --json");
	const struct dead_filter filter = {.prefix = options->common.prefix, .places = &show.place, .n_places = 1, .limit = 1};
	dead_index_init(&show.index, &filter);
	status = dead_read_init(&dead, &options->common, err);
	if (status == MR_OK)
		status = dead_index_read(&show.index, &dead, on_record, &show, err);
	if (status == MR_OK)
		status = print(&show, options, dead.topic, err);
	dead_read_deinit(&dead);
	dead_index_deinit(&show.index);
	arena_deinit(&show.arena);
	return status;
}

int dead_show(int argc, char **argv)
{
	struct mr_error err = {0};
	struct options options;
	struct conf_list args;
	int exit_code = cli_begin(&CONF, argc, argv, &options, offsetof(struct options, common), &args);

	if (exit_code >= 0)
		return exit_code;
	exit_code = run(&options, args.items[0], &err) == MR_OK ? (int)PROGRAM_OK : cli_fail(CONF.name, &err);
	conf_deinit(&CONF, &options);
	return exit_code;
}
