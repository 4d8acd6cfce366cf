/* SPDX-License-Identifier: Apache-2.0 */
/* The example activities: greet and echo are here, the others have files of their own. */
#include "example.h"

static enum mr_attempt_end greet(struct mr_attempt *attempt, void *user)
{
	const char *name;
	struct mr_error err;

	(void)user;
	if (mr_input_string(attempt, "", &name, &err))
		return mr_fail_input(attempt, &err);
	return mr_complete_jsonf(attempt, "\"Hello, %s\"", mr_json_escape(attempt, name));
}

static enum mr_attempt_end echo(struct mr_attempt *attempt, void *user)
{
	const struct mr_attempt_payload *input = mr_input(attempt);

	(void)user;
	return mr_complete(attempt, input->data, input->bytes, input->content_type);
}

/* `user` of the order steps is the verb that the services know. */
static char charge[] = "charge", reserve[] = "reserve", mail[] = "mail", ship[] = "ship";

MR_ACTIVITIES(registry)
{
	/* A registry that refused one of them refuses to start, so only the last result is looked at. */
	mr_register(registry, "greet", greet, NULL, NULL, NULL);
	mr_register(registry, "echo", echo, NULL, NULL, NULL);
	mr_register(registry, "charge_card", example_order_step, charge, NULL, NULL);
	mr_register(registry, "update_inventory", example_order_step, reserve, NULL, NULL);
	mr_register(registry, "send_confirmation", example_order_step, mail, NULL, NULL);
	mr_register(registry, "arrange_shipment", example_order_step, ship, NULL, NULL);
	mr_register(registry, "ask_approval", example_ask_approval, NULL, NULL, NULL);
	return mr_register(registry, "process_large_file", example_process_large_file, NULL, NULL, NULL);
}
