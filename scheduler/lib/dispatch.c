/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "lib/job.h"

/*
 * Republication (design.md 3): the value of the task record unchanged, the user's headers, and the reserved ones that make it
 * attempt n. Any partition will do: the key of the task spreads them, whatever the record's own key is, and each attempt goes to
 * the next one, so that what one worker cannot run comes to others.
 */
#define RESERVED_MAX 12

static int32_t spread(struct scheduler *s, const char *topic, struct bytes key, int64_t attempt)
{
	int count = bus_partition_count(s->links.bus, topic);

	return count > 0 ? (int32_t)((bytes_murmur2(key) + (uint64_t)attempt) % (uint64_t)count) : BUS_BY_KEY;
}

static struct bytes number(struct scheduler *s, int64_t value)
{
	return arena_printf(&s->arena, "%lld", (long long)value);
}

/* What is for the next attempt to know, and may be left out where the record would be too large. */
static size_t remembered(struct scheduler *s, const struct journal_record *record, struct header *items)
{
	const struct payload *heartbeat = &record->heartbeat_details;
	size_t n = 0;

	if (record->n_failures > 0) {
		buf_reset(&s->scratch);
		wire_encode_history(s->links.wire, record->failures, record->n_failures, &s->scratch);
		items[n++] = (struct header){BYTES_LIT(HEADER_HISTORY), buf_bytes(&s->scratch)};
	}
	if (bytes_present(heartbeat->data)) {
		items[n++] = (struct header){BYTES_LIT(HEADER_HEARTBEAT), heartbeat->data};
		if (heartbeat->content_type.len > 0)
			items[n++] = (struct header){BYTES_LIT(HEADER_HEARTBEAT_TYPE), heartbeat->content_type};
		if (heartbeat->encoding.len > 0)
			items[n++] = (struct header){BYTES_LIT(HEADER_HEARTBEAT_ENCODING), heartbeat->encoding};
	}
	return n;
}

static size_t reserved(const struct job *job, const struct journal_record *record, struct header *items)
{
	struct scheduler *s = job->shard->s;
	size_t n = 0;

	items[n++] = (struct header){BYTES_LIT(HEADER_KEY), job->key};
	items[n++] = (struct header){BYTES_LIT(HEADER_RUN), job->run_id};
	items[n++] = (struct header){BYTES_LIT(HEADER_EPOCH), number(s, job->epoch)};
	items[n++] = (struct header){BYTES_LIT(HEADER_ATTEMPT), number(s, job->attempt)};
	items[n++] = (struct header){BYTES_LIT(HEADER_HOPS), BYTES_LIT("0")};
	if (record->scheduled_at_ms != TASK_UNSET)
		items[n++] = (struct header){BYTES_LIT(HEADER_SCHEDULED_AT), number(s, record->scheduled_at_ms)};
	items[n++] = (struct header){BYTES_LIT(HEADER_DISPATCHED_AT), number(s, job->dispatched_at_ms)};
	if (job->options.len > 0)
		items[n++] = (struct header){BYTES_LIT(HEADER_OPTIONS), job->options};
	if (job->size == JOB_WHOLE)
		n += remembered(s, record, items + n);
	assert(n <= RESERVED_MAX);
	return n;
}

enum mr_status dispatch_send(struct job *job, const struct journal_record *record)
{
	struct scheduler *s = job->shard->s;
	const char *topic = arena_copy(&s->arena, record->topic).data;
	struct header *items = arena_alloc(&s->arena, (record->headers.len + RESERVED_MAX) * sizeof(*items));
	struct bus_record out = {.topic = topic, .key = record->task_record_key, .value = record->task};
	size_t n = 0;
	enum mr_status status;

	assert(topic && bytes_present(record->task));
	for (size_t i = 0; i < record->headers.len; i++) {
		if (!header_is_reserved(record->headers.items[i].name))
			items[n++] = record->headers.items[i];
	}
	n += reserved(job, record, items + n);
	out.headers = (struct headers){items, n};
	out.partition = spread(s, topic, job->key, job->attempt);
	status = bus_produce(s->links.bus, &out, &job->tag);
	if (status == MR_OK)
		job->unacked = 1;
	return status;
}
