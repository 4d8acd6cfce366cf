/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_group.h"

#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/kafka_impl.h"

/* How long a leave waits for a rebalance that is under way. */
#define LEAVE_JOINING_US 3000000
/* Two that were given the same instance would otherwise do nothing but fence each other. */
#define RENEW_AFTER_US 1000000

static void set_offsets(rd_kafka_topic_partition_list_t *list, const struct bus_partition *partitions)
{
	for (int i = 0; i < list->cnt; i++) {
		int64_t offset = partitions[i].offset;
		list->elems[i].offset = offset == BUS_OFFSET_COMMITTED ? RD_KAFKA_OFFSET_INVALID : offset;
	}
}

static void assign(struct kafka *kafka, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list)
{
	CLEANUP_FREE struct bus_partition *partitions = kafka_partitions(list);

	for (int i = 0; i < list->cnt; i++)
		partitions[i].offset = BUS_OFFSET_COMMITTED;
	if (kafka->callbacks.assigned)
		kafka->callbacks.assigned(kafka->callbacks.ctx, partitions, (size_t)list->cnt);
	set_offsets(list, partitions);

	for (int i = 0; i < list->cnt; i++)
		queues_add(&kafka->queues, rk, list->elems[i].topic, list->elems[i].partition);
	kafka->group.n_assigned = (size_t)list->cnt;
	rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
	if (err)
		log_warn("assignment refused", LOG_S("error", rd_kafka_err2str(err)));
}

static void revoke(struct kafka *kafka, rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list, bool lost)
{
	CLEANUP_FREE struct bus_partition *partitions = kafka_partitions(list);

	if (kafka->group.n_assigned > 0 && !kafka->group.closing && kafka->callbacks.revoked)
		kafka->callbacks.revoked(kafka->callbacks.ctx, partitions, (size_t)list->cnt, lost);
	kafka->group.n_assigned = 0;
	kafka->group.joining = !kafka->group.unsubscribed;
	rd_kafka_assign(rk, NULL);
	queues_remove_all(&kafka->queues, rk);
}

/* Not NULL: the library would take that for the end of its membership, and join again. */
static void assign_nothing(rd_kafka_t *rk)
{
	rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);

	rd_kafka_assign(rk, none);
	rd_kafka_topic_partition_list_destroy(none);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct kafka *kafka = opaque;
	struct group *group = &kafka->group;
	bool is_assign = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
	bool is_revoke = err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS;

	log_debug("rebalance", LOG_S("event", rd_kafka_err2name(err)), LOG_I("partitions", list->cnt));
	if (is_assign)
		group->joining = false;
	if (is_assign && !group->leaving && !group->closing)
		assign(kafka, rk, list);
	else if (is_assign)
		assign_nothing(rk);
	else
		revoke(kafka, rk, list, !is_revoke || group->fenced || rd_kafka_assignment_lost(rk));
}

static void report_commit(struct kafka *kafka, const rd_kafka_topic_partition_list_t *list, rd_kafka_resp_err_t err)
{
	CLEANUP_FREE struct bus_partition *partitions = kafka_partitions(list);

	for (int i = 0; !err && i < list->cnt; i++)
		err = list->elems[i].err;
	if (err)
		log_debug("commit failed", LOG_S("error", rd_kafka_err2str(err)));
	if (kafka->callbacks.committed)
		kafka->callbacks.committed(kafka->callbacks.ctx, partitions, (size_t)list->cnt, err ? MR_EKAFKA : MR_OK);
}

static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct kafka *kafka = opaque;

	(void)rk;
	if (list && list->cnt > 0 && !kafka->group.closing)
		report_commit(kafka, list, err);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	(void)rk;
	kafka_on_error(opaque, (rd_kafka_resp_err_t)err, reason);
}

static rd_kafka_topic_partition_list_t *assigned(const struct group *group)
{
	const struct queues *queues = &group->consumer.kafka->queues;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)group->n_assigned);

	for (size_t i = 0; i < queues->len; i++)
		if (queues->items[i]->rk == group->consumer.rk)
			rd_kafka_topic_partition_list_add(list, queues->items[i]->topic, queues->items[i]->partition);
	return list;
}

/*
 * Another process took over our instance, or a broker that went away in the middle of our join knows a member id that never
 * reached us. The library drops the assignment itself then, and calls no rebalance callback.
 */
void group_fatal(struct group *group)
{
	struct kafka *kafka = group->consumer.kafka;
	rd_kafka_t *rk = group->consumer.rk;
	char text[256];

	if (group->fenced)
		return;
	group->fenced = true;
	group->renew_at_us = clock_mono_us() + RENEW_AFTER_US;
	rd_kafka_fatal_error(rk, text, sizeof(text));
	health_report(&kafka->health, MR_ECONFLICT, "the membership in the group is lost, and asked for anew: %s", text);
	if (group->n_assigned > 0) {
		rd_kafka_topic_partition_list_t *list = assigned(group);
		revoke(kafka, rk, list, true);
		rd_kafka_topic_partition_list_destroy(list);
	}
}

static enum mr_status join(struct group *group, struct kafka *kafka, struct mr_error *err)
{
	enum mr_status status = consumer_init(&group->consumer, kafka, KAFKA_GROUP, rd_kafka_conf_dup(group->conf), err);

	if (status != MR_OK)
		return status;
	group->joining = true;
	rd_kafka_resp_err_t failed = rd_kafka_subscribe(group->consumer.rk, group->topics);
	if (failed)
		return mr_error_set(err, MR_EINVAL, "topics", "Kafka cannot subscribe to them: %s", rd_kafka_err2str(failed));
	return MR_OK;
}

enum mr_status group_init(struct group *group, struct kafka *kafka, const struct bus_config *config, struct mr_error *err)
{
	enum mr_status status = kafka_conf_new(KAFKA_GROUP, config, &group->conf, err);

	if (status != MR_OK)
		return status;
	rd_kafka_conf_set_opaque(group->conf, kafka);
	rd_kafka_conf_set_rebalance_cb(group->conf, on_rebalance);
	rd_kafka_conf_set_offset_commit_cb(group->conf, on_commit);
	rd_kafka_conf_set_error_cb(group->conf, on_error);
	group->topics = rd_kafka_topic_partition_list_new((int)config->n_topics);
	for (size_t i = 0; i < config->n_topics; i++)
		rd_kafka_topic_partition_list_add(group->topics, config->topics[i], RD_KAFKA_PARTITION_UA);
	return join(group, kafka, err);
}

/* As the same instance, so that its partitions come back without a rebalance. */
static void renew_membership(struct group *group, int64_t now_us)
{
	struct consumer old = group->consumer;
	struct mr_error err = {0};

	if (!group->fenced || group->leaving || now_us < group->renew_at_us)
		return;
	group->consumer = (struct consumer){0};
	if (join(group, old.kafka, &err) != MR_OK) {
		/* The same configuration was good before, so the system is out of threads or files. */
		log_warn("no new consumer", LOG_S("error", err.message));
		consumer_deinit(&group->consumer, false);
		group->consumer = old;
		group->renew_at_us = now_us + RENEW_AFTER_US;
		return;
	}
	group->fenced = false;
	consumer_retire(&old);
}

void group_deinit(struct group *group, bool orderly)
{
	rd_kafka_t *rk = group->consumer.rk;

	group->closing = true;
	if (group->n_assigned > 0) {
		rd_kafka_assign(rk, NULL);
		queues_remove_all(&group->consumer.kafka->queues, rk);
	}
	consumer_deinit(&group->consumer, orderly);
	if (group->refused)
		rd_kafka_topic_partition_list_destroy(group->refused);
	if (group->topics)
		rd_kafka_topic_partition_list_destroy(group->topics);
	if (group->conf)
		rd_kafka_conf_destroy(group->conf);
}

/*
 * While it joins, the library takes back the subscription without a word to the broker (it asks for the leave only of a
 * member that has its assignment), and the member's partitions stay with nobody until its session times out. So the
 * assignment is waited for first. A static member tells the group that it leaves only when it unsubscribes, not when it
 * closes.
 */
static void leave_when_joined(struct group *group, int64_t now_us)
{
	bool in_vain = group->fenced || group->consumer.kafka->health.state == HEALTH_DOWN || now_us >= group->leave_by_us;

	if (!group->leaving || group->unsubscribed || (group->joining && !in_vain))
		return;
	group->unsubscribed = true;
	rd_kafka_unsubscribe(group->consumer.rk);
}

void group_poll(struct group *group, int64_t now_us)
{
	rd_kafka_topic_partition_list_t *refused = group->refused;

	consumer_poll(&group->consumer);
	renew_membership(group, now_us);
	leave_when_joined(group, now_us);
	if (refused) {
		group->refused = NULL;
		report_commit(group->consumer.kafka, refused, RD_KAFKA_RESP_ERR__STATE);
		rd_kafka_topic_partition_list_destroy(refused);
	}
}

static bool is_ours(const struct group *group, const struct bus_partition *partition)
{
	const struct queue *queue = queues_find(&group->consumer.kafka->queues, partition->topic, partition->partition);

	return queue && queue->rk == group->consumer.rk;
}

/* NULL where none of them is ours. */
static rd_kafka_topic_partition_list_t *commit_list(const struct group *group, const struct bus_partition *partitions, size_t n)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);

	for (size_t i = 0; i < n; i++)
		if (partitions[i].offset >= 0 && is_ours(group, &partitions[i]))
			rd_kafka_topic_partition_list_add(list, partitions[i].topic, partitions[i].partition)->offset =
				partitions[i].offset;
	if (list->cnt > 0)
		return list;
	rd_kafka_topic_partition_list_destroy(list);
	return NULL;
}

void group_commit(struct group *group, const struct bus_partition *partitions, size_t n)
{
	rd_kafka_topic_partition_list_t *list = commit_list(group, partitions, n);

	if (!list)
		return;
	if (rd_kafka_commit(group->consumer.rk, list, 1)) {
		if (group->refused)
			rd_kafka_topic_partition_list_destroy(group->refused);
		group->refused = list;
		return;
	}
	rd_kafka_topic_partition_list_destroy(list);
}

/* rd_kafka_commit(.., 0) would wait for a hung broker without an end, and the whole group with it. */
enum mr_status group_commit_now(struct group *group, const struct bus_partition *partitions, size_t n)
{
	rd_kafka_topic_partition_list_t *list = commit_list(group, partitions, n);
	rd_kafka_resp_err_t err;

	if (!list)
		return MR_OK;
	rd_kafka_queue_t *answer = rd_kafka_queue_new(group->consumer.rk);
	err = rd_kafka_commit_queue(group->consumer.rk, list, answer, NULL, NULL);
	if (!err) {
		rd_kafka_event_t *event = rd_kafka_queue_poll(answer, BUS_COMMIT_NOW_MS);
		err = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
		rd_kafka_event_destroy(event);
	}
	rd_kafka_queue_destroy(answer);
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		log_debug("commit failed", LOG_S("error", rd_kafka_err2str(err)));
	return kafka_status(err);
}

void group_leave(struct group *group, int64_t now_us)
{
	if (group->leaving)
		return;
	group->leaving = true;
	group->leave_by_us = now_us + LEAVE_JOINING_US;
	leave_when_joined(group, now_us);
}

/* The member id goes away when the request to leave is sent; where it joins in vain there is none to be sent. */
bool group_left(struct group *group)
{
	if (!group->unsubscribed || group->n_assigned > 0)
		return false;
	if (group->joining)
		return true;
	char *id = rd_kafka_memberid(group->consumer.rk);
	bool left = !id || !*id;
	if (id)
		rd_kafka_mem_free(group->consumer.rk, id);
	return left;
}
