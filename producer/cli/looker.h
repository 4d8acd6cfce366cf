/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOOKER_H
#define CLI_LOOKER_H

#include "cli/cli.h"

/* Looks at tasks in Redis. */
struct looker {
	const char *redis;
	int shards; /* 0: not known */
	struct store *store;
};

/* MR_EKAFKA, MR_ENOT_FOUND: there are no topics; MR_EREDIS: no answer within redis_timeout_ms (`shards` is set then). Call
 * looker_deinit in any case. The flags must outlive it. */
enum mr_status looker_init(struct looker *looker, const struct program_common *common, int redis_timeout_ms,
			   struct mr_error *err);
void looker_deinit(struct looker *looker);
/* ret[i] = what is known of keys[i]. What the views borrow lies in the arena. */
enum mr_status looker_views(struct looker *looker, const struct bytes *keys, size_t n, struct arena *arena, struct task_view *ret,
			    struct mr_error *err);
/* Redis' clock, after an answer. */
int64_t looker_time_ms(const struct looker *looker);

#endif
