/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/node.h"

/* The depth of the recursion is that of the tree, which node.c bounds. */

static bool block_begin(struct node_blocks *blocks, struct reader *reader)
{
	int64_t count, size;

	if (!reader_long(reader, &count))
		return false;
	blocks->block_end = NULL;
	if (count < 0) {
		if (count == INT64_MIN)
			return reader_fail(reader, "has a block of too many items");
		count = -count;
		if (!reader_long(reader, &size))
			return false;
		if (size < 0 || (uint64_t)size > reader_left(reader))
			return reader_fail(reader, "has a block longer than what is left of the record");
		blocks->block_end = reader->p + size;
	}
	blocks->left = (uint64_t)count;
	return true;
}

bool node_blocks_next(struct node_blocks *blocks, size_t item_min_bytes, struct reader *reader)
{
	if (blocks->block_end && blocks->block_end != reader->p)
		return reader_fail(reader, "has a block of another size than it says");
	if (!block_begin(blocks, reader))
		return false;
	if (blocks->left > reader_left(reader) / item_min_bytes)
		return reader_fail(reader, "has more items than what is left of the record can hold");
	return true;
}

static bool check_items(const struct node *node, struct reader *reader)
{
	struct node_blocks blocks = {0};
	struct bytes key;
	size_t key_min = node->type == NODE_MAP ? 1 : 0;

	do {
		if (!node_blocks_next(&blocks, node->nodes[0]->min_bytes + key_min, reader))
			return false;
		for (uint64_t i = 0; i < blocks.left; i++) {
			if (key_min && !reader_text(reader, &key))
				return false;
			if (!node_check(node->nodes[0], reader)) {
				reader_in_field(reader, "[]");
				return false;
			}
		}
	} while (blocks.left > 0);
	return true;
}

static bool check_record(const struct node *node, struct reader *reader)
{
	for (size_t i = 0; i < node->n; i++) {
		if (!node_check(node->nodes[i], reader)) {
			reader_in_field(reader, node->names[i]);
			return false;
		}
	}
	return true;
}

bool node_check(const struct node *node, struct reader *reader)
{
	struct bytes b;
	const uint8_t *p;
	int64_t l;
	int32_t i;
	bool truth;
	size_t index;

	switch (node->type) {
	case NODE_NULL:
		return true;
	case NODE_BOOLEAN:
		return reader_boolean(reader, &truth);
	case NODE_INT:
		return reader_int(reader, &i);
	case NODE_LONG:
		return reader_long(reader, &l);
	case NODE_FLOAT:
	case NODE_DOUBLE:
	case NODE_FIXED:
		return reader_raw(reader, node->min_bytes, &p);
	case NODE_BYTES:
		return reader_bytes(reader, &b);
	case NODE_STRING:
		return reader_text(reader, &b);
	case NODE_ENUM:
		return reader_index(reader, node->n, "has a symbol that the schema does not have", &index);
	case NODE_ARRAY:
	case NODE_MAP:
		return check_items(node, reader);
	case NODE_UNION:
		return reader_index(reader, node->n, "has a branch that the schema does not have", &index) &&
		       node_check(node->nodes[index], reader);
	case NODE_RECORD:
		return check_record(node, reader);
	}
	return reader_fail(reader, "is of an unknown type");
}
