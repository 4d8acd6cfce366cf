/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "base/bytes.h"
#include "base/conf.h"
#include "task/task.h"

/*
 * Kafka as the cores see it: produce with an acknowledgement, consume partitions one is assigned, commit, ask for end offsets.
 * One thread; nothing here blocks but bus_commit_now and bus_flush (used inside a revoke only). Chosen at start: bus_kafka_new() is the real
 * one, a simulated one implements the same table.
 *
 * All callbacks run inside bus_poll(), on its thread.
 */
struct bus;

struct bus_record {
	const char *topic;
	int32_t partition;  /* BUS_BY_KEY = Kafka's default partitioner over the key */
	struct bytes key;   /* may be absent */
	struct bytes value; /* absent = tombstone */
	struct headers headers;
};
#define BUS_BY_KEY (-1)

/* A record that was read. Borrowed bytes live until bus_message_free. */
struct bus_message {
	const char *topic;
	int32_t partition;
	int64_t offset;
	int64_t timestamp_ms;
	struct bytes key;
	struct bytes value;
	struct headers headers;
	void *impl;
};

struct bus_partition {
	const char *topic;
	int32_t partition;
	int64_t offset; /* see the call */
};
#define BUS_OFFSET_COMMITTED (-1000) /* the group's committed offset, else the beginning */
#define BUS_OFFSET_BEGINNING (-2)
#define BUS_OFFSET_END (-1)

#define BUS_COMMIT_NOW_MS 400 /* leaves the callee a part of its budget of 500 ms */

struct bus_callbacks {
	void *ctx;
	/* A record sent with `tag` is acknowledged (MR_OK, with its place), or will never be (other codes: MR_EKAFKA unknown
	 * outcome or not sent, MR_ETOO_LARGE, MR_ENOT_FOUND no such topic or partition). Only an acknowledgement settles
	 * anything. While Kafka is away a record waits, without a limit: health() tells. */
	void (*delivered)(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset);
	/* Partitions came to us. The callee sets `offset` of each to where to begin (BUS_OFFSET_COMMITTED is preset). */
	void (*assigned)(void *ctx, struct bus_partition *partitions, size_t n);
	/* Partitions leave us. !lost: bus_commit_now still works inside this call. Messages of theirs stay valid; later
	 * commits for them are ignored. */
	void (*revoked)(void *ctx, const struct bus_partition *partitions, size_t n, bool lost);
	/* An asynchronous commit ended (may be NULL). */
	void (*committed)(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status);
	/* The answer to bus_query_ends (may be NULL if never asked). offset = end offset, -1 where it could not be told. */
	void (*ends)(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status);
	/* The answer to bus_query_topics (may be NULL): `partition` of each is how many partitions it has. */
	void (*topics)(void *ctx, const struct bus_partition *topics, size_t n, enum mr_status status);
	/* The answer to bus_query_group (may be NULL): offset = the next one of that group; BUS_OFFSET_BEGINNING where it has
	 * committed nothing, -1 where it could not be told. */
	void (*group_offsets)(void *ctx, const char *group, const struct bus_partition *partitions, size_t n,
			      enum mr_status status);
	/* Kafka became unreachable (MR_EKAFKA) or reachable again (MR_OK), a topic is missing, or topic or group may not be
	 * used (MR_ENOT_FOUND; no MR_OK follows): for logs and health; work goes on by itself. MR_ECONFLICT: the group gave up this member (another process took over our
	 * group_instance, or the broker was restarted in the middle of a join); it joins again by itself. */
	void (*health)(void *ctx, enum mr_status status, const char *message);
};

/* From so many unacknowledged records on, latency is theirs anyway and fewer requests cost the broker less. */
#define BUS_BULK_FROM 64

struct bus_config {
	const char *brokers;
	const char *client_id;
	const char *group;          /* consumer group, or NULL: no group consumer */
	const char *group_instance; /* static membership id or NULL; bus_leave() leaves at once in spite of it */
	const char *const *topics;  /* to subscribe to (group) */
	size_t n_topics;
	int linger_ms; /* how long a record may wait for company */
	int bulk_linger_ms; /* the same under load, while BUS_BULK_FROM records or more are unacknowledged; 0 = as linger_ms. Then records
					     * of one partition may change their order */
	int64_t max_message_bytes;          /* largest record it may send */
	int64_t queue_max_bytes;            /* bound of unsent records */
	int64_t prefetch_bytes;             /* bound of fetched records waiting, per partition */
	const struct conf_list *properties; /* property=value of -X, applied last; unknown ones are an error */
};

struct bus_ops;
struct bus {
	const struct bus_ops *ops;
};

struct bus_ops {
	void (*free)(struct bus *bus);
	int (*fd)(struct bus *bus);
	void (*poll)(struct bus *bus);
	enum mr_status (*produce)(struct bus *bus, const struct bus_record *record, void *tag);
	size_t (*outstanding)(struct bus *bus);
	void (*flush)(struct bus *bus, int timeout_ms);
	size_t (*take)(struct bus *bus, const char *topic, int32_t partition, struct bus_message **ret, size_t max);
	size_t (*take_any)(struct bus *bus, struct bus_message **ret, size_t max);
	void (*message_free)(struct bus *bus, struct bus_message *message);
	void (*commit)(struct bus *bus, const struct bus_partition *partitions, size_t n);
	enum mr_status (*commit_now)(struct bus *bus, const struct bus_partition *partitions, size_t n);
	enum mr_status (*seek)(struct bus *bus, const char *topic, int32_t partition, int64_t offset);
	enum mr_status (*read)(struct bus *bus, const struct bus_partition *partitions, size_t n);
	enum mr_status (*query_ends)(struct bus *bus, const struct bus_partition *partitions, size_t n);
	enum mr_status (*query_topics)(struct bus *bus, const char *begin);
	enum mr_status (*query_group)(struct bus *bus, const char *group, const struct bus_partition *partitions, size_t n);
	void (*leave)(struct bus *bus);
	bool (*left)(struct bus *bus);
	int (*partition_count)(struct bus *bus, const char *topic);
};

/* Frees after a bounded flush (5 s, none while Kafka is away); NULL is allowed. The group is left (unless a static member that
 * did not bus_leave). delivered() is called for every record outstanding, no other callback. Every message was freed before. */
static inline void bus_free(struct bus *bus)
{
	if (bus)
		bus->ops->free(bus);
}
/* Becomes readable when something new is there for bus_poll or bus_take*, and again at once after a bus_take* that returned
 * all it was asked for; bus_poll resets it. So records that one does not want yet keep no loop awake: take them when there is
 * room again, without waiting for the fd. */
static inline int bus_fd(struct bus *bus)
{
	return bus->ops->fd(bus);
}
/* Serves callbacks; returns at once. Call it at least every 100 ms. */
static inline void bus_poll(struct bus *bus)
{
	bus->ops->poll(bus);
}
/* Copies the record; `tag` comes back in delivered(). MR_EFULL: unsent records reach the bound, try again after bus_poll.
 * MR_ETOO_LARGE, MR_ENOT_FOUND (no such topic or partition): never will be. Idempotent, acks=all; recreates the producer after
 * a fatal error. */
static inline enum mr_status bus_produce(struct bus *bus, const struct bus_record *record, void *tag)
{
	return bus->ops->produce(bus, record, tag);
}
/* Records sent and not reported by delivered(). */
static inline size_t bus_outstanding(struct bus *bus)
{
	return bus->ops->outstanding(bus);
}
/* Waits until every record sent is reported, for so long at most; only delivered() is called. For use inside revoked(). */
static inline void bus_flush(struct bus *bus, int timeout_ms)
{
	bus->ops->flush(bus, timeout_ms);
}
/* Takes up to max records of one assigned partition / of all in turn (fair); returns how many. Backpressure = not taking. */
static inline size_t bus_take(struct bus *bus, const char *topic, int32_t partition, struct bus_message **ret, size_t max)
{
	return bus->ops->take(bus, topic, partition, ret, max);
}
static inline size_t bus_take_any(struct bus *bus, struct bus_message **ret, size_t max)
{
	return bus->ops->take_any(bus, ret, max);
}
static inline void bus_message_free(struct bus *bus, struct bus_message *message)
{
	bus->ops->message_free(bus, message);
}
/* offset = next offset to read. Asynchronous; ends in committed(). Partitions no longer ours are ignored. */
static inline void bus_commit(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	bus->ops->commit(bus, partitions, n);
}
/* Waits for the answer, BUS_COMMIT_NOW_MS at most (MR_ETIMEOUT: outcome unknown). */
static inline enum mr_status bus_commit_now(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	return bus->ops->commit_now(bus, partitions, n);
}
/* Goes on reading an assigned (or read) partition at `offset`; what was fetched of it is dropped. */
static inline enum mr_status bus_seek(struct bus *bus, const char *topic, int32_t partition, int64_t offset)
{
	return bus->ops->seek(bus, topic, partition, offset);
}
/* Reads partitions without a group (a second consumer inside), beginning at their `offset`; replaces the former set (n = 0
 * ends it). Records come by bus_take / bus_take_any like the others. MR_ECONFLICT: one of them is the group's (nothing is read
 * then). */
static inline enum mr_status bus_read(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	return bus->ops->read(bus, partitions, n);
}
/* Asks for the end offsets (the next offset to be written); the answer comes in ends(). */
static inline enum mr_status bus_query_ends(struct bus *bus, const struct bus_partition *partitions, size_t n)
{
	return bus->ops->query_ends(bus, partitions, n);
}
/* Asks which topics have names that begin so; the answer comes in topics(). */
static inline enum mr_status bus_query_topics(struct bus *bus, const char *begin)
{
	return bus->ops->query_topics(bus, begin);
}
/* Asks for the offsets that a group, which need not be ours, has committed; the answer comes in group_offsets(). */
static inline enum mr_status bus_query_group(struct bus *bus, const char *group, const struct bus_partition *partitions, size_t n)
{
	return bus->ops->query_group(bus, group, partitions, n);
}
/* Leaves the group at once, static member or not; revoked() is called; left() tells when done. */
static inline void bus_leave(struct bus *bus)
{
	bus->ops->leave(bus);
}
static inline bool bus_left(struct bus *bus)
{
	return bus->ops->left(bus);
}
/* Partitions of a topic as last known, 0 where unknown (asks Kafka in the background). */
static inline int bus_partition_count(struct bus *bus, const char *topic)
{
	return bus->ops->partition_count(bus, topic);
}

enum mr_status bus_kafka_new(const struct bus_config *config, const struct bus_callbacks *callbacks, struct bus **ret,
			     struct mr_error *err);

#endif
