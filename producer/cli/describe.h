/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DESCRIBE_H
#define CLI_DESCRIBE_H

#include "cli/journal_entry.h"
#include "cli/lookup.h"

/* What millrace describe has found out. */
struct description {
	const char *key;
	struct lookup lookup;
	struct journal_entry entry;
	struct result_box *box; /* FINISHED */
	int64_t now_ms;         /* by Redis' clock */
};

void describe_json(const struct description *d, struct buf *out);
void describe_text(const struct description *d, struct buf *out);
/* Its state, or how it ended. */
const char *describe_state(const struct description *d);
/* An attempt that no worker runs any more: somebody outside completes it. */
bool describe_is_pending(const struct description *d);

#endif
