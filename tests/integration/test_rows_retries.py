# SPDX-License-Identifier: Apache-2.0
"""Rows C1 to C7, D2 for start-to-close, and B7: when there is a next attempt, when it comes, and how a task ends without one."""

import json

import pytest

from support.waiting import eventually

FAST = {"initial_interval_ms": 20, "backoff_coefficient": 1.0}


@pytest.fixture
def ready(stack, exec_log):
    stack.setup()
    stack.scheduler()
    return stack


@pytest.fixture
def running(ready, kafka):
    """With a worker that has run a task: clocks of tasks do not run while programs start."""
    ready.scripted_worker(libs=["test_activities"], grace="300ms")
    run(kafka, "warm-up")
    return ready


def task(key, plan=None, activity_type="scripted", **fields):
    return {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields}


def run(kafka, key, plan=None, limit_s=30, **fields):
    kafka.publish("default", task(key, plan, **fields))
    return kafka.results().await_one(key, limit_s)


def ending(result):
    return result["status"], result["retry_state"], result["attempt"]


def describe(stack, key):
    answer = stack.cli("describe", key, check=False, json=True)
    assert answer.rc == 0, answer.stderr
    return json.loads(answer.stdout)


# C1


@pytest.mark.parametrize(
    "policy, field",
    [
        ({"initial_interval_ms": -1}, "initial_interval_ms"),
        ({"backoff_coefficient": 0.5}, "backoff_coefficient"),
        ({"initial_interval_ms": 1000, "maximum_interval_ms": 999}, "maximum_interval_ms"),
        ({"maximum_attempts": -1}, "maximum_attempts"),
        ({"non_retryable_error_types": ["Timeout:Nonsense"]}, "non_retryable_error_types"),
        ({"max_attempts": 1}, "maximum_attempts"),
    ],
)
def test_a_wrong_policy_is_answered_with_the_name_of_the_field(kafka, running, policy, field):
    result = run(kafka, "k", retry_policy=policy)
    assert (result["status"], result["failure"]["type"]) == ("FAILED", "BadTask")
    assert field in result["failure"]["message"]
    assert field in kafka.await_dead(1)[0].header("millrace-reason")


# C2


def test_the_interval_grows_up_to_its_maximum(kafka, running, exec_log):
    policy = {"initial_interval_ms": 100, "backoff_coefficient": 3.0, "maximum_interval_ms": 400}
    assert run(kafka, "k", {"fail_attempts": 4}, retry_policy=policy)["attempt"] == 5
    for gap, expected in zip(exec_log.gaps_ms("k"), [100, 300, 400, 400], strict=True):
        assert expected <= gap < expected + 400


# C3


def test_a_failure_that_names_its_own_delay_is_tried_again_after_that_whatever_the_maximum(kafka, running, tmp_path):
    plan = {"file": str(tmp_path / "calls"), "times": 1, "delay_ms": 1500}
    policy = {"initial_interval_ms": 10, "maximum_interval_ms": 20}
    result = run(kafka, "k", plan, activity_type="fail_n_times", retry_policy=policy)
    assert (result["status"], result["attempt"]) == ("COMPLETED", 2)
    assert 1500 <= result["started_at_ms"] - result["scheduled_at_ms"] < 3000


def test_its_own_delay_does_not_outlast_attempts_or_schedule_to_close(kafka, running, tmp_path):
    for key, fields, state in [
        ("attempts", {"retry_policy": {"maximum_attempts": 1}}, "MAXIMUM_ATTEMPTS_REACHED"),
        ("time", {"schedule_to_close_timeout_ms": 5000}, "TIMEOUT"),
    ]:
        plan = {"file": str(tmp_path / key), "times": 9, "delay_ms": 60000}
        assert ending(run(kafka, key, plan, activity_type="fail_n_times", **fields)) == ("FAILED", state, 1)


# C4


@pytest.mark.parametrize("listed, attempts", [("Refused", 1), ("refused", 2), ("Refus", 2)])
def test_a_type_that_is_listed_exactly_is_not_tried_again(kafka, running, listed, attempts):
    policy = {**FAST, "maximum_attempts": 2, "non_retryable_error_types": [listed]}
    result = run(kafka, "k", {"type": "Refused"}, activity_type="fail", retry_policy=policy)
    state = "NON_RETRYABLE_FAILURE" if attempts == 1 else "MAXIMUM_ATTEMPTS_REACHED"
    assert ending(result) == ("FAILED", state, attempts)


@pytest.mark.parametrize("listed, attempts", [("Timeout:StartToClose", 1), ("Timeout:Heartbeat", 2)])
def test_a_start_to_close_timeout_is_tried_again_unless_its_name_is_listed(kafka, running, listed, attempts):
    policy = {**FAST, "maximum_attempts": 2, "non_retryable_error_types": [listed]}
    result = run(kafka, "k", {"sleep_ms": 60000}, start_to_close_timeout_ms=200, retry_policy=policy)
    state = "NON_RETRYABLE_FAILURE" if attempts == 1 else "MAXIMUM_ATTEMPTS_REACHED"
    assert ending(result) == ("TIMED_OUT", state, attempts)
    assert result["failure"]["timeout_type"] == "START_TO_CLOSE"


# C5


def test_a_completed_task_has_no_retry_state_and_no_failure(kafka, running):
    result = run(kafka, "k", {"fail_attempts": 1}, retry_policy=FAST)
    assert (result["status"], result["attempt"]) == ("COMPLETED", 2)
    assert "retry_state" not in result and "failure" not in result


# C6


def test_a_failure_without_time_for_the_next_attempt_ends_failed_now(kafka, running):
    result = run(kafka, "k", {"fail_attempts": 9, "message": "no"}, schedule_to_close_timeout_ms=3000,
                 retry_policy={"initial_interval_ms": 10000})  # fmt: skip
    assert ending(result) == ("FAILED", "TIMEOUT", 1)
    assert (result["failure"]["type"], result["failure"]["message"]) == ("ExitStatus", "no")
    assert result["closed_at_ms"] - result["scheduled_at_ms"] < 3000


def test_a_timeout_without_time_for_the_next_attempt_ends_by_schedule_to_close_with_its_cause(kafka, running):
    result = run(kafka, "k", {"sleep_ms": 60000}, start_to_close_timeout_ms=300, schedule_to_close_timeout_ms=5000,
                 retry_policy={"initial_interval_ms": 10000})  # fmt: skip
    assert ending(result) == ("TIMED_OUT", "TIMEOUT", 1)
    assert result["failure"]["timeout_type"] == "SCHEDULE_TO_CLOSE"
    assert result["failure"]["cause"]["timeout_type"] == "START_TO_CLOSE"
    assert result["closed_at_ms"] - result["scheduled_at_ms"] < 5000


def test_an_attempt_gets_no_more_time_than_is_left_of_schedule_to_close(kafka, running, exec_log):
    plan = {"fail_attempts": 1, "sleep_ms": 1000, "message": "first"}
    result = run(kafka, "k", plan, schedule_to_close_timeout_ms=1800, start_to_close_timeout_ms=60000,
                 retry_policy={"initial_interval_ms": 200})  # fmt: skip
    assert ending(result) == ("TIMED_OUT", "TIMEOUT", 2)
    assert result["failure"]["timeout_type"] == "SCHEDULE_TO_CLOSE"
    assert (result["failure"]["cause"]["type"], result["failure"]["cause"]["message"]) == ("ExitStatus", "first")
    assert 1800 <= result["closed_at_ms"] - result["scheduled_at_ms"] < 3500
    assert exec_log.attempts("k") == [1, 2]


def test_a_task_that_was_too_long_in_the_queue_ends_without_a_start(kafka, ready, exec_log):
    kafka.publish("default", task("k", schedule_to_close_timeout_ms=1))
    ready.scripted_worker()
    result = kafka.results().await_one("k")
    assert ending(result) == ("TIMED_OUT", "TIMEOUT", 1)
    assert "started_at_ms" not in result
    assert "not started within" in result["failure"]["message"]
    assert exec_log.attempts("k") == []


# C7


def test_lost_attempts_count_are_called_worker_lost_and_stay_in_the_history(kafka, ready, exec_log):
    first = ready.scripted_worker()
    kafka.publish("default", task("k", {"sleep_ms": 60000}, retry_policy={"maximum_attempts": 3}))
    kafka.publish("default", task("last", {"sleep_ms": 60000}, retry_policy={"maximum_attempts": 1}))
    exec_log.await_starts(2)
    first.kill_tree9()
    ready.scripted_worker()
    lost = kafka.results().await_one("last")
    assert ending(lost) == ("FAILED", "MAXIMUM_ATTEMPTS_REACHED", 1)
    assert lost["failure"]["type"] == "WorkerLost"
    eventually(lambda: exec_log.attempts("k") == [1, 2], 20, "the next attempt runs")


def test_what_fails_after_a_lost_attempt_remembers_the_loss(kafka, ready, exec_log, tmp_path):
    program = tmp_path / "wait"
    program.write_text(f'#!/bin/sh\n[ "$MILLRACE_ATTEMPT" = 1 ] || exit 7\n: > {tmp_path}/started\nexec sleep 60\n')
    program.chmod(0o755)
    first = ready.worker(execs={"wait": program})
    kafka.publish("default", task("k", activity_type="wait", retry_policy={"initial_interval_ms": 60000}))
    eventually((tmp_path / "started").exists, 15, "it runs")
    first.kill_tree9()
    ready.worker(execs={"wait": program})

    failures = eventually(lambda: describe(ready, "k").get("failures"), 20, "the second attempt has failed")

    assert [(failure["attempt"], failure["type"]) for failure in failures] == [(1, "WorkerLost"), (2, "ExitStatus")]


# D2


def test_the_slot_of_an_attempt_that_timed_out_is_free_again(kafka, ready, exec_log):
    ready.scripted_worker(slots=1, grace="300ms")
    late = run(kafka, "k", {"sleep_ms": 60000, "ignore_term": True}, start_to_close_timeout_ms=400,
               retry_policy={"maximum_attempts": 1})  # fmt: skip
    assert (late["status"], late["failure"]["timeout_type"]) == ("TIMED_OUT", "START_TO_CLOSE")
    assert 400 <= late["closed_at_ms"] - late["started_at_ms"] < 2500
    assert run(kafka, "next")["status"] == "COMPLETED"


# B7


def test_a_start_delay_holds_the_first_attempt_back_and_not_the_next_ones(kafka, running, exec_log):
    result = run(kafka, "k", {"fail_attempts": 1}, start_delay_ms=1500, schedule_to_close_timeout_ms=1400, retry_policy=FAST)
    assert (result["status"], result["attempt"]) == ("COMPLETED", 2)
    (gap,) = exec_log.gaps_ms("k")
    assert exec_log.started_at_ms("k")[0] - result["scheduled_at_ms"] >= 1500
    assert gap < 1000


def test_a_start_delay_outlives_every_program_and_two_copies_run_once(kafka, stack, exec_log):
    stack.setup()
    scheduler = stack.scheduler()
    worker = stack.scripted_worker()
    for partition in (0, 1):
        kafka.publish("default", task("k", start_delay_ms=4000), partition=partition)
    committed = lambda: sum(kafka.committed(kafka.topic("workers.default"), "tasks.default").values())  # noqa: E731
    eventually(lambda: committed() == 2, 20, "both are settled")
    worker.stop()
    scheduler.kill9()
    assert exec_log.attempts("k") == []
    stack.scheduler()
    stack.scripted_worker()

    result = kafka.results().await_one("k")

    assert (result["status"], exec_log.attempts("k")) == ("COMPLETED", [1])
    assert exec_log.started_at_ms("k")[0] - result["scheduled_at_ms"] >= 4000
