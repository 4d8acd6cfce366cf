/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMER_EXECUTOR_RULES_H
#define CONSUMER_EXECUTOR_RULES_H

#include <stdbool.h>

/* Rules that hold for both kinds of isolation; each kind's test program runs them all. */

extern const bool rules_with_threads;

#define EXECUTOR_RULES(XX)                                                                                                       \
	XX(an_attempt_gets_its_input_and_its_result_comes_back)                                                                  \
	XX(a_failure_comes_back_with_all_its_parts)                                                                              \
	XX(an_activity_knows_all_about_its_attempt)                                                                              \
	XX(an_unknown_type_fails_with_not_found_and_the_list)                                                                    \
	XX(a_catch_all_gets_what_is_not_registered)                                                                              \
	XX(ten_thousand_attempts_run_exactly_once_each)                                                                          \
	XX(what_waits_is_taken_back_and_never_runs)                                                                              \
	XX(take_back_against_start_is_never_both)                                                                                \
	XX(large_inputs_and_outputs_go_through)                                                                                  \
	XX(a_result_above_the_limit_fails_the_attempt)                                                                           \
	XX(the_latest_heartbeat_is_told_and_kept)                                                                                \
	XX(of_many_heartbeats_only_those_that_were_asked_for_are_told)                                                           \
	XX(a_beat_after_a_quiet_time_is_told_where_that_was_asked_for)                                                           \
	XX(cancel_reaches_a_running_attempt_by_flag_and_fd)                                                                      \
	XX(cancel_before_the_start_is_seen_at_the_start)                                                                         \
	XX(kill_ends_an_attempt_and_its_slot_is_free_again)                                                                      \
	XX(room_and_idle_count_what_is_in_work)                                                                                  \
	XX(start_and_end_are_told_with_their_times)                                                                              \
	XX(a_wakeup_written_late_does_not_keep_the_loop_awake)                                                                   \
	XX(exec_activities_run_in_either_isolation)

#define XX(name) void name(void **state);
EXECUTOR_RULES(XX)
#undef XX

#endif
