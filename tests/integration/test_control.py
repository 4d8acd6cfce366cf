# SPDX-License-Identifier: Apache-2.0
"""Rows E3 and E4: commands about one task, and asynchronous completion, from any Kafka client."""

import pytest

from support.processes import is_running
from support.waiting import eventually, stays

SOON = {"initial_interval_ms": 300, "backoff_coefficient": 1.0}
LATER = {"initial_interval_ms": 60000}


@pytest.fixture(scope="module")
def started(shared_by_file):
    stack = shared_by_file.stack
    stack.setup()
    stack.scheduler()
    stack.worker(libs=["test_activities"], slots=32, grace="5s")
    shared_by_file.kafka.publish("default", task("warm-up", activity_type="noop"))
    shared_by_file.kafka.results().await_one("warm-up")


@pytest.fixture(autouse=True)
def world(shared, started):
    return shared


def task(key, plan=None, activity_type="actor", **fields):
    return {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields}


def start(world, key, plan=None, event="start", **fields):
    """Publishes a task and waits until its activity logs the event."""
    world.kafka.publish("default", task(key, plan, **fields))
    return world.exec_log.await_event(event, key)


def never_starts_again(world, keys, for_s):
    before = {key: world.exec_log.attempts(key) for key in keys}
    stays(lambda: {key: world.exec_log.attempts(key) for key in keys} == before, for_s, "no attempt starts")


def await_attempts(world, key, attempts, limit_s=10):
    def started_so():
        assert world.exec_log.attempts(key) == attempts, world.exec_log.attempts(key)
        return True

    eventually(started_so, limit_s, f"attempts {attempts} of {key}")


# E3: pause and unpause


def test_a_paused_task_starts_no_attempt_until_it_goes_on(world):
    """Paused before it is known, during its start delay, between two attempts, and while it runs."""
    kafka = world.kafka
    kafka.control("PAUSE", "p-before")
    kafka.publish("default", task("p-delayed", start_delay_ms=900))
    start(world, "p-backoff", {"fail_attempts": 1}, "end", retry_policy={**SOON, "initial_interval_ms": 900})
    start(world, "p-fails", {"ms": 60000, "on_cancel": "canceled"}, retry_policy=SOON)
    start(world, "p-completes", {"ms": 1000, "on_cancel": "ignore"})
    for key in ("p-delayed", "p-backoff", "p-fails", "p-completes"):
        kafka.control("PAUSE", key, reason="wait")
    world.exec_log.await_event("told_pause", "p-fails")
    world.exec_log.await_event("told_pause", "p-completes")
    kafka.publish("default", task("p-before"))
    paused = ["p-before", "p-delayed", "p-backoff", "p-fails"]

    never_starts_again(world, paused, 2.0)
    assert not kafka.results().by_key().keys() & set(paused)
    for key in paused:
        kafka.control("UNPAUSE", key)
    await_attempts(world, "p-fails", [1, 2])
    kafka.control("TERMINATE", "p-fails")
    found = kafka.results().await_keys([*paused, "p-completes"], limit_s=15)

    assert {key: (results[0]["status"], results[0]["attempt"]) for key, results in found.items()} == {
        "p-before": ("COMPLETED", 1),
        "p-delayed": ("COMPLETED", 1),
        "p-backoff": ("COMPLETED", 2),
        "p-fails": ("TERMINATED", 2),
        "p-completes": ("COMPLETED", 1),
    }


def test_an_unpaused_backoff_still_waits_for_its_due_time(world):
    start(world, "p-due", {"fail_attempts": 1}, "end", retry_policy={"initial_interval_ms": 1500})
    world.kafka.control("PAUSE", "p-due")
    world.kafka.control("UNPAUSE", "p-due")
    assert world.kafka.results().await_one("p-due", limit_s=10)["attempt"] == 2
    assert world.exec_log.gaps_ms("p-due")[0] >= 1500


def test_a_repeated_request_does_nothing(world):
    start(world, "twice", {"fail_attempts": 1}, "end", retry_policy=LATER)
    world.kafka.control("PAUSE", "twice", request_id="a")
    world.kafka.control("UNPAUSE", "twice", request_id="b")
    world.kafka.control("RESET", "twice", request_id="c")
    await_attempts(world, "twice", [1, 1])
    world.kafka.control("PAUSE", "twice", request_id="a")
    world.kafka.control("RESET", "twice", request_id="c")
    never_starts_again(world, ["twice"], 0.7)
    world.kafka.control("RESET", "twice", request_id="d")
    await_attempts(world, "twice", [1, 1, 1])
    world.kafka.control("TERMINATE", "twice", request_id="e")
    assert world.kafka.results().await_one("twice")["status"] == "TERMINATED"


# E3: reset


def test_a_reset_begins_again_with_attempt_1_at_once(world):
    """Between two attempts, and while one runs, which is told; how long the first one waited does not matter."""
    policy = {"initial_interval_ms": 20, "backoff_coefficient": 1000.0, "maximum_interval_ms": 60000}
    start(world, "r-backoff", {"fail_attempts": 2}, retry_policy=policy)
    await_attempts(world, "r-backoff", [1, 2])
    start(world, "r-running", {"steps": 3, "ms": 60000})
    world.kafka.control("RESET", "r-running")
    world.exec_log.await_event("told_reset", "r-running")
    await_attempts(world, "r-running", [1, 1])
    eventually(lambda: not world.exec_log.running()[("r-backoff", 2)], 5, "attempt 2 has failed")
    world.kafka.control("RESET", "r-backoff")
    await_attempts(world, "r-backoff", [1, 2, 1, 2])
    for key in ("r-backoff", "r-running"):
        world.kafka.control("CANCEL", key)
    found = world.kafka.results().await_keys(["r-backoff", "r-running"], limit_s=10)
    assert {results[0]["status"] for results in found.values()} == {"CANCELED"}


def test_an_attempt_that_completes_in_spite_of_a_reset_has_completed(world):
    start(world, "r-completes", {"ms": 800, "on_cancel": "ignore"})
    world.kafka.control("RESET", "r-completes")
    world.exec_log.await_event("told_reset", "r-completes")
    result = world.kafka.results().await_one("r-completes")
    assert (result["status"], world.exec_log.attempts("r-completes")) == ("COMPLETED", [1])


# E3: terminate


def test_a_terminated_task_ends_at_once_and_its_process_goes(world):
    pid = start(world, "t-running", {"ms": 60000, "on_cancel": "ignore"})["pid"]
    start(world, "t-parked", {"steps": 2, "step_ms": 700, "ms": 60000}, "start")
    start(world, "t-backoff", {"fail_attempts": 1}, "end", retry_policy=LATER)
    world.kafka.publish("default", task("t-delayed", start_delay_ms=60000))
    keys = ["t-running", "t-parked", "t-backoff", "t-delayed"]
    for key in keys:
        world.kafka.control("TERMINATE", key, reason="no more")
    found = world.kafka.results().await_keys(keys, limit_s=10)
    assert {key: results[0]["status"] for key, results in found.items()} == dict.fromkeys(keys, "TERMINATED")
    eventually(lambda: not is_running(pid), 5, "the process of t-running is gone")
    never_starts_again(world, keys, 0.3)
    assert {key: len({each["result_id"] for each in world.kafka.results().of(key)}) for key in keys} == dict.fromkeys(keys, 1)


# E3: update


def test_updated_options_hold_from_the_next_attempt_on(world):
    start(world, "u", {"fail_attempts": 1, "ms": 0}, "end", retry_policy={"initial_interval_ms": 1500})
    start(world, "u-last", {"fail_attempts": 9}, "end", retry_policy={"initial_interval_ms": 1000})
    world.kafka.control("UPDATE", "u", options={"start_to_close_timeout_ms": 4321})
    world.kafka.control("UPDATE", "u-last", options={"retry_policy": {"maximum_attempts": 2}})
    found = world.kafka.results().await_keys(["u", "u-last"], limit_s=10)
    assert (found["u"][0]["status"], found["u"][0]["attempt"]) == ("COMPLETED", 2)
    last = found["u-last"][0]
    assert (last["status"], last["attempt"], last["retry_state"]) == ("FAILED", 2, "MAXIMUM_ATTEMPTS_REACHED")


def test_a_shorter_schedule_to_close_ends_the_attempt_that_runs(world):
    start(world, "u-runs", {"ms": 60000})
    start(world, "u-parked", {"steps": 1, "ms": 60000})
    for key in ("u-runs", "u-parked"):
        world.kafka.control("UPDATE", key, options={"schedule_to_close_timeout_ms": 1500})
    for key, results in world.kafka.results().await_keys(["u-runs", "u-parked"], limit_s=10).items():
        assert (results[0]["status"], results[0]["failure"]["timeout_type"]) == ("TIMED_OUT", "SCHEDULE_TO_CLOSE")
        assert results[0]["closed_at_ms"] >= results[0]["scheduled_at_ms"] + 1500
        assert world.exec_log.await_event("told_timeout", key)["attempt"] == 1


def test_a_command_for_another_run_does_nothing(world):
    again = {"id_reuse_policy": "ALLOW_DUPLICATE"}
    start(world, "runs", run_id="first", **again)
    world.kafka.results().await_one("runs")
    world.kafka.publish("default", task("runs", {"ms": 1500}, run_id="second", **again))
    await_attempts(world, "runs", [1, 1])
    for command in ("CANCEL", "TERMINATE", "RESET", "PAUSE"):
        world.kafka.control(command, "runs", run_id="first", request_id=f"old-{command}")
    eventually(lambda: len(world.kafka.results().of("runs")) == 2, 10, "the second run has ended")
    runs = [(run["run_id"], run["status"]) for run in world.kafka.results().of("runs")]
    assert runs == [("first", "COMPLETED"), ("second", "COMPLETED")]
    assert world.exec_log.attempts("runs") == [1, 1]
    assert not [line for line in world.exec_log.lines() if line["key"] == "runs" and line["event"].startswith("told")]


# E4


@pytest.fixture
def pend(world, tmp_path):
    """Publishes tasks whose activities return pending; returns {key: token}."""

    def begin(*keys, **fields):
        for key in keys:
            world.kafka.publish("default", task(key, {"token_file": str(tmp_path / key), "steps": 1}, **fields))
        for key in keys:
            world.exec_log.await_event("pending", key)
        return {key: (tmp_path / key).read_text() for key in keys}

    return begin


def test_a_pending_attempt_is_completed_or_failed_by_key_or_by_token(world, pend):
    once = {"retry_policy": {"maximum_attempts": 1}}
    keys = ["a-key", "a-token", "a-fail", "a-cancel"]
    tokens = pend(*keys, **once)
    stays(lambda: not world.kafka.results().by_key().keys() & set(keys), 0.3, "nobody ends them")
    world.kafka.control("COMPLETE", "a-token", result="no", token=tokens["a-key"])  # of another attempt
    world.kafka.control("COMPLETE", "a-key", result={"paid": 7})
    world.kafka.control("COMPLETE", "a-token", result=[1], token=tokens["a-token"])
    world.kafka.control("FAIL", "a-fail", failure={"type": "Refused", "message": "no money", "non_retryable": True})
    world.kafka.control("CANCEL", "a-cancel")
    found = {key: results[0] for key, results in world.kafka.results().await_keys(keys, limit_s=10).items()}
    assert (found["a-key"]["status"], found["a-key"]["result"]) == ("COMPLETED", {"paid": 7})
    assert (found["a-token"]["status"], found["a-token"]["result"]) == ("COMPLETED", [1])
    failed = found["a-fail"]
    assert (failed["status"], failed["failure"]["type"], failed["failure"]["message"]) == ("FAILED", "Refused", "no money")
    assert failed["retry_state"] == "NON_RETRYABLE_FAILURE"
    assert found["a-cancel"]["status"] == "CANCELED"
    assert {result["attempt"] for result in found.values()} == {1}


def test_a_pending_attempt_that_fails_is_tried_again_with_the_details_of_its_last_beat(world, pend):
    pend("a-beats", retry_policy=SOON)
    world.kafka.control("HEARTBEAT", "a-beats", details={"step": 4})
    world.kafka.control("FAIL", "a-beats", failure={"type": "Later", "message": "again"})
    await_attempts(world, "a-beats", [1, 2])
    eventually(lambda: len([line for line in world.exec_log.lines("pending") if line["key"] == "a-beats"]) == 2, 5)
    world.kafka.control("HEARTBEAT", "a-beats", details={"step": 6})
    world.kafka.control("COMPLETE", "a-beats", result="done")
    result = world.kafka.results().await_one("a-beats", limit_s=10)
    assert (result["status"], result["attempt"], result["result"]) == ("COMPLETED", 2, "done")


def test_the_details_of_a_beat_keep_their_type_and_encoding_over_attempts(world, tmp_path):
    """Told to the next attempt in its record, which tells them to the journal, and at last in the result."""
    told = {"details_base64": "AAECAw==", "details_content_type": "application/x-sum", "details_encoding": "zstd"}
    start(world, "a-encoded", {"token_file": str(tmp_path / "token")}, "pending", retry_policy={**SOON, "maximum_attempts": 2})
    world.kafka.control("HEARTBEAT", "a-encoded", **told)
    world.kafka.control("FAIL", "a-encoded", failure={"type": "Later", "message": "again"})
    await_attempts(world, "a-encoded", [1, 2])
    eventually(lambda: len([line for line in world.exec_log.lines("pending") if line["key"] == "a-encoded"]) == 2, 5)
    world.kafka.control("FAIL", "a-encoded", failure={"type": "Later", "message": "again"})
    result = world.kafka.results().await_one("a-encoded", limit_s=10)
    assert {name: result.get(f"last_heartbeat_{name}") for name in told} == told


def test_the_timeouts_of_a_pending_attempt_go_on(world, pend):
    once = {"retry_policy": {"maximum_attempts": 1}}
    pend("a-close", start_to_close_timeout_ms=1200, **once)
    pend("a-silent", "a-alive", heartbeat_timeout_ms=1000, **once)

    def keep_alive():
        world.kafka.control("HEARTBEAT", "a-alive", details={"step": 2})
        return world.kafka.results().by_key().keys() >= {"a-close", "a-silent"}

    eventually(keep_alive, 10, "two timeouts fire", every_s=0.2)
    for key, kind in [("a-close", "START_TO_CLOSE"), ("a-silent", "HEARTBEAT")]:
        result = world.kafka.results().await_one(key)
        assert (result["status"], result["failure"]["timeout_type"]) == ("TIMED_OUT", kind)
    assert world.kafka.results().of("a-alive") == []
    world.kafka.control("COMPLETE", "a-alive")
    assert world.kafka.results().await_one("a-alive")["status"] == "COMPLETED"
