# SPDX-License-Identifier: Apache-2.0
"""A scheduler that dies while it ends attempts: another one carries it through, and nothing is ended twice."""

import time

import pytest

from support.waiting import eventually

ONCE = [f"once{number}" for number in range(300)]
TWICE = [f"twice{number}" for number in range(300)]
ENDED = "ended without its worker"


@pytest.fixture
def pending(kafka, stack, exec_log, tmp_path):
    """Attempts that nobody runs and that time out soon; the scheduler stands still until they have."""
    stack.setup()
    scheduler = stack.scheduler()
    stack.worker(libs=["test_activities"], slots=4)
    plan = {"activity_type": "actor", "input": {"token_file": str(tmp_path / "token")}, "start_to_close_timeout_ms": 1000}
    kafka.publish("default", {**plan, "activity_id": "warm-up", "retry_policy": {"maximum_attempts": 1}})
    kafka.results().await_one("warm-up")

    for keys, attempts in [(ONCE, 1), (TWICE, 2)]:
        policy = {"initial_interval_ms": 100, "maximum_attempts": attempts}
        kafka.publish_all("default", [{**plan, "activity_id": key, "retry_policy": policy} for key in keys])
    exec_log.await_starts(1 + len(ONCE) + len(TWICE), 30)
    scheduler.pause()
    over_at = time.monotonic() + 1.5
    eventually(lambda: time.monotonic() > over_at, 10, "all timers are due", every_s=0.1)
    return scheduler


def test_what_a_dead_scheduler_was_ending_another_one_ends(kafka, stack, exec_log, pending):
    before = pending.stderr.count(ENDED)
    pending.resume()
    eventually(lambda: pending.stderr.count(ENDED) > before, 10, "the first of them are ended", every_s=0.001)
    pending.kill_tree9()
    stack.scheduler()

    found = kafka.results().await_keys([*ONCE, *TWICE], limit_s=60)
    for key, results in found.items():
        assert len({result["result_id"] for result in results}) == 1, (key, results)
        assert (results[0]["status"], results[0]["failure"]["timeout_type"]) == ("TIMED_OUT", "START_TO_CLOSE")
        assert results[0]["retry_state"] == "MAXIMUM_ATTEMPTS_REACHED"
    assert {found[key][0]["attempt"] for key in ONCE} == {1}
    assert {found[key][0]["attempt"] for key in TWICE} == {2}
    exec_log.assert_no_attempt_started_twice()
