/* SPDX-License-Identifier: Apache-2.0 */
/* 1 publish: what was handed to Kafka and is not acknowledged yet, or held until its result would be seen. */
#include "lib/submissions.h"

#include <assert.h>

#include "base/mem.h"
#include "lib/client_impl.h"

static void list_add(struct submission_list *list, struct submission *submission)
{
	submission->prev = list->tail;
	submission->next = NULL;
	*(list->tail ? &list->tail->next : &list->head) = submission;
	list->tail = submission;
	list->len++;
}

static void list_remove(struct submission_list *list, struct submission *submission)
{
	*(submission->prev ? &submission->prev->next : &list->head) = submission->next;
	*(submission->next ? &submission->next->prev : &list->tail) = submission->prev;
	list->len--;
}

static void unhold(struct submissions *submissions, struct submission *submission)
{
	if (!submission->held)
		return;
	submissions->held_bytes -= submission->held->record.value.len;
	arena_deinit(&submission->held->arena);
	free(submission->held);
	submission->held = NULL;
}

/* ---- The end of one ---- */

/* Out of its list, and told. The caller frees, or lets the bus have it. */
static void tell(struct mr_client *client, struct submission *submission, enum mr_status status, const struct mr_error *err)
{
	struct submissions *submissions = &client->submissions;
	struct await *await = submission->await;

	assert(submission->state != SUBMISSION_LATE);
	list_remove(submission->state == SUBMISSION_HELD ? &submissions->held : &submissions->sent, submission);
	unhold(submissions, submission);
	submission->await = NULL;
	if (await)
		await->submission = NULL;
	if (submission->submitted)
		submission->submitted(submission->ctx, status, submission->key, err);
	else if (status != MR_OK && !await && client->failed.code == MR_OK)
		client->failed = *err;
	if (status != MR_OK && await)
		await_end(client, await, status, NULL, err);
}

static void explain_command(const struct mr_client *client, const struct submission *submission, enum mr_status status,
			    struct mr_error *err)
{
	if (status == MR_ENOT_FOUND)
		mr_error_set(err, status, client->control, "there is no such topic; millrace setup creates it");
	else if (status == MR_EKAFKA)
		mr_error_set(err, status, client->brokers,
			     "not known whether Kafka has the command (%s); the same again with its request id is safe",
			     client->health == MR_OK ? "no acknowledgement" : client->health_text);
	else
		mr_error_set(err, status, submission->key, "the command was refused: %s", mr_status_text(status));
}

static void explain(const struct mr_client *client, const struct submission *submission, enum mr_status status,
		    struct mr_error *err)
{
	if (submission->is_command)
		explain_command(client, submission, status, err);
	else if (status == MR_ECANCELED)
		mr_error_set(err, status, submission->key, "the task was not sent: canceled by the caller");
	else if (submission->state == SUBMISSION_HELD)
		mr_error_set(err, status, client->brokers, "the task was not sent: %s",
			     client->health == MR_OK
				     ? "Kafka did not tell where the results end; is the topic there? (millrace setup)"
				     : client->health_text);
	else if (status == MR_ENOT_FOUND)
		mr_error_set(err, status, submission->key, "its queue has no topic; millrace setup -q QUEUE creates it");
	else if (status == MR_EKAFKA)
		mr_error_set(err, status, client->brokers,
			     "not known whether Kafka has the task (%s); submitting the same ids again is safe",
			     client->health == MR_OK ? "no acknowledgement" : client->health_text);
	else
		mr_error_set(err, status, submission->key, "the task was refused: %s", mr_status_text(status));
}

static void fail(struct mr_client *client, struct submission *submission, enum mr_status status)
{
	struct mr_error err = {0};

	explain(client, submission, status, &err);
	tell(client, submission, status, &err);
}

void submissions_on_delivered(struct mr_client *client, struct submission *submission, enum mr_status status, int32_t partition,
			      int64_t offset)
{
	if (submission->state == SUBMISSION_LATE) {
		client->submissions.late--;
	} else if (status == MR_OK) {
		if (submission->await) {
			submission->await->record_partition = partition;
			submission->await->record_offset = offset;
		}
		tell(client, submission, MR_OK, NULL);
	} else {
		fail(client, submission, status);
	}
	free(submission);
}

/* ---- New ones ---- */

struct submission *submission_new(struct bytes key, mr_submitted_fn *submitted, void *ctx)
{
	struct submission *submission = mem_alloc(sizeof(*submission) + key.len + 1);

	memcpy(submission->key, key.data, key.len);
	submission->submitted = submitted;
	submission->ctx = ctx;
	return submission;
}

enum mr_status submissions_full(const struct mr_client *client, struct mr_error *err)
{
	return mr_error_set(err, MR_EFULL, "max_queue_bytes",
			    "unacknowledged submissions reach %lld bytes; try again after mr_client_wait",
			    (long long)client->max_queue_bytes);
}

/* ---- Held ones ---- */

static void copy_record(struct held_record *held, const struct bus_record *from)
{
	struct header *items = arena_alloc(&held->arena, (from->headers.len + 1) * sizeof(*items));

	for (size_t i = 0; i < from->headers.len; i++) {
		items[i].name = arena_copy(&held->arena, from->headers.items[i].name);
		items[i].value = arena_copy(&held->arena, from->headers.items[i].value);
	}
	held->record = (struct bus_record){
		.topic = arena_copy(&held->arena, bytes_of(from->topic)).data,
		.partition = from->partition,
		.key = arena_copy(&held->arena, from->key),
		.value = arena_copy(&held->arena, from->value),
		.headers = {items, from->headers.len},
	};
}

enum mr_status submissions_hold(struct mr_client *client, struct submission *submission, const struct bus_record *record)
{
	struct submissions *submissions = &client->submissions;

	if (submissions->held_bytes + record->value.len > (size_t)client->max_queue_bytes)
		return MR_EFULL;
	submission->state = SUBMISSION_HELD;
	submission->held = mem_alloc(sizeof(*submission->held));
	copy_record(submission->held, record);
	submissions->held_bytes += record->value.len;
	list_add(&submissions->held, submission);
	/* Finding the topic takes a while: it may begin now. */
	bus_partition_count(client->bus, record->topic);
	return MR_OK;
}

static void list_sent(struct mr_client *client, struct submission *submission)
{
	submission->state = SUBMISSION_SENT;
	submission->deadline_us = client_now_us(client) + client->submit_timeout_us;
	list_add(&client->submissions.sent, submission);
}

enum mr_status submissions_send(struct mr_client *client, struct submission *submission, const struct bus_record *record)
{
	enum mr_status status = bus_produce(client->bus, record, submission);

	if (status == MR_OK)
		list_sent(client, submission);
	return status;
}

/* False where the bus is full. */
static bool send_held(struct mr_client *client, struct submission *submission)
{
	enum mr_status status = bus_produce(client->bus, &submission->held->record, submission);

	if (status == MR_EFULL)
		return false;
	if (status == MR_OK) {
		list_remove(&client->submissions.held, submission);
		unhold(&client->submissions, submission);
		list_sent(client, submission);
	} else {
		fail(client, submission, status);
		free(submission);
	}
	return true;
}

/* One that is being canceled is not sent any more. */
static bool is_placed(const struct submission *submission)
{
	const struct await *await = submission->await;

	return !await || (await->state != AWAIT_PLACING && !await->canceled);
}

static void send_all_held(struct mr_client *client)
{
	struct submission *submission = client->submissions.held.head;

	client->submissions.may_send = false;
	while (submission) {
		/* A callback of a failure may add some at the tail, and removes none. */
		struct submission *next = submission->next;

		if (is_placed(submission) && !send_held(client, submission)) {
			client->submissions.may_send = true;
			return;
		}
		submission = next;
	}
}

void submissions_drop(struct mr_client *client, struct submission *submission)
{
	assert(submission->state == SUBMISSION_HELD);
	fail(client, submission, MR_ECANCELED);
	free(submission);
}

void submissions_placed(struct mr_client *client)
{
	client->submissions.may_send = true;
}

/* ---- Time ---- */

void submissions_tick(struct mr_client *client, int64_t now_us)
{
	struct submissions *submissions = &client->submissions;
	struct submission *submission;

	if (submissions->may_send)
		send_all_held(client);
	while ((submission = submissions->held.head) && submission->deadline_us <= now_us) {
		fail(client, submission, MR_EKAFKA);
		free(submission);
	}
	while ((submission = submissions->sent.head) && submission->deadline_us <= now_us) {
		fail(client, submission, MR_EKAFKA);
		submission->state = SUBMISSION_LATE;
		submissions->late++;
	}
}

int64_t submissions_deadline_us(const struct submissions *submissions)
{
	int64_t held_us = submissions->held.head ? submissions->held.head->deadline_us : INT64_MAX;
	int64_t sent_us = submissions->sent.head ? submissions->sent.head->deadline_us : INT64_MAX;

	return held_us < sent_us ? held_us : sent_us;
}

void submissions_close(struct mr_client *client)
{
	struct submission *submission;

	while ((submission = client->submissions.held.head)) {
		fail(client, submission, MR_ECLOSED);
		free(submission);
	}
}
