/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_REGISTRY_IMPL_H
#define CONSUMER_REGISTRY_IMPL_H

/* Between the files of registry; nobody else includes this. */

#include "base/map.h"
#include "lib/registry.h"

struct registry_limit {
	char *type;
	int max_concurrent;
};

struct mr_registry {
	struct activity **items;
	size_t len;
	struct map by_name;
	const struct activity *catch_all;
	char **libraries;
	void **handles; /* of loaded libraries, as many as there are names once loaded */
	size_t n_libraries;
	struct registry_limit *limits;
	size_t n_limits;
	bool loaded;
	struct mr_error first_error; /* MR_OK: none */
};

/* registry.c: takes a half-filled activity (kind, fn or argv) over in any case; name and options are checked and copied. "" =
 * catch-all. */
enum mr_status registry_add(struct mr_registry *registry, const char *name, struct activity *activity,
			    const struct mr_activity_options *options, struct mr_error *err);
/* Remembers the first error and returns it, so that the registry refuses to start. */
enum mr_status registry_refuse(struct mr_registry *registry, struct mr_error *err, const struct mr_error *why);
/* Forgets activities that are only known by name. */
void registry_drop_remote(struct mr_registry *registry);

/* registry_limit.c: sets the activity's limit where its type has one. */
void registry_limit(const struct mr_registry *registry, struct activity *activity);
void registry_limits_free(struct mr_registry *registry);

/* registry_exec.c: the absolute path of an executable regular file: `program` where it has a slash, else the first in PATH. */
enum mr_status registry_find_program(const char *program, char **ret, struct mr_error *err);

#endif
