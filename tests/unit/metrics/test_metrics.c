/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "metrics/metrics.h"

static struct metrics *new_metrics(enum metrics_program program)
{
	struct metrics *metrics;

	assert_int_equal(metrics_new(program, &metrics, NULL), MR_OK);
	return metrics;
}

static void assert_shown(const struct metrics *metrics, const char *text)
{
	struct buf out = {0};

	metrics_text(metrics, &out);
	if (!strstr(buf_cstr(&out), text))
		fail_msg("not there: %s\n%s", text, out.data);
	buf_deinit(&out);
}

static void assert_not_shown(const struct metrics *metrics, const char *text)
{
	struct buf out = {0};

	metrics_text(metrics, &out);
	assert_null(strstr(buf_cstr(&out), text));
	buf_deinit(&out);
}

static void a_metric_without_labels_is_shown_from_the_start(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_WORKER);

	(void)state;
	assert_shown(metrics, "# HELP millrace_releases_total Claimed tasks given back before they started, without using up an "
			      "attempt.\n# TYPE millrace_releases_total counter\nmillrace_releases_total 0\n");
	metrics_free(metrics);
}

static void a_program_shows_its_own_metrics_only(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_SCHEDULER);

	(void)state;
	assert_shown(metrics, "\nmillrace_scheduler_outbox_entries 0\n");
	assert_not_shown(metrics, "millrace_worker_task_slots_used");
	metrics_free(metrics);
}

static void label_values_are_escaped(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_WORKER);
	const struct bytes values[] = {BYTES_LIT("a\\b"), BYTES_LIT("say \"x\"\ny")};

	(void)state;
	metric_add(metrics_series(metrics, METRIC_REPLAYS, values), 3);
	assert_shown(metrics, "\nmillrace_replays_total{task_queue=\"a\\\\b\",activity_type=\"say \\\"x\\\"\\ny\"} 3\n");
	metrics_free(metrics);
}

static void a_label_value_that_is_not_utf8_is_replaced(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_WORKER);

	(void)state;
	metrics_labeled(metrics, METRIC_FORWARDS, "\xff");
	assert_shown(metrics, "\nmillrace_forwards_total{task_queue=\"_not_utf8\"} 0\n");
	metrics_free(metrics);
}

static void the_same_labels_are_the_same_series(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_WORKER);

	(void)state;
	metric_add(metrics_labeled(metrics, METRIC_CLAIMS, "run"), 1);
	metric_add(metrics_labeled(metrics, METRIC_CLAIMS, "wait"), 5);
	metric_add(metrics_labeled(metrics, METRIC_CLAIMS, "run"), 1);
	assert_shown(metrics, "\nmillrace_claims_total{answer=\"run\"} 2\nmillrace_claims_total{answer=\"wait\"} 5\n");
	metrics_free(metrics);
}

static void a_histogram_counts_each_value_in_all_buckets_above_it(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_SCHEDULER);
	metric_cell *cells = metrics_labeled(metrics, METRIC_TIMER_LATENESS, "backoff");
	static const char text[] = "_seconds_bucket{kind=\"backoff\",le=\"0.001\"} 2\n";

	(void)state;
	metric_observe(METRIC_TIMER_LATENESS, cells, -5);
	metric_observe(METRIC_TIMER_LATENESS, cells, 1000); /* a bound belongs to its bucket */
	metric_observe(METRIC_TIMER_LATENESS, cells, 1001);
	metric_observe(METRIC_TIMER_LATENESS, cells, INT64_C(601000000));
	assert_shown(metrics, text);
	assert_shown(metrics, "{kind=\"backoff\",le=\"0.002\"} 3\n");
	assert_shown(metrics, "{kind=\"backoff\",le=\"600\"} 3\n");
	assert_shown(metrics, "{kind=\"backoff\",le=\"+Inf\"} 4\n");
	assert_shown(metrics, "_seconds_sum{kind=\"backoff\"} 601.002001\n");
	assert_shown(metrics, "_seconds_count{kind=\"backoff\"} 4\n");
	metrics_free(metrics);
}

static void seconds_are_shown_with_the_digits_they_need(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_WORKER);
	metric_cell *cell = metrics_labeled(metrics, METRIC_OLDEST_WAITING, "q");

	(void)state;
	metric_set(cell, 1500000);
	assert_shown(metrics, "\nmillrace_worker_oldest_waiting_seconds{task_queue=\"q\"} 1.5\n");
	metric_set(cell, 20);
	assert_shown(metrics, "{task_queue=\"q\"} 0.00002\n");
	metrics_free(metrics);
}

static void what_a_child_counts_is_there_after_its_death(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_WORKER);
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		metric_add(metrics_labeled(metrics, METRIC_FORWARDS, "q"), 2);
		metric_set(metrics_plain(metrics, METRIC_SLOTS_USED), 7);
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_shown(metrics, "\nmillrace_forwards_total{task_queue=\"q\"} 2\n");
	assert_shown(metrics, "\nmillrace_worker_task_slots_used 7\n");
	metrics_forget_gauges(metrics);
	assert_shown(metrics, "\nmillrace_forwards_total{task_queue=\"q\"} 2\n");
	assert_shown(metrics, "\nmillrace_worker_task_slots_used 0\n");
	assert_shown(metrics, "\"} 1\n# HELP millrace_ready"); /* the version is still told */
	metrics_free(metrics);
}

static void what_has_no_room_is_counted_and_harms_nothing(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_WORKER);
	char name[32];

	(void)state;
	for (int i = 0; i < 17000; i++) {
		snprintf(name, sizeof(name), "queue-%d", i);
		metric_add(metrics_labeled(metrics, METRIC_FORWARDS, name), 1);
	}
	assert_shown(metrics, "{task_queue=\"queue-0\"} 1\n");
	assert_not_shown(metrics, "{task_queue=\"queue-16999\"}");
	assert_not_shown(metrics, "millrace_metrics_series_dropped_total 0\n");
	metrics_free(metrics);
}

static void without_metrics_counting_goes_nowhere(void **state)
{
	(void)state;
	metric_add(metrics_plain(NULL, METRIC_RELEASES), 1);
	metric_observe(METRIC_EXECUTION_LATENCY, metrics_series(NULL, METRIC_EXECUTION_LATENCY, NULL), INT64_MAX);
}

static void this_process_is_measured(void **state)
{
	struct metrics *metrics = new_metrics(METRICS_WORKER);

	(void)state;
	metrics_read_process(metrics, getpid());
	assert_not_shown(metrics, "\nprocess_resident_memory_bytes 0\n");
	assert_not_shown(metrics, "\nprocess_start_time_seconds 0\n");
	assert_not_shown(metrics, "\nprocess_open_fds 0\n");
	assert_not_shown(metrics, "\nprocess_max_fds 0\n");
	metrics_free(metrics);
}

/* ---- health ---- */

static void assert_health(bool (*ask)(const struct health *, int64_t, struct buf *), const struct health *health, int64_t now_us,
			  bool wanted, const char *line)
{
	struct buf text = {0};

	assert_int_equal(ask(health, now_us, &text), wanted);
	assert_string_equal(buf_cstr(&text), line);
	buf_deinit(&text);
}

static void a_loop_that_turns_is_alive_and_says_why_it_is_not_ready(void **state)
{
	struct health health = {0};

	(void)state;
	health_turned(&health, 1000, HEALTH_BIT(KAFKA) | HEALTH_BIT(REDIS));
	assert_health(health_is_alive, &health, 2000, true, "ok\n");
	assert_health(health_is_ready, &health, 2000, false, "not ready: Kafka cannot be reached; Redis does not answer\n");
	health_turned(&health, 3000, 0);
	assert_health(health_is_ready, &health, 4000, true, "ready\n");
}

static void a_loop_that_turns_no_more_is_stuck(void **state)
{
	struct health health = {0};
	const int64_t now_us = 1000 + HEALTH_STUCK_US;

	(void)state;
	health_turned(&health, 1000, 0);
	assert_health(health_is_alive, &health, now_us, true, "ok\n");
	assert_health(health_is_alive, &health, now_us + 1, false, "stuck: the loop has not turned for 10 s\n");
	assert_health(health_is_ready, &health, now_us + 1, false, "stuck: the loop has not turned for 10 s\n");
}

static void nobody_waits_for_a_loop_that_is_to_start(void **state)
{
	struct health health = {0};

	(void)state;
	health_still(&health, HEALTH_LOOP_DIED);
	assert_health(health_is_alive, &health, INT64_MAX, true, "ok\n");
	assert_health(health_is_ready, &health, INT64_MAX, false,
		      "not ready: the worker's loop died and is being started again\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_metric_without_labels_is_shown_from_the_start),
		cmocka_unit_test(a_program_shows_its_own_metrics_only),
		cmocka_unit_test(label_values_are_escaped),
		cmocka_unit_test(a_label_value_that_is_not_utf8_is_replaced),
		cmocka_unit_test(the_same_labels_are_the_same_series),
		cmocka_unit_test(a_histogram_counts_each_value_in_all_buckets_above_it),
		cmocka_unit_test(seconds_are_shown_with_the_digits_they_need),
		cmocka_unit_test(what_a_child_counts_is_there_after_its_death),
		cmocka_unit_test(what_has_no_room_is_counted_and_harms_nothing),
		cmocka_unit_test(without_metrics_counting_goes_nowhere),
		cmocka_unit_test(this_process_is_measured),
		cmocka_unit_test(a_loop_that_turns_is_alive_and_says_why_it_is_not_ready),
		cmocka_unit_test(a_loop_that_turns_no_more_is_stuck),
		cmocka_unit_test(nobody_waits_for_a_loop_that_is_to_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
