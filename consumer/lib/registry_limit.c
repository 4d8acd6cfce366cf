/* SPDX-License-Identifier: Apache-2.0 */
/* How many attempts of a type a worker runs at once, where its operator says so: it stands above what the activity says. */
#include <stdlib.h>

#include "base/mem.h"
#include "lib/registry_impl.h"

#define LIMIT_MAX 1024

static struct registry_limit *find(const struct mr_registry *registry, const char *type)
{
	for (size_t i = 0; i < registry->n_limits; i++)
		if (strcmp(registry->limits[i].type, type) == 0)
			return &registry->limits[i];
	return NULL;
}

void registry_limit(const struct mr_registry *registry, struct activity *activity)
{
	const struct registry_limit *limit = find(registry, activity->name);

	if (limit)
		activity->max_concurrent = limit->max_concurrent;
}

enum mr_status mr_register_limit(struct mr_registry *registry, const char *type, int max_concurrent, struct mr_error *err)
{
	struct activity *activity;
	struct mr_error why;

	if (!*type || max_concurrent < 1 || max_concurrent > LIMIT_MAX) {
		mr_error_set(&why, MR_EINVAL, *type ? type : "limit", "a limit is a type and a number from 1 to %d", LIMIT_MAX);
		return registry_refuse(registry, err, &why);
	}
	if (find(registry, type)) {
		mr_error_set(&why, MR_EEXISTS, type, "the type has a limit already");
		return registry_refuse(registry, err, &why);
	}
	registry->limits = mem_realloc_array(registry->limits, registry->n_limits + 1, sizeof(*registry->limits));
	registry->limits[registry->n_limits++] = (struct registry_limit){mem_strdup(type), max_concurrent};
	activity = map_get(&registry->by_name, bytes_of(type));
	if (activity)
		activity->max_concurrent = max_concurrent;
	return MR_OK;
}

enum mr_status mr_register_limit_text(struct mr_registry *registry, const char *text, struct mr_error *err)
{
	const char *equals = strrchr(text, '=');
	CLEANUP_FREE char *type = mem_strndup(text, equals ? (size_t)(equals - text) : 0);
	struct mr_error why;
	char *end = NULL;
	long max_concurrent = equals ? strtol(equals + 1, &end, 10) : 0;

	if (!*type || end == equals + 1 || *end || max_concurrent < 1 || max_concurrent > LIMIT_MAX) {
		mr_error_set(&why, MR_EINVAL, text, "is not understood; TYPE=N with N from 1 to %d is accepted", LIMIT_MAX);
		return registry_refuse(registry, err, &why);
	}
	return mr_register_limit(registry, type, (int)max_concurrent, err);
}

enum mr_status registry_check_limits(const struct mr_registry *registry, struct mr_error *err)
{
	for (size_t i = 0; i < registry->n_limits; i++)
		if (!map_get(&registry->by_name, bytes_of(registry->limits[i].type)))
			return mr_error_set(err, MR_EINVAL, registry->limits[i].type,
					    "there is a limit for this type, but no activity of that name");
	return MR_OK;
}

void registry_limits_free(struct mr_registry *registry)
{
	for (size_t i = 0; i < registry->n_limits; i++)
		free(registry->limits[i].type);
	free(registry->limits);
}
