/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_RESULT_BOX_H
#define LIB_RESULT_BOX_H

#include "bus/bus.h"
#include "millrace/client.h"
#include "wire/wire.h"

/* A result as the public API shows it, with all that it points to. */
struct result_box {
	struct mr_result pub;
	struct result decoded;
	bool not_state; /* answers one publication only */
	char *json;
	struct arena arena;
};

/* MR_EBAD_RECORD: it is no result. */
enum mr_status result_box_new(struct wire *wire, const struct bus_message *message, struct result_box **ret,
			      struct mr_error *err);
void result_box_free(struct result_box *box);

#endif
