/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_NODE_H
#define WIRE_NODE_H

#include <avro.h>
#include <jansson.h>

#include "base/arena.h"
#include "wire/reader.h"

/*
 * A schema as a tree that a bounded walk can follow: made from what avro-c parsed, without links, every node with the fewest
 * bytes a value of it takes. Recursive schemas and arrays of items without bytes are refused: for them six bytes can mean endless
 * work.
 */

enum node_type {
	NODE_NULL,
	NODE_BOOLEAN,
	NODE_INT,
	NODE_LONG,
	NODE_FLOAT,
	NODE_DOUBLE,
	NODE_BYTES,
	NODE_STRING,
	NODE_FIXED,
	NODE_ENUM,
	NODE_ARRAY,
	NODE_MAP,
	NODE_UNION,
	NODE_RECORD,
};

struct node {
	enum node_type type;
	const char *name;          /* of the type: "int", or that of a named type */
	size_t n;                  /* FIXED: bytes; ENUM: symbols; UNION: branches; RECORD: fields */
	const char **names;        /* ENUM: symbols; RECORD: of the fields */
	const struct node **nodes; /* ARRAY, MAP: one, of the items; UNION, RECORD */
	const json_t **defaults;   /* RECORD: of the fields, NULL where there is none */
	size_t min_bytes;
	size_t weight; /* nodes below, itself included */
};

struct node_tree {
	struct arena arena;
	avro_schema_t schema;
	json_t *json;
	const struct node *root;
};

/* MR_EINVAL: not a schema, or one that is refused; the message says which part. avro-c keeps its error text globally: one thread.
 */
enum mr_status node_tree_new(const char *name, struct bytes avsc, struct node_tree **ret, struct mr_error *err);
void node_tree_free(struct node_tree *tree);

/* Walks over one value of the node and checks it whole. */
bool node_check(const struct node *node, struct reader *reader);
/* The index of a symbol or branch or field by name, -1 where there is none. */
int node_find(const struct node *node, struct bytes name);

/*
 * Blocks of an array or map: call with *left = 0 before the first. *left becomes the number of items of the next block (0: the
 * end). `block_end` (where the encoder told the size) is checked when the block is over.
 */
struct node_blocks {
	uint64_t left;
	const uint8_t *block_end;
};
bool node_blocks_next(struct node_blocks *blocks, size_t item_min_bytes, struct reader *reader);

#endif
