/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_REGISTRY_H
#define CONSUMER_REGISTRY_H

#include "base/buf.h"
#include "millrace/worker.h"
#include "wire/wire.h"

/*
 * The activities of this worker by name: functions, programs, and what shared objects contain. Filled before anything is forked
 * (worker.h), then read only. Shared objects are loaded where they run (the zygote; with thread isolation the loop), never in the
 * supervisor: it knows their activities by name and options only (ACTIVITY_REMOTE), as the loader reported them.
 */
enum activity_kind { ACTIVITY_FUNCTION, ACTIVITY_EXEC, ACTIVITY_REMOTE };

struct activity {
	enum activity_kind kind;
	bool is_remote_exec; /* REMOTE: an exec activity where it is loaded */
	char *name;
	mr_activity_fn *fn;
	void *user;
	char **argv; /* EXEC: argv[0] is as given, `program` its absolute path; ends with NULL */
	char *program;
	struct wire_schema *input_schema;
	struct wire_schema *output_schema;
	size_t index;                      /* unique in the registry, dense: for tables of what runs per type */
	int64_t max_concurrent;            /* 0 = no limit of its own */
	int64_t start_to_close_timeout_ms; /* 0 = none */
	int64_t heartbeat_timeout_ms;      /* 0 = none */
};

/* The activity of that type, else the catch-all, else NULL (failure NotFound, A3). */
const struct activity *registry_find(const struct mr_registry *registry, struct bytes type);
size_t registry_count(const struct mr_registry *registry);
/* The catch-all is named "" and is among them. */
const struct activity *registry_at(const struct mr_registry *registry, size_t index);
/* "charge_card, greet", in alphabetical order, cut where it gets long; for messages. */
void registry_list(const struct mr_registry *registry, struct buf *out);
/* The first error of a registration, or MR_EINVAL where there is nothing to run. Shared objects that are not loaded yet count as
 * something. */
enum mr_status registry_check(const struct mr_registry *registry, struct mr_error *err);

/* registry_limit.c: every type with a limit is there; to be asked once all shared objects were looked at. */
enum mr_status registry_check_limits(const struct mr_registry *registry, struct mr_error *err);

/* registry_load.c */

/* What an error of the loader is about: the shared object where there is one. */
const char *registry_libraries_name(const struct mr_registry *registry);
/* Loads the shared objects into this process: user code runs. Remote activities are replaced by the real ones. */
enum mr_status registry_load_libraries(struct mr_registry *registry, struct mr_error *err);
/* For the loader: writes what the libraries brought (or the error) to `fd`, and reads it on the other side until end of file.
 * `pid` is the loader: where it dies while it loads, the error says how. */
void registry_report(const struct mr_registry *registry, enum mr_status status, const struct mr_error *error, int fd);
enum mr_status registry_read_report(struct mr_registry *registry, int fd, int timeout_ms, struct mr_error *err);
/* Tries the libraries in a child that ends, so that one that crashes gives an error; for thread isolation, before
 * registry_load_libraries. */
enum mr_status registry_try_libraries(struct mr_registry *registry, struct mr_error *err);

#endif
