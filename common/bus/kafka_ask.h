/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_ASK_H
#define BUS_KAFKA_ASK_H

#include "bus/kafka_helper.h"

/* Questions about topics and groups that are not ours. They block: the helper's thread asks them. */

/* Topics that begin with job->topic into job->partitions, `partition` being how many each has. */
void kafka_ask_topics(struct helper_job *job);
/* Offsets that a group has committed for job->partitions; job->rk is of askers_get. */
void kafka_ask_group(struct helper_job *job);

/* Consumers that are members of no group, one for each group that is asked about; the oldest goes first. */
#define ASKERS_MAX 16
struct askers {
	struct asker {
		char *group;
		rd_kafka_t *rk;
	} items[ASKERS_MAX];
	size_t n;
};

/* The consumer for a group, made where there is none; `base` is a reader's configuration. NULL where that fails. */
rd_kafka_t *askers_get(struct askers *askers, const rd_kafka_conf_t *base, const char *group, struct helper *helper);
/* When the helper has gone. */
void askers_deinit(struct askers *askers);

#endif
