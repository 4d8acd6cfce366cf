/* SPDX-License-Identifier: Apache-2.0 */
#include "bed.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static void on_delivered(void *ctx, void *tag, enum mr_status status, int32_t partition, int64_t offset)
{
	struct bed *bed = ctx;

	if (bed->n_deliveries < BED_EVENTS_MAX)
		bed->deliveries[bed->n_deliveries] = (struct bed_delivery){tag, status, partition, offset};
	bed->n_deliveries++;
	bed->n_failed += status != MR_OK;
}

static void on_assigned(void *ctx, struct bus_partition *partitions, size_t n)
{
	struct bed *bed = ctx;

	assert_true(n <= BED_PARTITIONS_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(partitions[i].offset, BUS_OFFSET_COMMITTED);
		partitions[i].offset = bed->assign_at;
		bed->assigned[i] = (struct bus_partition){NULL, partitions[i].partition, 0};
	}
	bed->n_assigned = n;
	bed->n_assigns++;
}

static void on_revoked(void *ctx, const struct bus_partition *partitions, size_t n, bool lost)
{
	struct bed *bed = ctx;

	bed->n_assigned = 0;
	bed->n_revokes++;
	bed->n_lost += lost;
	if (bed->commit_in_revoke < 0 || lost)
		return;
	for (size_t i = 0; i < n; i++) {
		struct bus_partition commit = {partitions[i].topic, partitions[i].partition, bed->commit_in_revoke};
		if (commit.partition == bed->commit_in_revoke_of)
			bed->commit_in_revoke_status = bus_commit_now(bed->bus, &commit, 1);
	}
}

static void on_committed(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	struct bed *bed = ctx;

	(void)partitions;
	bed->n_committed += n;
	bed->committed_status = status;
}

static void on_ends(void *ctx, const struct bus_partition *partitions, size_t n, enum mr_status status)
{
	struct bed *bed = ctx;

	assert_true(n <= BED_PARTITIONS_MAX);
	for (size_t i = 0; i < n; i++)
		bed->ends[i] = (struct bus_partition){NULL, partitions[i].partition, partitions[i].offset};
	bed->n_ends = n;
	bed->ends_status = status;
}

static void on_topics(void *ctx, const struct bus_partition *topics, size_t n, enum mr_status status)
{
	struct bed *bed = ctx;

	assert_true(n <= BED_PARTITIONS_MAX);
	assert_int_equal(status, MR_OK);
	for (size_t i = 0; i < n; i++)
		bed->topics[i] = (struct bus_partition){NULL, topics[i].partition, 0};
	bed->n_topics = n;
}

static void on_group_offsets(void *ctx, const char *group, const struct bus_partition *partitions, size_t n,
			     enum mr_status status)
{
	struct bed *bed = ctx;

	assert_true(n <= BED_PARTITIONS_MAX);
	assert_non_null(group);
	assert_int_equal(status, MR_OK);
	for (size_t i = 0; i < n; i++)
		bed->group_offsets[i] = (struct bus_partition){NULL, partitions[i].partition, partitions[i].offset};
	bed->n_group_offsets = n;
}

static void on_health(void *ctx, enum mr_status status, const char *message)
{
	struct bed *bed = ctx;

	if (bed->n_health < 64)
		bed->health[bed->n_health++] = status;
	snprintf(bed->health_text, sizeof(bed->health_text), "%s", message);
}

void bed_open(struct bed *bed, const struct bus_config *config)
{
	struct bus_callbacks callbacks = {
		.ctx = bed,
		.delivered = on_delivered,
		.assigned = on_assigned,
		.revoked = on_revoked,
		.committed = on_committed,
		.ends = on_ends,
		.topics = on_topics,
		.group_offsets = on_group_offsets,
		.health = on_health,
	};
	struct mr_error err = {0};

	*bed = (struct bed){.assign_at = BUS_OFFSET_COMMITTED, .commit_in_revoke = -1};
	if (bus_kafka_new(config, &callbacks, &bed->bus, &err) != MR_OK)
		fail_msg("%s: %s", err.where, err.message);
}

void bed_close(struct bed *bed)
{
	bus_free(bed->bus);
	bed->bus = NULL;
}

void bed_step(struct bed *bed)
{
	struct pollfd fd = {.fd = bus_fd(bed->bus), .events = POLLIN};

	poll(&fd, 1, 50);
	bus_poll(bed->bus);
}

void bed_take(struct bed *bed, struct bus_message **ret, size_t n, int limit_s)
{
	int64_t limit_us = clock_mono_us() + limit_s * 1000000LL;
	size_t got = 0;

	for (;;) {
		got += bus_take_any(bed->bus, ret + got, n - got);
		if (got == n)
			return;
		if (clock_mono_us() > limit_us)
			fail_msg("%zu of %zu records within %d s", got, n, limit_s);
		bed_step(bed);
	}
}

void bed_free_messages(struct bed *bed, struct bus_message **messages, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bus_message_free(bed->bus, messages[i]);
}

static void produce(struct bed *bed, const struct bus_record *record)
{
	enum mr_status status;

	while ((status = bus_produce(bed->bus, record, NULL)) == MR_EFULL)
		bed_step(bed);
	assert_int_equal(status, MR_OK);
}

void bed_produce(struct bed *bed, const char *topic, int32_t partition, const char *key, const char *value)
{
	struct bus_record record = {.topic = topic, .partition = partition, .key = bytes_of(key), .value = bytes_of(value)};

	produce(bed, &record);
}

void bed_fill(struct bed *bed, const char *topic, int32_t partition, size_t n, size_t size)
{
	char *value = mem_alloc(size + 1);
	struct bus_record record = {.topic = topic, .partition = partition, .value = {value, size}};

	memset(value, 'x', size);
	for (size_t i = 0; i < n; i++) {
		produce(bed, &record);
		if (i % 500 == 0)
			bus_poll(bed->bus);
	}
	free(value);
	eventually(bed, bus_outstanding(bed->bus) == 0);
	assert_int_equal(bed->n_failed, 0);
}

void bed_prefix(char *ret, size_t size)
{
	snprintf(ret, size, "t%llx.", (unsigned long long)random_u64());
}
