/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000

void kafka_ask_topics(struct helper_job *job)
{
	const struct rd_kafka_metadata *metadata;
	size_t len = strlen(job->topic);

	job->partitions = rd_kafka_topic_partition_list_new(8);
	job->err = rd_kafka_metadata(job->rk, 1, NULL, &metadata, TIMEOUT_MS);
	if (job->err)
		return;
	for (int i = 0; i < metadata->topic_cnt; i++) {
		const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];

		if (!topic->err && strncmp(topic->topic, job->topic, len) == 0)
			rd_kafka_topic_partition_list_add(job->partitions, topic->topic, topic->partition_cnt);
	}
	rd_kafka_metadata_destroy(metadata);
}

static rd_kafka_AdminOptions_t *group_options(rd_kafka_t *rk)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
	char text[256];

	if (rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, text, sizeof(text))) {
		fprintf(stderr, "librdkafka refuses a request timeout: %s\n", text);
		abort();
	}
	return options;
}

static void take_group(struct helper_job *job, rd_kafka_event_t *event)
{
	size_t n = 0;
	const rd_kafka_group_result_t **groups =
		rd_kafka_ListConsumerGroupOffsets_result_groups(rd_kafka_event_ListConsumerGroupOffsets_result(event), &n);
	const rd_kafka_error_t *error = n == 1 ? rd_kafka_group_result_error(groups[0]) : NULL;

	if (n != 1 || error) {
		job->err = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR__FAIL;
		return;
	}
	rd_kafka_topic_partition_list_destroy(job->partitions);
	job->partitions = rd_kafka_topic_partition_list_copy(rd_kafka_group_result_partitions(groups[0]));
}

void kafka_ask_group(struct helper_job *job)
{
	rd_kafka_queue_t *answers = rd_kafka_queue_new(job->rk);
	rd_kafka_AdminOptions_t *options = group_options(job->rk);
	rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(job->topic, job->partitions);
	rd_kafka_event_t *event;

	rd_kafka_ListConsumerGroupOffsets(job->rk, &request, 1, options, answers);
	event = rd_kafka_queue_poll(answers, TIMEOUT_MS + 1000);
	job->err = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
	if (!job->err)
		take_group(job, event);
	if (event)
		rd_kafka_event_destroy(event);
	rd_kafka_ListConsumerGroupOffsets_destroy(request);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(answers);
}
