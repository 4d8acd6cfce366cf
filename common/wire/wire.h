/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "base/buf.h"
#include "task/task.h"

/*
 * Bytes on the wire to the structures of task.h and back. Avro single-object encoding (C3 01, CRC-64-AVRO fingerprint, body) with
 * the schemas in schemas/ and schemas/history/, or plain JSON (a value that begins with `{`, after white space) with the same
 * field names.
 *
 * Decoding is bounded: a walk over the known schema checks every length, count, enum index, union branch and UTF-8 before
 * anything is used, the whole buffer must be used, nothing is allocated beyond the arena. Decoded bytes point into `value` (kept
 * by the caller) or the arena.
 */
struct wire;

enum mr_status wire_new(struct wire **ret, struct mr_error *err);
void wire_free(struct wire *wire); /* NULL is allowed */

/* MR_EBAD_RECORD: err->message is one sentence for the dead letter ("unknown field retry_policy.max_attempts; did you mean
 * maximum_attempts"). Even then workflow_id and activity_id (or neither) are set in *ret where they could be read and are valid,
 * and *ret_has_key says so; nothing else is. A record that breaks off before all of its ids were seen has no key. task_validate()
 * is applied. */
enum mr_status wire_decode_task(struct wire *wire, struct bytes value, struct arena *arena, struct task *ret, bool *ret_has_key,
				struct mr_error *err);
enum mr_status wire_decode_result(struct wire *wire, struct bytes value, struct arena *arena, struct result *ret,
				  struct mr_error *err);
enum mr_status wire_decode_control(struct wire *wire, struct bytes value, struct arena *arena, struct control *ret,
				   struct mr_error *err);
enum mr_status wire_decode_journal(struct wire *wire, struct bytes value, struct arena *arena, struct journal_record *ret,
				   struct mr_error *err);
/* The failures of former attempts in header millrace-history. */
enum mr_status wire_decode_history(struct wire *wire, struct bytes value, struct arena *arena, const struct attempt_failure **ret,
				   size_t *ret_n, struct mr_error *err);

/* Append to `out` in the structure's `format` (journal and history: always Avro). The structures must be valid: encoding does not
 * fail, but for payloads declared application/json that do not parse, which are written as base64. */
void wire_encode_task(struct wire *wire, const struct task *task, struct buf *out);
void wire_encode_result(struct wire *wire, const struct result *result, struct buf *out);
void wire_encode_control(struct wire *wire, const struct control *control, struct buf *out);
void wire_encode_journal(struct wire *wire, const struct journal_record *record, struct buf *out);
void wire_encode_history(struct wire *wire, const struct attempt_failure *failures, size_t n, struct buf *out);

/*
 * Options: what commands have changed of a task (UPDATE), a JSON object with the task's own names and ranges: the four timeouts,
 * retry_policy and priority. 0 is "not set", as in a task.
 */
/* Reads them over a task that was decoded; what they do not name, and null, leaves a field as it is. For the worker that gets them
 * in HEADER_OPTIONS and for the scheduler that decides about a further attempt (COMMAND.options, task_view.options). On
 * MR_EBAD_RECORD (a sentence that names the field, with a near miss; or the task as it would be is not valid) the task is as it
 * was. */
enum mr_status wire_options_apply(struct bytes options, struct arena *arena, struct task *task, struct mr_error *err);
/* Appends the object that has `changes` over `options` (absent: none), retry_policy field by field, on one line without spaces;
 * null takes a change back. Both have been accepted by wire_options_apply. */
void wire_options_merge(struct bytes options, struct bytes changes, struct arena *arena, struct buf *out);

/* True where `b` is one complete JSON value (RFC 8259, any kind, depth <= 512) with nothing but white space around it. */
bool wire_is_json(struct bytes b);
/* A result as one line of JSON for people and programs (millrace execute --json), whatever its format. */
void wire_result_to_json(const struct result *result, struct buf *out);
/* Appends a JSON string literal, escaped; invalid UTF-8 becomes U+FFFD. */
void wire_append_json_string(struct buf *out, struct bytes text);

/*
 * Schemas of the user (A2): an activity's declared input or result. Bytes are checked by the same bounded walk; a body that
 * passed is safe for avro-c's own reader. `name` appears in errors. Recursive schemas and arrays of items that take no bytes are
 * refused.
 */
struct wire_schema;
enum mr_status wire_schema_new(const char *name, struct bytes avsc, struct wire_schema **ret, struct mr_error *err);
void wire_schema_free(struct wire_schema *schema);
/* MR_EBAD_RECORD with err->where naming the field where `body` (a bare Avro body, no header) is not a value of the schema. */
enum mr_status wire_schema_check(const struct wire_schema *schema, struct bytes body, struct mr_error *err);
/* JSON text to a bare Avro body, and back; MR_EBAD_RECORD names the field. */
enum mr_status wire_schema_from_json(const struct wire_schema *schema, struct bytes json, struct buf *out, struct mr_error *err);
enum mr_status wire_schema_to_json(const struct wire_schema *schema, struct bytes body, struct buf *out, struct mr_error *err);

#endif
