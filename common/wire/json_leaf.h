/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_JSON_LEAF_H
#define WIRE_JSON_LEAF_H

#include "base/arena.h"
#include "base/buf.h"

/* Strings and numbers in JSON text: read (by jansson where it is not trivial) and written. `token` is a value that
 * json_scan_value accepted. */

/* A string without its quotes and escapes: part of `token` where there are no escapes, else from the arena. False: not a string,
 * or escapes that are no text. */
bool json_leaf_text(struct bytes token, struct arena *arena, struct bytes *ret);
/* An integer: digits only, within int64. */
bool json_leaf_int(struct bytes token, int64_t *ret);
bool json_leaf_double(struct bytes token, double *ret);
/* "a string", "an object": what kind of value `token` is, for messages. */
const char *json_leaf_kind(struct bytes token);

void json_append_int(struct buf *out, int64_t value);
/* The shortest text that reads back as the same number; NaN and infinities as strings, as Avro's own JSON encoding has them. */
void json_append_double(struct buf *out, double value);

/* Valid UTF-8 without NUL; fast for ASCII. */
bool text_is_valid(struct bytes text);
/* `text` with U+FFFD in place of each byte that is not UTF-8, and of NUL. */
void text_append_repaired(struct buf *out, struct bytes text);

#endif
