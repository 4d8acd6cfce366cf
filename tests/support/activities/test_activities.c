/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activities to drive a worker with from outside; input -> result.
 *
 *   echo               the input, as it came
 *   cat                the same by a program (exec activity)
 *   noop               null
 *   greet              "Ada" -> "Hello, Ada"
 *   sleep_ms           {"ms":N} -> N; ends as canceled when it is cancelled
 *   one_at_a_time      the same, at most one in a worker
 *   fail_n_times       {"file":PATH,"times":N,"type":T,"non_retryable":B,"delay_ms":N}: fails N times (counted in the file),
 *                      then -> the number of calls
 *   fail               {"type":T,"message":M,"non_retryable":B,"details":TEXT,"sleep_from":N}: attempt N and later ones sleep
 *   big_result         {"bytes":N}
 *   heartbeat_progress {"steps":N,"ms":M}: a beat {"step":i} each M ms; begins after the step of the former attempt's last
 *                      beat -> {"first":N,"attempt":N}
 *   info               what mr_info says
 *   pending            completes asynchronously
 *   actor              does what its input says: test_activities_actor.c
 *   charge             typed: {"card":string,"cents":int} -> {"receipt":string}
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test_activities.h"

bool test_sleep(struct mr_attempt *attempt, int64_t ms)
{
	struct pollfd fd = {.fd = mr_cancel_fd(attempt), .events = POLLIN};

	while (ms > 0 && !mr_is_cancelled(attempt)) {
		int step = ms > 60000 ? 60000 : (int)ms;

		poll(&fd, 1, step);
		ms -= step;
	}
	return mr_is_cancelled(attempt);
}

static enum mr_attempt_end echo(struct mr_attempt *attempt, void *user)
{
	const struct mr_attempt_payload *input = mr_input(attempt);

	(void)user;
	return mr_complete(attempt, input->data, input->bytes, input->content_type);
}

static enum mr_attempt_end noop(struct mr_attempt *attempt, void *user)
{
	(void)user;
	return mr_complete_json(attempt, "null");
}

static enum mr_attempt_end greet(struct mr_attempt *attempt, void *user)
{
	const char *name;
	struct mr_error err;

	(void)user;
	if (mr_input_string(attempt, "", &name, &err))
		return mr_fail_input(attempt, &err);
	return mr_complete_jsonf(attempt, "\"Hello, %s\"", mr_json_escape(attempt, name));
}

static enum mr_attempt_end sleep_ms(struct mr_attempt *attempt, void *user)
{
	int64_t ms;
	struct mr_error err;

	(void)user;
	if (mr_input_int(attempt, "ms", &ms, &err))
		return mr_fail_input(attempt, &err);
	if (test_sleep(attempt, ms))
		return mr_canceled(attempt);
	return mr_complete_jsonf(attempt, "%lld", (long long)ms);
}

/* Appends a byte and returns how many there are now. */
static long count_call(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	long n = -1;

	if (fd >= 0 && write(fd, ".", 1) == 1)
		n = (long)lseek(fd, 0, SEEK_CUR);
	if (fd >= 0)
		close(fd);
	return n;
}

static enum mr_attempt_end fail_n_times(struct mr_attempt *attempt, void *user)
{
	const char *file, *type = "Flaky";
	int64_t times, delay_ms = 0;
	bool non_retryable = false;
	struct mr_error err;
	char message[128];
	long call;

	(void)user;
	if (mr_input_string(attempt, "file", &file, &err) || mr_input_int(attempt, "times", &times, &err))
		return mr_fail_input(attempt, &err);
	mr_input_string(attempt, "type", &type, NULL);
	mr_input_bool(attempt, "non_retryable", &non_retryable, NULL);
	mr_input_int(attempt, "delay_ms", &delay_ms, NULL);
	call = count_call(file);
	if (call < 0)
		return mr_failf(attempt, "TestFile", "%s: %s", file, strerror(errno));
	if (call > times)
		return mr_complete_jsonf(attempt, "%ld", call);
	snprintf(message, sizeof(message), "call %ld of %lld that fail", call, (long long)times);
	return mr_fail(attempt, &(struct mr_attempt_failure){.type = type,
							     .message = message,
							     .non_retryable = non_retryable,
							     .next_retry_delay_ms = delay_ms});
}

static enum mr_attempt_end fail(struct mr_attempt *attempt, void *user)
{
	struct mr_attempt_failure cause = {.type = "Cause", .message = "the reason behind it"};
	struct mr_attempt_failure failure = {.type = "Failed", .message = "it failed", .cause = &cause};
	const char *details = NULL;
	int64_t sleep_from = INT64_MAX;

	(void)user;
	mr_input_int(attempt, "sleep_from", &sleep_from, NULL);
	if (mr_info(attempt)->attempt >= sleep_from && test_sleep(attempt, 60000))
		return mr_canceled(attempt);
	mr_input_string(attempt, "type", &failure.type, NULL);
	mr_input_string(attempt, "message", &failure.message, NULL);
	mr_input_bool(attempt, "non_retryable", &failure.non_retryable, NULL);
	if (!mr_input_string(attempt, "details", &details, NULL))
		failure.details =
			(struct mr_attempt_payload){.data = details, .bytes = strlen(details), .content_type = "text/plain"};
	return mr_fail(attempt, &failure);
}

static enum mr_attempt_end big_result(struct mr_attempt *attempt, void *user)
{
	enum mr_attempt_end end;
	int64_t bytes = 0;
	struct mr_error err;
	char *data;

	(void)user;
	if (mr_input_int(attempt, "bytes", &bytes, &err))
		return mr_fail_input(attempt, &err);
	data = malloc((size_t)bytes + 1);
	if (!data)
		return mr_failf(attempt, "NoMemory", "%lld bytes", (long long)bytes);
	memset(data, 'x', (size_t)bytes);
	end = mr_complete(attempt, data, (size_t)bytes, "text/plain");
	free(data);
	return end;
}

long test_former_step(struct mr_attempt *attempt)
{
	const struct mr_attempt_payload *details = &mr_info(attempt)->heartbeat_details;
	long step = 0;

	if (details->data && sscanf(details->data, "{\"step\":%ld}", &step) != 1)
		step = 0;
	return step;
}

static enum mr_attempt_end heartbeat_progress(struct mr_attempt *attempt, void *user)
{
	int64_t steps, ms = 0;
	long first = test_former_step(attempt) + 1;
	struct mr_error err;
	char details[64];

	(void)user;
	if (mr_input_int(attempt, "steps", &steps, &err))
		return mr_fail_input(attempt, &err);
	mr_input_int(attempt, "ms", &ms, NULL);
	for (long step = first; step <= steps; step++) {
		int n = snprintf(details, sizeof(details), "{\"step\":%ld}", step);

		mr_heartbeat(attempt, details, (size_t)n, "application/json");
		if (test_sleep(attempt, ms))
			return mr_canceled(attempt);
	}
	return mr_complete_jsonf(attempt, "{\"first\":%ld,\"attempt\":%lld}", first, (long long)mr_info(attempt)->attempt);
}

static const char *text(struct mr_attempt *attempt, const char *value)
{
	return value ? mr_json_escape(attempt, value) : "";
}

/* A buffer for JSON: what does not fit is left out. */
struct json {
	char text[4096];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void put(struct json *json, const char *format, ...)
{
	size_t room = sizeof(json->text) - json->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(json->text + json->len, room, format, args);
	va_end(args);
	json->len += n < 0 || (size_t)n >= room ? room - 1 : (size_t)n;
}

static void put_text(struct json *json, struct mr_attempt *attempt, const char *name, const char *value)
{
	put(json, ",\"%s\":\"%s\"", name, text(attempt, value));
}

static void put_number(struct json *json, const char *name, int64_t value)
{
	if (value == MR_UNSET)
		put(json, ",\"%s\":null", name);
	else
		put(json, ",\"%s\":%lld", name, (long long)value);
}

static void put_times(struct json *json, const struct mr_attempt_info *i)
{
	put_number(json, "scheduled_at_ms", i->scheduled_at_ms);
	put_number(json, "attempt_scheduled_at_ms", i->attempt_scheduled_at_ms);
	put_number(json, "started_at_ms", i->started_at_ms);
	put_number(json, "deadline_at_ms", i->deadline_at_ms);
	put_number(json, "schedule_to_close_timeout_ms", i->schedule_to_close_timeout_ms);
	put_number(json, "schedule_to_start_timeout_ms", i->schedule_to_start_timeout_ms);
	put_number(json, "start_to_close_timeout_ms", i->start_to_close_timeout_ms);
	put_number(json, "heartbeat_timeout_ms", i->heartbeat_timeout_ms);
}

static void put_retry(struct json *json, struct mr_attempt *attempt, const struct mr_attempt_retry *retry)
{
	put(json, ",\"retry\":{\"backoff_coefficient\":%g", retry->backoff_coefficient);
	put_number(json, "initial_interval_ms", retry->initial_interval_ms);
	put_number(json, "maximum_interval_ms", retry->maximum_interval_ms);
	put_number(json, "maximum_attempts", retry->maximum_attempts);
	put(json, ",\"non_retryable_error_types\":[");
	for (size_t k = 0; k < retry->n_non_retryable_error_types; k++)
		put(json, "%s\"%s\"", k ? "," : "", text(attempt, retry->non_retryable_error_types[k]));
	put(json, "]}");
}

static enum mr_attempt_end info(struct mr_attempt *attempt, void *user)
{
	const struct mr_attempt_info *i = mr_info(attempt);
	struct json json = {.len = 0};

	(void)user;
	mr_log(attempt, MR_LOG_INFO, "told of %zu headers", i->n_headers);
	put(&json, "{\"attempt\":%lld,\"epoch\":%lld,\"priority\":%d", (long long)i->attempt, (long long)i->epoch, i->priority);
	put_text(&json, attempt, "task_key", i->task_key);
	put_text(&json, attempt, "workflow_id", i->workflow_id);
	put_text(&json, attempt, "activity_id", i->activity_id);
	put_text(&json, attempt, "run_id", i->run_id);
	put_text(&json, attempt, "activity_type", i->activity_type);
	put_text(&json, attempt, "queue", i->queue);
	put_text(&json, attempt, "worker", i->worker);
	put_text(&json, attempt, "token", i->token);
	put_text(&json, attempt, "heartbeat_details", i->heartbeat_details.data);
	put_times(&json, i);
	put_retry(&json, attempt, &i->retry);
	put(&json, ",\"headers\":{");
	for (size_t k = 0; k < i->n_headers; k++)
		put(&json, "%s\"%s\":\"%s\"", k ? "," : "", text(attempt, i->headers[k].name),
		    text(attempt, i->headers[k].value));
	put(&json, "}}");
	return mr_complete_json(attempt, json.text);
}

static enum mr_attempt_end pending(struct mr_attempt *attempt, void *user)
{
	(void)user;
	return mr_pending(attempt);
}

static enum mr_attempt_end charge(struct mr_attempt *attempt, void *user)
{
	const char *card;
	int64_t cents;
	struct mr_error err;

	(void)user;
	if (mr_input_string(attempt, "card", &card, &err) || mr_input_int(attempt, "cents", &cents, &err))
		return mr_fail_input(attempt, &err);
	if (strcmp(card, "bad-receipt") == 0)
		return mr_complete_json(attempt, "{\"receipt\":17}");
	return mr_complete_jsonf(attempt, "{\"receipt\":\"%s-%lld\"}", mr_json_escape(attempt, card), (long long)cents);
}

static void register_typed(struct mr_registry *registry)
{
	struct mr_activity_options options = {
		.size = sizeof(options),
		.input_schema = "{\"type\":\"record\",\"name\":\"Charge\",\"fields\":[{\"name\":\"card\",\"type\":\"string\"},"
				"{\"name\":\"cents\",\"type\":\"long\"}]}",
		.output_schema =
			"{\"type\":\"record\",\"name\":\"Charged\",\"fields\":[{\"name\":\"receipt\",\"type\":\"string\"}]}",
	};

	mr_register(registry, "charge", charge, NULL, &options, NULL);
}

/* Errors of single registrations come back at start: the registry remembers the first. */
MR_ACTIVITIES(registry)
{
	struct mr_activity_options one = {.size = sizeof(one), .max_concurrent = 1};

	mr_register(registry, "echo", echo, NULL, NULL, NULL);
	mr_register(registry, "noop", noop, NULL, NULL, NULL);
	mr_register(registry, "greet", greet, NULL, NULL, NULL);
	mr_register(registry, "sleep_ms", sleep_ms, NULL, NULL, NULL);
	mr_register(registry, "one_at_a_time", sleep_ms, NULL, &one, NULL);
	mr_register(registry, "fail_n_times", fail_n_times, NULL, NULL, NULL);
	mr_register(registry, "fail", fail, NULL, NULL, NULL);
	mr_register(registry, "big_result", big_result, NULL, NULL, NULL);
	mr_register(registry, "heartbeat_progress", heartbeat_progress, NULL, NULL, NULL);
	mr_register(registry, "info", info, NULL, NULL, NULL);
	mr_register(registry, "pending", pending, NULL, NULL, NULL);
	mr_register_exec_text(registry, "cat=cat", NULL);
	register_typed(registry);
	test_register_crashes(registry);
	test_register_logging(registry);
	test_register_actor(registry);
	return MR_OK;
}
