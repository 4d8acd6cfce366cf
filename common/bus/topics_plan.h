/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_TOPICS_PLAN_H
#define BUS_TOPICS_PLAN_H

#include "bus/topics.h"

/* Which topics an installation has, and how each is configured. */
enum topic_kind { TOPIC_TASKS, TOPIC_RESULTS, TOPIC_JOURNAL, TOPIC_CONTROL, TOPIC_DEAD };

/* How an existing topic may differ from what we would create. -1 is without a limit for both. */
enum setting_rule { SETTING_EXACTLY, SETTING_AT_LEAST, SETTING_AT_MOST };

struct topic_setting {
	const char *name;
	enum setting_rule rule;
	char value[24];
};
#define TOPIC_SETTINGS_MAX 8

struct topic_plan {
	enum topic_kind kind;
	char *name;
	int exists;   /* its partitions, 0 = it does not exist */
	bool created; /* by this call */
	struct topic_setting settings[TOPIC_SETTINGS_MAX];
	size_t n_settings;
};

struct topics_plan {
	struct topic_plan *topics;
	size_t len;
};

/* MR_EINVAL: a queue or prefix that is no legal topic name. */
enum mr_status topics_plan_init(struct topics_plan *plan, const struct topics_spec *spec, struct mr_error *err);
void topics_plan_deinit(struct topics_plan *plan);
/* Partitions are the number of shards: journal, control and results. */
bool topic_is_sharded(const struct topic_plan *topic);
/* The value found is good enough. */
bool topic_setting_holds(const struct topic_setting *setting, const char *found);
bool topics_name_is_legal(const char *name);

#endif
