/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "wire/json_leaf.h"
#include "wire/plan.h"

#define ROOM_BYTES 256

/* Appends without a look at the capacity for each byte. */
struct writer {
	struct buf *buf;
	uint8_t *p;
	uint8_t *end;
};

static void record_write(const struct plan *plan, const void *structure, struct writer *w);

/* Room for `len` more bytes. */
static void room(struct writer *w, size_t len)
{
	if ((size_t)(w->end - w->p) >= len)
		return;
	if (w->p)
		w->buf->len = (size_t)(w->p - (uint8_t *)w->buf->data);
	w->p = (uint8_t *)buf_reserve(w->buf, len + ROOM_BYTES);
	w->end = (uint8_t *)w->buf->data + w->buf->cap;
}

static void put_byte(struct writer *w, uint8_t byte)
{
	room(w, 1);
	*w->p++ = byte;
}

static void put_long(struct writer *w, int64_t value)
{
	uint64_t zigzag = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

	room(w, 10);
	while (zigzag >= 0x80) {
		*w->p++ = (uint8_t)(zigzag | 0x80);
		zigzag >>= 7;
	}
	*w->p++ = (uint8_t)zigzag;
}

static void put_bytes(struct writer *w, struct bytes b)
{
	put_long(w, (int64_t)b.len);
	if (b.len == 0)
		return;
	room(w, b.len);
	memcpy(w->p, b.data, b.len);
	w->p += b.len;
}

static void put_text(struct writer *w, struct bytes text)
{
	if (text_is_valid(text)) {
		put_bytes(w, text);
		return;
	}
	struct buf repaired = {0};
	text_append_repaired(&repaired, text);
	put_bytes(w, buf_bytes(&repaired));
	buf_deinit(&repaired);
}

static void put_double(struct writer *w, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	room(w, sizeof(bits));
	for (unsigned i = 0; i < sizeof(bits); i++)
		*w->p++ = (uint8_t)(bits >> (8 * i));
}

static void put_enum(const struct plan_step *step, int value, struct writer *w)
{
	if (value == step->field->absent)
		value = 0;
	assert(value >= 0 && step->symbols[value] >= 0);
	put_long(w, step->symbols[value]);
}

static void put_list(const struct plan_step *step, const void *structure, struct writer *w)
{
	const char *items;
	size_t n, size = step->field->kind == SHAPE_TEXTS ? sizeof(struct bytes) : step->plan->shape->size;

	memcpy(&items, shape_member_of(structure, step->field), sizeof(items));
	memcpy(&n, (const char *)structure + step->field->count_offset, sizeof(n));
	if (n > 0)
		put_long(w, (int64_t)n);
	for (size_t i = 0; i < n; i++, items += size) {
		if (step->field->kind == SHAPE_TEXTS)
			put_text(w, *(const struct bytes *)items);
		else
			record_write(step->plan, items, w);
	}
	put_byte(w, 0);
}

static void put_linked(const struct plan_step *step, const void *member, struct writer *w)
{
	const void *linked;

	memcpy(&linked, member, sizeof(linked));
	assert(linked);
	record_write(step->plan, linked, w);
}

static int64_t long_or_zero(const void *member)
{
	int64_t value = *(const int64_t *)member;

	return value == TASK_UNSET ? 0 : value;
}

static void value_write(const struct plan_step *step, const void *structure, struct writer *w)
{
	const void *member = shape_member_of(structure, step->field);

	switch (step->field->kind) {
	case SHAPE_TEXT:
	case SHAPE_OBJECT:
		put_text(w, *(const struct bytes *)member);
		break;
	case SHAPE_BYTES:
	case SHAPE_PAYLOAD:
		put_bytes(w, *(const struct bytes *)member);
		break;
	case SHAPE_LONG:
		put_long(w, long_or_zero(member));
		break;
	case SHAPE_INT:
		put_long(w, *(const int *)member);
		break;
	case SHAPE_DOUBLE:
		put_double(w, *(const double *)member);
		break;
	case SHAPE_BOOL:
		put_byte(w, *(const bool *)member);
		break;
	case SHAPE_ENUM:
		put_enum(step, shape_enum_get(member), w);
		break;
	case SHAPE_STRUCT:
		record_write(step->plan, member, w);
		break;
	case SHAPE_LINK:
		put_linked(step, member, w);
		break;
	case SHAPE_TEXTS:
	case SHAPE_LIST:
		put_list(step, structure, w);
		break;
	}
}

static void record_write(const struct plan *plan, const void *structure, struct writer *w)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct plan_step *step = &plan->steps[i];

		/* Records are written with the newest schema, of which the structures know every field. */
		assert(step->field);
		if (step->null_byte != PLAN_NEVER_NULL) {
			bool absent = shape_is_absent(structure, step->field);

			put_byte(w, absent ? step->null_byte : step->value_byte);
			if (absent)
				continue;
		}
		value_write(step, structure, w);
	}
}

void plan_write(const struct plan *plan, const void *structure, struct buf *out)
{
	struct writer w = {.buf = out, .p = NULL, .end = NULL};

	record_write(plan, structure, &w);
	if (w.p)
		out->len = (size_t)(w.p - (uint8_t *)out->data);
}
