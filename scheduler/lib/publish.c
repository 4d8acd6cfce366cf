/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/log.h"
#include "lib/core.h"

void publish_tombstone(struct shard *shard, struct bytes key)
{
	struct scheduler *s = shard->s;
	const struct bus_record record = {.topic = s->journal_topic, .partition = shard->id, .key = key};

	/* Not worth a second try: the record that it removes is met again by the next replay. */
	if (bus_produce(s->links.bus, &record, NULL) == MR_OK)
		s->stats.tombstones++;
}

enum mr_status publish_dead(struct scheduler *s, const struct bus_message *message, const char *reason, struct delivery *delivery)
{
	char partition[16], offset[24];
	struct bus_record record = {
		.topic = s->dead_topic, .partition = BUS_BY_KEY, .key = message->key, .value = message->value};
	enum mr_status status;

	snprintf(partition, sizeof(partition), "%d", message->partition);
	snprintf(offset, sizeof(offset), "%lld", (long long)message->offset);
	const struct header items[] = {
		{bytes_of(HEADER_REASON), bytes_of(reason)},
		{bytes_of(HEADER_TOPIC), bytes_of(message->topic)},
		{bytes_of(HEADER_PARTITION), bytes_of(partition)},
		{bytes_of(HEADER_OFFSET), bytes_of(offset)},
	};
	record.headers = (struct headers){items, sizeof(items) / sizeof(items[0])};
	status = bus_produce(s->links.bus, &record, delivery);
	if (status != MR_OK) {
		log_error("a dead letter could not be sent", LOG_S("topic", message->topic),
			  LOG_I("partition", message->partition), LOG_I("offset", message->offset),
			  LOG_S("reason", mr_status_text(status)));
		return status;
	}
	s->stats.bad_records++;
	meters_dead_letter(s, message);
	log_warn("a record cannot be understood and goes to the dead letter topic", LOG_S("topic", message->topic),
		 LOG_I("partition", message->partition), LOG_I("offset", message->offset), LOG_S("reason", reason));
	return MR_OK;
}
