/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/mem.h"
#include "bus/kafka_admin.h"

struct purge {
	const struct topics_spec *spec;
	struct admin admin;
	char *tasks; /* what task topics begin with */
	rd_kafka_topic_partition_list_t *offsets;
	struct buf report;
	size_t refused;
};

static void refuse(struct purge *purge, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void refuse(struct purge *purge, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(&purge->report, format, args);
	va_end(args);
	buf_append_char(&purge->report, '\n');
	purge->refused++;
}

/* The queue of a task topic that is to be purged, or NULL. */
static const char *queue_of(const struct purge *purge, const char *topic)
{
	size_t len = strlen(purge->tasks);

	if (strncmp(topic, purge->tasks, len) != 0 || !topic[len])
		return NULL;
	for (size_t i = 0; i < purge->spec->n_queues; i++)
		if (strcmp(topic + len, purge->spec->queues[i]) == 0)
			return topic + len;
	return purge->spec->n_queues == 0 ? topic + len : NULL;
}

static void note_offsets(struct purge *purge, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++) {
		const rd_kafka_topic_partition_t *found = &list->elems[i];
		if (found->err)
			refuse(purge, "%s [%d]: its committed offset cannot be read: %s", found->topic, (int)found->partition,
			       rd_kafka_err2str(found->err));
		else if (found->offset > 0)
			rd_kafka_topic_partition_list_add(purge->offsets, found->topic, found->partition)->offset = found->offset;
	}
}

static void note_group(struct purge *purge, const rd_kafka_ListConsumerGroupOffsets_result_t *result)
{
	size_t n;
	const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &n);

	for (size_t i = 0; i < n; i++) {
		const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[i]);
		if (error)
			refuse(purge, "group %s: %s", rd_kafka_group_result_name(groups[i]), rd_kafka_error_string(error));
		else
			note_offsets(purge, rd_kafka_group_result_partitions(groups[i]));
	}
}

static enum mr_status ask_committed(struct purge *purge, const struct rd_kafka_metadata_topic *topic, const char *queue,
				    struct mr_error *err)
{
	CLEANUP_FREE char *group = topics_worker_group(purge->spec->prefix, queue);
	rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(topic->partition_cnt);
	rd_kafka_AdminOptions_t *options = admin_options(&purge->admin, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
	rd_kafka_event_t *event;

	for (int i = 0; i < topic->partition_cnt; i++)
		rd_kafka_topic_partition_list_add(partitions, topic->topic, topic->partitions[i].id);
	rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(group, partitions);
	rd_kafka_ListConsumerGroupOffsets(purge->admin.rk, &request, 1, options, purge->admin.answers);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ListConsumerGroupOffsets_destroy(request);
	rd_kafka_topic_partition_list_destroy(partitions);

	enum mr_status status = admin_answer(&purge->admin, "reading committed offsets", &event, err);
	if (status != MR_OK)
		return status;
	note_group(purge, rd_kafka_event_ListConsumerGroupOffsets_result(event));
	rd_kafka_event_destroy(event);
	return MR_OK;
}

static enum mr_status find_offsets(struct purge *purge, const struct rd_kafka_metadata *metadata, struct mr_error *err)
{
	enum mr_status status = MR_OK;

	for (int i = 0; i < metadata->topic_cnt && status == MR_OK; i++) {
		const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
		const char *queue = queue_of(purge, topic->topic);
		if (queue && !topic->err)
			status = ask_committed(purge, topic, queue, err);
	}
	return status;
}

/* Success as a whole says nothing of the partitions. */
static void check_deleted(struct purge *purge, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++)
		if (list->elems[i].err)
			refuse(purge, "%s [%d]: settled records are not deleted: %s", list->elems[i].topic,
			       (int)list->elems[i].partition, rd_kafka_err2str(list->elems[i].err));
}

static enum mr_status delete_records(struct purge *purge, struct mr_error *err)
{
	rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(purge->offsets);
	rd_kafka_AdminOptions_t *options = admin_options(&purge->admin, RD_KAFKA_ADMIN_OP_DELETERECORDS);
	rd_kafka_event_t *event;

	rd_kafka_DeleteRecords(purge->admin.rk, &request, 1, options, purge->admin.answers);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_DeleteRecords_destroy(request);
	enum mr_status status = admin_answer(&purge->admin, "deleting settled records", &event, err);
	if (status != MR_OK)
		return status;
	check_deleted(purge, rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event)));
	rd_kafka_event_destroy(event);
	return MR_OK;
}

static enum mr_status run(struct purge *purge, struct mr_error *err)
{
	const struct rd_kafka_metadata *metadata;
	enum mr_status status = admin_init(&purge->admin, purge->spec, err);

	if (status == MR_OK)
		status = admin_metadata(&purge->admin, &metadata, err);
	if (status != MR_OK)
		return status;
	if (!admin_is_mock(&purge->admin))
		status = find_offsets(purge, metadata, err);
	rd_kafka_metadata_destroy(metadata);
	if (status == MR_OK && purge->offsets->cnt > 0)
		status = delete_records(purge, err);
	return status;
}

enum mr_status topics_purge(const struct topics_spec *spec, struct topics_info *ret, struct mr_error *err)
{
	struct purge purge = {
		.spec = spec, .tasks = topics_task_topic(spec->prefix, ""), .offsets = rd_kafka_topic_partition_list_new(32)};
	enum mr_status status = run(&purge, err);

	if (status == MR_OK) {
		buf_append_char(&purge.report, '\0');
		*ret = (struct topics_info){.report = purge.report.data, .differing = purge.refused};
		purge.report = (struct buf){0};
	}
	admin_deinit(&purge.admin);
	rd_kafka_topic_partition_list_destroy(purge.offsets);
	free(purge.tasks);
	buf_deinit(&purge.report);
	return status;
}
