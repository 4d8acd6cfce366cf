/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/dead.h"
#include "cli/dead_text.h"

/* millrace dead list: the newest dead letters. */

struct options {
	const char *reason, *topic;
	int state; /* enum dead_state */
	int64_t limit;
	bool json;
	struct program_common common;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Which"},
	DEAD_REASON_OPTION(struct options),
	DEAD_TOPIC_OPTION(struct options),
	{.kind = CONF_ENUM,
	 .name = "state",
	 .letter = 's',
	 .arg = "STATE",
	 .def = "any",
	 .choices = "any|waiting|replayed",
	 .offset = offsetof(struct options, state),
	 .help = "waiting: never replayed."},
	{.kind = CONF_INT,
	 .name = "limit",
	 .arg = "N",
	 .def = "100",
	 .min = 1,
	 .max = DEAD_LOOK_AT_MAX,
	 .offset = offsetof(struct options, limit),
	 .help = "How many to list at most: the newest."},
	{.kind = CONF_GROUP, .name = "Output"},
	{.kind = CONF_BOOL,
	 .name = "json",
	 .offset = offsetof(struct options, json),
	 .help = "Prints one line of JSON a letter: topic, partition, offset, at_ms, key, reason, from_topic, from_partition, "
		 "from_offset, value_bytes, replayed, replayed_as, replayed_at_ms."},
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace dead list",
	.usage = "",
	.purpose = "Lists the dead letters, the newest last: the records that no worker and no scheduler could understand.",
	.epilog = "A line is: PARTITION:OFFSET, time, waiting or replayed, where it came from, its key, and why.\n"
		  "Exit: 0 listed, 2 wrong usage or no such topic, 6 Kafka is unreachable.\n"
		  "Example: millrace dead list --reason 'unknown field' --state waiting\n",
	.options = OPTIONS,
	.file_option = "config",
};

static void line_text(struct buf *out, const struct dead_entry *entry)
{
	const struct dead_letter *letter = &entry->letter;

	buf_printf(out, "%d:%" PRId64 "\t", (int)letter->place.partition, letter->place.offset);
	dead_text_time(out, letter->at_ms);
	buf_printf(out, "\t%s\t", bytes_present(entry->replayed_as) ? "replayed" : "waiting");
	dead_text_line(out, letter->topic);
	if (letter->partition >= 0 && letter->offset >= 0)
		buf_printf(out, ":%d:%" PRId64, (int)letter->partition, letter->offset);
	buf_append_char(out, '\t');
	dead_text_line(out, letter->key);
	buf_append_char(out, '\t');
	dead_text_line(out, letter->reason);
	buf_append_char(out, '\n');
}

static enum mr_status print(const struct dead_index *index, const struct options *options, const char *topic,
			    struct mr_error *err)
{
	struct buf out = {0};

	for (size_t i = 0; i < index->len; i++) {
		if (options->json) {
			dead_text_entry_json(&out, &index->entries[i], topic);
			buf_printf(&out, "}\n");
		} else {
			line_text(&out, &index->entries[i]);
		}
	}
	if (index->dropped > 0)
		fprintf(stderr, "%s: there are older ones, beyond --limit %" PRId64 "\n", CONF.name, options->limit);
	return dead_text_print(&out, err);
}

static enum mr_status list(const struct options *options, struct mr_error *err)
{
	const struct dead_filter filter = {
		.reason = options->reason,
		.topic = options->topic,
		.prefix = options->common.prefix,
		.state = (enum dead_state)options->state,
		.limit = (size_t)options->limit,
	};
	struct dead_index index;
	struct dead_read dead;
	enum mr_status status;

	dead_index_init(&index, &filter);
	status = dead_read_init(&dead, &options->common, err);
	if (status == MR_OK)
		status = dead_index_read(&index, &dead, dead_index_on_record, &index, err);
	if (status == MR_OK)
		status = print(&index, options, dead.topic, err);
	dead_read_deinit(&dead);
	dead_index_deinit(&index);
	return status;
}

int dead_list(int argc, char **argv)
{
	struct mr_error err = {0};
	struct options options;
	int exit_code = cli_begin(&CONF, argc, argv, &options, offsetof(struct options, common), NULL);

	if (exit_code >= 0)
		return exit_code;
	exit_code = list(&options, &err) == MR_OK ? (int)PROGRAM_OK : cli_fail(CONF.name, &err);
	conf_deinit(&CONF, &options);
	return exit_code;
}
