# SPDX-License-Identifier: Apache-2.0
"""Redis answers nothing for 5 s and goes on: nobody is declared dead, and no timeout fires for the time that was lost."""

import pytest

from support.waiting import eventually, stays


def task(key, plan=None, **fields):
    return {"activity_type": "actor", "activity_id": key, "input": plan or {}, **fields}


@pytest.fixture
def ready(kafka, stack, exec_log):
    stack.setup()
    stack.scheduler()
    stack.worker(libs=["test_activities"], slots=32, park_after="300ms")
    kafka.publish("default", task("warm-up"))
    kafka.results().await_one("warm-up")
    return stack


def for_5_s_no_redis(redis_server):
    redis_server.pause()
    stays(lambda: redis_server.process.alive, 5, "Redis is stopped")
    redis_server.cont()


def test_attempts_outlive_a_stop_of_redis_and_no_heartbeat_timeout_fires_for_it(
    kafka, ready, exec_log, redis_server, tmp_path
):
    """Some beat on, some end during the stop, one waits for its completion from outside, one for its next attempt."""
    beating = [f"beats{number}" for number in range(6)]
    ending = [f"ends{number}" for number in range(6)]
    for key in beating:
        kafka.publish("default", task(key, {"steps": 80, "step_ms": 100}, heartbeat_timeout_ms=1500))
    for key in ending:
        kafka.publish("default", task(key, {"ms": 3000}))
    kafka.publish("default", task("backoff", {"fail_attempts": 1}, retry_policy={"initial_interval_ms": 3000}))
    pending = {"steps": 1, "token_file": str(tmp_path / "token")}
    kafka.publish("default", task("pending", pending, heartbeat_timeout_ms=3000, retry_policy={"maximum_attempts": 1}))
    exec_log.await_event("pending", "pending")
    exec_log.await_event("end", "backoff")
    exec_log.await_starts(15)

    def is_told():
        """The scheduler knows of the pending attempt: a beat of it is in the journal."""
        kafka.control("HEARTBEAT", "pending", details={"step": 2})
        return [record for record in kafka.read_all("journal") if record.key == b"pending\nh"]

    eventually(is_told, 10, "the pending attempt is known")
    for_5_s_no_redis(redis_server)
    kafka.control("HEARTBEAT", "pending", details={"step": 3})

    kafka.results().await_keys([*ending, "backoff"], limit_s=20)
    assert kafka.results().of("pending") == []
    kafka.control("COMPLETE", "pending", result=1)
    assert kafka.results().await_one("pending")["status"] == "COMPLETED"
    found = kafka.results().await_keys([*beating, *ending, "backoff"], limit_s=20)
    assert {found[key][0]["status"] for key in found} == {"COMPLETED"}
    assert {found[key][0]["attempt"] for key in [*beating, *ending]} == {1}
    assert exec_log.attempts("backoff") == [1, 2]
    exec_log.assert_no_attempt_started_twice()
    assert all(len({result["result_id"] for result in results}) == 1 for results in kafka.results().by_key().values())
