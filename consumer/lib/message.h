/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_MESSAGE_H
#define CONSUMER_MESSAGE_H

#include "lib/executor.h"

/*
 * Attempts and outcomes as flat bytes, between loop and executors. Not a format for disk or wire: both sides are the same
 * program. Readers check all bounds all the same, because an activity may have written over the memory. What is read points into
 * the message; every run of bytes has a NUL behind it.
 */
size_t message_info_bytes(const struct attempt_info *info);
void message_info_write(const struct attempt_info *info, char *out);
bool message_info_read(struct bytes message, struct arena *arena, struct attempt_info *ret);

/* Without heartbeat_details: these go their own way. */
size_t message_outcome_bytes(const struct outcome *outcome);
void message_outcome_write(const struct outcome *outcome, char *out);
bool message_outcome_read(struct bytes message, struct arena *arena, struct outcome *ret);

size_t message_payload_bytes(const struct payload *payload);
void message_payload_write(const struct payload *payload, char *out);
bool message_payload_read(struct bytes message, struct payload *ret);

#endif
