/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_ASK_H
#define BUS_KAFKA_ASK_H

#include "bus/kafka_helper.h"

/* Questions about topics and groups that are not ours. They block: the helper's thread asks them. */

/* Topics that begin with job->topic into job->partitions, `partition` being how many each has. */
void kafka_ask_topics(struct helper_job *job);
/* Offsets that group job->topic has committed for job->partitions. */
void kafka_ask_group(struct helper_job *job);

#endif
