/* SPDX-License-Identifier: Apache-2.0 */
/* The client as a whole: 1 publish, 7 await. Its parts are submissions, awaits, and the reader of `results`. */
#include <assert.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lib/client_impl.h"

#define MAX_RECORD_BYTES 1000000
#define MAX_RECORD_LIMIT_BYTES 100000000
#define MAX_QUEUE_BYTES (32 << 20)
#define SUBMIT_TIMEOUT_MS 30000
#define POLL_MAX_MS 100
#define PREFETCH_BYTES (1 << 20)
#define RECORD_OVERHEAD_BYTES 128

static enum mr_status real_bus(void *ctx, const struct bus_config *config, const struct bus_callbacks *callbacks,
			       struct bus **ret, struct mr_error *err)
{
	(void)ctx;
	return bus_kafka_new(config, callbacks, ret, err);
}

static int64_t real_now(void *ctx)
{
	(void)ctx;
	return clock_mono_us();
}

static uint64_t real_random(void *ctx)
{
	(void)ctx;
	return random_u64();
}

static const struct client_seams REAL = {real_bus, real_now, real_random, NULL};

int64_t client_now_us(const struct mr_client *client)
{
	return client->seams.now_us(client->seams.ctx);
}

bool client_take_options(void *to, size_t to_size, const void *from)
{
	size_t size;

	memcpy(&size, from, sizeof(size));
	if (size < sizeof(size))
		return false;
	memset(to, 0, to_size);
	memcpy(to, from, size < to_size ? size : to_size);
	return true;
}

void client_hex(char *out, uint64_t value, int digits)
{
	for (int i = digits - 1; i >= 0; i--)
		*out++ = "0123456789abcdef"[value >> (4 * i) & 15];
}

size_t client_record_bytes(const struct bus_record *record)
{
	size_t bytes = record->key.len + record->value.len + RECORD_OVERHEAD_BYTES;

	for (size_t i = 0; i < record->headers.len; i++)
		bytes += record->headers.items[i].name.len + record->headers.items[i].value.len + 8;
	return bytes;
}

/* ---- What the bus tells ---- */

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	submissions_on_delivered(ctx, tag, status, partition, offset);
}

static void on_ends(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	reader_on_ends(ctx, partitions, n, status);
}

static void on_health(void *ctx, enum mr_status status, const char *message)
{
	struct mr_client *client = ctx;

	/* A missing topic is told where it matters: by the record that cannot be delivered. */
	if (status == MR_ENOT_FOUND)
		return;
	client->health = status;
	snprintf(client->health_text, sizeof(client->health_text), "%s", message);
}

/* ---- New and free ---- */

static char *setting(const char *given, const char *variable, const char *def)
{
	const char *value = given ? given : getenv(variable);

	return mem_strdup(value && *value ? value : def);
}

static char *topic(const struct mr_client *client, const char *name)
{
	struct buf text = {0};

	buf_printf(&text, "%s%s", client->prefix, name);
	buf_cstr(&text);
	return text.data;
}

static enum mr_status check_options(const struct mr_client_options *options, struct mr_error *err)
{
	if (options->max_input_bytes < 0 || options->max_input_bytes > MAX_RECORD_LIMIT_BYTES)
		return mr_error_set(err, MR_EINVAL, "max_input_bytes", "must be from 0 to %d", MAX_RECORD_LIMIT_BYTES);
	if (options->max_queue_bytes < 0 || options->max_queue_bytes > INT64_C(1) << 40)
		return mr_error_set(err, MR_EINVAL, "max_queue_bytes", "must be from 0 to 1 TiB");
	if (options->submit_timeout_ms < 0 || options->submit_timeout_ms > 86400000)
		return mr_error_set(err, MR_EINVAL, "submit_timeout_ms", "must be from 0 to 86,400,000 (a day)");
	if (options->linger_ms < 0 || options->linger_ms > 60000)
		return mr_error_set(err, MR_EINVAL, "linger_ms", "must be from 0 to 60,000");
	if (options->n_properties > 0 && !options->properties)
		return mr_error_set(err, MR_EINVAL, "properties", "n_properties of them are at no address");
	return MR_OK;
}

static enum mr_status open_bus(struct mr_client *client, const struct mr_client_options *options, struct mr_error *err)
{
	CLEANUP_FREE char **items = mem_alloc((options->n_properties + 1) * sizeof(*items));
	struct conf_list properties = {items, options->n_properties};

	for (size_t i = 0; i < options->n_properties; i++)
		items[i] = (char *)(uintptr_t)options->properties[i];
	struct bus_config config = {
		.brokers = client->brokers,
		.client_id = "millrace-client",
		.linger_ms = options->linger_ms == 0  ? 1
			     : options->linger_ms < 0 ? 0
						      : options->linger_ms,
		.max_message_bytes = client->max_record_bytes + (1 << 20),
		.queue_max_bytes = client->max_queue_bytes,
		.prefetch_bytes = PREFETCH_BYTES,
		.properties = &properties,
	};
	struct bus_callbacks callbacks = {.ctx = client, .delivered = on_delivered, .ends = on_ends, .health = on_health};
	return client->seams.bus_new(client->seams.ctx, &config, &callbacks, &client->bus, err);
}

static enum mr_status init(struct mr_client *client, const struct mr_client_options *options, struct mr_error *err)
{
	enum mr_status status = check_options(options, err);

	if (status != MR_OK)
		return status;
	client->brokers = setting(options->brokers, "MILLRACE_BROKERS", "127.0.0.1:9092");
	client->prefix = setting(options->prefix, "MILLRACE_PREFIX", "millrace.");
	client->results = topic(client, "results");
	client->control = topic(client, "control");
	client->max_record_bytes = options->max_input_bytes ? options->max_input_bytes : MAX_RECORD_BYTES;
	client->max_queue_bytes = options->max_queue_bytes ? options->max_queue_bytes : MAX_QUEUE_BYTES;
	client->submit_timeout_us = (options->submit_timeout_ms ? options->submit_timeout_ms : SUBMIT_TIMEOUT_MS) * 1000;
	client->nonce = client->seams.random(client->seams.ctx);
	client->reader.idle_since_us = INT64_MAX;
	if ((status = wire_new(&client->wire, err)))
		return status;
	return open_bus(client, options, err);
}

enum mr_status client_new(const struct mr_client_options *options, const struct client_seams *seams, struct mr_client **ret,
			  struct mr_error *err)
{
	struct mr_client_options own = {0};
	enum mr_status status;

	if (options && !client_take_options(&own, sizeof(own), options))
		return mr_error_set(err, MR_EINVAL, "size", "must be sizeof(struct mr_client_options)");
	struct mr_client *client = mem_alloc(sizeof(*client));
	client->seams = *seams;
	status = init(client, &own, err);
	if (status != MR_OK) {
		mr_client_free(client);
		return status;
	}
	*ret = client;
	return MR_OK;
}

enum mr_status mr_client_new(const struct mr_client_options *options, struct mr_client **ret, struct mr_error *err)
{
	return client_new(options, &REAL, ret, err);
}

void mr_client_free(struct mr_client *client)
{
	if (!client)
		return;
	assert(!client->inside);
	client->closing = true;
	submissions_close(client);
	bus_free(client->bus);
	awaits_close(client);
	assert(client->submissions.sent.len == 0 && client->submissions.late == 0);
	awaits_deinit(&client->awaits);
	reader_deinit(&client->reader);
	wire_free(client->wire);
	arena_deinit(&client->scratch);
	buf_deinit(&client->value);
	free(client->queue);
	free(client->topic);
	free(client->brokers);
	free(client->prefix);
	free(client->results);
	free(client->control);
	free(client);
}

/* ---- The loop ---- */

int mr_client_fd(struct mr_client *client)
{
	return bus_fd(client->bus);
}

void mr_client_poll(struct mr_client *client)
{
	assert(!client->inside);
	client->inside = true;
	bus_poll(client->bus);
	reader_take(client);
	int64_t now_us = client_now_us(client);
	reader_tick(client, now_us);
	submissions_tick(client, now_us);
	awaits_tick(client, now_us);
	client->inside = false;
}

static int64_t wait_until_us(const struct mr_client *client, int64_t limit_us)
{
	int64_t until_us = awaits_deadline_us(&client->awaits);
	int64_t submissions_us = submissions_deadline_us(&client->submissions);

	until_us = submissions_us < until_us ? submissions_us : until_us;
	return limit_us < until_us ? limit_us : until_us;
}

void mr_client_wait(struct mr_client *client, int64_t wait_ms)
{
	struct pollfd fd = {.fd = mr_client_fd(client), .events = POLLIN};
	int64_t now_us = client_now_us(client);
	int64_t limit_us = now_us + (wait_ms < 0 ? 0 : wait_ms < POLL_MAX_MS ? wait_ms : POLL_MAX_MS) * 1000;
	int64_t left_us = wait_until_us(client, limit_us) - now_us;

	/* A signal ends the wait early: the caller's loop looks at what it means. */
	poll(&fd, 1, left_us > 0 ? (int)((left_us + 999) / 1000) : 0);
	mr_client_poll(client);
}

size_t mr_client_unacknowledged(const struct mr_client *client)
{
	return client->submissions.held.len + client->submissions.sent.len;
}

size_t mr_client_awaited(const struct mr_client *client)
{
	return client->awaits.len;
}

enum mr_status mr_client_health(const struct mr_client *client, struct mr_error *err)
{
	if (client->health == MR_OK)
		return MR_OK;
	return mr_error_set(err, client->health, client->brokers, "%s", client->health_text);
}
