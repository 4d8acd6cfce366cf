/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/control.h"

#include "base/mem.h"

/*
 * Commands: read -> look at the task -> decide -> make it durable (a journal record, or an ending) -> seen in Redis.
 *
 * Where reading goes on is the position that the journal's checkpoints tell, never what the group has committed (that is for the
 * display of lag). Commands before the checkpoint are never read again: their effects are in the journal, and a task they were for
 * may have ended and begun anew since. What lies behind it may have been carried out already; request ids and the task's state make
 * a second time harmless. Without a checkpoint no command of this shard has ever become an effect, so that reading begins at the
 * beginning of what the topic keeps: a command that was sent before the first scheduler started counts.
 */

#define COMMANDS_MAX 512
#define COMMANDS_BYTES (16 << 20)

static bool fits_request_id(struct bytes id)
{
	return id.len >= 1 && id.len <= TASK_RUN_MAX_BYTES && bytes_is_utf8(id) && bytes_has_no_controls(id);
}

/* The command's own, that under which it came from another partition, or its place. */
static struct bytes request_id_of(struct command *command, const struct bus_message *message)
{
	if (bytes_present(command->control.request_id))
		return command->control.request_id;
	for (size_t i = 0; i < message->headers.len; i++) {
		const struct header *header = &message->headers.items[i];

		if (bytes_is(header->name, HEADER_REQUEST_ID) && fits_request_id(header->value))
			return arena_copy(&command->arena, header->value);
	}
	return arena_printf(&command->arena, "%s:%d:%lld", message->topic, message->partition, (long long)message->offset);
}

/* What is passed on keeps the sender's headers. */
static void keep_record(struct command *command, const struct bus_message *message)
{
	struct header *items = arena_alloc(&command->arena, (message->headers.len + 1) * sizeof(*items));
	size_t n = 0;

	command->foreign = true;
	command->at_ms = command_at_ms(message->headers, message->timestamp_ms);
	command->record_key = arena_copy(&command->arena, message->key);
	for (size_t i = 0; i < message->headers.len; i++) {
		const struct header *header = &message->headers.items[i];

		if (bytes_is(header->name, HEADER_REQUEST_ID) || bytes_is(header->name, HEADER_COMMANDED_AT))
			continue;
		items[n].name = arena_copy(&command->arena, header->name);
		items[n++].value = arena_copy(&command->arena, header->value);
	}
	command->headers = (struct headers){items, n};
}

static struct command *command_new(struct shard *shard, const struct bus_message *message)
{
	struct command *command = mem_alloc(sizeof(*command));

	command->shard = shard;
	command->offset = message->offset;
	command->value = arena_copy(&command->arena, message->value);
	command->bytes = sizeof(*command) + message->value.len;
	return command;
}

/* Nobody's: none of them waits for another one. */
static void keep_bad(struct command *command, const struct bus_message *message, const char *reason)
{
	command->control = (struct control){.task_key = arena_printf(&command->arena, ":%lld", (long long)message->offset)};
	command->bad = arena_copy(&command->arena, bytes_of(reason)).data;
	command->record_key = arena_copy(&command->arena, message->key);
}

static void read_command(struct shard *shard, const struct bus_message *message)
{
	struct scheduler *s = shard->s;
	struct command *command = command_new(shard, message);
	struct mr_error err = {0};

	if (wire_decode_control(s->links.wire, command->value, &command->arena, &command->control, &err) != MR_OK) {
		keep_bad(command, message, err.message);
	} else {
		s->stats.commands++;
		command->request_id = request_id_of(command, message);
		if (task_shard(command_key(command), s->config.shards) != shard->id)
			keep_record(command, message);
	}
	if (command_enter(shard->commands, command))
		command_begin(command);
}

static void take(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct commands *commands = shard->commands;
	struct bus_message *messages[INTAKE_BATCH];
	size_t room = commands->bytes < COMMANDS_BYTES && commands->n < COMMANDS_MAX ? COMMANDS_MAX - commands->n : 0;
	size_t n = bus_take(s->links.bus, s->control_topic, shard->id, messages, room < INTAKE_BATCH ? room : INTAKE_BATCH);

	for (size_t i = 0; i < n; i++) {
		if (offsets_take(&commands->offsets, messages[i]->offset)) {
			if (bytes_present(messages[i]->value))
				read_command(shard, messages[i]);
			else
				offsets_settle(&commands->offsets, messages[i]->offset);
		}
		bus_message_free(s->links.bus, messages[i]);
	}
}

static void advance(struct shard *shard)
{
	for (struct command *command = shard->commands->oldest, *newer; command; command = newer) {
		newer = command->newer;
		if (command->dropped)
			continue;
		if (command->step == COMMAND_APPLYING && command->journal_offset < shard->stored_offset)
			command_leave(command);
		else if (command->step == COMMAND_PAUSED && command->retry_us <= shard->s->now_us)
			command_begin(command);
	}
}

/* A look at a task tells the truth only once the journal has been applied to its end. */
static bool may_work(const struct shard *shard)
{
	return shard->phase == PHASE_READY && shard->journal.caught_up && !shard->s->stopping && !shard->s->bus_lost;
}

static bool seek(struct shard *shard)
{
	struct scheduler *s = shard->s;
	int64_t offset = shard->control_stored > 0 ? shard->control_stored : BUS_OFFSET_BEGINNING;

	if (!shard->commands->sought)
		shard->commands->sought = bus_seek(s->links.bus, s->control_topic, shard->id, offset) == MR_OK;
	return shard->commands->sought;
}

static void begin_walk(struct shard *shard)
{
	struct commands *commands = shard->commands;

	commands_drop(commands);
	offsets_deinit(&commands->offsets);
	offsets_init(&commands->offsets);
	commands->sought = false;
	commands->checkpointed = -1;
	commands->generation = shard->generation;
}

void control_turn(struct shard *shard)
{
	struct commands *commands = shard->commands;

	if (commands->generation != shard->generation)
		begin_walk(shard);
	if (!may_work(shard) || !seek(shard))
		return;
	advance(shard);
	take(shard);
	shard->control_position = offsets_watermark(&commands->offsets);
	checkpoint_turn(shard);
}

int64_t control_deadline_us(const struct shard *shard)
{
	const struct commands *commands = shard->commands;
	int64_t deadline_us;

	if (!may_work(shard))
		return INT64_MAX;
	if (!commands->sought || commands->generation != shard->generation)
		return shard->s->now_us + RETRY_US / 10;
	deadline_us = checkpoint_deadline_us(shard);
	for (const struct command *command = commands->oldest; command; command = command->newer) {
		if (command->step == COMMAND_PAUSED && !command->dropped && command->retry_us < deadline_us)
			deadline_us = command->retry_us;
	}
	return deadline_us;
}
