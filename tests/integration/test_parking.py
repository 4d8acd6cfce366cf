# SPDX-License-Identifier: Apache-2.0
"""A task that runs for long is the journal's: its offset is committed, nothing waits behind it, and it ends as any other."""

import pytest

from support.waiting import eventually

SHORT = [f"s{number}" for number in range(20)]


@pytest.fixture(scope="module")
def started(shared_by_file):
    stack = shared_by_file.stack
    stack.setup(partitions=1)
    stack.scheduler()
    stack.worker(libs=["test_activities"], slots=8, park_after="300ms")
    shared_by_file.kafka.publish("default", task("warm-up", activity_type="noop"))
    shared_by_file.kafka.results().await_one("warm-up")


@pytest.fixture(autouse=True)
def world(shared, started):
    return shared


def task(key, plan=None, activity_type="actor", **fields):
    return {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields}


def await_settled(kafka):
    def settled():
        committed = kafka.committed(kafka.topic("workers.default"), "tasks.default")
        assert committed == kafka.ends("tasks.default")
        return True

    eventually(settled, 15, "all records of the queue are settled", every_s=0.05)


def journal_of(kafka, key):
    """Records of a task by their journal keys, in log order; None is a tombstone."""
    found = {}
    for record in kafka.read_all("journal"):
        name = record.key.decode()
        if name.split("\n")[0] == key:
            found.setdefault(name, []).append(record.value and record.fields())
    return found


def test_the_offset_of_a_long_task_is_committed_while_it_runs_and_nothing_waits_behind_it(world):
    kafka = world.kafka
    kafka.publish("default", task("long", {"ms": 4000}))
    kafka.publish_all("default", [task(key, activity_type="noop") for key in SHORT])
    kafka.results().await_keys(SHORT)
    await_settled(kafka)
    assert world.exec_log.running() == {("long", 1): 1}, "the machine is too slow for this test: the long task has ended"

    started = journal_of(kafka, "long")["long"]
    assert [(record["kind"], record["attempt"]) for record in started] == [("STARTED", 1)]
    kafka.publish("default", task("long", {"ms": 4000}))  # a copy, which must not run beside it
    result = kafka.results().await_one("long")

    assert (result["status"], result["attempt"], result["result"]) == ("COMPLETED", 1, {"first": 1, "attempt": 1})
    await_settled(kafka)
    assert world.exec_log.attempts("long") == [1]
    assert {each["result_id"] for each in kafka.results().of("long")} == {result["result_id"]}


def test_the_journal_forgets_a_parked_task_that_has_ended(world):
    plan = {"steps": 20, "step_ms": 40, "fail_attempts": 1}
    world.kafka.publish("default", task("ends", plan, heartbeat_timeout_ms=500, retry_policy={"initial_interval_ms": 20}))
    result = world.kafka.results().await_one("ends")
    assert (result["status"], result["attempt"]) == ("COMPLETED", 2)

    def forgotten():
        journal = journal_of(world.kafka, "ends")
        assert journal.keys() >= {"ends", "ends\nh"}
        assert all(records[-1] is None for records in journal.values()), journal
        return True

    eventually(forgotten, 10, "tombstones follow the result", every_s=0.1)


def test_a_short_task_is_never_in_the_journal(world):
    world.kafka.publish_all("default", [task(f"j{key}", activity_type="noop") for key in SHORT])
    world.kafka.results().await_keys([f"j{key}" for key in SHORT])
    assert not [record for record in world.kafka.read_all("journal") if record.key.startswith(b"js")]


def test_a_parked_attempt_that_fails_is_tried_again_by_its_policy(world):
    policy = {"initial_interval_ms": 300, "maximum_attempts": 2}
    world.kafka.publish("default", task("fails", {"ms": 600, "fail_attempts": 2}, retry_policy=policy))
    result = world.kafka.results().await_one("fails")
    assert (result["status"], result["attempt"], result["retry_state"]) == ("FAILED", 2, "MAXIMUM_ATTEMPTS_REACHED")
    assert world.exec_log.attempts("fails") == [1, 2]
    assert world.exec_log.gaps_ms("fails")[0] >= 900
