/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_SCHEMA_H
#define WIRE_SCHEMA_H

#include "wire/node.h"
#include "wire/wire.h"

/* Inside of a user's schema, shared by schema.c and schema_json.c. */
struct wire_schema {
	struct node_tree *tree;
	char *name;
};

#endif
