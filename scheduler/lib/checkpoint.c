/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/core.h"

/* A replay may know of a later one than the data that Redis came back with; vouching tells Redis. */
void checkpoint_read(struct shard *shard, const struct journal_record *record)
{
	if (record->control_offset > shard->control_stored)
		shard->control_stored = record->control_offset;
}
