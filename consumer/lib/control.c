/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to tasks, as they come by the topic `control`: every worker reads all of it from where it ended when the worker
 * started, so that an attempt hears of a cancel within milliseconds, heartbeats or not. A command is carried out on what is in
 * hand, and kept for a while for the attempts that come later: they may have been claimed before the scheduler's effect of the
 * command was there. Everything else about commands is the scheduler's.
 */
#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/worker.h"

/* How long, and how many are kept: the oldest go first. */
#define CONTROL_KEEP_US INT64_C(60000000)
#define CONTROL_KEEP_MAX 10000
#define CONTROL_KEEP_BYTES ((size_t)4 * 1024 * 1024)
/* How long the first claim waits for Kafka's answer. */
#define CONTROL_WAIT_US 1000000
#define CONTROL_RETRY_US 200000
#define CONTROL_TAKE 64
#define CONTROL_NAME_BYTES (TASK_KEY_MAX_BYTES + 1 + TASK_RUN_MAX_BYTES)
#define NEVER INT64_MIN
#define CONTROL_REQUESTS 4 /* remembered of a task, so that a repetition does nothing */

/* When what was asked of a task, by Kafka's clock. */
struct command {
	struct command *older, *newer;
	int64_t received_us;
	int64_t cancel_at_ms, terminate_at_ms, pause_at_ms, reset_at_ms; /* NEVER: not asked */
	uint64_t requests[CONTROL_REQUESTS];                             /* hashes of the last request ids, 0: none */
	size_t n_requests;
	size_t name_len;
	char name[]; /* task key, TAB, the run that is meant or nothing */
};

struct commands {
	enum { CONTROL_UNASKED, CONTROL_ASKED, CONTROL_READ } state;
	int64_t began_us; /* 0 = not yet */
	int64_t ask_at_us;
	int64_t *next; /* offset to read, one a partition */
	struct map by_name;
	struct command *oldest, *newest;
	size_t bytes;
	bool news; /* that the jobs in hand have not met */
};

struct commands *control_new(void)
{
	return mem_alloc(sizeof(struct commands));
}

static void unlink_command(struct commands *commands, struct command *command)
{
	if (command->older)
		command->older->newer = command->newer;
	else
		commands->oldest = command->newer;
	if (command->newer)
		command->newer->older = command->older;
	else
		commands->newest = command->older;
	command->older = command->newer = NULL;
}

static void append_command(struct commands *commands, struct command *command)
{
	command->older = commands->newest;
	if (commands->newest)
		commands->newest->newer = command;
	else
		commands->oldest = command;
	commands->newest = command;
}

static void forget(struct commands *commands, struct command *command)
{
	unlink_command(commands, command);
	map_remove(&commands->by_name, (struct bytes){command->name, command->name_len});
	commands->bytes -= sizeof(*command) + command->name_len;
	free(command);
}

void control_free(struct commands *commands)
{
	while (commands->oldest)
		forget(commands, commands->oldest);
	map_deinit(&commands->by_name);
	free(commands->next);
	free(commands);
}

/* ---- reading ---- */

static struct bus_partition *partitions_of(struct worker *worker)
{
	size_t n = (size_t)worker->config.shards;
	struct bus_partition *partitions = mem_alloc(n * sizeof(partitions[0]));

	for (size_t i = 0; i < n; i++)
		partitions[i] = (struct bus_partition){worker->topic_control, (int32_t)i, 0};
	return partitions;
}

static void ask_ends(struct worker *worker)
{
	struct commands *commands = worker->commands;
	CLEANUP_FREE struct bus_partition *partitions = partitions_of(worker);

	if (!commands->began_us)
		commands->began_us = worker->now_us;
	commands->ask_at_us = worker->now_us + CONTROL_RETRY_US;
	if (bus_query_ends(worker->bus, partitions, (size_t)worker->config.shards) == MR_OK)
		commands->state = CONTROL_ASKED;
}

void control_ends(struct worker *worker, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	struct commands *commands = worker->commands;

	if (commands->state != CONTROL_ASKED)
		return;
	commands->state = CONTROL_UNASKED;
	commands->ask_at_us = worker->now_us + CONTROL_RETRY_US;
	if (status || bus_read(worker->bus, partitions, n))
		return;
	commands->next = mem_realloc_array(commands->next, (size_t)worker->config.shards, sizeof(commands->next[0]));
	for (size_t i = 0; i < n; i++) {
		assert(partitions[i].partition >= 0 && partitions[i].partition < worker->config.shards);
		commands->next[partitions[i].partition] = partitions[i].offset;
	}
	commands->state = CONTROL_READ;
}

bool control_is_read(const struct worker *worker)
{
	const struct commands *commands = worker->commands;

	return commands->state == CONTROL_READ || (commands->began_us && worker->now_us >= commands->began_us + CONTROL_WAIT_US);
}

int64_t control_deadline_us(const struct worker *worker)
{
	const struct commands *commands = worker->commands;

	if (commands->state == CONTROL_READ)
		return INT64_MAX;
	if (!control_is_read(worker))
		return commands->began_us ? commands->began_us + CONTROL_WAIT_US : worker->now_us;
	return commands->state == CONTROL_UNASKED ? commands->ask_at_us : INT64_MAX;
}

/* ---- keeping ---- */

/* NULL where it is too long to be that of a task. */
static char *write_name(char *out, struct bytes key, struct bytes run, size_t *ret_len)
{
	if (key.len + 1 + run.len > CONTROL_NAME_BYTES)
		return NULL;
	memcpy(out, key.data, key.len);
	out[key.len] = '\t';
	if (run.len)
		memcpy(out + key.len + 1, run.data, run.len);
	*ret_len = key.len + 1 + run.len;
	return out;
}

static struct command *find(const struct commands *commands, struct bytes key, struct bytes run)
{
	char text[CONTROL_NAME_BYTES];
	size_t len;

	if (!write_name(text, key, run, &len))
		return NULL;
	return map_get(&commands->by_name, (struct bytes){text, len});
}

static struct command *find_or_add(struct commands *commands, struct bytes key, struct bytes run)
{
	struct command *command = find(commands, key, run);

	if (command) {
		unlink_command(commands, command);
	} else {
		command = mem_alloc(sizeof(*command) + key.len + 1 + run.len);
		command->cancel_at_ms = command->terminate_at_ms = command->pause_at_ms = command->reset_at_ms = NEVER;
		if (!write_name(command->name, key, run, &command->name_len)) {
			free(command);
			return NULL;
		}
		map_put(&commands->by_name, (struct bytes){command->name, command->name_len}, command);
		commands->bytes += sizeof(*command) + command->name_len;
	}
	append_command(commands, command);
	return command;
}

static void expire(struct worker *worker)
{
	struct commands *commands = worker->commands;

	while (commands->oldest && (worker->now_us - commands->oldest->received_us > CONTROL_KEEP_US ||
				    commands->by_name.len > CONTROL_KEEP_MAX || commands->bytes > CONTROL_KEEP_BYTES))
		forget(commands, commands->oldest);
}

static bool concerns_attempts(enum control_command command)
{
	switch (command) {
	case CONTROL_CANCEL:
	case CONTROL_TERMINATE:
	case CONTROL_PAUSE:
	case CONTROL_UNPAUSE:
	case CONTROL_RESET:
		return true;
	case CONTROL_UPDATE:
	case CONTROL_COMPLETE:
	case CONTROL_FAIL:
	case CONTROL_HEARTBEAT:
		break;
	}
	return false;
}

static void note(struct command *command, enum control_command what, int64_t at_ms)
{
	switch (what) {
	case CONTROL_CANCEL:
		command->cancel_at_ms = at_ms;
		return;
	case CONTROL_TERMINATE:
		command->terminate_at_ms = at_ms;
		return;
	case CONTROL_PAUSE:
		command->pause_at_ms = at_ms;
		return;
	case CONTROL_UNPAUSE:
		command->pause_at_ms = NEVER;
		return;
	case CONTROL_RESET:
		command->reset_at_ms = at_ms;
		return;
	case CONTROL_UPDATE:
	case CONTROL_COMPLETE:
	case CONTROL_FAIL:
	case CONTROL_HEARTBEAT:
		break;
	}
	assert(0 && "a command that is not about attempts");
}

/* ---- carrying out ---- */

static void forget_pause(struct command *command)
{
	command->pause_at_ms = NEVER;
}

/* Whatever run the pause named, and whichever this names. */
static void forget_pauses(struct commands *commands, const struct control *control)
{
	const size_t key_len = control->task_key.len;

	for (struct command *command = commands->oldest; command; command = command->newer) {
		struct bytes run = {command->name + key_len + 1, command->name_len - key_len - 1};

		if (command->name_len <= key_len || command->name[key_len] != '\t' ||
		    memcmp(command->name, control->task_key.data, key_len) != 0)
			continue;
		if (run.len == 0 || control->run_id.len == 0 || bytes_equal(run, control->run_id))
			forget_pause(command);
	}
}

/* A pause that was taken back before the attempt started. */
static void unpause(struct worker *worker, const struct control *control)
{
	forget_pauses(worker->commands, control);
	for (struct job *job = worker->all; job; job = job->all_next) {
		bool started = job->state == JOB_QUEUED || job->state == JOB_RUNNING;

		if (!job->paused || started || !bytes_equal(job->key, control->task_key))
			continue;
		if (control->run_id.len && !bytes_equal(job->run_id, control->run_id))
			continue;
		job->paused = false;
		job->told &= ~(1u << CANCEL_PAUSED);
	}
}

int64_t control_began_at_ms(const struct job *job)
{
	return job->dispatch.republished ? job->scheduled_at_ms : job->dispatched_at_ms;
}

/* Into memory of its own, so that an attempt that runs for long does not grow with each change. */
static void adopt_policy(struct job *job, const struct retry_policy *policy)
{
	struct arena arena = {0};
	struct bytes *types = arena_alloc(&arena, (policy->n_non_retryable_error_types + 1) * sizeof(types[0]));

	for (size_t i = 0; i < policy->n_non_retryable_error_types; i++)
		types[i] = arena_copy(&arena, policy->non_retryable_error_types[i]);
	job->task.retry_policy = *policy;
	job->task.retry_policy.non_retryable_error_types = types;
	job->policy = retry_policy_effective(&job->task.retry_policy);
	arena_deinit(&job->policy_arena);
	job->policy_arena = arena;
}

/* Who was told that its time is over is not given more. */
static void adopt_schedule_to_close(struct worker *worker, struct job *job, int64_t timeout_ms)
{
	if (timeout_ms == job->task.schedule_to_close_timeout_ms || job->timed_out == TIMEOUT_SCHEDULE_TO_CLOSE)
		return;
	job->task.schedule_to_close_timeout_ms = job->timeouts.schedule_to_close_ms = timeout_ms;
	execute_retime(worker, job);
}

static void change(struct worker *worker, struct job *job, struct bytes options)
{
	struct arena arena = {0};
	struct task changed = job->task;

	if (wire_options_apply(options, &arena, &changed, NULL) == MR_OK) {
		adopt_policy(job, &changed.retry_policy);
		adopt_schedule_to_close(worker, job, changed.schedule_to_close_timeout_ms);
	}
	arena_deinit(&arena);
}

/* What follows an attempt is decided by the retry policy as it is then, also where the attempt was about to start and its claim may
 * be granted before Redis knows of the change. When the time of the whole task is over changes at once, too; the timeouts that are
 * the attempt's own it has from its start. */
static void update(struct worker *worker, const struct control *control, int64_t at_ms)
{
	for (struct job *job = worker->all; job; job = job->all_next) {
		bool has_ended = job->state < JOB_FRESH || job->state > JOB_RUNNING;

		if (has_ended || !bytes_equal(job->key, control->task_key))
			continue;
		if (control->run_id.len ? !bytes_equal(job->run_id, control->run_id) : at_ms < control_began_at_ms(job))
			continue;
		change(worker, job, control->options.data);
	}
}

/* A record of this partition that is behind the end at the start, and was not read before. */
static bool is_new(struct commands *commands, int shards, const struct bus_message *message)
{
	if (commands->state != CONTROL_READ || message->partition < 0 || message->partition >= shards ||
	    message->offset < commands->next[message->partition])
		return false;
	commands->next[message->partition] = message->offset + 1;
	return true;
}

static bool is_repeated(struct command *command, struct bytes request_id)
{
	uint64_t hash = request_id.len ? bytes_hash(request_id) : 0;

	if (!hash)
		return false;
	for (size_t i = 0; i < CONTROL_REQUESTS; i++)
		if (command->requests[i] == hash)
			return true;
	command->requests[command->n_requests++ % CONTROL_REQUESTS] = hash;
	return false;
}

static void carry_out_at_once(struct worker *worker, struct job *job, enum control_command command)
{
	if (command == CONTROL_CANCEL)
		execute_tell(worker, job, CANCEL_REQUESTED);
	else if (command == CONTROL_TERMINATE)
		execute_terminate(worker, job);
	else if (command == CONTROL_PAUSE)
		execute_tell(worker, job, CANCEL_PAUSED);
	else if (command == CONTROL_RESET)
		execute_tell(worker, job, CANCEL_RESET);
}

/* By token: for that attempt, which is in hand or over, and for no later one. */
static void tell_attempt(struct worker *worker, const struct control *control)
{
	struct job *next;

	for (struct job *job = worker->all; job; job = next) {
		next = job->all_next;
		if ((job->state == JOB_READY || job->state == JOB_QUEUED || job->state == JOB_RUNNING) &&
		    bytes_equal(job->nonce, control->token) && bytes_equal(job->key, control->task_key))
			carry_out_at_once(worker, job, control->command);
	}
}

static void take_command(struct worker *worker, const struct control *control, int64_t at_ms)
{
	struct commands *commands = worker->commands;
	struct command *command;

	if (control->command == CONTROL_UPDATE)
		update(worker, control, at_ms);
	else if (control->command == CONTROL_COMPLETE || control->command == CONTROL_FAIL)
		fence_command(worker, control, at_ms);
	if (!concerns_attempts(control->command))
		return;
	if (bytes_present(control->token)) {
		worker->counters.commands++;
		tell_attempt(worker, control);
		return;
	}
	command = find_or_add(commands, control->task_key, control->run_id);
	if (!command || is_repeated(command, control->request_id))
		return;
	worker->counters.commands++;
	command->received_us = worker->now_us;
	note(command, control->command, at_ms);
	if (control->command == CONTROL_UNPAUSE)
		unpause(worker, control);
	commands->news = true;
	expire(worker);
}

void control_message(struct worker *worker, const struct bus_message *message)
{
	struct commands *commands = worker->commands;
	struct arena arena = {0};
	struct control control;

	if (!is_new(commands, worker->config.shards, message))
		return;
	/* What cannot be understood goes to the dead letters by the scheduler's hand. */
	if (bytes_present(message->value) &&
	    wire_decode_control(worker->config.wire, message->value, &arena, &control, NULL) == MR_OK)
		take_command(worker, &control, command_at_ms(message->headers, message->timestamp_ms));
	arena_deinit(&arena);
}

/* Of what had been asked of it before it was dispatched the scheduler knows, and it was dispatched all the same. */
static void interrupt(struct worker *worker, struct job *job, const struct command *command)
{
	if (command->reset_at_ms >= job->dispatched_at_ms)
		execute_tell(worker, job, CANCEL_RESET);
	if (command->pause_at_ms >= job->dispatched_at_ms)
		execute_tell(worker, job, CANCEL_PAUSED);
}

/* True where the task is to end. A command that names no run is for the run that there was: not for one that began later. */
static bool is_ended_by(struct worker *worker, struct job *job, const struct command *command, bool names_run)
{
	int64_t began_ms = control_began_at_ms(job);
	bool terminated = command->terminate_at_ms != NEVER && (names_run || command->terminate_at_ms >= began_ms);
	bool canceled = command->cancel_at_ms != NEVER && (names_run || command->cancel_at_ms >= began_ms);

	if (terminated)
		execute_terminate(worker, job);
	else if (canceled)
		execute_tell(worker, job, CANCEL_REQUESTED);
	return terminated || canceled;
}

static bool carry_out(struct worker *worker, struct job *job, const struct command *command, bool names_run)
{
	if (!command)
		return false;
	if (is_ended_by(worker, job, command, names_run))
		return true;
	interrupt(worker, job, command);
	return false;
}

void control_meet(struct worker *worker, struct job *job)
{
	const struct commands *commands = worker->commands;

	if (commands->by_name.len == 0)
		return;
	if (!carry_out(worker, job, find(commands, job->key, job->run_id), true))
		carry_out(worker, job, find(commands, job->key, BYTES_NONE), false);
}

/* What is to end is claimed at once, so that whoever waits for it has its answer. */
static void meet_unclaimed(struct worker *worker, struct job *job)
{
	bool was_urgent = line_is_urgent(job);

	control_meet(worker, job);
	if (!was_urgent && line_is_urgent(job))
		claim_hurry(worker, job);
}

static void meet_all(struct worker *worker)
{
	struct job *next;

	for (struct job *job = worker->all; job; job = next) {
		next = job->all_next;
		switch (job->state) {
		case JOB_FRESH:
		case JOB_WAITING:
			meet_unclaimed(worker, job);
			break;
		case JOB_DELAYED:
		case JOB_CLAIMING:
		case JOB_READY:
		case JOB_QUEUED:
		case JOB_RUNNING:
			control_meet(worker, job);
			break;
		case JOB_FREE:
		case JOB_RELEASING:
		case JOB_JOURNALLING:
		case JOB_FORWARDING:
		case JOB_FINISHING:
		case JOB_PUBLISHING:
		case JOB_CLEARING:
		case JOB_DEAD:
		case JOB_LINGERING:
			break;
		}
	}
	worker->commands->news = false;
}

/* Tasks that do not fit must not hold up commands. */
static void take_alone(struct worker *worker)
{
	struct bus_message *messages[CONTROL_TAKE];

	for (int i = 0; i < worker->config.shards; i++) {
		size_t n = bus_take(worker->bus, worker->topic_control, i, messages, CONTROL_TAKE);

		for (size_t j = 0; j < n; j++) {
			control_message(worker, messages[j]);
			bus_message_free(worker->bus, messages[j]);
		}
	}
}

void control_tick(struct worker *worker)
{
	struct commands *commands = worker->commands;

	if (commands->state == CONTROL_UNASKED && worker->now_us >= commands->ask_at_us)
		ask_ends(worker);
	if (commands->state == CONTROL_READ && (worker->was_full || worker->draining))
		take_alone(worker);
	if (commands->oldest)
		expire(worker);
	if (commands->news)
		meet_all(worker);
}
