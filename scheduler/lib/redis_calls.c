/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/redis_calls.h"

const struct redis_calls redis_calls_real = {
	.poll = store_poll,
	.deadline_us = store_deadline_us,
	.time_ms = store_time_ms,
	.look = store_look,
	.recover = store_recover,
	.restore = store_restore,
	.vouch = store_vouch,
	.tip = store_tip,
	.apply = store_apply,
	.fire = store_fire,
	.ahead = store_ahead,
	.sweep = store_sweep,
	.published = store_published,
	.finish = store_finish,
	.bury = store_bury,
	.expire = store_expire,
	.orphans = store_orphans,
	.due = store_due,
	.watch = store_watch,
	.unwatch = store_unwatch,
	.view = store_view,
};
