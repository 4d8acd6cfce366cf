/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/message.h"

#include <assert.h>

#define ABSENT UINT32_MAX

/* Counts only where `out` is NULL, so that size and bytes come from the same code. */
struct writer {
	char *out;
	size_t len;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->out && len > 0)
		memcpy(w->out + w->len, data, len);
	w->len += len;
}

static void put_int(struct writer *w, int64_t value)
{
	put(w, &value, sizeof(value));
}

static void put_bytes(struct writer *w, struct bytes b)
{
	uint32_t len = b.data ? (uint32_t)b.len : ABSENT;

	assert(b.len < ABSENT);
	put(w, &len, sizeof(len));
	if (!b.data)
		return;
	put(w, b.data, b.len);
	put(w, "", 1);
}

static void put_payload(struct writer *w, const struct payload *payload)
{
	put_bytes(w, payload->data);
	put_bytes(w, payload->content_type);
	put_bytes(w, payload->encoding);
}

static void put_retry(struct writer *w, const struct retry_policy *policy)
{
	put_int(w, policy->initial_interval_ms);
	put(w, &policy->backoff_coefficient, sizeof(policy->backoff_coefficient));
	put_int(w, policy->maximum_interval_ms);
	put_int(w, policy->maximum_attempts);
	put_int(w, (int64_t)policy->n_non_retryable_error_types);
	for (size_t i = 0; i < policy->n_non_retryable_error_types; i++)
		put_bytes(w, policy->non_retryable_error_types[i]);
}

static void put_headers(struct writer *w, const struct headers *headers)
{
	put_int(w, (int64_t)headers->len);
	for (size_t i = 0; i < headers->len; i++) {
		put_bytes(w, headers->items[i].name);
		put_bytes(w, headers->items[i].value);
	}
}

#define INFO_BYTES(info)                                                                                                         \
	{                                                                                                                        \
		&(info)->task_key, &(info)->workflow_id, &(info)->activity_id, &(info)->run_id, &(info)->activity_type,          \
			&(info)->queue, &(info)->worker, &(info)->token                                                          \
	}
#define INFO_INTS(info)                                                                                                          \
	{                                                                                                                        \
		&(info)->epoch, &(info)->attempt, &(info)->scheduled_at_ms, &(info)->attempt_scheduled_at_ms,                    \
			&(info)->schedule_to_close_timeout_ms, &(info)->schedule_to_start_timeout_ms,                            \
			&(info)->start_to_close_timeout_ms, &(info)->heartbeat_timeout_ms, &(info)->budget_ms                    \
	}
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void put_info(struct writer *w, const struct attempt_info *info)
{
	const struct bytes *texts[] = INFO_BYTES(info);
	const int64_t *ints[] = INFO_INTS(info);

	for (size_t i = 0; i < LENGTH(texts); i++)
		put_bytes(w, *texts[i]);
	for (size_t i = 0; i < LENGTH(ints); i++)
		put_int(w, *ints[i]);
	put_int(w, info->priority);
	put_retry(w, &info->retry_policy);
	put_headers(w, &info->headers);
	put_payload(w, &info->heartbeat_details);
	put_payload(w, &info->input);
}

static void put_failure(struct writer *w, const struct failure *failure)
{
	put_bytes(w, failure->type);
	put_bytes(w, failure->message);
	put_int(w, failure->non_retryable);
	put_int(w, failure->benign);
	put_int(w, failure->next_retry_delay_ms);
	put_int(w, failure->timeout_type);
	put_payload(w, &failure->details);
}

static void put_outcome(struct writer *w, const struct outcome *outcome)
{
	int64_t depth = 0;

	put_int(w, outcome->kind);
	put_payload(w, &outcome->result);
	for (const struct failure *f = &outcome->failure; f && depth < FAILURE_MAX_DEPTH; f = f->cause)
		depth++;
	put_int(w, depth);
	for (const struct failure *f = &outcome->failure; f && depth > 0; f = f->cause, depth--)
		put_failure(w, f);
}

struct reader {
	const char *at, *end;
	bool bad;
};

static void get(struct reader *r, void *ret, size_t len)
{
	if ((size_t)(r->end - r->at) < len) {
		r->bad = true;
		memset(ret, 0, len);
		return;
	}
	memcpy(ret, r->at, len);
	r->at += len;
}

static int64_t get_int(struct reader *r)
{
	int64_t value;

	get(r, &value, sizeof(value));
	return value;
}

/* Enum values and flags. */
static int64_t get_small(struct reader *r, int64_t limit)
{
	int64_t value = get_int(r);

	if (value < 0 || value > limit) {
		r->bad = true;
		return 0;
	}
	return value;
}

static struct bytes get_bytes(struct reader *r)
{
	struct bytes b;
	uint32_t len;

	get(r, &len, sizeof(len));
	if (r->bad || len == ABSENT)
		return BYTES_NONE;
	if ((size_t)(r->end - r->at) < (size_t)len + 1 || r->at[len] != '\0') {
		r->bad = true;
		return BYTES_NONE;
	}
	b = (struct bytes){r->at, len};
	r->at += (size_t)len + 1;
	return b;
}

/* A count of things that take at least 4 bytes each. */
static size_t get_count(struct reader *r)
{
	return (size_t)get_small(r, (r->end - r->at) / 4);
}

static struct payload get_payload(struct reader *r)
{
	struct payload payload;

	payload.data = get_bytes(r);
	payload.content_type = get_bytes(r);
	payload.encoding = get_bytes(r);
	return payload;
}

static void get_retry(struct reader *r, struct arena *arena, struct retry_policy *ret)
{
	struct bytes *types;

	ret->initial_interval_ms = get_int(r);
	get(r, &ret->backoff_coefficient, sizeof(ret->backoff_coefficient));
	ret->maximum_interval_ms = get_int(r);
	ret->maximum_attempts = get_int(r);
	ret->n_non_retryable_error_types = get_count(r);
	ret->non_retryable_error_types = NULL;
	if (ret->n_non_retryable_error_types == 0)
		return;
	types = arena_alloc(arena, ret->n_non_retryable_error_types * sizeof(*types));
	for (size_t i = 0; i < ret->n_non_retryable_error_types; i++)
		types[i] = get_bytes(r);
	ret->non_retryable_error_types = types;
}

static void get_headers(struct reader *r, struct arena *arena, struct headers *ret)
{
	struct header *items;

	ret->len = get_count(r);
	ret->items = NULL;
	if (ret->len == 0)
		return;
	items = arena_alloc(arena, ret->len * sizeof(*items));
	for (size_t i = 0; i < ret->len; i++) {
		items[i].name = get_bytes(r);
		items[i].value = get_bytes(r);
	}
	ret->items = items;
}

static void get_failure(struct reader *r, struct failure *ret)
{
	ret->type = get_bytes(r);
	ret->message = get_bytes(r);
	ret->non_retryable = get_small(r, 1) == 1;
	ret->benign = get_small(r, 1) == 1;
	ret->next_retry_delay_ms = get_int(r);
	ret->timeout_type = (enum timeout_type)get_small(r, TIMEOUT_SCHEDULE_TO_CLOSE);
	ret->details = get_payload(r);
	ret->cause = NULL;
}

size_t message_info_bytes(const struct attempt_info *info)
{
	struct writer w = {NULL, 0};

	put_info(&w, info);
	return w.len;
}

void message_info_write(const struct attempt_info *info, char *out)
{
	struct writer w = {out, 0};

	put_info(&w, info);
}

bool message_info_read(struct bytes message, struct arena *arena, struct attempt_info *ret)
{
	struct reader r = {message.data, message.data + message.len, false};
	struct bytes *texts[] = INFO_BYTES(ret);
	int64_t *ints[] = INFO_INTS(ret);

	for (size_t i = 0; i < LENGTH(texts); i++)
		*texts[i] = get_bytes(&r);
	for (size_t i = 0; i < LENGTH(ints); i++)
		*ints[i] = get_int(&r);
	ret->priority = (int)get_small(&r, 100);
	get_retry(&r, arena, &ret->retry_policy);
	get_headers(&r, arena, &ret->headers);
	ret->heartbeat_details = get_payload(&r);
	ret->input = get_payload(&r);
	return !r.bad && r.at == r.end;
}

size_t message_outcome_bytes(const struct outcome *outcome)
{
	struct writer w = {NULL, 0};

	put_outcome(&w, outcome);
	return w.len;
}

void message_outcome_write(const struct outcome *outcome, char *out)
{
	struct writer w = {out, 0};

	put_outcome(&w, outcome);
}

bool message_outcome_read(struct bytes message, struct arena *arena, struct outcome *ret)
{
	struct reader r = {message.data, message.data + message.len, false};
	struct failure *failure = &ret->failure;
	int64_t depth;

	ret->kind = (enum outcome_kind)get_small(&r, OUTCOME_PENDING);
	ret->result = get_payload(&r);
	ret->heartbeat_details = (struct payload){.data = BYTES_NONE};
	depth = get_small(&r, FAILURE_MAX_DEPTH);
	if (depth == 0)
		return false;
	get_failure(&r, failure);
	while (--depth > 0) {
		struct failure *cause = arena_alloc(arena, sizeof(*cause));

		get_failure(&r, cause);
		failure->cause = cause;
		failure = cause;
	}
	return !r.bad && r.at == r.end;
}

size_t message_payload_bytes(const struct payload *payload)
{
	struct writer w = {NULL, 0};

	put_payload(&w, payload);
	return w.len;
}

void message_payload_write(const struct payload *payload, char *out)
{
	struct writer w = {out, 0};

	put_payload(&w, payload);
}

bool message_payload_read(struct bytes message, struct payload *ret)
{
	struct reader r = {message.data, message.data + message.len, false};

	*ret = get_payload(&r);
	return !r.bad && r.at == r.end;
}
