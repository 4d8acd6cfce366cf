/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/dead.h"
#include "cli/dead_send.h"
#include "cli/dead_text.h"
#include "cli/input.h"

/* millrace dead replay: sends letters again, after mending the cause. */

struct options {
	bool all, yes, again, as_new, json;
	const char *reason, *topic, *set_value;
	int64_t limit;
	struct program_common common;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Which"},
	{.kind = CONF_BOOL,
	 .name = "all",
	 .offset = offsetof(struct options, all),
	 .help = "Instead of PARTITION:OFFSET: all that were never replayed and that --reason and --topic fit. What came from "
		 "the "
		 "journal only with --topic journal."},
	DEAD_REASON_OPTION(struct options),
	DEAD_TOPIC_OPTION(struct options),
	{.kind = CONF_BOOL,
	 .name = "yes",
	 .offset = offsetof(struct options, yes),
	 .help = "With --all: sends them. Without it one is told how many there are."},
	{.kind = CONF_INT,
	 .name = "limit",
	 .arg = "N",
	 .def = "1000",
	 .min = 1,
	 .max = DEAD_LOOK_AT_MAX,
	 .offset = offsetof(struct options, limit),
	 .help = "With --all: sends nothing where more than so many fit."},
	{.kind = CONF_BOOL,
	 .name = "again",
	 .offset = offsetof(struct options, again),
	 .help = "Also those that were replayed already."},
	{.kind = CONF_GROUP, .name = "Mending"},
	{.kind = CONF_STRING,
	 .name = "set-value",
	 .arg = "VALUE|@FILE|-",
	 .offset = offsetof(struct options, set_value),
	 .help = "Sends this value instead of the letter's own: a text, the bytes of a file, or standard input. It has to be a "
		 "task "
		 "(or command) that can be understood, with the same task key. With one PARTITION:OFFSET."},
	{.kind = CONF_BOOL,
	 .name = "as-new",
	 .offset = offsetof(struct options, as_new),
	 .help = "Leaves out all reserved headers, so that a task that was in its n-th attempt begins anew at attempt 1, under "
		 "the "
		 "task key that its value says."},
	{.kind = CONF_GROUP, .name = "Output"},
	{.kind = CONF_BOOL,
	 .name = "json",
	 .offset = offsetof(struct options, json),
	 .help = "Prints one line of JSON a letter: partition, offset, replayed_as, task_key."},
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace dead replay",
	.usage = "PARTITION:OFFSET... | --all",
	.purpose = "Sends dead letters again to the topic and partition that they came from, with the same bytes, key and "
		   "headers, once "
		   "what made them dead letters is mended: a newer or differently configured worker, or another value.",
	.epilog = "A task with ids keeps its task key; one without ids gets the key and the run of its new place in the log. "
		  "What was "
		  "sent is noted beside the letter. A program that is killed between the two leaves no note.\n"
		  "A line is: PARTITION:OFFSET of the letter, TOPIC:PARTITION:OFFSET of what was sent, and its task key.\n"
		  "Exit: 0 sent, 1 one of them cannot be sent, 2 wrong usage, no such letter, or replayed already, 6 Kafka is "
		  "unreachable.\n"
		  "Example: millrace dead replay --all --reason 'unknown activity' --yes\n",
	.options = OPTIONS,
	.max_args = -1,
	.file_option = "config",
};

struct replay {
	const struct options *options;
	struct dead_place *places;
	size_t n_places;
	struct buf set_value;
	struct bytes value;
	struct dead_read dead;
	struct dead_index index;
	struct dead_send send;
	size_t left_out;
};

/* ---- What is asked for ---- */

static enum mr_status check(const struct options *options, size_t n_args, struct mr_error *err)
{
	const char *of_all = options->yes ? "--yes" : options->reason ? "--reason" : options->topic ? "--topic" : NULL;

	if (!options->all && n_args == 0)
		return mr_error_set(err, MR_EINVAL, "PARTITION:OFFSET",
				    "it is required, as millrace dead list prints it, or --all");
	if (!options->all && of_all)
		return mr_error_set(err, MR_EINVAL, of_all, "goes with --all only");
	if (options->all && n_args > 0)
		return mr_error_set(err, MR_EINVAL, "--all", "goes without PARTITION:OFFSET");
	if (options->set_value && n_args != 1)
		return mr_error_set(err, MR_EINVAL, "--set-value", "goes with one PARTITION:OFFSET");
	return MR_OK;
}

static enum mr_status take_places(struct replay *replay, const struct conf_list *args, struct mr_error *err)
{
	replay->places = mem_alloc((args->len + 1) * sizeof(*replay->places));
	for (size_t i = 0; i < args->len; i++)
		if (!dead_place_parse(args->items[i], &replay->places[replay->n_places++]))
			return mr_error_set(err, MR_EINVAL, args->items[i], DEAD_PLACE_HELP);
	return MR_OK;
}

static enum mr_status take_value(struct replay *replay, struct mr_error *err)
{
	const char *text = replay->options->set_value;
	enum mr_status status;

	if (!text)
		return MR_OK;
	if ((status = input_read("--set-value", text, &replay->set_value, err)))
		return status;
	replay->value = buf_bytes(&replay->set_value);
	replay->send.value = &replay->value;
	return MR_OK;
}

static enum mr_status find(struct replay *replay, struct mr_error *err)
{
	const struct options *options = replay->options;
	const struct dead_filter filter = {
		.reason = options->reason,
		.topic = options->topic,
		.prefix = options->common.prefix,
		.places = replay->places,
		.n_places = replay->n_places,
		.state = options->all && !options->again ? DEAD_WAITING : DEAD_ANY,
		.no_journal = options->all,
		.limit = options->all ? (size_t)options->limit : replay->n_places,
	};
	enum mr_status status;

	dead_index_init(&replay->index, &filter);
	status = dead_read_init(&replay->dead, &options->common, err);
	return status ? status : dead_index_read(&replay->index, &replay->dead, dead_index_on_record, &replay->index, err);
}

/* ---- May they be sent? ---- */

static enum mr_status check_each(struct replay *replay, struct mr_error *err)
{
	enum mr_status status;

	for (size_t i = 0; i < replay->index.len; i++) {
		const struct dead_entry *entry = &replay->index.entries[i];
		char name[40];

		snprintf(name, sizeof(name), "%d:%" PRId64, (int)entry->letter.place.partition, entry->letter.place.offset);
		if (bytes_present(entry->replayed_as) && !replay->options->again)
			return mr_error_set(err, MR_ECONFLICT, name,
					    "it was replayed already, as %.*s; nothing was sent: --again does it once more",
					    BYTES_ARG(entry->replayed_as));
		if ((status = dead_send_check(&replay->send, entry, err)))
			return status;
	}
	return MR_OK;
}

/* Those of --all that cannot be sent are told, and do not hold up the others. */
static void leave_out(struct replay *replay)
{
	struct dead_index *index = &replay->index;
	size_t n = 0;

	for (size_t i = 0; i < index->len; i++) {
		struct dead_entry entry = index->entries[i];
		struct mr_error why = {0};

		if (dead_send_check(&replay->send, &entry, &why) == MR_OK) {
			index->entries[n++] = entry;
			continue;
		}
		fprintf(stderr, "%s: %s: %s\n", CONF.name, why.where, why.message);
		free(entry.memory);
		replay->left_out++;
	}
	index->len = n;
}

static enum mr_status check_all(struct replay *replay, struct mr_error *err)
{
	const struct options *options = replay->options;
	const size_t n = replay->index.len;

	if (replay->index.dropped > 0)
		return mr_error_set(err, MR_EINVAL, "--limit", "more than %" PRId64 " letters fit; nothing was sent",
				    options->limit);
	if (n > 0 && !options->yes)
		return mr_error_set(err, MR_EINVAL, "--all", "%zu letter%s; nothing was sent: add --yes", n,
				    n == 1 ? " fits" : "s fit");
	leave_out(replay);
	return MR_OK;
}

/* ---- What was sent ---- */

static void line(struct buf *out, const struct dead_entry *entry, bool json)
{
	const struct dead_letter *letter = &entry->letter;
	struct bytes key = bytes_present(entry->task_key) ? entry->task_key : BYTES_NONE;

	if (json) {
		buf_printf(out, "{\"partition\":%d,\"offset\":%" PRId64, (int)letter->place.partition, letter->place.offset);
		dead_text_json(out, "replayed_as", entry->sent_as);
		dead_text_json(out, "task_key", key);
		buf_printf(out, "}\n");
		return;
	}
	buf_printf(out, "%d:%" PRId64 "\t%.*s\t", (int)letter->place.partition, letter->place.offset, BYTES_ARG(entry->sent_as));
	dead_text_line(out, key);
	buf_append_char(out, '\n');
}

static enum mr_status print(const struct replay *replay, struct mr_error *err)
{
	const struct dead_send *send = &replay->send;
	struct buf out = {0};

	for (size_t i = 0; i < replay->index.len; i++)
		if (bytes_present(replay->index.entries[i].sent_as))
			line(&out, &replay->index.entries[i], replay->options->json);
	if (send->doubtful > 0)
		fprintf(stderr,
			"%s: %zu of them cannot be understood by this version either (%s: %s): --set-value sends another value\n",
			CONF.name, send->doubtful, send->doubt.where, send->doubt.message);
	fprintf(stderr, "%s: sent %zu letter%s\n", CONF.name, send->sent, send->sent == 1 ? "" : "s");
	return dead_text_print(&out, err);
}

static enum mr_status run(struct replay *replay, const struct conf_list *args, struct mr_error *err)
{
	const struct options *options = replay->options;
	struct mr_error unprinted = {0};
	enum mr_status status;

	if ((status = check(options, args->len, err)) || (status = take_places(replay, args, err)) ||
	    (status = take_value(replay, err)) || (status = find(replay, err)) ||
	    (status = options->all ? check_all(replay, err) : check_each(replay, err)))
		return status;
	status = dead_send_all(&replay->send, err);
	if (status != MR_OK && replay->send.sent == 0)
		return status;
	/* What was sent is said in any case. */
	if (print(replay, &unprinted) != MR_OK && status == MR_OK)
		*err = unprinted;
	return err->code;
}

int dead_replay(int argc, char **argv)
{
	struct mr_error err = {0};
	struct options options;
	struct conf_list args;
	int exit_code = cli_begin(&CONF, argc, argv, &options, offsetof(struct options, common), &args);

	if (exit_code >= 0)
		return exit_code;
	struct replay replay = {
		.options = &options,
		.send = {.dead = &replay.dead, .index = &replay.index, .as_new = options.as_new},
	};
	if (run(&replay, &args, &err) != MR_OK)
		exit_code = cli_fail(CONF.name, &err);
	else
		exit_code = replay.left_out > 0 ? PROGRAM_FAILED : PROGRAM_OK;
	dead_read_deinit(&replay.dead);
	dead_send_deinit(&replay.send);
	dead_index_deinit(&replay.index);
	buf_deinit(&replay.set_value);
	free(replay.places);
	conf_deinit(&CONF, &options);
	return exit_code;
}
