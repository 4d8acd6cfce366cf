/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/core.h"

/* Recovery, step 4: results read from the log and stored again as final states, for the shards that are at it. */

void replay_init(struct replay *replay, int shards)
{
	replay->reading = mem_alloc((size_t)shards * sizeof(bool));
}

void replay_deinit(struct replay *replay)
{
	free(replay->reading);
}

/* The set that is read is replaced as a whole; those that stay in it go on where they are. */
void replay_set(struct scheduler *s)
{
	CLEANUP_FREE struct bus_partition *partitions = mem_realloc_array(NULL, (size_t)s->config.shards, sizeof(*partitions));
	size_t n = 0;

	for (int i = 0; i < s->config.shards; i++) {
		const struct shard *shard = &s->shards[i];
		const struct cursor *cursor = &shard->recovery.results;

		s->replay.reading[i] = shard->phase == PHASE_RESULTS && !cursor->caught_up;
		if (!s->replay.reading[i])
			continue;
		partitions[n++] = (struct bus_partition){
			.topic = s->results_topic,
			.partition = i,
			.offset = cursor->position < 0 ? BUS_OFFSET_BEGINNING : cursor->position,
		};
	}
	if (n == 0 && s->replay.n_reading == 0)
		return;
	s->replay.n_reading = n;
	s->replay.set_again = bus_read(s->links.bus, partitions, n) != MR_OK;
}

static void on_restored(void *ctx, enum mr_status status)
{
	struct shard *shard = shard_call_end(ctx);

	if (!shard)
		return;
	shard->recovery.restoring = false;
	if (status != MR_OK)
		shard_look_again(shard, status == MR_ECONFLICT ? 0 : RETRY_US, "restoring results was refused");
}

static bool is_state(const struct bus_message *message)
{
	if (!bytes_present(message->value))
		return false;
	for (size_t i = 0; i < message->headers.len; i++) {
		if (bytes_is(message->headers.items[i].name, HEADER_NOT_STATE))
			return false;
	}
	return true;
}

/* False where the record ends no task that is still remembered. */
static bool to_restore(struct shard *shard, const struct bus_message *message, int64_t oldest_ms, struct restore_request *ret)
{
	struct scheduler *s = shard->s;
	struct result result;
	struct mr_error err = {0};

	if (!is_state(message))
		return false;
	if (wire_decode_result(s->links.wire, message->value, &s->arena, &result, &err) != MR_OK) {
		s->stats.bad_records++;
		log_warn("a result cannot be understood and is passed over", LOG_I("partition", message->partition),
			 LOG_I("offset", message->offset), LOG_S("reason", err.message));
		return false;
	}
	if (result.closed_at_ms < oldest_ms || task_shard(result.task_key, s->config.shards) != shard->id)
		return false;
	*ret = (struct restore_request){
		.key = result.task_key,
		.run_id = result.run_id,
		.attempt = result.attempt,
		.status = result.status,
		.closed_at_ms = result.closed_at_ms,
		.publication = {.value = message->value, .headers = message->headers},
	};
	return true;
}

static void restore(struct shard *shard, struct bus_message *const *messages, size_t n)
{
	struct scheduler *s = shard->s;
	struct recovery *recovery = &shard->recovery;
	struct restore_request requests[INTAKE_BATCH];
	int64_t oldest_ms = s->links.redis->time_ms(s->links.store, s->now_us) - s->config.retention_ms;
	struct shard_call *call;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (messages[i]->offset < recovery->results.position)
			continue;
		cursor_read(&recovery->results, messages[i]->offset + 1, s->now_us);
		kept += to_restore(shard, messages[i], oldest_ms, &requests[kept]);
	}
	if (kept == 0)
		return;
	recovery->replayed_results += kept;
	s->stats.replayed_results += kept;
	call = shard_call_new(shard);
	recovery->restoring = shard_called(call, s->links.redis->restore(s->links.store, shard->id, bytes_of(shard->nonce),
									 requests, kept, on_restored, call));
	if (!recovery->restoring)
		shard_look_again(shard, RETRY_US, "no room for a call");
}

void replay_turn(struct shard *shard)
{
	struct scheduler *s = shard->s;
	struct recovery *recovery = &shard->recovery;
	struct bus_message *messages[INTAKE_BATCH];
	size_t n;

	if (recovery->results.caught_up)
		return;
	if (recovery->restoring || s->bus_lost || s->replay.set_again) {
		cursor_busy(&recovery->results, s->now_us);
		return;
	}
	n = bus_take(s->links.bus, s->results_topic, shard->id, messages, INTAKE_BATCH);
	if (n == 0)
		return;
	restore(shard, messages, n);
	for (size_t i = 0; i < n; i++)
		bus_message_free(s->links.bus, messages[i]);
	arena_reset(&s->arena);
}
