/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_BUS_BED_H
#define UNIT_BUS_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "bus/bus.h"

/* One bus under test, and what its callbacks said. */
#define BED_EVENTS_MAX 4096
#define BED_PARTITIONS_MAX 64

struct bed_delivery {
	void *tag;
	enum mr_status status;
	int32_t partition;
	int64_t offset;
};

struct bed {
	struct bus *bus;
	struct bed_delivery deliveries[BED_EVENTS_MAX];
	size_t n_deliveries, n_failed;
	struct bus_partition assigned[BED_PARTITIONS_MAX]; /* topics are the configuration's */
	size_t n_assigned;                                 /* now */
	size_t n_assigns, n_revokes, n_lost;
	int64_t assign_at;        /* offset to give at the next assign; BUS_OFFSET_COMMITTED unless set */
	int64_t commit_in_revoke; /* offset to commit for one partition inside revoked(), -1 = none */
	int32_t commit_in_revoke_of;
	enum mr_status commit_in_revoke_status;
	size_t n_committed;
	enum mr_status committed_status;
	struct bus_partition ends[BED_PARTITIONS_MAX];
	size_t n_ends;
	enum mr_status ends_status;
	struct bus_partition topics[BED_PARTITIONS_MAX]; /* counts */
	size_t n_topics;
	struct bus_partition group_offsets[BED_PARTITIONS_MAX];
	size_t n_group_offsets;
	enum mr_status health[64];
	size_t n_health;
	char health_text[512];
};

/* Opens the bus; brokers must be set in the configuration, which lives as long as the bed. */
void bed_open(struct bed *bed, const struct bus_config *config);
void bed_close(struct bed *bed);
/* Waits a little for the fd, then polls. */
void bed_step(struct bed *bed);
/* Takes until n records came, at most `limit_s`; fails the test otherwise. */
void bed_take(struct bed *bed, struct bus_message **ret, size_t n, int limit_s);
void bed_free_messages(struct bed *bed, struct bus_message **messages, size_t n);
/* Produces one record with retries while the bus is full. */
void bed_produce(struct bed *bed, const char *topic, int32_t partition, const char *key, const char *value);
/* Produces n records of `size` bytes and waits until all are acknowledged. */
void bed_fill(struct bed *bed, const char *topic, int32_t partition, size_t n, size_t size);
/* "t<random>." */
void bed_prefix(char *ret, size_t size);

#define BED_LIMIT_S 15
#define eventually(bed, condition)                                                                                               \
	do {                                                                                                                     \
		int64_t limit_us_ = clock_mono_us() + BED_LIMIT_S * 1000000LL;                                                   \
		while (!(condition)) {                                                                                           \
			if (clock_mono_us() > limit_us_)                                                                         \
				fail_msg("not within %d s: %s", BED_LIMIT_S, #condition);                                        \
			bed_step(bed);                                                                                           \
		}                                                                                                                \
	} while (0)

#endif
