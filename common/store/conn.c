/* SPDX-License-Identifier: Apache-2.0 */
#include "store/conn.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store_scripts.h"

#define RECONNECT_MIN_US 50000
#define RECONNECT_MAX_US 1000000
#define RETRY_MIN_US 10000
#define RETRY_MAX_US 1000000
/* How much is handed to hiredis at a time. */
#define WRITE_BYTES (256u * 1024)

static const char *const script_texts[SCRIPTS] = {
#define XX(name) store_script_##name,
	STORE_SCRIPT_MAP(XX)
#undef XX
};

/* ---- lists ---- */

void call_list_append(struct call_list *list, struct call *call)
{
	call->next = NULL;
	if (list->tail)
		list->tail->next = call;
	else
		list->head = call;
	list->tail = call;
	list->len++;
}

struct call *call_list_take(struct call_list *list)
{
	struct call *call = list->head;

	if (!call)
		return NULL;
	list->head = call->next;
	if (!list->head)
		list->tail = NULL;
	list->len--;
	call->next = NULL;
	return call;
}

static void call_list_append_all(struct call_list *list, struct call_list *from)
{
	for (struct call *call; (call = call_list_take(from));)
		call_list_append(list, call);
}

/* ---- ends of a call ---- */

static bool is_command(const struct call *call)
{
	return call->script == CALL_COMMAND;
}

static void call_end(struct store *store, struct call *call, enum mr_status status, const redisReply *reply)
{
	assert(!is_command(call) && store->pending_bytes >= call->request.len);
	store->pending_bytes -= call->request.len;
	store->refused -= call->tries > 0;
	call->answer(store, call, status, reply);
	arena_reset(&store->arena);
	call_free(call);
}

static void health(struct store *store, enum mr_status status, const char *message)
{
	if (store->callbacks.health)
		store->callbacks.health(store->callbacks.ctx, status, message);
}

static void trouble(struct store *store, const char *message)
{
	store->troubled = true;
	health(store, MR_EREDIS, message);
}

static int64_t backoff_us(int64_t min_us, int64_t max_us, unsigned n)
{
	int64_t us = n < 16 ? min_us << n : max_us;

	return us < max_us ? us : max_us;
}

/* Sorts what was under way: commands of the handshake are dropped, calls go out again, those not worth it are handed back to
 * be failed. */
static struct call_list take_back_sent(struct store *store)
{
	struct call_list again = {0}, failed = {0};

	for (struct call *call; (call = call_list_take(&store->sent));) {
		if (is_command(call))
			call_free(call);
		else
			call_list_append(call->once ? &failed : &again, call);
	}
	call_list_append_all(&again, &store->again);
	for (struct call *call; (call = call_list_take(&again));) {
		if (is_command(call))
			call_free(call);
		else
			call_list_append(&store->again, call);
	}
	return failed;
}

static void conn_lost(struct store *store, int64_t now_us, const char *why)
{
	bool was_up = store->state == LINK_UP, first = store->failures == 0;

	link_close(&store->link);
	store->state = LINK_DOWN;
	store->reconnect_at_us = now_us + backoff_us(RECONNECT_MIN_US, RECONNECT_MAX_US, store->failures);
	store->failures++;
	store->troubled = false;
	memset(store->loading, 0, sizeof(store->loading));
	struct call_list failed = take_back_sent(store);

	if (was_up || first)
		health(store, MR_EREDIS, why);
	for (struct call *call; (call = call_list_take(&failed));)
		call_end(store, call, MR_EREDIS, NULL);
}

void conn_free(struct store *store)
{
	struct call_list all = take_back_sent(store);

	link_close(&store->link);
	store->state = LINK_DOWN;
	store->closing = true;
	call_list_append_all(&all, &store->again);
	call_list_append_all(&all, &store->waiting);
	call_list_append_all(&all, &store->later);
	for (struct call *call; (call = call_list_take(&all));)
		call_end(store, call, MR_EREDIS, NULL);
}

/* ---- sending ---- */

static void send_call(struct store *store, struct call *call)
{
	if (!is_command(call))
		call_set_sha(call, store->sha[call->script]);
	link_append(&store->link, buf_bytes(&call->request));
	call_list_append(&store->sent, call);
}

/* Hands calls over as long as the socket takes them. */
static enum mr_status send_calls(struct store *store, struct mr_error *err)
{
	for (;;) {
		enum mr_status status = link_flush(&store->link, err);

		if (status != MR_OK || store->link.unsent || store->state != LINK_UP ||
		    (!store->again.len && !store->waiting.len))
			return status;
		int64_t now_us = clock_mono_us();
		struct call *call;

		for (size_t bytes = 0;
		     bytes < WRITE_BYTES && (call = call_list_take(store->again.len ? &store->again : &store->waiting));) {
			call->sent_us = now_us;
			bytes += call->request.len;
			send_call(store, call);
		}
	}
}

/* ---- the handshake ---- */

static struct call *script_load(enum store_script script)
{
	const struct bytes words[] = {BYTES_LIT("SCRIPT"), BYTES_LIT("LOAD"), bytes_of(script_texts[script])};
	struct call *call = call_command(words, 3);

	call->first = (int)script;
	return call;
}

/* A command that has nothing to tell but that it went well. */
#define NOT_A_SCRIPT (-1)

static void greet(struct store *store, const struct bytes *words, size_t n)
{
	struct call *call = call_command(words, n);

	call->first = NOT_A_SCRIPT;
	call->sent_us = clock_mono_us();
	send_call(store, call);
}

static void greet_begin(struct store *store)
{
	const struct redis_url *url = &store->url;

	store->state = LINK_GREETING;
	if (url->password) {
		struct bytes words[] = {BYTES_LIT("AUTH"), bytes_of(url->user ? url->user : "default"), bytes_of(url->password)};

		greet(store, words, 3);
	}
	if (url->db) {
		char db[16];

		snprintf(db, sizeof(db), "%d", url->db);
		greet(store, (struct bytes[]){BYTES_LIT("SELECT"), bytes_of(db)}, 2);
	}
	for (size_t i = 0; i < SCRIPTS; i++) {
		struct call *call = script_load((enum store_script)i);

		call->sent_us = clock_mono_us();
		send_call(store, call);
	}
}

static enum mr_status command_answered(struct store *store, const struct call *call, const redisReply *reply,
				       struct mr_error *err)
{
	if (reply->type == REDIS_REPLY_ERROR)
		return mr_error_set(err, MR_EREDIS, "redis", "refused: %.*s", (int)reply->len, reply->str);
	if (call->first != NOT_A_SCRIPT) {
		if (reply->type != REDIS_REPLY_STRING || reply->len != SHA_BYTES)
			return mr_error_set(err, MR_EREDIS, "redis", "SCRIPT LOAD gave no digest");
		memcpy(store->sha[call->first], reply->str, SHA_BYTES);
		store->loading[call->first] = false;
	}
	if (store->state == LINK_GREETING && store->sent.len == 0) {
		store->state = LINK_UP;
		store->failures = 0;
		health(store, MR_OK, "connected to Redis");
	}
	return MR_OK;
}

/* ---- answers ---- */

enum refusal {
	REFUSAL_NONE,
	REFUSAL_SCRIPT_UNKNOWN, /* load it and send the call again */
	REFUSAL_FOR_NOW,        /* send the call again after a while */
	REFUSAL_WRONG_SERVER,   /* a replica, or credentials that changed: connect anew */
	REFUSAL_FOR_GOOD,
};

static enum refusal classify(const redisReply *reply)
{
	static const struct {
		const char *code;
		enum refusal refusal;
	} codes[] = {
		{"NOSCRIPT", REFUSAL_SCRIPT_UNKNOWN},
		{"LOADING", REFUSAL_FOR_NOW},
		{"BUSY", REFUSAL_FOR_NOW},
		{"OOM", REFUSAL_FOR_NOW},
		{"MISCONF", REFUSAL_FOR_NOW},
		{"NOREPLICAS", REFUSAL_FOR_NOW},
		{"MASTERDOWN", REFUSAL_FOR_NOW},
		{"TRYAGAIN", REFUSAL_FOR_NOW},
		{"CLUSTERDOWN", REFUSAL_FOR_NOW},
		{"READONLY", REFUSAL_WRONG_SERVER},
		{"NOAUTH", REFUSAL_WRONG_SERVER},
	};

	if (reply->type != REDIS_REPLY_ERROR)
		return REFUSAL_NONE;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		size_t len = strlen(codes[i].code);

		if ((size_t)reply->len >= len && memcmp(reply->str, codes[i].code, len) == 0 &&
		    ((size_t)reply->len == len || reply->str[len] == ' '))
			return codes[i].refusal;
	}
	return REFUSAL_FOR_GOOD;
}

static void load_and_send_again(struct store *store, struct call *call)
{
	if (!store->loading[call->script]) {
		store->loading[call->script] = true;
		call_list_append(&store->again, script_load(call->script));
	}
	call_list_append(&store->again, call);
}

static void send_later(struct store *store, struct call *call, const redisReply *reply, int64_t now_us)
{
	store->refused += call->tries == 0;
	call->retry_at_us = now_us + backoff_us(RETRY_MIN_US, RETRY_MAX_US, call->tries++);
	call_list_append(&store->later, call);
	if (!store->troubled)
		trouble(store, reply->str);
}

static void refused_for_good(struct store *store, struct call *call, const redisReply *reply)
{
	char message[512];

	snprintf(message, sizeof(message), "Redis refused %s: %.*s", store_script_names[call->script], (int)reply->len,
		 reply->str);
	trouble(store, message);
	call_end(store, call, MR_EREDIS, NULL);
}

static void call_answered(struct store *store, struct call *call, const redisReply *reply, int64_t now_us)
{
	int64_t time_ms = reply_int(reply, 0, -1);

	if (time_ms < 0) {
		trouble(store, "an answer of Redis is not that of our script");
		call_end(store, call, MR_EREDIS, NULL);
		return;
	}
	redis_clock_sample(&store->clock, time_ms, call->sent_us, now_us);
	call_end(store, call, MR_OK, reply);
	/* That one call is accepted does not mean that all are: with full memory, those that end something go on. */
	if (store->troubled && store->refused == 0) {
		store->troubled = false;
		health(store, MR_OK, "Redis accepts calls again");
	}
}

static enum mr_status answered(struct store *store, struct call *call, const redisReply *reply, int64_t now_us,
			       struct mr_error *err)
{
	if (is_command(call)) {
		enum mr_status status = command_answered(store, call, reply, err);

		call_free(call);
		return status;
	}
	switch (classify(reply)) {
	case REFUSAL_NONE:
		call_answered(store, call, reply, now_us);
		break;
	case REFUSAL_SCRIPT_UNKNOWN:
		load_and_send_again(store, call);
		break;
	case REFUSAL_FOR_NOW:
		send_later(store, call, reply, now_us);
		break;
	case REFUSAL_WRONG_SERVER:
		call_list_append(&store->again, call);
		return mr_error_set(err, MR_EREDIS, "redis", "refused: %.*s", (int)reply->len, reply->str);
	case REFUSAL_FOR_GOOD:
		refused_for_good(store, call, reply);
		break;
	}
	return MR_OK;
}

static enum mr_status receive(struct store *store, struct mr_error *err)
{
	enum mr_status status = link_read(&store->link, err);
	int64_t now_us = clock_mono_us();

	while (status == MR_OK) {
		redisReply *reply = NULL;

		status = link_reply(&store->link, &reply, err);
		if (!reply)
			break;
		struct call *call = call_list_take(&store->sent);

		status = call ? answered(store, call, reply, now_us, err)
			      : mr_error_set(err, MR_EREDIS, "redis", "an answer that nobody asked for");
		freeReplyObject(reply);
	}
	return status;
}

/* ---- time ---- */

/* `later` is not sorted: calls are refused for now a few at a time. */
static int64_t next_retry_us(const struct store *store)
{
	int64_t next_us = INT64_MAX;

	for (const struct call *call = store->later.head; call; call = call->next)
		next_us = call->retry_at_us < next_us ? call->retry_at_us : next_us;
	return next_us;
}

static void wake_later(struct store *store, int64_t now_us)
{
	struct call_list later = store->later;

	store->later = (struct call_list){0};
	for (struct call *call; (call = call_list_take(&later));)
		call_list_append(call->retry_at_us <= now_us ? &store->again : &store->later, call);
}

static int64_t answer_due_us(const struct store *store)
{
	return store->sent.head ? store->sent.head->sent_us + (int64_t)store->config.call_timeout_ms * 1000 : INT64_MAX;
}

int64_t store_deadline_us(const struct store *store)
{
	int64_t due_us;

	switch (store->state) {
	case LINK_DOWN:
		return store->reconnect_at_us;
	case LINK_CONNECTING:
	case LINK_GREETING:
		return store->give_up_at_us;
	case LINK_UP:
		if (!store->link.unsent && (store->again.len || store->waiting.len))
			return 0;
		due_us = answer_due_us(store);
		return due_us < next_retry_us(store) ? due_us : next_retry_us(store);
	}
	return INT64_MAX;
}

static enum mr_status check_time(struct store *store, int64_t now_us, struct mr_error *err)
{
	switch (store->state) {
	case LINK_DOWN:
		return MR_OK;
	case LINK_CONNECTING:
	case LINK_GREETING:
		if (now_us < store->give_up_at_us)
			return MR_OK;
		return mr_error_set(err, MR_EREDIS, "redis", "no connection within %d ms", store->config.connect_timeout_ms);
	case LINK_UP:
		if (now_us < answer_due_us(store))
			return MR_OK;
		return mr_error_set(err, MR_EREDIS, "redis", "no answer for %d ms", store->config.call_timeout_ms);
	}
	return MR_OK;
}

static enum mr_status advance(struct store *store, short revents, int64_t now_us, struct mr_error *err)
{
	enum mr_status status = MR_OK;
	bool established = false;

	if (store->state == LINK_DOWN) {
		if (now_us < store->reconnect_at_us)
			return MR_OK;
		store->state = LINK_CONNECTING;
		store->give_up_at_us = now_us + (int64_t)store->config.connect_timeout_ms * 1000;
		status = link_open(&store->link, &store->url, err);
	}
	if (status == MR_OK && store->state == LINK_CONNECTING) {
		status = link_establish(&store->link, &store->url, &established, err);
		if (established && status == MR_OK)
			greet_begin(store);
	} else if (status == MR_OK && (revents & (POLLIN | POLLERR | POLLHUP))) {
		status = receive(store, err);
	}
	if (status == MR_OK)
		status = check_time(store, now_us, err);
	wake_later(store, now_us);
	if (status == MR_OK && (store->state == LINK_GREETING || store->state == LINK_UP))
		status = send_calls(store, err);
	return status;
}

void store_poll(struct store *store, short revents, int64_t now_mono_us)
{
	struct mr_error err = {0};

	assert(!store->in_poll);
	store->in_poll = true;
	if (advance(store, revents, now_mono_us, &err) != MR_OK)
		conn_lost(store, now_mono_us, err.message);
	store->in_poll = false;
}
