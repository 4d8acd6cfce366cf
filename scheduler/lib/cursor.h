/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_CURSOR_H
#define SCHEDULER_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A reader's place in a partition, and whether it has read up to an end that was asked for. The last offsets before the end
 * may carry no record (retention, compaction), so that a reader waits in vain for them: an end that a second question confirms
 * while nothing has come for CURSOR_IDLE_US counts as reached.
 */
#define CURSOR_IDLE_US (2 * 1000 * 1000)
#define CURSOR_PROBE_US (1000 * 1000)

struct cursor {
	int64_t position;     /* next offset to read; -1: the beginning, wherever that is */
	int64_t end;          /* -1: not known */
	int64_t progress_us;  /* when something was read last, or reading began */
	int64_t confirmed_us; /* when the end was confirmed after that, 0 = not yet */
	bool caught_up;
};

/* The log is shorter than what was read of it: it was deleted and made again. */
bool cursor_is_beyond(const struct cursor *cursor, int64_t end);
/* Begins (again) at `position`; the end is to be asked for. */
void cursor_start(struct cursor *cursor, int64_t position, int64_t now_us);
void cursor_ended(struct cursor *cursor, int64_t end, int64_t now_us);
void cursor_read(struct cursor *cursor, int64_t next, int64_t now_us);
/* Nothing was taken although records may wait: this time does not count as idle. */
void cursor_busy(struct cursor *cursor, int64_t now_us);
/* The end is not known any more; what was read stays read. */
void cursor_forget_end(struct cursor *cursor, int64_t now_us);
/* True once everything before the end was read. */
bool cursor_check(struct cursor *cursor, int64_t now_us);
/* The end should be asked for: it is not known, or it has to be confirmed. */
bool cursor_wants_end(const struct cursor *cursor, int64_t now_us);
/* When cursor_check or cursor_wants_end may answer differently by time alone. */
int64_t cursor_deadline_us(const struct cursor *cursor, int64_t now_us);

#endif
