/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/submissions.h"

#include <assert.h>

#include "base/mem.h"
#include "bus/topics.h"
#include "lib/client_impl.h"
#include "lib/public_task.h"

/* What a record takes beside its bytes: generous, so that a broker's limit of 1 MiB is never met by surprise. */
#define RECORD_OVERHEAD_BYTES 128
#define RUN_BYTES 24

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

static void explain(const struct mr_client *client, const struct submission *submission, enum mr_status status,
		    struct mr_error *err)
{
	if (submission->state == SUBMISSION_HELD)
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

static enum mr_status hold(struct mr_client *client, struct submission *submission, const struct bus_record *record)
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

static enum mr_status send(struct mr_client *client, struct submission *submission, const struct bus_record *record)
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

static bool is_placed(const struct submission *submission)
{
	return !submission->await || submission->await->state != AWAIT_PLACING;
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

/* ---- mr_submit ---- */

static char *hex(char *p, uint64_t value, int digits)
{
	for (int i = digits - 1; i >= 0; i--)
		*p++ = "0123456789abcdef"[value >> (4 * i) & 15];
	return p;
}

/* Random once a client, and then counted: unique, and nobody has to guess it. */
static struct bytes make_run(struct mr_client *client, char buffer[RUN_BYTES])
{
	char *p = hex(buffer, client->nonce, 16);

	hex(p, client->counter++, RUN_BYTES - 16);
	return (struct bytes){buffer, RUN_BYTES};
}

static enum mr_status find_topic(struct mr_client *client, const char *queue, struct mr_error *err)
{
	struct bytes name;

	queue = queue ? queue : "default";
	if (client->queue && strcmp(client->queue, queue) == 0)
		return MR_OK;
	name = bytes_of(queue);
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-", c)))
			name.len = 0;
	}
	if (name.len == 0 || strlen(client->prefix) + sizeof("tasks.") - 1 + name.len > 249)
		return mr_error_set(err, MR_EINVAL, "queue", "a queue is named with 1 to %d of a-z A-Z 0-9 . _ -",
				    249 - (int)strlen(client->prefix) - (int)sizeof("tasks.") + 1);
	free(client->queue);
	free(client->topic);
	client->queue = mem_strdup(queue);
	client->topic = topics_task_topic(client->prefix, queue);
	return MR_OK;
}

static enum mr_status too_large(size_t input_bytes, size_t record_bytes, int64_t max, struct mr_error *err)
{
	return mr_error_set(
		err, MR_ETOO_LARGE, "input",
		"its %zu bytes make a record of %zu bytes, at most %lld are accepted; larger data belongs into a store "
		"of its own, and its address into the input",
		input_bytes, record_bytes, (long long)max);
}

static size_t record_bytes(const struct bus_record *record)
{
	size_t bytes = record->key.len + record->value.len + RECORD_OVERHEAD_BYTES;

	for (size_t i = 0; i < record->headers.len; i++)
		bytes += record->headers.items[i].name.len + record->headers.items[i].value.len + 8;
	return bytes;
}

/* The record lives in the scratch memory of the client. */
static enum mr_status make_record(struct mr_client *client, const struct mr_task *from, char run[RUN_BYTES], struct task *task,
				  struct bus_record *ret, struct mr_error *err)
{
	enum mr_status status;

	arena_reset(&client->scratch);
	buf_reset(&client->value);
	if ((status = find_topic(client, from->queue, err)) ||
	    (status = public_task_read(from, &client->scratch, task, &ret->headers, err)))
		return status;
	if (from->input.bytes > (size_t)client->max_record_bytes)
		return too_large(from->input.bytes, from->input.bytes, client->max_record_bytes, err);
	task->run_id = make_run(client, run);
	if (!bytes_present(task->activity_id))
		task->activity_id = task->run_id;
	wire_encode_task(client->wire, task, &client->value);
	ret->topic = client->topic;
	ret->partition = BUS_BY_KEY;
	ret->key = task_key(task, BYTES_NONE, &client->scratch);
	ret->value = buf_bytes(&client->value);
	if (record_bytes(ret) > (size_t)client->max_record_bytes)
		return too_large(from->input.bytes, record_bytes(ret), client->max_record_bytes, err);
	return MR_OK;
}

static struct submission *submission_new(struct bytes key, const struct mr_submit_options *options)
{
	struct submission *submission = mem_alloc(sizeof(*submission) + key.len + 1);

	memcpy(submission->key, key.data, key.len);
	submission->submitted = options->submitted;
	submission->ctx = options->ctx;
	return submission;
}

/* A run of its own, unless it may join another one or get another one's result. */
static bool only_own_run(const struct task *task)
{
	return task->id_conflict_policy == CONFLICT_FAIL && task->id_reuse_policy != REUSE_RETURN_EXISTING;
}

static void add_await(struct mr_client *client, struct submission *submission, const struct task *task, struct bytes key,
		      const struct mr_submit_options *options, int64_t now_us)
{
	struct await_request request = {
		.key = key,
		.run_id = only_own_run(task) ? task->run_id : BYTES_NONE,
		.own_run = task->run_id,
		.deadline_us = options->wait_ms > 0 ? now_us + options->wait_ms * 1000 : INT64_MAX,
		.done = options->done,
		.ctx = options->ctx,
	};
	struct await *await = await_new(client, &request);

	await->submission = submission;
	submission->await = await;
	reader_place(client, await);
}

static enum mr_status queue_full(const struct mr_client *client, struct mr_error *err)
{
	return mr_error_set(err, MR_EFULL, "max_queue_bytes",
			    "unacknowledged submissions reach %lld bytes; try again after mr_client_wait",
			    (long long)client->max_queue_bytes);
}

static enum mr_status submit(struct mr_client *client, const struct mr_task *from, const struct mr_submit_options *options,
			     char **ret_key, struct mr_error *err)
{
	struct bus_record record = {0};
	char run[RUN_BYTES];
	struct task task;
	enum mr_status status = make_record(client, from, run, &task, &record, err);

	if (status != MR_OK)
		return status;
	int64_t now_us = client_now_us(client);
	struct submission *submission = submission_new(record.key, options);
	submission->deadline_us = now_us + client->submit_timeout_us;
	bool now = !options->done || reader_is_reading(&client->reader, record.key);
	status = now ? send(client, submission, &record) : hold(client, submission, &record);
	if (status != MR_OK) {
		free(submission);
		if (status == MR_EFULL)
			return queue_full(client, err);
		return mr_error_set(err, status, record.topic, "Kafka takes no task: %s", mr_status_text(status));
	}
	if (options->done)
		add_await(client, submission, &task, record.key, options, now_us);
	if (ret_key)
		*ret_key = mem_strndup(record.key.data, record.key.len);
	return MR_OK;
}

enum mr_status mr_submit(struct mr_client *client, const struct mr_task *task, const struct mr_submit_options *options,
			 char **ret_key, struct mr_error *err)
{
	struct mr_submit_options own = {0};
	struct mr_task copy;

	if (client->closing)
		return mr_error_set(err, MR_ECLOSED, "", "the client is being closed");
	if (!client_take_options(&copy, sizeof(copy), task))
		return mr_error_set(err, MR_EINVAL, "size", "must be sizeof(struct mr_task)");
	if (options && !client_take_options(&own, sizeof(own), options))
		return mr_error_set(err, MR_EINVAL, "size", "must be sizeof(struct mr_submit_options)");
	if (own.wait_ms < 0 || own.wait_ms > TASK_DURATION_MAX_MS)
		return mr_error_set(err, MR_EINVAL, "wait_ms", "must be from 0 to %lld", (long long)TASK_DURATION_MAX_MS);
	return submit(client, &copy, &own, ret_key, err);
}
