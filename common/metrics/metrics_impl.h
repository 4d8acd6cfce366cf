/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METRICS_METRICS_IMPL_H
#define METRICS_METRICS_IMPL_H

/* Between the files of metrics. */

#include "metrics/metrics.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_SECONDS, METRIC_CPU, METRIC_LATENCY, METRIC_LATENESS };

struct metric_row {
	const char *name;
	enum metric_type type;
	const char *labels;
	unsigned programs; /* bits of enum metrics_program */
	const char *help;
};
extern const struct metric_row metric_rows[METRICS_COUNT];

/* Upper bounds in µs, without the last one, which is infinite; NULL where it is no histogram. */
const int64_t *metric_bounds(enum metric_type type, size_t *ret_n);
/* How many cells a series has. A histogram: one a bound, one beyond all bounds, the sum in µs. */
size_t metric_cells(enum metric_type type);

/* Memory is used where it is touched, and most of this is not. */
#define METRICS_SERIES_MAX 16384u
#define METRICS_CELLS_MAX (256u * 1024)
#define METRICS_TEXT_MAX (4u * 1024 * 1024)

struct metric_series {
	uint32_t metric, cell;
	uint32_t text, text_bytes; /* its labels as they are shown: a="b",c="d" */
};

struct metrics {
	struct health health;
	enum metrics_program program;
	_Atomic uint32_t n_series; /* whoever reads it sees these series complete */
	struct metric_series series[METRICS_SERIES_MAX];
	metric_cell cells[METRICS_CELLS_MAX];
	char text[METRICS_TEXT_MAX];
};

static inline struct bytes metric_series_labels(const struct metrics *metrics, const struct metric_series *series)
{
	return (struct bytes){metrics->text + series->text, series->text_bytes};
}

#endif
