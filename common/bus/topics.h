/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_TOPICS_H
#define BUS_TOPICS_H

#include "base/buf.h"
#include "bus/bus.h"

/*
 * The topics of an installation (design.md 3): creates what is missing, checks what is there. Blocking calls for start-up and the
 * command line, and the purge, which runs on a thread of its own.
 */
#define TOPICS_DEFAULT_PARTITIONS 32
#define TOPICS_SHARDS 16 /* partitions of journal, control and results */

struct topics_spec {
	const char *brokers;
	const struct conf_list *properties;
	const char *prefix; /* "millrace." */
	const char *const *queues;
	size_t n_queues;
	int partitions; /* of task topics that are created; 0 = TOPICS_DEFAULT_PARTITIONS, and fewer are never mentioned */
	int shards;     /* of journal, control, results where they are created; 0 = TOPICS_SHARDS */
	int replication_factor; /* 0 = the broker's default; from 3 on, two replicas must acknowledge */
	int64_t retention_ms;   /* of results, at least as long as results are kept in Redis; 0 = 24 h */
	bool check_only;
	int timeout_ms;
};

struct topics_info {
	int shards;   /* partitions of journal = control = results */
	char *report; /* a line per topic created or differing, for people; free() it; may be "" */
	size_t created;
	size_t differing; /* lines of the report that name a difference, something missing, or a refusal */
};

/* Idempotent; several may run at once. Partition counts and settings of existing topics are reported, never changed.
 * MR_EKAFKA: unreachable within timeout_ms (message names the brokers), or creation refused. MR_ECONFLICT: journal, control
 * and results disagree in their partition count. MR_EINVAL: a queue or prefix that is no legal topic name. Works on
 * librdkafka's mock cluster too, which has no admin API: topics that exist are accepted, missing ones appear by a metadata
 * request, with 4 partitions each. `ret` is filled in on MR_OK only. */
enum mr_status topics_setup(const struct topics_spec *spec, struct topics_info *ret, struct mr_error *err);

/* Deletes records of task topics (of `queues`, or of all of the prefix where none is named) behind the offsets that their
 * worker groups have committed. A refusal is a line in the report. On the mock cluster, which cannot, it does nothing. */
enum mr_status topics_purge(const struct topics_spec *spec, struct topics_info *ret, struct mr_error *err);

/* "<prefix>tasks.<queue>" and the group that works on it "<prefix>workers.<queue>". The caller frees. */
char *topics_task_topic(const char *prefix, const char *queue);
char *topics_worker_group(const char *prefix, const char *queue);

#endif
