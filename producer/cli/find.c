/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/find.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define LIBRARY "example_activities.so"

/* The folder of this program; "." where the kernel does not tell. */
static void own_folder(char folder[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);

	if (n <= 0) {
		strcpy(folder, ".");
		return;
	}
	folder[n] = '\0';
	*strrchr(folder, '/') = '\0';
}

/* The first file that matches FOLDER/PATTERN and may be used so. */
static char *first_match(const char *folder, const char *pattern, int mode)
{
	struct buf path = {0};
	glob_t found = {0};
	char *ret = NULL;

	buf_printf(&path, "%s/%s", folder, pattern);
	if (glob(buf_cstr(&path), 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc && !ret; i++)
			if (access(found.gl_pathv[i], mode) == 0)
				ret = mem_strdup(found.gl_pathv[i]);
	globfree(&found);
	buf_deinit(&path);
	return ret;
}

static char *in_path(const char *name)
{
	const char *path = getenv("PATH");
	CLEANUP_FREE char *copy = mem_strdup(path ? path : "/usr/local/bin:/usr/bin:/bin");
	char *rest = copy, *folder, *ret = NULL;

	while (!ret && (folder = strsep(&rest, ":")))
		ret = first_match(*folder ? folder : ".", name, X_OK);
	return ret;
}

enum mr_status find_program(const char *name, char **ret, struct mr_error *err)
{
	char folder[PATH_MAX], below[128];
	char *found;

	own_folder(folder);
	found = first_match(folder, name, X_OK);
	if (!found) {
		snprintf(below, sizeof(below), "deploy/*/%s", name);
		found = first_match(folder, below, X_OK);
	}
	if (!found)
		found = in_path(name);
	if (!found)
		return mr_error_set(err, MR_ENOT_FOUND, name, "it is neither beside %s/millrace nor in PATH%s", folder,
				    strcmp(name, "redis-server") ? "" : "; on Debian: apt-get install redis-server");
	*ret = found;
	return MR_OK;
}

enum mr_status find_example_activities(char **ret, struct mr_error *err)
{
	static const char *const places[] = {LIBRARY, "examples/activities/" LIBRARY, "../lib*/millrace/" LIBRARY,
					     "../lib/*/millrace/" LIBRARY};
	char folder[PATH_MAX];

	own_folder(folder);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if ((*ret = first_match(folder, places[i], R_OK)))
			return MR_OK;
	return mr_error_set(err, MR_ENOT_FOUND, LIBRARY, "it is not where the build or the installation of %s/millrace puts it",
			    folder);
}
