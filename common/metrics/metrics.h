/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stdatomic.h>

#include "base/buf.h"
#include "metrics/health.h"
#include "metrics/table.h"
#include "millrace/status.h"

/*
 * What a program counts. All values lie in one shared mapping, made before the program forks: a worker's loop counts there, its
 * supervisor shows it, and nothing is lost or counted twice where the loop dies and another one goes on.
 *
 * A series is one metric with one set of label values. It is looked for once (metrics_series), and what comes back is a cell that
 * lives as long as the mapping: counting is a relaxed load and store of one thread. Each cell has one writer at a time; new series are
 * made by the thread of the loop alone; any process and thread may read.
 */
struct metrics;

/* A counter or gauge, or the first of the cells of a histogram. */
typedef _Atomic uint64_t metric_cell;

enum metrics_program { METRICS_WORKER = 1, METRICS_SCHEDULER = 2 };

/* With all series that have no labels. MR_ESYSTEM: the system has no memory for it. */
enum mr_status metrics_new(enum metrics_program program, struct metrics **ret, struct mr_error *err);
/* NULL is allowed. */
void metrics_free(struct metrics *metrics);
struct health *metrics_health(struct metrics *metrics);

/*
 * The series of these label values, in the order of the table: made where it is missing, so that it is shown with 0 from now on.
 * Any bytes are allowed as values. `metrics` NULL, or no room: a cell that is shown nowhere (and the loss is counted).
 */
metric_cell *metrics_series(struct metrics *metrics, enum metric metric, const struct bytes *values);
/* The same for metrics without, and with one label. */
metric_cell *metrics_plain(struct metrics *metrics, enum metric metric);
metric_cell *metrics_labeled(struct metrics *metrics, enum metric metric, const char *value);

static inline void metric_add(metric_cell *cell, uint64_t n)
{
	atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

/* SECONDS and CPU: in µs. */
static inline void metric_set(metric_cell *cell, int64_t value)
{
	atomic_store_explicit(cell, (uint64_t)value, memory_order_relaxed);
}

/* Histograms only. What is negative, because two clocks differ, counts as 0. */
void metric_observe(enum metric metric, metric_cell *cells, int64_t us);

/* The loop has died: what it said of the present holds no more. */
void metrics_forget_gauges(struct metrics *metrics);

/* The text format of Prometheus, version 0.0.4. */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
void metrics_text(const struct metrics *metrics, struct buf *out);

/* Reads the process_* metrics of a process of this machine. Those that the system does not tell stay as they are. */
void metrics_read_process(struct metrics *metrics, int pid);

#endif
