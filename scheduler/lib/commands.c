/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/control.h"
#include "lib/effects.h"
#include "lib/watch.h"

/*
 * One command on its way: look at the task -> decide -> make it durable (a journal record, or an ending) -> seen in Redis. Whatever
 * fails on the way is begun again with the look, so that it is always decided by what the task is now.
 */

/* How often a task may have changed between look and ending. */
#define TRIES_MAX 5

/* The set --------------------------------------------------------------------------------------------------------- */

void commands_init(struct shard *shard)
{
	shard->commands = mem_alloc(sizeof(*shard->commands));
	offsets_init(&shard->commands->offsets);
	shard->commands->checkpointed = -1;
}

void command_free(struct command *command)
{
	arena_deinit(&command->turn);
	arena_deinit(&command->arena);
	free(command);
}

static void list_append(struct commands *commands, struct command *command)
{
	command->older = commands->newest;
	*(commands->newest ? &commands->newest->newer : &commands->oldest) = command;
	commands->newest = command;
}

static void list_remove(struct commands *commands, struct command *command)
{
	*(command->older ? &command->older->newer : &commands->oldest) = command->newer;
	*(command->newer ? &command->newer->older : &commands->newest) = command->older;
	command->older = command->newer = NULL;
}

bool command_enter(struct commands *commands, struct command *command)
{
	struct command *first = map_get(&commands->by_key, command_key(command));

	list_append(commands, command);
	commands->n++;
	commands->bytes += command->bytes;
	if (!first) {
		map_put(&commands->by_key, command_key(command), command);
		command->newest_of_key = command;
		return true;
	}
	first->newest_of_key->next_of_key = command;
	first->newest_of_key = command;
	return false;
}

/* The first of its task is over: the next one's turn. */
void command_leave(struct command *command)
{
	struct commands *commands = command->shard->commands;
	struct command *next = command->next_of_key;

	map_remove(&commands->by_key, command_key(command));
	if (next) {
		next->newest_of_key = command->newest_of_key;
		map_put(&commands->by_key, command_key(next), next);
		next->step = COMMAND_PAUSED;
	}
	list_remove(commands, command);
	commands->n--;
	commands->bytes -= command->bytes;
	command_free(command);
}

/* Those that Kafka or Redis will answer are freed by the answer; endings that were begun stay listed. */
static void drop(struct commands *commands, struct command *command)
{
	bool awaited = command->step == COMMAND_LOOKING || command->step == COMMAND_SENDING;

	command->dropped = true;
	if (command->step == COMMAND_ENDING)
		return;
	list_remove(commands, command);
	if (!awaited)
		command_free(command);
}

void commands_drop(struct commands *commands)
{
	map_deinit(&commands->by_key);
	commands->by_key = (struct map){0};
	for (struct command *command = commands->oldest, *newer; command; command = newer) {
		newer = command->newer;
		if (!command->dropped)
			drop(commands, command);
	}
	commands->n = commands->bytes = 0;
}

void commands_detach(struct shard *shard)
{
	struct commands *commands = shard->commands;

	commands_drop(commands);
	while (commands->oldest) {
		struct command *command = commands->oldest;

		list_remove(commands, command);
		command_free(command);
	}
}

void commands_deinit(struct shard *shard)
{
	if (!shard->commands)
		return;
	commands_detach(shard);
	offsets_deinit(&shard->commands->offsets);
	free(shard->commands);
}

/* Steps ----------------------------------------------------------------------------------------------------------- */

static void settle(const struct command *command)
{
	offsets_settle(&command->shard->commands->offsets, command->offset);
}

static void finish(struct command *command)
{
	settle(command);
	command_leave(command);
}

static void put_off(struct command *command)
{
	command->step = COMMAND_PAUSED;
	command->retry_us = command->shard->s->now_us + RETRY_US;
}

/* For an answer: true where there is nothing to go on with. */
static bool is_over(struct command *command)
{
	const struct shard *shard = command->shard;

	if (!command->dropped && shard->commands->generation == shard->generation && shard->s->attached)
		return false;
	if (command->dropped)
		command_free(command);
	else
		command->step = COMMAND_QUEUED; /* nobody answers any more: the next turn drops it */
	return true;
}

static void refuse(struct command *command, const char *reason)
{
	log_error("a command could not be carried out", LOG_S("command", control_command_name(command->control.command)),
		  LOG_B("task_key", command_key(command)), LOG_S("reason", reason));
	finish(command);
}

static void sent(struct command *command, enum mr_status status)
{
	if (status == MR_ETOO_LARGE) {
		refuse(command, "its journal record is too large");
		return;
	}
	if (status != MR_EFULL)
		log_warn("a command waits for Kafka", LOG_B("task_key", command_key(command)),
			 LOG_S("reason", mr_status_text(status)));
	put_off(command);
}

static void on_delivered(struct delivery *delivery, enum mr_status status, int64_t offset)
{
	struct command *command = (struct command *)(void *)delivery;

	if (is_over(command))
		return;
	if (status != MR_OK) {
		sent(command, status);
		return;
	}
	if (command->foreign || command->bad) {
		finish(command);
		return;
	}
	settle(command);
	command->step = COMMAND_APPLYING;
	command->journal_offset = offset;
}

static void produce(struct command *command, const struct bus_record *record)
{
	enum mr_status status;

	command->delivery.done = on_delivered;
	command->step = COMMAND_SENDING;
	status = bus_produce(command->shard->s->links.bus, record, &command->delivery);
	if (status != MR_OK)
		sent(command, status);
}

/* The same bytes under the same key, in the partition of its task; a repetition must not look like a new command. */
static void pass_on(struct command *command)
{
	struct scheduler *s = command->shard->s;
	struct header *items = arena_alloc(&command->turn, (command->headers.len + 2) * sizeof(*items));
	struct bus_record record = {.topic = s->control_topic, .key = command->record_key, .value = command->value};
	size_t n = command->headers.len;

	if (n > 0)
		memcpy(items, command->headers.items, n * sizeof(*items));
	items[n++] = (struct header){BYTES_LIT(HEADER_REQUEST_ID), command->request_id};
	items[n++] = (struct header){BYTES_LIT(HEADER_COMMANDED_AT),
				     arena_printf(&command->turn, "%lld", (long long)command->at_ms)};
	record.headers = (struct headers){items, n};
	record.partition = task_shard(command_key(command), s->config.shards);
	log_debug("a command belongs to another partition", LOG_B("task_key", command_key(command)),
		  LOG_I("partition", record.partition));
	produce(command, &record);
}

static void send_dead(struct command *command)
{
	struct shard *shard = command->shard;
	const struct bus_message message = {.topic = shard->s->control_topic,
					    .partition = shard->id,
					    .offset = command->offset,
					    .key = command->record_key,
					    .value = command->value};
	enum mr_status status;

	command->delivery.done = on_delivered;
	command->step = COMMAND_SENDING;
	status = publish_dead(shard->s, &message, command->bad, &command->delivery);
	if (status != MR_OK)
		sent(command, status);
}

static void send_journal(struct command *command, const struct journal_record *record, const char *suffix)
{
	struct scheduler *s = command->shard->s;
	struct bus_record out = {.topic = s->journal_topic, .partition = command->shard->id};

	out.key = arena_printf(&command->turn, "%.*s%s", BYTES_ARG(command_key(command)), suffix);
	buf_reset(&s->scratch);
	wire_encode_journal(s->links.wire, record, &s->scratch);
	out.value = buf_bytes(&s->scratch);
	produce(command, &out);
}

static void send_command(struct command *command, const struct effect *effect)
{
	struct journal_record record;

	journal_record_init(&record);
	record.kind = JOURNAL_COMMAND;
	record.task_key = command_key(command);
	record.run_id = effect->run_id.len > 0 ? effect->run_id : BYTES_NONE;
	record.epoch = effect->epoch;
	record.cancel_requested = effect->cancel_requested;
	record.terminate_requested = effect->terminate_requested;
	record.pause_requested = effect->pause_requested;
	record.options = effect->options;
	record.request_ids = effect->request_ids;
	record.n_request_ids = effect->n_request_ids;
	record.control_offset = command->offset + 1;
	send_journal(command, &record, JOURNAL_COMMAND_SUFFIX);
}

static void send_heartbeat(struct command *command, const struct task_view *view)
{
	struct journal_record record;

	journal_record_init(&record);
	record.kind = JOURNAL_HEARTBEAT;
	record.task_key = command_key(command);
	record.run_id = view->run_id;
	record.epoch = view->epoch;
	record.attempt = view->attempt;
	record.worker = view->worker.len > 0 ? view->worker : BYTES_NONE;
	record.nonce = view->nonce;
	record.heartbeat_details = command->control.details;
	send_journal(command, &record, JOURNAL_HEARTBEAT_SUFFIX);
}

static void look(struct command *command);

static void on_ended(void *ctx, struct shard *shard, enum ending_end end)
{
	struct command *command = ctx;

	(void)shard;
	if (command->dropped)
		list_remove(command->shard->commands, command);
	if (is_over(command))
		return;
	switch (end) {
	case ENDING_DONE:
		command->ended = command->control.command == CONTROL_FAIL;
		if (command->ended)
			look(command);
		else
			finish(command);
		return;
	case ENDING_STALE:
		/* It may be as well with the attempt that follows: decided anew. */
		if (++command->tries >= TRIES_MAX)
			refuse(command, "the task's record is gone, or the task changes all the time");
		else
			put_off(command);
		return;
	case ENDING_AGAIN:
		put_off(command);
		return;
	}
}

static const struct failure *failure_of(struct command *command)
{
	struct failure *failure;

	if (command->control.failure)
		return command->control.failure;
	failure = arena_alloc(&command->turn, sizeof(*failure));
	failure_init(failure);
	failure->type = BYTES_LIT("Failed");
	failure->message = BYTES_LIT("the activity failed without details");
	return failure;
}

static void begin_ending(struct command *command, const struct task_view *view, enum ending_cause cause)
{
	struct ending_request request = {
		.found = {.key = command_key(command), .view = *view},
		.cause = cause,
		.done = on_ended,
		.ctx = command,
	};

	if (cause == ENDING_COMPLETE)
		request.result = command->control.result;
	if (cause == ENDING_FAIL)
		request.failure = failure_of(command);
	request.heartbeat = command->control.details;
	command->step = COMMAND_ENDING;
	ending_begin(command->shard, &request);
}

static void skip(struct command *command, const struct effect *effect)
{
	struct scheduler *s = command->shard->s;
	const char *name = control_command_name(command->control.command);

	s->stats.commands_stray += effect->stray;
	if (effect->stray)
		log_info("a command has no effect", LOG_S("command", name), LOG_B("task_key", command_key(command)),
			 LOG_S("reason", effect->reason));
	else
		log_debug("a command changes nothing", LOG_S("command", name), LOG_B("task_key", command_key(command)),
			  LOG_S("reason", effect->reason));
	finish(command);
}

/* Nobody may have taken the task yet, and nobody may come to: it is looked for in its queue. */
static void look_for_task(const struct command *command, const struct task_view *view)
{
	bool is_closing = command->control.command == CONTROL_CANCEL || command->control.command == CONTROL_TERMINATE;

	if (is_closing && (view->state == VIEW_NONE || view->state == VIEW_MARKED))
		watch_look_for(command->shard->s, command->shard, command_key(command));
}

static void carry_out(struct command *command, const struct task_view *view)
{
	struct effect effect = command->ended ? effect_remembered(view, command->request_id, &command->turn)
					      : effect_of(view, &command->control, command->request_id, &command->turn);

	switch (effect.kind) {
	case EFFECT_NONE:
		skip(command, &effect);
		return;
	case EFFECT_COMMAND:
		send_command(command, &effect);
		return;
	case EFFECT_HEARTBEAT:
		send_heartbeat(command, view);
		return;
	case EFFECT_END:
		begin_ending(command, view, effect.cause);
		return;
	}
}

static void on_viewed(void *ctx, enum mr_status status, const struct task_view *view)
{
	struct command *command = ctx;

	if (is_over(command))
		return;
	if (status != MR_OK || !view->shard_ready) {
		put_off(command);
		return;
	}
	look_for_task(command, view);
	carry_out(command, view);
}

static void look(struct command *command)
{
	struct scheduler *s = command->shard->s;

	command->step = COMMAND_LOOKING;
	if (s->links.redis->view(s->links.store, command_key(command), command->shard->id, on_viewed, command) != MR_OK)
		put_off(command);
}

void command_begin(struct command *command)
{
	arena_reset(&command->turn);
	if (command->bad)
		send_dead(command);
	else if (command->foreign)
		pass_on(command);
	else
		look(command);
}
