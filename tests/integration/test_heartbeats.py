# SPDX-License-Identifier: Apache-2.0
"""Rows D2, D4, D5, D6 and C4: beats carry progress from attempt to attempt, and silence ends one."""

import json
import os
import signal

import pytest

from support.processes import is_running
from support.waiting import eventually

FAST = {"initial_interval_ms": 20, "backoff_coefficient": 1.0}
ONCE = {"maximum_attempts": 1}


@pytest.fixture(scope="module")
def started(shared_by_file):
    stack = shared_by_file.stack
    stack.setup(queues=["default", "narrow"])
    stack.scheduler()
    stack.scripted_worker(libs=["test_activities"], slots=32, grace="300ms")
    stack.scripted_worker(queues=["narrow"], libs=["test_activities"], slots=1, grace="300ms")
    shared_by_file.kafka.publish("default", task("warm-up", activity_type="noop"))
    shared_by_file.kafka.publish("narrow", task("warm-up-narrow", activity_type="noop"))
    shared_by_file.kafka.results().await_keys(["warm-up", "warm-up-narrow"])


@pytest.fixture(autouse=True)
def world(shared, started):
    return shared


def task(key, plan=None, activity_type="actor", **fields):
    return {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields}


def run(world, key, plan=None, queue="default", **fields):
    world.kafka.publish(queue, task(key, plan, **fields))
    return world.kafka.results().await_one(key)


def steps_in_journal(kafka, key):
    """The steps that the journal has been told of, oldest first: the first with the record that parks the attempt."""
    records = [record.fields() for record in kafka.read_all("journal") if record.value]
    told = [record.get("heartbeat_details") for record in records if record["task_key"] == key]
    return [json.loads(details)["step"] for details in told if details]


def test_the_next_attempt_goes_on_behind_the_last_beat_of_one_that_failed(world):
    result = run(world, "failed", {"steps": 10, "fail_at": 5}, retry_policy=FAST)
    assert (result["status"], result["result"]) == ("COMPLETED", {"first": 6, "attempt": 2})


def test_the_next_attempt_goes_on_behind_the_last_beat_of_one_whose_process_was_killed(world):
    """The C activity loses its executor, the program is killed itself."""
    for key, activity_type in [("executor-killed", "actor"), ("program-killed", "scripted")]:
        plan = {"steps": 10, "step_ms": 10, "hold_at": 5}
        world.kafka.publish("default", task(key, plan, activity_type=activity_type, retry_policy=FAST))
    for key in ("executor-killed", "program-killed"):
        os.kill(world.exec_log.await_event("held", key)["pid"], signal.SIGKILL)
    found = world.kafka.results().await_keys(["executor-killed", "program-killed"])
    assert found["executor-killed"][0]["result"] == {"first": 6, "attempt": 2}
    assert (found["program-killed"][0]["result"]["first"], found["program-killed"][0]["attempt"]) == (6, 2)


@pytest.mark.parametrize("on_cancel", ["canceled", "complete", "ignore"])
def test_silence_ends_an_attempt_with_its_last_details_whatever_it_does(world, on_cancel):
    key, after = f"silent-{on_cancel}", f"after-{on_cancel}"
    plan = {"steps": 3, "ms": 60000, "child": on_cancel == "ignore", "on_cancel": on_cancel}
    world.kafka.publish("narrow", task(key, plan, heartbeat_timeout_ms=1000, retry_policy=ONCE))
    world.exec_log.await_event("start", key)
    world.kafka.publish("narrow", task(after, activity_type="noop"))

    found = world.kafka.results().await_keys([key, after], limit_s=15)

    result = found[key][0]
    assert (result["status"], result["attempt"], result["retry_state"]) == ("TIMED_OUT", 1, "MAXIMUM_ATTEMPTS_REACHED")
    assert result["failure"]["timeout_type"] == "HEARTBEAT"
    assert result["last_heartbeat_details"] == {"step": 3}
    assert 1000 <= result["closed_at_ms"] - result["started_at_ms"] < 4000
    assert found[after][0]["status"] == "COMPLETED"
    if on_cancel == "ignore":
        assert_gone(world.exec_log, key)


def test_the_end_of_start_to_close_ends_an_attempt_and_leaves_nothing_behind(world):
    plan = {"steps": 1000, "step_ms": 20, "child": True, "on_cancel": "ignore"}
    fields = {"start_to_close_timeout_ms": 500, "heartbeat_timeout_ms": 400, "retry_policy": ONCE}
    world.kafka.publish("narrow", task("long", plan, **fields))
    world.exec_log.await_event("start", "long")
    world.kafka.publish("narrow", task("after-long", activity_type="noop"))

    found = world.kafka.results().await_keys(["long", "after-long"], limit_s=15)

    result = found["long"][0]
    assert (result["status"], result["failure"]["timeout_type"]) == ("TIMED_OUT", "START_TO_CLOSE")
    assert result["last_heartbeat_details"]["step"] >= 2
    assert found["after-long"][0]["status"] == "COMPLETED"
    assert_gone(world.exec_log, "long")


def assert_gone(exec_log, key):
    """The process and the child that it left in a session of its own."""
    pids = [line["pid"] for line in exec_log.lines() if line["key"] == key and line["event"] in ("start", "child")]
    assert len(pids) == 2
    eventually(lambda: not any(map(is_running, pids)), 5, f"the processes of {key} are gone")


@pytest.mark.parametrize("listed, attempts", [("Timeout:Heartbeat", 1), ("Timeout:StartToClose", 2)])
def test_a_heartbeat_timeout_is_tried_again_unless_its_name_is_listed(world, listed, attempts):
    policy = {**FAST, "maximum_attempts": 2, "non_retryable_error_types": [listed]}
    result = run(world, f"listed-{attempts}", {"ms": 60000}, heartbeat_timeout_ms=300, retry_policy=policy)
    state = "NON_RETRYABLE_FAILURE" if attempts == 1 else "MAXIMUM_ATTEMPTS_REACHED"
    assert (result["status"], result["retry_state"], result["attempt"]) == ("TIMED_OUT", state, attempts)
    assert result["failure"]["timeout_type"] == "HEARTBEAT"


def test_the_last_failure_is_the_cause_of_a_final_timeout(world):
    plan = {"steps": 2, "fail_at": 1, "ms": 60000}
    result = run(world, "cause", plan, heartbeat_timeout_ms=300, retry_policy={**FAST, "maximum_attempts": 2})
    assert (result["status"], result["attempt"], result["failure"]["timeout_type"]) == ("TIMED_OUT", 2, "HEARTBEAT")
    assert result["failure"]["cause"]["type"] == "Planned"
    assert result["last_heartbeat_details"] == {"step": 2}


def test_who_beats_in_time_is_left_alone(world):
    keys = [f"steady{number}" for number in range(8)]
    plan = {"steps": 30, "step_ms": 60}
    world.kafka.publish_all("default", [task(key, plan, heartbeat_timeout_ms=700) for key in keys])
    found = world.kafka.results().await_keys(keys)
    assert {results[0]["status"] for results in found.values()} == {"COMPLETED"}
    assert {results[0]["attempt"] for results in found.values()} == {1}


def test_thousands_of_beats_write_few_records_and_the_first_at_once(world):
    world.kafka.publish("default", task("eager", {"steps": 2000, "step_ms": 1}, heartbeat_timeout_ms=1000))
    result = world.kafka.results().await_one("eager")
    steps = steps_in_journal(world.kafka, "eager")
    assert result["status"] == "COMPLETED"
    assert 2 <= len(steps) <= 2 + (result["closed_at_ms"] - result["started_at_ms"]) / 700
    assert steps == sorted(set(steps)) and steps[0] < 300
