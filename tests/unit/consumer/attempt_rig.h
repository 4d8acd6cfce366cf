/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_ATTEMPT_RIG_H
#define CONSUMER_ATTEMPT_RIG_H

#include "lib/executor.h"
#include "lib/pool.h"

/* A pool with its executors and nothing around it: pushes attempts and keeps what comes back. */

#define RIG_TIMEOUT_MS 20000

struct rig_attempt {
	uint64_t handle;
	int started, ended, beats;
	enum outcome_kind kind;
	char *result; /* NUL-terminated; NULL: absent */
	size_t result_bytes;
	char *content_type;
	char *failure_type, *message, *details, *cause_type;
	char *beat_details; /* of the last HEARTBEAT event */
	char *last_details; /* of the outcome */
	bool non_retryable, benign;
	int64_t next_retry_delay_ms;
	int64_t started_mono_us, ended_mono_us, beat_mono_us;
};

struct rig {
	struct mr_registry *registry;
	struct pool *pool;
	struct executor *executor;
	struct pool_config config;
	struct rig_attempt *attempts;
	size_t n_attempts;
	bool keep_entries;     /* do not free ledger entries at the end of attempts */
	bool first_beats_only; /* do not ask for further heartbeats to be told */
};

/* A registry to fill; slots 2, depth 64, grace 200 ms until changed in `config`. */
void rig_init(struct rig *rig);
void rig_start(struct rig *rig);
void rig_deinit(struct rig *rig);
/* Forgets the attempts from `keep` on, which have ended. */
void rig_forget(struct rig *rig, size_t keep);

void rig_info(struct attempt_info *ret, const char *type, const char *input, size_t bytes);
/* The index of the attempt; fails the test where there is no room. */
size_t rig_push(struct rig *rig, const char *type, const char *input);
size_t rig_push_info(struct rig *rig, const struct attempt_info *info);
void rig_poll(struct rig *rig, int timeout_ms);
/* Polls until it has ended. */
const struct rig_attempt *rig_wait(struct rig *rig, size_t i);
void rig_wait_started(struct rig *rig, size_t i);
const struct rig_attempt *rig_run(struct rig *rig, const char *type, const char *input);
/* True once the condition holds; looks each few ms. */
bool rig_eventually(bool (*condition)(void *ctx), void *ctx);
/* For conditions: true where no such process lives. */
bool rig_process_is_gone(void *pid_as_pointer);

#endif
