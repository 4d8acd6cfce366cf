# SPDX-License-Identifier: Apache-2.0
"""Row E1: a cancel reaches whatever state the task is in, without a heartbeat, and no attempt follows it."""

import pytest

from support.waiting import eventually, stays

SLOW_RETRY = {"initial_interval_ms": 60000}


@pytest.fixture(scope="module")
def started(shared_by_file):
    stack = shared_by_file.stack
    stack.setup(queues=["default", "narrow", "threads", "nobody"])
    stack.scheduler()
    stack.scripted_worker(libs=["test_activities"], slots=32, grace="500ms")
    stack.worker(queues=["narrow"], libs=["test_activities"], slots=1, grace="500ms")
    stack.worker(queues=["threads"], libs=["test_activities"], isolation="thread")
    shared_by_file.kafka.publish("default", task("warm-up", activity_type="noop"))
    shared_by_file.kafka.publish("narrow", task("warm-up-narrow", activity_type="noop"))
    shared_by_file.kafka.results().await_keys(["warm-up", "warm-up-narrow"])


@pytest.fixture(autouse=True)
def world(shared, started):
    return shared


def task(key, plan=None, activity_type="actor", **fields):
    return {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields}


def cancel_running(world, plans, activity_type="actor", queue="default"):
    """Runs {key: plan}, cancels all once they run, and returns {key: its result}."""
    world.kafka.publish_all(queue, [task(key, plan, activity_type) for key, plan in plans.items()])
    for key in plans:
        world.exec_log.await_event("start", key)
    for key in plans:
        world.kafka.control("CANCEL", key, request_id=f"{key}-1", reason="not needed")
    return {key: results[0] for key, results in world.kafka.results().await_keys(plans, limit_s=15).items()}


def assert_canceled(result, attempt=1):
    assert (result["status"], result["attempt"]) == ("CANCELED", attempt), result


def test_a_running_activity_that_never_beats_is_told_at_once_and_says_how_it_ends(world):
    plans = {f"run-{end}": {"ms": 60000, "on_cancel": end} for end in ("canceled", "complete", "fail", "ignore")}
    plans["run-beats"] = {"steps": 4, "ms": 60000}
    found = cancel_running(world, plans)

    assert_canceled(found["run-canceled"])
    assert_canceled(found["run-ignore"])  # killed after the grace period
    assert (found["run-complete"]["status"], found["run-complete"]["result"]) == ("COMPLETED", "told")
    failed = found["run-fail"]
    assert (failed["status"], failed["failure"]["type"], failed["attempt"]) == ("FAILED", "Told", 1)
    assert failed["retry_state"] == "CANCEL_REQUESTED"
    assert_canceled(found["run-beats"])
    assert found["run-beats"]["last_heartbeat_details"] == {"step": 4}
    sent = {record.key.decode(): record.timestamp_ms for record in world.kafka.read_all("control")}
    for key in plans:
        assert world.exec_log.await_event("told_cancel", key)["at_ms"] - sent[key] < 2000
    stays(lambda: all(world.exec_log.attempts(key) == [1] for key in plans), 0.3, "no attempt follows")


def test_a_thread_is_told_at_once(world):
    found = cancel_running(world, {"thread": {"ms": 60000}, "thread-2": {"ms": 60000, "on_cancel": "complete"}}, queue="threads")
    assert_canceled(found["thread"])
    assert found["thread-2"]["status"] == "COMPLETED"


def test_a_program_is_told_by_sigterm_and_its_exit_status_says_how_it_ends(world):
    plans = {f"exec-{status}": {"sleep_ms": 60000, "on_term": status} for status in (0, 100, 7)}
    plans["exec-killed"] = {"sleep_ms": 60000, "ignore_term": True, "child": "session"}
    plans["exec-default"] = {"sleep_ms": 60000}
    found = cancel_running(world, plans, "scripted")
    assert found["exec-0"]["status"] == "COMPLETED"
    assert (found["exec-100"]["status"], found["exec-100"]["failure"]["type"]) == ("FAILED", "ExitStatus")
    for key in ("exec-7", "exec-killed", "exec-default"):
        assert_canceled(found[key])


def test_a_cancel_between_two_attempts_ends_the_task_at_once(world):
    world.kafka.publish("default", task("backoff", {"fail_attempts": 9}, retry_policy=SLOW_RETRY))
    world.exec_log.await_event("end", "backoff")
    world.kafka.control("CANCEL", "backoff", reason="enough")
    result = world.kafka.results().await_one("backoff", limit_s=10)
    assert result["status"] == "CANCELED"
    assert world.exec_log.attempts("backoff") == [1]


def test_what_has_not_started_is_canceled_at_once_and_never_runs(world):
    """It waits for a slot, for its start delay, or has not even been published."""
    world.kafka.publish("narrow", task("blocker", {"ms": 60000}))
    world.exec_log.await_event("start", "blocker")
    world.kafka.publish("narrow", task("behind"))
    world.kafka.publish("default", task("delayed", start_delay_ms=60000))
    world.kafka.control("CANCEL", "before")
    world.kafka.control("CANCEL", "delayed")
    world.kafka.control("CANCEL", "behind")
    found = world.kafka.results().await_keys(["behind", "delayed"], limit_s=10)
    world.kafka.publish("default", task("before"))
    found.update(world.kafka.results().await_keys(["before"], limit_s=10))
    world.kafka.control("CANCEL", "blocker")
    assert_canceled(world.kafka.results().await_one("blocker"))
    for key in ("behind", "delayed", "before"):
        assert_canceled(found[key][0])
        assert "started_at_ms" not in found[key][0]
        assert world.exec_log.attempts(key) == []


def test_what_waits_while_no_worker_lives_is_canceled_at_once(world):
    world.kafka.publish("nobody", task("alone"))
    world.kafka.control("CANCEL", "alone")
    assert_canceled(world.kafka.results().await_one("alone", limit_s=10))


def test_a_cancel_of_what_has_ended_changes_nothing(world):
    world.kafka.publish("default", task("ended", activity_type="noop"))
    result = world.kafka.results().await_one("ended")
    world.kafka.control("CANCEL", "ended")
    world.kafka.publish("default", task("ended", activity_type="noop"))  # its answer is the stored result
    eventually(lambda: len(world.kafka.results().of("ended")) == 2, 10, "the second publication is answered")
    assert {each["result_id"] for each in world.kafka.results().of("ended")} == {result["result_id"]}
    assert result["status"] == "COMPLETED"
