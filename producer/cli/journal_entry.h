/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_JOURNAL_ENTRY_H
#define CLI_JOURNAL_ENTRY_H

#include "cli/cli.h"

/* What the journal says of a task that waits or runs long: the record by its offset, read without a group. */
struct journal_entry {
	bool there;           /* false: compacted away, a newer one is on its way */
	int64_t timestamp_ms; /* when it was written */
	struct journal_record record;
	struct arena arena;
};

/* MR_EKAFKA, MR_EBAD_RECORD. Call journal_entry_deinit in any case. */
enum mr_status journal_entry_init(struct journal_entry *entry, const struct program_common *common, int shard, int64_t offset,
				  struct mr_error *err);
void journal_entry_deinit(struct journal_entry *entry);

#endif
