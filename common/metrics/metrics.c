/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/metrics.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include "metrics/metrics_impl.h"

#define W METRICS_WORKER
#define S METRICS_SCHEDULER
#define WS (METRICS_WORKER | METRICS_SCHEDULER)
const struct metric_row metric_rows[METRICS_COUNT] = {
#define XX(id, name, type, labels, programs, help) {name, METRIC_##type, labels, programs, help},
	METRICS_TABLE(XX)
#undef XX
};

#define MS INT64_C(1000)
#define SECOND (1000 * MS)

static const int64_t latency_bounds[] = {1 * MS,       2500,         5 * MS,        10 * MS,           25 * MS,
					 50 * MS,      100 * MS,     250 * MS,      500 * MS,          1 * SECOND,
					 2500 * MS,    5 * SECOND,   10 * SECOND,   30 * SECOND,       60 * SECOND,
					 300 * SECOND, 900 * SECOND, 3600 * SECOND, 6 * 3600 * SECOND, 24 * 3600 * SECOND};
static const int64_t lateness_bounds[] = {1 * MS,      2 * MS,      5 * MS,      10 * MS,     20 * MS,   50 * MS,
					  100 * MS,    250 * MS,    500 * MS,    1 * SECOND,  2500 * MS, 5 * SECOND,
					  10 * SECOND, 30 * SECOND, 60 * SECOND, 600 * SECOND};

const int64_t *metric_bounds(enum metric_type type, size_t *ret_n)
{
	*ret_n = 0;
	if (type == METRIC_LATENCY) {
		*ret_n = sizeof(latency_bounds) / sizeof(latency_bounds[0]);
		return latency_bounds;
	}
	if (type == METRIC_LATENESS) {
		*ret_n = sizeof(lateness_bounds) / sizeof(lateness_bounds[0]);
		return lateness_bounds;
	}
	return NULL;
}

size_t metric_cells(enum metric_type type)
{
	size_t n;

	return metric_bounds(type, &n) ? n + 2 : 1;
}

/* What has no room counts here, and is shown nowhere. */
static metric_cell nowhere[sizeof(latency_bounds) / sizeof(latency_bounds[0]) + 2];

static void add_unlabeled(struct metrics *metrics)
{
	for (enum metric metric = 0; metric < METRICS_COUNT; metric++) {
		const struct metric_row *row = &metric_rows[metric];

		if (row->labels[0] == '\0' && (row->programs & metrics->program))
			metrics_plain(metrics, metric);
	}
	metric_set(metrics_labeled(metrics, METRIC_BUILD_INFO, mr_version()), 1);
}

enum mr_status metrics_new(enum metrics_program program, struct metrics **ret, struct mr_error *err)
{
	struct metrics *metrics = mmap(NULL, sizeof(*metrics), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
				       -1, 0);

	if (metrics == MAP_FAILED)
		return mr_error_set(err, MR_ESYSTEM, "metrics", "%zu bytes of shared memory: %s", sizeof(*metrics),
				    strerror(errno));
	metrics->program = program;
	health_still(&metrics->health, HEALTH_STARTING);
	add_unlabeled(metrics);
	*ret = metrics;
	return MR_OK;
}

void metrics_free(struct metrics *metrics)
{
	if (metrics)
		munmap(metrics, sizeof(*metrics));
}

struct health *metrics_health(struct metrics *metrics)
{
	return &metrics->health;
}

/* ---- series ---- */

/* The order of the escapes is that of the format's description. */
static void append_escaped(struct buf *out, struct bytes value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (c == '\\' || c == '"')
			buf_append_char(out, '\\');
		if (c == '\n')
			buf_append(out, "\\n", 2);
		else
			buf_append_char(out, c);
	}
}

/* a="b",c="d" of the names "a,c". */
static void append_labels(struct buf *out, const char *names, const struct bytes *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(names, ",");

		buf_printf(out, "%s%.*s=\"", i ? "," : "", (int)len, names);
		append_escaped(out, bytes_is_utf8(values[i]) ? values[i] : BYTES_LIT("_not_utf8"));
		buf_append_char(out, '"');
		names += len + (names[len] == ',');
	}
}

static size_t count_labels(enum metric metric)
{
	const char *names = metric_rows[metric].labels;
	size_t n = names[0] != '\0';

	while ((names = strchr(names, ','))) {
		names++;
		n++;
	}
	return n;
}

static struct metric_series *find(struct metrics *metrics, enum metric metric, struct bytes labels)
{
	uint32_t n = atomic_load_explicit(&metrics->n_series, memory_order_acquire);

	for (uint32_t i = 0; i < n; i++) {
		struct metric_series *series = &metrics->series[i];

		if (series->metric == metric && bytes_equal(metric_series_labels(metrics, series), labels))
			return series;
	}
	return NULL;
}

/* Where a loop died in here, the next one makes the same series again. NULL: no room. */
static struct metric_series *add(struct metrics *metrics, enum metric metric, struct bytes labels)
{
	uint32_t n = atomic_load_explicit(&metrics->n_series, memory_order_acquire);
	struct metric_series *last = n ? &metrics->series[n - 1] : NULL, *series = &metrics->series[n];
	size_t cell = last ? last->cell + metric_cells(metric_rows[last->metric].type) : 0;
	size_t text = last ? last->text + last->text_bytes : 0;

	if (n == METRICS_SERIES_MAX || cell + metric_cells(metric_rows[metric].type) > METRICS_CELLS_MAX ||
	    text + labels.len > METRICS_TEXT_MAX)
		return NULL;
	memcpy(metrics->text + text, labels.data, labels.len);
	*series = (struct metric_series){metric, (uint32_t)cell, (uint32_t)text, (uint32_t)labels.len};
	atomic_store_explicit(&metrics->n_series, n + 1, memory_order_release);
	return series;
}

static metric_cell *series_of(struct metrics *metrics, enum metric metric, const struct bytes *values, size_t n)
{
	struct metric_series *series;
	struct buf labels = {0};

	if (!metrics)
		return nowhere;
	assert(metric < METRICS_COUNT && (metric_rows[metric].programs & metrics->program));
	append_labels(&labels, metric_rows[metric].labels, values, n);
	series = find(metrics, metric, buf_bytes(&labels));
	if (!series)
		series = add(metrics, metric, buf_bytes(&labels));
	buf_deinit(&labels);
	if (series)
		return &metrics->cells[series->cell];
	metric_add(metrics_plain(metrics, METRIC_SERIES_DROPPED), 1);
	return nowhere;
}

metric_cell *metrics_series(struct metrics *metrics, enum metric metric, const struct bytes *values)
{
	return series_of(metrics, metric, values, count_labels(metric));
}

metric_cell *metrics_plain(struct metrics *metrics, enum metric metric)
{
	assert(count_labels(metric) == 0);
	return series_of(metrics, metric, NULL, 0);
}

metric_cell *metrics_labeled(struct metrics *metrics, enum metric metric, const char *value)
{
	struct bytes values[] = {bytes_of(value)};

	assert(count_labels(metric) == 1);
	return series_of(metrics, metric, values, 1);
}

void metric_observe(enum metric metric, metric_cell *cells, int64_t us)
{
	size_t n, i = 0;
	const int64_t *bounds = metric_bounds(metric_rows[metric].type, &n);

	assert(bounds);
	if (us < 0)
		us = 0;
	while (i < n && us > bounds[i])
		i++;
	metric_add(&cells[i], 1);
	metric_add(&cells[n + 1], (uint64_t)us);
}

void metrics_forget_gauges(struct metrics *metrics)
{
	uint32_t n = atomic_load_explicit(&metrics->n_series, memory_order_acquire);

	for (uint32_t i = 0; i < n; i++) {
		const struct metric_series *series = &metrics->series[i];
		enum metric_type type = metric_rows[series->metric].type;

		if ((type == METRIC_GAUGE || type == METRIC_SECONDS) && series->metric != METRIC_BUILD_INFO)
			metric_set(&metrics->cells[series->cell], 0);
	}
}
