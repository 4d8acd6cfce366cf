# SPDX-License-Identifier: Apache-2.0
"""A segfault costs the attempt that made it, and nothing of its neighbours."""

import pytest


def task(activity_type, activity_id, plan=None, **policy):
    fields = {"activity_type": activity_type, "activity_id": activity_id, "input": plan or {}}
    return {**fields, "retry_policy": {"initial_interval_ms": 50, **policy}}


@pytest.fixture
def worker(stack):
    stack.setup()
    stack.scheduler()
    return stack.scripted_worker(slots=4, libs=["test_activities"]).allow_crash_reports()


def test_a_segfault_costs_one_attempt(kafka, worker, tmp_path):
    kafka.publish("default", task("crash_n_times", "twice", {"file": str(tmp_path / "calls"), "times": 2}))
    result = kafka.results().await_one("twice")
    assert (result["status"], result["attempt"], result["result"]) == ("COMPLETED", 3, 3)


def test_neighbours_of_segfaults_run_once_and_complete(kafka, worker, exec_log):
    calm = [f"calm{number}" for number in range(40)]
    crashing = [f"crash{number}" for number in range(20)]
    for number, key in enumerate(calm):
        kafka.publish("default", task("scripted", key, {"sleep_ms": 50}))
        if number % 2:
            kafka.publish("default", task("crash_segv", crashing[number // 2], maximum_attempts=2))
    found = kafka.results().await_keys([*calm, *crashing])
    ends = {(found[key][0]["status"], found[key][0]["attempt"], found[key][0]["failure"]["type"]) for key in crashing}
    assert ends == {("FAILED", 2, "ActivityCrashed")}
    assert {(found[key][0]["status"], found[key][0]["attempt"]) for key in calm} == {("COMPLETED", 1)}
    exec_log.assert_each_key_started_once(calm)
    assert worker.alive
