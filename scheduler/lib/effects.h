/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_EFFECTS_H
#define SCHEDULER_EFFECTS_H

#include "lib/ending.h"

/*
 * What a command means for a task as it is: pure. Temporal's rules for a standalone activity (server chasm/lib/activity), but that
 * what it would refuse does nothing here, with a reason for the log: a record of Kafka has nobody who waits for an answer.
 *
 * A command never acts on another run than the one it names, and not twice under one request id.
 */
enum effect_kind {
	EFFECT_NONE,      /* nothing changes: `reason` */
	EFFECT_COMMAND,   /* a COMMAND record with all that commands have asked for so far */
	EFFECT_HEARTBEAT, /* a HEARTBEAT record */
	EFFECT_END,       /* the attempt ends, for `cause` */
};

struct effect {
	enum effect_kind kind;
	const char *reason;
	enum ending_cause cause;
	bool stray; /* NONE: the command found no attempt that it could act on */
	struct bytes run_id;
	/* COMMAND, as the journal record has them. */
	bool cancel_requested, terminate_requested, pause_requested;
	int64_t epoch;
	struct bytes options;
	const struct bytes *request_ids;
	size_t n_request_ids;
};

#define EFFECT_REQUEST_IDS 16
#define EFFECT_REQUEST_SEPARATOR '\x1e' /* of task_view.request_ids */

/* `request_id`: the command's own, or what stands for it. New bytes come from the arena, the others are borrowed. */
struct effect effect_of(const struct task_view *view, const struct control *control, struct bytes request_id,
			struct arena *arena);
/* After the ending of an attempt that may be followed by another one: a COMMAND record that changes nothing, but remembers the
 * request. NONE where the task has ended. */
struct effect effect_remembered(const struct task_view *view, struct bytes request_id, struct arena *arena);

#endif
