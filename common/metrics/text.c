/* SPDX-License-Identifier: Apache-2.0 */
/* The text format: https://prometheus.io/docs/instrumenting/exposition_formats/ */
#include <inttypes.h>
#include <stdio.h>

#include "metrics/metrics_impl.h"

static const char *type_name(enum metric_type type)
{
	switch (type) {
	case METRIC_COUNTER:
	case METRIC_CPU:
		return "counter";
	case METRIC_GAUGE:
	case METRIC_SECONDS:
		return "gauge";
	case METRIC_LATENCY:
	case METRIC_LATENESS:
		return "histogram";
	}
	return "untyped";
}

static uint64_t value_of(const metric_cell *cell)
{
	return atomic_load_explicit(cell, memory_order_relaxed);
}

/* As few digits as it needs: 0.0025, 10. */
static void append_seconds(struct buf *out, uint64_t us)
{
	char digits[8];
	size_t len = 6;

	buf_printf(out, "%" PRIu64, us / 1000000);
	if (us % 1000000 == 0)
		return;
	snprintf(digits, sizeof(digits), "%06u", (unsigned)(us % 1000000));
	while (digits[len - 1] == '0')
		len--;
	buf_printf(out, ".%.*s", (int)len, digits);
}

/* name_suffix{labels */
static void append_name(struct buf *out, const char *name, const char *suffix, struct bytes labels)
{
	buf_printf(out, "%s%s", name, suffix);
	if (labels.len)
		buf_printf(out, "{%.*s}", BYTES_ARG(labels));
	buf_append_char(out, ' ');
}

static void append_bucket(struct buf *out, const char *name, struct bytes labels, const int64_t *bound, uint64_t count)
{
	buf_printf(out, "%s_bucket{%.*s%sle=\"", name, BYTES_ARG(labels), labels.len ? "," : "");
	if (bound)
		append_seconds(out, (uint64_t)*bound);
	else
		buf_printf(out, "+Inf");
	buf_printf(out, "\"} %" PRIu64 "\n", count);
}

/* The count is that of the last bucket, so that they fit together although counting goes on. */
static void append_histogram(struct buf *out, const struct metric_row *row, struct bytes labels, const metric_cell *cells)
{
	size_t n;
	const int64_t *bounds = metric_bounds(row->type, &n);
	uint64_t count = 0;

	for (size_t i = 0; i <= n; i++) {
		count += value_of(&cells[i]);
		append_bucket(out, row->name, labels, i < n ? &bounds[i] : NULL, count);
	}
	append_name(out, row->name, "_sum", labels);
	append_seconds(out, value_of(&cells[n + 1]));
	buf_append_char(out, '\n');
	append_name(out, row->name, "_count", labels);
	buf_printf(out, "%" PRIu64 "\n", count);
}

static void append_series(struct buf *out, const struct metric_row *row, struct bytes labels, const metric_cell *cells)
{
	switch (row->type) {
	case METRIC_COUNTER:
		append_name(out, row->name, "", labels);
		buf_printf(out, "%" PRIu64 "\n", value_of(cells));
		return;
	case METRIC_GAUGE:
		append_name(out, row->name, "", labels);
		buf_printf(out, "%" PRId64 "\n", (int64_t)value_of(cells));
		return;
	case METRIC_SECONDS:
	case METRIC_CPU:
		append_name(out, row->name, "", labels);
		append_seconds(out, value_of(cells));
		buf_append_char(out, '\n');
		return;
	case METRIC_LATENCY:
	case METRIC_LATENESS:
		append_histogram(out, row, labels, cells);
		return;
	}
}

void metrics_text(const struct metrics *metrics, struct buf *out)
{
	uint32_t n = atomic_load_explicit(&metrics->n_series, memory_order_acquire);

	for (uint32_t metric = 0; metric < METRICS_COUNT; metric++) {
		const struct metric_row *row = &metric_rows[metric];

		if (!(row->programs & metrics->program))
			continue;
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, type_name(row->type));
		for (uint32_t i = 0; i < n; i++) {
			const struct metric_series *series = &metrics->series[i];

			if (series->metric == metric)
				append_series(out, row, metric_series_labels(metrics, series), &metrics->cells[series->cell]);
		}
	}
}
