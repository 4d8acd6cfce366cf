/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/exec_result.h"

#include <assert.h>
#include <signal.h>
#include <sys/wait.h>

#include "lib/context.h"
#include "wire/wire.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
#define ENVIRONMENT_MAX 16

static struct bytes trim(struct bytes text)
{
	while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]))
		text.len--;
	while (text.len > 0 && strchr(" \t\r\n", text.data[0])) {
		text.data++;
		text.len--;
	}
	return text;
}

static void complete(struct mr_attempt *attempt, struct bytes out)
{
	struct payload result = {.data = BYTES_NONE};

	if (wire_is_json(out)) {
		result.data = arena_copy(attempt->arena, trim(out));
		result.content_type = BYTES_LIT(PAYLOAD_JSON);
	} else {
		result.data = arena_copy(attempt->arena, out);
	}
	context_complete(attempt, result);
}

static struct bytes last_line(struct bytes text)
{
	const char *newline;

	text = trim(text);
	newline = text.len > 0 ? memrchr(text.data, '\n', text.len) : NULL;
	if (newline)
		text = (struct bytes){newline + 1, text.len - (size_t)(newline + 1 - text.data)};
	return trim(text);
}

static struct bytes describe(struct mr_attempt *attempt, int wait_status)
{
	int sig = WTERMSIG(wait_status);

	if (WIFEXITED(wait_status))
		return arena_printf(attempt->arena, "exit status %d", WEXITSTATUS(wait_status));
	return arena_printf(attempt->arena, "SIG%s (%s)", sigabbrev_np(sig) ? sigabbrev_np(sig) : "?", strsignal(sig));
}

/* {"exit_status":1,"stderr":"..."}, {"signal":"SIGKILL","stderr":"..."} */
static struct payload details(struct mr_attempt *attempt, const struct exec_end *end)
{
	struct payload payload = {.content_type = BYTES_LIT(PAYLOAD_JSON)};
	struct buf text = {0};

	if (WIFEXITED(end->wait_status))
		buf_printf(&text, "{\"exit_status\":%d,\"stderr\":", WEXITSTATUS(end->wait_status));
	else
		buf_printf(&text, "{\"signal\":\"SIG%s\",\"stderr\":",
			   sigabbrev_np(WTERMSIG(end->wait_status)) ? sigabbrev_np(WTERMSIG(end->wait_status)) : "?");
	wire_append_json_string(&text, end->err);
	buf_append_char(&text, '}');
	payload.data = arena_copy(attempt->arena, buf_bytes(&text));
	buf_deinit(&text);
	return payload;
}

static struct bytes utf8_or_nothing(struct mr_attempt *attempt, struct bytes text)
{
	return bytes_is_utf8(text) ? arena_copy(attempt->arena, text) : BYTES_LIT("");
}

static void fail(struct mr_attempt *attempt, const struct exec_end *end)
{
	bool exited = WIFEXITED(end->wait_status);
	struct bytes message = utf8_or_nothing(attempt, last_line(end->err));

	if (message.len == 0)
		message = describe(attempt, end->wait_status);
	context_fail(attempt, exited ? "ExitStatus" : "Signal", exited && WEXITSTATUS(end->wait_status) == EXEC_PERMANENT,
		     message);
	attempt->outcome.failure.details = details(attempt, end);
}

static void too_large(struct mr_attempt *attempt)
{
	context_fail(attempt, "ResultTooLarge", true,
		     arena_printf(attempt->arena,
				  "the program wrote more than the %lld bytes that this worker accepts as a result",
				  (long long)attempt->limits->max_output_bytes));
}

void exec_result(struct mr_attempt *attempt, const struct exec_end *end)
{
	bool exited = WIFEXITED(end->wait_status);

	if (end->too_large) {
		too_large(attempt);
	} else if (exited && WEXITSTATUS(end->wait_status) == 0) {
		complete(attempt, end->out);
	} else if (end->cancelled && !(exited && WEXITSTATUS(end->wait_status) == EXEC_PERMANENT)) {
		context_canceled(attempt);
		attempt->outcome.failure.details = details(attempt, end);
	} else {
		fail(attempt, end);
	}
}

void exec_failed(struct mr_attempt *attempt, int error)
{
	context_fail(attempt, "ExecFailed", false,
		     arena_printf(attempt->arena, "%s cannot be executed: %s", attempt->activity->program, strerror(error)));
}

struct environment {
	struct arena *arena;
	char **items;
	size_t len;
};

static void set(struct environment *env, const char *name, struct bytes value)
{
	assert(env->len + 1 < ENVIRONMENT_MAX);
	/* A variable ends at a NUL, which only heartbeat details can hold. */
	env->items[env->len++] =
		(char *)(uintptr_t)arena_printf(env->arena, "%s=%.*s", name, (int)value.len, value.data ? value.data : "").data;
}

static void pass_on(struct environment *env, const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	if (value || otherwise)
		set(env, name, bytes_of(value ? value : otherwise));
}

char *const *exec_environment(struct mr_attempt *attempt, int heartbeat_fd)
{
	const struct attempt_info *info = attempt->info;
	struct environment env = {.arena = attempt->arena,
				  .items = arena_alloc(attempt->arena, ENVIRONMENT_MAX * sizeof(char *))};

	pass_on(&env, "PATH", DEFAULT_PATH);
	pass_on(&env, "HOME", NULL);
	pass_on(&env, "LANG", NULL);
	pass_on(&env, "TZ", NULL);
	set(&env, "MILLRACE_TASK_KEY", info->task_key);
	set(&env, "MILLRACE_WORKFLOW_ID", info->workflow_id);
	set(&env, "MILLRACE_ACTIVITY_ID", info->activity_id);
	set(&env, "MILLRACE_ACTIVITY_TYPE", info->activity_type);
	set(&env, "MILLRACE_RUN_ID", info->run_id);
	set(&env, "MILLRACE_QUEUE", info->queue);
	set(&env, "MILLRACE_ATTEMPT", arena_printf(env.arena, "%lld", (long long)info->attempt));
	set(&env, "MILLRACE_HEARTBEAT_FD", arena_printf(env.arena, "%d", heartbeat_fd));
	set(&env, "MILLRACE_HEARTBEAT_DETAILS", info->heartbeat_details.data);
	return env.items;
}
