/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/registry_impl.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

#define LIST_MAX_BYTES 1024

enum mr_status mr_registry_new(struct mr_registry **ret, struct mr_error *err)
{
	(void)err;
	*ret = mem_alloc(sizeof(struct mr_registry));
	return MR_OK;
}

static void activity_free(struct activity *activity)
{
	if (!activity)
		return;
	for (char **arg = activity->argv; arg && *arg; arg++)
		free(*arg);
	free(activity->argv);
	free(activity->program);
	free(activity->name);
	wire_schema_free(activity->input_schema);
	wire_schema_free(activity->output_schema);
	free(activity);
}

/* Loaded libraries stay loaded: threads of theirs, or an abandoned attempt, may still run their code. */
void mr_registry_free(struct mr_registry *registry)
{
	if (!registry)
		return;
	for (size_t i = 0; i < registry->len; i++)
		activity_free(registry->items[i]);
	for (size_t i = 0; i < registry->n_libraries; i++)
		free(registry->libraries[i]);
	registry_limits_free(registry);
	map_deinit(&registry->by_name);
	free(registry->items);
	free(registry->libraries);
	free(registry->handles);
	free(registry);
}

enum mr_status registry_refuse(struct mr_registry *registry, struct mr_error *err, const struct mr_error *why)
{
	if (registry->first_error.code == MR_OK)
		registry->first_error = *why;
	if (err)
		*err = *why;
	return why->code;
}

static enum mr_status check_name(const char *name, struct mr_error *err)
{
	struct mr_error reason;
	enum mr_status status;

	if (!name)
		return mr_error_set(err, MR_EINVAL, "activity", "the name of an activity is missing");
	status = task_id_check(bytes_of(name), "activity name", &reason);
	if (status)
		return mr_error_set(err, MR_EINVAL, "activity", "an activity's name %s", reason.message);
	return MR_OK;
}

/* A member that a caller of an older version does not have counts as zero. */
static void read_options(const struct mr_activity_options *from, struct mr_activity_options *ret)
{
	*ret = (struct mr_activity_options){.size = from ? from->size : sizeof(*ret)};
	if (from)
		memcpy(ret, from, from->size < sizeof(*ret) ? from->size : sizeof(*ret));
}

static enum mr_status check_options(const char *name, const struct mr_activity_options *options, struct mr_error *err)
{
	if (options->size < sizeof(options->size))
		return mr_error_set(err, MR_EINVAL, name, "options.size is not set to sizeof(struct mr_activity_options)");
	if (options->max_concurrent < 0)
		return mr_error_set(err, MR_EINVAL, name, "options.max_concurrent is %d; 0 or more is accepted",
				    options->max_concurrent);
	if (options->start_to_close_timeout_ms < 0 || options->heartbeat_timeout_ms < 0)
		return mr_error_set(err, MR_EINVAL, name, "a timeout in options is negative; 0 or more is accepted");
	return MR_OK;
}

static enum mr_status compile(const char *name, const char *which, const char *avsc, struct wire_schema **ret,
			      struct mr_error *err)
{
	struct mr_error reason;
	enum mr_status status;

	if (!avsc)
		return MR_OK;
	status = wire_schema_new(name, bytes_of(avsc), ret, &reason);
	if (status)
		return mr_error_set(err, MR_EINVAL, name, "%s_schema: %s", which, reason.message);
	return MR_OK;
}

static enum mr_status apply_options(struct activity *activity, const char *name, const struct mr_activity_options *given,
				    struct mr_error *err)
{
	struct mr_activity_options options;
	enum mr_status status;

	read_options(given, &options);
	status = check_options(name, &options, err);
	if (!status)
		status = compile(name, "input", options.input_schema, &activity->input_schema, err);
	if (!status)
		status = compile(name, "output", options.output_schema, &activity->output_schema, err);
	if (status)
		return status;
	activity->max_concurrent = options.max_concurrent;
	activity->start_to_close_timeout_ms = options.start_to_close_timeout_ms;
	activity->heartbeat_timeout_ms = options.heartbeat_timeout_ms;
	return MR_OK;
}

static enum mr_status check_free_name(const struct mr_registry *registry, const char *name, struct mr_error *err)
{
	if (!*name && registry->catch_all)
		return mr_error_set(err, MR_EEXISTS, "activity",
				    "there is a catch-all activity already; a worker has at most one");
	if (*name && map_get(&registry->by_name, bytes_of(name)))
		return mr_error_set(err, MR_EEXISTS, name, "an activity of this name is registered already");
	return MR_OK;
}

static void insert(struct mr_registry *registry, struct activity *activity)
{
	registry->items = mem_realloc_array(registry->items, registry->len + 1, sizeof(struct activity *));
	activity->index = registry->len;
	registry->items[registry->len++] = activity;
	if (*activity->name)
		map_put(&registry->by_name, bytes_of(activity->name), activity);
	else
		registry->catch_all = activity;
}

enum mr_status registry_add(struct mr_registry *registry, const char *name, struct activity *activity,
			    const struct mr_activity_options *options, struct mr_error *err)
{
	struct mr_error why;
	enum mr_status status;

	status = name && !*name && activity->kind != ACTIVITY_EXEC ? MR_OK : check_name(name, &why);
	if (!status)
		status = check_free_name(registry, name, &why);
	if (!status)
		status = apply_options(activity, name, options, &why);
	if (status) {
		activity_free(activity);
		return registry_refuse(registry, err, &why);
	}
	activity->name = mem_strdup(name);
	registry_limit(registry, activity);
	insert(registry, activity);
	return MR_OK;
}

static enum mr_status add_function(struct mr_registry *registry, const char *name, mr_activity_fn *fn, void *user,
				   const struct mr_activity_options *options, struct mr_error *err)
{
	struct activity *activity;
	struct mr_error why;

	if (!fn) {
		mr_error_set(&why, MR_EINVAL, name ? name : "activity", "the function of the activity is missing");
		return registry_refuse(registry, err, &why);
	}
	activity = mem_alloc(sizeof(*activity));
	activity->kind = ACTIVITY_FUNCTION;
	activity->fn = fn;
	activity->user = user;
	return registry_add(registry, name, activity, options, err);
}

enum mr_status mr_register(struct mr_registry *registry, const char *name, mr_activity_fn *fn, void *user,
			   const struct mr_activity_options *options, struct mr_error *err)
{
	struct mr_error why;

	if (name && !*name) {
		check_name(name, &why);
		return registry_refuse(registry, err, &why);
	}
	return add_function(registry, name, fn, user, options, err);
}

enum mr_status mr_register_catch_all(struct mr_registry *registry, mr_activity_fn *fn, void *user,
				     const struct mr_activity_options *options, struct mr_error *err)
{
	return add_function(registry, "", fn, user, options, err);
}

void registry_drop_remote(struct mr_registry *registry)
{
	struct activity **items = registry->items;
	size_t len = registry->len;

	registry->items = NULL;
	registry->len = 0;
	map_deinit(&registry->by_name);
	registry->by_name = (struct map){0};
	registry->catch_all = NULL;
	for (size_t i = 0; i < len; i++) {
		if (items[i]->kind == ACTIVITY_REMOTE)
			activity_free(items[i]);
		else
			insert(registry, items[i]);
	}
	free(items);
}

const struct activity *registry_find(const struct mr_registry *registry, struct bytes type)
{
	const struct activity *activity = map_get(&registry->by_name, type);

	return activity ? activity : registry->catch_all;
}

size_t registry_count(const struct mr_registry *registry)
{
	return registry->len;
}

const struct activity *registry_at(const struct mr_registry *registry, size_t index)
{
	assert(index < registry->len);
	return registry->items[index];
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct activity *const *)a)->name, (*(struct activity *const *)b)->name);
}

void registry_list(const struct mr_registry *registry, struct buf *out)
{
	struct activity **sorted = mem_alloc((registry->len + 1) * sizeof(*sorted));
	size_t begin = out->len;

	if (registry->len > 0)
		memcpy(sorted, registry->items, registry->len * sizeof(*sorted));
	qsort(sorted, registry->len, sizeof(*sorted), by_name);
	for (size_t i = 0; i < registry->len; i++) {
		if (out->len - begin > LIST_MAX_BYTES) {
			buf_printf(out, ", and %zu more", registry->len - i);
			break;
		}
		buf_printf(out, "%s%s", out->len > begin ? ", " : "", *sorted[i]->name ? sorted[i]->name : "(catch-all)");
	}
	free(sorted);
}

enum mr_status registry_check(const struct mr_registry *registry, struct mr_error *err)
{
	if (registry->first_error.code != MR_OK) {
		if (err)
			*err = registry->first_error;
		return registry->first_error.code;
	}
	if (registry->len == 0 && registry->n_libraries == 0)
		return mr_error_set(err, MR_EINVAL, "activities", "the worker has nothing to run: no activity is registered");
	return MR_OK;
}
