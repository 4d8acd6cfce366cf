/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/topics_plan.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"

#define HOUR_MS (3600 * 1000LL)
#define DAY_MS (24 * HOUR_MS)
#define TOPIC_NAME_MAX_BYTES 249
/* Kafka's default; what a task may be. Whatever carries a task and something more accepts 1 MiB more. */
#define TASK_MAX_BYTES 1048588LL
#define CARRIER_MAX_BYTES (TASK_MAX_BYTES + (1 << 20))
/* Kafka frees disk by whole segments. */
#define SEGMENT_BYTES (50LL << 20)
#define SEGMENT_MS (10 * 60 * 1000LL)

static void add(struct topic_plan *topic, const char *name, enum setting_rule rule, const char *value)
{
	assert(topic->n_settings < TOPIC_SETTINGS_MAX);
	struct topic_setting *setting = &topic->settings[topic->n_settings++];

	setting->name = name;
	setting->rule = rule;
	snprintf(setting->value, sizeof(setting->value), "%s", value);
}

static void add_number(struct topic_plan *topic, const char *name, enum setting_rule rule, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	add(topic, name, rule, text);
}

/* A topic that is deleted by age, and never by size. */
static void add_retention(struct topic_plan *topic, enum setting_rule rule, int64_t retention_ms)
{
	add(topic, "cleanup.policy", SETTING_EXACTLY, "delete");
	add_number(topic, "retention.ms", rule, retention_ms);
	add_number(topic, "retention.bytes", SETTING_AT_LEAST, -1);
}

static void configure(struct topic_plan *topic, const struct topics_spec *spec)
{
	switch (topic->kind) {
	case TOPIC_TASKS:
		/* A task that waits is never deleted by age; topics_purge deletes what is settled. */
		add_retention(topic, SETTING_EXACTLY, -1);
		add_number(topic, "segment.bytes", SETTING_AT_MOST, SEGMENT_BYTES);
		add_number(topic, "segment.ms", SETTING_AT_MOST, SEGMENT_MS);
		add_number(topic, "max.message.bytes", SETTING_AT_LEAST, TASK_MAX_BYTES);
		break;
	case TOPIC_RESULTS:
		add_retention(topic, SETTING_AT_LEAST, spec->retention_ms > 0 ? spec->retention_ms : DAY_MS);
		add_number(topic, "max.message.bytes", SETTING_AT_LEAST, CARRIER_MAX_BYTES);
		break;
	case TOPIC_JOURNAL:
		add(topic, "cleanup.policy", SETTING_EXACTLY, "compact");
		add_number(topic, "min.compaction.lag.ms", SETTING_AT_LEAST, HOUR_MS);
		add_number(topic, "segment.ms", SETTING_AT_MOST, SEGMENT_MS);
		add_number(topic, "max.message.bytes", SETTING_AT_LEAST, CARRIER_MAX_BYTES);
		break;
	case TOPIC_CONTROL:
		/* A command may have to wait for a scheduler that is down over a weekend. */
		add_retention(topic, SETTING_AT_LEAST, 7 * DAY_MS);
		add_number(topic, "max.message.bytes", SETTING_AT_LEAST, CARRIER_MAX_BYTES);
		break;
	case TOPIC_DEAD:
		add_retention(topic, SETTING_AT_LEAST, 14 * DAY_MS);
		add_number(topic, "max.message.bytes", SETTING_AT_LEAST, CARRIER_MAX_BYTES);
		break;
	}
	/* No client's clock starts a timeout or a retention. */
	add(topic, "message.timestamp.type", SETTING_EXACTLY, "LogAppendTime");
}

bool topics_name_is_legal(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > TOPIC_NAME_MAX_BYTES || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static enum mr_status add_topic(struct topics_plan *plan, const struct topics_spec *spec, enum topic_kind kind, char *name)
{
	for (size_t i = 0; i < plan->len; i++) {
		if (strcmp(plan->topics[i].name, name) == 0) {
			free(name);
			return MR_OK;
		}
	}
	struct topic_plan *topic = &plan->topics[plan->len++];
	*topic = (struct topic_plan){.kind = kind, .name = name};
	if (!topics_name_is_legal(name))
		return MR_EINVAL;
	configure(topic, spec);
	return MR_OK;
}

static char *common_topic(const char *prefix, const char *name)
{
	struct buf buf = {0};

	buf_printf(&buf, "%s%s", prefix, name);
	buf_append_char(&buf, '\0');
	return buf.data;
}

enum mr_status topics_plan_init(struct topics_plan *plan, const struct topics_spec *spec, struct mr_error *err)
{
	static const struct {
		enum topic_kind kind;
		const char *name;
	} COMMON[] = {{TOPIC_RESULTS, "results"}, {TOPIC_JOURNAL, "journal"}, {TOPIC_CONTROL, "control"}, {TOPIC_DEAD, "dead"}};
	const size_t n_common = sizeof(COMMON) / sizeof(COMMON[0]);

	*plan = (struct topics_plan){.topics = mem_alloc((spec->n_queues + n_common) * sizeof(struct topic_plan))};
	for (size_t i = 0; i < n_common; i++)
		if (add_topic(plan, spec, COMMON[i].kind, common_topic(spec->prefix, COMMON[i].name)) != MR_OK)
			return mr_error_set(err, MR_EINVAL, "prefix",
					    "\"%s\" cannot begin a topic name: letters, digits, '.', '_' and '-' can",
					    spec->prefix);
	for (size_t i = 0; i < spec->n_queues; i++)
		if (!spec->queues[i][0] ||
		    add_topic(plan, spec, TOPIC_TASKS, topics_task_topic(spec->prefix, spec->queues[i])) != MR_OK)
			return mr_error_set(err, MR_EINVAL, "queue",
					    "\"%s\" is no name for a queue: letters, digits, '.', '_' and '-', with the prefix "
					    "at most %d of them",
					    spec->queues[i], TOPIC_NAME_MAX_BYTES);
	return MR_OK;
}

void topics_plan_deinit(struct topics_plan *plan)
{
	for (size_t i = 0; i < plan->len; i++)
		free(plan->topics[i].name);
	free(plan->topics);
}

bool topic_is_sharded(const struct topic_plan *topic)
{
	return topic->kind == TOPIC_RESULTS || topic->kind == TOPIC_JOURNAL || topic->kind == TOPIC_CONTROL;
}

static int64_t limit(const char *text)
{
	int64_t value = strtoll(text, NULL, 10);

	return value < 0 ? INT64_MAX : value;
}

bool topic_setting_holds(const struct topic_setting *setting, const char *found)
{
	switch (setting->rule) {
	case SETTING_EXACTLY:
		return strcmp(found, setting->value) == 0;
	case SETTING_AT_LEAST:
		return limit(found) >= limit(setting->value);
	case SETTING_AT_MOST:
		return limit(found) <= limit(setting->value);
	}
	abort();
}
