/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#define REAP_WAIT_MS 1

void pids_deinit(struct pids *pids)
{
	free(pids->items);
	*pids = (struct pids){0};
}

bool pids_have(const struct pids *pids, pid_t pid)
{
	for (size_t i = 0; i < pids->len; i++)
		if (pids->items[i] == pid)
			return true;
	return false;
}

void pids_remove(struct pids *pids, pid_t pid)
{
	for (size_t i = 0; i < pids->len; i++)
		if (pids->items[i] == pid)
			pids->items[i--] = pids->items[--pids->len];
}

void pids_add(struct pids *pids, pid_t pid)
{
	if (pids->len == pids->cap) {
		pids->cap = pids->cap ? 2 * pids->cap : 16;
		pids->items = mem_realloc_array(pids->items, pids->cap, sizeof(pid_t));
	}
	pids->items[pids->len++] = pid;
}

static bool read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd < 0)
		return false;
	do {
		n = read(fd, buf_reserve(out, 4096), 4096);
		if (n > 0)
			out->len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	close(fd);
	return n == 0;
}

/* Needs CONFIG_PROC_CHILDREN, which distributions set and small kernels leave out. */
static bool list_by_children_file(struct pids *ret)
{
	struct buf text = {0};
	char path[64], *at, *end;
	bool ok;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	ok = read_file(path, &text);
	if (ok) {
		at = (char *)(uintptr_t)buf_cstr(&text);
		for (long pid = strtol(at, &end, 10); end != at; at = end, pid = strtol(at, &end, 10))
			pids_add(ret, (pid_t)pid);
	}
	buf_deinit(&text);
	return ok;
}

static pid_t parent_of(const char *pid)
{
	struct buf text = {0};
	char path[64];
	const char *after_name;
	int parent = -1;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	if (read_file(path, &text)) {
		after_name = strrchr(buf_cstr(&text), ')');
		if (!after_name || sscanf(after_name, ") %*c %d", &parent) != 1)
			parent = -1;
	}
	buf_deinit(&text);
	return parent;
}

static bool list_by_scan(struct pids *ret)
{
	DIR *dir = opendir("/proc");

	if (!dir)
		return false;
	for (struct dirent *entry; (entry = readdir(dir));)
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && parent_of(entry->d_name) == getpid())
			pids_add(ret, (pid_t)atoi(entry->d_name));
	closedir(dir);
	return true;
}

bool descendants_list(struct pids *ret)
{
	ret->len = 0;
	return list_by_children_file(ret) || list_by_scan(ret);
}

size_t descendants_kill(bool (*keep)(void *ctx, pid_t pid), void *ctx)
{
	struct pids pids = {0};
	size_t n = 0;

	descendants_list(&pids);
	for (size_t i = 0; i < pids.len; i++) {
		if (keep && keep(ctx, pids.items[i]))
			continue;
		kill(pids.items[i], SIGKILL); /* a child of ours that we have not reaped: the number cannot be another's */
		n++;
	}
	pids_deinit(&pids);
	return n;
}

bool descendants_any(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* One round over the children that are not kept: killed, and reaped where they are dead already. Returns how many there were. */
static size_t end_round(const struct pids *keep, struct pids *children)
{
	size_t n = 0;

	descendants_list(children);
	for (size_t i = 0; i < children->len; i++) {
		if (keep && pids_have(keep, children->items[i]))
			continue;
		kill(children->items[i], SIGKILL);
		waitpid(children->items[i], NULL, WNOHANG);
		n++;
	}
	return n;
}

bool descendants_end(const struct pids *keep, int timeout_ms)
{
	int64_t deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
	struct pids children = {0};
	bool left = descendants_any();

	while (left && clock_mono_us() < deadline_us) {
		left = end_round(keep, &children) > 0;
		if (left)
			poll(NULL, 0, REAP_WAIT_MS);
	}
	pids_deinit(&children);
	return !left;
}
