/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEAD_TEXT_H
#define CLI_DEAD_TEXT_H

#include "cli/dead_index.h"

/* How dead letters are written, for people and as JSON. */

#define DEAD_PLACE_HELP "a dead letter is named PARTITION:OFFSET, as millrace dead list prints it, such as 0:17"

/* "2026-01-02T03:04:05.678Z" */
void dead_text_time(struct buf *out, int64_t at_ms);
/* The text itself where it can stand on a line, else base64:...; "-" where it is absent. */
void dead_text_line(struct buf *out, struct bytes text);
/* ,"NAME":"text", or ,"NAME_base64":"..." where it is no text; nothing where it is absent. */
void dead_text_json(struct buf *out, const char *name, struct bytes text);
/* {"partition":..., all that is known of a letter but its value and headers; the caller closes it. */
void dead_text_entry_json(struct buf *out, const struct dead_entry *entry, const char *topic);
/* What a command has to say on stdout. */
enum mr_status dead_text_print(struct buf *out, struct mr_error *err);

#endif
