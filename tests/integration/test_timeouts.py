# SPDX-License-Identifier: Apache-2.0
"""Rows D1, D3, D4 and C6: the schedule timeouts, which need no worker, and what they leave of a task."""

import pytest

from support.codec import encode
from support.waiting import eventually, stays


@pytest.fixture(scope="module")
def started(shared_by_file):
    """Each test has a queue of its own, most without a worker."""
    shared_by_file.stack.setup(queues=["default", "second", "third"])
    shared_by_file.stack.scheduler()


@pytest.fixture(autouse=True)
def world(shared, started):
    return shared


@pytest.fixture
def kafka(shared):
    return shared.kafka


@pytest.fixture
def exec_log(shared):
    return shared.exec_log


def worker(world, queue):
    return world.stack.worker(queues=[queue], libs=["test_activities"], slots=8, grace="300ms")


def warm_worker(world, queue):
    """One that has run a task: the clocks of tasks do not run while it starts."""
    process = worker(world, queue)
    world.kafka.publish(queue, task(f"warm-{queue}"))
    world.kafka.results().await_one(f"warm-{queue}")
    return process


def task(key, plan=None, activity_type="actor", **fields):
    return {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields}


def await_settled(kafka, queue):
    """All records of the queue are committed."""

    def settled():
        committed = kafka.committed(kafka.topic(f"workers.{queue}"), f"tasks.{queue}")
        ends = {partition: end for partition, end in kafka.ends(f"tasks.{queue}").items() if end}
        assert committed.items() >= ends.items(), (committed, ends)
        return True

    eventually(settled, 20, "all records of the queue are settled", every_s=0.1)


def late_by_ms(result, timeout_ms):
    """By the log's own clock, which told when the task was scheduled."""
    return result.record.timestamp_ms - result["scheduled_at_ms"] - timeout_ms


def test_both_schedule_timeouts_fire_without_a_worker_and_the_task_never_runs(world, kafka, exec_log):
    start, close = {"schedule_to_start_timeout_ms": 1000}, {"schedule_to_close_timeout_ms": 1300}
    kafka.publish("default", {"activity_type": "actor", "schedule_to_close_timeout_ms": 1300})  # its key: its coordinates
    for number in range(4):
        kafka.publish("default", task(f"start{number}", **start))
        kafka.publish("default", task(f"close{number}", **close))
    kafka.publish("default", encode("task", {"activity_type": "actor", "activity_id": "avro", **start}))
    kafka.publish("default", task("both", retry_policy={"maximum_attempts": 9}, **start, **close))
    kafka.publish("default", task("delayed", start_delay_ms=500, **close))
    kafka.publish("default", task("patient", schedule_to_close_timeout_ms=60000))

    starts, closes = {*(f"start{number}" for number in range(4)), "avro", "both"}, {f"close{number}" for number in range(4)}
    kafka.results().await_keys({*starts, *closes, "delayed"}, limit_s=20)
    found = {result["task_key"]: result for result in kafka.results().await_count(12)}

    (unnamed,) = found.keys() - starts - closes - {"delayed"}
    for key, result in found.items():
        kind, limit = ("SCHEDULE_TO_START", 1000) if key in starts else ("SCHEDULE_TO_CLOSE", 1300)
        assert (result["status"], result["failure"]["timeout_type"]) == ("TIMED_OUT", kind), result
        assert (result["attempt"], result["retry_state"]) == (1, "TIMEOUT"), result
        assert "started_at_ms" not in result and "worker" not in result
        assert 0 <= late_by_ms(result, limit + 500 * (key == "delayed")) < 5000
    assert unnamed.startswith(kafka.topic("tasks.default"))
    assert found["avro"].record.value[:2] == b"\xc3\x01"

    worker(world, "default")
    assert kafka.results().await_one("patient")["status"] == "COMPLETED"
    await_settled(kafka, "default")
    assert exec_log.attempts("patient") == [1]
    assert [key for key in found if exec_log.attempts(key)] == []
    ids = {key: {result["result_id"] for result in kafka.results().of(key)} for key in [*found, "patient"]}
    assert {key: len(of_key) for key, of_key in ids.items() if len(of_key) != 1} == {}


def test_what_waits_for_its_next_attempt_times_out_without_a_worker_and_tells_the_last_failure(world, kafka, exec_log):
    """schedule-to-start counts from the dispatch of each attempt, schedule-to-close from the first."""
    policy = {"initial_interval_ms": 2000, "maximum_interval_ms": 2000}
    plan = {"fail_attempts": 9}
    only = warm_worker(world, "second")
    kafka.publish("second", task("start", plan, schedule_to_start_timeout_ms=1000, retry_policy=policy))
    kafka.publish("second", task("close", plan, schedule_to_close_timeout_ms=4000, retry_policy=policy))
    exec_log.await_event("end", "start")
    exec_log.await_event("end", "close")
    only.stop()

    found = kafka.results().await_keys(["start", "close"], limit_s=20)

    start, close = found["start"][0], found["close"][0]
    assert [(result["status"], result["attempt"]) for result in (start, close)] == [("TIMED_OUT", 2)] * 2
    assert start["failure"]["timeout_type"] == "SCHEDULE_TO_START" and close["failure"]["timeout_type"] == "SCHEDULE_TO_CLOSE"
    assert start["failure"]["cause"]["type"] == close["failure"]["cause"]["type"] == "Planned"
    assert late_by_ms(start, 3000) >= 0 and 0 <= late_by_ms(close, 4000) < 5000
    worker(world, "second")
    kafka.publish("second", task("last"))
    kafka.results().await_one("last")
    await_settled(kafka, "second")
    assert exec_log.attempts("start") == exec_log.attempts("close") == [1]


def test_a_running_attempt_is_bounded_by_start_to_close_and_the_rest_of_schedule_to_close(world, kafka, exec_log):
    """And a long run is no wait for its start."""
    warm_worker(world, "third")
    long = {"ms": 60000}
    twice = {"maximum_attempts": 2, "initial_interval_ms": 20, "backoff_coefficient": 1.0}
    kafka.publish("third", task("all", long, schedule_to_close_timeout_ms=1200, start_to_close_timeout_ms=30000))
    kafka.publish("third", task("each", long, schedule_to_close_timeout_ms=30000, start_to_close_timeout_ms=300,
                                retry_policy=twice))  # fmt: skip
    kafka.publish("third", task("started", {"ms": 2000}, schedule_to_start_timeout_ms=1000))

    found = kafka.results().await_keys(["all", "each", "started"])

    closed, each, started = (found[key][0] for key in ("all", "each", "started"))
    assert (closed["status"], closed["failure"]["timeout_type"]) == ("TIMED_OUT", "SCHEDULE_TO_CLOSE")
    assert (closed["attempt"], closed["retry_state"]) == (1, "TIMEOUT")
    assert 0 <= late_by_ms(closed, 1200) < 3000
    assert (each["status"], each["attempt"], each["failure"]["timeout_type"]) == ("TIMED_OUT", 2, "START_TO_CLOSE")
    assert (started["status"], started["attempt"]) == ("COMPLETED", 1)
    stays(lambda: all(len(kafka.results().of(key)) == 1 for key in found), 0.3, "one result of each")
