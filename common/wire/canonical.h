/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_CANONICAL_H
#define WIRE_CANONICAL_H

#include <jansson.h>

#include "base/buf.h"
#include "millrace/status.h"

/* Avro's Parsing Canonical Form of a schema, from which the fingerprint of the single-object encoding is made. `schema` is one
 * that avro-c accepts. */
void canonical_append(const json_t *schema, struct buf *out);
/* CRC-64-AVRO of the canonical form. */
uint64_t canonical_fingerprint(const json_t *schema);
/* Parses the text of a schema. */
enum mr_status canonical_parse(struct bytes avsc, json_t **ret, struct mr_error *err);

#endif
