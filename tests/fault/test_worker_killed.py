# SPDX-License-Identifier: Apache-2.0
"""Workers that are killed: what was running costs one attempt, what only waited costs nothing."""

import os
import signal
import time

import pytest

from support.processes import children_of
from support.waiting import eventually

RUNNING = [f"r{number}" for number in range(8)]
QUEUED = [f"q{number}" for number in range(200)]


def task(activity_id, sleep_ms, **policy):
    value = {"activity_type": "scripted", "activity_id": activity_id, "input": {"sleep_ms": sleep_ms}}
    return {**value, "retry_policy": policy} if policy else value


def start_8_and_queue_200(kafka, stack, exec_log, **policy):
    """A worker that runs 8 tasks while 200 wait behind them; returns it."""
    stack.setup()
    stack.scheduler()
    worker = stack.scripted_worker(slots=8)
    kafka.publish_all("default", [task(key, 4000, **policy) for key in RUNNING])
    exec_log.await_starts(8)
    kafka.publish_all("default", [task(key, 5, **policy) for key in QUEUED])
    return worker


def attempts_by_key(exec_log):
    return {key: exec_log.attempts(key) for key in [*RUNNING, *QUEUED]}


def kill_loop(worker):
    """SIGKILL to the process that owns Kafka and Redis, below the supervisor; returns its pid."""
    loop = max(children_of([worker.pid], levels=1), key=threads_of)
    os.kill(loop, signal.SIGKILL)
    return loop


def threads_of(pid):
    """librdkafka's threads tell the loop from executors and keepers."""
    return len(os.listdir(f"/proc/{pid}/task"))


def test_another_worker_ends_all_and_runs_at_most_the_8_again(kafka, stack, exec_log):
    first = start_8_and_queue_200(kafka, stack, exec_log)
    first.kill_tree9()
    stack.scripted_worker(slots=8)
    found = kafka.results().await_keys([*RUNNING, *QUEUED], limit_s=50)
    attempts = attempts_by_key(exec_log)
    assert {key: attempts[key] for key in QUEUED if attempts[key] != [1]} == {}
    assert all(attempts[key] == [1, 2] for key in RUNNING), {key: attempts[key] for key in RUNNING}
    assert {results[0]["status"] for results in found.values()} == {"COMPLETED"}
    assert {key: found[key][0]["attempt"] for key in RUNNING} == dict.fromkeys(RUNNING, 2)


def test_with_one_attempt_the_8_are_lost_and_the_200_complete(kafka, stack, exec_log):
    first = start_8_and_queue_200(kafka, stack, exec_log, maximum_attempts=1)
    first.kill_tree9()
    stack.scripted_worker(slots=8)
    found = kafka.results().await_keys([*RUNNING, *QUEUED], limit_s=50)
    exec_log.assert_each_key_started_once([*RUNNING, *QUEUED])
    assert {found[key][0]["status"] for key in QUEUED} == {"COMPLETED"}
    assert {(found[key][0]["status"], found[key][0]["failure"]["type"]) for key in RUNNING} == {("FAILED", "WorkerLost")}


@pytest.mark.parametrize("maximum_attempts", [0, 1])
def test_the_supervisor_starts_a_killed_loop_again(kafka, stack, exec_log, maximum_attempts):
    worker = start_8_and_queue_200(kafka, stack, exec_log, maximum_attempts=maximum_attempts)
    loop = kill_loop(worker)
    found = kafka.results().await_keys([*RUNNING, *QUEUED], limit_s=50)
    assert worker.alive and loop not in children_of([worker.pid], levels=1)
    attempts = attempts_by_key(exec_log)
    exec_log.assert_no_attempt_started_twice()
    assert {key: attempts[key] for key in QUEUED if attempts[key] != [1]} == {}
    assert {found[key][0]["status"] for key in QUEUED} == {"COMPLETED"}
    if maximum_attempts == 1:
        exec_log.assert_each_key_started_once([*RUNNING, *QUEUED])
    else:
        assert {results[0]["status"] for results in found.values()} == {"COMPLETED"}


def test_the_tree_below_a_killed_loop_ends_before_its_tasks_run_again(kafka, stack, exec_log):
    worker = start_8_and_queue_200(kafka, stack, exec_log)
    before = {key: exec_log.pids(key)[0] for key in RUNNING}
    kill_loop(worker)
    kafka.results().await_keys([*RUNNING, *QUEUED], limit_s=50)
    again = [key for key in RUNNING if len(exec_log.attempts(key)) > 1]
    ended = {line["pid"] for line in exec_log.lines("end")}
    assert [key for key in again if before[key] in ended] == [], "an attempt given up went on to its end beside the next one"
    eventually(lambda: not set(exec_log.running()) - {(key, 1) for key in again}, 5, "nothing else is left running")


def test_what_a_killed_loop_had_parked_begins_again_within_a_second(kafka, stack, exec_log):
    """Its supervisor lives, and tells Redis; neither a heartbeat nor a lease has to run out."""
    stack.setup()
    stack.scheduler()
    worker = stack.worker(libs=["test_activities"], slots=4, park_after="200ms")
    keys = ["p1", "p2", "p3"]
    kafka.publish_all("default", [{"activity_type": "actor", "activity_id": key, "input": {"ms": 60000}} for key in keys])
    exec_log.await_starts(3)
    eventually(lambda: len(kafka.read_all("journal")) == 3, 10, "all are parked")
    killed_at_ms = time.time() * 1000
    kill_loop(worker)
    exec_log.await_starts(6)
    again = [line["at_ms"] - killed_at_ms for line in exec_log.lines("start") if line["attempt"] == 2]
    assert len(again) == 3 and max(again) <= 1000, again
    exec_log.assert_no_attempt_started_twice()
    for key in keys:
        kafka.control("TERMINATE", key)
    kafka.results().await_keys(keys)
