/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_PLAN_H
#define WIRE_PLAN_H

#include "base/buf.h"
#include "wire/node.h"
#include "wire/shape.h"

/*
 * A schema's record matched with a structure, by the names of fields: what to do with each field in the order of the schema. Made
 * once per schema and then followed for each record: the hot path of decoding and encoding. A field that the structure does not
 * have is checked and skipped; one that the schema does not have keeps its initial value.
 */

#define PLAN_NEVER_NULL 0xff

struct plan_step {
	const struct shape_field *field; /* NULL: skip */
	const struct node *node;         /* of the value, without the union with null */
	uint8_t null_byte;               /* how the null branch is written; PLAN_NEVER_NULL: not a union */
	uint8_t value_byte;
	const struct plan *plan; /* STRUCT, LINK, LIST: of the inner record */
	const int16_t *values;   /* ENUM: value by symbol, -1 where the structure has none */
	const int16_t *symbols;  /* ENUM: symbol by value, -1 where the schema has none */
};

struct plan {
	const struct shape *shape;
	size_t min_bytes; /* of the record */
	struct plan_step *steps;
	size_t n;
};

/* MR_EINVAL where a field's type does not fit the structure. */
enum mr_status plan_new(const struct node *record, const struct shape *shape, struct arena *arena, const struct plan **ret,
			struct mr_error *err);

/* Reads one record into `structure`, which is initialised first. Memory for lists and links comes from the arena, strings point
 * into the record. */
bool plan_read(const struct plan *plan, struct reader *reader, struct arena *arena, void *structure);
/* Appends the record. Text that is not UTF-8 is repaired; absent values of fields that cannot be null are written as "", 0 or the
 * first symbol. */
void plan_write(const struct plan *plan, const void *structure, struct buf *out);

#endif
