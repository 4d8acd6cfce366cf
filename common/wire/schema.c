/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/schema.h"

#include "base/mem.h"

enum mr_status wire_schema_new(const char *name, struct bytes avsc, struct wire_schema **ret, struct mr_error *err)
{
	struct node_tree *tree;
	enum mr_status status = node_tree_new(name, avsc, &tree, err);

	if (status != MR_OK)
		return status;
	struct wire_schema *schema = mem_alloc(sizeof(*schema));
	schema->tree = tree;
	schema->name = mem_strdup(name);
	*ret = schema;
	return MR_OK;
}

void wire_schema_free(struct wire_schema *schema)
{
	if (!schema)
		return;
	node_tree_free(schema->tree);
	free(schema->name);
	free(schema);
}

enum mr_status wire_schema_check(const struct wire_schema *schema, struct bytes body, struct mr_error *err)
{
	struct reader reader = reader_of(body);

	if (!node_check(schema->tree->root, &reader))
		return reader_error(&reader, schema->name, err);
	if (reader.p != reader.end)
		return mr_error_set(err, MR_EBAD_RECORD, "", "%s: %zu bytes behind the end of the value", schema->name,
				    reader_left(&reader));
	return MR_OK;
}
