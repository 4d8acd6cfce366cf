# SPDX-License-Identifier: Apache-2.0
"""Workers that end in order, and a Kafka that goes away: nothing is lost, nothing runs twice. Kills and losses: tests/fault."""

import time

import pytest

from support.waiting import eventually


@pytest.fixture
def queue(kafka):
    kafka.create_topic("tasks.default", partitions=4)


def task(activity_id, plan=None, **fields):
    return {"activity_type": "scripted", "activity_id": activity_id, "input": plan or {}, **fields}


def settled(kafka, count):
    """All records of the queue are committed."""

    def all_committed():
        return sum(kafka.committed(kafka.topic("workers.default"), "tasks.default").values()) == count

    eventually(all_committed, 30, f"{count} records are settled", every_s=0.1)


def test_sigterm_lets_attempts_finish_and_hands_back_the_rest(kafka, stack, queue, exec_log):
    stack.scheduler()
    first = stack.scripted_worker(slots=2)
    keys = [f"k{number}" for number in range(8)]
    kafka.publish_all("default", [task(key, {"sleep_ms": 600}) for key in keys])
    exec_log.await_starts(2)
    first.sigterm()
    second = stack.scripted_worker(slots=4)
    assert first.wait(15) == 0
    found = kafka.results().await_keys(keys)
    exec_log.assert_each_key_started_once(keys)
    assert all(results[0]["attempt"] == 1 for results in found.values())
    settled(kafka, 8)
    second.sigterm()
    assert second.wait(15) == 0


def test_what_outlasts_the_grace_period_is_retried_elsewhere(kafka, stack, queue, exec_log):
    stack.scheduler()
    first = stack.scripted_worker(grace="500ms")
    kafka.publish("default", task("long", {"sleep_ms": 60000}, retry_policy={"maximum_attempts": 2, "initial_interval_ms": 10}))
    exec_log.await_starts(1)
    first.sigterm()
    assert first.wait(15) == 0
    second = stack.scripted_worker(grace="300ms")
    exec_log.await_starts(2)
    assert exec_log.attempts("long") == [1, 2]
    second.sigterm()
    assert second.wait(15) == 0
    result = kafka.results().await_one("long")
    assert (result["status"], result["attempt"], result["failure"]["type"]) == ("FAILED", 2, "WorkerShutdown")


def test_kafka_that_is_away_for_a_while_delays_and_loses_nothing(own_kafka, kafka, stack, queue, exec_log):
    stack.scheduler()
    worker = stack.scripted_worker(slots=4)
    keys = [f"k{number}" for number in range(30)]
    kafka.publish_all("default", [task(key, {"sleep_ms": 300}) for key in keys])
    exec_log.await_starts(6)
    own_kafka.kill9()
    eventually(lambda: not exec_log.running(), 15, "what was running has ended")
    own_kafka.start()
    kafka.results().await_keys(keys, limit_s=60)
    exec_log.assert_each_key_started_once(keys)
    settled(kafka, 30)
    worker.sigterm()
    assert worker.wait(20) == 0


def test_a_drain_ends_soon_where_kafka_and_redis_are_both_away(own_kafka, kafka, redis_server, stack, queue, exec_log):
    stack.scheduler()
    worker = stack.scripted_worker(slots=2, grace="1s")
    kafka.publish_all("default", [task(f"k{number}", {"sleep_ms": 60000}) for number in range(4)])
    exec_log.await_starts(2)
    own_kafka.kill9()
    redis_server.kill9()
    worker.wait_for_log("Kafka has a problem", 15)
    worker.wait_for_log("Redis has a problem", 15)
    began = time.monotonic()
    worker.sigterm()
    assert worker.wait(30) == 1
    assert time.monotonic() - began < 1 + 1 + 3, "grace, kill, and what may still be hoped for"
