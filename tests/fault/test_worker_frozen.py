# SPDX-License-Identifier: Apache-2.0
"""A worker that stands still for longer than its lease is taken for dead; when it goes on, what it still does counts no more."""

import pytest

from support.waiting import eventually


@pytest.fixture
def ready(kafka, stack):
    stack.setup()
    stack.scheduler()
    return stack


def task(key, ms, **fields):
    return {"activity_type": "actor", "activity_id": key, "input": {"ms": ms}, **fields}


def is_parked(kafka, key):
    records = [record.fields() for record in kafka.read_all("journal") if record.value]
    return any((record["task_key"], record["kind"]) == (key, "STARTED") for record in records)


def test_what_a_frozen_worker_still_ends_is_dropped(kafka, ready, exec_log):
    first = ready.worker(libs=["test_activities"], slots=4, park_after="200ms")
    kafka.publish("default", task("once", 2500, retry_policy={"maximum_attempts": 1}))
    kafka.publish("default", task("again", 2500))
    exec_log.await_starts(2)
    eventually(lambda: is_parked(kafka, "once") and is_parked(kafka, "again"), 10, "both are parked")
    second = ready.worker(libs=["test_activities"], slots=4)
    second.wait_for_log("partitions assigned", 20)

    first.pause_tree()
    lost = kafka.results().await_one("once", 15)
    assert (lost["status"], lost["failure"]["type"]) == ("FAILED", "WorkerLost")
    eventually(lambda: exec_log.attempts("again") == [1, 2], 10, "the next attempt starts elsewhere")
    first.resume_tree()

    assert kafka.results().await_one("again", 15)["attempt"] == 2
    second.stop()
    kafka.publish("default", task("later", 0))
    assert kafka.results().await_one("later", 30)["status"] == "COMPLETED"  # by the first, which works again
    for key, status in [("once", "FAILED"), ("again", "COMPLETED")]:
        assert {result["status"] for result in kafka.results().of(key)} == {status}
        assert len({result["result_id"] for result in kafka.results().of(key)}) == 1
