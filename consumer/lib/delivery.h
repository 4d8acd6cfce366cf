/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_DELIVERY_H
#define CONSUMER_DELIVERY_H

#include "task/task.h"

struct job;

/* One record of ours that must be acknowledged: sent again until it is. It is its own tag on the bus. */
enum delivery_state { DELIVERY_UNSENT, DELIVERY_SENT, DELIVERY_DONE };
enum delivery_kind {
	DELIVERY_OF_STEP, /* the job's step ends with it (deliver.c) */
	DELIVERY_OF_PARK, /* the STARTED record (park.c) */
	DELIVERY_OF_BEAT, /* the last heartbeat (heartbeat.c) */
};
struct delivery {
	struct job *job;
	enum delivery_kind kind;
	struct bytes topic; /* NUL-terminated */
	int32_t partition;
	bool optional; /* a topic that the task named: where it can never be written, the copy is given up */
	enum delivery_state state;
	struct bytes key;
	struct bytes value;
	struct headers headers;
};

#endif
