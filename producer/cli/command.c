/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cli/command_flags.h"
#include "cli/command_many.h"
#include "cli/commands.h"
#include "cli/lookup.h"
#include "lib/answer.h"
#include "wire/wire.h"

/*
 * millrace cancel, terminate, pause, unpause, reset, update, complete, fail, heartbeat: a command to a task. Kafka alone decides
 * whether it was sent; what Redis says of the task is for the user's eyes.
 */

/* Redis is asked for so long before a command is sent without its word. */
#define REDIS_TIMEOUT_MS 2000
#define LOOK_AGAIN_MS 50
#define LOOK_FOR_RESULT_US 500000
#define ID_SEPARATOR '\x1e' /* of task_view.request_ids */

/* One command to one task. */
struct errand {
	const char *key;
	const struct command_flags *flags;
	struct cli_command command;
	struct lookup before; /* the task as it was; its view counts where `known` */
	bool known;
	struct mr_client *client;
	char *request_id;
	struct answer result; /* of a wait for it */
};

static enum mr_command_kind kind_of(const struct errand *errand)
{
	return errand->command.command.kind;
}

/* ---- What was known before ---- */

static enum mr_status look(struct errand *errand, struct mr_error *err)
{
	enum mr_status status = lookup_init(&errand->before, &errand->flags->common, errand->key, REDIS_TIMEOUT_MS, err);

	errand->known = status == MR_OK;
	if (status != MR_EREDIS)
		return status;
	if (err)
		*err = (struct mr_error){.code = MR_OK};
	return MR_OK;
}

static bool is_of_another_run(const struct errand *errand)
{
	const struct task_view *view = &errand->before.view;

	return errand->flags->run_id && view->run_id.len > 0 && !bytes_is(view->run_id, errand->flags->run_id);
}

static bool has_ended(const struct errand *errand)
{
	return errand->known && errand->before.view.state == VIEW_FINISHED && !is_of_another_run(errand);
}

static bool wants_an_attempt(enum mr_command_kind kind)
{
	return kind == MR_COMMAND_COMPLETE || kind == MR_COMMAND_FAIL || kind == MR_COMMAND_HEARTBEAT;
}

static void say_state(const struct errand *errand, struct buf *out)
{
	const struct task_view *view = &errand->before.view;

	switch (view->state) {
	case VIEW_NONE:
	case VIEW_MARKED:
		buf_printf(
			out, "%s",
			!view->shard_ready ? "where it stands is not known: no scheduler has vouched for the data in Redis yet"
			: wants_an_attempt(kind_of(errand))
				? "no worker has started such a task: nothing changes unless one does at this moment"
				: "no worker has started such a task, or it ended longer ago than results are remembered; if it "
				  "waits in its queue, it obeys");
		return;
	case VIEW_STARTED:
		if (view->worker.len > 0)
			buf_printf(out, "attempt %" PRId64 " runs on %.*s", view->attempt, BYTES_ARG(view->worker));
		else
			buf_printf(out, "attempt %" PRId64 " waits for its completion from outside", view->attempt);
		return;
	case VIEW_SCHEDULED:
		buf_printf(out, "attempt %" PRId64 " is in its queue", view->attempt);
		return;
	case VIEW_BACKING_OFF:
		buf_printf(out, "attempt %" PRId64 " waits for its backoff", view->attempt);
		return;
	case VIEW_WAITING:
		buf_printf(out, "attempt %" PRId64 " is held back", view->attempt);
		return;
	case VIEW_FINISHED:
		buf_printf(out, "it has ended already, %s: nothing changes", result_status_name(view->status));
		return;
	}
}

static void say_effect(const struct errand *errand, struct buf *out)
{
	const struct task_view *view = &errand->before.view;

	if (!errand->known) {
		buf_printf(out, "where it stands is not known: Redis at %s does not answer", errand->flags->common.redis);
		return;
	}
	if (is_of_another_run(errand)) {
		buf_printf(out, "its run is %.*s: nothing changes", BYTES_ARG(view->run_id));
		return;
	}
	say_state(errand, out);
	if (view->state == VIEW_FINISHED)
		return;
	if (kind_of(errand) == MR_COMMAND_UNPAUSE && !view->pause_requested)
		buf_printf(out, "; it is not paused");
	else if (wants_an_attempt(kind_of(errand)) && view->state != VIEW_STARTED && view->state != VIEW_NONE &&
		 view->state != VIEW_MARKED)
		buf_printf(out, "; no attempt is running: nothing changes");
}

static void tell(const struct errand *errand)
{
	struct buf text = {0};

	say_effect(errand, &text);
	fprintf(stderr, "millrace %s: %s: sent; %s\n", command_word(kind_of(errand)), errand->key, buf_cstr(&text));
	buf_deinit(&text);
}

/* ---- Send ---- */

static enum mr_status send(struct errand *errand, struct mr_error *err)
{
	struct answer answer = {0};
	struct mr_command_options options = {.size = sizeof(options), .done = answer_on_submitted, .ctx = &answer};
	enum mr_status status;

	errand->command.command.task_key = errand->key;
	status = mr_command_async(errand->client, &errand->command.command, &options, &errand->request_id, err);
	return status != MR_OK ? status : answer_wait(errand->client, &answer, err);
}

static bool ends_the_task(enum mr_command_kind kind)
{
	return kind == MR_COMMAND_CANCEL || kind == MR_COMMAND_TERMINATE || kind == MR_COMMAND_COMPLETE ||
	       kind == MR_COMMAND_FAIL;
}

/* Before the command is sent, so that no result can be missed. Where the run is known, it is looked for from the beginning. */
static enum mr_status await_result(struct errand *errand, struct mr_error *err)
{
	const struct task_view *view = &errand->before.view;
	const char *run = errand->flags->run_id;
	struct mr_await_options await = {
		.size = sizeof(await),
		.task_key = errand->key,
		.wait_ms = errand->flags->wait_ms,
		.done = answer_on_result,
		.ctx = &errand->result,
	};

	if (errand->flags->wait_ms == 0 || !ends_the_task(kind_of(errand)) || has_ended(errand))
		return MR_OK;
	if (!run && errand->known && view->state != VIEW_FINISHED && view->run_id.len > 0)
		run = view->run_id.data;
	await.run_id = run;
	await.from_start = run != NULL;
	return mr_await_async(errand->client, &await, err);
}

/* ---- Wait ---- */

static bool has_request(struct bytes ids, struct bytes id)
{
	for (size_t at = 0; at < ids.len;) {
		const char *end = memchr(ids.data + at, ID_SEPARATOR, ids.len - at);
		size_t len = end ? (size_t)(end - ids.data) - at : ids.len - at;

		if (bytes_equal((struct bytes){ids.data + at, len}, id))
			return true;
		at += len + 1;
	}
	return false;
}

/* By its request id, or, where it changed nothing, because all is as it asks for. */
static bool has_effect(const struct errand *errand, const struct task_view *now)
{
	const struct task_view *before = &errand->before.view;

	if (now->state == VIEW_FINISHED || has_request(now->request_ids, bytes_of(errand->request_id)))
		return true;
	if (kind_of(errand) == MR_COMMAND_PAUSE)
		return now->pause_requested;
	if (kind_of(errand) == MR_COMMAND_UNPAUSE)
		return now->state != VIEW_NONE && !now->pause_requested;
	if (kind_of(errand) == MR_COMMAND_HEARTBEAT)
		return now->beat_ms > (errand->known ? before->beat_ms : 0);
	return false;
}

static enum mr_status await_effect(struct errand *errand, struct mr_error *err)
{
	int64_t until_us = clock_mono_us() + errand->flags->wait_ms * 1000;
	struct lookup now;
	enum mr_status status = lookup_init(&now, &errand->flags->common, errand->key, CLI_TIMEOUT_MS, err);

	while (status == MR_OK && !has_effect(errand, &now.view)) {
		if (clock_mono_us() >= until_us) {
			status = mr_error_set(err, MR_ETIMEOUT, errand->key,
					      "Kafka has the command, but it has had no effect in time");
			break;
		}
		mr_client_wait(errand->client, LOOK_AGAIN_MS);
		status = lookup_again(&now, err);
	}
	lookup_deinit(&now);
	return status;
}

/* Where the run was not known, the result may have been there before its partition was read from: Redis has it then. */
static void look_for_result(struct errand *errand)
{
	if (errand->known && errand->before.view.run_id.len == 0)
		errand->known = lookup_again(&errand->before, NULL) == MR_OK;
}

static void wait_for_result(struct errand *errand)
{
	int64_t look_us = clock_mono_us() + LOOK_FOR_RESULT_US;

	while (!errand->result.there && !has_ended(errand)) {
		mr_client_wait(errand->client, LOOK_AGAIN_MS);
		if (clock_mono_us() < look_us)
			continue;
		look_for_result(errand);
		look_us = clock_mono_us() + LOOK_FOR_RESULT_US;
	}
}

static int print_result(struct errand *errand, struct mr_error *err)
{
	struct result_box *box = NULL;
	struct mr_result *result = NULL;
	int exit_code = PROGRAM_FAILED;

	wait_for_result(errand);
	if (!errand->result.there && lookup_result(&errand->before, &box, err) == MR_OK)
		result = &box->pub;
	else if (errand->result.there && answer_wait(errand->client, &errand->result, err) == MR_OK)
		result = errand->result.result;
	errand->result.result = NULL;
	if (result)
		exit_code = cli_print_result(command_program(kind_of(errand))->name, result, errand->flags->json);
	mr_result_free(result);
	return exit_code;
}

static enum mr_status print_command(const struct errand *errand, struct mr_error *err)
{
	const struct task_view *view = &errand->before.view;
	struct buf out = {0};
	bool ok;

	buf_printf(&out, "{\"task_key\":");
	wire_append_json_string(&out, bytes_of(errand->key));
	buf_printf(&out, ",\"command\":\"%s\",\"request_id\":", control_command_name((enum control_command)kind_of(errand)));
	wire_append_json_string(&out, bytes_of(errand->request_id));
	if (errand->known) {
		buf_printf(&out, ",\"state\":\"%s\"",
			   view->state == VIEW_FINISHED ? result_status_name(view->status) : lookup_state_name(view->state));
		if (view->run_id.len > 0) {
			buf_printf(&out, ",\"run_id\":");
			wire_append_json_string(&out, view->run_id);
		}
		if (view->attempt > 0)
			buf_printf(&out, ",\"attempt\":%" PRId64, view->attempt);
	}
	buf_printf(&out, "}");
	ok = puts(buf_cstr(&out)) != EOF && !fflush(stdout);
	buf_deinit(&out);
	return ok ? MR_OK : mr_error_set(err, MR_ESYSTEM, "stdout", "the answer cannot be written");
}

static int wait_for_it(struct errand *errand, struct mr_error *err)
{
	if (errand->flags->wait_ms > 0 && ends_the_task(kind_of(errand)))
		return print_result(errand, err);
	if (errand->flags->wait_ms > 0 && await_effect(errand, err) != MR_OK)
		return PROGRAM_FAILED;
	if (errand->flags->json)
		print_command(errand, err);
	return PROGRAM_OK;
}

static int run_one(enum mr_command_kind kind, const struct command_flags *flags, const char *key, struct mr_error *err)
{
	struct errand errand = {.key = key, .flags = flags};
	int exit_code = PROGRAM_FAILED;

	if (cli_command_init(&errand.command, kind, flags, err) == MR_OK && look(&errand, err) == MR_OK &&
	    cli_client_new(&flags->common, &errand.client, err) == MR_OK && await_result(&errand, err) == MR_OK &&
	    send(&errand, err) == MR_OK) {
		tell(&errand);
		exit_code = wait_for_it(&errand, err);
	}
	mr_client_free(errand.client);
	mr_result_free(errand.result.result);
	lookup_deinit(&errand.before);
	cli_command_deinit(&errand.command);
	free(errand.request_id);
	return exit_code;
}

/* ---- The commands ---- */

static enum mr_status check(const struct command_flags *flags, const struct conf_list *args, struct mr_error *err)
{
	if (!flags->all && args->len == 0)
		return mr_error_set(err, MR_EINVAL, "KEY", "it is required: what millrace submit printed");
	if (!flags->all && (flags->match_type || flags->match_queue || flags->yes))
		return mr_error_set(err, MR_EINVAL,
				    flags->yes          ? "--yes"
				    : flags->match_type ? "--type"
							: "--queue",
				    "goes with --all only");
	if (flags->all && args->len > 0)
		return mr_error_set(err, MR_EINVAL, "--all", "goes without KEY");
	if (flags->all && !flags->match_type && !flags->match_queue)
		return mr_error_set(err, MR_EINVAL, "--all", "goes with --type or --queue, or both");
	if (flags->all && (flags->wait_ms > 0 || flags->run_id || flags->token))
		return mr_error_set(err, MR_EINVAL,
				    flags->run_id  ? "--run-id"
				    : flags->token ? "--token"
						   : "--wait",
				    "goes with one KEY only");
	return MR_OK;
}

static int run(enum mr_command_kind kind, int argc, char **argv)
{
	const struct conf_program *program = command_program(kind);
	struct mr_error err = {0};
	struct command_flags flags;
	struct conf_list args;
	int exit_code;

	/* Not every command has all of them. */
	memset(&flags, 0, sizeof(flags));
	exit_code = cli_begin(program, argc, argv, &flags, offsetof(struct command_flags, common), &args);
	if (exit_code >= 0)
		return exit_code;
	if (check(&flags, &args, &err) == MR_OK)
		exit_code = flags.all ? command_many(kind, &flags, &err) : run_one(kind, &flags, args.items[0], &err);
	if (err.code != MR_OK)
		exit_code = cli_fail(program->name, &err);
	conf_deinit(program, &flags);
	return exit_code;
}

int command_cancel(int argc, char **argv)
{
	return run(MR_COMMAND_CANCEL, argc, argv);
}

int command_terminate(int argc, char **argv)
{
	return run(MR_COMMAND_TERMINATE, argc, argv);
}

int command_pause(int argc, char **argv)
{
	return run(MR_COMMAND_PAUSE, argc, argv);
}

int command_unpause(int argc, char **argv)
{
	return run(MR_COMMAND_UNPAUSE, argc, argv);
}

int command_reset(int argc, char **argv)
{
	return run(MR_COMMAND_RESET, argc, argv);
}

int command_update(int argc, char **argv)
{
	return run(MR_COMMAND_UPDATE, argc, argv);
}

int command_complete(int argc, char **argv)
{
	return run(MR_COMMAND_COMPLETE, argc, argv);
}

int command_fail(int argc, char **argv)
{
	return run(MR_COMMAND_FAIL, argc, argv);
}

int command_heartbeat(int argc, char **argv)
{
	return run(MR_COMMAND_HEARTBEAT, argc, argv);
}
