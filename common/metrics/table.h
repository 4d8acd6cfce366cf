/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METRICS_TABLE_H
#define METRICS_TABLE_H

/*
 * All metrics of worker and scheduler, in the order in which they are shown. docs/metrics.py makes the table of the documentation
 * from this file. Names are those of Temporal's SDK where it has the metric, with our prefix and Prometheus' suffixes.
 *
 * XX(id, name, type, labels, programs, help)
 *   type      COUNTER, GAUGE: a number. SECONDS: a gauge, CPU: a counter, LATENCY and LATENESS: histograms, all kept in µs and
 *             shown in seconds.
 *   labels    names, separated by commas
 *   programs  W worker, S scheduler, WS both
 */

/* clang-format off */
#define METRICS_TABLE(XX) \
	XX(BUILD_INFO, "millrace_build_info", GAUGE, "version", WS, \
	   "Always 1; the label tells the version.") \
	XX(READY, "millrace_ready", GAUGE, "", WS, \
	   "1 where /readyz says ready, else 0.") \
	XX(KAFKA_REACHABLE, "millrace_kafka_reachable", GAUGE, "", WS, \
	   "1 while Kafka can be reached, else 0.") \
	XX(REDIS_REACHABLE, "millrace_redis_reachable", GAUGE, "", WS, \
	   "1 while Redis answers, else 0.") \
	XX(KAFKA_ERRORS, "millrace_kafka_errors_total", COUNTER, "kind", WS, \
	   "Errors of Kafka: it became unreachable, refused a record, told another error.") \
	XX(REDIS_ERRORS, "millrace_redis_errors_total", COUNTER, "kind", WS, \
	   "Errors of Redis: it became unreachable, refused a call.") \
	XX(KAFKA_UNACKNOWLEDGED, "millrace_kafka_records_unacknowledged", GAUGE, "", WS, \
	   "Records handed to the Kafka client that the broker has not acknowledged yet.") \
	XX(DEAD_LETTERS, "millrace_dead_letters_total", COUNTER, "kind", WS, \
	   "Records that could not be understood: task records by what is wrong with them, control and journal records.") \
	XX(WORKER_START, "millrace_worker_start_total", COUNTER, "", W, \
	   "Starts of the worker's loop, the first one included.") \
	XX(LOOP_DEATHS, "millrace_worker_loop_deaths_total", COUNTER, "", W, \
	   "Deaths of the worker's loop after which its supervisor started it again.") \
	XX(LEASE_LOSSES, "millrace_worker_lease_losses_total", COUNTER, "", W, \
	   "How often this worker was declared dead although it lived, and had to begin anew.") \
	XX(SLOTS_AVAILABLE, "millrace_worker_task_slots_available", GAUGE, "", W, \
	   "Slots without an attempt.") \
	XX(SLOTS_USED, "millrace_worker_task_slots_used", GAUGE, "", W, \
	   "Slots with a running attempt, or with one that is claimed and about to start.") \
	XX(TASKS_IN_HAND, "millrace_worker_tasks_in_hand", GAUGE, "", W, \
	   "Tasks read from Kafka and not settled yet, whatever their step.") \
	XX(BYTES_IN_HAND, "millrace_worker_in_hand_bytes", GAUGE, "", W, \
	   "Memory of these tasks; --max-in-flight-bytes bounds it.") \
	XX(TASKS_WAITING, "millrace_worker_tasks_waiting", GAUGE, "task_queue", W, \
	   "Tasks in this worker's hands that wait for a claim or a slot.") \
	XX(OLDEST_WAITING, "millrace_worker_oldest_waiting_seconds", SECONDS, "task_queue", W, \
	   "How long the oldest of them has waited since it was put into its queue; 0 where none waits.") \
	XX(WORKER_SHARDS, "millrace_worker_shards", GAUGE, "state", W, \
	   "Shards whose data in Redis a scheduler vouches for (ready), and the others (waiting).") \
	XX(TASK_RECEIVED, "millrace_activity_task_received_total", COUNTER, "task_queue,activity_type", W, \
	   "Task records read from Kafka and understood; one that is read again counts again.") \
	XX(CLAIMS, "millrace_claims_total", COUNTER, "answer", W, \
	   "Claims of tasks by Redis' answer.") \
	XX(SCHEDULE_TO_START, "millrace_activity_schedule_to_start_latency_seconds", LATENCY, "task_queue,activity_type", W, \
	   "From when an attempt was put into its queue until it started.") \
	XX(EXECUTION_LATENCY, "millrace_activity_execution_latency_seconds", LATENCY, "task_queue,activity_type", W, \
	   "How long attempts ran, however they ended.") \
	XX(ENDTOEND_LATENCY, "millrace_activity_succeed_endtoend_latency_seconds", LATENCY, "task_queue,activity_type", W, \
	   "From when a task was scheduled until it completed, attempts and backoffs included; completed tasks only.") \
	XX(ATTEMPTS_ENDED, "millrace_activity_attempts_ended_total", COUNTER, "task_queue,activity_type,outcome", W, \
	   "Attempts that started here and ended, and attempts of dead workers that this one found (lost).") \
	XX(EXECUTION_FAILED, "millrace_activity_execution_failed_total", COUNTER, "task_queue,activity_type", W, \
	   "Attempts that failed, timed out or were lost; benign failures do not count.") \
	XX(EXECUTION_CANCELLED, "millrace_activity_execution_cancelled_total", COUNTER, "task_queue,activity_type", W, \
	   "Attempts that ended by a cancel.") \
	XX(RETRIES, "millrace_activity_retries_total", COUNTER, "task_queue,activity_type", W, \
	   "Attempts that are followed by another one.") \
	XX(UNREGISTERED, "millrace_unregistered_activity_invocation_total", COUNTER, "task_queue", W, \
	   "Attempts of activity types that this worker does not have.") \
	XX(HEARTBEATS, "millrace_heartbeats_total", COUNTER, "task_queue,activity_type", W, \
	   "Heartbeats written to the journal, after throttling.") \
	XX(RESULTS, "millrace_results_published_total", COUNTER, "status", W, \
	   "Final results that Kafka has acknowledged, rejections of duplicate and of bad tasks included.") \
	XX(RESULTS_STALE, "millrace_results_stale_total", COUNTER, "", W, \
	   "Results that were dropped because another attempt, or an end from outside, was first.") \
	XX(REPLAYS, "millrace_replays_total", COUNTER, "task_queue,activity_type", W, \
	   "Stored results published again because a task was submitted, or read, again after its end.") \
	XX(FORWARDS, "millrace_forwards_total", COUNTER, "task_queue", W, \
	   "Waiting tasks handed to another worker that had a free slot.") \
	XX(RELEASES, "millrace_releases_total", COUNTER, "", W, \
	   "Claimed tasks given back before they started, without using up an attempt.") \
	XX(BACKLOG, "millrace_task_queue_backlog", GAUGE, "task_queue", S, \
	   "Task records that are not settled: they wait, or run for less than --park-after. Each partition is told by one scheduler.") \
	XX(BACKLOG_AGE, "millrace_task_queue_oldest_seconds", SECONDS, "task_queue", S, \
	   "How long ago the oldest of them was written; 0 where there is none. The largest one of all schedulers counts.") \
	XX(SHARDS, "millrace_scheduler_shards", GAUGE, "state", S, \
	   "Shards of this scheduler by state; all but ready are steps of a recovery.") \
	XX(TIMERS_PENDING, "millrace_scheduler_timers_pending", GAUGE, "kind", S, \
	   "Timers in Redis that are not due yet, of the ready shards of this scheduler.") \
	XX(TIMER_LATENESS, "millrace_scheduler_timer_lateness_seconds", LATENESS, "kind", S, \
	   "How late timers fired. Silent workers' heartbeats and what waits for a recovery count too.") \
	XX(OUTBOX, "millrace_scheduler_outbox_entries", GAUGE, "", S, \
	   "Publications that Kafka has not confirmed yet, of the ready shards of this scheduler.") \
	XX(JOBS, "millrace_scheduler_publications_in_progress", GAUGE, "", S, \
	   "Publications that this scheduler has begun and not ended.") \
	XX(DISPATCHED, "millrace_scheduler_attempts_dispatched_total", COUNTER, "", S, \
	   "Attempts put into their queue after a backoff, a start delay or a hold.") \
	XX(ENDED_BY_SCHEDULER, "millrace_scheduler_attempts_ended_total", COUNTER, "followed_by", S, \
	   "Attempts and waiting tasks that the scheduler ended (dead workers, timeouts, commands), by what followed.") \
	XX(SWEPT, "millrace_scheduler_outbox_swept_total", COUNTER, "what", S, \
	   "Publications found in the outbox that somebody else had not finished.") \
	XX(APPLIED, "millrace_scheduler_journal_records_applied_total", COUNTER, "", S, \
	   "Journal records applied to Redis, recoveries not included.") \
	XX(RECOVERIES, "millrace_scheduler_recoveries_total", COUNTER, "", S, \
	   "Shards rebuilt from Kafka because Redis had lost or changed its data.") \
	XX(REPLAYED, "millrace_scheduler_records_replayed_total", COUNTER, "topic", S, \
	   "Records read in these recoveries.") \
	XX(BURIED, "millrace_scheduler_workers_declared_dead_total", COUNTER, "", S, \
	   "Workers without a sign of life for --lease.") \
	XX(WORKERS, "millrace_scheduler_workers", GAUGE, "", S, \
	   "Workers whose lease this scheduler sees.") \
	XX(COMMANDS, "millrace_scheduler_commands_total", COUNTER, "", S, \
	   "Commands read from the control topic; one that its sender wrote to another partition than Kafka's default counts twice.") \
	XX(COMMANDS_STRAY, "millrace_scheduler_commands_stray_total", COUNTER, "", S, \
	   "Of these, commands for a task or attempt that is not there any more.") \
	XX(EXPIRED, "millrace_scheduler_tasks_forgotten_total", COUNTER, "", S, \
	   "Finished tasks forgotten because --retention is over.") \
	XX(PROCESS_CPU, "process_cpu_seconds_total", CPU, "", WS, \
	   "CPU time of the process; in a worker that of its loop, without the processes that run activities.") \
	XX(PROCESS_START, "process_start_time_seconds", SECONDS, "", WS, \
	   "When that process started, in seconds since 1970.") \
	XX(PROCESS_VIRTUAL, "process_virtual_memory_bytes", GAUGE, "", WS, \
	   "Its virtual memory.") \
	XX(PROCESS_RESIDENT, "process_resident_memory_bytes", GAUGE, "", WS, \
	   "Its resident memory.") \
	XX(PROCESS_FDS, "process_open_fds", GAUGE, "", WS, \
	   "Its open file descriptors.") \
	XX(PROCESS_FDS_MAX, "process_max_fds", GAUGE, "", WS, \
	   "How many it may open.") \
	XX(SERIES_DROPPED, "millrace_metrics_series_dropped_total", COUNTER, "", WS, \
	   "Series that found no room and are not shown; 0 unless a worker has very many queues and activity types.")
/* clang-format on */

enum metric {
#define XX(id, name, type, labels, programs, help) METRIC_##id,
	METRICS_TABLE(XX)
#undef XX
		METRICS_COUNT
};

#endif
