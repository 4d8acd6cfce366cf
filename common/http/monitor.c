/* SPDX-License-Identifier: Apache-2.0 */
#include "http/monitor.h"

#include "base/clock.h"
#include "base/log.h"

#define UNAVAILABLE 503

static void show_metrics(struct metrics *metrics, struct http_reply *reply)
{
	const struct health *health = metrics_health(metrics);
	struct buf line = {0};

	metric_set(metrics_plain(metrics, METRIC_READY), health_is_ready(health, clock_mono_us(), &line));
	buf_deinit(&line);
	metrics_read_process(metrics, atomic_load(&health->pid));
	reply->content_type = METRICS_CONTENT_TYPE;
	metrics_text(metrics, &reply->body);
}

static bool page(void *ctx, const char *path, struct http_reply *reply)
{
	struct metrics *metrics = ctx;
	const struct health *health = metrics_health(metrics);

	if (!strcmp(path, "/metrics"))
		show_metrics(metrics, reply);
	else if (!strcmp(path, "/healthz"))
		reply->status = health_is_alive(health, clock_mono_us(), &reply->body) ? reply->status : UNAVAILABLE;
	else if (!strcmp(path, "/readyz"))
		reply->status = health_is_ready(health, clock_mono_us(), &reply->body) ? reply->status : UNAVAILABLE;
	else
		return false;
	return true;
}

enum mr_status monitor_start(const char *address, bool own_thread, struct metrics *metrics, struct http **ret,
			     struct mr_error *err)
{
	struct http_config config = {
		.address = address,
		.own_thread = own_thread,
		.pages = "/metrics, /healthz and /readyz",
		.page = page,
		.ctx = metrics,
	};
	enum mr_status status = http_start(&config, ret, err);

	if (!status)
		log_info("HTTP server listens", LOG_S("at", http_url(*ret)));
	return status;
}
