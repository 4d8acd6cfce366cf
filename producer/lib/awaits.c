/* SPDX-License-Identifier: Apache-2.0 */
/* 7 await: who waits for which key and run, until when, and which of the results that are read is theirs. */
#include "lib/awaits.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "lib/client_impl.h"
#include "lib/result_box.h"

void await_list_add(struct await_list *list, struct await *await)
{
	assert(!await->list);
	await->list = list;
	await->prev = list->tail;
	await->next = NULL;
	*(list->tail ? &list->tail->next : &list->head) = await;
	list->tail = await;
}

void await_list_remove(struct await *await)
{
	struct await_list *list = await->list;

	if (!list)
		return;
	*(await->prev ? &await->prev->next : &list->head) = await->next;
	*(await->next ? &await->next->prev : &list->tail) = await->prev;
	await->list = NULL;
}

/* ---- Deadlines: a binary heap that knows the place of each ---- */

static void heap_set(struct awaits *awaits, size_t i, struct await *await)
{
	awaits->heap[i] = await;
	await->timer = i;
}

static void heap_up(struct awaits *awaits, size_t i)
{
	struct await *await = awaits->heap[i];

	while (i > 0 && awaits->heap[(i - 1) / 2]->deadline_us > await->deadline_us) {
		heap_set(awaits, i, awaits->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(awaits, i, await);
}

static void heap_down(struct awaits *awaits, size_t i)
{
	struct await *await = awaits->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < awaits->len && awaits->heap[child + 1]->deadline_us < awaits->heap[child]->deadline_us)
			child++;
		if (child >= awaits->len || awaits->heap[child]->deadline_us >= await->deadline_us)
			break;
		heap_set(awaits, i, awaits->heap[child]);
		i = child;
	}
	heap_set(awaits, i, await);
}

static void heap_add(struct awaits *awaits, struct await *await)
{
	if (awaits->len == awaits->cap) {
		awaits->cap = awaits->cap ? awaits->cap * 2 : 64;
		awaits->heap = mem_realloc_array(awaits->heap, awaits->cap, sizeof(*awaits->heap));
	}
	heap_set(awaits, awaits->len++, await);
	heap_up(awaits, await->timer);
}

static void heap_remove(struct awaits *awaits, struct await *await)
{
	size_t i = await->timer;
	struct await *last = awaits->heap[--awaits->len];

	assert(awaits->heap[i] == await || last == await);
	if (last == await)
		return;
	heap_set(awaits, i, last);
	heap_up(awaits, i);
	heap_down(awaits, last->timer);
}

/* ---- Chains of a key ---- */

static void chain_add(struct awaits *awaits, struct await *await)
{
	/* The map borrows the key of the first. */
	await->same_key = map_remove(&awaits->by_key, await->key);
	map_put(&awaits->by_key, await->key, await);
}

static void chain_remove(struct awaits *awaits, struct await *await)
{
	struct await *first = map_get(&awaits->by_key, await->key);

	assert(first);
	if (first == await) {
		map_remove(&awaits->by_key, await->key);
		if (await->same_key)
			map_put(&awaits->by_key, await->same_key->key, await->same_key);
		return;
	}
	while (first->same_key != await)
		first = first->same_key;
	first->same_key = await->same_key;
}

/* ---- One await ---- */

static struct bytes place_bytes(char **p, struct bytes b)
{
	char *to = *p;

	if (!bytes_present(b))
		return b;
	memcpy(to, b.data, b.len);
	*p += b.len;
	return (struct bytes){to, b.len};
}

struct await *await_new(struct mr_client *client, const struct await_request *request)
{
	size_t bytes = request->key.len + request->run_id.len + request->own_run.len;
	struct await *await = mem_alloc(sizeof(*await) + bytes);
	char *p = (char *)(await + 1);

	await->key = place_bytes(&p, request->key);
	await->run_id = place_bytes(&p, request->run_id);
	await->own_run = place_bytes(&p, request->own_run);
	await->from_start = request->from_start;
	await->existing_only = request->existing_only;
	await->joins = request->joins;
	await->cancellation = request->cancellation;
	await->deadline_us = request->deadline_us;
	await->record_offset = -1;
	await->done = request->done;
	await->ctx = request->ctx;
	if (request->from_start)
		await->scan = mem_alloc(sizeof(*await->scan));
	chain_add(&client->awaits, await);
	heap_add(&client->awaits, await);
	return await;
}

void await_end(struct mr_client *client, struct await *await, enum mr_status status, struct result_box *box,
	       const struct mr_error *err)
{
	assert((status == MR_OK) == (box != NULL));
	chain_remove(&client->awaits, await);
	heap_remove(&client->awaits, await);
	await_list_remove(await);
	if (await->submission)
		await->submission->await = NULL;
	await->done(await->ctx, status, box ? &box->pub : NULL, err);
	if (await->scan)
		result_box_free(await->scan->found);
	free(await->scan);
	free(await->ended.hashes);
	free(await);
}

void await_cancel(struct mr_client *client, struct await *await)
{
	await->canceled = true;
	await->deadline_us = 0;
	heap_up(&client->awaits, await->timer);
}

static struct result_box *take_found(struct await *await)
{
	struct result_box *box = await->scan ? await->scan->found : NULL;

	if (box)
		await->scan->found = NULL;
	return box;
}

void await_scanned(struct mr_client *client, struct await *await)
{
	struct result_box *box = take_found(await);
	struct mr_error err = {0};

	assert(await->state == AWAIT_SCANNING);
	await_list_remove(await);
	await->state = AWAIT_TAILING;
	await->ended_known = true;
	if (box) {
		await_end(client, await, MR_OK, box, NULL);
	} else if (await->existing_only) {
		mr_error_set(&err, MR_ENOT_FOUND, "", "no result of task %.*s",
			     (int)(await->key.len < 300 ? await->key.len : 300), await->key.data);
		await_end(client, await, MR_ENOT_FOUND, NULL, &err);
	}
}

/* ---- Results ---- */

/* The run of a record that could not be understood is "topic:partition:offset". */
static bool is_own_record(const struct await *await, struct bytes run)
{
	char text[40];
	int n = snprintf(text, sizeof(text), ":%d:%lld", (int)await->record_partition, (long long)await->record_offset);

	return await->record_offset >= 0 && run.len > (size_t)n && !memcmp(run.data + run.len - (size_t)n, text, (size_t)n);
}

/* An answer to one publication only is for nobody else; under the default policies any run's result answers. */
static bool fits(const struct await *await, const struct result_box *box)
{
	struct bytes run = box->decoded.run_id;

	if (box->not_state)
		return bytes_present(await->own_run) && (bytes_equal(await->own_run, run) || is_own_record(await, run));
	return !bytes_present(await->run_id) || bytes_equal(await->run_id, run);
}

/* False where the run was seen before: what comes later of it is a copy. */
static bool note_run(struct await_scan *scan, struct bytes run)
{
	uint64_t hash = bytes_hash(run);

	for (size_t i = 0; i < AWAIT_RUNS_MAX && i < scan->n_runs; i++)
		if (scan->runs[i] == hash)
			return false;
	scan->runs[scan->n_runs++ % AWAIT_RUNS_MAX] = hash;
	return true;
}

static bool has_ended(const struct await_runs *runs, uint64_t hash)
{
	for (size_t i = 0; i < runs->len; i++)
		if (runs->hashes[i] == hash)
			return true;
	return false;
}

static void note_ended(struct await_runs *runs, uint64_t hash)
{
	if (has_ended(runs, hash))
		return;
	if (runs->len == runs->cap) {
		runs->cap = runs->cap ? runs->cap * 2 : 8;
		runs->hashes = mem_realloc_array(runs->hashes, runs->cap, sizeof(*runs->hashes));
	}
	runs->hashes[runs->len++] = hash;
}

/* Which runs had ended before is seldom asked for, so their results are read now; the one that asked comes again then. */
static void look_back(struct mr_client *client, struct await *await)
{
	assert(await->state == AWAIT_TAILING && !await->scan);
	await->from_start = true;
	await->scan = mem_alloc(sizeof(*await->scan));
	await->state = AWAIT_PLACING;
	reader_place(client, await);
}

/* A run that is not the submission's own: the one that it joined, or a copy of what had ended before? Takes the box over. */
static void join(struct mr_client *client, struct await *await, struct result_box *box, int64_t offset)
{
	uint64_t run = bytes_hash(box->decoded.run_id);

	if (offset < await->since_offset)
		note_ended(&await->ended, run);
	else if (await->state == AWAIT_TAILING && !await->ended_known)
		look_back(client, await);
	else if (!has_ended(&await->ended, run)) {
		await_end(client, await, MR_OK, box, NULL);
		return;
	}
	result_box_free(box);
}

/* Takes the box over. */
static void accept(struct mr_client *client, struct await *await, struct result_box *box)
{
	switch (await->state) {
	case AWAIT_SCANNING:
		if (!note_run(await->scan, box->decoded.run_id)) {
			result_box_free(box);
			return;
		}
		result_box_free(await->scan->found);
		await->scan->found = box;
		return;
	case AWAIT_TAILING:
		await_end(client, await, MR_OK, box, NULL);
		return;
	case AWAIT_PLACING:
		break;
	}
	assert(!"an await that is not placed gets no results");
}

static bool listens(const struct await *await, const struct bus_message *message)
{
	return await->state != AWAIT_PLACING && message->offset >= await->from_offset;
}

/* One that listens and was not offered this message yet. Callbacks may add awaits and end no others, so the walk begins anew. */
static struct await *next_listener(struct mr_client *client, const struct bus_message *message)
{
	struct await *await = map_get(&client->awaits.by_key, message->key);

	while (await && !listens(await, message))
		await = await->same_key;
	return await;
}

static void bad_result(struct mr_client *client, struct await *await, const struct bus_message *message,
		       const struct mr_error *why)
{
	struct mr_error err = {0};

	mr_error_set(&err, MR_EBAD_RECORD, message->topic, "the record at partition %d offset %lld cannot be understood: %s",
		     (int)message->partition, (long long)message->offset, why->message);
	await_end(client, await, MR_EBAD_RECORD, NULL, &err);
}

static void offer(struct mr_client *client, struct await *await, const struct bus_message *message)
{
	struct result_box *box = NULL;
	struct mr_error err = {0};

	/* Whatever becomes of it, this await has seen the message. */
	await->from_offset = message->offset + 1;
	if (result_box_new(client->wire, message, &box, &err) != MR_OK)
		bad_result(client, await, message, &err);
	else if (!bytes_equal(box->decoded.task_key, await->key) || !fits(await, box))
		result_box_free(box);
	else if (!await->joins)
		accept(client, await, box);
	else if (box->not_state || bytes_equal(await->own_run, box->decoded.run_id))
		await_end(client, await, MR_OK, box, NULL);
	else
		join(client, await, box, message->offset);
}

void awaits_on_message(struct mr_client *client, const struct bus_message *message)
{
	struct await *await;

	if (!bytes_present(message->key) || !bytes_present(message->value))
		return;
	while ((await = next_listener(client, message)))
		offer(client, await, message);
}

/* ---- Time ---- */

static void canceled(struct mr_client *client, struct await *await)
{
	struct submission *submission = await->submission;
	struct mr_error err = {0};

	if (submission && submission->state == SUBMISSION_HELD && await->cancellation != MR_ABANDON) {
		submissions_drop(client, submission);
		return;
	}
	mr_error_set(&err, MR_ECANCELED, "",
		     await->cancellation == MR_ABANDON ? "no longer awaited; the task goes on"
						       : "canceled by the caller; the task is being told");
	await_end(client, await, MR_ECANCELED, NULL, &err);
	/* Abandoned before it was sent: it no longer waits for a place of the await. */
	submissions_placed(client);
}

static void time_over(struct mr_client *client, struct await *await)
{
	struct result_box *box;
	struct mr_error err = {0};

	if (await->canceled) {
		canceled(client, await);
		return;
	}
	box = take_found(await);
	if (box) {
		await_end(client, await, MR_OK, box, NULL);
		return;
	}
	if (client->health != MR_OK)
		mr_error_set(&err, MR_EKAFKA, client->brokers, "no result in time: %s", client->health_text);
	else if (await->state == AWAIT_PLACING)
		mr_error_set(&err, MR_ETIMEOUT, client->results,
			     "Kafka has not told yet where this topic ends; is it there? (millrace setup creates it)");
	else if (await->submission)
		mr_error_set(&err, MR_ETIMEOUT, client->brokers,
			     "Kafka has not acknowledged the task yet; submitting the same ids again is safe");
	else
		mr_error_set(&err, MR_ETIMEOUT, "", "no result in time; the task may still run");
	await_end(client, await, err.code, NULL, &err);
}

void awaits_tick(struct mr_client *client, int64_t now_us)
{
	struct awaits *awaits = &client->awaits;

	while (awaits->len > 0 && awaits->heap[0]->deadline_us <= now_us)
		time_over(client, awaits->heap[0]);
}

int64_t awaits_deadline_us(const struct awaits *awaits)
{
	return awaits->len > 0 ? awaits->heap[0]->deadline_us : INT64_MAX;
}

void awaits_close(struct mr_client *client)
{
	struct mr_error err = {0};

	mr_error_set(&err, MR_ECLOSED, "", "the client was closed");
	while (client->awaits.len > 0)
		await_end(client, client->awaits.heap[client->awaits.len - 1], MR_ECLOSED, NULL, &err);
}

void awaits_deinit(struct awaits *awaits)
{
	assert(awaits->len == 0);
	map_deinit(&awaits->by_key);
	free(awaits->heap);
}
