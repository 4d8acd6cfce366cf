/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "base/log.h"
#include "lib/control.h"

/*
 * How far commands have become effects, as a journal record of the shard, so that a loss of Redis does not lose it. Applied, it is
 * the position `c` in Redis, where reading goes on.
 */

#define CHECKPOINT_US (1000 * 1000)

void checkpoint_read(struct shard *shard, const struct journal_record *record)
{
	/* A replay may know of a later one than the data that Redis came back with; vouching tells Redis. */
	if (record->control_offset > shard->control_stored)
		shard->control_stored = record->control_offset;
}

static bool has_moved(const struct shard *shard)
{
	const struct commands *commands = shard->commands;
	int64_t watermark = offsets_watermark(&commands->offsets);

	return watermark > 0 && watermark > shard->control_stored && watermark > commands->checkpointed;
}

static void on_delivered(struct delivery *delivery, enum mr_status status, int64_t offset)
{
	struct commands *commands = (struct commands *)(void *)((char *)delivery - offsetof(struct commands, delivery));

	(void)offset;
	commands->checkpointing = false;
	if (status == MR_OK)
		return;
	log_warn("a checkpoint of commands was not taken by Kafka, it is sent again", LOG_S("reason", mr_status_text(status)));
	commands->checkpointed = -1;
}

static void send(struct shard *shard, int64_t control_offset)
{
	struct scheduler *s = shard->s;
	struct commands *commands = shard->commands;
	struct journal_record record;
	struct bus_record out = {.topic = s->journal_topic, .partition = shard->id, .key = BYTES_LIT(JOURNAL_CHECKPOINT_KEY)};

	journal_record_init(&record);
	record.kind = JOURNAL_CHECKPOINT;
	record.task_key = BYTES_LIT("checkpoint"); /* nobody's: the kind says it all */
	record.control_offset = control_offset;
	buf_reset(&s->scratch);
	wire_encode_journal(s->links.wire, &record, &s->scratch);
	out.value = buf_bytes(&s->scratch);
	commands->delivery.done = on_delivered;
	commands->checkpointing = bus_produce(s->links.bus, &out, &commands->delivery) == MR_OK;
	if (commands->checkpointing)
		commands->checkpointed = control_offset;
}

int64_t checkpoint_deadline_us(const struct shard *shard)
{
	const struct commands *commands = shard->commands;

	return has_moved(shard) && !commands->checkpointing ? commands->checkpoint_us : INT64_MAX;
}

void checkpoint_turn(struct shard *shard)
{
	struct commands *commands = shard->commands;

	if (checkpoint_deadline_us(shard) > shard->s->now_us)
		return;
	commands->checkpoint_us = shard->s->now_us + CHECKPOINT_US;
	send(shard, offsets_watermark(&commands->offsets));
}
