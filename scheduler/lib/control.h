/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_CONTROL_H
#define SCHEDULER_CONTROL_H

#include "lib/core.h"
#include "task/offsets.h"

/*
 * Commands of one shard that were read and whose effect is not durable yet. Those of one task follow one another; each looks at the
 * task, is decided (effects.c) and is over when what it did can be seen in Redis. What cannot be understood is over when its dead
 * letter is in Kafka.
 */
enum command_step {
	COMMAND_QUEUED,   /* behind another one of its task */
	COMMAND_PAUSED,   /* begins, or begins again, at retry_us */
	COMMAND_LOOKING,  /* Redis is asked how the task stands */
	COMMAND_SENDING,  /* a record is on its way to Kafka */
	COMMAND_APPLYING, /* the journal record of its effect has to be read back */
	COMMAND_ENDING,   /* the attempt is being ended */
};

struct command {
	struct delivery delivery;
	struct shard *shard;
	struct command *older, *newer;               /* in commands */
	struct command *next_of_key, *newest_of_key; /* the second one of the first of a task only */
	enum command_step step;
	bool dropped; /* the walk is over: freed by its callback */
	bool ended;   /* it failed its attempt: now this has to be remembered, lest a repetition fails the next one */
	int tries;
	int64_t offset;
	int64_t retry_us;
	int64_t journal_offset;
	struct arena turn;  /* of one try */
	struct arena arena; /* of all below */
	size_t bytes;
	struct control control;
	struct bytes request_id;
	const char *bad; /* it cannot be understood, and why; NULL: it can */
	bool foreign;    /* it belongs to another shard */
	int64_t at_ms;   /* when it was given */
	struct bytes record_key, value;
	struct headers headers;
};

struct commands {
	uint32_t generation;    /* of the shard's walk that they belong to */
	bool sought;            /* the reader stands where they go on */
	struct offsets offsets; /* of their records; settled once the effect is in Kafka */
	struct command *oldest, *newest;
	size_t n, bytes;
	struct map by_key; /* task key -> the command of it that is not waiting for another one */

	/* checkpoint.c */
	struct delivery delivery;
	bool checkpointing;
	int64_t checkpoint_us; /* not before */
	int64_t checkpointed;  /* the last one that was sent */
};

static inline struct bytes command_key(const struct command *command)
{
	return command->control.task_key;
}

/* commands.c */
void command_free(struct command *command);
/* False where another command of the task comes first: it begins when that one is over. */
bool command_enter(struct commands *commands, struct command *command);
void command_begin(struct command *command);
/* The first of its task is over: frees it; the next one's turn. */
void command_leave(struct command *command);
/* The walk is over. What is under way is freed by its answer. */
void commands_drop(struct commands *commands);

/* checkpoint.c */
/* Journals the position of commands where it has moved. */
void checkpoint_turn(struct shard *shard);
int64_t checkpoint_deadline_us(const struct shard *shard);

#endif
