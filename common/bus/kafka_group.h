/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_GROUP_H
#define BUS_KAFKA_GROUP_H

#include "bus/kafka_consumer.h"

/* Membership in a consumer group, with eager rebalances: a revoke takes all partitions, an assign gives all. */
struct group {
	struct consumer consumer; /* .rk NULL: no group */
	size_t n_assigned;
	bool joining; /* no assignment since the subscription, or since the last revoke */
	bool leaving;
	bool unsubscribed;
	int64_t leave_by_us; /* it joins no longer than that, to leave properly */
	bool closing;        /* bus_free: the callee is told nothing more */
	bool fenced;         /* the library gave up the membership; a new handle takes its place */
	int64_t renew_at_us;
	rd_kafka_conf_t *conf;
	rd_kafka_topic_partition_list_t *topics;
	rd_kafka_topic_partition_list_t *refused; /* commits that the library did not even take, for the next poll */
};

enum mr_status group_init(struct group *group, struct kafka *kafka, const struct bus_config *config, struct mr_error *err);
void group_deinit(struct group *group, bool orderly);
void group_poll(struct group *group, int64_t now_us);
/* The library gave up the membership for good. */
void group_fatal(struct group *group);
void group_commit(struct group *group, const struct bus_partition *partitions, size_t n);
enum mr_status group_commit_now(struct group *group, const struct bus_partition *partitions, size_t n);
void group_leave(struct group *group, int64_t now_us);
bool group_left(struct group *group);

#endif
