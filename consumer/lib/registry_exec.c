/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/registry_impl.h"

/* Programs as activities (A5): found and checked when they are registered, so that a slip shows at start. */

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The working directory may change before the program runs. */
static enum mr_status absolute(const char *program, char **ret, struct mr_error *err)
{
	struct stat st;
	char *path;

	if (stat(program, &st) < 0)
		return mr_error_set(err, errno == ENOENT ? MR_ENOT_FOUND : MR_EINVAL, program, "cannot be run: %s",
				    strerror(errno));
	if (!S_ISREG(st.st_mode))
		return mr_error_set(err, MR_EINVAL, program, "cannot be run: it is not a regular file");
	if (access(program, X_OK) < 0)
		return mr_error_set(err, MR_EINVAL, program, "cannot be run: it is not executable");
	if (*program == '/') {
		*ret = mem_strdup(program);
		return MR_OK;
	}
	path = realpath(program, NULL);
	if (!path)
		return mr_error_set(err, MR_EINVAL, program, "cannot be run: %s", strerror(errno));
	*ret = path;
	return MR_OK;
}

enum mr_status registry_find_program(const char *program, char **ret, struct mr_error *err)
{
	const char *path = getenv("PATH");
	struct buf candidate = {0};

	if (strchr(program, '/'))
		return absolute(program, ret, err);
	for (const char *at = path && *path ? path : DEFAULT_PATH; at; at = *at ? at + 1 : NULL) {
		size_t len = strcspn(at, ":");

		buf_reset(&candidate);
		buf_append(&candidate, len ? at : ".", len ? len : 1);
		buf_printf(&candidate, "/%s", program);
		if (is_program(buf_cstr(&candidate))) {
			enum mr_status status = absolute(buf_cstr(&candidate), ret, err);

			buf_deinit(&candidate);
			return status;
		}
		at += len;
		if (!*at)
			break;
	}
	buf_deinit(&candidate);
	return mr_error_set(err, MR_ENOT_FOUND, program, "no executable file of that name in PATH");
}

static char **copy_argv(const char *const *argv)
{
	size_t n = 0;
	char **copy;

	while (argv[n])
		n++;
	copy = mem_alloc((n + 1) * sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = mem_strdup(argv[i]);
	return copy;
}

enum mr_status mr_register_exec(struct mr_registry *registry, const char *name, const char *const *argv,
				const struct mr_activity_options *options, struct mr_error *err)
{
	struct activity *activity;
	struct mr_error why;
	char *program;

	if (!argv || !argv[0] || !*argv[0]) {
		mr_error_set(&why, MR_EINVAL, name ? name : "activity", "the program of the activity is missing");
		return registry_refuse(registry, err, &why);
	}
	if (registry_find_program(argv[0], &program, &why))
		return registry_refuse(registry, err, &why);
	activity = mem_alloc(sizeof(*activity));
	activity->kind = ACTIVITY_EXEC;
	activity->program = program;
	activity->argv = copy_argv(argv);
	return registry_add(registry, name, activity, options, err);
}

/* One argument from *at on; false at the end of the text. A quote that is not closed sets *bad. */
static bool next_word(const char **at, struct buf *word, bool *bad)
{
	bool quoted = false;
	const char *p = *at;

	buf_reset(word);
	while (isspace((unsigned char)*p))
		p++;
	if (!*p)
		return false;
	for (; *p && (quoted || !isspace((unsigned char)*p)); p++) {
		if (*p == '"')
			quoted = !quoted;
		else
			buf_append_char(word, *p);
	}
	*bad = quoted;
	*at = p;
	return true;
}

static bool split(const char *text, char ***ret)
{
	struct buf word = {0};
	char **argv = mem_alloc(sizeof(*argv));
	size_t n = 0;
	bool bad = false;

	while (!bad && next_word(&text, &word, &bad)) {
		argv = mem_realloc_array(argv, n + 2, sizeof(*argv));
		argv[n++] = mem_strdup(buf_cstr(&word));
		argv[n] = NULL;
	}
	buf_deinit(&word);
	*ret = argv;
	return !bad;
}

enum mr_status mr_register_exec_text(struct mr_registry *registry, const char *text, struct mr_error *err)
{
	const char *equals = strchr(text, '=');
	struct mr_error why;
	enum mr_status status;
	char *name, **argv;

	if (!equals || equals == text) {
		mr_error_set(&why, MR_EINVAL, text, "is not understood; NAME=PROGRAM [ARGUMENT...] is accepted");
		return registry_refuse(registry, err, &why);
	}
	name = mem_strndup(text, (size_t)(equals - text));
	if (split(equals + 1, &argv)) {
		status = mr_register_exec(registry, name, (const char *const *)argv, NULL, err);
	} else {
		mr_error_set(&why, MR_EINVAL, name, "a quote in its command is not closed");
		status = registry_refuse(registry, err, &why);
	}
	for (char **arg = argv; *arg; arg++)
		free(*arg);
	free(argv);
	free(name);
	return status;
}
