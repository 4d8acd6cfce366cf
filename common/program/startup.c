/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for Kafka and Redis at the start, with the reason told. */
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "program/program.h"

#define ATTEMPT_MAX_MS 5000
#define PAUSE_MS 500
#define TELL_AGAIN_US 10000000

struct patience {
	const char *what;
	int64_t until_us; /* INT64_MAX: for ever */
	int64_t told_us;  /* 0 = not yet */
	int signal_fd;
};

static struct patience patience_of(const char *what, int wait_ms, int signal_fd)
{
	return (struct patience){
		.what = what,
		.until_us = wait_ms < 0 ? INT64_MAX : clock_mono_us() + (int64_t)wait_ms * 1000,
		.signal_fd = signal_fd,
	};
}

static int attempt_ms(const struct patience *patience)
{
	int64_t left_ms = (patience->until_us - clock_mono_us()) / 1000;

	if (left_ms < 1)
		return 1;
	return left_ms < ATTEMPT_MAX_MS ? (int)left_ms : ATTEMPT_MAX_MS;
}

static bool signal_waits(const struct patience *patience, int timeout_ms)
{
	struct pollfd fd = {.fd = patience->signal_fd, .events = POLLIN};

	return poll(&fd, 1, timeout_ms) > 0;
}

/* MR_OK: try again. */
static enum mr_status wait_a_little(struct patience *patience, enum mr_status status, const struct mr_error *reason)
{
	int64_t now_us = clock_mono_us();

	if (status != MR_EKAFKA && status != MR_EREDIS)
		return status;
	if (now_us + (int64_t)PAUSE_MS * 1000 >= patience->until_us)
		return status;
	if (!patience->told_us || now_us - patience->told_us >= TELL_AGAIN_US) {
		patience->told_us = now_us;
		log_warn("waiting for a service", LOG_S("service", patience->what), LOG_S("at", reason->where),
			 LOG_S("reason", reason->message));
	}
	return signal_waits(patience, PAUSE_MS) ? MR_ECLOSED : MR_OK;
}

/* Calls `once` until it succeeds, fails for good, or patience ends. */
typedef enum mr_status once_fn(void *ctx, int timeout_ms, struct mr_error *err);

static enum mr_status keep_trying(struct patience patience, once_fn *once, void *ctx, struct mr_error *err)
{
	for (;;) {
		struct mr_error reason = {0};
		enum mr_status status = once(ctx, attempt_ms(&patience), &reason);

		if (status == MR_OK)
			return MR_OK;
		status = wait_a_little(&patience, status, &reason);
		if (status) {
			if (err)
				*err = reason;
			return status;
		}
	}
}

struct topics_wanted {
	const struct topics_spec *spec;
	struct topics_info *ret;
};

static enum mr_status topics_once(void *ctx, int timeout_ms, struct mr_error *err)
{
	const struct topics_wanted *wanted = ctx;
	struct topics_spec spec = *wanted->spec;

	spec.timeout_ms = timeout_ms;
	return topics_setup(&spec, wanted->ret, err);
}

enum mr_status program_wait_topics(const struct topics_spec *spec, int wait_ms, int signal_fd, struct topics_info *ret,
				   struct mr_error *err)
{
	struct topics_wanted wanted = {spec, ret};

	return keep_trying(patience_of("Kafka", wait_ms, signal_fd), topics_once, &wanted, err);
}

static enum mr_status store_once(void *ctx, int timeout_ms, struct mr_error *err)
{
	const struct store_config *const *config = ctx;

	return store_check(*config, timeout_ms, err);
}

enum mr_status program_wait_store(const struct store_config *config, int wait_ms, int signal_fd, struct mr_error *err)
{
	return keep_trying(patience_of("Redis", wait_ms, signal_fd), store_once, &config, err);
}
