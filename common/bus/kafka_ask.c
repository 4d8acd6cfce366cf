/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/kafka_ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/kafka_conf.h"

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

/* The question of the admin interface (ListConsumerGroupOffsets) aborts the program in 2.0.2 where the coordinator goes away while
 * it is asked. A consumer of the group that never joins asks the same and does not. */
void kafka_ask_group(struct helper_job *job)
{
	while (rd_kafka_poll(job->rk, 0) > 0)
		;
	job->err = rd_kafka_committed(job->rk, job->partitions, TIMEOUT_MS);
}

static void ignore_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	(void)rk;
	(void)err;
	(void)reason;
	(void)opaque;
}

static rd_kafka_t *asker_new(const rd_kafka_conf_t *base, const char *group)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_dup(base);
	struct mr_error err = {0};
	char text[256];
	rd_kafka_t *rk = NULL;

	/* The bus has its health from the producer. */
	rd_kafka_conf_set_error_cb(conf, ignore_error);
	if (rd_kafka_conf_set(conf, "group.id", group, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
		log_warn("the offsets of a group cannot be asked for", LOG_S("group", group), LOG_S("error", text));
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	if (kafka_handle_new(KAFKA_READER, conf, &rk, &err) != MR_OK)
		log_warn("the offsets of a group cannot be asked for", LOG_S("group", group), LOG_S("error", err.message));
	return rk;
}

static void asker_forget(struct askers *askers, size_t i)
{
	free(askers->items[i].group);
	askers->n--;
	memmove(&askers->items[i], &askers->items[i + 1], (askers->n - i) * sizeof(askers->items[0]));
}

rd_kafka_t *askers_get(struct askers *askers, const rd_kafka_conf_t *base, const char *group, struct helper *helper)
{
	rd_kafka_t *rk;

	for (size_t i = 0; i < askers->n; i++)
		if (strcmp(askers->items[i].group, group) == 0)
			return askers->items[i].rk;
	rk = asker_new(base, group);
	if (!rk)
		return NULL;
	/* What it was asked before comes first. */
	if (askers->n == ASKERS_MAX) {
		helper_submit(helper, helper_job_new(HELPER_DESTROY, askers->items[0].rk));
		asker_forget(askers, 0);
	}
	askers->items[askers->n++] = (struct asker){mem_strdup(group), rk};
	return rk;
}

void askers_deinit(struct askers *askers)
{
	while (askers->n > 0) {
		rd_kafka_destroy_flags(askers->items[0].rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
		asker_forget(askers, 0);
	}
}
