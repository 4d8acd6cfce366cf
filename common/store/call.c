/* SPDX-License-Identifier: Apache-2.0 */
#include "store/call.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/store_impl.h"

const char *const store_script_names[SCRIPTS] = {
#define XX(name) #name,
	STORE_SCRIPT_MAP(XX)
#undef XX
};

static size_t digits_of(char out[24], uint64_t number)
{
	size_t len = 0, at = 24;
	char reversed[24];

	do {
		reversed[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	len = 24 - at;
	memcpy(out, reversed + at, len);
	return len;
}

static void append_count(struct buf *out, char kind, size_t count)
{
	char *at = buf_reserve(out, 32);

	*at = kind;
	size_t len = 1 + digits_of(at + 1, count);

	at[len++] = '\r';
	at[len++] = '\n';
	out->len += len;
}

static void append_bulk(struct buf *out, struct bytes text)
{
	append_count(out, '$', text.len);
	buf_append_bytes(out, text);
	buf_append(out, "\r\n", 2);
}

struct call *call_command(const struct bytes *words, size_t n)
{
	struct call *call = mem_alloc(sizeof(*call));

	call->script = CALL_COMMAND;
	append_count(&call->request, '*', n);
	for (size_t i = 0; i < n; i++)
		append_bulk(&call->request, words[i]);
	return call;
}

struct call *call_new(struct store *store, enum store_script script, size_t n_keys, size_t n_args)
{
	struct call *call = mem_alloc(sizeof(*call));

	assert(script < SCRIPTS);
	call->script = script;
	buf_reserve(&call->request, store->typical_bytes[script]);
	append_count(&call->request, '*', 3 + n_keys + n_args);
	append_bulk(&call->request, BYTES_LIT("EVALSHA"));
	append_count(&call->request, '$', SHA_BYTES);
	call->sha_at = call->request.len;
	buf_reserve(&call->request, SHA_BYTES + 2);
	call->request.len += SHA_BYTES;
	buf_append(&call->request, "\r\n", 2);
	call->args_left = n_keys + n_args + 1;
	call_arg_int(call, (int64_t)n_keys);
	return call;
}

void call_free(struct call *call)
{
	if (!call)
		return;
	buf_deinit(&call->request);
	free(call->order);
	free(call->shards);
	free(call->claims);
	free(call);
}

void call_set_sha(struct call *call, const char *sha)
{
	assert(call->script < SCRIPTS);
	memcpy(call->request.data + call->sha_at, sha, SHA_BYTES);
}

void call_arg(struct call *call, struct bytes arg)
{
	assert(call->args_left > 0);
	call->args_left--;
	append_bulk(&call->request, arg);
}

void call_arg_int(struct call *call, int64_t arg)
{
	char text[25] = "-";
	uint64_t magnitude = arg < 0 ? 0 - (uint64_t)arg : (uint64_t)arg;
	size_t len = digits_of(text + (arg < 0), magnitude) + (arg < 0);

	call_arg(call, (struct bytes){text, len});
}

void call_key(struct store *store, struct call *call, int shard, const char *kind, struct bytes name)
{
	struct bytes prefix = store->shard_prefixes[shard];
	size_t kind_len = strlen(kind), len = prefix.len + kind_len + name.len;

	assert(call->args_left > 0 && shard >= 0 && shard < store->config.shards);
	call->args_left--;
	append_count(&call->request, '$', len);
	char *at = buf_reserve(&call->request, len + 2);

	memcpy(at, prefix.data, prefix.len);
	memcpy(at + prefix.len, kind, kind_len);
	if (name.len)
		memcpy(at + prefix.len + kind_len, name.data, name.len);
	memcpy(at + len, "\r\n", 2);
	call->request.len += len + 2;
}

struct buf *call_scratch(struct store *store)
{
	buf_reset(&store->scratch);
	return &store->scratch;
}

/* ---- replies ---- */

static const redisReply *element(const redisReply *reply, size_t i)
{
	return reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i] : NULL;
}

struct bytes reply_bytes(const redisReply *reply, size_t i)
{
	const redisReply *item = element(reply, i);

	return item && item->type == REDIS_REPLY_STRING ? (struct bytes){item->str, (size_t)item->len} : BYTES_NONE;
}

int64_t reply_int(const redisReply *reply, size_t i, int64_t otherwise)
{
	const redisReply *item = element(reply, i);
	char *end;

	if (item && item->type == REDIS_REPLY_INTEGER)
		return item->integer;
	if (!item || item->type != REDIS_REPLY_STRING || item->len == 0)
		return otherwise;
	long long number = strtoll(item->str, &end, 10);

	return *end == '\0' ? number : otherwise;
}

char reply_letter(const redisReply *reply, size_t i)
{
	struct bytes text = reply_bytes(reply, i);

	return text.len == 1 ? text.data[0] : '\0';
}

enum mr_status reply_outcome(enum mr_status status, const redisReply *reply)
{
	if (status != MR_OK)
		return status;
	char letter = reply_letter(reply, 1);

	return letter == 'k' ? MR_OK : letter == 'c' ? MR_ECONFLICT : MR_EREDIS;
}

void answer_done(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	(void)store;
	(void)reply;
	if (call->done.done)
		call->done.done(call->ctx, status);
}

void answer_outcome(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	answer_done(store, call, reply_outcome(status, reply), reply);
}
