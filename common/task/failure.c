/* SPDX-License-Identifier: Apache-2.0 */
#include "task/failure.h"

/* What an entry of the history gets at least, so that one long message does not push out all others. */
#define SHARE_MIN_BYTES (FAILURE_KEEP_BYTES / FAILURE_HISTORY)

static size_t payload_bytes(const struct payload *payload)
{
	return payload->data.len + payload->content_type.len + payload->encoding.len;
}

size_t failure_bytes(const struct failure *failure)
{
	size_t total = 0;

	for (; failure; failure = failure->cause)
		total += failure->type.len + failure->message.len + payload_bytes(&failure->details);
	return total;
}

static size_t chain_depth(const struct failure *failure)
{
	size_t depth = 0;

	for (; failure; failure = failure->cause)
		depth++;
	return depth;
}

/* The longest prefix of `text` within `max` bytes that does not end inside a UTF-8 character. */
static struct bytes text_cut(struct bytes text, size_t max)
{
	if (text.len <= max)
		return text;
	size_t len = max;
	while (len > 0 && max - len < 4 && ((unsigned char)text.data[len] & 0xc0) == 0x80)
		len--;
	/* Not UTF-8 at all: any cut is as good. */
	if (((unsigned char)text.data[len] & 0xc0) == 0x80)
		len = max;
	return (struct bytes){text.data, len};
}

static struct failure *link_cut(const struct failure *failure, size_t *left, struct arena *arena)
{
	struct failure *cut = arena_alloc(arena, sizeof(*cut));

	*cut = *failure;
	cut->type = text_cut(failure->type, *left);
	*left -= cut->type.len;
	cut->message = text_cut(failure->message, *left);
	*left -= cut->message.len;
	if (payload_bytes(&failure->details) > *left)
		cut->details = (struct payload){.data = BYTES_NONE};
	*left -= payload_bytes(&cut->details);
	cut->cause = NULL;
	return cut;
}

const struct failure *failure_cut(const struct failure *failure, size_t max_bytes, struct arena *arena)
{
	if (failure_bytes(failure) <= max_bytes && chain_depth(failure) <= FAILURE_MAX_DEPTH)
		return failure;
	size_t left = max_bytes;
	struct failure *first = link_cut(failure, &left, arena), *last = first;
	for (int depth = 1; depth < FAILURE_MAX_DEPTH && failure->cause && left > 0; depth++) {
		struct failure *next;

		failure = failure->cause;
		next = link_cut(failure, &left, arena);
		last->cause = next;
		last = next;
	}
	return first;
}

/* Newest first gets what it needs, as long as each older one keeps its share. */
void attempt_failures_add(const struct attempt_failure *former, size_t n_former, const struct attempt_failure *added,
			  struct arena *arena, const struct attempt_failure **ret, size_t *ret_n)
{
	size_t skip = n_former + 1 > FAILURE_HISTORY ? n_former + 1 - FAILURE_HISTORY : 0;
	size_t n = n_former - skip + 1, left = FAILURE_KEEP_BYTES;
	struct attempt_failure *kept = arena_alloc(arena, n * sizeof(*kept));

	for (size_t i = n; i-- > 0;) {
		kept[i] = i == n - 1 ? *added : former[skip + i];
		kept[i].failure = *failure_cut(&kept[i].failure, left - i * SHARE_MIN_BYTES, arena);
		left -= failure_bytes(&kept[i].failure);
	}
	*ret = kept;
	*ret_n = n;
}

const struct failure *attempt_failures_last_real(const struct attempt_failure *failures, size_t n)
{
	for (size_t i = n; i-- > 0;)
		if (failures[i].failure.timeout_type == TIMEOUT_NONE)
			return &failures[i].failure;
	return NULL;
}

struct failure failure_of_lost_worker(void)
{
	struct failure failure;

	failure_init(&failure);
	failure.type = BYTES_LIT("WorkerLost");
	failure.message = BYTES_LIT("the worker that ran the attempt is gone");
	return failure;
}

void attempt_failures_add_lost(int64_t first, int64_t attempt, int64_t at_ms, struct arena *arena,
			       const struct attempt_failure **failures, size_t *n)
{
	struct attempt_failure lost = {.started_at_ms = TASK_UNSET, .failed_at_ms = at_ms, .failure = failure_of_lost_worker()};

	if (attempt - first > FAILURE_HISTORY)
		first = attempt - FAILURE_HISTORY;
	for (lost.attempt = first; lost.attempt < attempt; lost.attempt++)
		attempt_failures_add(*failures, *n, &lost, arena, failures, n);
}
