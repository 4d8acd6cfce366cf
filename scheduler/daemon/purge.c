/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/purge.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

/* Written by the thread, read by the loop after the thread has rung the descriptor. */
struct purge {
	const struct topics_spec *spec;
	int fd;
	bool running;
	pthread_t thread;
	enum mr_status status;
	struct topics_info info;
	struct mr_error err;
};

static void ring(const struct purge *purge)
{
	uint64_t one = 1;
	ssize_t n = write(purge->fd, &one, sizeof(one));

	assert(n == sizeof(one));
}

static void *run(void *ctx)
{
	struct purge *purge = ctx;

	purge->status = topics_purge(purge->spec, &purge->info, &purge->err);
	ring(purge);
	return NULL;
}

enum mr_status purge_new(const struct topics_spec *spec, struct purge **ret, struct mr_error *err)
{
	struct purge *purge = mem_alloc(sizeof(*purge));

	purge->spec = spec;
	purge->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (purge->fd < 0) {
		free(purge);
		return mr_error_set(err, MR_ESYSTEM, "eventfd", "%s", strerror(errno));
	}
	*ret = purge;
	return MR_OK;
}

static void finish(struct purge *purge)
{
	pthread_join(purge->thread, NULL);
	purge->running = false;
	if (purge->status != MR_OK)
		log_warn("settled task records could not be deleted", LOG_S("reason", purge->err.message));
	else if (purge->info.report && purge->info.report[0])
		log_warn("some settled task records were not deleted", LOG_S("report", purge->info.report));
	free(purge->info.report);
	purge->info.report = NULL;
}

void purge_free(struct purge *purge)
{
	if (!purge)
		return;
	if (purge->running)
		finish(purge);
	close(purge->fd);
	free(purge);
}

void purge_start(struct purge *purge)
{
	int failed;

	if (purge->running)
		return;
	purge->info = (struct topics_info){0};
	purge->err = (struct mr_error){0};
	failed = pthread_create(&purge->thread, NULL, run, purge);
	purge->running = failed == 0;
	if (failed) {
		log_warn("no thread for the purge", LOG_S("reason", strerror(failed)));
		ring(purge);
	}
}

int purge_fd(const struct purge *purge)
{
	return purge->fd;
}

bool purge_ended(struct purge *purge)
{
	uint64_t count;

	if (read(purge->fd, &count, sizeof(count)) != sizeof(count))
		return false;
	if (purge->running)
		finish(purge);
	return true;
}
