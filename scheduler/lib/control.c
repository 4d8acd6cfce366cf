/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "lib/core.h"

/*
 * Commands. They are read, checked and counted here, and this is the place where their effects will be made; so far none has
 * an effect in the scheduler, which it says once for each kind of command.
 */

static void apply_command(struct scheduler *s, const struct control *control)
{
	unsigned bit = 1U << control->command;

	s->stats.commands++;
	if (s->commands_warned & bit)
		return;
	s->commands_warned |= bit;
	log_warn("this version of the scheduler does not carry out commands of this kind",
		 LOG_S("command", control_command_name(control->command)), LOG_B("task_key", control->task_key));
}

static void read_command(struct shard *shard, const struct bus_message *message)
{
	struct scheduler *s = shard->s;
	struct control control;
	struct mr_error err = {0};

	if (!bytes_present(message->value))
		return;
	if (wire_decode_control(s->links.wire, message->value, &s->arena, &control, &err) != MR_OK)
		publish_dead(s, message, err.message);
	else
		apply_command(s, &control);
	arena_reset(&s->arena);
}

void control_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct bus_message *messages[INTAKE_BATCH];
	size_t n = bus_take(s->links.bus, s->control_topic, shard->id, messages, INTAKE_BATCH);

	for (size_t i = 0; i < n; i++) {
		read_command(shard, messages[i]);
		shard->control_position = messages[i]->offset + 1;
		bus_message_free(s->links.bus, messages[i]);
	}
}
