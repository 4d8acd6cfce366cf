/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_CONTEXT_H
#define CONSUMER_CONTEXT_H

#include <jansson.h>

#include "lib/executor.h"
#include "lib/registry.h"

/* One attempt as its activity sees it (`struct mr_attempt` of worker.h), the same in an executor process and in a thread. */

/* How the attempt reaches the loop. All may be called from any thread. */
struct context_host {
	void *ctx;
	void (*beat)(void *ctx, const struct payload *details); /* details absent: a beat without */
	enum cancel_reason (*cancel_reason)(void *ctx);
	int cancel_fd; /* readable once cancelled */
};

struct context_limits {
	int64_t max_output_bytes; /* of a result, and of all of a failure */
	int64_t grace_ms;         /* exec activities */
	bool keeper;              /* this process may reap all its children: descendants of an exec activity are its own */
};

struct mr_attempt {
	const struct attempt_info *info;
	const struct activity *activity;
	const struct context_host *host;
	const struct context_limits *limits;
	struct arena *arena;
	int64_t started_at_ms;
	struct outcome outcome;
	bool decided; /* one of the calls that end an attempt was made */
	bool input_is_json;
	struct mr_attempt_payload input;
	json_t *root; /* of the input, parsed when first asked for */
	struct mr_attempt_info *public_info;
};

/*
 * Runs an attempt to its end in the calling thread: finds the activity (or fails with NotFound), checks the input, runs function
 * or program, checks the result. The outcome lives in the arena. `started_at_ms`: wall clock.
 */
void context_run(const struct mr_registry *registry, const struct attempt_info *info, int64_t started_at_ms,
		 const struct context_host *host, const struct context_limits *limits, struct arena *arena, struct outcome *ret);

/* Sets the outcome; all bytes are borrowed and must live in the arena or in the program. */
void context_complete(struct mr_attempt *attempt, struct payload result);
void context_fail(struct mr_attempt *attempt, const char *type, bool non_retryable, struct bytes message);
/* The attempt stopped because of its cancel, by whatever reason that has. */
void context_canceled(struct mr_attempt *attempt);
/* Outcome cut to the limit: a result that is too large becomes failure ResultTooLarge, failures lose details, causes, then the
 * end of the message. */
void context_bound(struct outcome *outcome, int64_t max_bytes, struct arena *arena);

/* context_input.c: the input as the activity gets it; false where it does not match its schema (the failure is set). */
bool context_open_input(struct mr_attempt *attempt);
/* The result against the output schema; replaces the outcome where it does not match. */
void context_check_result(struct mr_attempt *attempt);
void context_close_input(struct mr_attempt *attempt);
/* context_info.c */
struct mr_attempt_payload context_public_payload(const struct payload *payload);

#endif
