/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/plan.h"

#include <assert.h>

static bool is_array_of(const struct node *node, enum node_type item)
{
	return node->type == NODE_ARRAY && node->nodes[0]->type == item;
}

static bool fits(const struct node *node, enum shape_kind kind)
{
	switch (kind) {
	case SHAPE_TEXT:
	case SHAPE_OBJECT:
		return node->type == NODE_STRING;
	case SHAPE_BYTES:
	case SHAPE_PAYLOAD:
		return node->type == NODE_BYTES;
	case SHAPE_LONG:
		return node->type == NODE_LONG || node->type == NODE_INT;
	case SHAPE_INT:
		return node->type == NODE_INT;
	case SHAPE_DOUBLE:
		return node->type == NODE_DOUBLE;
	case SHAPE_BOOL:
		return node->type == NODE_BOOLEAN;
	case SHAPE_ENUM:
		return node->type == NODE_ENUM;
	case SHAPE_STRUCT:
	case SHAPE_LINK:
		return node->type == NODE_RECORD;
	case SHAPE_TEXTS:
		return is_array_of(node, NODE_STRING);
	case SHAPE_LIST:
		return is_array_of(node, NODE_RECORD);
	}
	return false;
}

/* A union of null and one other type is an optional field; other unions are no part of our schemas. */
static void unwrap(const struct node *node, struct plan_step *step)
{
	step->node = node;
	step->null_byte = PLAN_NEVER_NULL;
	if (node->type != NODE_UNION || node->n != 2)
		return;
	for (uint8_t i = 0; i < 2; i++) {
		if (node->nodes[i]->type != NODE_NULL)
			continue;
		step->node = node->nodes[1 - i];
		step->null_byte = (uint8_t)(2 * i);
		step->value_byte = (uint8_t)(2 * (1 - i));
		return;
	}
}

static void map_symbols(struct plan_step *step, struct arena *arena)
{
	size_t n_values = 0;

	while (step->field->names[n_values])
		n_values++;
	int16_t *values = arena_alloc(arena, step->node->n * sizeof(*values));
	int16_t *symbols = arena_alloc(arena, n_values * sizeof(*symbols));
	for (size_t s = 0; s < step->node->n; s++)
		values[s] = -1;
	for (size_t v = 0; v < n_values; v++) {
		int symbol = node_find(step->node, bytes_of(step->field->names[v]));

		symbols[v] = (int16_t)symbol;
		if (symbol >= 0)
			values[symbol] = (int16_t)v;
	}
	step->values = values;
	step->symbols = symbols;
}

static enum mr_status step_init(const struct node *record, size_t i, const struct shape *shape, struct arena *arena,
				struct plan_step *step, struct mr_error *err)
{
	int index = shape_find(shape, bytes_of(record->names[i]));

	step->field = index >= 0 ? &shape->fields[index] : NULL;
	step->node = record->nodes[i];
	if (!step->field)
		return MR_OK;
	unwrap(record->nodes[i], step);
	if (!fits(step->node, step->field->kind))
		return mr_error_set(err, MR_EINVAL, record->names[i],
				    "schema %s: field %s has a type that this program does not know for it", record->name,
				    record->names[i]);
	if (step->field->kind == SHAPE_ENUM)
		map_symbols(step, arena);
	if (!step->field->shape)
		return MR_OK;
	return plan_new(step->field->kind == SHAPE_LIST ? step->node->nodes[0] : step->node, step->field->shape, arena,
			&step->plan, err);
}

enum mr_status plan_new(const struct node *record, const struct shape *shape, struct arena *arena, const struct plan **ret,
			struct mr_error *err)
{
	struct plan *plan = arena_alloc(arena, sizeof(*plan));

	assert(record->type == NODE_RECORD);
	plan->shape = shape;
	plan->min_bytes = record->min_bytes;
	plan->n = record->n;
	plan->steps = arena_alloc(arena, (record->n + 1) * sizeof(*plan->steps));
	for (size_t i = 0; i < record->n; i++) {
		enum mr_status status = step_init(record, i, shape, arena, &plan->steps[i], err);

		if (status != MR_OK)
			return status;
	}
	*ret = plan;
	return MR_OK;
}
