/* SPDX-License-Identifier: Apache-2.0 */
/*
 * actor: does what its input says and writes the execution log (exec_log.h). Everything is optional:
 *
 *   child          true: leaves a child that sleeps in a session of its own (event "child")
 *   steps, step_ms beats {"step":1} ... {"step":N}, one each step_ms; goes on after the step of the former attempt's last beat
 *   hold_at        the first attempt beats this step again and again until it is stopped (event "held")
 *   fail_at        the first attempt fails at this step
 *   ms             then works for so long without a beat
 *   on_cancel      what it does when it is told to stop (event "told_REASON"): "canceled" (default), "complete", "fail", "ignore"
 *   fail_attempts  the first so many attempts fail at their end
 *   token_file     writes its token there and returns pending (event "pending")
 *
 * -> {"first":STEP,"attempt":N}
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "exec_log.h"
#include "test_activities.h"

#define HELD_STEP_MS 50

struct actor {
	struct mr_attempt *attempt;
	int64_t steps, step_ms, hold_at, fail_at, ms, fail_attempts;
	const char *on_cancel, *token_file;
	bool child, told;
	long first;
};

static void note(const struct actor *actor, const char *event)
{
	exec_log(event, mr_info(actor->attempt)->task_key, (unsigned)mr_info(actor->attempt)->attempt);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *told_event(enum mr_cancel_reason reason)
{
	switch (reason) {
	case MR_CANCEL_NONE:
		return "told_nothing";
	case MR_CANCEL_REQUESTED:
		return "told_cancel";
	case MR_CANCEL_TIMED_OUT:
		return "told_timeout";
	case MR_CANCEL_WORKER_SHUTDOWN:
		return "told_shutdown";
	case MR_CANCEL_PAUSED:
		return "told_pause";
	case MR_CANCEL_RESET:
		return "told_reset";
	}
	return "told_unknown";
}

/* True where it has been told to stop and obeys. */
static bool is_stopped(struct actor *actor)
{
	if (!actor->told && mr_is_cancelled(actor->attempt)) {
		actor->told = true;
		note(actor, told_event(mr_cancel_reason(actor->attempt)));
	}
	return actor->told && strcmp(actor->on_cancel, "ignore") != 0;
}

/* Works for so long; true where it was stopped. */
static bool work(struct actor *actor, int64_t ms)
{
	int64_t until = now_ms() + ms, left;

	while (!is_stopped(actor) && (left = until - now_ms()) > 0) {
		struct pollfd fd = {.fd = actor->told ? -1 : mr_cancel_fd(actor->attempt), .events = POLLIN};

		if (poll(&fd, 1, left > 60000 ? 60000 : (int)left) == 1 && !mr_is_cancelled(actor->attempt))
			poll(NULL, 0, 1); /* readable for no reason */
	}
	return is_stopped(actor);
}

static bool beat(struct actor *actor, long step)
{
	char details[32];
	int n = snprintf(details, sizeof(details), "{\"step\":%ld}", step);

	mr_heartbeat(actor->attempt, details, (size_t)n, "application/json");
	return work(actor, actor->step_ms);
}

/* Its end where it was told to stop. */
static enum mr_attempt_end stop(struct actor *actor)
{
	note(actor, "end");
	if (strcmp(actor->on_cancel, "complete") == 0)
		return mr_complete_json(actor->attempt, "\"told\"");
	if (strcmp(actor->on_cancel, "fail") == 0)
		return mr_failf(actor->attempt, "Told", "it was told to stop");
	return mr_canceled(actor->attempt);
}

static enum mr_attempt_end hold(struct actor *actor, long step)
{
	note(actor, "held");
	actor->step_ms = HELD_STEP_MS;
	while (!beat(actor, step))
		;
	return stop(actor);
}

static enum mr_attempt_end fail(struct actor *actor)
{
	note(actor, "end");
	return mr_failf(actor->attempt, "Planned", "attempt %lld fails as planned", (long long)mr_info(actor->attempt)->attempt);
}

static enum mr_attempt_end leave_pending(struct actor *actor)
{
	const struct mr_attempt_info *info = mr_info(actor->attempt);
	int fd = open(actor->token_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	bool ok = fd >= 0 && write(fd, info->token, info->token_bytes) == (ssize_t)info->token_bytes;

	if (fd >= 0)
		close(fd);
	if (!ok)
		return mr_failf(actor->attempt, "TestFile", "%s cannot be written", actor->token_file);
	note(actor, "pending");
	return mr_pending(actor->attempt);
}

static void leave_child(struct actor *actor)
{
	if (fork() != 0)
		return;
	setsid();
	note(actor, "child");
	poll(NULL, 0, 60000);
	_exit(0);
}

static void read_plan(struct actor *actor)
{
	mr_input_int(actor->attempt, "steps", &actor->steps, NULL);
	mr_input_int(actor->attempt, "step_ms", &actor->step_ms, NULL);
	mr_input_int(actor->attempt, "hold_at", &actor->hold_at, NULL);
	mr_input_int(actor->attempt, "fail_at", &actor->fail_at, NULL);
	mr_input_int(actor->attempt, "ms", &actor->ms, NULL);
	mr_input_int(actor->attempt, "fail_attempts", &actor->fail_attempts, NULL);
	mr_input_string(actor->attempt, "on_cancel", &actor->on_cancel, NULL);
	mr_input_string(actor->attempt, "token_file", &actor->token_file, NULL);
	mr_input_bool(actor->attempt, "child", &actor->child, NULL);
}

static enum mr_attempt_end act(struct mr_attempt *attempt, void *user)
{
	struct actor actor = {.attempt = attempt, .on_cancel = "canceled", .first = test_former_step(attempt) + 1};
	int64_t number = mr_info(attempt)->attempt;

	(void)user;
	read_plan(&actor);
	note(&actor, "start");
	if (actor.child)
		leave_child(&actor);
	for (long step = actor.first; step <= actor.steps; step++) {
		if (beat(&actor, step))
			return stop(&actor);
		if (number == 1 && step == actor.fail_at)
			return fail(&actor);
		if (number == 1 && step == actor.hold_at)
			return hold(&actor, step);
	}
	if (work(&actor, actor.ms))
		return stop(&actor);
	if (number <= actor.fail_attempts)
		return fail(&actor);
	if (actor.token_file)
		return leave_pending(&actor);
	note(&actor, "end");
	return mr_complete_jsonf(attempt, "{\"first\":%ld,\"attempt\":%lld}", actor.first, (long long)number);
}

void test_register_actor(struct mr_registry *registry)
{
	mr_register(registry, "actor", act, NULL, NULL, NULL);
}
