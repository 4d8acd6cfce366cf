/* SPDX-License-Identifier: Apache-2.0 */
/* The process_* metrics that all of Prometheus' client libraries have, from /proc. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "metrics/metrics.h"

#define US INT64_C(1000000)
/* Fields of /proc/PID/stat behind the command, which ends with the last ')'. */
enum { STAT_UTIME = 11, STAT_STIME = 12, STAT_START = 19, STAT_VSIZE = 20, STAT_RSS = 21, STAT_FIELDS = 22 };

/* The beginning of a file under /proc; empty where it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, text, size - 1) : 0;

	text[len > 0 ? len : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* False where there is no such process any more. */
static bool read_stat(int pid, int64_t fields[STAT_FIELDS])
{
	char path[64], text[1024], *rest;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	read_text(path, text, sizeof(text));
	rest = strrchr(text, ')');
	if (!rest || strlen(rest) < 4)
		return false;
	rest += 4; /* ") S " */
	for (size_t i = 1; i < STAT_FIELDS; i++)
		fields[i] = strtoll(rest, &rest, 10);
	return true;
}

/* When the system started, in seconds since 1970. The line comes behind those of the processors and of the interrupts. */
static int64_t boot_s(void)
{
	char line[256];
	int64_t boot = 0;
	FILE *file = fopen("/proc/stat", "re");

	while (file && !boot && fgets(line, sizeof(line), file))
		if (strncmp(line, "btime ", 6) == 0)
			boot = strtoll(line + 6, NULL, 10);
	if (file)
		fclose(file);
	return boot;
}

static void set(struct metrics *metrics, enum metric metric, int64_t value)
{
	metric_set(metrics_plain(metrics, metric), value);
}

static void count_fds(struct metrics *metrics, int pid)
{
	char path[64];
	int64_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return;
	for (const struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	set(metrics, METRIC_PROCESS_FDS, n);
}

void metrics_read_process(struct metrics *metrics, int pid)
{
	int64_t fields[STAT_FIELDS], ticks = sysconf(_SC_CLK_TCK), page_bytes = sysconf(_SC_PAGESIZE);
	struct rlimit limit;

	if (pid <= 0 || !read_stat(pid, fields))
		return;
	set(metrics, METRIC_PROCESS_CPU, (fields[STAT_UTIME] + fields[STAT_STIME]) * US / ticks);
	set(metrics, METRIC_PROCESS_START, boot_s() * US + fields[STAT_START] * US / ticks);
	set(metrics, METRIC_PROCESS_VIRTUAL, fields[STAT_VSIZE]);
	set(metrics, METRIC_PROCESS_RESIDENT, fields[STAT_RSS] * page_bytes);
	count_fds(metrics, pid);
	if (prlimit(pid, RLIMIT_NOFILE, NULL, &limit) == 0)
		set(metrics, METRIC_PROCESS_FDS_MAX, (int64_t)limit.rlim_cur);
}
