/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_TOPICS_H
#define BUS_TOPICS_H

#include "base/buf.h"
#include "bus/bus.h"

/*
 * The topics of an installation (design.md 3): creates what is missing, checks what is there. Blocking calls for start-up and the command line,
 * and the purge, which runs on a thread of its own.
 */
#define TOPICS_DEFAULT_PARTITIONS 32
#define TOPICS_SHARDS 16 /* partitions of journal, control and results */

struct topics_spec {
	const char *brokers;
	const struct conf_list *properties;
	const char *prefix;              /* "millrace." */
	const char *const *queues;
	size_t n_queues;
	int partitions;                  /* of task topics that are created */
	int shards;                      /* of journal, control, results where they are created; 0 = TOPICS_SHARDS */
	int replication_factor;          /* 0 = the broker's default */
	bool check_only;
	int timeout_ms;
};

struct topics_info {
	int shards;                      /* partitions of journal = control = results */
	char *report;                    /* a line per topic created or differing, for people; free() it; may be "" */
	size_t created, differing;
};

/* MR_EKAFKA: unreachable within timeout_ms (message names the brokers). MR_ECONFLICT: journal, control and results disagree in their partition count.
 * MR_EINVAL: a queue or prefix that is no legal topic name. Works on librdkafka's mock cluster too, which has no admin API: topics that
 * exist are accepted, missing ones appear by a metadata request. */
enum mr_status topics_setup(const struct topics_spec *spec, struct topics_info *ret, struct mr_error *err);

/* Deletes records of all task topics of the prefix behind the offsets that their worker groups have committed. A refusal is a warning in the report. */
enum mr_status topics_purge(const struct topics_spec *spec, struct topics_info *ret, struct mr_error *err);

/* "<prefix>tasks.<queue>" and the group that works on it "<prefix>workers.<queue>". The caller frees. */
char *topics_task_topic(const char *prefix, const char *queue);
char *topics_worker_group(const char *prefix, const char *queue);

#endif
