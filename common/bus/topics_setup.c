/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/kafka_admin.h"
#include "bus/topics_plan.h"

#define REPLICAS_MIN_INSYNC 3

struct setup {
	const struct topics_spec *spec;
	struct admin admin;
	struct topics_plan plan;
	bool is_mock;
	int shards; /* 0 = none of the sharded topics exists */
	struct buf report;
	size_t created, differing;
};

static void differs(struct setup *setup, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void differs(struct setup *setup, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(&setup->report, format, args);
	va_end(args);
	buf_append_char(&setup->report, '\n');
	setup->differing++;
}

/* The three must have the same number of partitions: a key's shard is its partition in each. */
static enum mr_status find_shards(struct setup *setup, struct mr_error *err)
{
	const struct topic_plan *first = NULL;

	for (size_t i = 0; i < setup->plan.len; i++) {
		const struct topic_plan *topic = &setup->plan.topics[i];
		if (!topic_is_sharded(topic) || !topic->exists)
			continue;
		if (!first)
			first = topic;
		if (topic->exists != first->exists)
			return mr_error_set(err, MR_ECONFLICT, topic->name,
					    "it has %d partitions but %s has %d: journal, control and results must have the same "
					    "number, which never changes",
					    topic->exists, first->name, first->exists);
	}
	setup->shards = first ? first->exists : 0;
	return MR_OK;
}

static enum mr_status look(struct setup *setup, size_t *ret_missing, struct mr_error *err)
{
	const struct rd_kafka_metadata *metadata;
	enum mr_status status = admin_metadata(&setup->admin, &metadata, err);

	if (status != MR_OK)
		return status;
	*ret_missing = 0;
	for (size_t i = 0; i < setup->plan.len; i++) {
		struct topic_plan *topic = &setup->plan.topics[i];
		topic->exists = admin_partitions(metadata, topic->name);
		*ret_missing += topic->exists == 0;
	}
	rd_kafka_metadata_destroy(metadata);
	return find_shards(setup, err);
}

static int partitions_of(const struct setup *setup, const struct topic_plan *topic)
{
	const struct topics_spec *spec = setup->spec;

	if (!topic_is_sharded(topic))
		return spec->partitions > 0 ? spec->partitions : TOPICS_DEFAULT_PARTITIONS;
	if (setup->shards > 0)
		return setup->shards;
	return spec->shards > 0 ? spec->shards : TOPICS_SHARDS;
}

static void set_config(rd_kafka_NewTopic_t *topic, const char *name, const char *value)
{
	rd_kafka_resp_err_t err = rd_kafka_NewTopic_set_config(topic, name, value);

	assert(!err);
}

/* Newer versions of the library tell the limit of partitions by an error of this call. */
static enum mr_status new_topic(const struct setup *setup, const struct topic_plan *plan, rd_kafka_NewTopic_t **ret,
				struct mr_error *err)
{
	int replicas = setup->spec->replication_factor;
	char text[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(plan->name, partitions_of(setup, plan), replicas > 0 ? replicas : -1,
							   text, sizeof(text));

	if (!topic)
		return mr_error_set(err, MR_EINVAL, plan->name, "it cannot be created: %s", text);
	for (size_t i = 0; i < plan->n_settings; i++)
		set_config(topic, plan->settings[i].name, plan->settings[i].value);
	if (replicas >= REPLICAS_MIN_INSYNC)
		set_config(topic, "min.insync.replicas", "2");
	*ret = topic;
	return MR_OK;
}

static struct topic_plan *planned(struct setup *setup, const char *name)
{
	for (size_t i = 0; i < setup->plan.len; i++)
		if (strcmp(setup->plan.topics[i].name, name) == 0)
			return &setup->plan.topics[i];
	return NULL;
}

static enum mr_status check_created(struct setup *setup, const rd_kafka_CreateTopics_result_t *result, struct mr_error *err)
{
	size_t n;
	const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(result, &n);

	for (size_t i = 0; i < n; i++) {
		const char *name = rd_kafka_topic_result_name(results[i]);
		rd_kafka_resp_err_t failed = rd_kafka_topic_result_error(results[i]);
		struct topic_plan *topic = planned(setup, name);
		assert(topic);
		if (failed && failed != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
			const char *text = rd_kafka_topic_result_error_string(results[i]);
			return mr_error_set(err, MR_EKAFKA, name, "it cannot be created: %s",
					    text ? text : rd_kafka_err2str(failed));
		}
		topic->created = !failed;
	}
	return MR_OK;
}

static enum mr_status send_creation(struct setup *setup, rd_kafka_NewTopic_t **topics, size_t n, struct mr_error *err)
{
	rd_kafka_AdminOptions_t *options = admin_options(&setup->admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_event_t *event;
	enum mr_status status;

	rd_kafka_CreateTopics(setup->admin.rk, topics, n, options, setup->admin.answers);
	rd_kafka_AdminOptions_destroy(options);
	status = admin_answer(&setup->admin, "creating topics", &event, err);
	if (status != MR_OK)
		return status;
	status = check_created(setup, rd_kafka_event_CreateTopics_result(event), err);
	rd_kafka_event_destroy(event);
	return status;
}

static enum mr_status create(struct setup *setup, struct mr_error *err)
{
	CLEANUP_FREE rd_kafka_NewTopic_t **topics = mem_alloc(setup->plan.len * sizeof(*topics));
	enum mr_status status = MR_OK;
	size_t n = 0;

	for (size_t i = 0; i < setup->plan.len && status == MR_OK; i++) {
		if (setup->plan.topics[i].exists)
			continue;
		status = new_topic(setup, &setup->plan.topics[i], &topics[n], err);
		n += status == MR_OK;
	}
	if (status == MR_OK)
		status = send_creation(setup, topics, n, err);
	rd_kafka_NewTopic_destroy_array(topics, n);
	return status;
}

/* The mock cluster makes a topic of whatever name is asked for. */
static void create_by_asking(struct setup *setup)
{
	for (size_t i = 0; i < setup->plan.len; i++) {
		const struct rd_kafka_metadata *metadata;
		struct topic_plan *plan = &setup->plan.topics[i];
		if (plan->exists)
			continue;
		rd_kafka_topic_t *topic = rd_kafka_topic_new(setup->admin.rk, plan->name, NULL);
		assert(topic);
		if (!rd_kafka_metadata(setup->admin.rk, 0, topic, &metadata, admin_left_ms(&setup->admin)))
			rd_kafka_metadata_destroy(metadata);
		rd_kafka_topic_destroy(topic);
		plan->created = true;
	}
}

/* A broker may hear of a new topic a little later than the controller. */
static enum mr_status wait_until_there(struct setup *setup, struct mr_error *err)
{
	size_t missing;

	for (;;) {
		enum mr_status status = look(setup, &missing, err);
		if (status != MR_OK || missing == 0)
			return status;
		if (admin_expired(&setup->admin))
			return mr_error_set(err, MR_EKAFKA, setup->spec->brokers,
					    "%zu topics that were created do not appear within %d ms", missing,
					    setup->admin.timeout_ms);
		admin_pause();
	}
}

static enum mr_status create_missing(struct setup *setup, struct mr_error *err)
{
	enum mr_status status = MR_OK;

	if (setup->is_mock)
		create_by_asking(setup);
	else
		status = create(setup, err);
	if (status == MR_OK)
		status = wait_until_there(setup, err);
	for (size_t i = 0; status == MR_OK && i < setup->plan.len; i++) {
		const struct topic_plan *topic = &setup->plan.topics[i];
		if (!topic->created)
			continue;
		buf_printf(&setup->report, "created %s: %d partitions\n", topic->name, topic->exists);
		setup->created++;
	}
	return status;
}

static void report_missing(struct setup *setup)
{
	for (size_t i = 0; i < setup->plan.len; i++)
		if (!setup->plan.topics[i].exists)
			differs(setup, "%s: does not exist", setup->plan.topics[i].name);
}

static const char *wording(enum setting_rule rule)
{
	switch (rule) {
	case SETTING_EXACTLY:
		return "";
	case SETTING_AT_LEAST:
		return "at least ";
	case SETTING_AT_MOST:
		return "at most ";
	}
	abort();
}

static void compare(struct setup *setup, const struct topic_plan *topic, const rd_kafka_ConfigResource_t *resource)
{
	size_t n;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &n);

	for (size_t i = 0; i < topic->n_settings; i++) {
		const struct topic_setting *setting = &topic->settings[i];
		for (size_t j = 0; j < n; j++) {
			const char *found = rd_kafka_ConfigEntry_value(entries[j]);
			if (found && strcmp(rd_kafka_ConfigEntry_name(entries[j]), setting->name) == 0 &&
			    !topic_setting_holds(setting, found))
				differs(setup, "%s: %s is %s, should be %s%s", topic->name, setting->name, found,
					wording(setting->rule), setting->value);
		}
	}
}

static void compare_all(struct setup *setup, const rd_kafka_DescribeConfigs_result_t *result)
{
	size_t n;
	const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(result, &n);

	for (size_t i = 0; i < n; i++) {
		const char *name = rd_kafka_ConfigResource_name(resources[i]);
		rd_kafka_resp_err_t err = rd_kafka_ConfigResource_error(resources[i]);
		const struct topic_plan *topic = planned(setup, name);
		assert(topic);
		if (err)
			buf_printf(&setup->report, "%s: its settings cannot be read: %s\n", name, rd_kafka_err2str(err));
		else
			compare(setup, topic, resources[i]);
	}
}

static enum mr_status check_settings(struct setup *setup, struct mr_error *err)
{
	CLEANUP_FREE rd_kafka_ConfigResource_t **resources = mem_alloc(setup->plan.len * sizeof(*resources));
	rd_kafka_event_t *event;
	size_t n = 0;

	for (size_t i = 0; i < setup->plan.len; i++)
		if (setup->plan.topics[i].exists && !setup->plan.topics[i].created)
			resources[n++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, setup->plan.topics[i].name);
	if (n == 0 || setup->is_mock) {
		rd_kafka_ConfigResource_destroy_array(resources, n);
		return MR_OK;
	}
	rd_kafka_AdminOptions_t *options = admin_options(&setup->admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_DescribeConfigs(setup->admin.rk, resources, n, options, setup->admin.answers);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy_array(resources, n);

	enum mr_status status = admin_answer(&setup->admin, "reading the settings of topics", &event, err);
	if (status != MR_OK)
		return status;
	compare_all(setup, rd_kafka_event_DescribeConfigs_result(event));
	rd_kafka_event_destroy(event);
	return MR_OK;
}

/* Partitions limit how many workers can share a queue. They are the operator's to add: records of a key move when their number
 * changes. */
static void check_partitions(struct setup *setup)
{
	for (size_t i = 0; i < setup->plan.len; i++) {
		const struct topic_plan *topic = &setup->plan.topics[i];
		if (topic->kind == TOPIC_TASKS && topic->exists && topic->exists < setup->spec->partitions)
			differs(setup,
				"%s: the number of partitions is %d, and no more workers than that share the queue; to have %d: "
				"kafka-topics.sh --bootstrap-server %s --alter --topic %s --partitions %d",
				topic->name, topic->exists, setup->spec->partitions, setup->spec->brokers, topic->name,
				setup->spec->partitions);
	}
}

static enum mr_status run(struct setup *setup, struct mr_error *err)
{
	enum mr_status status;
	size_t missing;

	status = topics_plan_init(&setup->plan, setup->spec, err);
	if (status == MR_OK)
		status = admin_init(&setup->admin, setup->spec, err);
	if (status == MR_OK)
		status = look(setup, &missing, err);
	if (status != MR_OK)
		return status;
	setup->is_mock = admin_is_mock(&setup->admin);

	if (missing > 0 && setup->spec->check_only)
		report_missing(setup);
	else if (missing > 0)
		status = create_missing(setup, err);
	if (status == MR_OK)
		status = check_settings(setup, err);
	if (status == MR_OK)
		check_partitions(setup);
	return status;
}

enum mr_status topics_setup(const struct topics_spec *spec, struct topics_info *ret, struct mr_error *err)
{
	struct setup setup = {.spec = spec};
	enum mr_status status;

	assert(spec->prefix && (spec->queues || spec->n_queues == 0));
	status = run(&setup, err);
	if (status == MR_OK) {
		buf_append_char(&setup.report, '\0');
		*ret = (struct topics_info){setup.shards, setup.report.data, setup.created, setup.differing};
		setup.report = (struct buf){0};
	}
	admin_deinit(&setup.admin);
	topics_plan_deinit(&setup.plan);
	buf_deinit(&setup.report);
	return status;
}
