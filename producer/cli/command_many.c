/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command_many.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/survey.h"
#include "wire/wire.h"

static enum mr_status send_one(struct mr_client *client, struct mr_command *command, struct bytes key, struct mr_error *err)
{
	CLEANUP_FREE char *text = mem_strndup(key.data, key.len);
	enum mr_status status;

	command->task_key = text;
	while ((status = mr_command_async(client, command, NULL, NULL, err)) == MR_EFULL)
		mr_client_wait(client, INT64_MAX);
	command->task_key = NULL;
	return status;
}

static enum mr_status send_all(struct mr_client *client, struct mr_command *command, const struct survey *survey,
			       struct mr_error *err)
{
	enum mr_status status = MR_OK;

	for (size_t i = 0; i < survey->len && status == MR_OK; i++)
		status = send_one(client, command, survey->tasks[i].key, err);
	if (status == MR_OK)
		status = mr_client_flush(client, 0, err);
	return status;
}

/* The keys, one a line, as they were sent to. */
static enum mr_status print_keys(const struct survey *survey, bool json, struct mr_error *err)
{
	struct buf out = {0};
	bool ok;

	for (size_t i = 0; i < survey->len; i++) {
		if (json) {
			buf_printf(&out, "{\"task_key\":");
			wire_append_json_string(&out, survey->tasks[i].key);
			buf_printf(&out, "}\n");
		} else {
			buf_printf(&out, "%.*s\n", BYTES_ARG(survey->tasks[i].key));
		}
	}
	ok = fwrite(out.data ? out.data : "", 1, out.len, stdout) == out.len && !fflush(stdout);
	buf_deinit(&out);
	return ok ? MR_OK : mr_error_set(err, MR_ESYSTEM, "stdout", "the keys cannot be written");
}

static int send_to(enum mr_command_kind kind, const struct command_flags *flags, const struct survey *survey,
		   struct mr_error *err)
{
	struct mr_client *client = NULL;
	struct cli_command command;

	if (cli_command_init(&command, kind, flags, err) == MR_OK && cli_client_new(&flags->common, &client, err) == MR_OK &&
	    send_all(client, &command.command, survey, err) == MR_OK && print_keys(survey, flags->json, err) == MR_OK)
		fprintf(stderr, "millrace %s: sent to %zu task%s\n", command_word(kind), survey->len,
			survey->len == 1 ? "" : "s");
	mr_client_free(client);
	cli_command_deinit(&command);
	return PROGRAM_OK;
}

int command_many(enum mr_command_kind kind, const struct command_flags *flags, struct mr_error *err)
{
	const struct survey_filter filter = {flags->match_type, flags->match_queue, (size_t)flags->limit};
	struct survey survey;
	int exit_code = PROGRAM_USAGE;

	if (survey_init(&survey, &flags->common, &filter, err) != MR_OK)
		exit_code = PROGRAM_FAILED;
	else if (survey.cut)
		mr_error_set(err, MR_EINVAL, "--limit", "more than %zu tasks match; nothing was sent", filter.limit);
	else if (survey.len > 0 && !flags->yes)
		mr_error_set(err, MR_EINVAL, "--all", "%zu task%s match%s; nothing was sent: add --yes", survey.len,
			     survey.len == 1 ? "" : "s", survey.len == 1 ? "es" : "");
	else
		exit_code = send_to(kind, flags, &survey, err);
	survey_deinit(&survey);
	return exit_code;
}
