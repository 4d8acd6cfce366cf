/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_start: writes one JSON line at its start and one at its end to the file named by MILLRACE_TEST_LOG, each with one write to
 * a file opened with O_APPEND, so that executions are counted even if the worker dies:
 *   {"key":K,"attempt":N,"event":"start"|"end","mono_us":T,"pid":P,"wall_ms":T}
 * Input {"ms":N}: how long it takes (0); {"fail":true}: it fails at its end; {"payload":...} is ignored.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "test_activities.h"

static long long now(clockid_t clock, long long per_s)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * per_s + ts.tv_nsec / (1000000000 / per_s);
}

static bool log_line(struct mr_attempt *attempt, const char *event)
{
	const char *path = getenv("MILLRACE_TEST_LOG");
	char line[2048];
	int fd, n;
	bool ok;

	if (!path)
		return false;
	n = snprintf(line, sizeof(line),
		     "{\"key\":\"%s\",\"attempt\":%lld,\"event\":\"%s\",\"mono_us\":%lld,\"pid\":%d,\"wall_ms\":%lld}\n",
		     mr_json_escape(attempt, mr_info(attempt)->task_key), (long long)mr_info(attempt)->attempt, event,
		     now(CLOCK_MONOTONIC, 1000000), (int)getpid(), now(CLOCK_REALTIME, 1000));
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	ok = fd >= 0 && n > 0 && (size_t)n < sizeof(line) && write(fd, line, (size_t)n) == n;
	if (fd >= 0)
		close(fd);
	return ok;
}

static enum mr_attempt_end log_start(struct mr_attempt *attempt, void *user)
{
	int64_t ms = 0;
	bool fail = false;

	(void)user;
	mr_input_int(attempt, "ms", &ms, NULL);
	mr_input_bool(attempt, "fail", &fail, NULL);
	if (!log_line(attempt, "start"))
		return mr_fail(attempt, &(struct mr_attempt_failure){.type = "TestLog",
								     .message = "MILLRACE_TEST_LOG cannot be written",
								     .non_retryable = true});
	if (test_sleep(attempt, ms))
		return mr_canceled(attempt);
	log_line(attempt, "end");
	if (fail)
		return mr_failf(attempt, "Asked", "as asked for");
	return mr_complete_jsonf(attempt, "{\"attempt\":%lld}", (long long)mr_info(attempt)->attempt);
}

void test_register_logging(struct mr_registry *registry)
{
	mr_register(registry, "log_start", log_start, NULL, NULL, NULL);
}
