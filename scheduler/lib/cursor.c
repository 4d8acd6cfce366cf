/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/cursor.h"

#include <assert.h>

bool cursor_is_beyond(const struct cursor *cursor, int64_t end)
{
	return cursor->end < 0 && cursor->position > end;
}

void cursor_start(struct cursor *cursor, int64_t position, int64_t now_us)
{
	assert(position >= -1);
	*cursor = (struct cursor){.position = position, .end = -1, .progress_us = now_us};
}

void cursor_ended(struct cursor *cursor, int64_t end, int64_t now_us)
{
	assert(end >= 0);
	/* The end that a replay goes to is the first one told: later records are for the normal path. */
	if (cursor->end < 0)
		cursor->end = end;
	else
		cursor->confirmed_us = now_us;
	cursor_check(cursor, now_us);
}

void cursor_read(struct cursor *cursor, int64_t next, int64_t now_us)
{
	assert(next > cursor->position);
	cursor->position = next;
	cursor->progress_us = now_us;
	cursor->confirmed_us = 0;
	cursor_check(cursor, now_us);
}

void cursor_busy(struct cursor *cursor, int64_t now_us)
{
	cursor->progress_us = now_us;
	cursor->confirmed_us = 0;
}

void cursor_forget_end(struct cursor *cursor, int64_t now_us)
{
	cursor->end = -1;
	cursor->confirmed_us = 0;
	cursor->progress_us = now_us;
	cursor->caught_up = false;
}

bool cursor_check(struct cursor *cursor, int64_t now_us)
{
	if (cursor->caught_up)
		return true;
	if (cursor->end < 0)
		return false;
	if (cursor->end == 0 || cursor->position >= cursor->end)
		cursor->caught_up = true;
	else if (cursor->confirmed_us && now_us - cursor->progress_us >= CURSOR_IDLE_US)
		cursor->caught_up = true;
	return cursor->caught_up;
}

bool cursor_wants_end(const struct cursor *cursor, int64_t now_us)
{
	if (cursor->caught_up)
		return false;
	return cursor->end < 0 || (!cursor->confirmed_us && now_us - cursor->progress_us >= CURSOR_PROBE_US);
}

int64_t cursor_deadline_us(const struct cursor *cursor, int64_t now_us)
{
	int64_t probe_us = cursor->progress_us + CURSOR_PROBE_US;

	if (cursor->caught_up || cursor->end < 0)
		return INT64_MAX;
	if (!cursor->confirmed_us && probe_us > now_us)
		return probe_us;
	return cursor->confirmed_us ? cursor->progress_us + CURSOR_IDLE_US : INT64_MAX;
}
