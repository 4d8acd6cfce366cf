/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/node.h"

#include <assert.h>

#include "base/mem.h"
#include "wire/canonical.h"
#include "wire/json_scan.h"

#define SCHEMA_MAX_BYTES (1024 * 1024)
#define DEPTH_MAX 64
#define WEIGHT_MAX 65536
#define NAMED_MAX 1024

struct named {
	avro_schema_t schema;
	const struct node *node; /* NULL while it is being compiled: a link to it is a recursion */
};

struct compiler {
	struct node_tree *tree;
	const char *name; /* of the schema as a whole, for messages */
	struct named named[NAMED_MAX];
	size_t n_named;
	int depth;
	struct mr_error *err;
};

static const struct node *compile(struct compiler *c, avro_schema_t schema, const json_t *json);

static const struct node *refuse(struct compiler *c, avro_schema_t schema, const char *what)
{
	mr_error_set(c->err, MR_EINVAL, c->name, "schema %s: %s %s", c->name, avro_schema_type_name(schema), what);
	return NULL;
}

static struct node *node_new(struct compiler *c, enum node_type type, const char *name, size_t min_bytes)
{
	struct node *node = arena_alloc(&c->tree->arena, sizeof(*node));

	node->type = type;
	node->name = name;
	node->min_bytes = min_bytes;
	node->weight = 1;
	return node;
}

static bool add_child(struct compiler *c, struct node *node, size_t i, avro_schema_t schema, const json_t *json)
{
	const struct node *child = compile(c, schema, json);

	if (!child)
		return false;
	node->nodes[i] = child;
	node->weight += child->weight;
	return node->weight <= WEIGHT_MAX || refuse(c, schema, "makes the schema too large");
}

static void room_for_children(struct compiler *c, struct node *node, size_t n)
{
	node->nodes = arena_alloc(&c->tree->arena, (n ? n : 1) * sizeof(*node->nodes));
}

static const struct node *compile_items(struct compiler *c, avro_schema_t schema, const json_t *json, enum node_type type)
{
	struct node *node = node_new(c, type, type == NODE_ARRAY ? "array" : "map", 1);
	avro_schema_t items = type == NODE_ARRAY ? avro_schema_array_items(schema) : avro_schema_map_values(schema);

	room_for_children(c, node, 1);
	if (!add_child(c, node, 0, items, json_object_get(json, type == NODE_ARRAY ? "items" : "values")))
		return NULL;
	/* Any count of them fits into no bytes at all. */
	if (type == NODE_ARRAY && node->nodes[0]->min_bytes == 0)
		return refuse(c, schema, "has items that take no bytes");
	return node;
}

static const struct node *compile_union(struct compiler *c, avro_schema_t schema, const json_t *json)
{
	struct node *node = node_new(c, NODE_UNION, "union", 0);
	size_t least = SIZE_MAX;

	node->n = avro_schema_union_size(schema);
	room_for_children(c, node, node->n);
	for (size_t i = 0; i < node->n; i++) {
		if (!add_child(c, node, i, avro_schema_union_branch(schema, (int)i), json_array_get(json, i)))
			return NULL;
		least = node->nodes[i]->min_bytes < least ? node->nodes[i]->min_bytes : least;
	}
	if (node->n == 0)
		return refuse(c, schema, "is empty");
	node->min_bytes = 1 + least;
	return node;
}

static const struct node *compile_enum(struct compiler *c, avro_schema_t schema)
{
	struct node *node = node_new(c, NODE_ENUM, avro_schema_name(schema), 1);
	int n = avro_schema_enum_number_of_symbols(schema);

	node->n = n > 0 ? (size_t)n : 0;
	node->names = arena_alloc(&c->tree->arena, (node->n + 1) * sizeof(*node->names));
	for (size_t i = 0; i < node->n; i++)
		node->names[i] = avro_schema_enum_get(schema, (int)i);
	return node->n > 0 ? node : refuse(c, schema, "is empty");
}

static const struct node *compile_fixed(struct compiler *c, avro_schema_t schema)
{
	int64_t size = avro_schema_fixed_size(schema);

	if (size < 0 || size > SCHEMA_MAX_BYTES)
		return refuse(c, schema, "has a size out of range");
	struct node *node = node_new(c, NODE_FIXED, avro_schema_name(schema), (size_t)size);
	node->n = (size_t)size;
	return node;
}

static const struct node *compile_record(struct compiler *c, avro_schema_t schema, const json_t *json)
{
	struct node *node = node_new(c, NODE_RECORD, avro_schema_name(schema), 0);
	const json_t *fields = json_object_get(json, "fields");

	node->n = avro_schema_record_size(schema);
	node->names = arena_alloc(&c->tree->arena, (node->n + 1) * sizeof(*node->names));
	node->defaults = arena_alloc(&c->tree->arena, (node->n + 1) * sizeof(*node->defaults));
	room_for_children(c, node, node->n);
	for (size_t i = 0; i < node->n; i++) {
		const json_t *field = json_array_get(fields, i);

		node->names[i] = avro_schema_record_field_name(schema, (int)i);
		node->defaults[i] = json_object_get(field, "default");
		if (!add_child(c, node, i, avro_schema_record_field_get_by_index(schema, (int)i), json_object_get(field, "type")))
			return NULL;
		node->min_bytes += node->nodes[i]->min_bytes;
	}
	return node;
}

static const struct node *compile_named(struct compiler *c, avro_schema_t schema, const json_t *json)
{
	if (c->n_named == NAMED_MAX)
		return refuse(c, schema, "is one named type too many");
	struct named *named = &c->named[c->n_named++];
	named->schema = schema;
	if (is_avro_record(schema))
		named->node = compile_record(c, schema, json);
	else if (is_avro_enum(schema))
		named->node = compile_enum(c, schema);
	else
		named->node = compile_fixed(c, schema);
	return named->node;
}

static const struct node *compile_link(struct compiler *c, avro_schema_t schema)
{
	avro_schema_t target = avro_schema_link_target(schema);

	for (size_t i = 0; i < c->n_named; i++) {
		if (c->named[i].schema != target)
			continue;
		if (!c->named[i].node)
			return refuse(c, target, "contains itself; recursive schemas are refused");
		return c->named[i].node;
	}
	return refuse(c, target, "is used before it is defined");
}

static const struct node *compile_one(struct compiler *c, avro_schema_t schema, const json_t *json)
{
	switch ((int)avro_typeof(schema)) { /* versions of avro-c differ in what else the enum has */
	case AVRO_NULL:
		return node_new(c, NODE_NULL, "null", 0);
	case AVRO_BOOLEAN:
		return node_new(c, NODE_BOOLEAN, "boolean", 1);
	case AVRO_INT32:
		return node_new(c, NODE_INT, "int", 1);
	case AVRO_INT64:
		return node_new(c, NODE_LONG, "long", 1);
	case AVRO_FLOAT:
		return node_new(c, NODE_FLOAT, "float", sizeof(float));
	case AVRO_DOUBLE:
		return node_new(c, NODE_DOUBLE, "double", sizeof(double));
	case AVRO_BYTES:
		return node_new(c, NODE_BYTES, "bytes", 1);
	case AVRO_STRING:
		return node_new(c, NODE_STRING, "string", 1);
	case AVRO_ARRAY:
		return compile_items(c, schema, json, NODE_ARRAY);
	case AVRO_MAP:
		return compile_items(c, schema, json, NODE_MAP);
	case AVRO_UNION:
		return compile_union(c, schema, json);
	case AVRO_RECORD:
	case AVRO_ENUM:
	case AVRO_FIXED:
		return compile_named(c, schema, json);
	case AVRO_LINK:
		return compile_link(c, schema);
	default:
		mr_error_set(c->err, MR_EINVAL, c->name, "schema %s: a type that is not known", c->name);
		return NULL;
	}
}

static const struct node *compile(struct compiler *c, avro_schema_t schema, const json_t *json)
{
	/* {"type": {"type": ...}} is the inner type. */
	while (json_is_object(json_object_get(json, "type")) || json_is_array(json_object_get(json, "type")))
		json = json_object_get(json, "type");
	if (c->depth == DEPTH_MAX)
		return refuse(c, schema, "is nested too deep");
	c->depth++;
	const struct node *node = compile_one(c, schema, json);
	c->depth--;
	return node;
}

static enum mr_status parse(const char *name, struct bytes avsc, struct node_tree *tree, struct mr_error *err)
{
	struct json_scan scan = json_scan_of(avsc);
	struct bytes whole;

	if (avsc.len > SCHEMA_MAX_BYTES)
		return mr_error_set(err, MR_ETOO_LARGE, name, "schema %s has %zu bytes, at most %d are accepted", name, avsc.len,
				    SCHEMA_MAX_BYTES);
	/* avro-c and jansson walk it by recursion. */
	if (!json_scan_value(&scan, 2 * DEPTH_MAX, &whole) || !json_scan_end(&scan))
		return mr_error_set(err, MR_EINVAL, name, "schema %s is not JSON at byte %zu: %s", name,
				    (size_t)(scan.p - avsc.data), scan.error);
	enum mr_status status = canonical_parse(avsc, &tree->json, err);
	if (status != MR_OK)
		return status;
	avro_set_error("%s", "");
	if (avro_schema_from_json_length(avsc.data, avsc.len, &tree->schema) != 0)
		return mr_error_set(err, MR_EINVAL, name, "schema %s: %s", name, avro_strerror());
	return MR_OK;
}

enum mr_status node_tree_new(const char *name, struct bytes avsc, struct node_tree **ret, struct mr_error *err)
{
	struct node_tree *tree = mem_alloc(sizeof(*tree));
	enum mr_status status = parse(name, avsc, tree, err);

	if (status == MR_OK) {
		struct compiler *c = mem_alloc(sizeof(*c));

		c->tree = tree;
		c->name = name;
		c->err = err;
		tree->root = compile(c, tree->schema, tree->json);
		status = tree->root ? MR_OK : MR_EINVAL;
		free(c);
	}
	if (status != MR_OK) {
		node_tree_free(tree);
		return status;
	}
	*ret = tree;
	return MR_OK;
}

void node_tree_free(struct node_tree *tree)
{
	if (!tree)
		return;
	if (tree->schema)
		avro_schema_decref(tree->schema);
	json_decref(tree->json);
	arena_deinit(&tree->arena);
	free(tree);
}

int node_find(const struct node *node, struct bytes name)
{
	for (size_t i = 0; i < node->n; i++)
		if (bytes_is(name, node->type == NODE_UNION ? node->nodes[i]->name : node->names[i]))
			return (int)i;
	return -1;
}
