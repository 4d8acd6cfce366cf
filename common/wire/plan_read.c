/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/plan.h"

#define LIST_FIRST_CAP 4

/* Items of a list in the arena. Room doubles, so that a record of many small blocks takes no more than twice its items. */
struct list {
	char *items;
	size_t item_size;
	size_t len;
	size_t cap;
};

static void *list_add(struct list *list, struct arena *arena)
{
	if (list->len == list->cap) {
		size_t cap = list->cap ? 2 * list->cap : LIST_FIRST_CAP;
		char *items = arena_alloc(arena, cap * list->item_size);

		if (list->len > 0)
			memcpy(items, list->items, list->len * list->item_size);
		list->items = items;
		list->cap = cap;
	}
	return list->items + list->item_size * list->len++;
}

static bool list_read_item(const struct plan_step *step, struct reader *reader, struct arena *arena, void *item)
{
	if (step->field->kind == SHAPE_TEXTS)
		return reader_text(reader, item);
	return plan_read(step->plan, reader, arena, item);
}

static bool list_read(const struct plan_step *step, struct reader *reader, struct arena *arena, void *structure)
{
	struct list list = {.item_size = step->field->kind == SHAPE_TEXTS ? sizeof(struct bytes) : step->plan->shape->size};
	struct node_blocks blocks = {0};

	do {
		if (!node_blocks_next(&blocks, step->node->nodes[0]->min_bytes, reader))
			return false;
		for (uint64_t i = 0; i < blocks.left; i++)
			if (!list_read_item(step, reader, arena, list_add(&list, arena)))
				return false;
	} while (blocks.left > 0);
	memcpy(shape_member(structure, step->field), &list.items, sizeof(list.items));
	memcpy((char *)structure + step->field->count_offset, &list.len, sizeof(list.len));
	return true;
}

static bool enum_read(const struct plan_step *step, struct reader *reader, void *member)
{
	size_t symbol;

	if (!reader_index(reader, step->node->n, "has a symbol that the schema does not have", &symbol))
		return false;
	if (step->values[symbol] < 0)
		return reader_fail(reader, "has a value that this version does not know");
	shape_enum_set(member, step->values[symbol]);
	return true;
}

static bool link_read(const struct plan_step *step, struct reader *reader, struct arena *arena, void *member)
{
	void *linked = arena_alloc(arena, step->plan->shape->size);

	memcpy(member, &linked, sizeof(linked));
	return plan_read(step->plan, reader, arena, linked);
}

static bool object_read(struct reader *reader, struct payload *payload)
{
	payload->content_type = BYTES_LIT(PAYLOAD_JSON);
	return reader_text(reader, &payload->data);
}

static bool value_read(const struct plan_step *step, struct reader *reader, struct arena *arena, void *structure)
{
	void *member = shape_member(structure, step->field);

	switch (step->field->kind) {
	case SHAPE_TEXT:
		return reader_text(reader, member);
	case SHAPE_BYTES:
	case SHAPE_PAYLOAD: /* data is its first member */
		return reader_bytes(reader, member);
	case SHAPE_OBJECT:
		return object_read(reader, member);
	case SHAPE_LONG:
		return reader_long(reader, member);
	case SHAPE_INT:
		return reader_int(reader, member);
	case SHAPE_DOUBLE:
		return reader_double(reader, member);
	case SHAPE_BOOL:
		return reader_boolean(reader, member);
	case SHAPE_ENUM:
		return enum_read(step, reader, member);
	case SHAPE_STRUCT:
		return plan_read(step->plan, reader, arena, member);
	case SHAPE_LINK:
		return link_read(step, reader, arena, member);
	case SHAPE_TEXTS:
	case SHAPE_LIST:
		return list_read(step, reader, arena, structure);
	}
	return reader_fail(reader, "is of an unknown kind");
}

_Static_assert(offsetof(struct payload, data) == 0, "a payload begins with its data");

static bool step_read(const struct plan_step *step, struct reader *reader, struct arena *arena, void *structure)
{
	if (!step->field)
		return node_check(step->node, reader);
	if (step->null_byte == PLAN_NEVER_NULL)
		return value_read(step, reader, arena, structure);
	if (reader->p == reader->end)
		return reader_fail(reader, "is cut off");
	uint8_t branch = *reader->p++;
	if (branch == step->null_byte)
		return true;
	if (branch != step->value_byte)
		return reader_fail(reader, "has a branch that the schema does not have");
	return value_read(step, reader, arena, structure);
}

bool plan_read(const struct plan *plan, struct reader *reader, struct arena *arena, void *structure)
{
	plan->shape->init(structure);
	for (size_t i = 0; i < plan->n; i++) {
		if (!step_read(&plan->steps[i], reader, arena, structure)) {
			/* Only the walk knows the name of a field that is skipped. */
			reader_in_field(reader, plan->steps[i].field ? plan->steps[i].field->name : "?");
			return false;
		}
	}
	return true;
}
