/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_SHAPE_H
#define WIRE_SHAPE_H

#include "task/task.h"

/*
 * The structures of task.h as tables: which field of a record is which member. One table each serves Avro and JSON, reading and
 * writing.
 *
 * A payload takes three fields: its data (SHAPE_PAYLOAD) and, as texts, content type and encoding. In JSON its data is `name`
 * (any JSON value) or `name_base64`.
 */

enum shape_kind {
	SHAPE_TEXT,    /* struct bytes, UTF-8 */
	SHAPE_BYTES,   /* struct bytes */
	SHAPE_PAYLOAD, /* struct payload: its data */
	SHAPE_OBJECT,  /* struct payload: the text of a JSON object; in JSON the object itself */
	SHAPE_LONG,    /* int64_t */
	SHAPE_INT,     /* int */
	SHAPE_DOUBLE,  /* double; 0 is absent */
	SHAPE_BOOL,    /* bool */
	SHAPE_ENUM,    /* an enum; its value is the index into `names` */
	SHAPE_STRUCT,  /* a structure inside; absent where all its fields are */
	SHAPE_LINK,    /* pointer to a structure, or NULL */
	SHAPE_TEXTS,   /* pointer to struct bytes, and a count at `count_offset` */
	SHAPE_LIST,    /* pointer to structures, and a count */
};

struct shape_field {
	const char *name;
	enum shape_kind kind;
	size_t offset;
	size_t count_offset;
	const struct shape *shape;
	const char *const *names;
	int64_t absent;           /* LONG, INT, ENUM: the value that is written by leaving the field out */
	bool required;            /* in JSON; Avro's schema says it by itself */
	bool always;              /* written in JSON even where it has the value of an absent one */
	const char *expect;       /* what a wrong value should have been, where the kind alone does not say it */
	const char *base64;       /* PAYLOAD: the other name in JSON */
	const char *content_type; /* PAYLOAD: names of its other fields */
	const char *encoding;
	bool of_payload; /* TEXT: content type or encoding of a payload: in JSON written with it or not at all */
};

struct shape {
	const char *name; /* of the Avro record, without namespace */
	size_t size;
	void (*init)(void *structure);
	const struct shape_field *fields;
	size_t n;
	size_t depth_max; /* of a shape that contains itself */
};

/* shape_options: the fields of a task that a command may change; reading it leaves the others, and what is not named, as they are. */
extern const struct shape shape_task, shape_options, shape_result, shape_control, shape_journal, shape_history;

/* History: what the header millrace-history holds. */
struct history {
	const struct attempt_failure *failures;
	size_t n;
};

static inline void *shape_member(void *structure, const struct shape_field *field)
{
	return (char *)structure + field->offset;
}

static inline const void *shape_member_of(const void *structure, const struct shape_field *field)
{
	return (const char *)structure + field->offset;
}

/* The index of a field by its name, -1 where there is none. */
int shape_find(const struct shape *shape, struct bytes name);
/* Reads and writes a member of kind ENUM, whatever the compiler made of its type. */
int shape_enum_get(const void *member);
void shape_enum_set(void *member, int value);
/* True where the field has the value that is written by leaving it out. */
bool shape_is_absent(const void *structure, const struct shape_field *field);

#endif
