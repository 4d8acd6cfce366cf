/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "base/buf.h"
#include "millrace/status.h"

/* What a flag such as --input says: the text itself, @FILE, or - for standard input. `flag` is named in errors. */
enum mr_status input_read(const char *flag, const char *text, struct buf *ret, struct mr_error *err);
/* The one JSON value in `text`, without white space around it; MR_EINVAL names line and column of what is wrong. */
enum mr_status input_json(const char *flag, struct bytes text, struct bytes *ret, struct mr_error *err);

#endif
