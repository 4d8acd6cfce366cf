/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/journal_entry.h"

#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "wire/wire.h"

#define POLL_MS 50

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	(void)ctx, (void)tag, (void)status, (void)partition, (void)offset;
}

static enum mr_status decode(struct journal_entry *entry, const struct bus_message *message, int64_t offset, struct mr_error *err)
{
	struct bytes value = arena_copy(&entry->arena, message->value);
	struct wire *wire;
	enum mr_status status;

	if (message->offset != offset || !bytes_present(value))
		return MR_OK;
	if ((status = wire_new(&wire, err)))
		return status;
	status = wire_decode_journal(wire, value, &entry->arena, &entry->record, err);
	entry->there = status == MR_OK;
	entry->timestamp_ms = message->timestamp_ms;
	wire_free(wire);
	return status;
}

static enum mr_status take(struct journal_entry *entry, struct bus *bus, const struct bus_partition *from, struct mr_error *err)
{
	int64_t limit_us = clock_mono_us() + CLI_TIMEOUT_MS * 1000;
	struct bus_message *message;
	enum mr_status status;

	if ((status = bus_read(bus, from, 1)))
		return mr_error_set(err, status, from->topic, "%s", mr_status_text(status));
	while (clock_mono_us() < limit_us) {
		struct pollfd fd = {.fd = bus_fd(bus), .events = POLLIN};

		poll(&fd, 1, POLL_MS);
		bus_poll(bus);
		if (bus_take_any(bus, &message, 1) == 0)
			continue;
		status = decode(entry, message, from->offset, err);
		bus_message_free(bus, message);
		return status;
	}
	return mr_error_set(err, MR_EKAFKA, from->topic, "the record at offset %lld was not sent in time",
			    (long long)from->offset);
}

enum mr_status journal_entry_init(struct journal_entry *entry, const struct program_common *common, int shard, int64_t offset,
				  struct mr_error *err)
{
	CLEANUP_FREE char *topic = program_topic(common->prefix, "journal");
	const struct bus_partition from = {topic, shard, offset};
	struct bus_config config = program_bus_config(common, "millrace-describe");
	struct bus_callbacks callbacks = {.delivered = on_delivered};
	struct bus *bus;
	enum mr_status status;

	*entry = (struct journal_entry){.there = false};
	status = bus_kafka_new(&config, &callbacks, &bus, err);
	if (status != MR_OK)
		return status;
	status = take(entry, bus, &from, err);
	bus_free(bus);
	return status;
}

void journal_entry_deinit(struct journal_entry *entry)
{
	arena_deinit(&entry->arena);
}
