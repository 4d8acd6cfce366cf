# SPDX-License-Identifier: Apache-2.0
"""Row D8: what is due comes soon and never early."""

import pytest

DELAYED = [f"d{number}" for number in range(1000)]
RETRIED = [f"r{number}" for number in range(200)]


@pytest.fixture
def ready(kafka, stack):
    """With a worker that has run a task: the clocks of tasks do not run while programs start."""
    stack.setup()
    stack.scheduler()
    stack.worker(libs=["test_activities"], slots=8)
    kafka.publish("default", {"activity_type": "noop", "activity_id": "warm-up"})
    kafka.results().await_one("warm-up")


@pytest.fixture
def run(kafka, ready):
    """Runs tasks whose clocks end within one second; returns {key: result}."""
    delayed = [{"activity_type": "noop", "activity_id": key, "start_delay_ms": 3000} for key in DELAYED]
    policy = {"initial_interval_ms": 3000, "maximum_attempts": 2}
    retried = [
        {"activity_type": "actor", "activity_id": key, "input": {"fail_attempts": 1}, "retry_policy": policy} for key in RETRIED
    ]
    kafka.publish_all("default", delayed + retried)
    found = kafka.results().await_keys([*DELAYED, *RETRIED], limit_s=30)
    return {key: results[0] for key, results in found.items()}


def test_1200_timers_of_one_second_come_soon_and_never_early(kafka, run):
    due, dispatched = {}, {}
    for record in kafka.read_all("journal"):
        if record.value and record.fields()["kind"] in ("WAITING", "BACKOFF"):
            due[record.key.decode()] = record.fields()["due_at_ms"]
    for record in kafka.read_all("tasks.default"):
        if record.header("millrace-dispatched-at"):
            assert record.header("millrace-key") not in dispatched, "dispatched twice"
            dispatched[record.header("millrace-key")] = int(record.header("millrace-dispatched-at")), record.timestamp_ms

    assert due.keys() == dispatched.keys() == {*DELAYED, *RETRIED}
    early = {key: (due[key], *times) for key, times in dispatched.items() if min(times) < due[key]}
    assert not early
    late = sorted(times[1] - due[key] for key, times in dispatched.items())
    assert late[-1] < 3000, f"the last is {late[-1]} ms late"
    for key in DELAYED:
        assert run[key]["started_at_ms"] - run[key]["scheduled_at_ms"] >= 3000
        assert (run[key]["status"], run[key]["attempt"]) == ("COMPLETED", 1)
    assert {run[key]["attempt"] for key in RETRIED} == {2}
