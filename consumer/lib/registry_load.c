/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lib/registry_impl.h"

/* Shared objects (A6): loaded where they run; elsewhere their activities are known by the loader's report. */

#define TRY_TIMEOUT_MS 30000

enum mr_status mr_register_library(struct mr_registry *registry, const char *path, struct mr_error *err)
{
	struct mr_error why;
	struct stat st;

	if (!path || !*path || stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
		mr_error_set(&why, path && *path && errno != ENOENT ? MR_EINVAL : MR_ENOT_FOUND, path ? path : "library",
			     "there is no shared object of that name");
		return registry_refuse(registry, err, &why);
	}
	registry->libraries = mem_realloc_array(registry->libraries, registry->n_libraries + 1, sizeof(char *));
	/* dlopen looks up a name without a slash in the system's folders. */
	registry->libraries[registry->n_libraries] = realpath(path, NULL);
	if (!registry->libraries[registry->n_libraries]) {
		mr_error_set(&why, MR_EINVAL, path, "cannot be opened: %s", strerror(errno));
		return registry_refuse(registry, err, &why);
	}
	registry->n_libraries++;
	return MR_OK;
}

const char *registry_libraries_name(const struct mr_registry *registry)
{
	if (registry->n_libraries == 1)
		return registry->libraries[0];
	return registry->n_libraries ? "activity libraries" : "zygote";
}

static enum mr_status check_abi(void *handle, const char *path, struct mr_error *err)
{
	const unsigned *version = dlsym(handle, "mr_abi_version");

	if (!version || !dlsym(handle, "mr_activities"))
		return mr_error_set(err, MR_EINVAL, path,
				    "is no library of activities: it lacks the symbol %s (see MR_ACTIVITIES)",
				    version ? "mr_activities" : "mr_abi_version");
	if (*version != MR_ABI_VERSION)
		return mr_error_set(err, MR_EINVAL, path,
				    "was built for version %u of worker.h; this worker has version %d: build it again", *version,
				    MR_ABI_VERSION);
	return MR_OK;
}

/* The loader passes over a file that is for another processor, and says that there is none. */
static enum mr_status refuse_unloadable(const char *path, const char *why, struct mr_error *err)
{
	if (strncmp(why, path, strlen(path)) == 0 && strstr(why, "No such file") && access(path, R_OK) == 0)
		return mr_error_set(err, MR_EINVAL, path, "cannot be loaded: it was built for another kind of machine");
	return mr_error_set(err, MR_EINVAL, path, "cannot be loaded: %s", why);
}

static enum mr_status load_one(struct mr_registry *registry, const char *path, void **ret_handle, struct mr_error *err)
{
	enum mr_status (*activities)(struct mr_registry *);
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	enum mr_status status;

	if (!handle)
		return refuse_unloadable(path, dlerror(), err);
	*ret_handle = handle;
	status = check_abi(handle, path, err);
	if (status)
		return status;
	*(void **)&activities = dlsym(handle, "mr_activities");
	status = activities(registry);
	if (registry->first_error.code)
		return mr_error_set(err, registry->first_error.code, path, "%s: %s", registry->first_error.where,
				    registry->first_error.message);
	if (status)
		return mr_error_set(err, MR_EINVAL, path, "its mr_activities returned %s", mr_status_name(status));
	return MR_OK;
}

enum mr_status registry_load_libraries(struct mr_registry *registry, struct mr_error *err)
{
	enum mr_status status = MR_OK;

	assert(!registry->loaded);
	registry_drop_remote(registry);
	registry->handles = mem_alloc((registry->n_libraries + 1) * sizeof(void *));
	for (size_t i = 0; i < registry->n_libraries && !status; i++)
		status = load_one(registry, registry->libraries[i], &registry->handles[i], err);
	registry->loaded = true;
	return status;
}

/* The report: lines of fields separated by tabs, which names cannot contain.
 *   A name max_concurrent start_to_close heartbeat        one activity; X: one that is a program
 *   E code where message                                  the error
 *   .                                                     the end; without it the loader died */
static void clean(char *text)
{
	for (; *text; text++)
		if (*text == '\t' || *text == '\n')
			*text = ' ';
}

static void write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* the reader is gone: it has its own way to learn of that */
		data += n;
		len -= (size_t)n;
	}
}

void registry_report(const struct mr_registry *registry, enum mr_status status, const struct mr_error *error, int fd)
{
	struct buf out = {0};

	for (size_t i = 0; !status && i < registry->len; i++) {
		const struct activity *a = registry->items[i];

		buf_printf(&out, "%c\t%s\t%lld\t%lld\t%lld\n", a->kind == ACTIVITY_EXEC ? 'X' : 'A', a->name,
			   (long long)a->max_concurrent, (long long)a->start_to_close_timeout_ms,
			   (long long)a->heartbeat_timeout_ms);
	}
	if (status) {
		struct mr_error copy = *error;

		clean(copy.where);
		clean(copy.message);
		buf_printf(&out, "E\t%d\t%s\t%s\n", (int)status, copy.where, copy.message);
	}
	buf_append(&out, ".\n", 2);
	write_all(fd, out.data, out.len);
	buf_deinit(&out);
}

static void add_remote(struct mr_registry *registry, char **fields)
{
	struct activity *activity;

	if (*fields[1] ? map_get(&registry->by_name, bytes_of(fields[1])) != NULL : registry->catch_all != NULL)
		return;
	activity = mem_alloc(sizeof(*activity));
	activity->kind = ACTIVITY_REMOTE;
	activity->is_remote_exec = *fields[0] == 'X';
	registry_add(registry, fields[1], activity, NULL, NULL);
	activity->max_concurrent = strtoll(fields[2], NULL, 10);
	activity->start_to_close_timeout_ms = strtoll(fields[3], NULL, 10);
	activity->heartbeat_timeout_ms = strtoll(fields[4], NULL, 10);
	registry_limit(registry, activity);
}

/* True at the end line. */
static bool read_line(struct mr_registry *registry, char *line, struct mr_error *ret_error)
{
	char *fields[5] = {0};
	size_t n = 0;

	for (char *field; n < 5 && (field = strsep(&line, "\t"));)
		fields[n++] = field;
	if (*fields[0] == '.')
		return true;
	if ((*fields[0] == 'A' || *fields[0] == 'X') && n == 5)
		add_remote(registry, fields);
	else if (*fields[0] == 'E' && n >= 4)
		mr_error_set(ret_error, (enum mr_status)atoi(fields[1]), fields[2], "%s", fields[3]);
	return false;
}

static bool read_until_end(int fd, int timeout_ms, struct buf *out)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;

	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		int64_t left_ms = (deadline_us - clock_mono_us()) / 1000;
		ssize_t n;

		if (left_ms <= 0 || (poll(&pfd, 1, (int)left_ms) < 0 && errno != EINTR))
			return false;
		if (!pfd.revents)
			continue;
		n = read(fd, buf_reserve(out, 4096), 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return true;
		out->len += (size_t)n;
		if (out->len >= 2 && out->data[out->len - 2] == '.' && out->data[out->len - 1] == '\n' &&
		    (out->len == 2 || out->data[out->len - 3] == '\n'))
			return true;
	}
}

static enum mr_status parse_report(struct mr_registry *registry, struct buf *text, struct mr_error *err)
{
	struct mr_error error = {.code = MR_OK};
	char *rest = (char *)(uintptr_t)buf_cstr(text);
	bool complete = false;

	for (char *line; !complete && (line = strsep(&rest, "\n"));)
		complete = *line && read_line(registry, line, &error);
	if (error.code) {
		if (err)
			*err = error;
		return error.code;
	}
	if (!complete)
		return mr_error_set(err, MR_ECLOSED, registry_libraries_name(registry),
				    "the process that loads the activities died");
	return MR_OK;
}

enum mr_status registry_read_report(struct mr_registry *registry, int fd, int timeout_ms, struct mr_error *err)
{
	struct buf text = {0};
	enum mr_status status;

	if (read_until_end(fd, timeout_ms, &text))
		status = parse_report(registry, &text, err);
	else
		status = mr_error_set(err, MR_ETIMEOUT, registry_libraries_name(registry),
				      "loading the activities took longer than %d ms", timeout_ms);
	buf_deinit(&text);
	return status;
}

static enum mr_status explain_death(const struct mr_registry *registry, int wait_status, struct mr_error *err)
{
	const char *path = registry_libraries_name(registry);

	if (WIFSIGNALED(wait_status))
		return mr_error_set(err, MR_EINVAL, path, "crashed while it was loaded: SIG%s (%s)",
				    sigabbrev_np(WTERMSIG(wait_status)), strsignal(WTERMSIG(wait_status)));
	return mr_error_set(err, MR_EINVAL, path, "ended the process while it was loaded, with exit status %d",
			    WEXITSTATUS(wait_status));
}

static enum mr_status read_child(struct mr_registry *registry, pid_t pid, int fd, struct mr_error *err)
{
	enum mr_status status = registry_read_report(registry, fd, TRY_TIMEOUT_MS, err);
	int wait_status = 0;

	if (status == MR_ETIMEOUT)
		kill(pid, SIGKILL);
	while (waitpid(pid, &wait_status, 0) < 0)
		if (errno != EINTR)
			return mr_error_set(err, MR_ESYSTEM, "waitpid", "%s", strerror(errno));
	if (status == MR_ECLOSED)
		return explain_death(registry, wait_status, err);
	return status;
}

enum mr_status registry_try_libraries(struct mr_registry *registry, struct mr_error *err)
{
	struct mr_error error = {.code = MR_OK};
	enum mr_status status;
	int fds[2];
	pid_t pid;

	if (registry->n_libraries == 0)
		return MR_OK;
	if (pipe(fds) < 0)
		return mr_error_set(err, MR_ESYSTEM, "pipe", "%s", strerror(errno));
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return mr_error_set(err, MR_ESYSTEM, "fork", "%s", strerror(errno));
	}
	if (pid == 0) {
		close(fds[0]);
		status = registry_load_libraries(registry, &error);
		registry_report(registry, status, &error, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	status = read_child(registry, pid, fds[0], err);
	close(fds[0]);
	return status;
}
