/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_SHAPE_JSON_H
#define WIRE_SHAPE_JSON_H

#include "base/buf.h"
#include "wire/shape.h"

/*
 * Reads an object into `structure`, which is initialised first. An error (the first one, in a sentence that names the field with
 * its dotted path) does not end the reading: what else could be understood is set. *ret_whole: the text is JSON to its end, so
 * every field was seen.
 */
enum mr_status shape_json_read(const struct shape *shape, struct bytes text, struct arena *arena, void *structure,
			       bool *ret_whole, struct mr_error *err);

/* Reads an object over what `structure` holds, with a shape whose init does nothing. `path` stands before the names of its fields in
 * errors, "options."; after an error the structure is half changed. */
enum mr_status shape_json_read_over(const struct shape *shape, const char *path, struct bytes text, struct arena *arena,
				    void *structure, struct mr_error *err);

/* Appends an object; absent fields are left out. `one_line`: line breaks between the tokens of payloads become spaces. */
void shape_json_write(const struct shape *shape, const void *structure, bool one_line, struct buf *out);

#endif
