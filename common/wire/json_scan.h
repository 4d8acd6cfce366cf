/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_JSON_SCAN_H
#define WIRE_JSON_SCAN_H

#include "base/bytes.h"

/*
 * A strict scan over JSON text (RFC 8259): grammar, UTF-8, depth. It builds no tree and allocates nothing, so that values pass
 * with every byte as it was sent (numbers of any size, key order, repeated keys, escapes) and hostile text costs one look at each
 * byte. What values mean is jansson's part (json_leaf.h).
 */

/* Depth of a payload, and of a whole record, which wraps payloads in objects of its own. */
#define JSON_DEPTH_MAX 512
#define JSON_RECORD_DEPTH_MAX (JSON_DEPTH_MAX + 8)

struct json_scan {
	const char *p;
	const char *end;
	const char *error; /* set where a call below fails: what was wrong at `p` */
};

static inline struct json_scan json_scan_of(struct bytes text)
{
	return (struct json_scan){.p = text.data, .end = text.data + text.len};
}

/* One value, with white space before it; *ret gets its bytes. */
bool json_scan_value(struct json_scan *scan, int max_depth, struct bytes *ret);
/* White space up to the end of the text and nothing else. */
bool json_scan_end(struct json_scan *scan);

enum json_next { JSON_NEXT_ITEM, JSON_NEXT_END, JSON_NEXT_BAD };

/* The `{` or `[` of an object or array. */
bool json_scan_open(struct json_scan *scan, char bracket);
/* The next member of an object that was opened: its name with the quotes around it; the scan stands before its value. `first` is
 * true before the first. */
enum json_next json_scan_member(struct json_scan *scan, bool *first, struct bytes *ret_name);
/* The next item of an array that was opened: the scan stands before it. */
enum json_next json_scan_item(struct json_scan *scan, bool *first);

#endif
